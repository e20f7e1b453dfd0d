//! Works on the cache of a running daemon that end in the middle, because the daemon dies or because whoever has ordered
//! them goes: nothing is there by halves, and the same command goes on. And works that must not be done at one time.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hexkeep::hex::checksum::Sha256;
use hexkeep::operations::Operations as _;
use hexkeep::operations::jobs::{CollectJob, Job};
use hexkeep::operations::locked_releases::LockedReleases;
use hexkeep::tasks::report::Reporter;

use super::support::hub::{Hub, eventually};
use super::support::local::package;
use super::support::pipe::{Pipe, Rest, ends};
use super::support::process::{Daemon, Home, Running};
use super::support::site::{Site, get};
use super::support::upstream::{Gate, Step};

const GONE: &str = "a client disconnected before its job was complete";

/// Packages of one release each.
const NAMES: [&str; 6] = ["a_one", "a_two", "b_one", "b_two", "c_one", "c_two"];

/// A bundle of all releases, and where it is taken in.
struct Crossing {
    site: Site,
    other: Home,
    key: String,
    bundle: PathBuf,
}

impl Crossing {
    async fn begin() -> Self {
        let releases = NAMES.map(|name| (name, "1.0.0"));
        let site = Site::with(&releases, 200 * 1024, "").await;
        site.publish();
        site.lock("mix.lock", &releases);
        let made = site.home.run(&["bundle", "create", "--lock", "mix.lock", "-o", "build.bundle"]);
        assert_eq!(made.code, 0, "{made:?}");
        let key = site.home.run(&["bundle", "key"]).stdout.trim().to_owned();
        site.upstream.switch_off().await;
        let other = site.another(", network: offline");
        let bundle = site.home.path("build.bundle");
        Self { site, other, key, bundle }
    }

