//! Names of accounts and keys: who may have which, and where what has them is found.

use hexkeep::auth::Owner;
use hexkeep::clock::Clock as _;
use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Account, InspectCommand, KeyCommand, OrganizationCommand};
use hexkeep::state::audit::Actor;
use hexkeep::state::keys::KeyRow;
use reqwest::Method;
use serde_json::json;

use super::super::support::hub::{Hub, Wishes};
use super::super::support::local::{PASSWORD, basic};
use super::super::support::process::Home;
use super::private;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_up_under_a_name_of_the_configuration() {
    let more = vec!["acme: { type: local, organization: lonely }".to_owned(), "team: { type: local }".to_owned()];
    let top = "auth: { sign_up: true }\n".to_owned();
    let hub = Hub::with(Wishes { more, top, ..Wishes::default() }).await;
    for (name, expected) in [("lonely", 422), ("Lonely", 422), ("acme", 422), ("team", 422), ("alice", 201)] {
        let fields = json!({"username": name, "email": format!("{name}@example.com"), "password": PASSWORD});
        let answer = hub.api(Method::POST, "/api/users", "", Some(fields)).await;
        assert_eq!(answer.status, expected, "{name}: {}", answer.text());
        if expected == 422 {
            assert_eq!(answer.json()["errors"]["username"], "has already been taken");
        }
    }
    hub.order(OrganizationCommand::Add { name: "lonely".to_owned(), admin: Some("alice".to_owned()) }).await;
}

#[test]
fn a_user_with_the_name_of_an_organization_is_told_of() {
    let home = Home::new(
        "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
         log: { format: json }\n\
         storage: { path: data }\n\
         default_repository: acme\n\
         repositories:\n  acme: { type: local, organization: lonely }\n",
    );
    let add = |name: &str| home.run(&["user", "add", name, "--no-password"]);
    assert_eq!(add("alice").stderr, "created user alice\n");
    let said = add("lonely");
    assert!(said.code == 0 && said.stderr.contains("`hexkeep org add lonely` fails"), "{said:?}");
    let (_, log) = home.serve().stop();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("the configuration uses")).collect();
    assert!(told.len() == 1 && told[0].contains("\"lonely\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_found_at_the_address_that_is_told_of_it() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    let alice = basic("alice");
    for path in ["/api/keys", "/api/orgs/acme/keys"] {
        for name in ["ci", "a b/c?d#e", "100%", "läptop", "..x", "joe@x+y", "a\\b"] {
            let made = hub.api(Method::POST, path, &alice, Some(json!({"name": name}))).await;
            assert_eq!(made.status, 201, "{name}: {}", made.text());
            let (location, url) = (made.header("location").to_owned(), made.json()["url"].as_str().unwrap().to_owned());
            assert_eq!(location, url, "{name}");
            let at = location.strip_prefix(&hub.url()).unwrap_or_else(|| panic!("{location}"));
            let shown = hub.api(Method::GET, at, &alice, None).await;
            assert_eq!((shown.status, &shown.json()["name"]), (200, &json!(name)), "{at}");
            assert_eq!(hub.api(Method::DELETE, at, &alice, None).await.status, 200, "{at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_disguises_itself_is_no_key_s() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    let (alice, account) = (basic("alice"), || Account::User("alice".to_owned()));
    let names =
        [".", "..", "%2e", "%2E%2e", "a%41", "ci\u{202e}", "a\u{2028}b", "a\u{2066}b", "a\u{200b}", "\u{3164}", "a\tb"];
    for name in names {
        let refused = hub.api(Method::POST, "/api/keys", &alice, Some(json!({"name": name}))).await;
        assert_eq!(refused.status, 422, "{name:?}: {}", refused.text());
        assert!(refused.json()["errors"]["name"].is_string(), "{name:?}: {}", refused.text());
        let permissions = vec!["api".to_owned()];
        let command = KeyCommand::Create { owner: account(), name: name.to_owned(), permissions, days: None };
        assert!(hub.app().core().administer(command.into(), Actor::console()).await.is_err(), "{name:?}");
    }
    // Those of before are shown as what they are, and can be revoked, over HTTP and from the terminal.
    let core = hub.app().core();
    let owner = Owner::User(core.accounts().user("alice").await.unwrap().unwrap().id);
    for over_http in [true, false] {
        for name in names {
            let (lookup, permissions) = (format!("{over_http} {name}"), r#"[{"domain":"api","resource":"read"}]"#);
            let (subject, compared) = ("user:alice", "");
            let row = KeyRow { owner, subject, name, lookup: &lookup, compared, permissions, revoke_at: None };
            core.state().create_key(hub.clock.now(), &row, &Actor::console()).await.unwrap();
        }
        let listed = hub.order(KeyCommand::List { owner: account() }).await.lines;
        assert!(listed.contains(&"ci\\u{202e}\tapi:read\t-".to_owned()), "{listed:?}");
        if over_http {
            let keys = hub.api(Method::GET, "/api/keys", &alice, None).await.json();
            for key in keys.as_array().unwrap().iter().filter(|key| key["name"] != json!("test")) {
                let at = key["url"].as_str().unwrap().strip_prefix(&hub.url()).unwrap();
                let gone = hub.api(Method::DELETE, at, &alice, None).await;
                assert_eq!((gone.status, &gone.json()["name"]), (200, &key["name"]), "{at}");
            }
        } else {
            for name in names {
                let said = hub.order(KeyCommand::Revoke { owner: account(), name: name.to_owned() }).await.remarks;
                assert!(!said[0].contains(['\u{202e}', '\u{2028}', '\u{200b}']), "{said:?}");
            }
        }
        assert_eq!(hub.order(KeyCommand::List { owner: account() }).await.lines.len(), 1);
    }
    let audit =
        hub.order(InspectCommand::Audit { repository: None, account: Some(account()), page: 1 }).await.lines.join("\n");
    assert!(audit.contains("ci\\u{202e}") && !audit.contains('\u{202e}'), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_opens_nothing_is_remarked() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    hub.user("bob", false).await;
    let make = async |name: &str, permission: &str| {
        let (owner, permissions) = (Account::User(name.to_owned()), vec![permission.to_owned()]);
        hub.order(KeyCommand::Create { owner, name: "x".to_owned(), permissions, days: None }).await.remarks
    };
    for (name, permission, remark) in [
        ("alice", "repository:acme", None),
        ("alice", "package:acme/core", None),
        ("alice", "repositories", None),
        (
            "alice",
            "repository:nope",
            Some("neither a repository `nope` nor a repository of an organization `nope` is configured"),
        ),
        (
            "alice",
            "docs:nope",
            Some("neither a repository `nope` nor a repository of an organization `nope` is configured"),
        ),
        ("bob", "repository:acme/core_*", Some("user:bob has no read access to `acme`")),
        ("bob", "repository:hexpm", None),
    ] {
        let said = make(name, permission).await;
        match remark {
            None => assert_eq!(said.len(), 1, "{name} {permission}: {said:?}"),
            Some(remark) => assert!(said.len() == 2 && said[1].contains(remark), "{name} {permission}: {said:?}"),
        }
    }
}
