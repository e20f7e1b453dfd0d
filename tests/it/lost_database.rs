//! A database that is lost, or older than the files of a local repository: nothing takes the place of what the files have, until
//! the repository is made anew from them.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Command, ReleaseCommand};
use hexkeep::state::audit::Actor;
use reqwest::Method;
use serde_json::json;

use super::support::hub::{Hub, Wishes};
use super::support::local::{PASSWORD, docs, package};
use super::support::process::{Daemon, Home, said};

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

const NAMES: [&str; 6] = ["docs", "owned", "removed", "replaced", "retired", "reverted"];

/// A daemon in its own process, with a release of each name, and its user.
struct Published {
    home: Home,
    key: String,
    client: reqwest::Client,
}

impl Published {
    async fn start() -> (Self, Daemon) {
        let home = Home::new(
            "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
             storage: { path: data }\n\
             default_repository: acme\n\
             repositories:\n  acme: { type: local, mutability: always, publish: users, changes: owners, anonymous_read: true }\n",
        );
        for (name, flags) in [("root", &["--admin"][..]), ("bob", &[])] {
            let made = home.run_fed(&[&["user", "add", name], flags].concat(), PASSWORD);
            assert_eq!(made.code, 0, "{made:?}");
        }
        let key = ["key", "create", "ci", "--user", "root", "--permission", "api", "--permission", "repositories"];
        let key = home.run(&key).stdout.trim().to_owned();
        let published = Self { home, key, client: reqwest::Client::new() };
        let daemon = published.home.serve();
        for name in NAMES {
            assert_eq!(published.upload(&daemon, "publish", package(name, "1.0.0", "")).await, 201, "{name}");
        }
        (published, daemon)
    }

    async fn send(
        &self,
        daemon: &Daemon,
        method: Method,
        path: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
    ) -> u16 {
        let request = self.client.request(method, format!("{}/api/repos/acme/{path}", daemon.url())).body(body);
        let request = request.header("authorization", &self.key).header("user-agent", "test");
        request.header("content-type", kind).send().await.unwrap().status().as_u16()
    }

    async fn upload(&self, daemon: &Daemon, path: &str, body: Bytes) -> u16 {
        self.send(daemon, Method::POST, path, "application/octet-stream", body).await
    }

    /// Changes each of the packages.
    async fn change(&self, daemon: &Daemon) {
        let json = async |method, path, body: &str| {
            self.send(daemon, method, &format!("packages/{path}"), "application/json", body.to_owned()).await
        };
        let retirement = "{\"reason\": \"security\", \"message\": \"do not use\"}";
        assert_eq!(json(Method::POST, "retired/releases/1.0.0/retire", retirement).await, 204);
        assert_eq!(json(Method::DELETE, "reverted/releases/1.0.0", "").await, 204);
        assert_eq!(json(Method::PUT, "owned/owners/bob", "{\"level\": \"full\", \"transfer\": true}").await, 204);
        let replaced = self.upload(daemon, "publish?replace=true", package("replaced", "1.0.0", "% other")).await;
        assert_eq!(replaced, 200);
        assert_eq!(self.upload(daemon, "packages/docs/releases/1.0.0/docs", docs("of it")).await, 201);
        let removed = self.home.run(&["release", "remove", "acme", "removed", "1.0.0", "--reason", "malware"]);
        assert_eq!(removed.code, 0, "{removed:?}");
    }

    /// What clients see of each package.
    async fn seen(&self, daemon: &Daemon, names: &[&str]) -> Vec<(u16, Bytes)> {
        let mut seen = Vec::new();
        for name in names {
            for path in [
                format!("api/repos/acme/packages/{name}/owners"),
                format!("api/repos/acme/packages/{name}/releases/1.0.0"),
                format!("repos/acme/tarballs/{name}-1.0.0.tar"),
                format!("repos/acme/docs/{name}-1.0.0.tar.gz"),
            ] {
                let request = self.client.get(format!("{}/{path}", daemon.url()));
                let request = request.header("authorization", &self.key).header("user-agent", "test");
                let answer = request.header("accept", "application/json").send().await.unwrap();
                let (status, body) = (answer.status().as_u16(), answer.bytes().await.unwrap());
                // The address differs after a restart.
                let text = std::str::from_utf8(&body).map(|text| text.replace(&daemon.url(), "").into());
                seen.push((status, text.unwrap_or(body)));
            }
        }
        seen
    }

    fn sidecar(&self, name: &str) -> PathBuf {
        self.home.data().join(format!("local/acme/{name}-1.0.0.json"))
    }

    fn sidecars(&self) -> Vec<String> {
        NAMES.iter().map(|name| fs::read_to_string(self.sidecar(name)).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_newer_than_the_database_changes_nothing() {
    let (published, daemon) = Published::start().await;
    let stale = published.sidecars();
    published.change(&daemon).await;
    let (seen, sound) = (published.seen(&daemon, &NAMES).await, published.sidecars());
    for (name, text) in NAMES.iter().zip(&stale) {
        fs::write(published.sidecar(name), text).unwrap();
    }
    let kept: String = NAMES.iter().map(|name| format!("  {name} 1.0.0\n")).collect();
    let line = "restored 0 releases from their files, 0 unchanged; 0 removed versions cannot be published again\n\
                kept 6 releases as they are in the database, because their files are not newer:\n";
    assert_eq!(published.home.run(&["reindex", "acme"]), said(0, &format!("{line}{kept}"), ""));
    assert_eq!(published.seen(&daemon, &NAMES).await, seen);
    assert_eq!(published.sidecars(), sound, "they are written again");
    let line = "restored 0 releases from their files, 4 unchanged; 2 removed versions cannot be published again\n";
    assert_eq!(published.home.run(&["reindex", "acme"]), said(0, line, ""));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_newer_than_the_database_counts_but_not_for_owners() {
    let (published, daemon) = Published::start().await;
    let owned = published.seen(&daemon, &["owned"]).await;
    daemon.stop();
    let yesterday = DATABASE.map(|file| fs::read(published.home.data().join(file)).ok());
    let daemon = published.home.serve();
    published.change(&daemon).await;
    let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != "owned").collect();
    let seen = published.seen(&daemon, &others).await;
    daemon.stop();
    for (file, content) in DATABASE.into_iter().zip(yesterday) {
        match content {
            Some(content) => fs::write(published.home.data().join(file), content).unwrap(),
            None => drop(fs::remove_file(published.home.data().join(file))),
        }
    }
    let daemon = published.home.serve();
    let line = "restored 3 releases from their files, 0 unchanged; 2 removed versions cannot be published again\n\
                kept 1 release as they are in the database, because their files are not newer:\n  owned 1.0.0\n";
    assert_eq!(published.home.run(&["reindex", "acme"]), said(0, line, ""));
    assert_eq!(published.seen(&daemon, &others).await, seen);
    assert_eq!(published.seen(&daemon, &["owned"]).await, owned);
    daemon.stop();
}
