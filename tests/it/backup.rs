//! `hexkeep backup` and `restore`: what comes back is what was there, or nothing is touched and it is said why.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytes::Bytes;

use super::support::hub::Hub;
use super::support::local::package;
use super::support::process::{Daemon, Home};

const CONFIG: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      log: { format: json }\n\
                      storage: { path: data }\n\
                      default_repository: acme\n\
                      repositories:\n  acme: { type: local, name: acme }\n";

/// A home with a local repository of two releases, a user and a key, which is returned.
fn furnished() -> (Home, String) {
    let home = Home::new(CONFIG);
    fs::create_dir(home.path("tarballs")).unwrap();
    for version in ["1.0.0", "2.0.0"] {
        fs::write(home.path(&format!("tarballs/core-{version}.tar")), package("core", version, "")).unwrap();
    }
    let imported = home.run(&["import", "acme", "tarballs"]);
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(home.run(&["user", "add", "alice", "--admin", "--no-password"]).code, 0);
    let key = home.run(&["key", "create", "laptop", "--user", "alice", "--permission", "repositories"]);
    assert_eq!(key.code, 0, "{key:?}");
    (home, key.stdout.trim().to_owned())
}

async fn get(daemon: &Daemon, path: &str, key: &str) -> (u16, Bytes) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("{}{path}", daemon.url())).header("authorization", key);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap())
}

/// What clients see of it.
async fn served(home: &Home, key: &str) -> Vec<(u16, Bytes)> {
    let daemon = home.serve();
    let mut answers = Vec::new();
    for path in
        ["/public_key", "/names", "/versions", "/packages/core", "/tarballs/core-1.0.0.tar", "/tarballs/core-2.0.0.tar"]
    {
        answers.push(get(&daemon, path, key).await);
    }
    assert_eq!(daemon.stop().0, Some(0));
    answers
}

