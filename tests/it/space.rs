//! `hexkeep gc`, `stats`, `pin` and `unpin`: what nothing needs goes, what lock files name stays.

use std::fs;
use std::time::{Duration, SystemTime};

use hexkeep::hex::checksum::Sha256;

use super::support::hub::{Hub, Wishes, eventually};
use super::support::process::{Home, Said};
use super::support::site::{Site, get};

const RELEASES: [(&str, &str); 4] = [("jason", "1.0.0"), ("jason", "1.4.4"), ("plug", "1.16.1"), ("plug", "1.17.0")];

/// A home in which every release is, and the docs of one.
async fn site(more: &str) -> Site {
    let site = Site::with(&RELEASES, 100 * 1024, more).await;
    site.publish();
    site.upstream.serve("/docs/plug-1.16.1.tar.gz", &b"docs"[..]);
    site.lock("mix.lock", &RELEASES);
    site
}

fn fill(site: &Site) {
    let said = site.home.run(&["prefetch", "--lock", "mix.lock", "--docs"]);
    assert_eq!(said.code, 0, "{said:?}");
}

fn gc(site: &Site, more: &[&str]) -> Said {
    site.run(&["gc"], more)
}

/// Which releases are here.
fn here(site: &Site) -> Vec<String> {
    let there = RELEASES.iter().filter(|(package, version)| site.blob(package, version).exists());
    there.map(|(package, version)| format!("{package}-{version}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_keeps_goes() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let site = site("").await;
        let daemon = running.then(|| site.home.serve());
        fill(&site);
        for (args, sentence) in [
            (&[][..], "no rule for files to keep; add --keep-latest N, --unused-for TIME, or both"),
            (&["--unused-for", "5m"], "--unused-for is too short"),
        ] {
            let refused = gc(&site, args);
            assert!(refused.code == 1 && refused.stderr.contains(sentence), "{story}: {refused:?}");
        }
        site.lock("kept.lock", &[("jason", "1.0.0")]);
        let rules = ["--keep-latest", "1", "--lock", "kept.lock"];
        let dry = gc(&site, &[&rules[..], &["--dry-run"]].concat());
        assert_eq!(dry.code, 0, "{story}: {dry:?}");
        assert!(dry.stdout.starts_with("2 files ("), "{story}: the tarball and its docs: {dry:?}");
        for name in ["would be removed: tarballs/plug-1.16.1.tar\n", "would be removed: docs/plug-1.16.1.tar.gz\n"] {
            assert!(dry.stderr.contains(name), "{story}: {dry:?}");
        }
        assert_eq!(here(&site).len(), 4, "{story}: nothing has gone");
        let said = gc(&site, &rules);
        assert!(said.code == 0 && said.stdout.contains(" bytes) were removed; 3 ("), "{story}: {said:?}");
        assert_eq!(here(&site), ["jason-1.0.0", "jason-1.4.4", "plug-1.17.0"], "{story}");
        assert_eq!(site.home.run(&["verify-store"]).code, 0, "{story}");
        // It comes back when somebody wants it.
        let daemon = daemon.unwrap_or_else(|| site.home.serve());
        assert_eq!(get(&daemon, "/tarballs/plug-1.16.1.tar").await.0, 200, "{story}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_lately_stays() {
    let site = site("").await;
    fill(&site);
    let day = Duration::from_secs(24 * 3600);
    for (package, version) in [("jason", "1.4.4"), ("plug", "1.16.1")] {
        let file = fs::File::options().write(true).open(site.blob(package, version)).unwrap();
        file.set_modified(SystemTime::now() - 3 * day).unwrap();
    }
    let none = gc(&site, &["--unused-for", "4d"]);
    assert!(none.stdout.starts_with("0 files (0 bytes) were removed; 5 ("), "{none:?}");
    let newest = gc(&site, &["--unused-for", "2d", "--keep-latest", "1", "--dry-run"]);
    assert!(newest.stderr.contains("would be removed: tarballs/plug-1.16.1.tar\n"), "{newest:?}");
    assert!(newest.stdout.starts_with("1 file ("), "the newest of jason stays: {newest:?}");
    let said = gc(&site, &["--unused-for", "2d"]);
    assert!(said.stdout.starts_with("2 files ("), "{said:?}");
    assert_eq!(here(&site), ["jason-1.0.0", "plug-1.17.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_keep_files_from_collection_and_eviction_until_they_are_taken_back() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let site = site("").await;
        let config = |limit: &str| {
            let config = Home::config(&site.upstream.url(), ", signature: own, policy: company");
            let config = config.replace("path: data", &format!("path: data, cache_limit: {limit}"));
            format!(
                "{config}policies:\n  company: {{ mode: dry_run, repositories: {{ hexpm: {{ cooldown: 1d }} }} }}\n"
            )
        };
        site.home.write("hexkeep.yaml", &config("1GiB"));
        site.lock("pinned.lock", &[("plug", "1.16.1")]);
        fill(&site);
        let daemon = running.then(|| site.home.serve());
        let pinned = site.home.run(&["pin", "hexpm", "--lock", "pinned.lock", "--reason", "a build"]);
        assert_eq!(pinned.code, 0, "{story}: {pinned:?}");
        let said = gc(&site, &["--keep-latest", "0"]);
        assert_eq!((said.code, here(&site)), (0, vec!["plug-1.16.1".to_owned()]), "{story}: {said:?}");
        if let Some(daemon) = daemon {
            assert_eq!(daemon.stop().0, Some(0));
        }
        // The least recently used of all, and more than there is room for.
        site.home.write("hexkeep.yaml", &config("1MiB"));
        let file = fs::File::options().write(true).open(site.blob("plug", "1.16.1")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        let daemon = site.home.serve();
        for name in ["jason-1.0.0", "jason-1.4.4", "plug-1.17.0"] {
            assert_eq!(get(&daemon, &format!("/tarballs/{name}.tar")).await.0, 200, "{story}: {name}");
        }
        assert_eq!(daemon.stop().0, Some(0));
        fs::write(site.home.data().join("blobs/stranger"), vec![0; 1024 * 1024]).unwrap();
        let daemon = site.home.serve();
        eventually("what is over the limit is evicted", async || !site.blob("jason", "1.0.0").exists()).await;
        assert!(here(&site).contains(&"plug-1.16.1".to_owned()), "{story}: {:?}", here(&site));
        let unpinned = site.home.run(&["unpin", "hexpm", "--lock", "pinned.lock"]);
        assert_eq!(unpinned.stdout, "1 release is no longer pinned for `hexpm`\n", "{story}: {unpinned:?}");
        assert_eq!(gc(&site, &["--keep-latest", "0"]).code, 0, "{story}");
        assert_eq!(here(&site), Vec::<String>::new(), "{story}");
        let audit = site.home.run(&["audit", "hexpm"]).stdout;
        assert!(audit.contains("policy.unpin") && audit.contains("policy.pin"), "{story}: {audit}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

/// The index of a package may go another way than by eviction; what a lock file pins stays to be had with a newer one.
#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_file_stays_without_its_index_until_the_pin_ends() {
    let policy = "policies:\n  company: { mode: dry_run, repositories: { hexpm: { cooldown: 1d } } }\n";
    let repository = "signature: own, policy: company".to_owned();
    let mut hub = Hub::with(Wishes { repository, top: policy.to_owned(), ..Wishes::default() }).await;
    let names = ["ended", "lasting", "unpinned"];
    for name in names {
        hub.registry.add(name, "1.0.0");
    }
    hub.publish();
    let in_five_hours = SystemTime::now() + Duration::from_secs(5 * 3600);
    let until = humantime::format_rfc3339_seconds(in_five_hours).to_string();
    let digest = |name: &str| Sha256::of(&hub.registry.tarballs()[&format!("{name}-1.0.0")]).to_string();
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        assert_eq!(hub.get(&format!("/tarballs/{name}-1.0.0.tar")).await.status, 200);
        let lock = folder.path().join(format!("{name}.lock"));
        let inner = Sha256::of(b"not looked at");
        let outer = digest(name);
        let text =
            format!("%{{\"{name}\": {{:hex, :{name}, \"1.0.0\", \"{inner}\", [], [], \"hexpm\", \"{outer}\"}}}}");
        fs::write(&lock, text).unwrap();
        let pin = ["pin", "hexpm", "--lock", lock.to_str().unwrap(), "--reason", "a build"];
        let said = match name {
            "ended" => hub.command(&[&pin[..], &["--until", &until]].concat()).await,
            "lasting" => hub.command(&pin).await,
            _ => continue,
        };
        assert_eq!(said.0, 0, "{said:?}");
    }
    let blobs: Vec<String> = names.iter().map(|name| digest(name)).collect();
    let there = |hub: &Hub| {
        let files = hub.files();
        let is_there = |blob: &String| files.iter().any(|file| file.ends_with(blob.as_str()));
        blobs.iter().map(is_there).collect::<Vec<_>>()
    };
    hub.stop().await;
    for name in names {
        fs::remove_file(hub.data().join("registry/hexpm/packages").join(name)).unwrap();
    }
    hub.launch().await;
    for expected in [[true, true, false], [false, true, false]] {
        hub.clock.advance(Duration::from_secs(3 * 3600));
        let said = hub.command(&["gc", "--unused-for", "2h"]).await;
        assert_eq!((said.0, there(&hub)), (0, expected.to_vec()), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_was_killed_goes_on() {
    let site = site("").await;
    fill(&site);
    for at in 0..3000_u32 {
        let digest = Sha256::of(&at.to_be_bytes()).to_string();
        let folder = site.home.data().join("blobs").join(digest.get(..2).unwrap());
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(digest);
        fs::write(&path, at.to_be_bytes()).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    }
    let count = || {
        fs::read_dir(site.home.data().join("blobs"))
            .unwrap()
            .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
            .count()
    };
    let before = count();
    let collecting = site.home.start(&["gc", "--unused-for", "2h"]);
    eventually("something has gone", async || count() < before).await;
    collecting.kill();
    let said = gc(&site, &["--unused-for", "2h"]);
    assert!(said.code == 0 && said.stdout.contains(" bytes) were removed; 5 ("), "{said:?}");
    assert_eq!((count(), here(&site).len()), (5, 4));
    assert_eq!(site.home.run(&["verify-store"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_how_much_room() {
    for running in [true, false] {
        let site = site("").await;
        let daemon = running.then(|| site.home.serve());
        fill(&site);
        if let Some(daemon) = &daemon {
            for _ in 0..4 {
                assert_eq!(get(daemon, "/tarballs/jason-1.4.4.tar").await.0, 200);
            }
        }
        let said = site.home.run(&["stats"]);
        assert_eq!(said.code, 0, "{said:?}");
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert!(lines[0].starts_with("cache: ") && lines[0].ends_with("B of 50GiB"), "{said:?}");
        assert!(lines[1].starts_with("hexpm: 2 packages, 4 tarballs of "), "{said:?}");
        assert!(lines[1].contains(", 1 docs of 4B; "), "{said:?}");
        let known = if running { "100% of 4 requests were answered without the upstream" } else { "no requests yet" };
        assert!(lines[1].ends_with(known), "running: {running}: {said:?}");
        assert!(
            lines[2].starts_with("  plug ") && lines[3].starts_with("  jason "),
            "the docs make plug larger: {said:?}"
        );
        let one = site.home.run(&["stats", "hexpm"]);
        assert!(one.stdout.starts_with("hexpm: "), "{one:?}");
        assert_eq!(site.home.run(&["stats", "nobody"]).code, 1);
    }
}
