//! The store of files against a model: whatever happens in whatever order, a file is there with its bytes or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hexkeep::clock::{ManualClock, Timestamp};
use hexkeep::hex::checksum::Sha256;
use hexkeep::size::ByteSize;
use hexkeep::store::blobs::BlobLookup;
use hexkeep::store::disk::RealDisk;
use hexkeep::store::{Store, StoreLock};
use hexkeep::telemetry::metrics::Metrics;
use proptest::prelude::*;

/// Room for most of the files, not for all of them.
const LIMIT: u64 = 10_000;

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flipped,
    Truncated,
    Emptied,
    Gone,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Takes a file in; the length is announced or not.
    Keep(u8, bool),
    /// Takes the beginning of a file in and gives up.
    Abandon(u8),
    Open(u8),
    Remove(u8),
    Damage(u8, Damage),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let file = 0_u8..8;
    let damage = prop_oneof![Just(Damage::Flipped), Just(Damage::Truncated), Just(Damage::Emptied), Just(Damage::Gone)];
    let op = prop_oneof![
        4 => (file.clone(), any::<bool>()).prop_map(|(file, announced)| Op::Keep(file, announced)),
        1 => file.clone().prop_map(Op::Abandon),
        4 => file.clone().prop_map(Op::Open),
        1 => file.clone().prop_map(Op::Remove),
        2 => (file, damage).prop_map(|(file, damage)| Op::Damage(file, damage)),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..40)
}

/// Files of different lengths; the last is larger than the whole store.
fn content(file: u8) -> Bytes {
    let length = if file == 7 { 12_000 } else { 300 + usize::from(file) * 560 };
    vec![file; length].into()
}

fn open(root: &Path, clock: &Arc<ManualClock>) -> Store {
    let lock = StoreLock::take(root).unwrap();
    let clock = Arc::clone(clock);
    let store = Store::open(lock, ByteSize::new(LIMIT), Arc::new(RealDisk), clock, &Metrics::new()).unwrap();
    store.count().unwrap();
    store
}

fn path_of(root: &Path, file: u8) -> PathBuf {
    let digest = Sha256::of(&content(file)).to_string();
    root.join("blobs").join(digest.get(..2).unwrap()).join(digest)
}

/// Puts other bytes in the place of a file, as another program would: the file is a new one.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn spoil(path: &Path, damage: Damage) {
    let mut bytes = fs::read(path).unwrap();
    match damage {
        Damage::Flipped => {
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            bytes.extend(if bytes.is_empty() { &[0][..] } else { &[] });
            replace(path, &bytes);
        }
        Damage::Truncated => replace(path, &bytes[..bytes.len() / 2]),
        Damage::Emptied => replace(path, &[]),
        Damage::Gone => fs::remove_file(path).unwrap(),
    }
}

fn on_disk(root: &Path) -> u64 {
    (0..8).filter_map(|file| fs::metadata(path_of(root, file)).ok()).map(|meta| meta.len()).sum()
}

/// Runs the operations, comparing after each.
fn run(ops: &[Op]) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    let clock = Arc::new(ManualClock::new(Timestamp::from(SystemTime::now())));
    let mut store = open(&root, &clock);
    // What is in the store: sound (true) or damaged.
    let mut model: BTreeMap<u8, bool> = BTreeMap::new();
    // What was taken away behind the store's back, and still counts until it is noticed.
    let mut ghosts: BTreeSet<u8> = BTreeSet::new();
    for op in ops {
        clock.advance(Duration::from_secs(1));
        match *op {
            Op::Keep(file, announced) => {
                let bytes = content(file);
                let mut spool = store.blobs.begin(announced.then_some(bytes.len() as u64));
                for piece in bytes.chunks(400) {
                    spool.append(Bytes::copy_from_slice(piece)).unwrap();
                }
                let mut finished = spool.finish();
                let kept = store.blobs.publish(&mut finished).unwrap();
                assert_eq!(kept, file != 7, "all but what is larger than the store");
                if kept {
                    model.insert(file, true);
                    assert!(path_of(&root, file).exists(), "the newest file is not the one that goes");
                }
                assert!(on_disk(&root) <= LIMIT, "{}", on_disk(&root));
            }
            Op::Abandon(file) => {
                let mut spool = store.blobs.begin(None);
                spool.append(content(file).slice(..200)).unwrap();
            }
            Op::Open(file) => match (store.blobs.open(&Sha256::of(&content(file))).unwrap(), model.get(&file)) {
                (BlobLookup::Found(stored), Some(true)) => {
                    let mut bytes = Vec::new();
                    while (bytes.len() as u64) < stored.length {
                        let offset = bytes.len() as u64;
                        bytes.extend_from_slice(&stored.content.read(offset, stored.length - offset).unwrap());
                    }
                    assert_eq!(bytes, content(file));
                }
                (BlobLookup::Damaged, Some(false)) => drop(model.remove(&file)),
                (BlobLookup::Absent, None) => {}
                (lookup, expected) => panic!("{file}: {lookup:?}, expected {expected:?}"),
            },
            Op::Remove(file) => {
                let there = store.blobs.remove(&Sha256::of(&content(file))).unwrap();
                assert_eq!(there, model.remove(&file).is_some());
            }
            Op::Damage(file, damage) if model.contains_key(&file) => {
                spoil(&path_of(&root, file), damage);
                match damage {
                    Damage::Gone => {
                        ghosts.insert(file);
                        model.remove(&file)
                    }
                    // A bit that is flipped twice is as it was.
                    Damage::Flipped | Damage::Truncated | Damage::Emptied => {
                        let sound = fs::read(path_of(&root, file)).unwrap() == content(file);
                        model.insert(file, sound)
                    }
                };
            }
            Op::Damage(..) => {}
            Op::Reopen => {
                drop(store);
                store = open(&root, &clock);
                ghosts.clear();
                assert_eq!(store.stored_bytes(), on_disk(&root), "the account is made anew");
            }
        }
        // Whatever was evicted is gone for the model, too; nothing is while everything fits.
        let before = model.len();
        let arriving = if let Op::Keep(file, _) = *op { content(file).len() as u64 } else { 0 };
        let counted = model.keys().chain(&ghosts).map(|file| content(*file).len() as u64);
        let whole = arriving + counted.sum::<u64>();
        model.retain(|file, _| path_of(&root, *file).exists());
        assert!(model.len() == before || whole > LIMIT, "{op:?} lost a file while there was room");
        assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0, "{op:?} left a temporary file");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_holds_what_was_kept_or_nothing(ops in ops()) {
        run(&ops);
    }
}
