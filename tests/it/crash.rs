//! A local repository loses nothing that it has acknowledged, however its daemon or its client ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Package, Versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::trust::{Origin, PublicKey, verify};
use parking_lot::Mutex;
use prost::Message as _;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::support::hub::{Hub, Wishes, eventually};
use super::support::local::{PASSWORD, docs, package};
use super::support::process::{Daemon, Home};

/// Lives of the daemon.
const ROUNDS: u64 = 10;

/// Publishers at a time, each with packages of its own.
const PUBLISHERS: usize = 3;

/// What is known of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    tarball: Bytes,
    docs: Option<Bytes>,
    retired: bool,
}

/// A package's releases.
type Releases = BTreeMap<String, Known>;

/// One package: what was acknowledged, and what may have come of the change that was under way.
#[derive(Clone, Debug, Default)]
struct Memory {
    acknowledged: Releases,
    pending: Option<Releases>,
    made: u32,
}

type Memories = Arc<Mutex<BTreeMap<String, Memory>>>;

/// A request, and what the package is once it was answered.
struct Change {
    method: Method,
    path: String,
    body: Option<(&'static str, Bytes)>,
    after: Releases,
}

fn random(rng: &mut fastrand::Rng, name: &str, memory: &mut Memory) -> Change {
    let base = format!("/api/repos/acme/packages/{name}/releases");
    let mut after = memory.acknowledged.clone();
    let versions: Vec<String> = after.keys().cloned().collect();
    let publish = |version: &str, flavour: u32, after: &mut Releases| {
        let tarball = package(name, version, &format!("% {flavour}"));
        let release = after.entry(version.to_owned());
        let release = release.or_insert_with(|| Known { tarball: Bytes::new(), docs: None, retired: false });
        release.tarball = tarball.clone();
        Some(("application/octet-stream", tarball))
    };
    memory.made += 1;
    let version = rng.choice(&versions).cloned();
    let (method, path, body) = match (rng.u8(0..10), version) {
        (0..4, _) | (_, None) => {
            let version = format!("{}.0.0", memory.made);
            (Method::POST, base, publish(&version, 0, &mut after))
        }
        (4 | 5, Some(version)) => {
            (Method::POST, format!("{base}?replace=true"), publish(&version, memory.made, &mut after))
        }
        (6, Some(version)) => {
            after.remove(&version);
            (Method::DELETE, format!("{base}/{version}"), None)
        }
        (7, Some(version)) => {
            let bytes = docs(&format!("{version} {}", memory.made));
            after.entry(version.clone()).and_modify(|release| release.docs = Some(bytes.clone()));
            (Method::POST, format!("{base}/{version}/docs"), Some(("application/octet-stream", bytes)))
        }
        (8, Some(version)) => {
            after.entry(version.clone()).and_modify(|release| release.docs = None);
            (Method::DELETE, format!("{base}/{version}/docs"), None)
        }
        (_, Some(version)) => {
            let retired = after.get(&version).is_some_and(|release| release.retired);
            after.entry(version.clone()).and_modify(|release| release.retired = !retired);
            let reason = Bytes::from(json!({"reason": "security"}).to_string());
            let body = (!retired).then_some(("application/json", reason));
            let method = if retired { Method::DELETE } else { Method::POST };
            (method, format!("{base}/{version}/retire"), body)
        }
    };
    Change { method, path, body, after }
}

/// Changes its packages one after the other until the daemon is gone.
async fn publisher(url: String, key: String, mut rng: fastrand::Rng, names: Vec<String>, memories: Memories) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        let name = rng.choice(&names).unwrap().clone();
        let change = {
            let mut memories = memories.lock();
            let memory = memories.entry(name.clone()).or_default();
            let change = random(&mut rng, &name, memory);
            memory.pending = Some(change.after.clone());
            change
        };
        let mut request = client.request(change.method.clone(), format!("{url}{}", change.path));
        request = request.header("user-agent", "test").header("authorization", &key);
        if let Some((content_type, body)) = change.body {
            request = request.header("content-type", content_type).body(body);
        }
        // The status is the acknowledgement; the rest of the answer may be cut off.
        let Ok(response) = request.send().await else { return };
        let status = response.status();
        assert!(status.is_success(), "{} {}: {status} {:?}", change.method, change.path, response.text().await);
        let mut memories = memories.lock();
        let memory = memories.get_mut(&name).unwrap();
        memory.acknowledged = memory.pending.take().unwrap();
    }
}

/// What the daemon serves, verified with the key that it hands out.
struct Reader<'a> {
    daemon: &'a Daemon,
    key: &'a str,
    public_key: PublicKey,
}

