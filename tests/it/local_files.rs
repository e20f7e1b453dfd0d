//! The files of local repositories: verified, never removed while anything names them, and enough to begin anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hexkeep::hex::checksum::Sha256;
use hexkeep::operations::commands::ReleaseCommand;
use reqwest::Method;

use super::support::hub::{Hub, Wishes};
use super::support::local::{docs, package};
use super::support::process::Home;

const CONFIG: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      storage: { path: data }\n\
                      default_repository: acme\n\
                      repositories:\n  acme: { type: local, anonymous_read: true }\n";

fn blob(data: &Path, digest: Sha256) -> PathBuf {
    let name = digest.to_string();
    data.join("local/blobs").join(name.split_at(2).0).join(name)
}

/// All files that are named by their digest.
fn blobs(data: &Path) -> BTreeSet<PathBuf> {
    let names = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    names(&data.join("local/blobs")).iter().flat_map(|folder| names(folder)).collect()
}

fn lose_database(data: &Path) {
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
}

/// Makes a file as old as two days.
fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(48 * 3600)).unwrap();
}

#[test]
fn verify_store_looks_after_what_cannot_be_fetched_again() {
    for running in [true, false] {
        let home = Home::new(CONFIG);
        let mut daemon = running.then(|| home.serve());
        fs::create_dir_all(home.path("old/docs")).unwrap();
        let (core, web) = (package("core", "1.0.0", ""), package("web", "1.0.0", ""));
        fs::write(home.path("old/core-1.0.0.tar"), &core).unwrap();
        fs::write(home.path("old/web-1.0.0.tar"), &web).unwrap();
        fs::write(home.path("old/docs/core-1.0.0.tar.gz"), docs("core")).unwrap();
        assert_eq!(home.run(&["import", "acme", "old"]).code, 0);
        let sound = home.run(&["verify-store"]);
        assert_eq!(sound.code, 0, "running: {running}: {sound:?}");
        assert!(sound.stdout.starts_with("0 registry resources and 3 files are valid; 0 damaged"), "{}", sound.stdout);

        // What a publish stored that then came to nothing: one from just now, one from two days ago.
        let (young, old) = (Sha256::of(b"young"), Sha256::of(b"old"));
        for (digest, bytes) in [(young, &b"young"[..]), (old, b"old")] {
            let path = blob(&home.data(), digest);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        age(&blob(&home.data(), old));
        age(&blob(&home.data(), Sha256::of(&core)));
        let found = home.run(&["verify-store"]);
        assert_eq!(found.code, 1, "running: {running}: {found:?}");
        assert!(found.stderr.contains(&format!("damaged: local/blobs/{old} (not in use)")), "{}", found.stderr);
        assert!(!found.stderr.contains(&young.to_string()), "{}", found.stderr);
        assert!(blob(&home.data(), old).exists(), "it only looked");
        let repaired = home.run(&["verify-store", "--repair"]);
        assert_eq!(repaired.code, 0, "running: {running}: {repaired:?}");
        assert!(!blob(&home.data(), old).exists() && blob(&home.data(), young).exists());
        assert!(blob(&home.data(), Sha256::of(&core)).exists(), "what is named stays, however old");

        fs::write(blob(&home.data(), Sha256::of(&core)), "damaged").unwrap();
        fs::remove_file(blob(&home.data(), Sha256::of(&web))).unwrap();
        for args in [&["verify-store"][..], &["verify-store", "--repair"]] {
            let found = home.run(args);
            assert_eq!(found.code, 1, "running: {running}: {found:?}");
            for file in ["acme/tarballs/core-1.0.0.tar", "acme/tarballs/web-1.0.0.tar"] {
                assert!(found.stderr.contains(&format!("damaged: {file}\n")), "{file}: {}", found.stderr);
            }
            assert!(
                found.stdout.starts_with("0 registry resources and 1 files are valid; 2 damaged"),
                "{}",
                found.stdout
            );
            assert!(found.stderr.contains("2 files of local repositories are missing or damaged"), "{}", found.stderr);
        }
        assert_eq!(fs::read(blob(&home.data(), Sha256::of(&core))).unwrap(), b"damaged", "it is left to be mended");
        if let Some(daemon) = daemon.take() {
            daemon.stop();
        }
    }
}

#[test]
fn a_repair_removes_nothing_that_a_lost_database_knew() {
    for running in [true, false] {
        let home = Home::new(CONFIG);
        fs::create_dir_all(home.path("old/docs")).unwrap();
        let core = package("core", "1.0.0", "");
        fs::write(home.path("old/core-1.0.0.tar"), &core).unwrap();
        fs::write(home.path("old/web-1.0.0.tar"), package("web", "1.0.0", "")).unwrap();
        fs::write(home.path("old/docs/core-1.0.0.tar.gz"), docs("core")).unwrap();
        assert_eq!(home.run(&["import", "acme", "old"]).code, 0);
        let of_releases = blobs(&home.data());
        assert_eq!(of_releases.len(), 3);
        // What a publish stored that then came to nothing.
        let orphan = blob(&home.data(), Sha256::of(b"old"));
        let add_orphan = || {
            fs::create_dir_all(orphan.parent().unwrap()).unwrap();
            fs::write(&orphan, b"old").unwrap();
            age(&orphan);
        };
        add_orphan();
        of_releases.iter().for_each(|file| age(file));
        let all = blobs(&home.data());
        lose_database(&home.data());
        let daemon = running.then(|| home.serve());

        for args in [&["verify-store"][..], &["verify-store", "--repair"]] {
            let found = home.run(args);
            assert_eq!((found.code, blobs(&home.data()) == all), (1, true), "running: {running}: {found:?}");
            let sentence = "hexkeep: files of acme contain releases that are missing in the database, or cannot be read: \
                            run `hexkeep reindex` for each of these repositories first; 4 files of local repositories \
                            that the database does not list were kept, because there is no other copy\n";
            assert!(found.stderr.ends_with(sentence), "{found:?}");
            assert!(!found.stderr.contains("again") && !found.stderr.contains("damaged"), "{found:?}");
        }

        assert_eq!(home.run(&["reindex", "acme"]).code, 0);
        let sidecar = home.data().join("local/acme/core-1.0.0.json");
        let sound = fs::read(&sidecar).unwrap();
        fs::write(&sidecar, "{").unwrap();
        let kept = home.run(&["verify-store", "--repair"]);
        assert_eq!((kept.code, blobs(&home.data()) == all), (1, true), "a sidecar is damaged: {kept:?}");
        assert!(kept.stderr.contains("or cannot be read") && kept.stderr.contains("; 1 files of local"), "{kept:?}");
        fs::write(&sidecar, sound).unwrap();

        let found = home.run(&["verify-store"]);
        let sentence = "hexkeep: nothing refers to 1 files of local repositories; run the command with --repair to remove \
                        them\n";
        assert!(found.code == 1 && found.stderr.ends_with(sentence), "running: {running}: {found:?}");
        assert!(!found.stderr.contains("downloaded again"), "{found:?}");
        assert_eq!(home.run(&["verify-store", "--repair"]).code, 0);
        assert_eq!(blobs(&home.data()), of_releases, "running: {running}");

        // The file of a release that was removed permanently is not kept by its sidecar.
        let removed = home.run(&["release", "remove", "acme", "core", "1.0.0", "--reason", "malware"]);
        assert_eq!(removed.code, 0, "{removed:?}");
        age(&blob(&home.data(), Sha256::of(&core)));
        assert_eq!(home.run(&["verify-store", "--repair"]).code, 0);
        assert!(!blob(&home.data(), Sha256::of(&core)).exists());
        if let Some(daemon) = daemon {
            daemon.stop();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_stays_gone_after_a_rebuild_from_files() {
    let mut hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    for name in ["reverted", "removed", "allowed"] {
        assert_eq!(hub.publish_to_acme(&root, name, package(name, "1.0.0", "")).await.status, 201);
    }
    for name in ["reverted", "allowed"] {
        let path = format!("/api/repos/acme/packages/{name}/releases/1.0.0");
        assert_eq!(hub.api(Method::DELETE, &path, &root, None).await.status, 204);
    }
    let (repository, version) = ("acme".to_owned(), "1.0.0".to_owned());
    hub.order(ReleaseCommand::Remove {
        repository: repository.clone(),
        package: "removed".to_owned(),
        version: Some(version.clone()),
        reason: "malware".to_owned(),
    })
    .await;
    hub.order(ReleaseCommand::Allow { repository: repository.clone(), package: "allowed".to_owned(), version }).await;

    hub.stop().await;
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = fs::remove_file(hub.data().join(file));
    }
    hub.launch().await;
    let root = hub.user("root", true).await;
    let done = hub.order(ReleaseCommand::Reindex { repository }).await;
    let line = "restored 0 releases from their files, 0 unchanged; 2 removed versions cannot be published again";
    assert_eq!((done.failed, done.lines[0].as_str()), (false, line), "{done:?}");
    let publish = async |name: &str, more: &str| hub.publish_to_acme(&root, name, package(name, "1.0.0", more)).await;
    assert_eq!(publish("reverted", "% other").await.status, 422);
    assert_eq!(publish("reverted", "").await.status, 201, "the same bytes may come back");
    let refused = publish("removed", "").await;
    assert!(refused.status == 422 && refused.text().contains("malware"), "{}", refused.text());
    assert_eq!(publish("allowed", "% other").await.status, 201);
}

#[test]
fn a_rebuild_names_what_is_no_file_of_a_release() {
    let home = Home::new(CONFIG);
    fs::create_dir(home.path("old")).unwrap();
    fs::write(home.path("old/core-1.0.0.tar"), package("core", "1.0.0", "")).unwrap();
    assert_eq!(home.run(&["import", "acme", "old"]).code, 0);
    let folder = home.data().join("local/acme");
    fs::write(folder.join("core-1.0.0.json copy"), "{}").unwrap();
    fs::write(folder.join("notes"), "{}").unwrap();
    let said = home.run(&["reindex", "acme"]);
    assert_eq!(
        (said.code, said.stdout.starts_with("restored 0 releases from their files, 1 unchanged; 0 ")),
        (1, true),
        "{said:?}"
    );
    for line in ["acme/core-1.0.0.json copy: this is not a valid name for a file of a release", "notes: missing field"]
    {
        assert!(said.stderr.contains(line), "{line}: {said:?}");
    }
    fs::remove_file(folder.join("core-1.0.0.json copy")).unwrap();
    fs::remove_file(folder.join("notes")).unwrap();
    assert_eq!(home.run(&["reindex", "acme"]).code, 0);
}
