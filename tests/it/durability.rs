//! What is cached outlives everything: sudden death, a full disk, a limit, damage.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;

use super::support::disk::FaultyDisk;
use super::support::hub::{Hub, Wishes, eventually};
use super::support::process::{Daemon, Home};
use super::support::registry::TestRegistry;
use super::support::upstream::{Gate, ScriptedUpstream, Step};

const PATH: &str = "/tarballs/jason-1.0.0.tar";
const PACKAGE: &str = "/packages/jason";
const LARGE: usize = 300 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

const DISK_FULL: &str = "bypass; reason=disk_full";

fn blob_of(bytes: &[u8]) -> String {
    let digest = Sha256::of(bytes).to_string();
    format!("blobs/{}/{digest}", digest.get(..2).unwrap())
}

fn damaged(reason: &str) -> String {
    format!("hexkeep_damaged_total{{repository=\"hexpm\",reason=\"{reason}\"}}")
}

// ---- Sudden death ----

/// A daemon that is killed again and again, and what its clients have been given so far.
struct Life {
    upstream: ScriptedUpstream,
    registry: TestRegistry,
    home: Home,
    served: BTreeMap<String, Bytes>,
}

/// When the daemon is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Some of a file has come.
    MidBody,
    /// All of it has been sent.
    LastByte,
    /// A client has all of it.
    Served,
    /// The same for a file that is proven by its inner checksum.
    ServedByInner,
    /// The same for docs.
    ServedDocs,
    /// The upstream has been asked for an index.
    MidRefresh,
    /// A client has the new index.
    Refreshed,
}

impl Life {
    async fn new() -> Self {
        let upstream = ScriptedUpstream::start().await;
        let mut registry = TestRegistry::new("hexpm");
        registry.add("jason", "0.0.0");
        registry.publish(&upstream);
        // Every answer asks the upstream first, so that every request writes something.
        let settings = ", metadata_ttl: 0s, stale_while_revalidate: 0s, docs_ttl: 0s, assumed_offline: 0s";
        let home = Home::remote(&upstream.url(), &registry.public_key(), settings);
        Self { upstream, registry, home, served: BTreeMap::new() }
    }

    async fn serve(&mut self, daemon: &Daemon, path: &str) {
        let answer = daemon.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        self.served.insert(path.to_owned(), answer.body);
    }

    /// Lets something happen and kills the daemon in the middle of it.
    async fn die(&mut self, daemon: Daemon, moment: Moment, round: usize) {
        let version = format!("{round}.0.0");
        self.registry.add_sized("jason", &version, LARGE);
        let path = format!("/tarballs/jason-{version}.tar");
        let gate = Gate::new();
        match moment {
            Moment::MidBody => {
                self.registry.publish(&self.upstream);
                self.upstream.script(&path, [Step::route().drip(16 * 1024, &gate)]);
                gate.release(4);
                let mut response = daemon.open(&path).await.unwrap();
                assert!(response.chunk().await.unwrap().is_some());
                daemon.kill();
            }
            Moment::LastByte => {
                self.registry.publish(&self.upstream);
                self.upstream.script(&path, [Step::route().drip(16 * 1024, &gate)]);
                gate.release(1);
                let _response = daemon.open(&path).await.unwrap();
                gate.open();
                self.upstream.wait_until_idle().await;
                daemon.kill();
            }
            Moment::Served => {
                self.registry.publish(&self.upstream);
                self.serve(&daemon, &path).await;
                daemon.kill();
            }
            Moment::ServedByInner => {
                let releases = &mut self.registry.package_mut("jason").releases;
                releases.last_mut().unwrap().outer_checksum = None;
                self.registry.publish(&self.upstream);
                self.serve(&daemon, &path).await;
                daemon.kill();
            }
            Moment::ServedDocs => {
                self.registry.publish(&self.upstream);
                let docs = format!("/docs/jason-{version}.tar.gz");
                self.upstream.serve(&docs, version.repeat(1000));
                self.serve(&daemon, &docs).await;
                daemon.kill();
            }
            Moment::MidRefresh => {
                self.registry.publish(&self.upstream);
                let calls = self.upstream.calls_to(PACKAGE).len();
                self.upstream.script(PACKAGE, [Step::route().gated(&gate)]);
                {
                    let mut asked = Box::pin(daemon.open(PACKAGE));
                    tokio::select! {
                        answer = &mut asked => panic!("nobody has answered the daemon: {answer:?}"),
                        () = self.upstream.wait_for_calls_to(PACKAGE, calls + 1) => {}
                    }
                }
                daemon.kill();
                gate.open();
            }
            Moment::Refreshed => {
                self.registry.publish(&self.upstream);
                self.serve(&daemon, PACKAGE).await;
                self.serve(&daemon, "/names").await;
                self.serve(&daemon, "/versions").await;
                daemon.kill();
            }
        }
    }

