//! Tests of the vault on disk: the tests for every vault, and failures that only a disk has.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::clock::SystemClock;
use crate::store::buffers::Buffers;
use crate::store::disk::RealDisk;
use crate::store::vault::conformance::{self, path};
use crate::store::vault::{Intake, WHOLE};

/// The real disk. It records the operations, and tests can make it full.
#[derive(Debug, Default)]
struct TestDisk {
    asked: Mutex<Vec<&'static str>>,
    full: AtomicBool,
    /// Whether the process has too many open files.
    crowded: AtomicBool,
}

impl TestDisk {
    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock())
    }

    fn tell(&self, what: &'static str) -> io::Result<()> {
        self.asked.lock().push(what);
        if self.crowded.load(Ordering::SeqCst) {
            return Err(rustix::io::Errno::MFILE.into());
        }
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for TestDisk {
    fn create(&self, path: &Path) -> io::Result<fs::File> {
        self.tell("create")?;
        RealDisk.create(path)
    }

    fn write(&self, file: &fs::File, bytes: &[u8]) -> io::Result<()> {
        self.tell("write")?;
        RealDisk.write(file, bytes)
    }

    fn sync(&self, file: &fs::File) -> io::Result<()> {
        self.tell("sync")?;
        RealDisk.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.tell("rename")?;
        RealDisk.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.tell("sync_dir")?;
        RealDisk.sync_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

struct Site {
    vault: DiskVault,
    staging: Staging,
    disk: Arc<TestDisk>,
    root: PathBuf,
    _folder: tempfile::TempDir,
}

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let disk = Arc::new(TestDisk::default());
    let staging = Staging::new(root.join("tmp"), Arc::clone(&disk) as _);
    staging.clean().unwrap();
    let vault = DiskVault::new(&root, staging.clone(), Arc::clone(&disk) as _, Arc::new(SystemClock));
    Site { vault, staging, disk, root, _folder: folder }
}

impl Site {
    async fn incoming(&self, bytes: &[u8]) -> Result<Finished, VaultError> {
        let mut intake = Intake::begin(self.staging.clone(), Buffers::default()).await?;
        intake.append(bytes).await?;
        intake.finish().await
    }

    /// The number of temporary files.
    fn temporary(&self) -> usize {
        fs::read_dir(self.root.join("tmp")).unwrap().count()
    }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_on_disk_is_a_vault() {
    let sites = Mutex::new(Vec::new());
    let make = || -> Box<dyn Vault> {
        let site = site();
        let vault = site.vault.clone();
        sites.lock().push(site);
        Box::new(vault)
    };
    conformance::suite(make).await;
    for site in sites.lock().iter() {
        assert_eq!(site.temporary(), 0);
    }
    let site = site();
    let spoil = |name: &VaultName, bytes: &'static [u8]| {
        let path = site.root.join("local").join(name.to_string());
        fs::remove_file(&path).unwrap();
        io::Write::write_all(&mut fs::File::create(path).unwrap(), bytes).unwrap();
    };
    conformance::damage_is_told_and_left(&site.vault, spoil).await;
}

#[tokio::test]
async fn what_is_put_is_on_the_disk_before_it_is_answered() {
    let site = site();
    let file = site.incoming(b"file").await.unwrap();
    assert_eq!(site.disk.asked(), ["create", "write"]);
    site.vault.put(Put::File(file)).await.unwrap();
    // Its folder is synced, and the folders that got a new entry.
    assert_eq!(site.disk.asked(), ["sync", "rename", "sync_dir", "sync_dir", "sync_dir", "sync_dir"]);
    let put = |text| site.vault.put(Put::Bytes(path("acme", "a"), bytes(text)));
    put("one").await.unwrap();
    assert_eq!(site.disk.asked(), ["create", "write", "sync", "rename", "sync_dir", "sync_dir"]);
    put("one").await.unwrap();
    assert_eq!(site.disk.asked(), [""; 0], "it is there");
    put("two").await.unwrap();
    assert_eq!(site.disk.asked(), ["create", "write", "sync", "rename", "sync_dir"]);
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_what_was_there() {
    let site = site();
    let put = |text| site.vault.put(Put::Bytes(path("acme", "a"), bytes(text)));
    put("one").await.unwrap();
    let file = site.incoming(b"file").await.unwrap();
    site.disk.full.store(true, Ordering::SeqCst);
    let failed = [put("two").await, site.vault.put(Put::File(file)).await, site.incoming(b"other").await.map(drop)];
    for failed in failed {
        let failed = failed.unwrap_err();
        assert!(matches!(failed, VaultError::Full(Some(_))), "{failed:?}");
        assert_eq!(failed.to_string(), "cannot store a file; free space under storage.path");
    }
    site.disk.full.store(false, Ordering::SeqCst);
    assert_eq!(site.vault.get(path("acme", "a").into(), WHOLE).await.unwrap().bytes().await.unwrap(), "one");
    let file = VaultName::from(Sha256::of(b"file"));
    assert!(matches!(site.vault.get(file, WHOLE).await, Err(VaultError::Missing(_))));
    assert_eq!(site.temporary(), 0);
}

#[tokio::test]
async fn a_disk_that_fails_is_not_called_full() {
    let site = site();
    site.disk.crowded.store(true, Ordering::SeqCst);
    let failed = site.incoming(b"other").await.map(drop).unwrap_err();
    assert!(matches!(failed, VaultError::Io(_)), "{failed:?}");
    assert_eq!(failed.to_string(), "cannot create a temporary file (tmp)");
    let cause = std::error::Error::source(&failed).unwrap().to_string();
    assert!(cause.starts_with("Too many open files"), "{cause}");
}

#[tokio::test]
async fn no_link_is_followed() {
    let site = site();
    let put = |folder, file| site.vault.put(Put::Bytes(path(folder, file), bytes("ours")));
    put("acme", "a").await.unwrap();
    let (theirs, local) = (site.root.join("theirs"), site.root.join("local"));
    fs::create_dir(&theirs).unwrap();
    io::Write::write_all(&mut fs::File::create(theirs.join("a")).unwrap(), b"ours").unwrap();
    symlink(theirs.join("a"), local.join("acme/link")).unwrap();
    symlink(&theirs, local.join("way")).unwrap();
    for (folder, file) in [("acme", "link"), ("way", "a"), ("way", "new")] {
        let name = || VaultName::from(path(folder, file));
        // The target of the link already has these bytes, so nothing would be written. The operation fails
        // nevertheless.
        for (what, done) in [
            ("put", put(folder, file).await.err()),
            ("get", site.vault.get(name(), WHOLE).await.err()),
            ("stat", site.vault.stat(name()).await.err()),
            ("remove", site.vault.remove(name()).await.err()),
        ] {
            let error = done.unwrap_or_else(|| panic!("{what} {folder}/{file} followed the link"));
            let said = std::error::Error::source(&error).unwrap().to_string();
            assert!(said.contains("is a symbolic link, which is not followed"), "{what} {folder}/{file}: {said}");
        }
    }
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1);
    assert_eq!(fs::read(theirs.join("a")).unwrap(), b"ours");
    // Links are listed, so that a program that reads all files detects them.
    let listed: Vec<Listed> = site.vault.list(Prefix::Folders).try_collect().await.unwrap();
    assert_eq!(listed, [path("acme", "a"), path("acme", "link"), path("way", "a")].map(|p| Listed::File(p.into())));
}

#[tokio::test]
async fn strangers_are_listed_as_such() {
    let site = site();
    let local = site.root.join("local");
    let digest = Sha256::of(b"x").to_string();
    for (folder, file) in [("acme", "a b"), ("acme/sub", "c"), ("blobs/00", "notes"), ("blobs/00", &digest)] {
        fs::create_dir_all(local.join(folder)).unwrap();
        fs::File::create(local.join(folder).join(file)).unwrap();
    }
    let stranger = |name: &str| Listed::Stranger(name.to_owned());
    let listed: Vec<Listed> = site.vault.list(Prefix::Folders).try_collect().await.unwrap();
    assert_eq!(listed, [stranger("acme/a b")]);
    let listed: Vec<Listed> = site.vault.list(Prefix::Digests).try_collect().await.unwrap();
    assert_eq!(listed, [stranger(&format!("blobs/00/{digest}")), stranger("blobs/00/notes")]);
}
