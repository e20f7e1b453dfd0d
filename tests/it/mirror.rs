//! `hexkeep mirror`: a whole registry is here, list by list, and stays so through whatever happens on the way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::support::hub::{Hub, eventually};
use super::support::process::{Daemon, Said};
use super::support::site::{Site, get};
use super::support::upstream::{Gate, Step};

/// A day of 2026, in seconds.
const DAY: i64 = 1_767_225_600;

/// What is listed at the beginning: (package, version).
const RELEASES: [(&str, &str); 6] = [
    ("jason", "1.0.0"),
    ("jason", "1.4.4"),
    ("phoenix", "1.8.0-rc.1"),
    ("plug", "1.0.0"),
    ("plug", "1.16.1"),
    ("plug", "1.17.0"),
];

async fn site(more: &str) -> Site {
    // Nothing is refreshed because somebody asks for it.
    let mut site = Site::with(&RELEASES, 100 * 1024, &format!(", metadata_ttl: 30d, assumed_offline: 0s{more}")).await;
    for (package, _) in RELEASES {
        site.registry.updated(package, DAY);
    }
    site.publish();
    site
}

fn mirror(site: &Site, more: &[&str]) -> Said {
    site.run(&["mirror", "hexpm"], more)
}

/// Everything that is listed is here, and nothing is asked for.
async fn is_complete(site: &Site, daemon: &Daemon, story: &str) {
    let calls = site.upstream.calls().len();
    assert_eq!(get(daemon, "/names").await, (200, site.registry.names()), "{story}");
    assert_eq!(get(daemon, "/versions").await, (200, site.registry.versions()), "{story}");
    for (name, tarball) in site.registry.tarballs() {
        let package = name.split_once('-').unwrap().0;
        assert_eq!(get(daemon, &format!("/packages/{package}")).await, (200, site.registry.package(package)));
        assert_eq!(get(daemon, &format!("/tarballs/{name}.tar")).await, (200, tarball), "{story}: {name}");
    }
    assert_eq!(site.upstream.calls().len(), calls, "{story}: nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_complete_and_asks_for_nothing_twice() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let mut site = site("").await;
        let daemon = running.then(|| site.home.serve());
        let first = mirror(&site, &[]);
        let begins = "3 packages, 0 of them unchanged; 0 tarballs were already mirrored, 6 were downloaded (";
        assert!(first.code == 0 && first.stdout.starts_with(begins), "{story}: {first:?}");
        assert_eq!(site.upstream.calls().len(), 2 + 3 + 6, "{story}: each once");

        let before = site.upstream.calls().len();
        let second = mirror(&site, &[]);
        let unchanged = "3 packages, 3 of them unchanged; 0 tarballs were already mirrored, 0 were downloaded (0 bytes); 0 packages \
                         are no longer listed; 0 failed\n";
        assert_eq!((second.code, second.stdout.as_str()), (0, unchanged), "{story}");
        let asked = site.upstream.calls().split_off(before);
        assert_eq!(site.asked_since(before), ["/names", "/versions"].map(String::from).into(), "{story}");
        assert!(asked.iter().all(|call| call.header("if-none-match").is_some()), "{story}: {asked:?}");

        site.registry.add_sized("jason", "2.0.0", 100 * 1024);
        site.registry.updated("jason", DAY + 1);
        site.publish();
        let before = site.upstream.calls().len();
        let third = mirror(&site, &[]);
        assert!(
            third.stdout.starts_with("3 packages, 2 of them unchanged; 2 tarballs were already mirrored, 1 was"),
            "{third:?}"
        );
        let changed = ["/names", "/versions", "/packages/jason", "/tarballs/jason-2.0.0.tar"].map(String::from);
        assert_eq!(site.asked_since(before), changed.into(), "{story}");

        site.upstream.switch_off().await;
        let daemon = daemon.unwrap_or_else(|| site.home.serve());
        is_complete(&site, &daemon, &story).await;
        let verified = mirror(&site, &["--verify"]);
        assert_eq!(verified.stdout, "3 packages and 7 tarballs are valid; 0 files are missing or damaged\n", "{story}");
        assert_eq!((verified.code, verified.stderr.as_str()), (0, ""), "{story}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_switched_when_what_it_lists_is_here() {
    let mut site = site("").await;
    let daemon = site.home.serve();
    assert_eq!(mirror(&site, &[]).code, 0);
    let old = (site.registry.package("jason"), site.registry.names(), site.registry.versions());
    // In memory, too.
    for path in ["/packages/jason", "/names", "/versions"] {
        assert_eq!(get(&daemon, path).await.0, 200);
    }
    site.registry.add_sized("jason", "2.0.0", 100 * 1024);
    site.registry.updated("jason", DAY + 1);
    site.publish();
    let gate = Gate::new();
    site.upstream.script("/tarballs/jason-2.0.0.tar", [Step::route().gated(&gate)]);
    let site = Arc::new(site);
    let mirroring = tokio::task::spawn_blocking({
        let site = Arc::clone(&site);
        move || mirror(&site, &[])
    });
    site.upstream.wait_for_calls_to("/tarballs/jason-2.0.0.tar", 1).await;
    assert_eq!(get(&daemon, "/packages/jason").await, (200, old.0), "its tarball is not here");
    assert_eq!(get(&daemon, "/names").await, (200, old.1));
    assert_eq!(get(&daemon, "/versions").await, (200, old.2));
    let second = mirror(&site, &[]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("a mirror of `hexpm` is running"), "{second:?}");
    gate.open();
    let said = mirroring.await.unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    is_complete(&site, &daemon, "after the switch").await;
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_was_killed_goes_on_where_it_stopped() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let site = Arc::new(site("").await);
        let gate = Gate::new();
        site.upstream.script("/tarballs/plug-1.0.0.tar", [Step::route().drip(16 * 1024, &gate)]);
        gate.release(2);
        if running {
            let daemon = site.home.serve();
            let mirroring = tokio::task::spawn_blocking({
                let site = Arc::clone(&site);
                move || mirror(&site, &["--connections", "1"])
            });
            site.upstream.wait_for_calls_to("/tarballs/plug-1.0.0.tar", 1).await;
            daemon.kill();
            let said = mirroring.await.unwrap();
            assert_eq!(said.code, 1, "{story}: {said:?}");
        } else {
            let command = site.home.start(&["mirror", "hexpm", "--connections", "1"]);
            site.upstream.wait_for_calls_to("/tarballs/plug-1.0.0.tar", 1).await;
            command.kill();
        }
        gate.open();
        let incomplete = mirror(&site, &["--verify"]);
        assert_eq!(incomplete.code, 1, "{story}: {incomplete:?}");
        let before = site.upstream.calls().len();
        let resumed = mirror(&site, &[]);
        assert_eq!(resumed.code, 0, "{story}: {resumed:?}");
        let asked = site.asked_since(before);
        assert!(!asked.contains("/tarballs/jason-1.4.4.tar"), "{story}: it was here: {asked:?}");
        assert!(asked.contains("/tarballs/plug-1.0.0.tar"), "{story}: it was half here: {asked:?}");
        assert_eq!(mirror(&site, &["--verify"]).code, 0, "{story}");
        assert_eq!(site.home.run(&["verify-store"]).code, 0, "{story}");
        let daemon = site.home.serve();
        is_complete(&site, &daemon, &story).await;
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_said_and_the_lists_stay_until_it_is_here() {
    let mut site = site("").await;
    assert_eq!(mirror(&site, &[]).code, 0);
    let old = site.registry.versions();
    for version in ["2.0.0", "3.0.0"] {
        site.registry.add_sized("jason", version, 100 * 1024);
    }
    site.registry.updated("jason", DAY + 1);
    site.registry.add_sized("plug", "2.0.0", 1024);
    site.registry.updated("plug", DAY + 1);
    site.publish();
    site.upstream.serve("/tarballs/jason-2.0.0.tar", vec![7; 100 * 1024]);
    site.upstream.forget("/tarballs/plug-2.0.0.tar");
    let said = mirror(&site, &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stderr.contains("hexkeep: tarballs/jason-2.0.0.tar: the upstream's answer failed verification"),
        "{said:?}"
    );
    assert!(said.stderr.contains("missing from the upstream: tarballs/plug-2.0.0.tar\n"), "{said:?}");
    assert!(said.stderr.contains("`names` and `versions` were not updated"), "{said:?}");
    let daemon = site.home.serve();
    assert_eq!(get(&daemon, "/versions").await.1, old);
    assert_eq!(get(&daemon, "/packages/plug").await.1, site.registry.package("plug"), "what is here is listed");
    assert_eq!(get(&daemon, "/tarballs/jason-3.0.0.tar").await.0, 200, "brought beside what failed");
    site.publish();
    // A failed verification is remembered for a minute, by the daemon that saw it: this is another one.
    let said = mirror(&site, &[]);
    assert_eq!(said.code, 0, "{said:?}");
    is_complete(&site, &daemon, "in the end").await;
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_damaged_is_found_and_brought() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let site = site("").await;
        assert_eq!(mirror(&site, &[]).code, 0, "{story}");
        fs::remove_file(site.blob("jason", "1.0.0")).unwrap();
        fs::write(site.blob("plug", "1.17.0"), "not a tarball").unwrap();
        fs::write(site.home.data().join("registry/hexpm/packages/phoenix"), "not an index").unwrap();
        let daemon = running.then(|| site.home.serve());
        let calls = site.upstream.calls().len();
        let found = mirror(&site, &["--verify"]);
        assert_eq!((found.code, site.upstream.calls().len()), (1, calls), "{story}: nobody is asked");
        assert_eq!(found.stdout, "2 packages and 3 tarballs are valid; 3 files are missing or damaged\n", "{story}");
        for sentence in [
            "tarballs/jason-1.0.0.tar is missing\n",
            "tarballs/plug-1.17.0.tar is damaged\n",
            "packages/phoenix is missing or damaged\n",
        ] {
            assert!(found.stderr.contains(sentence), "{story}: {sentence}: {}", found.stderr);
        }
        let repaired = mirror(&site, &["--verify", "--repair"]);
        assert_eq!(repaired.code, 0, "{story}: {repaired:?}");
        let ends = "3 packages and 6 tarballs are valid; 0 files are missing or damaged\n";
        assert!(repaired.stdout.ends_with(ends), "{story}: {repaired:?}");
        assert_eq!(site.calls("/tarballs/jason-1.4.4.tar"), 1, "{story}: what is sound is not fetched");
        let daemon = daemon.unwrap_or_else(|| site.home.serve());
        is_complete(&site, &daemon, &story).await;
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_registry() {
    let mut site = site("").await;
    site.registry.updated("plug", DAY + 10);
    for (version, at) in [("1.0.0", DAY - 10), ("1.16.1", DAY + 5), ("1.17.0", DAY + 10)] {
        site.registry.published("plug", version, u64::try_from(at).unwrap());
    }
    site.publish();
    site.upstream.serve("/docs/plug-1.17.0.tar.gz", &b"docs"[..]);
    let dry = mirror(&site, &["--dry-run"]);
    assert_eq!(dry.stdout, "3 packages, 0 of them unchanged; 0 tarballs are already mirrored, 6 would be downloaded\n");
    assert_eq!(site.calls("/tarballs/jason-1.0.0.tar"), 0);
    let since = mirror(&site, &["--since", "2026-01-01T00:00:01Z", "--dry-run"]);
    assert_eq!(
        since.stdout,
        "1 package, 0 of them unchanged; 0 tarballs are already mirrored, 2 would be downloaded\n"
    );
    let part = mirror(&site, &["--packages", "p*", "--packages", "none", "--latest", "1", "--docs"]);
    assert!(
        part.stdout.starts_with("2 packages, 0 of them unchanged; 0 tarballs were already mirrored, 2 were downloaded"),
        "{part:?}"
    );
    assert!(part.stdout.contains(", 1 with documentation;"), "{part:?}");
    for (path, calls) in
        [("/tarballs/plug-1.17.0.tar", 1), ("/tarballs/plug-1.16.1.tar", 0), ("/tarballs/jason-1.4.4.tar", 0)]
    {
        assert_eq!(site.calls(path), calls, "{path}");
    }
    assert_eq!(mirror(&site, &["--packages", "p*", "--latest", "1", "--verify"]).code, 0);
    assert_eq!(mirror(&site, &["--verify"]).code, 1, "the whole is not here");
    // Who wants more gets it, although nothing has changed.
    let more = mirror(&site, &["--packages", "plug"]);
    assert!(
        more.stdout.starts_with("1 package, 0 of them unchanged; 1 tarball was already mirrored, 2 were downloaded"),
        "{more:?}"
    );
    for (args, sentence) in [
        (&["--packages", "p["][..], "`p[` is not a valid pattern"),
        (&["--since", "yesterday"], "write a date such as 2026-01-31"),
        (&["--latest", "0"], "--latest"),
        (&["--repair"], "--verify"),
    ] {
        let refused = mirror(&site, args);
        assert!(refused.code != 0 && refused.stderr.contains(sentence), "{args:?}: {refused:?}");
    }
    let unknown = site.home.run(&["mirror", "nobody"]);
    assert_eq!(unknown.stderr, "hexkeep: there is no repository `nobody`; the configured repositories are: hexpm\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_removes_goes_as_the_rule_says() {
    for (rule, index, tarball) in [("hide", 404, 404), ("keep", 200, 200), ("purge", 404, 404)] {
        let mut site = site(&format!(", on_upstream_delete: {rule}")).await;
        assert_eq!(mirror(&site, &[]).code, 0);
        let blob = site.blob("plug", "1.0.0");
        site.registry.remove("plug");
        site.upstream.forget("/packages/plug");
        site.publish();
        for version in ["1.0.0", "1.16.1", "1.17.0"] {
            site.upstream.forget(&format!("/tarballs/plug-{version}.tar"));
        }
        let said = mirror(&site, &[]);
        assert!(said.stdout.contains("1 package is no longer listed; 0 failed"), "{rule}: {said:?}");
        assert_eq!(blob.exists(), rule != "purge", "{rule}");
        site.upstream.switch_off().await;
        let daemon = site.home.serve();
        // Hidden, it would be asked for again, and nobody is there.
        let (index, tarball) = if index == 404 { (502, 502) } else { (index, tarball) };
        assert_eq!(get(&daemon, "/packages/plug").await.0, index, "{rule}");
        assert_eq!(get(&daemon, "/tarballs/plug-1.0.0.tar").await.0, tarball, "{rule}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_for_any_web_server() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let mut site = site("").await;
        site.upstream.serve("/docs/jason-1.4.4.tar.gz", &b"docs"[..]);
        let daemon = running.then(|| site.home.serve());
        let first = mirror(&site, &["--docs", "--to", "tree"]);
        assert!(first.code == 0, "{story}: {first:?}");
        assert!(first.stdout.ends_with("the folder has 3 packages; 13 files were written, 0 removed\n"), "{first:?}");
        let read = |name: &str| fs::read(site.home.path("tree").join(name)).ok();
        assert_eq!(read("public_key").unwrap(), site.registry.public_key().into_bytes(), "{story}");
        assert_eq!(read("names").unwrap(), site.registry.names(), "{story}");
        assert_eq!(read("versions").unwrap(), site.registry.versions(), "{story}");
        assert_eq!(read("docs/jason-1.4.4.tar.gz").unwrap(), b"docs", "{story}");
        for (name, tarball) in site.registry.tarballs() {
            let package = name.split_once('-').unwrap().0;
            assert_eq!(read(&format!("packages/{package}")).unwrap(), site.registry.package(package), "{story}");
            assert_eq!(read(&format!("tarballs/{name}.tar")).unwrap(), tarball, "{story}");
        }
        let mode = |name: &str| fs::metadata(site.home.path("tree").join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("names"), mode("tarballs/plug-1.0.0.tar")), (0o644, 0o644), "others read it");
        assert!(!site.home.path("tree/.hexkeep-tmp").exists(), "{story}");

        let again = mirror(&site, &["--docs", "--to", "tree"]);
        assert!(again.stdout.ends_with("3 packages; 0 files were written, 0 removed\n"), "{story}: {again:?}");
        // Of the same length, and another file.
        let (tarball, inner) = super::support::registry::tarball("jason", "1.0.0", 100 * 1024, 1);
        site.registry.add_bytes("jason", "1.0.0", tarball.clone(), inner);
        site.registry.updated("jason", DAY + 1);
        site.registry.remove("phoenix");
        site.publish();
        site.upstream.forget("/packages/phoenix");
        let third = mirror(&site, &["--docs", "--to", "tree"]);
        assert!(third.stdout.ends_with("2 packages; 4 files were written, 2 removed\n"), "{story}: {third:?}");
        let read = |name: &str| fs::read(site.home.path("tree").join(name)).ok();
        assert_eq!(read("tarballs/jason-1.0.0.tar").unwrap(), tarball, "{story}");
        assert_eq!(read("names").unwrap(), site.registry.names(), "{story}");
        assert_eq!((read("packages/phoenix"), read("tarballs/phoenix-1.8.0-rc.1.tar")), (None, None), "{story}");
        fs::write(site.home.path("file"), "").unwrap();
        let refused = mirror(&site, &["--verify", "--to", "file/tree"]);
        assert!(refused.code == 1 && refused.stderr.contains("cannot use a folder"), "{story}: {refused:?}");
        drop(daemon);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_mirrors_by_its_schedule() {
    let mut hub = Hub::with_repository("mirror: { schedule: 15m, latest: 1 }, metadata_ttl: 30d").await;
    // The upstream was empty when the daemon started.
    eventually("it asks at once", async || !hub.upstream.calls_to("/names").is_empty()).await;
    for version in ["1.0.0", "2.0.0"] {
        hub.registry.add("jason", version);
    }
    hub.registry.updated("jason", DAY);
    hub.publish();
    hub.clock.advance(Duration::from_secs(15 * 60));
    eventually("the newest release is fetched", async || {
        !hub.upstream.calls_to("/tarballs/jason-2.0.0.tar").is_empty()
    })
    .await;
    eventually("the lists are switched", async || hub.get("/versions").await.cache() == "hit").await;
    assert_eq!(hub.upstream.calls_to("/tarballs/jason-1.0.0.tar").len(), 0, "only the newest");
    hub.registry.add("plug", "1.0.0");
    hub.registry.updated("plug", DAY);
    hub.publish();
    // The run before may be ending still, and the next begins a quarter of an hour after it.
    eventually("what is new is fetched", async || {
        hub.clock.advance(Duration::from_secs(5 * 60));
        !hub.upstream.calls_to("/tarballs/plug-1.0.0.tar").is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_asks_for_a_pause_gets_it() {
    let site = site("").await;
    site.upstream.script("/packages/plug", [Step::too_many(Some("1")), Step::status(503)]);
    site.upstream.script("/tarballs/jason-1.0.0.tar", [Step::route().cut_after(1000), Step::too_many(Some("1"))]);
    let said = mirror(&site, &["--connections", "2", "--rate", "10MiB"]);
    assert!(said.code == 0 && said.stdout.contains("6 were downloaded"), "{said:?}");
    let daemon = site.home.serve();
    is_complete(&site, &daemon, "after pauses").await;
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_the_lists_as_they_were() {
    let mut hub = Hub::with_repository("metadata_ttl: 30d").await;
    for (package, version) in RELEASES {
        hub.registry.add_sized(package, version, 100 * 1024);
        hub.registry.updated(package, DAY);
    }
    hub.publish();
    hub.disk.fill_up_after(250 * 1024);
    let (code, _, stderr) = hub.command(&["mirror", "hexpm", "--connections", "1"]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no space: the disk is full"), "{stderr}");
    assert!(stderr.contains("`names` and `versions` were not updated; run the mirror again to continue"), "{stderr}");
    assert!(!hub.files().iter().any(|file| file == "registry/hexpm/names"), "{:?}", hub.files());
    assert!(!hub.files().iter().any(|file| file.starts_with("tmp/")), "{:?}", hub.files());
    hub.disk.heal();
    let (code, stdout, stderr) = hub.command(&["mirror", "hexpm"]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(hub.command(&["mirror", "hexpm", "--verify"]).await.0, 0);
}
