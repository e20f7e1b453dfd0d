//! What ends with a key, and with a user; and what does not.

use std::time::Duration;

use hexkeep::auth::Owner;
use hexkeep::clock::{Clock as _, Timestamp};
use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Account, KeyCommand, OrganizationCommand, UserCommand};
use hexkeep::state::audit::Actor;
use hexkeep::state::keys::KeyRow;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::support::hub::{Answer, Hub};
use super::super::support::local::{basic, package};
use super::{ask, exchange, poll, private};

const KEYS: &str = "/api/keys";
const ORGANIZATION: &str = "/api/orgs/acme/keys";

fn alice() -> Account {
    Account::User("alice".to_owned())
}

/// Makes a key by a credential.
async fn mint(hub: &Hub, path: &str, credential: &str, name: &str, permissions: &[&str]) -> String {
    let pair = |word: &&str| match word.split_once(':') {
        Some((domain, resource)) => json!({"domain": domain, "resource": resource}),
        None => json!({"domain": word}),
    };
    let permissions: Vec<Value> = permissions.iter().map(pair).collect();
    let fields = json!({"name": name, "permissions": permissions});
    let made = hub.api(Method::POST, path, credential, Some(fields)).await;
    assert_eq!(made.status, 201, "{name}: {}", made.text());
    made.json()["secret"].as_str().unwrap().to_owned()
}

async fn get(hub: &Hub, path: &str, credential: &str) -> Answer {
    hub.api(Method::GET, path, credential, None).await
}

