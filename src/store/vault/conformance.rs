//! Tests that every vault and every wrapper of one must pass.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tempfile::TempDir;

use super::{Listed, Prefix, Put, Vault, VaultError, VaultFolder, VaultName, VaultPath, WHOLE};
use crate::clock::{Clock as _, SystemClock};
use crate::hex::checksum::Sha256;
use crate::store::buffers::Buffers;
use crate::store::disk::RealDisk;
use crate::store::publish::Staging;
use crate::store::read_at::StoredFile;
use crate::store::spool::{Finished, Spool};
use crate::store::usage::Usage;

/// Runs all tests. `make` creates an empty vault.
pub(in crate::store) async fn suite(make: impl Fn() -> Box<dyn Vault>) {
    files_come_back(&*make()).await;
    named_bytes_are_replaced(&*make()).await;
    several_are_put_in_their_order(&*make()).await;
    ranges_are_cut_at_the_end(&*make()).await;
    what_is_not_there_is_missing(&*make()).await;
    what_is_removed_is_gone(&*make()).await;
    open_files_stay_readable(&*make()).await;
    lists_are_in_order_and_of_their_prefix(&*make()).await;
    a_change_is_whole_or_not_there(Arc::from(make())).await;
}

/// A completely received file.
struct Incoming {
    file: Finished,
    /// The folder of the file until it is put.
    _folder: TempDir,
}

fn incoming(bytes: &[u8]) -> Incoming {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::new(folder.path().to_path_buf(), Arc::new(RealDisk));
    let room = Usage::new(u64::MAX).reserve(0);
    let mut spool = Spool::begin(&staging, &Buffers::default(), room, Usage::new(0));
    for piece in bytes.chunks(1000) {
        spool.append(Bytes::copy_from_slice(piece)).unwrap();
    }
    Incoming { file: spool.finish(), _folder: folder }
}

pub(in crate::store) fn path(folder: &str, file: &str) -> VaultPath {
    VaultFolder::new(folder).unwrap().file(file).unwrap()
}

async fn put(vault: &dyn Vault, bytes: &[u8]) -> VaultName {
    let incoming = incoming(bytes);
    vault.put(Put::File(incoming.file)).await.unwrap();
    Sha256::of(bytes).into()
}

async fn put_named(vault: &dyn Vault, folder: &str, file: &str, bytes: &[u8]) -> VaultName {
    vault.put(Put::Bytes(path(folder, file), Bytes::copy_from_slice(bytes))).await.unwrap();
    path(folder, file).into()
}

async fn bytes_of(vault: &dyn Vault, name: &VaultName) -> Bytes {
    read(&vault.get(name.clone(), WHOLE).await.unwrap()).await
}

async fn read(stored: &StoredFile) -> Bytes {
    let bytes = stored.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, stored.length);
    bytes
}

