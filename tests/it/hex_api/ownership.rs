//! Who may publish a new name, and who may change what is there: members of an organization, or as on hex.pm.

use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Account, GrantCommand};
use reqwest::Method;
use serde_json::json;

use crate::support::hub::{Hub, Wishes};
use crate::support::local::package;

fn wishes(settings: &str) -> Wishes {
    Wishes { more: vec![format!("acme: {{ type: local{settings} }}")], ..Wishes::default() }
}

async fn acme(settings: &str) -> Hub {
    Hub::with(wishes(settings)).await
}

async fn publish(hub: &Hub, key: &str, name: &str, version: &str) -> u16 {
    hub.publish_to_acme(key, name, package(name, version, "")).await.status
}

async fn owners(hub: &Hub, key: &str, name: &str) -> Vec<(String, String)> {
    let path = format!("/api/repos/acme/packages/{name}/owners");
    let list = hub.api(Method::GET, &path, key, None).await.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|one| (text(&one["username"]), text(&one["level"]))).collect()
}

/// The statuses of all changes of a package: a version, docs, retirements, owners, a revert.
async fn changes(hub: &Hub, key: &str, name: &str, version: &str) -> Vec<u16> {
    let at = format!("/api/repos/acme/packages/{name}");
    let mut statuses = vec![publish(hub, key, name, version).await];
    let docs = Some(crate::support::local::docs("x"));
    let path = format!("{at}/releases/1.0.0/docs");
    statuses.push(hub.call(Method::POST, &path, key, "application/octet-stream", docs).await.status);
    let body = || Some(json!({"reason": "other", "message": "old"}));
    for (method, path, body) in [
        (Method::DELETE, format!("{at}/releases/1.0.0/docs"), None),
        (Method::POST, format!("{at}/releases/1.0.0/retire"), body()),
        (Method::DELETE, format!("{at}/releases/1.0.0/retire"), None),
        (Method::POST, format!("{at}/retire"), body()),
        (Method::PUT, format!("{at}/owners/zoe"), Some(json!({"level": "maintainer"}))),
        (Method::DELETE, format!("{at}/owners/zoe"), None),
        (Method::DELETE, format!("{at}/releases/{version}"), None),
    ] {
        statuses.push(hub.api(method, &path, key, body).await.status);
    }
    statuses
}

const DONE: [u16; 9] = [201, 201, 204, 204, 204, 204, 204, 204, 204];

/// A maintainer changes releases and no owners.
const MAINTAINED: [u16; 9] = [201, 201, 204, 204, 204, 204, 403, 403, 204];

