//! Publishers of one package who come at the same time, rights that end meanwhile, and a disk that is full: what a
//! repository answers, its indexes say and its files hold is always the same story.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Package, Versions};
use hexkeep::operations::commands::{Account, KeyCommand};
use prost::Message as _;
use reqwest::Method;

use super::support::disk::FaultyDisk;
use super::support::hub::{Answer, Hub, Wishes, eventually};
use super::support::local::{docs, package};

/// Who come at once.
const CROWD: usize = 6;

async fn acme() -> (Hub, String) {
    let hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    (hub, admin)
}

async fn read(hub: &Hub, key: &str, path: &str) -> Answer {
    hub.get_with(&format!("/repos/acme/{path}"), &[("authorization", key)]).await
}

async fn payload(hub: &Hub, key: &str, path: &str) -> Option<Bytes> {
    let answer = read(hub, key, path).await;
    (answer.status == 200).then(|| Envelope::open(answer.body, 1 << 20).unwrap().payload)
}

/// The releases of a package: version and checksum, as its index lists them. The other indexes, the API and the tarballs
/// have to say the same.
async fn releases(hub: &Hub, key: &str, name: &str) -> Vec<(String, String)> {
    let index = payload(hub, key, &format!("packages/{name}")).await;
    let index = index.map(|payload| Package::decode(payload).unwrap().releases).unwrap_or_default();
    let versions: Vec<String> = index.iter().map(|release| release.version.clone()).collect();
    let all = Versions::decode(payload(hub, key, "versions").await.unwrap()).unwrap();
    let listed = all.packages.into_iter().find(|package| package.name == name);
    assert_eq!(listed.map(|package| package.versions).unwrap_or_default(), versions, "versions of {name}");
    let all = Names::decode(payload(hub, key, "names").await.unwrap()).unwrap();
    assert_eq!(all.packages.iter().any(|package| package.name == name), !versions.is_empty(), "{name} in names");
    let mut found = Vec::new();
    for release in index {
        let tarball = read(hub, key, &format!("tarballs/{name}-{}.tar", release.version)).await;
        assert_eq!(tarball.status, 200, "{name} {}", release.version);
        let checksum = Sha256::of(&tarball.body);
        assert_eq!(release.outer_checksum(), checksum.as_bytes(), "{name} {}", release.version);
        let path = format!("/api/repos/acme/packages/{name}/releases/{}", release.version);
        let shown = hub.api(Method::GET, &path, key, None).await.json();
        assert_eq!(shown["checksum"], checksum.to_string(), "{name} {}", release.version);
        found.push((release.version, checksum.to_string()));
    }
    found
}