/// The status that a credential of each kind gets, where it is good for what it asks.
async fn status(hub: &Hub, credential: &str, path: &str) -> u16 {
    hub.get_with(path, &[("authorization", credential), ("user-agent", "test")]).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_key_made_ends_with_it_on_every_way() {
    // Tokens that have ended are asked with more often than unknown ones are heard.
    let hub = private("auth: { rate_limits: { failed_logins: 0 } }\n").await;
    hub.member("alice", "write").await;
    let root = hub.user("root", true).await;
    let password = basic("alice");
    // Until now by two ways: the key of the harness, and its log-in.
    let log_in = super::log_in(&hub, "alice", &["api"]).await;
    for way in ["command", "order", "itself", "an heir", "another key", "all at once"] {
        let (me, names, orgs) = ("/api/users/me", "/repos/acme/names", "/api/orgs/acme");
        let first = mint(&hub, KEYS, &password, "first", &["api"]).await;
        let second = mint(&hub, KEYS, &first, "second", &["api"]).await;
        let token = exchange(&hub, &first, "api").await;
        let by_token = mint(&hub, KEYS, &token, "by-token", &["api"]).await;
        let third = mint(&hub, KEYS, &second, "third", &["repositories"]).await;
        let of_acme = mint(&hub, ORGANIZATION, &second, "of-acme", &["api", "repositories"]).await;
        let acme_token = exchange(&hub, &of_acme, "api").await;
        let by_acme = mint(&hub, ORGANIZATION, &acme_token, "by-acme", &["api"]).await;
        let heirs = [
            (second.clone(), me),
            (by_token.clone(), me),
            (token.clone(), me),
            (exchange(&hub, &second, "api").await, me),
            (third.clone(), names),
            (exchange(&hub, &third, "repositories").await, names),
            (of_acme, orgs),
            (acme_token, orgs),
            (by_acme.clone(), orgs),
            (exchange(&hub, &by_acme, "api").await, orgs),
        ];
        let others = [
            (mint(&hub, KEYS, &password, "other", &["api"]).await, me),
            (mint(&hub, KEYS, &log_in, "of-log-in", &["api"]).await, me),
            (mint(&hub, ORGANIZATION, &password, "of-acme-too", &["api"]).await, orgs),
        ];
        for (key, path) in heirs.iter().chain(&others) {
            assert_eq!(status(&hub, key, path).await, 200, "{way}: {path}");
        }
        let delete = async |path: &str, credential: &str| {
            let answer = hub.api(Method::DELETE, path, credential, None).await;
            assert_eq!(answer.status, 200, "{way}: {}", answer.text());
            let named = answer.json()["also_revoked"].as_array().unwrap_or(&Vec::new()).clone();
            let named = named
                .iter()
                .map(|one| format!("{} of {}", one["name"].as_str().unwrap(), one["owner"].as_str().unwrap()));
            named.collect::<Vec<_>>()
        };
        let told = match way {
            "command" => {
                let command = KeyCommand::Revoke { owner: alice(), name: "first".to_owned() };
                let said = hub.order(command).await.remarks;
                let list = said[1].strip_prefix("also revoked 5 keys that were created with it: ");
                list.unwrap_or_else(|| panic!("{said:?}")).split(", ").map(str::to_owned).collect()
            }
            "order" => {
                let fields = json!({"owner": {"user": "alice"}, "name": "first"});
                let said = hub.api(Method::POST, "/api/admin/key-revoke", &root, Some(fields)).await.json();
                let list = said["remarks"][1].as_str().unwrap_or_else(|| panic!("{said}"));
                list.split_once(": ").unwrap().1.split(", ").map(str::to_owned).collect()
            }
            "itself" => delete("/api/keys/first", &first).await,
            "an heir" => delete("/api/keys/first", &second).await,
            "another key" => delete("/api/keys/first", &others[0].0).await,
            _ => delete(KEYS, &first).await,
        };
        let all = way == "all at once";
        let expected = match all {
            // Those of alice are revoked themselves.
            true => vec!["by-acme of org:acme", "of-acme of org:acme"],
            false => vec![
                "by-acme of org:acme",
                "by-token of user:alice",
                "of-acme of org:acme",
                "second of user:alice",
                "third of user:alice",
            ],
        };
        assert_eq!(told, expected, "{way}");
        for (key, path) in std::iter::once(&(first.clone(), me)).chain(&heirs) {
            assert_eq!(status(&hub, key, path).await, 401, "{way}: {path}");
        }
        assert_eq!(get(&hub, me, &first).await.json()["message"], "API key revoked", "{way}");
        for (key, path) in others.iter().filter(|(_, path)| !all || *path == orgs) {
            assert_eq!(status(&hub, key, path).await, 200, "{way}: {path}: it was made without the key");
        }
        // Each is in the log of whom it belonged to.
        let log = get(&hub, "/api/orgs/acme/audit-logs", &password).await.json();
        let said = "by-acme, because the key that created it was revoked";
        let is_said = |line: &Value| line["action"] == json!("key.remove") && line["params"]["detail"] == json!(said);
        assert!(log.as_array().unwrap().iter().any(is_said), "{log}");
        // The names are free again for the next way.
        for path in [KEYS, ORGANIZATION] {
            assert_eq!(hub.api(Method::DELETE, path, &password, None).await.status, 200);
        }
    }
    // What an order makes with an administrator's key is that key's, too.
    let fields = json!({"owner": {"user": "alice"}, "name": "ordered", "permissions": ["api"]});
    let made = hub.api(Method::POST, "/api/admin/key-create", &root, Some(fields)).await.json();
    let ordered = made["lines"][0].as_str().unwrap().to_owned();
    assert_eq!(get(&hub, "/api/users/me", &ordered).await.status, 200);
    hub.order(KeyCommand::Revoke { owner: Account::User("root".to_owned()), name: "test".to_owned() }).await;
    assert_eq!(get(&hub, "/api/users/me", &ordered).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_an_end_makes_none_that_lasts_longer() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    let permissions = vec!["api".to_owned()];
    let made = KeyCommand::Create { owner: alice(), name: "short".to_owned(), permissions, days: Some(1) };
    let short = hub.order(made).await.lines[0].clone();
    let heir = mint(&hub, KEYS, &exchange(&hub, &short, "api").await, "heir", &["api"]).await;
    let end = async |name: &str| get(&hub, &format!("/api/keys/{name}"), &short).await.json()["revoke_at"].clone();
    assert!(end("short").await.is_string());
    assert_eq!(end("heir").await, end("short").await);
    hub.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(get(&hub, "/api/users/me", &heir).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_before_the_year_10000_and_one_that_does_not_is_shown() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    let root = hub.user("root", true).await;
    let why = "must be before the year 10000";
    let password = basic("alice");
    for days in [3_000_000, 99_999_999, u64::from(u32::MAX), u64::MAX] {
        let permissions = vec!["api".to_owned()];
        let command = KeyCommand::Create { owner: alice(), name: "far".to_owned(), permissions, days: Some(days) };
        let refused = hub.app().core().administer(command.into(), Actor::console()).await.unwrap_err();
        assert!(refused.sentence().contains(why), "{days}: {refused}");
        let fields = json!({"owner": {"user": "alice"}, "name": "far", "permissions": ["api"], "days": days});
        let refused = hub.api(Method::POST, "/api/admin/key-create", &root, Some(fields)).await;
        assert!(refused.status == 422 && refused.text().contains(why), "{days}: {}", refused.text());
    }
    for (end, status) in
        [("9999-12-31T23:59:59Z", 201), ("10000-01-01T00:00:00Z", 422), ("+12345-12-31T23:59:59Z", 422)]
    {
        let fields = json!({"name": "last", "revoke_at": end});
        let answer = hub.api(Method::POST, KEYS, &password, Some(fields)).await;
        assert_eq!(answer.status, status, "{end}: {}", answer.text());
    }
    // Rows of before are shown, make keys, and can be revoked.
    let core = hub.app().core();
    let owner = Owner::User(core.accounts().user("alice").await.unwrap().unwrap().id);
    for (name, millis) in [("far", 8_640_000_000_000_000), ("farther", u64::MAX)] {
        let row = KeyRow {
            owner,
            subject: "user:alice",
            name,
            lookup: name,
            compared: "",
            permissions: r#"[{"domain":"api","resource":null}]"#,
            revoke_at: Some(Timestamp::from_millis(millis)),
        };
        core.state().create_key(hub.clock.now(), &row, &Actor::console()).await.unwrap();
    }
    let shown = get(&hub, KEYS, &password).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    for name in ["far", "farther"] {
        let shown = get(&hub, &format!("/api/keys/{name}"), &password).await;
        assert_eq!(shown.json()["revoke_at"], "9999-12-31T23:59:59.000000Z", "{}", shown.text());
    }
    let listed = hub.order(KeyCommand::List { owner: alice() }).await.lines;
    assert!(listed.contains(&"farther\tapi\t9999-12-31T23:59:59Z".to_owned()), "{listed:?}");
    assert_eq!(hub.api(Method::DELETE, "/api/keys/far", &password, None).await.status, 200);
    hub.order(KeyCommand::Revoke { owner: alice(), name: "farther".to_owned() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_shut_out_gets_no_token() {
    let hub = private("").await;
    let key = hub.member("alice", "write").await;
    let device = ask(&hub, "api", "laptop").await;
    hub.let_in(device["user_code"].as_str().unwrap(), "alice", &["api"], "").await;
    let token = poll(&hub, &device).await;
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let refresh = async || {
        let fields = json!({
            "grant_type": "refresh_token", "client_id": super::MIX, "refresh_token": token["refresh_token"],
        });
        let answer = hub.api(Method::POST, "/api/oauth/token", "", Some(fields)).await;
        (answer.status, answer.json()["error"].clone())
    };
    // Let in, and not come for its token yet.
    let waiting = ask(&hub, "api", "desktop").await;
    hub.let_in(waiting["user_code"].as_str().unwrap(), "alice", &["api"], "").await;

    let said = hub.order(UserCommand::Active { name: "alice".to_owned(), active: false }).await.remarks;
    assert!(said[0].contains("revoked OAuth tokens"), "{said:?}");
    assert_eq!(refresh().await, (400, json!("invalid_grant")));
    assert_eq!(poll(&hub, &waiting).await["error"], "access_denied");
    for credential in [&key, &bearer, &basic("alice")] {
        assert_eq!(get(&hub, "/api/users/me", credential).await.status, 401);
    }
    hub.order(UserCommand::Active { name: "alice".to_owned(), active: true }).await;
    assert_eq!(refresh().await, (400, json!("invalid_grant")), "a log-in has ended for good");
    assert_eq!(poll(&hub, &waiting).await["error"], "access_denied");
    assert_eq!(get(&hub, "/api/users/me", &bearer).await.status, 401);
    assert_eq!(get(&hub, "/api/users/me", &key).await.status, 200, "a key has rested");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_an_organization_is_no_more_than_a_member_who_writes_and_outlasts_its_maker() {
    let hub = private("").await;
    let root = hub.user("root", true).await;
    for (name, role) in [("adam", "admin"), ("wilma", "write"), ("rita", "read")] {
        hub.member(name, role).await;
    }
    assert_eq!(hub.publish_to_acme(&root, "core", package("core", "1.0.0", "")).await.status, 201);
    let fields = json!({"name": "no", "permissions": [{"domain": "api"}]});
    assert_eq!(hub.api(Method::POST, ORGANIZATION, &basic("rita"), Some(fields)).await.status, 403);
    let key = mint(&hub, ORGANIZATION, &basic("wilma"), "ci", &["api", "repositories"]).await;
    let again = mint(&hub, ORGANIZATION, &key, "ci-of-ci", &["api"]).await;
    for (who, version, administrates) in
        [(&basic("wilma"), "1.1.0", 403), (&key, "1.2.0", 403), (&again, "1.3.0", 403), (&basic("adam"), "1.4.0", 200)]
    {
        assert_eq!(hub.publish_to_acme(who, "core", package("core", version, "")).await.status, 201, "{version}");
        let member = hub.api(Method::POST, "/api/orgs/acme/members/rita", who, Some(json!({"role": "read"}))).await;
        assert_eq!(member.status, administrates, "{}", member.text());
        let owner = "/api/repos/acme/packages/core/owners/rita";
        let owner = hub.api(Method::PUT, owner, who, Some(json!({"level": "full"}))).await;
        assert_eq!(owner.status == 204, administrates == 200, "{}", owner.text());
        for order in ["user-list", "key-list"] {
            assert!(
                [401, 403].contains(&hub.api(Method::POST, &format!("/api/admin/{order}"), who, None).await.status)
            );
        }
    }
    // It is the organization's: CI goes on when people go, and who shows them out is told.
    let (organization, user) = ("acme".to_owned(), "wilma".to_owned());
    let said = hub.order(OrganizationCommand::RemoveMember { organization, user }).await.remarks;
    assert!(said[1].contains("are still valid") && said[1].contains("ci, ci-of-ci"), "{said:?}");
    assert_eq!(status(&hub, &key, "/repos/acme/packages/core").await, 200);
    let fields = json!({"name": "no", "permissions": [{"domain": "api"}]});
    assert_eq!(hub.api(Method::POST, ORGANIZATION, &basic("wilma"), Some(fields)).await.status, 404);
}
