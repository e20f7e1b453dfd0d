//! `signature: own`: verified, then signed with a key of ours, and nothing in it changed that need not be.

use std::process::Command;

use bytes::Bytes;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::{RegistryResource, Resource};
use hexkeep::hex::wire::{push_bytes, push_varint};
use hexkeep::trust::{Origin, PrivateKey, PublicKey, verify};
use prost::Message as _;

use super::support::hub::{Answer, Hub, Wishes};
use super::support::registry::TestRegistry;

const JASON: &str = "/packages/jason";
const SEALED: &str = "hexkeep_sealed_total{repository=\"hexpm\"}";

/// A message under construction.
struct Wire(Vec<u8>);

impl Wire {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn bytes(mut self, field: u32, bytes: impl AsRef<[u8]>) -> Self {
        push_bytes(&mut self.0, field, bytes.as_ref());
        self
    }

    fn number(mut self, field: u32, number: u64) -> Self {
        push_varint(&mut self.0, u64::from(field) << 3);
        push_varint(&mut self.0, number);
        self
    }

    fn fixed32(mut self, field: u32, bytes: [u8; 4]) -> Self {
        push_varint(&mut self.0, (u64::from(field) << 3) | 5);
        self.0.extend(bytes);
        self
    }

    /// Fields that nobody has invented yet, one of every kind.
    fn invented(self) -> Self {
        let mut wire = self.bytes(90, "of the future").number(91, u64::MAX).fixed32(92, *b"4444");
        push_varint(&mut wire.0, (93 << 3) | 1);
        wire.0.extend(*b"88888888");
        wire
    }

    fn done(self) -> Vec<u8> {
        self.0
    }
}

/// `packages/jason` with everything that exists, and something that does not, at every level.
fn rich_package() -> Vec<u8> {
    let dependency = Wire::new()
        .invented()
        .bytes(1, "plug")
        .bytes(2, "~> 1.0")
        .number(3, 1)
        .bytes(4, "plug_app")
        .bytes(5, "other")
        .invented();
    let retired = Wire::new().number(1, 2).invented().bytes(2, "leaks");
    let published = Wire::new().number(1, 1_700_000_000).number(2, 999).invented();
    let release = Wire::new()
        .bytes(1, "1.0.0")
        .bytes(2, [1; 32])
        .bytes(3, dependency.done())
        .bytes(4, retired.done())
        .bytes(5, [2; 32])
        .number(6, 0)
        .bytes(6, [1, 0])
        .bytes(7, published.done())
        .invented();
    let other = Wire::new().invented().bytes(2, [3; 32]).bytes(1, "0.9.0");
    let advisory = |id: &str| {
        Wire::new()
            .bytes(1, id)
            .bytes(2, "it leaks")
            .bytes(3, "https://advisories.test/1")
            .number(4, 3)
            .fixed32(5, 7.5_f32.to_le_bytes())
            .bytes(6, "https://advisories.test/api/1")
            .bytes(7, "CVE-1")
            .bytes(7, "CVE-2")
            .invented()
            .done()
    };
    // Name and repository in an order that no encoder of ours would choose.
    Wire::new()
        .invented()
        .bytes(3, "hexpm")
        .bytes(1, release.done())
        .bytes(4, advisory("A-1"))
        .bytes(1, other.done())
        .bytes(2, "jason")
        .bytes(4, advisory("A-2"))
        .invented()
        .done()
}

