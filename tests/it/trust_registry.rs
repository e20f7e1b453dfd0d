//! Registry resources that are not what they should be: none is passed on, none is kept.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hexkeep::hex::wire::push_bytes;
use hexkeep::trust::{PrivateKey, Signer};

use super::support::hub::Hub;
use super::support::registry::TestRegistry;
use super::support::upstream::Step;

/// One way to be wrong.
struct Wrong {
    what: &'static str,
    step: Step,
    /// The reason in `hexkeep_untrusted_total`; `None` where the transport was at fault.
    untrusted: Option<&'static str>,
    /// The reason for serving an older copy instead.
    stale: &'static str,
    /// Whether it would come again if it were asked for again: then it is not, for a while.
    lasting: bool,
}

const NAME: &str = "jason";
const JASON: &str = "/packages/jason";

const NOT_VERIFIED: &str = "the file from the upstream does not match its signature or its signed checksum";
const FAILED: &str = "the upstream cannot be reached or failed";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn envelope(payload: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut signed = Vec::new();
    push_bytes(&mut signed, 1, payload);
    push_bytes(&mut signed, 2, signature);
    gzip(&signed)
}

/// A registry with one package, and that package's payload.
fn sample(repository: &str, package: &str) -> (TestRegistry, Vec<u8>) {
    let mut registry = TestRegistry::new(repository);
    registry.add(package, "1.0.0");
    let message = prost::Message::encode_to_vec(registry.package_mut(package));
    (registry, message)
}

fn wrong_ways() -> Vec<Wrong> {
    let (good, payload) = sample("hexpm", NAME);
    let body = good.package(NAME);
    let stranger = Signer::new(&PrivateKey::generate(2048).unwrap()).unwrap();
    let untrusted = |what, body: Vec<u8>, reason| Wrong {
        what,
        step: Step::ok(body),
        untrusted: Some(reason),
        stale: "untrusted",
        lasting: true,
    };
    let transport = |what, step, reason| Wrong { what, step, untrusted: None, stale: reason, lasting: true };
    let broken = |what, step| Wrong { what, step, untrusted: None, stale: "truncated", lasting: false };
    vec![
        untrusted("no signature worth the name", envelope(&payload, &[7; 256]), "bad_signature"),
        untrusted("an empty signature", envelope(&payload, b""), "envelope"),
        untrusted("signed by a stranger", stranger.seal(&payload).unwrap().body().to_vec(), "bad_signature"),
        untrusted("not gzip", b"<html>maintenance</html>".to_vec(), "envelope"),
        untrusted("empty", Vec::new(), "envelope"),
        untrusted("gzip around something else", gzip(b"<html>maintenance</html>"), "envelope"),
        untrusted("a gzip bomb", envelope(&vec![0; 40 << 20], &[7; 256]), "envelope"),
        untrusted("cut off, and honest about its length", body[..body.len() / 2].to_vec(), "envelope"),
        untrusted("bytes after the gzip member", [&body[..], &[0]].concat(), "envelope"),
        untrusted("two gzip members", [&body[..], &body[..]].concat(), "envelope"),
        untrusted("of another repository", sample("acme", NAME).0.package(NAME).to_vec(), "wrong_repository"),
        untrusted("about another package", sample("hexpm", "plug").0.package("plug").to_vec(), "wrong_name"),
        untrusted("signed garbage", good.seal(b"\xff\xff\xff\xff").to_vec(), "bad_schema"),
        untrusted("signed, and of another kind", good.names().to_vec(), "bad_schema"),
        transport("with a content encoding", Step::ok(body.clone()).header("content-encoding", "gzip"), "protocol"),
        transport("endless", Step::endless(), "too_large"),
        transport("announced as too long", Step::endless().header("content-length", "99999999999"), "too_large"),
        broken("cut off", Step::ok(body.clone()).cut_after(body.len() / 2)),
        broken("without a length, and cut off", Step::ok(body.clone()).cut_after(body.len() - 1).chunked()),
    ]
}

fn untrusted_metric(reason: &str) -> String {
    format!("hexkeep_untrusted_total{{repository=\"hexpm\",reason=\"{reason}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_wrong_is_passed_on_or_kept() {
    let hub = Hub::start().await;
    for Wrong { what, step, untrusted, lasting, .. } in wrong_ways() {
        hub.upstream.always(JASON, step);
        let (before, counted) = (hub.upstream.calls_to(JASON).len(), count(&hub, untrusted).await);
        for attempt in 0..3 {
            let answer = hub.get(JASON).await;
            assert_eq!((answer.status, answer.cache()), (502, ""), "{what}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{what}");
            assert_eq!(answer.header("etag"), "", "{what}");
            let sentence = if untrusted.is_some() { NOT_VERIFIED } else { FAILED };
            assert!(answer.text().starts_with(sentence), "{what}, attempt {attempt}: {}", answer.text());
            if !lasting {
                break;
            }
        }
        assert_eq!(hub.files(), [""; 0], "{what}");
        assert_eq!(hub.upstream.calls_to(JASON).len() - before, 1, "{what}: asked once");
        assert_eq!(count(&hub, untrusted).await - counted, f64::from(u8::from(untrusted.is_some())), "{what}");
        hub.clock.advance(Duration::from_secs(60));
    }
    let (good, _) = sample("hexpm", NAME);
    hub.upstream.always(JASON, Step::ok(good.package(NAME)));
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "miss", &good.package(NAME)));
}

