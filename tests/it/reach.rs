//! What one account can learn of, or do to, what is another's: nothing.

use std::time::Duration;

use hexkeep::operations::commands::{Account, OrganizationCommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::hub::{Hub, Wishes};
use super::support::local::{PASSWORD, package, requires};

/// A private repository, another that shares nobody with it, and an open one of the organization `crew`.
async fn stage() -> (Hub, String) {
    let more = [
        "acme: { type: local }",
        "iso: { type: local }",
        "open: { type: local, anonymous_read: true, organization: crew }",
    ];
    let more = more.map(str::to_owned).to_vec();
    let auth = "auth: { sign_up: true }".to_owned();
    let hub = Hub::with(Wishes { more, top: auth, ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    for name in ["crew", "iso"] {
        hub.order(OrganizationCommand::Add { name: name.to_owned(), admin: None }).await;
    }
    (hub, root)
}

async fn publish(hub: &Hub, key: &str, repository: &str, name: &str, version: &str, more: &str) -> (u16, Value) {
    let tarball = package(name, version, more);
    let answer = hub.publish_to(repository, key, name, tarball).await;
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_name_of_an_organization_and_with_it_its_packages() {
    let (hub, root) = stage().await;
    let sign_up = async |name: &str| {
        let fields = json!({"username": name, "password": PASSWORD, "email": format!("{name}@x.example")});
        hub.api(Method::POST, "/api/users", "", Some(fields)).await.status
    };
    assert_eq!(sign_up("crew").await, 422);
    assert_eq!(sign_up("stranger").await, 201);
    let (code, _, said) = hub.command(&["org", "add", "stranger"]).await;
    assert!(code != 0 && said.contains("already in use"), "{said}");
    // What is transferred to the organization of a repository is the organization's.
    assert_eq!(publish(&hub, &root, "open", "tool", "1.0.0", "").await.0, 201);
    let transfer = Some(json!({"level": "full", "transfer": true}));
    let path = "/api/repos/open/packages/tool/owners/crew";
    assert_eq!(hub.api(Method::PUT, path, &root, transfer).await.status, 204);
    let owners = hub.api(Method::GET, "/api/repos/open/packages/tool/owners", &root, None).await.json();
    assert_eq!(owners[0]["username"], "crew", "{owners}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_tells_nothing_of_what_its_publisher_may_not_read() {
    let (hub, root) = stage().await;
    assert_eq!(publish(&hub, &root, "iso", "secret", "1.0.0", "").await.0, 201);
    let wilma = hub.member("wilma", "write").await;
    let (there, said) = publish(&hub, &wilma, "acme", "probe_a", "1.0.0", &requires("secret", "iso")).await;
    let (absent, also) = publish(&hub, &wilma, "acme", "probe_b", "1.0.0", &requires("nothing", "iso")).await;
    assert_eq!((there, absent), (422, 422));
    let text = |value: &Value| value["errors"]["requirements"].to_string().replace("secret", "nothing");
    assert_eq!(text(&said), text(&also));
    // Who may read both may depend on it; and whoever may not read the one that depends does not hear its name.
    assert_eq!(publish(&hub, &root, "acme", "user", "1.0.0", &requires("secret", "iso")).await.0, 201);
    let key = hub.user("olga", false).await;
    let (organization, user) = ("iso".to_owned(), "olga".to_owned());
    hub.order(OrganizationCommand::Member { organization, user, role: "admin".to_owned() }).await;
    let revert = "/api/repos/iso/packages/secret/releases/1.0.0";
    let refused = hub.api(Method::DELETE, revert, &key, None).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("may not read") && !refused.text().contains("acme"), "{}", refused.text());
    let refused = hub.api(Method::DELETE, revert, &root, None).await;
    assert!(refused.text().contains("acme/user"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn passers_by_see_packages_and_not_people() {
    let (hub, root) = stage().await;
    let fields = json!({"username": "paula", "password": PASSWORD, "email": "paula@x.example"});
    assert_eq!(hub.api(Method::POST, "/api/users", "", Some(fields)).await.status, 201);
    assert_eq!(publish(&hub, &root, "open", "tool", "1.0.0", "").await.0, 201);
    let owner = "/api/repos/open/packages/tool/owners/paula";
    assert_eq!(hub.api(Method::PUT, owner, &root, Some(json!({"level": "full"}))).await.status, 204);
    let owners = hub.api(Method::GET, "/api/repos/open/packages/tool/owners", "", None).await;
    assert!(owners.text().contains("paula") && !owners.text().contains("@x.example"), "{}", owners.text());
    let log = "/api/repos/open/packages/tool/audit-logs";
    let (theirs, ours) =
        (hub.api(Method::GET, log, "", None).await.json(), hub.api(Method::GET, log, &root, None).await);
    assert!(ours.text().contains("127.0.0.1") && ours.text().contains("key:"), "{}", ours.text());
    for line in theirs.as_array().unwrap() {
        assert_eq!((&line["ip"], &line["credential"], &line["user_agent"]), (&json!(null), &json!(null), &json!(null)));
        assert_eq!(line["actor"], "user:root");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_makes_one_that_outlives_it() {
    let (hub, _) = stage().await;
    let day = Duration::from_secs(24 * 3600);
    let make = async |key: &str, fields: Value| hub.api(Method::POST, "/api/keys", key, Some(fields)).await;
    let owner = Account::User("root".to_owned());
    let long = hub.key(owner, &["api"]).await;
    let tomorrow = "2030-01-01T00:00:00Z";
    let short = make(&long, json!({"name": "short", "revoke_at": tomorrow})).await.json();
    let child = make(short["secret"].as_str().unwrap(), json!({"name": "child"})).await.json();
    let secret = child["secret"].as_str().unwrap();
    assert_eq!(hub.api(Method::GET, "/api/users/me", secret, None).await.status, 200, "{child}");
    hub.clock.advance(day * 365 * 30);
    assert_eq!(hub.api(Method::GET, "/api/users/me", secret, None).await.status, 401);
    assert_eq!(hub.api(Method::GET, "/api/users/me", &long, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_another_type_is_refused_and_not_passed_over() {
    let (hub, root) = stage().await;
    assert_eq!(publish(&hub, &root, "open", "tool", "1.0.0", "").await.0, 201);
    for (method, path, fields) in [
        (Method::POST, "/api/keys", json!({"name": "x", "revoke_at": 123})),
        (Method::POST, "/api/keys", json!({"name": "x", "permissions": [{"domain": "package", "resource": 5}]})),
        (Method::PUT, "/api/repos/open/packages/tool/owners/root", json!({"level": 5})),
        (
            Method::POST,
            "/api/repos/open/packages/tool/releases/1.0.0/retire",
            json!({"reason": "security", "message": 5}),
        ),
    ] {
        let answer = hub.api(method, path, &root, Some(fields.clone())).await;
        assert_eq!(answer.status, 422, "{path} {fields}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_act_in_a_terminal_or_a_project_is_not_published() {
    let (hub, root) = stage().await;
    for (more, field) in [
        ("{<<\"app\">>,<<\"x\\\", path: \\\"/tmp\">>}.", "app"),
        ("{<<\"description\">>,<<27,\"[2J\">>}.", "description"),
    ] {
        let (status, said) = publish(&hub, &root, "acme", "core", "1.0.0", more).await;
        assert_eq!(status, 422, "{more}: {said}");
        assert!(said["errors"][field].is_string(), "{said}");
    }
    assert_eq!(publish(&hub, &root, "acme", "core", "1.0.0", "").await.0, 201);
    let fields = json!({"reason": "security", "message": "look \u{1b}[2J"});
    let path = "/api/repos/acme/packages/core/releases/1.0.0/retire";
    assert_eq!(hub.api(Method::POST, path, &root, Some(fields)).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_users_of_a_package_asks_where_it_lives() {
    let (hub, root) = stage().await;
    assert_eq!(publish(&hub, &root, "iso", "dep", "1.0.0", "").await.0, 201);
    assert_eq!(publish(&hub, &root, "acme", "user", "1.0.0", &requires("dep", "iso")).await.0, 201);
    let found = async |query: &str| {
        let path = format!("/api/repos/acme/packages?search={query}");
        hub.api(Method::GET, &path, &root, None).await.json().as_array().unwrap().len()
    };
    assert_eq!(found("depends:dep").await, 1);
    assert_eq!(found("depends:iso:dep").await, 1);
    assert_eq!(found("depends:acme:dep").await, 0);
    assert_eq!(found("depends:zzz:dep").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_log_in_at_the_address_of_a_repository_that_has_a_host() {
    let more = vec!["acme: { type: local, hosts: [hex.test] }".to_owned()];
    let hub = Hub::with(Wishes { more, ..Wishes::default() }).await;
    for path in ["/oauth/device", "/ui/second-factor"] {
        assert_eq!(hub.get_with(path, &[("host", "hex.test")]).await.status, 200, "{path}");
        assert_eq!(hub.get_with(&format!("/repos/acme{path}"), &[]).await.status, 404, "{path}");
    }
}