    /// What has to hold after any death. Returns the next daemon.
    async fn rise(&mut self, story: &str) -> Daemon {
        let verified = self.home.run(&["verify-store"]);
        assert_eq!(verified.code, 0, "{story}: {verified:?}");
        let daemon = self.home.serve();
        let left = fs::read_dir(self.home.data().join("tmp")).unwrap().count();
        // The daemon may still be renaming its own `addresses.json`; nothing is under way else.
        assert_eq!(left, 0, "{story}: half-written files");
        self.upstream.switch_off().await;
        for (path, bytes) in &self.served {
            let answer = daemon.get(path).await;
            assert_eq!(answer.status, 200, "{story}: {path}: {}", answer.text());
            // An index may be newer than the one that was served last, never another.
            let newest = path == PACKAGE && answer.body == self.registry.package("jason");
            assert!(newest || answer.body == bytes, "{story}: {path} has other bytes");
        }
        self.upstream.switch_on();
        // After a failure the upstream is left alone for a second.
        eventually("the upstream is asked again", async || !daemon.get(PACKAGE).await.cache().starts_with("stale"))
            .await;
        self.serve(&daemon, PACKAGE).await;
        daemon
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_loses_nothing_that_it_has_served() {
    let mut life = Life::new().await;
    let mut daemon = life.home.serve();
    let moments = [
        Moment::Served,
        Moment::MidBody,
        Moment::ServedByInner,
        Moment::Refreshed,
        Moment::LastByte,
        Moment::ServedDocs,
        Moment::MidRefresh,
    ];
    for (round, moment) in moments.iter().chain(&moments).enumerate() {
        life.die(daemon, *moment, round + 1).await;
        daemon = life.rise(&format!("round {round}, {moment:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_store_refuses() {
    let life = Life::new().await;
    let daemon = life.home.serve();
    let second = life.home.run(&["serve"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("in use by another hexkeep"), "{second:?}");
    assert_eq!(daemon.get(PACKAGE).await.status, 200, "and the first goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_format_is_left_alone() {
    let life = Life::new().await;
    life.home.serve().kill();
    let format = life.home.data().join("FORMAT");
    for foreign in ["hexkeep-store 999\n", "", "hexkeep-store 1"] {
        fs::write(&format, foreign).unwrap();
        for command in ["serve", "verify-store"] {
            let refused = life.home.run(&[command]);
            assert_eq!(refused.code, 1, "{command} {foreign:?}: {refused:?}");
            assert!(refused.stderr.contains("which this version does not support"), "{refused:?}");
        }
        assert_eq!(fs::read_to_string(&format).unwrap(), foreign);
    }
}

// ---- A full or failing disk ----

type Fault = (&'static str, fn(&FaultyDisk));

const FAULTS: [Fault; 5] = [
    ("full", |disk| disk.fill_up_after(0)),
    ("nearly full", |disk| disk.fill_up_after(100)),
    ("no new files", |disk| disk.no_new_files.store(true, Ordering::SeqCst)),
    ("no sync", |disk| disk.no_sync.store(true, Ordering::SeqCst)),
    ("no rename", |disk| disk.no_rename.store(true, Ordering::SeqCst)),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_cache_and_not_its_answers() {
    for (fault, strike) in FAULTS {
        let mut hub = Hub::start().await;
        let small = hub.registry.add("jason", "1.0.0");
        let large = hub.registry.add_sized("jason", "2.0.0", LARGE);
        hub.publish();
        const SECOND: &str = "/tarballs/jason-2.0.0.tar";
        const DOCS: &str = "/docs/jason-1.0.0.tar.gz";
        hub.upstream.serve(DOCS, "docs".repeat(100));
        strike(&hub.disk);
        for asked in 1..=2 {
            let package = hub.get(PACKAGE).await;
            assert_eq!((package.status, &package.body), (200, &hub.registry.package("jason")), "{fault}");
            // The second answer comes from memory.
            assert_eq!(package.cache(), if asked == 1 { DISK_FULL } else { "hit" }, "{fault}");
            let first = hub.get(PATH).await;
            assert_eq!((first.status, first.cache(), &first.body), (200, DISK_FULL, &small), "{fault}");
            let second = hub.get(SECOND).await;
            assert_eq!((second.status, &second.body), (200, &large), "{fault}");
            let docs = hub.get(DOCS).await;
            assert_eq!((docs.status, docs.cache(), docs.text()), (200, DISK_FULL, "docs".repeat(100)), "{fault}");
            assert_eq!(hub.upstream.calls_to(SECOND).len(), asked);
        }
        eventually("temporary files go", async || hub.files().is_empty()).await;
        assert!(hub.metric("hexkeep_bypassed_total{repository=\"hexpm\",reason=\"disk_full\"}").await >= 4.0);

        hub.disk.heal();
        for (path, bytes) in [(PATH, &small), (SECOND, &large)] {
            assert_eq!(hub.get(path).await.cache(), "miss", "{fault}");
            let again = hub.get(path).await;
            assert_eq!((again.cache(), &again.body), ("hit", bytes), "{fault}");
        }
        assert_eq!(hub.get(DOCS).await.cache(), "miss");
        // Past its freshness the index is stored, too, though nothing about it has changed.
        hub.clock.advance(Duration::from_secs(3600));
        assert_eq!(hub.get(PACKAGE).await.status, 200);
        hub.upstream.switch_off().await;
        hub.restart().await;
        let package = hub.get(PACKAGE).await;
        assert_eq!((package.status, package.body), (200, hub.registry.package("jason")), "{fault}");
        assert_eq!(hub.get(SECOND).await.body, large, "{fault}");
        assert_eq!(hub.get(DOCS).await.text(), "docs".repeat(100), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_in_the_middle_of_a_file_spoils_nothing() {
    for room in [0, 1, 100_000, 250_000] {
        let mut hub = Hub::start().await;
        let tarball = hub.registry.add_sized("jason", "1.0.0", LARGE);
        hub.publish();
        hub.get(PACKAGE).await;
        let gate = Gate::new();
        hub.upstream.script(PATH, [Step::route().drip(50_000, &gate)]);
        hub.disk.fill_up_after(room);
        gate.release(2);
        let (first, second, ()) = tokio::join!(hub.get(PATH), hub.get(PATH), async {
            hub.upstream.wait_for_calls_to(PATH, 1).await;
            gate.open();
        });
        for answer in [first, second] {
            assert_eq!((answer.status, &answer.body), (200, &tarball), "{room}");
        }
        eventually("nothing is left", async || !hub.files().iter().any(|f| !f.starts_with("registry/"))).await;
        hub.disk.heal();
        hub.get(PATH).await;
        assert_eq!(hub.get(PATH).await.cache(), "hit", "{room}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_leaves_the_older_copy_whole() {
    for (fault, strike) in FAULTS {
        let mut hub = Hub::start().await;
        hub.registry.add("jason", "1.0.0");
        hub.publish();
        let before = hub.get(PACKAGE).await.body;
        hub.registry.add("jason", "2.0.0");
        hub.publish();
        strike(&hub.disk);
        hub.clock.advance(Duration::from_secs(3600));
        let newer = hub.get(PACKAGE).await;
        assert_eq!((newer.cache(), &newer.body), (DISK_FULL, &hub.registry.package("jason")), "{fault}");
        assert_eq!(fs::read(hub.data().join("registry/hexpm/packages/jason")).unwrap(), before, "{fault}");
        hub.disk.heal();
        hub.upstream.switch_off().await;
        hub.restart().await;
        let after = hub.get(PACKAGE).await;
        assert_eq!((after.status, after.body), (200, before), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_starts_on_a_full_disk_and_serves_what_it_has() {
    for (fault, strike) in FAULTS {
        let mut hub = Hub::start().await;
        let tarball = hub.registry.add("jason", "1.0.0");
        hub.publish();
        hub.get(PATH).await;
        hub.upstream.switch_off().await;
        hub.stop().await;
        strike(&hub.disk);
        hub.launch().await;
        assert_eq!(hub.get(PACKAGE).await.body, hub.registry.package("jason"), "{fault}");
        assert_eq!(hub.get(PATH).await.body, tarball, "{fault}");
    }
}

// ---- The limit ----

fn bytes_stored(hub: &Hub) -> u64 {
    // What is evicted or renamed while we look is not there any more.
    hub.files().iter().filter_map(|file| fs::metadata(hub.data().join(file)).ok()).map(|meta| meta.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_stays_below_its_limit_and_forgets_what_was_used_least_recently() {
    // Once with files that are served from memory, once with files that are not.
    for (memory, size) in [("", 60 * 1024), (", memory_limit: 1MiB", 90 * 1024)] {
        let storage = format!("cache_limit: 1MiB{memory}");
        let mut hub = Hub::with(Wishes { storage, ..Wishes::default() }).await;
        let tarballs: Vec<Bytes> =
            (0..30).map(|minor| hub.registry.add_sized("jason", &format!("1.{minor}.0"), size + minor)).collect();
        hub.publish();
        for (minor, tarball) in tarballs.iter().enumerate() {
            let answer = hub.get(&format!("/tarballs/jason-1.{minor}.0.tar")).await;
            assert_eq!((answer.status, &answer.body), (200, tarball));
            assert!(bytes_stored(&hub) <= MEBIBYTE as u64, "{} bytes after {minor}", bytes_stored(&hub));
            hub.clock.advance(Duration::from_secs(61));
            assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.cache(), "hit", "in use all the time");
            hub.clock.advance(Duration::from_secs(61));
        }
        let files = hub.files();
        let there = |minor: usize| files.contains(&blob_of(&tarballs[minor]));
        assert!(there(0), "used all the time");
        assert!(there(29) && there(28), "the newest");
        assert!((1..10).all(|minor| !there(minor)), "used once, long ago: {files:?}");
        assert!(files.contains(&"registry/hexpm/packages/jason".to_owned()), "indexes go last");
        assert!(hub.metric("hexkeep_evicted_total").await >= 10.0);
        let counted = hub.metric("hexkeep_cache_bytes").await;
        assert_eq!(counted, bytes_stored(&hub) as f64, "the account is right");

        hub.restart().await;
        eventually("all is counted", async || hub.metric("hexkeep_cache_bytes").await == counted).await;
        assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.cache(), "hit");
        let gone = hub.get("/tarballs/jason-1.1.0.tar").await;
        assert_eq!((gone.cache(), &gone.body), ("miss", &tarballs[1]), "fetched again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_limit_is_kept_from_the_start_on() {
    let mut hub = Hub::start().await;
    for minor in 0..20 {
        hub.registry.add_sized("jason", &format!("1.{minor}.0"), 100 * 1024);
    }
    hub.publish();
    for minor in 0..20 {
        hub.get(&format!("/tarballs/jason-1.{minor}.0.tar")).await;
    }
    assert!(bytes_stored(&hub) > 2 * MEBIBYTE as u64);
    hub.stop().await;
    hub.configure(&Wishes { storage: "cache_limit: 1MiB".to_owned(), ..Wishes::default() });
    hub.launch().await;
    eventually("the rest is evicted", async || bytes_stored(&hub) <= MEBIBYTE as u64).await;
    assert!(hub.metric("hexkeep_evicted_total").await >= 10.0);
    assert_eq!(hub.get(PACKAGE).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fills_at_once_stay_below_the_limit_together() {
    let mut hub = Hub::with(Wishes { storage: "cache_limit: 1MiB".to_owned(), ..Wishes::default() }).await;
    let tarballs: Vec<Bytes> =
        (0..16).map(|minor| hub.registry.add_sized("jason", &format!("1.{minor}.0"), 200 * 1024 + minor)).collect();
    hub.publish();
    hub.get(PACKAGE).await;
    let gate = Gate::new();
    for minor in 0..16 {
        // Half of them do not say how long they are.
        let step = Step::route().drip(50_000, &gate);
        let step = if minor % 2 == 0 { step } else { step.chunked() };
        hub.upstream.script(&format!("/tarballs/jason-1.{minor}.0.tar"), [step]);
    }
    let requests = (0..16).map(|minor| {
        let request = hub.client.get(format!("{}/tarballs/jason-1.{minor}.0.tar", hub.url()));
        tokio::spawn(async move { request.send().await.unwrap().bytes().await.unwrap() })
    });
    let requests: Vec<_> = requests.collect();
    hub.upstream.wait_for_calls(17).await;
    gate.open();
    for (request, tarball) in requests.into_iter().zip(&tarballs) {
        assert!(request.await.unwrap() == tarball);
    }
    eventually("fills have ended", async || hub.metric("hexkeep_fills").await == 0.0).await;
    assert!(bytes_stored(&hub) <= MEBIBYTE as u64, "{}", bytes_stored(&hub));
    assert!(hub.files().iter().any(|file| file.starts_with("blobs/")), "some of them fit");
}

// ---- Damage ----

/// A way to spoil a file; the second path is a sound file of the same kind.
type Damage = (&'static str, fn(&Path, &Path));

const DAMAGES: [Damage; 6] = [
    ("a flipped bit", |file, _| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    }),
    ("truncated", |file, _| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("empty", |file, _| fs::write(file, []).unwrap()),
    ("longer", |file, _| {
        let mut bytes = fs::read(file).unwrap();
        bytes.push(0);
        fs::write(file, bytes).unwrap();
    }),
    ("another's", |file, other| assert_ne!(fs::copy(other, file).unwrap(), 0)),
    ("a folder", |file, _| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    }),
];

/// A daemon that has served two packages, each with a tarball.
async fn furnished(wishes: Wishes) -> (Hub, Bytes, Bytes) {
    let mut hub = Hub::with(wishes).await;
    let jason = hub.registry.add_sized("jason", "1.0.0", LARGE);
    let other = hub.registry.add_sized("poison", "1.0.0", LARGE + 1);
    hub.publish();
    for path in [PACKAGE, "/packages/poison", "/names", "/versions", PATH, "/tarballs/poison-1.0.0.tar"] {
        assert_eq!(hub.get(path).await.status, 200);
    }
    (hub, jason, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_dropped_counted_and_fetched_again() {
    for (how, spoil) in DAMAGES {
        for online in [true, false] {
            let (mut hub, tarball, _) = furnished(Wishes::default()).await;
            hub.stop().await;
            let slots = hub.data().join("registry/hexpm/packages");
            spoil(&slots.join("jason"), &slots.join("poison"));
            if !online {
                hub.upstream.switch_off().await;
            }
            hub.launch().await;
            let package = hub.get(PACKAGE).await;
            if online {
                assert_eq!((package.status, package.body), (200, hub.registry.package("jason")), "{how}");
                assert_eq!(hub.get(PATH).await.body, tarball, "{how}");
            } else {
                assert_eq!(package.status, 502, "{how}: {}", package.text());
            }
            if how != "a folder" {
                assert_eq!(hub.metric(&damaged("registry")).await, 1.0, "{how}");
            }
            assert_eq!(hub.get("/packages/poison").await.body, hub.registry.package("poison"), "{how}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_tarball_is_dropped_counted_and_fetched_again() {
    for (how, spoil) in DAMAGES {
        for online in [true, false] {
            let (mut hub, tarball, other) = furnished(Wishes::default()).await;
            hub.stop().await;
            spoil(&hub.data().join(blob_of(&tarball)), &hub.data().join(blob_of(&other)));
            if !online {
                hub.upstream.switch_off().await;
            }
            hub.launch().await;
            let answer = hub.get(PATH).await;
            if online {
                assert_eq!((answer.status, &answer.body), (200, &tarball), "{how}");
                assert_ne!(answer.cache(), "hit", "{how}");
            } else {
                assert_eq!(answer.status, 502, "{how}: {}", answer.text());
            }
            if how != "a folder" {
                assert_eq!(hub.metric(&damaged("blob")).await, 1.0, "{how}");
                assert_eq!(online, hub.get(PATH).await.cache() == "hit", "{how}");
            }
            assert_eq!(hub.get("/tarballs/poison-1.0.0.tar").await.body, other, "{how}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_that_is_damaged_under_a_running_daemon_is_noticed() {
    for (how, spoil) in DAMAGES {
        // Little memory, so that files are served from disk.
        let storage = "memory_limit: 1MiB".to_owned();
        let (hub, tarball, other) = furnished(Wishes { storage, ..Wishes::default() }).await;
        assert_eq!(hub.get(PATH).await.cache(), "hit");
        let file = hub.data().join(blob_of(&tarball));
        let stamp = |meta: fs::Metadata| (meta.mtime(), meta.mtime_nsec(), meta.len());
        let before = stamp(fs::metadata(&file).unwrap());
        // Not within the same tick of the file system's clock: nobody could tell.
        let source = fs::File::open(&file).unwrap();
        spoil(&file, &hub.data().join(blob_of(&other)));
        while file.is_file() && stamp(fs::metadata(&file).unwrap()) == before {
            fs::write(&file, fs::read(&file).unwrap()).unwrap();
        }
        drop(source);
        let answer = hub.get(PATH).await;
        assert_eq!((answer.status, &answer.body), (200, &tarball), "{how}");
        assert_ne!(answer.cache(), "hit", "{how}");
        if how != "a folder" {
            assert_eq!(hub.metric(&damaged("blob")).await, 1.0, "{how}");
            assert_eq!(hub.get(PATH).await.cache(), "hit", "{how}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_sealed_resource_is_signed_again() {
    let wishes = || Wishes { repository: "signature: own".to_owned(), ..Wishes::default() };
    let (mut hub, _, _) = furnished(wishes()).await;
    let sound = hub.get(PACKAGE).await.body;
    assert_ne!(sound, hub.registry.package("jason"), "our own signature");
    hub.upstream.switch_off().await;
    for (how, spoil) in DAMAGES {
        hub.stop().await;
        let slots = hub.data().join("sealed/hexpm/packages");
        spoil(&slots.join("jason"), &slots.join("poison"));
        hub.launch().await;
        let answer = hub.get(PACKAGE).await;
        assert_eq!((answer.status, &answer.body), (200, &sound), "{how}: the signature is deterministic");
        if how != "a folder" {
            assert_eq!(fs::read(slots.join("jason")).unwrap(), sound, "{how}: and kept again");
        }
    }
}

/// Everything below a folder, files only.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_folder(&path, &target) } else { assert!(fs::copy(&path, target).is_ok()) }
    }
}

/// The upstream is off, the index of the cache is gone or useless: all that was served is served.
async fn assert_all_is_there(hub: &Hub, story: &str, tarballs: [&Bytes; 2]) {
    let expected = [
        (PACKAGE, hub.registry.package("jason")),
        ("/packages/poison", hub.registry.package("poison")),
        ("/names", hub.registry.names()),
        ("/versions", hub.registry.versions()),
        (PATH, tarballs[0].clone()),
        ("/tarballs/poison-1.0.0.tar", tarballs[1].clone()),
    ];
    for (path, bytes) in expected {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, 200, "{story}: {path}: {}", answer.text());
        assert!(answer.body == bytes, "{story}: {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_cache_index_loses_nothing() {
    let (mut hub, jason, poison) = furnished(Wishes::default()).await;
    hub.upstream.switch_off().await;
    for (how, lose) in [
        ("removed", (|index: &Path| fs::remove_dir_all(index).unwrap()) as fn(&Path)),
        ("emptied", |index| {
            fs::remove_dir_all(index).unwrap();
            fs::create_dir(index).unwrap();
        }),
        ("a file", |index| {
            fs::remove_dir_all(index).unwrap();
            fs::write(index, "not a folder").unwrap();
        }),
    ] {
        hub.stop().await;
        lose(&hub.data().join("index"));
        hub.launch().await;
        assert_all_is_there(&hub, how, [&jason, &poison]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_cache_index_loses_nothing() {
    let (mut hub, jason, poison) = furnished(Wishes::default()).await;
    hub.upstream.switch_off().await;
    hub.stop().await;
    let index = hub.data().join("index");
    let sound = tempfile::tempdir().unwrap();
    copy_folder(&index, sound.path());
    let files: Vec<PathBuf> =
        files_below(&index).into_iter().map(|file| file.strip_prefix(&index).unwrap().to_owned()).collect();
    assert!(!files.is_empty());
    for name in files {
        let bytes = fs::read(sound.path().join(&name)).unwrap();
        let length = bytes.len();
        // Where the records are, as well as at the edges.
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
        let mut spoilt: Vec<(String, Vec<u8>)> = Vec::new();
        for part in 0..8 {
            let at = used * part / 7;
            let mut flipped = bytes.clone();
            if let Some(byte) = flipped.get_mut(at) {
                *byte ^= 0xff;
            }
            spoilt.push((format!("flipped at {at}"), flipped));
        }
        for keep in [0, 1, used / 2, length / 2] {
            spoilt.push((format!("cut to {keep}"), bytes[..keep.min(length)].to_vec()));
        }
        spoilt.push(("zeroed".to_owned(), vec![0; length]));
        spoilt.push(("ones".to_owned(), vec![0xff; length]));
        for (how, bytes) in spoilt {
            fs::remove_dir_all(&index).unwrap();
            copy_folder(sound.path(), &index);
            fs::write(index.join(&name), bytes).unwrap();
            let story = format!("{}, {how}", name.display());
            hub.launch().await;
            assert_all_is_there(&hub, &story, [&jason, &poison]).await;
            hub.stop().await;
        }
    }
}