#[tokio::test(flavor = "multi_thread")]
async fn as_on_hex_pm_anybody_publishes_a_new_name_and_owners_alone_change_it() {
    let hub = acme(", anonymous_read: true, publish: users, changes: owners").await;
    let root = hub.user("root", true).await;
    let (alice, bob) = (hub.user("alice", false).await, hub.user("bob", false).await);
    hub.user("zoe", false).await;
    let (admin, writer) = (hub.member("anna", "admin").await, hub.member("wanda", "write").await);
    assert_eq!(publish(&hub, "", "web", "1.0.0").await, 401);
    assert_eq!(publish(&hub, &alice, "web", "1.0.0").await, 201);
    assert_eq!(owners(&hub, &alice, "web").await, [("alice".to_owned(), "full".to_owned())]);
    for key in [&bob, &writer, &admin] {
        assert_eq!(changes(&hub, key, "web", "1.1.0").await, [403; 9], "whatever the role");
    }
    assert_eq!(changes(&hub, &alice, "web", "1.1.0").await, DONE);
    assert_eq!(changes(&hub, &root, "web", "1.2.0").await, DONE, "an administrator of the server");

    let owner = "/api/repos/acme/packages/web/owners/bob";
    assert_eq!(hub.api(Method::PUT, owner, &alice, Some(json!({"level": "maintainer"}))).await.status, 204);
    assert_eq!(changes(&hub, &bob, "web", "1.3.0").await, MAINTAINED);
    assert_eq!(hub.api(Method::DELETE, owner, &alice, None).await.status, 204);
    for key in [&alice, &root] {
        let last = hub.api(Method::DELETE, "/api/repos/acme/packages/web/owners/alice", key, None).await;
        assert_eq!(
            (last.status, &last.json()["errors"]["username"]),
            (422, &json!("cannot remove last owner of package"))
        );
    }
    // Given to somebody else, it is theirs.
    assert_eq!(hub.api(Method::PUT, owner, &alice, Some(json!({"level": "full", "transfer": true}))).await.status, 204);
    assert_eq!(changes(&hub, &alice, "web", "1.4.0").await, [403; 9]);
    assert_eq!(changes(&hub, &bob, "web", "1.4.0").await, DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_the_organization_is_changed_by_its_members() {
    let hub = acme(", anonymous_read: true, publish: users, changes: owners").await;
    let alice = hub.user("alice", false).await;
    hub.user("zoe", false).await;
    let (admin, writer, reader) =
        (hub.member("anna", "admin").await, hub.member("wanda", "write").await, hub.member("rita", "read").await);
    let key = hub.key(Account::Organization("acme".to_owned()), &["api"]).await;
    assert_eq!(publish(&hub, &key, "core", "1.0.0").await, 201);
    assert_eq!(owners(&hub, &alice, "core").await, [("acme".to_owned(), "full".to_owned())]);
    assert_eq!(changes(&hub, &alice, "core", "1.1.0").await, [403; 9]);
    assert_eq!(changes(&hub, &reader, "core", "1.1.0").await, [403; 9]);
    assert_eq!(changes(&hub, &writer, "core", "1.1.0").await, MAINTAINED);
    // A package that is transferred to the organization is its members' too.
    assert_eq!(publish(&hub, &alice, "web", "1.0.0").await, 201);
    assert_eq!(changes(&hub, &admin, "web", "1.1.0").await, [403; 9]);
    let to =
        hub.api(Method::PUT, "/api/repos/acme/packages/web/owners/acme", &alice, Some(json!({"transfer": true}))).await;
    assert_eq!(to.status, 204, "{}", to.text());
    assert_eq!(changes(&hub, &alice, "web", "1.1.0").await, [403; 9]);
    assert_eq!(publish(&hub, &admin, "web", "1.1.0").await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_stays_unreadable() {
    let hub = acme(", publish: users, changes: owners").await;
    let root = hub.user("root", true).await;
    let (stranger, reader) = (hub.user("sam", false).await, hub.member("rita", "read").await);
    assert_eq!(publish(&hub, &root, "secret", "1.0.0").await, 201);
    for (name, version) in [("mine", "1.0.0"), ("secret", "1.1.0")] {
        assert_eq!(publish(&hub, &stranger, name, version).await, 404, "{name}: he may not even read it");
    }
    let read = async |name: &str| {
        let headers = [("authorization", stranger.as_str())];
        hub.get_with(&format!("/repos/acme/packages/{name}"), &headers).await.status
    };
    assert_eq!((read("secret").await, read("mine").await), (403, 403));
    assert_eq!(publish(&hub, &reader, "mine", "1.0.0").await, 201, "who may read it publishes");
    assert_eq!(publish(&hub, &reader, "secret", "1.1.0").await, 403);
    let (owner, repository, pattern) = (Account::User("sam".to_owned()), "acme".to_owned(), "sam_*".to_owned());
    hub.order(GrantCommand::Add { owner, repository, pattern }).await;
    assert_eq!(publish(&hub, &stranger, "sam_web", "1.0.0").await, 201);
    assert_eq!(publish(&hub, &stranger, "web", "1.0.0").await, 404, "beyond what he may read");
    assert_eq!(read("secret").await, 404, "of what is beyond that nothing is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_two_can_be_chosen_alone_and_a_reload_takes_it() {
    let hub = acme(", anonymous_read: true").await;
    let alice = hub.user("alice", false).await;
    hub.user("zoe", false).await;
    let (admin, writer) = (hub.member("anna", "admin").await, hub.member("wanda", "write").await);
    assert_eq!(publish(&hub, &alice, "web", "1.0.0").await, 403, "members, where nothing is said");
    assert_eq!(publish(&hub, &writer, "core", "1.0.0").await, 201);
    assert_eq!(changes(&hub, &admin, "core", "1.1.0").await, DONE);

    hub.configure(&wishes(", anonymous_read: true, publish: users"));
    hub.app().core().reload().await.unwrap();
    assert_eq!(publish(&hub, &alice, "web", "1.0.0").await, 201);
    assert_eq!(changes(&hub, &admin, "web", "1.1.0").await, DONE, "members may change it");

    hub.configure(&wishes(", anonymous_read: true, changes: owners"));
    hub.app().core().reload().await.unwrap();
    assert_eq!(publish(&hub, &alice, "other", "1.0.0").await, 403);
    assert_eq!(changes(&hub, &admin, "web", "1.2.0").await, [403; 9]);
    assert_eq!(changes(&hub, &alice, "web", "1.2.0").await, DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_combination_that_makes_no_sense_is_told() {
    for (settings, told) in [
        (", publish: users, changes: owners, anonymous_read: true", None),
        (
            ", publish: users, allow_new_packages: false",
            Some("`users` has no effect, because `allow_new_packages: false` forbids new packages"),
        ),
        (", publish: users", Some("`acme` is private, so only users with read access can publish to it")),
    ] {
        let hub = acme(settings).await;
        let (code, out, err) = hub.command(&["check-config"]).await;
        assert_eq!(code, 0, "{out}{err}");
        let said = format!("{out}{err}");
        match told {
            Some(words) => assert!(said.contains("repositories.acme.publish") && said.contains(words), "{said}"),
            None => assert!(!said.contains("repositories.acme.publish"), "{said}"),
        }
    }
}