impl Reader<'_> {
    async fn get(&self, path: &str) -> (u16, Bytes) {
        let request = self.daemon.client.get(format!("{}/repos/acme/{path}", self.daemon.url()));
        let response = request.header("authorization", self.key).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    }

    async fn payload(&self, resource: RegistryResource) -> Option<Bytes> {
        let (status, body) = self.get(&resource.path()).await;
        if status == 404 {
            return None;
        }
        assert_eq!(status, 200, "{resource}");
        let repository: RepoName = "acme".parse().unwrap();
        let envelope = Envelope::open(body, resource.max_payload()).unwrap();
        let origin = Origin { repository: &repository, resource: &resource };
        Some(verify(envelope, std::slice::from_ref(&self.public_key), &origin).unwrap().payload().clone())
    }

    /// What is there of a package, all of it fetched; the bytes are those of the digests in the signed index.
    async fn releases(&self, name: &str) -> Releases {
        let resource = RegistryResource::Package(name.parse().unwrap());
        let Some(payload) = self.payload(resource).await else { return Releases::new() };
        let mut found = Releases::new();
        for release in Package::decode(payload).unwrap().releases {
            let of = format!("{name}-{}", release.version);
            let (status, tarball) = self.get(&format!("tarballs/{of}.tar")).await;
            assert_eq!(status, 200, "{of} is listed");
            assert_eq!(Sha256::of(&tarball).as_bytes(), release.outer_checksum(), "{of}");
            let (status, docs) = self.get(&format!("docs/{of}.tar.gz")).await;
            assert!(matches!(status, 200 | 404), "docs of {of}: {status}");
            let docs = (status == 200).then_some(docs);
            found.insert(release.version, Known { tarball, docs, retired: release.retired.is_some() });
        }
        found
    }
}

async fn assert_nothing_is_lost(story: &str, daemon: &Daemon, key: &str, memories: &Memories) {
    let pem = daemon.get("/repos/acme/public_key").await.text();
    let reader = Reader { daemon, key, public_key: PublicKey::from_pem(&pem).unwrap() };
    let expected = memories.lock().clone();
    let mut there: BTreeMap<String, Releases> = BTreeMap::new();
    for (name, memory) in &expected {
        let found = reader.releases(name).await;
        let whole = found == memory.acknowledged || memory.pending.as_ref() == Some(&found);
        let brief = |releases: &Releases| {
            let brief = releases.iter().map(|(version, known)| {
                (version.clone(), Sha256::of(&known.tarball).to_string(), known.docs.is_some(), known.retired)
            });
            brief.collect::<Vec<_>>()
        };
        assert!(
            whole,
            "{story}: {name} is {:?}, acknowledged was {:?}, under way {:?}",
            brief(&found),
            brief(&memory.acknowledged),
            memory.pending.as_ref().map(brief)
        );
        let memory = Memory { acknowledged: found.clone(), pending: None, made: memory.made };
        memories.lock().insert(name.clone(), memory);
        if !found.is_empty() {
            there.insert(name.clone(), found);
        }
    }
    let names = Names::decode(reader.payload(RegistryResource::Names).await.unwrap()).unwrap();
    let names: Vec<String> = names.packages.into_iter().map(|package| package.name).collect();
    assert_eq!(names, there.keys().cloned().collect::<Vec<_>>(), "{story}: names");
    let versions = Versions::decode(reader.payload(RegistryResource::Versions).await.unwrap()).unwrap();
    for package in versions.packages {
        let releases = &there[&package.name];
        let mut listed = package.versions.clone();
        listed.sort();
        assert_eq!(listed, releases.keys().cloned().collect::<Vec<_>>(), "{story}: versions of {}", package.name);
        let retired: Vec<&String> =
            package.retired.iter().map(|at| &package.versions[usize::try_from(*at).unwrap()]).collect();
        let expected = package.versions.iter().filter(|version| releases[*version].retired);
        assert_eq!(retired, expected.collect::<Vec<_>>(), "{story}: retired of {}", package.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_loses_nothing_that_it_has_acknowledged() {
    let home = Home::new(
        "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nlog: { format: json }\nstorage: { path: data }\n\
         auth: { rate_limits: { per_account: 0 } }\ndefault_repository: acme\nrepositories: { acme: { type: local } }\n",
    );
    let made = home.run_fed(&["user", "add", "root", "--admin"], PASSWORD);
    assert_eq!(made.code, 0, "{made:?}");
    let key =
        home.run(&["key", "create", "ci", "--user", "root", "--permission", "api", "--permission", "repositories"]);
    let key = key.stdout.trim().to_owned();

    let memories = Memories::default();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut rng = fastrand::Rng::with_seed(0x5eed + round);
        let daemon = home.serve();
        let before: u32 = memories.lock().values().map(|memory| memory.made).sum();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let names = (0..2).map(|which| format!("core_{number}_{which}")).collect();
                let (url, key, memories) = (daemon.url(), key.clone(), Arc::clone(&memories));
                tokio::spawn(publisher(url, key, rng.fork(), names, memories))
            })
            .collect();
        // In the middle of something, wherever that is.
        let enough = before + rng.u32(1..25);
        eventually("something was published", async || {
            memories.lock().values().map(|memory| memory.made).sum::<u32>() >= enough
        })
        .await;
        tokio::time::sleep(Duration::from_micros(rng.u64(0..20_000))).await;
        daemon.kill();
        for publisher in publishers {
            publisher.await.unwrap();
        }
        let story = format!("round {round}");
        let verified = home.run(&["verify-store"]);
        assert_eq!(verified.code, 0, "{story}: {verified:?}");
        let daemon = home.serve();
        assert_nothing_is_lost(&story, &daemon, &key, &memories).await;
        assert_eq!(std::fs::read_dir(home.data().join("tmp")).unwrap().count(), 0, "{story}: half-written files");
        acknowledged = memories.lock().values().map(|memory| memory.made).sum();
        daemon.kill();
    }
    assert!(acknowledged > 50, "too little happened: {acknowledged}");

    // The files alone say the same.
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = std::fs::remove_file(home.data().join(file));
    }
    let made = home.run_fed(&["user", "add", "root", "--admin"], PASSWORD);
    assert_eq!(made.code, 0, "{made:?}");
    let key =
        home.run(&["key", "create", "ci", "--user", "root", "--permission", "api", "--permission", "repositories"]);
    let done = home.run(&["reindex", "acme"]);
    assert_eq!(done.code, 0, "{done:?}");
    let daemon = home.serve();
    assert_nothing_is_lost("made anew", &daemon, key.stdout.trim(), &memories).await;
}