fn rich_resources() -> [(&'static str, Vec<u8>); 4] {
    let named = |name: &str| {
        let at = Wire::new().number(1, 1_700_000_000).number(2, 1).invented();
        Wire::new().bytes(1, name).bytes(3, at.done()).invented().done()
    };
    let versions = |name: &str| {
        let package = Wire::new().bytes(1, name).bytes(2, "1.0.0").bytes(2, "1.1.0");
        package.bytes(3, [1]).bytes(4, "reserved").bytes(5, [0, 1]).invented().done()
    };
    let rule = Wire::new().bytes(1, "hexpm").bytes(2, Wire::new().number(1, 3).invented().done()).invented();
    let policy = Wire::new().bytes(1, "hexpm").bytes(2, "strict").number(4, 1).bytes(5, rule.done()).invented();
    [
        (JASON, rich_package()),
        ("/names", Wire::new().bytes(1, named("jason")).invented().bytes(2, "hexpm").bytes(1, named("plug")).done()),
        (
            "/versions",
            Wire::new().bytes(2, "hexpm").bytes(1, versions("jason")).bytes(1, versions("plug")).invented().done(),
        ),
        ("/policies/strict", policy.done()),
    ]
}

fn resource(path: &str) -> RegistryResource {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match Resource::parse(&segments) {
        Ok(Resource::Registry(resource)) => resource,
        other => panic!("{path}: {other:?}"),
    }
}

/// The payload of an answer, if `key` has signed it.
fn opened(answer: &Answer, path: &str, key: &PublicKey) -> Option<Bytes> {
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let envelope = Envelope::open(answer.body.clone(), 1 << 24).unwrap();
    let repository: RepoName = "hexpm".parse().unwrap();
    let origin = Origin { repository: &repository, resource: &resource(path) };
    verify(envelope, std::slice::from_ref(key), &origin).ok().map(|verified| verified.payload().clone())
}

async fn public_key(hub: &Hub) -> PublicKey {
    PublicKey::from_pem(&hub.get("/public_key").await.text()).unwrap()
}

async fn own() -> Hub {
    Hub::with_repository("signature: own").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_the_payload_survives_our_signature() {
    let hub = own().await;
    let key = public_key(&hub).await;
    let upstream = PublicKey::from_pem(&hub.registry.public_key()).unwrap();
    for (path, payload) in rich_resources() {
        let sealed = hub.registry.seal(&payload);
        hub.upstream.serve(path, sealed.clone());
        let answer = hub.get(path).await;
        assert_eq!(answer.cache(), "miss", "{path}");
        assert_ne!(answer.body, sealed, "{path}");
        assert_eq!(opened(&answer, path, &key).expect("signed by the key at /public_key"), payload, "{path}");
        assert!(opened(&answer, path, &upstream).is_none(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_the_key_that_signs() {
    let mut hub = own().await;
    let served = hub.get("/public_key").await.text();
    assert!(served.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{served}");
    let fingerprint = PublicKey::from_pem(&served).unwrap().fingerprint().to_string();
    for running in [true, false] {
        if !running {
            hub.stop().await;
        }
        let config = hub.config_file();
        let output = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hexkeep"));
            command.env_clear().args(["public-key", "hexpm", "--config"]).arg(config).output().unwrap()
        });
        let output = output.await.unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{stderr}");
        assert_eq!(stdout.trim_end(), served.trim_end(), "running: {running}");
        assert_eq!(stderr.trim_end(), fingerprint, "running: {running}");
    }
}

/// Writes a key of ours into a file, and into the configuration.
async fn with_key_file(hub: &mut Hub, key: &PrivateKey) {
    hub.stop().await;
    let file = hub.config_file();
    std::fs::write(file.with_file_name("own.pem"), key.to_pem().unwrap().expose()).unwrap();
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("signing: { keys: [{ id: shared, file: own.pem }], active: shared }\n");
    std::fs::write(&file, text).unwrap();
    hub.launch().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_with_one_key_agree_byte_for_byte() {
    let key = PrivateKey::generate(2048).unwrap();
    let (mut one, mut two) = (own().await, own().await);
    for hub in [&mut one, &mut two] {
        with_key_file(hub, &key).await;
        for (path, payload) in rich_resources() {
            hub.upstream.serve(path, hub.registry.seal(&payload));
        }
        assert_eq!(public_key(hub).await.fingerprint(), key.public().fingerprint());
    }
    for (path, _) in rich_resources() {
        let (left, right) = (one.get(path).await, two.get(path).await);
        assert_eq!((left.header("etag"), &left.body), (right.header("etag"), &right.body), "{path}");
        assert!(left.header("etag").starts_with('"'), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_is_not_signed_again() {
    let mut hub = own().await;
    for (path, payload) in rich_resources() {
        hub.upstream.serve(path, hub.registry.seal(&payload));
    }
    let mut first = Vec::new();
    for (path, _) in rich_resources() {
        first.push(hub.get(path).await);
    }
    assert_eq!(hub.metric(SEALED).await, 4.0);
    hub.restart().await;
    for ((path, _), first) in rich_resources().iter().zip(&first) {
        let again = hub.get(path).await;
        assert_eq!((again.cache(), again.header("etag"), &again.body), ("hit", first.header("etag"), &first.body));
        let conditional = hub.get_with(path, &[("if-none-match", first.header("etag"))]).await;
        assert_eq!(conditional.status, 304, "{path}");
    }
    hub.clock.advance(std::time::Duration::from_secs(360));
    assert_eq!(hub.get(JASON).await.cache(), "revalidated");
    assert!(!hub.ops("/metrics").await.text().contains("hexkeep_sealed_total{"), "nothing was signed");

    // Another payload is.
    let mut registry = TestRegistry::new("hexpm");
    registry.add("jason", "1.0.0");
    registry.add("jason", "0.9.0");
    hub.upstream.serve(JASON, registry.package("jason"));
    hub.clock.advance(std::time::Duration::from_secs(360));
    let newer = hub.get(JASON).await;
    assert_eq!(newer.cache(), "miss");
    assert_ne!(newer.header("etag"), first[0].header("etag"));
    assert_eq!(hub.metric(SEALED).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_signs_everything_anew() {
    let mut hub = own().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let first = hub.get(JASON).await;
    let key = PrivateKey::generate(2048).unwrap();
    with_key_file(&mut hub, &key).await;
    let second = hub.get(JASON).await;
    assert_eq!(second.cache(), "hit");
    assert_ne!(second.header("etag"), first.header("etag"));
    assert!(opened(&second, JASON, key.public()).is_some());
    assert_eq!(hub.upstream.calls_to(JASON).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_packages_do_not_exist_here() {
    let rules = "include: [\"ja*\", plug], exclude: [jax]";
    for signature in ["own", "upstream"] {
        let mut hub =
            Hub::with(Wishes { repository: format!("{rules}, signature: {signature}"), ..Wishes::default() }).await;
        for name in ["jason", "jax", "other", "plug"] {
            hub.registry.add(name, "1.0.0");
            hub.upstream.serve(&format!("/docs/{name}-1.0.0.tar.gz"), "docs");
        }
        hub.publish();
        for (name, status) in [("jason", 200), ("plug", 200), ("jax", 404), ("other", 404)] {
            for path in [
                format!("/packages/{name}"),
                format!("/tarballs/{name}-1.0.0.tar"),
                format!("/docs/{name}-1.0.0.tar.gz"),
            ] {
                assert_eq!(hub.get(&path).await.status, status, "{signature} {path}");
                let asked = !hub.upstream.calls_to(&path).is_empty();
                assert_eq!(asked, status == 200, "{signature} {path}: the upstream is not asked in vain");
            }
        }
        let (names, versions) = (hub.get("/names").await, hub.get("/versions").await);
        if signature == "upstream" {
            assert_eq!((names.body, versions.body), (hub.registry.names(), hub.registry.versions()));
            continue;
        }
        let key = public_key(&hub).await;
        let names = Names::decode(opened(&names, "/names", &key).unwrap()).unwrap();
        let versions = Versions::decode(opened(&versions, "/versions", &key).unwrap()).unwrap();
        let names: Vec<_> = names.packages.into_iter().map(|package| package.name).collect();
        let versions: Vec<_> = versions.packages.into_iter().map(|package| package.name).collect();
        assert_eq!((names, versions.clone()), (vec!["jason".to_owned(), "plug".to_owned()], versions));
    }
}
