//! Documentation: no checksum anywhere and replaced at any time, so a kind of its own.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use tokio::time::timeout;

use super::support::hub::{Hub, eventually};
use super::support::upstream::{Gate, Step};

const DOCS: &str = "/docs/jason-1.0.0.tar.gz";
const PACKAGE: &str = "/packages/jason";

/// `docs_ttl` is an hour by default.
const PAST_TTL: Duration = Duration::from_secs(3601);

/// Beyond the time in which a stale answer comes before the question.
const LONG_PAST: Duration = Duration::from_secs(3 * 3600);

async fn hub_with(docs: &Bytes) -> Hub {
    hub_like("", docs).await
}

async fn hub_like(settings: &str, docs: &Bytes) -> Hub {
    let mut hub = Hub::with_repository(settings).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub.upstream.serve(DOCS, docs.clone());
    hub
}

fn docs(size: usize) -> Bytes {
    (0..size).map(|at| u8::try_from(at % 253).unwrap()).collect()
}

impl Hub {
    fn docs_calls(&self) -> usize {
        self.upstream.calls_to(DOCS).len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_are_served_only_for_a_listed_release() {
    let hub = hub_with(&docs(100)).await;
    let path = "/docs/jason-2.0.0.tar.gz";
    hub.upstream.serve(path, docs(50));
    assert_eq!(hub.get(path).await.status, 404);
    assert_eq!(hub.get("/docs/poison-1.0.0.tar.gz").await.status, 404);
    assert!(hub.upstream.calls_to(path).is_empty(), "not even asked for");

    let listed = hub.get(DOCS).await;
    assert_eq!((listed.status, listed.cache()), (200, "miss"));
    assert_eq!(listed.body, docs(100));
    assert_eq!(listed.header("etag"), format!("\"{}\"", Sha256::of(&docs(100))));
    assert_eq!(listed.header("content-length"), "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_are_whole_before_their_first_byte() {
    // Larger than what of a tarball would be held back.
    let content = docs(300 * 1024);
    let hub = hub_with(&content).await;
    let gate = Gate::new();
    hub.upstream.script(DOCS, [Step::route().drip(100 * 1024, &gate)]);
    gate.release(2);
    let mut answer = Box::pin(hub.get(DOCS));
    assert!(timeout(Duration::from_millis(300), &mut answer).await.is_err(), "not even a head");
    gate.open();
    let answer = answer.await;
    assert_eq!((answer.status, answer.body), (200, content.clone()));

    let part = hub.get_with(DOCS, &[("range", "bytes=5-9")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &content[5..10]));
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_that_break_off_are_not_passed_on() {
    let content = docs(300 * 1024);
    let hub = hub_with(&content).await;
    let cut = || Step::ok(content.clone()).cut_after(100 * 1024);
    hub.upstream.script(DOCS, [cut(), cut(), cut()]);
    assert_eq!(hub.get(DOCS).await.status, 502);
    assert!(
        !hub.files().iter().any(|file| file.starts_with("blobs/") || file.starts_with("tmp/")),
        "{:?}",
        hub.files()
    );
    hub.clock.advance(Duration::from_secs(31));
    assert_eq!(hub.get(DOCS).await.body, content);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_cost_one_request() {
    let hub = hub_with(&docs(100)).await;
    hub.get(PACKAGE).await;
    let gate = Gate::new();
    hub.upstream.script(DOCS, [Step::route().gated(&gate)]);
    let ask = || hub.get(DOCS);
    let release = async {
        hub.upstream.wait_for_calls_to(DOCS, 1).await;
        gate.open();
    };
    let (a, b, c, ()) = tokio::join!(ask(), ask(), ask(), release);
    for answer in [a, b, c] {
        assert_eq!((answer.status, answer.body), (200, docs(100)));
    }
    assert_eq!(hub.docs_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_are_fresh_for_docs_ttl_and_then_confirmed() {
    let mut hub = hub_like("stale_while_revalidate: 0s", &docs(100)).await;
    hub.get(DOCS).await;
    hub.clock.advance(Duration::from_secs(3500));
    let fresh = hub.get(DOCS).await;
    assert_eq!((fresh.cache(), hub.docs_calls()), ("hit", 1));
    for (restarted, calls) in [(false, 2), (true, 3)] {
        if restarted {
            hub.restart().await;
        }
        hub.clock.advance(PAST_TTL);
        let confirmed = hub.get(DOCS).await;
        assert_eq!((confirmed.status, confirmed.cache()), (200, "revalidated"), "{restarted}");
        assert_eq!(confirmed.body, docs(100));
        let asked = hub.upstream.calls_to(DOCS);
        assert_eq!(asked.len(), calls);
        assert!(asked[calls - 1].header("if-none-match").is_some(), "304 is all that comes back");
        assert_eq!(hub.get(DOCS).await.cache(), "hit", "and counts as fresh again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_just_past_their_time_are_served_and_refreshed_behind() {
    let hub = hub_with(&docs(100)).await;
    hub.get(DOCS).await;
    hub.upstream.serve(DOCS, docs(200));
    hub.clock.advance(PAST_TTL);
    let stale = hub.get(DOCS).await;
    assert_eq!((stale.cache(), &stale.body), ("stale; reason=revalidating", &docs(100)));
    eventually("the new docs arrive", async || hub.get(DOCS).await.body == docs(200)).await;
    assert_eq!(hub.docs_calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_docs_take_the_place_of_the_old() {
    let mut hub = hub_like("stale_while_revalidate: 0s", &docs(100)).await;
    let before = hub.get(DOCS).await;
    hub.upstream.serve(DOCS, docs(200));
    hub.clock.advance(PAST_TTL);
    let after = hub.get(DOCS).await;
    assert_eq!((after.status, after.cache(), &after.body), (200, "miss", &docs(200)));
    assert_ne!(after.header("etag"), before.header("etag"));
    let replayed = hub.get_with(DOCS, &[("if-none-match", before.header("etag"))]).await;
    assert_eq!(replayed.status, 200, "whoever has the old ones gets the new");
    let current = hub.get_with(DOCS, &[("if-none-match", after.header("etag"))]).await;
    assert_eq!(current.status, 304);
    hub.restart().await;
    let restarted = hub.get(DOCS).await;
    assert_eq!((restarted.cache(), &restarted.body), ("hit", &docs(200)));
    assert_eq!(hub.docs_calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_over_sixteen_mebibytes_are_refused() {
    const LIMIT: usize = 16 * 1024 * 1024;
    let hub = hub_with(&Bytes::from(vec![7; LIMIT + 1])).await;
    assert_eq!(hub.get(DOCS).await.status, 502, "announced");
    let calls = hub.docs_calls();
    assert_eq!(hub.get(DOCS).await.status, 502);
    assert_eq!(hub.docs_calls(), calls, "what is too long is not fetched again for every request");
    hub.clock.advance(Duration::from_secs(61));
    hub.upstream.script(DOCS, [Step::route().chunked()]);
    assert_eq!(hub.get(DOCS).await.status, 502, "found out");
    hub.clock.advance(Duration::from_secs(61));
    hub.upstream.script(DOCS, [Step::endless()]);
    assert_eq!(hub.get(DOCS).await.status, 502, "endless");
    assert!(
        !hub.files().iter().any(|file| file.starts_with("blobs/") || file.starts_with("tmp/")),
        "{:?}",
        hub.files()
    );
    hub.clock.advance(Duration::from_secs(61));
    hub.upstream.serve(DOCS, vec![7; LIMIT]);
    let largest = hub.get(DOCS).await;
    assert_eq!((largest.status, largest.body.len()), (200, LIMIT));
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_are_none_is_remembered_for_a_minute() {
    let hub = hub_with(&docs(100)).await;
    hub.upstream.forget(DOCS);
    for _ in 0..3 {
        assert_eq!(hub.get(DOCS).await.status, 404);
    }
    assert_eq!(hub.docs_calls(), 1);
    hub.upstream.serve(DOCS, docs(100));
    hub.clock.advance(Duration::from_secs(61));
    assert_eq!(hub.get(DOCS).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_403_to_docs_that_are_held_is_no_removal() {
    let content = docs(300);
    let hub = hub_with(&content).await;
    assert_eq!(hub.get(DOCS).await.cache(), "miss");
    hub.upstream.always(DOCS, Step::status(403));
    hub.clock.advance(LONG_PAST);
    for _ in 0..2 {
        let answer = hub.get(DOCS).await;
        assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=forbidden", &content));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_outlive_their_upstream() {
    let mut hub = hub_with(&docs(100)).await;
    hub.get(DOCS).await;
    hub.upstream.switch_off().await;
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        hub.clock.advance(LONG_PAST);
        let stale = hub.get(DOCS).await;
        assert_eq!((stale.status, stale.body.clone()), (200, docs(100)), "{restarted} {}", stale.text());
        assert!(stale.cache().starts_with("stale; reason="), "{}", stale.cache());
    }
    hub.upstream.switch_on();
    hub.clock.advance(LONG_PAST);
    eventually("they are confirmed again", async || hub.get(DOCS).await.cache() == "hit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_docs_are_dropped_counted_and_fetched_again() {
    let mut hub = hub_with(&docs(100)).await;
    hub.get(DOCS).await;
    hub.stop().await;
    let blob = hub.files().into_iter().find(|file| file.starts_with("blobs/")).unwrap();
    std::fs::write(hub.data().join(blob), docs(99)).unwrap();
    hub.launch().await;
    let again = hub.get(DOCS).await;
    assert_eq!((again.status, again.cache(), &again.body), (200, "miss", &docs(100)));
    assert_eq!(hub.metric("hexkeep_damaged_total{repository=\"hexpm\",reason=\"blob\"}").await, 1.0);
    let asked = hub.upstream.calls_to(DOCS);
    assert_eq!(asked[1].header("if-none-match"), None, "a validator for bytes that are gone would get nothing back");
}