/// Longer than one read.
fn long() -> Vec<u8> {
    (0..300_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

async fn files_come_back(vault: &dyn Vault) {
    for bytes in [&b""[..], b"x", &long()] {
        let before = SystemClock.now();
        let name = put(vault, bytes).await;
        assert_eq!(bytes_of(vault, &name).await, bytes);
        let stat = vault.stat(name.clone()).await.unwrap().unwrap();
        assert_eq!(stat.length, bytes.len() as u64);
        // File systems have a coarser resolution of time.
        let (early, late) = (before.since(stat.used), stat.used.since(SystemClock.now()));
        assert!(early < Duration::from_secs(2) && late < Duration::from_secs(2), "{stat:?}");
        vault.verify_digest(Sha256::of(bytes)).await.unwrap();
        assert_eq!(put(vault, bytes).await, name, "it may be put again");
        assert_eq!(bytes_of(vault, &name).await, bytes);
    }
}

async fn named_bytes_are_replaced(vault: &dyn Vault) {
    for bytes in [&b"one"[..], b"another", b"", b"", &long(), b"one"] {
        let name = put_named(vault, "acme", "core-1.0.0.json", bytes).await;
        assert_eq!(bytes_of(vault, &name).await, bytes);
        assert_eq!(vault.stat(name.clone()).await.unwrap().unwrap().length, bytes.len() as u64);
        let most = bytes.len() as u64;
        assert_eq!(vault.read(name.clone(), most).await.unwrap().unwrap(), bytes);
        if let Some(less) = most.checked_sub(1) {
            assert_eq!(vault.read(name, less).await.unwrap(), None, "more than that is not read");
        }
    }
}

async fn several_are_put_in_their_order(vault: &dyn Vault) {
    let one = |bytes: &'static [u8]| Put::Bytes(path("acme", "a"), Bytes::from_static(bytes));
    let file = incoming(b"file");
    vault.put_all(vec![one(b"first"), Put::File(file.file), one(b"last")]).await.unwrap();
    assert_eq!(bytes_of(vault, &path("acme", "a").into()).await, &b"last"[..]);
    assert_eq!(bytes_of(vault, &Sha256::of(b"file").into()).await, &b"file"[..]);
    vault.put_all(Vec::new()).await.unwrap();
}

async fn ranges_are_cut_at_the_end(vault: &dyn Vault) {
    let bytes = long();
    let end = bytes.len() as u64;
    for name in [put(vault, &bytes).await, put_named(vault, "acme", "long", &bytes).await] {
        for range in [0..0, 0..1, 0..end, 0..end + 1, 1..end, 7..200_000, end - 1..end, end - 1..end + 9, end..end + 1]
        {
            let stored = vault.get(name.clone(), range.clone()).await.unwrap();
            let (from, to) = (range.start.min(end), range.end.min(end));
            let wanted = &bytes[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
            assert_eq!(stored.length, to - from, "{name} {range:?}");
            assert_eq!(read(&stored).await, wanted, "{name} {range:?}");
            if to - from > 3 {
                // Reads from the middle, and not more than the part contains.
                let piece = stored.content.read(3, u64::MAX).unwrap();
                assert!(!piece.is_empty() && wanted[3..].starts_with(&piece), "{name} {range:?}");
            }
        }
        let behind = vault.get(name.clone(), end + 1..end + 9).await.unwrap();
        assert_eq!(behind.length, 0, "{name}");
    }
}

async fn what_is_not_there_is_missing(vault: &dyn Vault) {
    put(vault, b"other").await;
    put_named(vault, "acme", "other", b"other").await;
    let digest = Sha256::of(b"nothing");
    for name in [digest.into(), path("acme", "nothing").into(), path("none", "other").into()] {
        let name: VaultName = name;
        let got = vault.get(name.clone(), WHOLE).await.unwrap_err();
        assert!(matches!(&got, VaultError::Missing(missing) if *missing == name), "{got:?}");
        assert_eq!(vault.stat(name.clone()).await.unwrap(), None);
        assert_eq!(vault.read(name.clone(), 9).await.unwrap(), None);
        assert!(!vault.remove(name).await.unwrap());
    }
    let proven = vault.verify_digest(digest).await.unwrap_err();
    assert!(matches!(proven, VaultError::Missing(VaultName::Digest(missing)) if missing == digest), "{proven:?}");
}

async fn what_is_removed_is_gone(vault: &dyn Vault) {
    for name in [put(vault, b"file").await, put_named(vault, "acme", "a", b"file").await] {
        assert!(vault.remove(name.clone()).await.unwrap(), "{name}");
        assert!(!vault.remove(name.clone()).await.unwrap(), "{name}");
        assert!(matches!(vault.get(name.clone(), WHOLE).await, Err(VaultError::Missing(_))), "{name}");
    }
    // The file can be stored again.
    let name = put(vault, b"file").await;
    assert_eq!(bytes_of(vault, &name).await, &b"file"[..]);
}

async fn open_files_stay_readable(vault: &dyn Vault) {
    let bytes = long();
    let file = put(vault, &bytes).await;
    let opened = vault.get(file.clone(), WHOLE).await.unwrap();
    assert!(vault.remove(file).await.unwrap());
    assert_eq!(read(&opened).await, bytes);
    let named = put_named(vault, "acme", "a", &bytes).await;
    let opened = vault.get(named.clone(), WHOLE).await.unwrap();
    put_named(vault, "acme", "a", b"other").await;
    assert_eq!(read(&opened).await, bytes, "it is what it was when it was opened");
    assert_eq!(bytes_of(vault, &named).await, &b"other"[..]);
}

async fn names(vault: &dyn Vault, prefix: Prefix) -> Vec<String> {
    let listed: Vec<Listed> = vault.list(prefix).try_collect().await.unwrap();
    let text = |listed: &Listed| match listed {
        Listed::File(name) => name.to_string(),
        Listed::Stranger(name) => panic!("{name} was not put"),
    };
    listed.iter().map(text).collect()
}

async fn lists_are_in_order_and_of_their_prefix(vault: &dyn Vault) {
    let folder = |name: &str| Prefix::Folder(VaultFolder::new(name).unwrap());
    for prefix in [Prefix::Digests, Prefix::Folders, folder("acme")] {
        assert_eq!(names(vault, prefix).await, [""; 0]);
    }
    let mut digests = Vec::new();
    for number in 0..40_u32 {
        digests.push(put(vault, &number.to_be_bytes()).await.to_string());
    }
    digests.sort();
    // A folder whose name is a prefix of another one, and one with the name of the folder of digests.
    for (folder, file) in [("b", "1"), ("acme-2", "x"), ("acme", "z"), ("acme", "a"), ("acme", "a-b"), ("blobs", "y")] {
        put_named(vault, folder, file, b"").await;
    }
    assert_eq!(names(vault, Prefix::Digests).await, digests);
    assert_eq!(names(vault, folder("acme")).await, ["acme/a", "acme/a-b", "acme/z"]);
    assert_eq!(names(vault, folder("acme-2")).await, ["acme-2/x"]);
    assert_eq!(names(vault, folder("blobs")).await, ["blobs/y"]);
    assert_eq!(names(vault, folder("ac")).await, [""; 0]);
    // Names are sorted by their text: a dash comes before a slash.
    let all = ["acme-2/x", "acme/a", "acme/a-b", "acme/z", "b/1", "blobs/y"];
    assert_eq!(names(vault, Prefix::Folders).await, all);
}

/// Two writers replace one file with contents of different lengths. A reader always sees one of the two contents.
async fn a_change_is_whole_or_not_there(vault: Arc<dyn Vault>) {
    const ROUNDS: usize = 40;
    let contents = [vec![b'a'; 200_000], vec![b'b'; 70_000]].map(Bytes::from);
    let name: VaultName = path("acme", "changing").into();
    let write = |content: Bytes| {
        let vault = Arc::clone(&vault);
        async move {
            for _ in 0..ROUNDS {
                vault.put(Put::Bytes(path("acme", "changing"), content.clone())).await.unwrap();
            }
        }
    };
    let read = async {
        for _ in 0..2 * ROUNDS {
            match vault.get(name.clone(), WHOLE).await {
                Ok(stored) => {
                    let seen = read(&stored).await;
                    assert!(contents.contains(&seen), "{} bytes that nobody has put", seen.len());
                }
                Err(error) => assert!(matches!(error, VaultError::Missing(_)), "{error:?}"),
            }
        }
    };
    tokio::join!(write(contents[0].clone()), write(contents[1].clone()), read);
    assert!(contents.contains(&bytes_of(&*vault, &name).await));
    assert_eq!(names(&*vault, Prefix::Folders).await, ["acme/changing"], "nothing is left beside it");
}

/// A file whose content does not match its digest is reported and kept. `spoil` replaces its bytes.
pub(in crate::store) async fn damage_is_told_and_left(vault: &dyn Vault, spoil: impl Fn(&VaultName, &'static [u8])) {
    let digest = Sha256::of(b"sound");
    let name = put(vault, b"sound").await;
    assert_eq!(bytes_of(vault, &name).await, &b"sound"[..]);
    for bytes in [&b"Sound"[..], b"soun", b""] {
        spoil(&name, bytes);
        for _ in 0..2 {
            let got = vault.get(name.clone(), WHOLE).await.unwrap_err();
            assert!(matches!(&got, VaultError::Damaged(damaged) if *damaged == name), "{got:?}");
            let proven = vault.verify_digest(digest).await.unwrap_err();
            assert!(matches!(proven, VaultError::Damaged(_)), "{proven:?}");
        }
        assert_eq!(vault.stat(name.clone()).await.unwrap().unwrap().length, bytes.len() as u64, "it is left");
        assert_eq!(names(vault, Prefix::Digests).await, [name.to_string()]);
    }
    // A valid copy can be stored in its place.
    put(vault, b"sound").await;
    assert_eq!(bytes_of(vault, &name).await, &b"sound"[..]);
    vault.verify_digest(digest).await.unwrap();
}
