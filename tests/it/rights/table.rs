//! The table of docs/SECURITY.md: each credential, and what it is good for.

use hexkeep::operations::commands::{Account, KeyCommand};
use reqwest::Method;
use serde_json::json;

use super::super::support::hub::Hub;
use super::super::support::local::{basic, docs, package};
use super::{exchange, private};

const SECURITY: &str = include_str!("../../../docs/SECURITY.md");

/// The rows below a heading: the cells of each, the head first.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, below) = SECURITY.split_once(heading).unwrap();
    let lines = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.filter(|line| !line.starts_with("|-")).map(cells).collect()
}

fn root() -> Account {
    Account::User("root".to_owned())
}

/// Does what a row says; the status.
async fn act(hub: &Hub, what: &str, credential: &str, number: usize) -> u16 {
    let at = |path: &str| format!("/api/repos/acme/{path}");
    let api = async |method: Method, path: &str, body| hub.api(method, path, credential, body).await.status;
    let upload = async |path: &str, body| {
        hub.call(Method::POST, &at(path), credential, "application/octet-stream", Some(body)).await.status
    };
    match what {
        "see its own account on the API" => api(Method::GET, "/api/users/me", None).await,
        "see a private package on the API" => api(Method::GET, &at("packages/core"), None).await,
        "fetch a private package" => {
            hub.get_with("/repos/acme/tarballs/core-1.0.0.tar", &[("authorization", credential)]).await.status
        }
        "fetch private documentation" => {
            hub.get_with("/repos/acme/docs/core-1.0.0.tar.gz", &[("authorization", credential)]).await.status
        }
        "publish a release of `core`" => upload("packages/core/releases", package("core", "1.1.0", "")).await,
        "publish the first release of a package" => {
            let name = format!("new_{number}");
            upload(&format!("packages/{name}/releases"), package(&name, "1.0.0", "")).await
        }
        "change the owners of `core`" => {
            api(Method::PUT, &at("packages/core/owners/otto"), Some(json!({"level": "full"}))).await
        }
        "change members of an organization" => {
            api(Method::POST, "/api/orgs/acme/members/otto", Some(json!({"role": "read"}))).await
        }
        "create a key" => {
            let fields = json!({"name": "made", "permissions": [{"domain": "api", "resource": "read"}]});
            api(Method::POST, "/api/keys", Some(fields)).await
        }
        "create a key that fetches" => {
            let fields = json!({"name": "made", "permissions": [{"domain": "repositories"}]});
            api(Method::POST, "/api/keys", Some(fields)).await
        }
        "create a key of an organization" => {
            let fields = json!({"name": "made", "permissions": [{"domain": "repository", "resource": "acme"}]});
            api(Method::POST, "/api/orgs/acme/keys", Some(fields)).await
        }
        "revoke another key" => {
            let name = format!("victim-{number}");
            let permissions = vec!["api".to_owned()];
            hub.order(KeyCommand::Create { owner: root(), name: name.clone(), permissions, days: None }).await;
            api(Method::DELETE, &format!("/api/keys/{name}"), None).await
        }
        "revoke all keys of an organization" => api(Method::DELETE, "/api/orgs/acme/keys", None).await,
        "run an administrator's command" => api(Method::POST, "/api/admin/user-list", Some(json!({}))).await,
        "revoke all its keys" => api(Method::DELETE, "/api/keys", None).await,
        "revoke itself" => api(Method::DELETE, "/api/keys/shown", None).await,
        other => panic!("the table has a row that nobody tests: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_credential_does_what_the_table_says_and_nothing_else() {
    let hub = private("").await;
    let key = hub.user("root", true).await;
    hub.member("otto", "read").await;
    assert_eq!(hub.publish_to_acme(&key, "core", package("core", "1.0.0", "")).await.status, 201);
    let path = "/api/repos/acme/packages/core/releases/1.0.0/docs";
    assert_eq!(hub.call(Method::POST, path, &key, "application/gzip", Some(docs("x"))).await.status, 201);
    // A token cannot keep others from using up the minute of an account: the clock moves on.
    let rows = rows("### What each credential is good for");
    let (head, rows) = rows.split_first().unwrap();
    assert!(head.len() > 9 && rows.len() > 12, "{head:?}");
    let (mut number, mut wrong) = (0, Vec::new());
    for (at, column) in head.iter().enumerate().skip(1) {
        let scope = column.trim_matches('`');
        for as_token in [false, true] {
            if scope == "password" && as_token {
                continue;
            }
            for row in rows {
                hub.clock.advance(std::time::Duration::from_secs(60));
                let (what, cell) = (row[0].as_str(), row[at].as_str());
                if cell == "-" || what == "revoke itself" && as_token {
                    continue;
                }
                number += 1;
                // Made anew for each row: some end it.
                let credential = match scope {
                    "password" => basic("root"),
                    scope => {
                        let permissions = vec![scope.to_owned()];
                        let name = "shown".to_owned();
                        let made = KeyCommand::Create { owner: root(), name: name.clone(), permissions, days: None };
                        let key = hub.order(made).await.lines[0].clone();
                        if as_token { exchange(&hub, &key, scope).await } else { key }
                    }
                };
                let status = act(&hub, what, &credential, number).await;
                let done = match status {
                    200..=299 => "yes",
                    401 | 403 => "no",
                    _ => "neither",
                };
                if done != cell {
                    wrong.push(format!("{what}, {scope}, token {as_token}: {status}, and the table says {cell}"));
                }
                if scope != "password" {
                    let revoke = KeyCommand::Revoke { owner: root(), name: "shown".to_owned() };
                    let by = hexkeep::state::audit::Actor::console();
                    // Gone already where the row was about that.
                    let _ = hexkeep::operations::Operations::administer(&**hub.app().core(), revoke.into(), by).await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_writes_makes_no_key_that_reads() {
    let hub = private("").await;
    hub.user("root", true).await;
    let writes = hub.key(root(), &["api:write"]).await;
    let token = exchange(&hub, &writes, "api:write").await;
    for credential in [&writes, &token] {
        for permissions in [json!(null), json!([{"domain": "api"}]), json!([{"domain": "api", "resource": "write"}])] {
            let fields = json!({"name": "more", "permissions": permissions});
            let answer = hub.api(Method::POST, "/api/keys", credential, Some(fields)).await;
            assert_eq!(
                (answer.status, &answer.json()["message"]),
                (401, &json!("key not authorized for this action")),
                "{}",
                answer.text()
            );
        }
        let order = json!({"owner": {"user": "root"}, "name": "more", "permissions": ["api"], "days": null});
        assert_eq!(hub.api(Method::POST, "/api/admin/key-create", credential, Some(order)).await.status, 401);
    }
    let wider = json!({
        "grant_type": "client_credentials", "client_id": super::MIX, "client_secret": writes, "scope": "api",
    });
    let answer = hub.api(Method::POST, "/api/oauth/token", "", Some(wider)).await;
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_scope")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_of_rebar3_gets_its_three_keys() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    let make = async |credential: &str, name: &str, permissions| {
        let fields = json!({"name": name, "permissions": permissions});
        let answer = hub.api(Method::POST, "/api/keys", credential, Some(fields)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["secret"].as_str().unwrap().to_owned()
    };
    let write = make(&basic("alice"), "host", json!([{"domain": "api"}])).await;
    let read = make(&write, "host-api-read", json!([{"domain": "api", "resource": "read"}])).await;
    let fetch = make(&write, "host-repositories", json!([{"domain": "repositories"}])).await;
    assert_eq!(hub.publish_to_acme(&write, "core", package("core", "1.0.0", "")).await.status, 201);
    assert_eq!(hub.api(Method::GET, "/api/users/me", &read, None).await.status, 200);
    let fetched = hub.get_with("/repos/acme/packages/core", &[("authorization", &fetch)]).await;
    assert_eq!(fetched.status, 200, "{}", fetched.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_of_an_organization_are_revoked_at_once() {
    let hub = private("").await;
    let (wilma, rita) = (hub.member("wilma", "write").await, hub.member("rita", "read").await);
    let acme = || Account::Organization("acme".to_owned());
    let first = hub.key(acme(), &["api"]).await;
    let robot = hub.key(acme(), &["api", "repositories"]).await;
    let revoke = async |key: &str| hub.api(Method::DELETE, "/api/orgs/acme/keys", key, None).await;
    assert_eq!(revoke("").await.status, 401);
    assert_eq!(revoke(&rita).await.status, 403, "one who reads");
    let narrow = hub.key(Account::User("wilma".to_owned()), &["api:write"]).await;
    assert_eq!(revoke(&narrow).await.status, 401, "a key that makes none");
    let answer = revoke(&robot).await;
    assert_eq!((answer.status, answer.json()["authing_key"].as_bool()), (200, Some(true)), "{}", answer.text());
    for key in [&first, &robot] {
        let refused = hub.api(Method::GET, "/api/orgs/acme", key, None).await;
        assert_eq!((refused.status, &refused.json()["message"]), (401, &json!("API key revoked")));
    }
    assert_eq!(hub.api(Method::GET, "/api/users/me", &wilma, None).await.status, 200, "those of members stay");
    let log = hub.api(Method::GET, "/api/orgs/acme/audit-logs", &wilma, None).await.json();
    let removed = log.as_array().unwrap().iter().filter(|line| line["action"] == json!("key.remove")).count();
    assert_eq!(removed, 2, "{log}");
    assert_eq!((revoke(&wilma).await.status, revoke(&wilma).await.json()), (200, json!({})), "none is left");
}