async fn count(hub: &Hub, reason: Option<&str>) -> f64 {
    match reason {
        Some(reason) => hub.metric(&untrusted_metric(reason)).await,
        None => 0.0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_copy_is_served_instead() {
    let mut hub = Hub::start().await;
    hub.registry.add(NAME, "1.0.0");
    hub.publish();
    let good = hub.get(JASON).await.body;
    let files = hub.files();
    assert_eq!(files.len(), 1, "{files:?}");
    for Wrong { what, step, untrusted, stale, lasting } in wrong_ways() {
        hub.upstream.always(JASON, step);
        hub.clock.advance(Duration::from_secs(360));
        let (before, counted) = (hub.upstream.calls_to(JASON).len(), count(&hub, untrusted).await);
        for seconds in [0, 59] {
            hub.clock.advance(Duration::from_secs(seconds));
            let answer = hub.get(JASON).await;
            assert_eq!((answer.status, answer.cache()), (200, &*format!("stale; reason={stale}")), "{what}");
            assert_eq!(answer.body, good, "{what}");
            if !lasting {
                break;
            }
        }
        assert_eq!(hub.upstream.calls_to(JASON).len() - before, 1, "{what}: asked once within missing_ttl");
        assert_eq!(count(&hub, untrusted).await - counted, f64::from(u8::from(untrusted.is_some())), "{what}");
        assert_eq!(hub.files(), files, "{what}");

        hub.upstream.always(JASON, Step::route());
        hub.clock.advance(Duration::from_secs(1));
        assert_eq!(hub.get(JASON).await.cache(), "revalidated", "{what}: asked again after missing_ttl");
    }
    hub.upstream.switch_off().await;
    hub.restart().await;
    assert_eq!(hub.get(JASON).await.body, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_resource_is_verified() {
    let hub = Hub::start().await;
    let (acme, _) = sample("acme", NAME);
    let mut policy = Vec::new();
    push_bytes(&mut policy, 1, b"hexpm");
    push_bytes(&mut policy, 2, b"other");
    policy.extend([4 << 3, 1]);
    let cases: [(&str, Bytes, &str); 4] = [
        ("/names", acme.names(), "wrong_repository"),
        ("/versions", acme.versions(), "wrong_repository"),
        ("/packages/plug", hub.registry.seal(b"\x12\x05jason\x1a\x05hexpm"), "wrong_name"),
        ("/policies/strict", hub.registry.seal(&policy), "wrong_name"),
    ];
    for (path, body, reason) in cases {
        hub.upstream.serve(path, body);
        let before = count(&hub, Some(reason)).await;
        let answer = hub.get(path).await;
        assert_eq!(answer.status, 502, "{path}");
        assert!(answer.text().starts_with(NOT_VERIFIED), "{path}: {}", answer.text());
        assert_eq!(count(&hub, Some(reason)).await - before, 1.0, "{path}");
    }
    assert_eq!(hub.files(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_damaged_on_disk_is_dropped_and_fetched_again() {
    let mut hub = Hub::start().await;
    hub.registry.add(NAME, "1.0.0");
    hub.publish();
    let good = hub.get(JASON).await.body;
    hub.stop().await;
    let file = hub.data().join(&hub.files()[0]);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    hub.launch().await;
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "miss", &good));
    assert_eq!(hub.metric("hexkeep_damaged_total{repository=\"hexpm\",reason=\"registry\"}").await, 1.0);
    hub.upstream.switch_off().await;
    hub.restart().await;
    assert_eq!(hub.get(JASON).await.body, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_the_configured_key_did_not_sign_is_not_served_after_a_change_of_keys() {
    let mut hub = Hub::start().await;
    hub.registry.add(NAME, "1.0.0");
    hub.publish();
    assert_eq!(hub.get(JASON).await.status, 200);
    let stranger = PrivateKey::generate(2048).unwrap();
    let folder = hub.config_file().parent().unwrap().to_owned();
    std::fs::write(folder.join("registry.pem"), stranger.public().to_spki_pem()).unwrap();
    hub.restart().await;
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache()), (502, ""), "neither the copy nor what the upstream still sends");
    assert!(answer.text().starts_with(NOT_VERIFIED));
}
