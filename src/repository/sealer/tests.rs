//! Tests that a signature is made only once for a payload, a key and a slot, and that a damaged file is never sent.

#![expect(clippy::disallowed_methods, reason = "a test damages a file where it lies")]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::cache::Memory;
use crate::clock::{Clock, SystemClock};
use crate::hex::build;
use crate::shutdown::Tasks;
use crate::size::ByteSize;
use crate::store::StoreLock;
use crate::store::disk::RealDisk;
use crate::telemetry::metrics::Metrics;
use crate::trust::PrivateKey;

const KEY: &str = include_str!("../../trust/testdata/test-only-key.pem");

/// Signs, and counts the signatures.
#[derive(Debug)]
struct Counted {
    inner: LocalKey,
    made: Arc<AtomicUsize>,
}

impl Seal for Counted {
    fn public_key(&self) -> &PublicKey {
        self.inner.public_key()
    }

    fn seal<'a>(
        &'a self,
        origin: Origin<'a>,
        scope: Scope<'a>,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<SignedResource, CacheError>> {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.inner.seal(origin, scope, payload)
    }
}

/// A store, and the number of signatures that were made.
struct Bench {
    folder: tempfile::TempDir,
    shared: SharedCaches,
    made: Arc<AtomicUsize>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
        let limit = ByteSize::new(1 << 30);
        let lock = StoreLock::take(folder.path()).unwrap();
        let store = Store::open(lock, limit, Arc::new(RealDisk), Arc::clone(&clock), &metrics).unwrap();
        let (store, memory) = (Arc::new(store), Memory::new(limit));
        let shared = SharedCaches { store, memory, clock, tasks: Tasks::new(), metrics };
        Self { folder, shared, made: Arc::default() }
    }

    /// The sealer of the repository `acme` after a start: nothing is in memory.
    fn sealer(&self, key: &str) -> Sealer {
        let signer = Arc::new(Signer::new(&PrivateKey::from_pem(key).unwrap()).unwrap());
        let inner = LocalKey::new(signer, self.shared.clone());
        let inner = Counted { inner, made: Arc::clone(&self.made) };
        let seal = Memoised::new(inner, self.shared.clone(), acme());
        Sealer { seal: Arc::new(seal), shared: self.shared.clone(), repository: acme() }
    }

    fn made(&self) -> usize {
        self.made.swap(0, Ordering::Relaxed)
    }

    fn counted(&self) -> u64 {
        let labels = RepositoryLabels { repository: "acme".into() };
        self.shared.metrics.sealed.get_or_create(&labels).get()
    }
}

fn acme() -> RepoName {
    "acme".parse().unwrap()
}

fn package() -> RegistryResource {
    RegistryResource::Package("core".parse().unwrap())
}

/// A package without releases; another `name` makes another payload.
fn payload(name: &str) -> Payload {
    Payload::new(build::package("acme", name, &[]))
}

#[tokio::test]
async fn a_payload_is_signed_once_and_found_on_disk_after_a_start() {
    let bench = Bench::new();
    let sealer = bench.sealer(KEY);
    let one = payload("core");
    assert!(!one.is_signed());
    let first = sealer.signed(&package(), Scope::Whole, &one).await.unwrap();
    assert_eq!(sealer.signed(&package(), Scope::Whole, &one).await.unwrap(), first);
    assert_eq!((bench.made(), bench.counted()), (1, 1), "held in memory");
    assert_eq!((one.is_signed(), one.bytes().unwrap()), (true, payload("core").bytes().unwrap()));

    let again = bench.sealer(KEY).signed(&package(), Scope::Whole, &payload("core")).await.unwrap();
    assert_eq!((again, bench.made(), bench.counted()), (first, 0, 1));
}

#[tokio::test]
async fn who_asks_at_the_same_time_shares_one_signature() {
    let bench = Bench::new();
    let (sealer, one, about) = (bench.sealer(KEY), payload("core"), package());
    let ask = || sealer.signed(&about, Scope::Passing, &one);
    let (first, second, third) = tokio::join!(ask(), ask(), ask());
    assert_eq!(first.as_ref().unwrap(), second.as_ref().unwrap());
    assert_eq!(first.unwrap(), third.unwrap());
    assert_eq!(bench.made(), 1);
}

#[tokio::test]
async fn another_payload_key_or_scope_is_signed_anew() {
    let bench = Bench::new();
    let other_key = PrivateKey::generate(2048).unwrap().to_pem().unwrap();
    bench.sealer(KEY).signed(&package(), Scope::Whole, &payload("core")).await.unwrap();
    assert_eq!(bench.made(), 1);
    let ours = bench.sealer(KEY).signed(&package(), Scope::Part("some"), &payload("core")).await.unwrap();
    assert_eq!(bench.made(), 1, "another scope");
    let theirs = bench.sealer(other_key.expose()).signed(&package(), Scope::Whole, &payload("core")).await.unwrap();
    assert_eq!(bench.made(), 1, "another key");
    assert_ne!(ours, theirs);
    let other = bench.sealer(KEY).signed(&package(), Scope::Part("some"), &payload("other")).await.unwrap();
    assert_eq!(bench.made(), 1, "another payload");
    assert_ne!(ours, other);
    for _ in 0..2 {
        bench.sealer(KEY).signed(&package(), Scope::Passing, &payload("core")).await.unwrap();
    }
    assert_eq!(bench.made(), 2, "what passes is not kept");
}

#[tokio::test]
async fn a_damaged_slot_is_signed_anew_and_found_by_a_scrub() {
    let bench = Bench::new();
    let first = bench.sealer(KEY).signed(&package(), Scope::Whole, &payload("core")).await.unwrap();
    let file = bench.folder.path().join("sealed/acme/packages/core");
    let damage = || {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    let scrubbed = |repair| {
        let (mut seen, sealer) = (Vec::new(), bench.sealer(KEY));
        let store = &bench.shared.store;
        scrub(store, (&acme(), &acme()), Some(&sealer), repair, &mut |_, sound| seen.push(sound)).unwrap();
        seen
    };
    assert_eq!(scrubbed(true), [true]);
    damage();
    assert_eq!((scrubbed(false), scrubbed(true), scrubbed(true)), (vec![false], vec![false], vec![]));
    assert_eq!(bench.made(), 1);

    for _ in 0..2 {
        let again = bench.sealer(KEY).signed(&package(), Scope::Whole, &payload("core")).await.unwrap();
        assert_eq!((again, bench.made()), (first.clone(), 1));
        damage();
    }
}