    fn import<'a>(&'a self, file: &'a str) -> [&'a str; 5] {
        ["bundle", "import", file, "--trust", &self.key]
    }

    /// The files of an area of the store.
    fn stored(&self, area: &str) -> BTreeSet<String> {
        self.other.stored(&[area])
    }

    /// Feeds what an import that was started reads, up to the end of its `count`th file.
    async fn feed(&self, pipe: Pipe, count: usize) -> Rest {
        let end = ends(&fs::read(&self.bundle).unwrap())[count - 1];
        tokio::task::spawn_blocking(move || pipe.feed(end)).await.unwrap()
    }

    /// A daemon, and an import through it that waits for the rest of its file: some files have come, and no list.
    async fn among_the_files(&self) -> (Daemon, Running, Rest) {
        let begun = self.begun(3).await;
        eventually("files have come", async || self.stored("blobs").len() >= 2).await;
        begun
    }

    /// The same with all files and the first lists.
    async fn among_the_lists(&self) -> (Daemon, Running, Rest) {
        let begun = self.begun(NAMES.len() + 2).await;
        eventually("packages have come", async || !self.stored("registry").is_empty()).await;
        begun
    }

    async fn begun(&self, files: usize) -> (Daemon, Running, Rest) {
        let daemon = self.other.serve();
        let pipe = Pipe::of(&self.other, &self.bundle);
        let importing = self.other.start(&self.import(pipe.path()));
        let rest = self.feed(pipe, files).await;
        (daemon, importing, rest)
    }

    /// The bundle is imported again, and then everything is there.
    async fn go_on(&self, daemon: Daemon) {
        let again = self.other.run(&self.import(self.bundle.to_str().unwrap()));
        assert_eq!(again.code, 0, "{again:?}");
        assert!(!again.stdout.contains(", 0 were already in the store;"), "what was there is passed over: {again:?}");
        self.is_whole(&daemon).await;
        assert_eq!(daemon.stop().0, Some(0));
        let verified = self.other.run(&["verify-store"]);
        assert_eq!(verified.code, 0, "{verified:?}");
        assert_eq!(self.stored("tmp"), BTreeSet::new());
    }

    async fn is_whole(&self, daemon: &Daemon) {
        assert_eq!(get(daemon, "/names").await, (200, self.site.registry.names()));
        for name in NAMES {
            assert_eq!(get(daemon, &format!("/packages/{name}")).await, (200, self.site.registry.package(name)));
            let tarball = self.site.registry.tarballs()[&format!("{name}-1.0.0")].clone();
            assert_eq!(get(daemon, &format!("/tarballs/{name}-1.0.0.tar")).await, (200, tarball));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_daemon_dies_among_the_files_has_listed_nothing() {
    let crossing = Crossing::begin().await;
    let (daemon, importing, _rest) = crossing.among_the_files().await;
    daemon.kill();
    assert_eq!(importing.wait(), 1, "the command says that it came to nothing");
    assert_eq!(crossing.stored("registry"), BTreeSet::new());
    let daemon = crossing.other.serve();
    assert_eq!(get(&daemon, "/packages/a_one").await.0, 502);
    crossing.go_on(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_daemon_dies_among_the_lists_serves_what_it_has_listed() {
    let crossing = Crossing::begin().await;
    let (daemon, importing, _rest) = crossing.among_the_lists().await;
    daemon.kill();
    assert_eq!(importing.wait(), 1);
    let daemon = crossing.other.serve();
    let mut listed = 0;
    for name in NAMES {
        match get(&daemon, &format!("/packages/{name}")).await.0 {
            200 => {
                listed += 1;
                assert_eq!(get(&daemon, &format!("/tarballs/{name}-1.0.0.tar")).await.0, 200, "{name} is listed");
            }
            status => assert_eq!(status, 502, "{name}"),
        }
    }
    assert!((1..NAMES.len()).contains(&listed), "{listed} are listed");
    assert_eq!(get(&daemon, "/names").await.0, 502, "lists of all come last");
    crossing.go_on(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_alone_and_stops_among_the_files_when_its_command_goes() {
    let crossing = Crossing::begin().await;
    let (daemon, importing, rest) = crossing.among_the_files().await;
    let collect = ["gc", "--unused-for", "900d"];
    let file = crossing.bundle.to_str().unwrap();
    let restore = ["restore", "saved.tar"];
    assert_eq!(crossing.other.run(&["backup", "saved.tar"]).code, 0, "a backup reads what no import writes");
    for command in [&crossing.import(file)[..], &collect, &["mirror", "hexpm"]] {
        let refused = crossing.other.run(command);
        let why = "hexkeep: an import of a bundle is running; run the command again when it has ended\n";
        assert_eq!((refused.code, refused.stdout.as_str(), refused.stderr.as_str()), (1, "", why), "{command:?}");
    }
    let refused = crossing.other.run(&restore);
    assert!(refused.code == 1 && refused.stderr.contains("uses the store in"), "{refused:?}");
    importing.kill();
    daemon.await_log(GONE);
    let feeding = tokio::task::spawn_blocking(move || rest.go_on());
    eventually("it has stopped", async || crossing.other.run(&collect).code == 0).await;
    feeding.await.unwrap();
    daemon.await_log("the bundle was not imported");
    assert_eq!(crossing.stored("registry"), BTreeSet::new(), "nothing is listed");
    assert!(crossing.stored("blobs").len() < NAMES.len());
    crossing.go_on(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_what_it_has_begun_to_switch_when_its_command_goes() {
    let crossing = Crossing::begin().await;
    let (daemon, importing, rest) = crossing.among_the_lists().await;
    importing.kill();
    daemon.await_log(GONE);
    tokio::task::spawn_blocking(move || rest.go_on()).await.unwrap();
    daemon.await_log("6 releases, 0 docs and 0 installers of bundle");
    crossing.is_whole(&daemon).await;
    let audit = crossing.other.run(&["audit", "hexpm"]);
    assert!(audit.stdout.contains("bundle.import"), "{audit:?}");
    crossing.go_on(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_by_schedule_waits_until_an_import_has_ended() {
    let mut crossing = Crossing::begin().await;
    crossing.other = crossing.site.another("");
    let (daemon, importing, rest) = crossing.among_the_files().await;
    crossing.site.upstream.switch_on();
    let config = Home::config(&crossing.site.upstream.url(), ", metadata_ttl: 30d, mirror: { schedule: 30d }");
    crossing.other.write("hexkeep.yaml", &config.replace("format: json", "format: json, level: debug"));
    let before = crossing.site.upstream.calls().len();
    let reloaded = crossing.other.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    daemon.await_log("a mirror is due, but another job is running");
    assert_eq!(crossing.site.upstream.calls().len(), before, "nobody is asked meanwhile");
    tokio::task::spawn_blocking(move || rest.go_on()).await.unwrap();
    assert_eq!(importing.wait(), 0);
    eventually("the mirror runs", async || crossing.site.asked_since(before).contains("/versions")).await;
    crossing.is_whole(&daemon).await;
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_told_to_stop_does_not_wait_for_an_import() {
    let crossing = Crossing::begin().await;
    let (daemon, importing, rest) = crossing.among_the_files().await;
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(importing.wait(), 1);
    // Whoever reads a file from a slow disk reads it on until it looks up.
    let feeding = tokio::task::spawn_blocking(move || rest.go_on());
    assert_eq!(daemon.wait().0, Some(0));
    feeding.await.unwrap();
    assert_eq!(crossing.stored("registry"), BTreeSet::new());
    let daemon = crossing.other.serve();
    crossing.go_on(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_stops_when_its_command_goes_and_is_gone_on_with() {
    let releases = [("jason", "1.0.0"), ("plug", "1.0.0"), ("plug", "1.1.0")];
    let site = Site::with(&releases, 100 * 1024, ", metadata_ttl: 30d, assumed_offline: 0s").await;
    site.publish();
    let gate = Gate::new();
    site.upstream.script("/tarballs/plug-1.1.0.tar", [Step::route().drip(16 * 1024, &gate)]);
    gate.release(2);
    let daemon = site.home.serve();
    let mirror = ["mirror", "hexpm", "--connections", "1"];
    let mirroring = site.home.start(&mirror);
    site.upstream.wait_for_calls_to("/tarballs/plug-1.1.0.tar", 1).await;
    for command in [&mirror[..], &["gc", "--keep-latest", "1"], &["bundle", "import", "none.bundle"]] {
        let refused = site.home.run(command);
        let why = "hexkeep: a mirror of `hexpm` is running; run the command again when it has ended\n";
        assert_eq!((refused.code, refused.stderr.as_str()), (1, why), "{command:?}");
    }
    mirroring.kill();
    daemon.await_log(GONE);
    gate.open();
    site.upstream.wait_until_idle().await;
    assert_eq!(site.calls("/tarballs/plug-1.0.0.tar"), 0, "it has stopped");
    let verified = site.home.run(&["mirror", "hexpm", "--verify"]);
    assert_eq!(verified.code, 1, "{verified:?}");
    let resumed = site.home.run(&mirror);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(site.calls("/tarballs/jason-1.0.0.tar"), 1, "it was here");
    assert_eq!(site.home.run(&["mirror", "hexpm", "--verify"]).code, 0);
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(site.home.run(&["verify-store"]).code, 0);
}

/// Files that nothing needs.
fn litter(home: &Home) {
    for at in 0..3000_u32 {
        let digest = Sha256::of(&at.to_be_bytes()).to_string();
        let folder = home.data().join("blobs").join(digest.get(..2).unwrap());
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(digest);
        fs::write(&path, at.to_be_bytes()).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_whose_daemon_or_command_dies_is_gone_on_with() {
    for kill_daemon in [true, false] {
        let story = format!("the daemon: {kill_daemon}");
        let releases = [("jason", "1.0.0"), ("plug", "1.0.0")];
        let site = Site::with(&releases, 1024, "").await;
        site.publish();
        site.lock("mix.lock", &releases);
        assert_eq!(site.home.run(&["prefetch", "--lock", "mix.lock"]).code, 0, "{story}");
        litter(&site.home);
        let count = || {
            let folders = fs::read_dir(site.home.data().join("blobs")).unwrap();
            folders.map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count()).sum::<usize>()
        };
        let daemon = site.home.serve();
        let collecting = site.home.start(&["gc", "--unused-for", "2h"]);
        eventually("something has gone", async || count() < 3002).await;
        let daemon = if kill_daemon {
            daemon.kill();
            site.home.serve()
        } else {
            collecting.kill();
            daemon
        };
        // The first has ended when the second is let in.
        eventually("it is gone on with", async || site.home.run(&["gc", "--unused-for", "2h"]).code == 0).await;
        assert_eq!(count(), 2, "{story}");
        for (package, version) in releases {
            assert_eq!(get(&daemon, &format!("/tarballs/{package}-{version}.tar")).await.0, 200, "{story}");
        }
        assert_eq!(daemon.stop().0, Some(0), "{story}");
        assert_eq!(site.home.run(&["verify-store"]).code, 0, "{story}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_collected_for_somebody_who_has_gone() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200);
    let collect = || {
        Job::Collect(CollectJob {
            releases: LockedReleases::default(),
            keep_latest: Some(0),
            unused_for: None,
            dry_run: false,
        })
    };
    let (report, heard) = Reporter::new();
    drop(heard);
    let core = Arc::clone(hub.app().core());
    let failure = core.work(collect(), report).await.unwrap_err();
    assert!(failure.sentence().contains("the client disconnected"), "{failure}");
    assert_eq!(hub.files().iter().filter(|file| file.starts_with("blobs/")).count(), 1);
    let (report, heard) = Reporter::new();
    core.work(collect(), report).await.unwrap();
    drop(heard);
    assert_eq!(hub.files().iter().filter(|file| file.starts_with("blobs/")).count(), 0);
}

const LOCAL: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nlog: { format: json }\n\
                     storage: { path: data }\ndefault_repository: acme\n\
                     repositories:\n  acme: { type: local, anonymous_read: true }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_daemon_or_command_dies_leaves_no_file() {
    for kill_daemon in [true, false] {
        let story = format!("the daemon: {kill_daemon}");
        let home = Home::new(LOCAL);
        fs::create_dir(home.path("tarballs")).unwrap();
        fs::write(home.path("tarballs/core-1.0.0.tar"), package("core", "1.0.0", "")).unwrap();
        assert_eq!(home.run(&["import", "acme", "tarballs"]).code, 0, "{story}");
        // Not the last of the files, and so large that nobody gets to its end before the kill, however late that comes on a
        // busy machine. It takes no room itself.
        let folder = home.data().join("local/blobs/00");
        fs::create_dir_all(&folder).unwrap();
        let large = folder.join("0".repeat(64));
        fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
        let daemon = home.serve();
        let backup = home.start(&["backup", "out/saved.tar"]);
        let staged = || fs::read_dir(home.path("out/.hexkeep-tmp")).is_ok_and(|mut files| files.next().is_some());
        eventually("it has begun", async || staged()).await;
        let daemon = if kill_daemon {
            daemon.kill();
            assert_eq!(backup.wait(), 1, "{story}");
            home.serve()
        } else {
            backup.kill();
            daemon.await_log(GONE);
            eventually("it has stopped", async || !staged()).await;
            daemon
        };
        assert!(!home.path("out/saved.tar").exists(), "{story}: whole or not at all");
        fs::remove_file(&large).unwrap();
        let again = home.run(&["backup", "out/saved.tar"]);
        assert_eq!(again.code, 0, "{story}: {again:?}");
        assert!(!home.path("out/.hexkeep-tmp").exists(), "{story}: what the dead one left is gone");
        assert_eq!(daemon.stop().0, Some(0), "{story}");
        assert_eq!(fs::read_dir(home.data().join("tmp")).unwrap().count(), 0, "{story}");
        let other = Home::new(LOCAL);
        let saved = home.path("out/saved.tar");
        assert_eq!(other.run(&["restore", saved.to_str().unwrap()]).code, 0, "{story}");
        let daemon = other.serve();
        let answer = get(&daemon, "/tarballs/core-1.0.0.tar").await;
        assert_eq!(answer, (200, package("core", "1.0.0", "")), "{story}");
    }
}