/// Every file below the durable folders.
fn files(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![data.join("keys"), data.join("local")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(data).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_what_was_there() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let (home, key) = furnished();
        let daemon = running.then(|| home.serve());
        let saved = home.run(&["backup", "saved.tar"]);
        assert_eq!((saved.code, saved.stderr.as_str()), (0, ""), "{story}: {saved:?}");
        assert_eq!(fs::metadata(home.path("saved.tar")).unwrap().permissions().mode() & 0o777, 0o600, "it has keys");
        let again = home.run(&["backup", "saved.tar"]);
        assert!(again.code == 1 && again.stderr.contains("already exists; choose a new file"), "{story}: {again:?}");
        assert_eq!(fs::read_dir(home.data().join("tmp")).unwrap().count(), 0, "{story}: nothing is left");
        drop(daemon);

        let other = Home::new(CONFIG);
        fs::copy(home.path("saved.tar"), other.path("saved.tar")).unwrap();
        let restored = other.run(&["restore", "saved.tar"]);
        assert_eq!((restored.code, restored.stderr.as_str()), (0, ""), "{story}: {restored:?}");
        assert_eq!(files(&other.data()), files(&home.data()), "{story}");
        let (before, after) = (served(&home, &key).await, served(&other, &key).await);
        assert!(before.iter().all(|(status, _)| *status == 200), "{story}: {before:?}");
        assert_eq!(after, before, "{story}");
        let audit = |home: &Home| home.run(&["audit", "acme"]).stdout;
        assert!(audit(&home).contains("core"), "{story}");
        assert_eq!(audit(&other), audit(&home), "{story}");
        assert_eq!(other.run(&["verify-store"]).code, 0, "{story}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_backup_touches_nothing() {
    let (home, _) = furnished();
    assert_eq!(home.run(&["backup", "saved.tar"]).code, 0);
    let good = fs::read(home.path("saved.tar")).unwrap();
    let mut flipped = good.clone();
    // In the middle of the database, far from any header.
    let place = good.len() / 4 / 512 * 512 + 100;
    flipped[place] ^= 1;
    let other_head = String::from_utf8_lossy(&good[512..600]).replace("\"format\":1", "\"format\":7");
    let mut later = good.clone();
    later[512..512 + other_head.len()].copy_from_slice(other_head.as_bytes());
    for (story, bytes, sentence) in [
        ("empty", Vec::new(), "the file is not a backup of hexkeep"),
        ("another file", b"hello, this is a text".repeat(100), "the file is not a backup of hexkeep"),
        ("half", good[..good.len() / 2].to_vec(), "the backup is incomplete"),
        ("without its list", good[..good.len() - 2048].to_vec(), "the backup is incomplete"),
        ("flipped", flipped, "does not match its checksum"),
        ("later", later, "the backup has the format 7"),
        ("more behind it", [&good[..], b"x"].concat(), "the backup is invalid: there is data after its end"),
        (
            "another archive behind it",
            [&good[..], &good[..]].concat(),
            "the backup is invalid: there is data after its end",
        ),
        ("without its last block", good[..good.len() - 512].to_vec(), "the backup is incomplete"),
        (
            "something in its last block",
            [&good[..good.len() - 1], b"x"].concat(),
            "the backup is invalid: there is data after its end",
        ),
        ("escape", with_path(&good, "../evil"), "the backup is invalid: it contains the unexpected file `../evil`"),
        ("absolute", with_path(&good, "/etc/evil"), "the backup is invalid: it contains the unexpected file"),
    ] {
        let other = Home::new(CONFIG);
        fs::write(other.path("saved.tar"), bytes).unwrap();
        let refused = other.run(&["restore", "saved.tar"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{story}: {refused:?}");
        assert!(refused.stderr.contains(sentence), "{story}: {refused:?}");
        assert!(!other.data().exists(), "{story}: nothing was begun");
        assert!(!other.path("evil").exists(), "{story}");
    }
    let missing = home.run(&["restore", "none.tar"]);
    assert!(missing.code == 1 && missing.stderr.contains("none.tar: "), "{missing:?}");
}

/// The archive with another name for the database; a header's checksum is made anew.
fn with_path(good: &[u8], path: &str) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let at = bytes.windows(12).position(|window| window == b"state.sqlite").unwrap();
    let mut header = tar::Header::from_byte_slice(&bytes[at..at + 512]).clone();
    let name = &mut header.as_old_mut().name;
    name.fill(0);
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    bytes[at..at + 512].copy_from_slice(header.as_bytes());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_there_is_not_written_over() {
    let (home, key) = furnished();
    assert_eq!(home.run(&["backup", "saved.tar"]).code, 0);
    let before = files(&home.data());
    let refused = home.run(&["restore", "saved.tar"]);
    assert!(refused.code == 1 && refused.stderr.contains("is not empty"), "{refused:?}");
    let daemon = home.serve();
    let running = home.run(&["restore", "saved.tar"]);
    assert!(running.code == 1 && running.stderr.contains("stop it first"), "{running:?}");
    assert_eq!(get(&daemon, "/names", &key).await.0, 200);
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(files(&home.data()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_is_no_store_and_is_gone_on_with() {
    let (home, key) = furnished();
    assert_eq!(home.run(&["backup", "saved.tar"]).code, 0);
    let other = Home::new(CONFIG);
    fs::copy(home.path("saved.tar"), other.path("saved.tar")).unwrap();
    assert_eq!(other.run(&["restore", "saved.tar"]).code, 0);
    // As a sudden death leaves it: the mark, some files, half a file, and one of another backup.
    fs::write(other.data().join("FORMAT"), "hexkeep-restore 1\n").unwrap();
    fs::remove_file(other.data().join("state.sqlite")).unwrap();
    fs::write(other.data().join("tmp/1-1"), "half").unwrap();
    fs::write(other.data().join("keys/stranger.pem"), "x").unwrap();
    for command in [&["serve"][..], &["verify-store"], &["names"], &["backup", "x.tar"]] {
        let refused = other.run(command);
        assert_ne!(refused.code, 0, "{command:?}");
    }
    let refused = other.run(&["verify-store"]);
    assert!(refused.stderr.contains("was interrupted; run the restore command again"), "{refused:?}");
    let again = other.run(&["restore", "saved.tar"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(files(&other.data()), files(&home.data()));
    assert_eq!(served(&other, &key).await, served(&home, &key).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_leaves_no_file_and_a_whole_store() {
    let (home, key) = furnished();
    // Large enough to be killed in the middle.
    let large = home.data().join("local/blobs/00");
    fs::create_dir_all(&large).unwrap();
    fs::write(large.join("0".repeat(64)), vec![1; 256 * 1024 * 1024]).unwrap();
    let backup = home.start(&["backup", "out/saved.tar"]);
    super::support::hub::eventually("it has begun", async || {
        let folder = home.path("out/.hexkeep-tmp");
        fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
    })
    .await;
    backup.kill();
    assert!(!home.path("out/saved.tar").exists(), "whole or not at all");
    fs::remove_file(large.join("0".repeat(64))).unwrap();
    let again = home.run(&["backup", "out/saved.tar"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(!home.path("out/.hexkeep-tmp").exists(), "what the dead one left is gone");
    assert_eq!(fs::read_dir(home.data().join("tmp")).unwrap().count(), 0);
    assert!(served(&home, &key).await.iter().all(|(status, _)| *status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_no_backup() {
    let hub = Hub::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved.tar");
    hub.disk.fill_up_after(1000);
    let (code, stdout, stderr) = hub.command(&["backup", file.to_str().unwrap()]).await;
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("cannot read or write the backup"), "{stderr}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    hub.disk.heal();
    assert_eq!(hub.command(&["backup", file.to_str().unwrap()]).await.0, 0);
}