/// A client that leaves while its package is taken in has not been told anything; what has begun is done to the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_on_when_its_client_has_gone() {
    let hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    let open = async || hub.metric("hexkeep_connections").await;
    let before = open().await;

    // The tarball, and then the file beside it: when that one is written, the release is in the database.
    hub.disk.hold_renames_after(1);
    let tarball = package("core", "2.0.0", "");
    let head = format!(
        "POST /api/repos/acme/publish HTTP/1.1\r\nhost: hub\r\nuser-agent: test\r\nauthorization: {admin}\r\n\
         content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        tarball.len()
    );
    let mut client = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&tarball).await.unwrap();
    eventually("the daemon is in the middle of it", async || hub.disk.waiting() == 1).await;
    drop(client);
    eventually("the daemon has seen the client leave", async || open().await <= before).await;
    hub.disk.heal();

    eventually("the signed index has the release", async || {
        let answer = hub.get_with("/repos/acme/packages/core", &[("authorization", &admin)]).await;
        let envelope = Envelope::open(answer.body, 1 << 20).unwrap();
        Package::decode(envelope.payload).unwrap().releases.len() == 2
    })
    .await;
    let again = hub.publish_to_acme(&admin, "core", tarball).await;
    assert_eq!(again.status, 200, "the same again is no other release: {}", again.text());
}

/// The files beside the tarballs are written after the database: what is missing when the daemon ends is made up for.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_files_do_not_say_yet_is_written_at_the_next_start() {
    let mut hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    let beside = |hub: &Hub, version: &str| {
        let file = hub.data().join(format!("local/acme/core-{version}.json"));
        let file: Option<serde_json::Value> =
            std::fs::read(file).ok().map(|text| serde_json::from_slice(&text).unwrap());
        file.map(|file| file["removed"] == json!(true))
    };
    let fail = async |hub: &Hub| {
        eventually("the daemon is in the middle of it", async || hub.disk.waiting() == 1).await;
        hub.disk.no_rename.store(true, Ordering::SeqCst);
        hub.disk.let_renames_on();
    };
    // One more after the tarball.
    hub.disk.hold_renames_after(1);
    let published = hub.publish_to_acme(&admin, "core", package("core", "1.0.0", ""));
    let (published, ()) = tokio::join!(published, fail(&hub));
    assert_eq!((published.status, beside(&hub, "1.0.0")), (201, None), "the change stands");
    hub.disk.heal();
    hub.restart().await;
    assert_eq!(beside(&hub, "1.0.0"), Some(false));

    hub.disk.hold_renames_after(0);
    let path = "/api/repos/acme/packages/core/releases/1.0.0";
    let (reverted, ()) = tokio::join!(hub.api(Method::DELETE, path, &admin, None), fail(&hub));
    assert_eq!((reverted.status, beside(&hub, "1.0.0")), (204, Some(false)));
    hub.disk.heal();
    hub.restart().await;
    assert_eq!(beside(&hub, "1.0.0"), Some(true), "or it would come back from the files");
}
