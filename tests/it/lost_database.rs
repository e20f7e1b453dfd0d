//! A database that is lost, or older than the files of a local repository: nothing takes the place of what the files have, until
//! the repository is made anew from them.

use std::fs;

use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Command, ReleaseCommand};
use hexkeep::state::audit::Actor;
use reqwest::Method;
use serde_json::json;

use super::support::hub::{Hub, Wishes};
use super::support::local::package;

const SENTENCE: &str =
    "the files of `acme` contain releases that are missing in the database: run `hexkeep reindex acme` first";

const DATABASE: [&str; 3] = ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"];

async fn hub() -> Hub {
    let acme = "acme: { type: local, mutability: always, publish: users, changes: owners, anonymous_read: true }";
    Hub::with(Wishes { more: vec![acme.to_owned()], ..Wishes::default() }).await
}

async fn publish(hub: &Hub, key: &str, name: &str, version: &str, more: &str) -> u16 {
    hub.publish_to_acme(key, name, package(name, version, more)).await.status
}

async fn assert_refused(hub: &Hub, key: &str, name: &str, version: &str) {
    let answer = hub.publish_to_acme(key, name, package(name, version, "% other")).await;
    assert_eq!((answer.status, answer.text().contains(SENTENCE)), (422, true), "{name} {version}: {}", answer.text());
}

async fn remove(hub: &Hub, name: &str, version: &str) {
    let (repository, package, version) = ("acme".to_owned(), name.to_owned(), Some(version.to_owned()));
    hub.order(ReleaseCommand::Remove { repository, package, version, reason: "malware".to_owned() }).await;
}