async fn publish(hub: &Hub, key: &str, tarball: Bytes, query: &str) -> Answer {
    let path = format!("/api/repos/acme/packages/core/releases{query}");
    hub.call(Method::POST, &path, key, "application/octet-stream", Some(tarball)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_publish_one_version_one_does() {
    let (mut hub, admin) = acme().await;
    let tarballs: Vec<Bytes> = (0..CROWD).map(|number| package("core", "1.0.0", &format!("% by {number}"))).collect();
    let sent = tarballs.iter().map(|tarball| publish(&hub, &admin, tarball.clone(), "?replace=false"));
    let answers = futures_util::future::join_all(sent).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let won: Vec<usize> = (0..CROWD).filter(|at| statuses[*at] == 201).collect();
    assert_eq!(won.len(), 1, "{statuses:?}");
    assert!(statuses.iter().enumerate().all(|(at, status)| at == won[0] || *status == 422), "{statuses:?}");
    let expected = vec![("1.0.0".to_owned(), Sha256::of(&tarballs[won[0]]).to_string())];
    for _ in ["at once", "after a restart"] {
        assert_eq!(releases(&hub, &admin, "core").await, expected);
        hub.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_change_one_package_at_once_leave_it_whole() {
    let (mut hub, admin) = acme().await;
    assert_eq!(publish(&hub, &admin, package("core", "1.0.0", ""), "").await.status, 201);
    for round in 0..8 {
        let version = format!("2.{round}.0");
        let release = format!("/api/repos/acme/packages/core/releases/{version}");
        let tarball = package("core", &version, "");
        assert_eq!(publish(&hub, &admin, tarball.clone(), "").await.status, 201);
        let octets = "application/octet-stream";
        let (retire, documentation) = (format!("{release}/retire"), format!("{release}/docs"));
        let (replaced, documented, retired, reverted) = tokio::join!(
            publish(&hub, &admin, package("core", &version, "% again"), "?replace=true"),
            hub.call(Method::POST, &documentation, &admin, octets, Some(docs("text"))),
            hub.api(Method::POST, &retire, &admin, Some(serde_json::json!({"reason": "other"}))),
            hub.api(Method::DELETE, &release, &admin, None),
        );
        // Whoever comes behind the revert finds nothing, or what it must not fill with other bytes; what is replaced and
        // reverted before it is shown is not found.
        assert!([200, 404, 422].contains(&replaced.status), "{}: {}", replaced.status, replaced.text());
        assert!([201, 404].contains(&documented.status), "{}: {}", documented.status, documented.text());
        assert!([204, 404].contains(&retired.status), "{}: {}", retired.status, retired.text());
        assert_eq!(reverted.status, 204, "{}", reverted.text());
        let left = releases(&hub, &admin, "core").await;
        assert_eq!(left.iter().map(|(version, _)| version.as_str()).collect::<Vec<_>>(), ["1.0.0"]);
        assert_eq!(read(&hub, &admin, &format!("tarballs/core-{version}.tar")).await.status, 404);
        assert_eq!(read(&hub, &admin, &format!("docs/core-{version}.tar.gz")).await.status, 404);
    }
    hub.restart().await;
    assert_eq!(releases(&hub, &admin, "core").await.len(), 1);
}

/// Whoever was let in is let finish; the next request is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_meanwhile_publishes_no_more() {
    let (hub, admin) = acme().await;
    let wilma = hub.member("wilma", "write").await;
    hub.disk.hold_renames_after(0);
    let owner = Account::User("wilma".to_owned());
    let revoke = KeyCommand::Revoke { owner, name: "test".to_owned() };
    let (published, ()) = tokio::join!(publish(&hub, &wilma, package("core", "1.0.0", ""), ""), async {
        eventually("the publish is under way", async || hub.disk.waiting() == 1).await;
        hub.order(revoke).await;
        let refused = publish(&hub, &wilma, package("core", "2.0.0", ""), "").await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        hub.disk.heal();
    });
    assert_eq!(published.status, 201, "{}", published.text());
    let left = releases(&hub, &admin, "core").await;
    assert_eq!(left.iter().map(|(version, _)| version.as_str()).collect::<Vec<_>>(), ["1.0.0"]);
}

/// Its name, and how it is brought about.
type Fault = (&'static str, fn(&FaultyDisk));

const FAULTS: [Fault; 4] = [
    ("no new files", |disk| disk.no_new_files.store(true, Ordering::SeqCst)),
    ("full after some bytes", |disk| disk.fill_up_after(64)),
    ("no sync", |disk| disk.no_sync.store(true, Ordering::SeqCst)),
    ("no rename", |disk| disk.no_rename.store(true, Ordering::SeqCst)),
];

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_published_and_nothing_is_lost() {
    let (mut hub, admin) = acme().await;
    assert_eq!(publish(&hub, &admin, package("core", "1.0.0", ""), "").await.status, 201);
    let before = releases(&hub, &admin, "core").await;
    let documentation = "/api/repos/acme/packages/core/releases/1.0.0/docs";
    for (number, (fault, strike)) in FAULTS.into_iter().enumerate() {
        let version = format!("2.{number}.0");
        let (tarball, octets) = (package("core", &version, ""), "application/octet-stream");
        strike(&hub.disk);
        let refused = publish(&hub, &admin, tarball.clone(), "").await;
        assert_eq!(refused.status, 500, "{fault}: {}", refused.text());
        assert!(refused.json()["message"].is_string(), "{fault}: {}", refused.text());
        let replaced = publish(&hub, &admin, package("core", "1.0.0", "% again"), "?replace=true").await;
        assert_eq!(replaced.status, 500, "{fault}: {}", replaced.text());
        let documented = hub.call(Method::POST, documentation, &admin, octets, Some(docs("text"))).await;
        assert_eq!(documented.status, 500, "{fault}: {}", documented.text());
        assert_eq!(releases(&hub, &admin, "core").await, before, "{fault}");
        hub.disk.heal();
        hub.restart().await;
        assert_eq!(releases(&hub, &admin, "core").await, before, "{fault}, after a restart");
        assert!(hub.files().iter().all(|file| !file.starts_with("tmp/")), "{fault}: {:?}", hub.files());
        let published = publish(&hub, &admin, tarball, "").await;
        assert_eq!(published.status, 201, "{fault}: {}", published.text());
        let reverted =
            hub.api(Method::DELETE, &format!("/api/repos/acme/packages/core/releases/{version}"), &admin, None).await;
        assert_eq!(reverted.status, 204, "{fault}: {}", reverted.text());
    }
}