async fn refused(hub: &Hub, order: impl Into<Command>) -> String {
    hub.app().core().administer(order.into(), Actor::console()).await.unwrap_err().sentence()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_place_of_what_a_lost_database_knew() {
    let mut hub = hub().await;
    hub.user("root", true).await;
    let alice = hub.user("alice", false).await;
    for (name, version) in [("pa", "1.0.0"), ("pa", "1.1.0"), ("pb", "1.0.0")] {
        assert_eq!(publish(&hub, &alice, name, version, "").await, 201);
    }
    remove(&hub, "pa", "1.1.0").await;
    remove(&hub, "pb", "1.0.0").await;
    let before = hub.get("/repos/acme/tarballs/pa-1.0.0.tar").await.body;

    hub.stop().await;
    for file in DATABASE {
        let _ = fs::remove_file(hub.data().join(file));
    }
    hub.launch().await;
    let [alice, bob] = [hub.user("alice", false).await, hub.user("bob", false).await];
    for (name, version) in [("pa", "1.0.0"), ("pa", "1.1.0"), ("pa", "2.0.0"), ("pb", "1.0.0"), ("pb", "2.0.0")] {
        assert_refused(&hub, &bob, name, version).await;
        assert_refused(&hub, &alice, name, version).await;
    }
    let (repository, package) = ("acme".to_owned(), "pb".to_owned());
    let forget = ReleaseCommand::Forget { repository: repository.clone(), package };
    assert_eq!(refused(&hub, forget).await, SENTENCE);
    assert_eq!(publish(&hub, &bob, "pc", "1.0.0", "").await, 201, "of which no file speaks");

    hub.order(ReleaseCommand::Reindex { repository }).await;
    assert_eq!(hub.get("/repos/acme/tarballs/pa-1.0.0.tar").await.body, before);
    for name in ["pa", "pb"] {
        assert_eq!(publish(&hub, &bob, name, "2.0.0", "").await, 403, "{name} is alice's");
        assert_eq!(publish(&hub, &alice, name, "2.0.0", "").await, 201, "{name}");
    }
    let gone = hub.publish_to_acme(&alice, "pa", self::package("pa", "1.1.0", "")).await;
    assert!(gone.status == 422 && gone.text().contains("malware"), "{}", gone.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_yesterday_does_not_change_the_packages_of_today() {
    let mut hub = hub().await;
    let root = hub.user("root", true).await;
    let [alice, bob] = [hub.user("alice", false).await, hub.user("bob", false).await];
    assert_eq!(publish(&hub, &alice, "pa", "0.9.0", "").await, 201);
    assert_eq!(publish(&hub, &alice, "quiet", "1.0.0", "").await, 201);
    hub.stop().await;
    let yesterday = DATABASE.map(|file| fs::read(hub.data().join(file)).ok());
    hub.launch().await;
    for (name, version) in [("pa", "1.0.0"), ("pa", "1.1.0"), ("pb", "1.0.0")] {
        assert_eq!(publish(&hub, &alice, name, version, "").await, 201);
    }
    remove(&hub, "pa", "1.1.0").await;
    let bytes = hub.get("/repos/acme/tarballs/pa-1.0.0.tar").await.body;
    hub.stop().await;
    for (file, content) in DATABASE.into_iter().zip(yesterday) {
        match content {
            Some(content) => fs::write(hub.data().join(file), content).unwrap(),
            None => drop(fs::remove_file(hub.data().join(file))),
        }
    }
    hub.launch().await;

    for (name, version) in [("pa", "1.0.0"), ("pa", "1.1.0"), ("pb", "1.0.0")] {
        assert_refused(&hub, &bob, "pb", version).await;
        assert_refused(&hub, &alice, name, version).await;
    }
    let core = "/api/repos/acme/packages/pa";
    let full = Some(json!({"level": "full"}));
    let retirement = Some(json!({"reason": "security", "message": "do not use"}));
    for (method, path, body) in [
        (Method::POST, format!("{core}/releases/0.9.0/retire"), retirement),
        (Method::DELETE, format!("{core}/releases/0.9.0"), None),
        (Method::PUT, format!("{core}/owners/bob"), full),
    ] {
        let answer = hub.api(method, &path, &alice, body).await;
        assert_eq!((answer.status, answer.text().contains(SENTENCE)), (422, true), "{path}: {}", answer.text());
    }
    assert_eq!(publish(&hub, &alice, "quiet", "1.1.0", "").await, 201, "of which the database knows all");

    hub.order(ReleaseCommand::Reindex { repository: "acme".to_owned() }).await;
    assert_eq!(hub.get("/repos/acme/tarballs/pa-1.0.0.tar").await.body, bytes);
    assert_eq!(hub.get("/repos/acme/tarballs/pa-1.1.0.tar").await.status, 404);
    assert_eq!(publish(&hub, &bob, "pb", "1.1.0", "").await, 403);
    assert_eq!(publish(&hub, &alice, "pa", "1.2.0", "").await, 201);
    assert_eq!(publish(&hub, &root, "pa", "1.1.0", "").await, 422, "what was removed stays removed");
}

/// A version that may be published again leaves no file behind, in whatever order things end.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_allowed_again_has_no_file() {
    let mut hub = hub().await;
    let alice = hub.user("alice", false).await;
    assert_eq!(publish(&hub, &alice, "pa", "1.0.0", "").await, 201);
    let path = "/api/repos/acme/packages/pa/releases/1.0.0";
    assert_eq!(hub.api(Method::DELETE, path, &alice, None).await.status, 204);
    let sidecar = hub.data().join("local/acme/pa-1.0.0.json");
    let text = fs::read_to_string(&sidecar).unwrap();
    assert!(text.contains("\"removed\": true") && text.contains("alice"), "it names the owners: {text}");
    let (repository, package, version) = ("acme".to_owned(), "pa".to_owned(), "1.0.0".to_owned());
    hub.order(ReleaseCommand::Allow { repository, package, version }).await;
    assert!(!sidecar.exists());
    hub.restart().await;
    assert_eq!(publish(&hub, &alice, "pa", "1.0.0", "% other").await, 201);
}
