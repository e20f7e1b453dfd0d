//! How long a registry resource is served, when its upstream is asked, and what is served when the upstream fails.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use hexkeep::operations::Operations as _;
use hexkeep::state::audit::Actor;

use super::support::hub::{Answer, Hub, Wishes, eventually};
use super::support::upstream::{Gate, Step, etag_of};

const JASON: &str = "/packages/jason";

/// Past `metadata_ttl`: served, and refreshed meanwhile.
const PAST_TTL: Duration = Duration::from_secs(60);
/// Past `stale_while_revalidate`, too: the upstream is asked first.
const PAST_BACKGROUND: Duration = Duration::from_secs(60 + 300);

/// A daemon that has fetched `packages/jason` once.
async fn warm(settings: &str) -> (Hub, Bytes) {
    let mut hub = Hub::with_repository(settings).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let first = hub.get(JASON).await;
    assert_eq!((first.status, first.cache()), (200, "miss"));
    (hub, first.body)
}

fn calls(hub: &Hub) -> usize {
    hub.upstream.calls_to(JASON).len()
}

async fn newer(hub: &mut Hub) -> Bytes {
    hub.registry.add("jason", "1.1.0");
    hub.publish();
    hub.registry.package("jason")
}

/// Many clients at once, each with a connection of its own.
async fn crowd(hub: &Hub, size: usize, path: &str) -> Vec<Answer> {
    join_all((0..size).map(|_| hub.get(path))).await
}

/// Waits until the daemon has taken `count` connections.
async fn connected(hub: &Hub, count: f64) {
    eventually("everybody is connected", async || hub.metric("hexkeep_connections").await >= count).await;
}

fn upstream_requests(outcome: &str) -> String {
    format!("hexkeep_upstream_requests_total{{repository=\"hexpm\",reason=\"{outcome}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fresh_is_served_without_a_call() {
    let (mut hub, body) = warm("").await;
    hub.clock.advance(PAST_TTL - Duration::from_millis(1));
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache(), &answer.body), (200, "hit", &body));
        assert_eq!(answer.header("cache-control"), "public, max-age=60");
    }
    assert_eq!(calls(&hub), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_little_old_is_served_at_once_and_refreshed_once() {
    let (mut hub, old) = warm("").await;
    let new = newer(&mut hub).await;
    let gate = Gate::new();
    hub.upstream.script(JASON, [Step::route().gated(&gate)]);
    hub.clock.advance(PAST_TTL);
    for _ in 0..5 {
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=revalidating", &old));
        assert_eq!(answer.header("x-hex-message"), "", "a refresh in the background is nothing to be told");
    }
    hub.upstream.wait_for_calls_to(JASON, 2).await;
    gate.open();
    eventually("the refresh has ended", async || hub.get(JASON).await.cache() == "hit").await;
    assert_eq!(hub.get(JASON).await.body, new);
    assert_eq!(calls(&hub), 2, "five requests while it was old, one refresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_in_the_background_that_fails_is_not_repeated_at_once() {
    let (hub, body) = warm("").await;
    hub.upstream.always(JASON, Step::status(400));
    hub.clock.advance(PAST_TTL);
    assert_eq!(hub.get(JASON).await.cache(), "stale; reason=revalidating");
    eventually("the refresh has failed", async || hub.get(JASON).await.cache() == "stale; reason=status_4xx").await;
    assert_eq!(hub.get(JASON).await.body, body);
    assert_eq!(calls(&hub), 2);
    hub.clock.advance(Duration::from_secs(1));
    assert_eq!(hub.get(JASON).await.cache(), "stale; reason=revalidating");
    hub.upstream.wait_for_calls_to(JASON, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_asked_about_first_and_304_renews_it() {
    let (mut hub, body) = warm("").await;
    let bytes = "hexkeep_upstream_bytes_total{repository=\"hexpm\"}";
    let received = hub.metric(bytes).await;
    assert!(received > 0.0);
    hub.clock.advance(PAST_BACKGROUND);
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "revalidated", &body));
    let call = &hub.upstream.calls_to(JASON)[1];
    assert_eq!(call.header("if-none-match"), Some(&*etag_of(&body)), "the upstream's own tag");
    assert_eq!(call.header("cache-control"), None);
    assert_eq!(hub.metric(&upstream_requests("not_modified")).await, 1.0);
    assert_eq!(hub.metric(bytes).await, received, "no body came");

    hub.clock.advance(PAST_TTL - Duration::from_secs(1));
    assert_eq!(hub.get(JASON).await.cache(), "hit", "304 renews for a whole metadata_ttl");
    hub.restart().await;
    assert_eq!(hub.get(JASON).await.cache(), "hit", "and that is remembered on disk");
    assert_eq!(calls(&hub), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_and_has_changed_is_replaced() {
    let (mut hub, _) = warm("").await;
    let new = newer(&mut hub).await;
    hub.clock.advance(PAST_BACKGROUND);
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "miss", &new));
    hub.restart().await;
    let answer = hub.get(JASON).await;
    assert_eq!((answer.cache(), &answer.body), ("hit", &new));
    assert_eq!(calls(&hub), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_upstream_fails_the_last_good_copy_is_served_with_the_reason() {
    let (hub, body) = warm("").await;
    let cases = [
        (Step::status(500), "status_5xx", 3),
        (Step::status(503), "status_5xx", 3),
        (Step::status(400), "status_4xx", 1),
        (Step::status(401), "refused", 1),
        (Step::status(403), "forbidden", 1),
        (Step::too_many(Some("5")), "rate_limited", 1),
        (Step::status(503).header("retry-after", "5"), "rate_limited", 1),
        (Step::hang_up(), "connect", 3),
        (Step::redirect(302, "ftp://elsewhere.test/"), "redirect", 1),
        (Step::status(204), "protocol", 1),
        (Step::ok(body.clone()).cut_after(body.len() - 1), "truncated", 1),
    ];
    for (step, reason, attempts) in cases {
        hub.upstream.always(JASON, step);
        hub.clock.advance(PAST_BACKGROUND);
        let before = calls(&hub);
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache()), (200, &*format!("stale; reason={reason}")));
        assert_eq!(answer.body, body, "{reason}");
        // Retries depend on a budget, so there may be fewer.
        let made = calls(&hub) - before;
        assert!((1..=attempts).contains(&made), "{reason}: {made} calls");

        let again = hub.get(JASON).await;
        assert_eq!(again.cache(), format!("stale; reason={reason}"));
        assert_eq!(calls(&hub) - before, made, "{reason}: not asked again at once");

        hub.upstream.always(JASON, Step::route());
        hub.clock.advance(Duration::from_secs(60));
        assert_eq!(hub.get(JASON).await.cache(), "revalidated", "after {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_connection_is_refused_the_last_good_copy_is_served() {
    let (mut hub, body) = warm("").await;
    hub.clock.advance(PAST_BACKGROUND);
    hub.upstream.switch_off().await;
    hub.restart().await;
    assert_eq!(hub.ops("/ready").await.status, 200, "ready while the upstream is down");
    let answer = hub.get_with(JASON, &[("user-agent", "hex/2.5.0 (elixir/1.18)")]).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=connect", &body));
    assert!(answer.header("x-hex-message").contains("served from the cache"), "{:?}", answer.headers);
    let missing = hub.get("/packages/other").await;
    assert_eq!(missing.status, 502);
    let sentence = "the upstream cannot be reached or failed (no connection), and there is no copy of packages/other in the \
                    cache; try again later";
    assert_eq!(missing.text().trim_end(), sentence);
    assert_eq!(missing.header("retry-after"), "");

    hub.upstream.switch_on();
    hub.clock.advance(Duration::from_secs(1));
    assert_eq!(hub.get(JASON).await.cache(), "revalidated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_slow_holds_nobody_longer_than_two_seconds() {
    let (mut hub, old) = warm("").await;
    let new = newer(&mut hub).await;
    let gate = Gate::new();
    hub.upstream.script(JASON, [Step::route().gated(&gate)]);
    hub.clock.advance(PAST_BACKGROUND);
    let began = Instant::now();
    for answer in crowd(&hub, 3, JASON).await {
        assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=slow", &old));
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&took), "{took:?}");
    gate.open();
    eventually("the answer that came late is kept", async || hub.get(JASON).await.cache() == "hit").await;
    assert_eq!(hub.get(JASON).await.body, new);
    assert_eq!(calls(&hub), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_served_beyond_max_stale() {
    let (mut hub, body) = warm("max_stale: 1h").await;
    hub.upstream.switch_off().await;
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(hub.get(JASON).await.cache(), "stale; reason=connect");
    hub.clock.advance(Duration::from_secs(1));
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache()), (502, ""));
        assert!(answer.text().contains("try again later"), "{}", answer.text());
    }
    hub.upstream.switch_on();
    hub.clock.advance(Duration::from_secs(30));
    let answer = hub.get(JASON).await;
    assert_eq!((answer.cache(), &answer.body), ("revalidated", &body), "what is too old to serve is still worth a 304");
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_never_serves_what_is_stale() {
    let (hub, _) = warm("network: strict").await;
    assert_eq!(hub.get(JASON).await.cache(), "hit");
    hub.clock.advance(PAST_TTL);
    assert_eq!(hub.get(JASON).await.cache(), "revalidated", "asked first, however little too old");
    for step in [Step::status(500), Step::ok("garbage"), Step::status(403)] {
        hub.clock.advance(PAST_TTL);
        hub.upstream.always(JASON, step);
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache()), (502, ""), "{}", answer.text());
        hub.upstream.always(JASON, Step::route());
        hub.clock.advance(PAST_TTL);
        assert_eq!(hub.get(JASON).await.cache(), "revalidated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_never_asks_and_serves_any_age() {
    let (mut hub, body) = warm("").await;
    hub.configure(&Wishes { repository: "network: offline".into(), ..Wishes::default() });
    hub.restart().await;
    assert_eq!(hub.get(JASON).await.cache(), "hit");
    hub.clock.advance(Duration::from_secs(3650 * 24 * 3600));
    let before = hub.upstream.calls().len();
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=offline", &body));
    for path in ["/names", "/versions", "/packages/other", "/tarballs/jason-1.0.0.tar", "/docs/jason-1.0.0.tar.gz"] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, 502, "{path}");
        assert!(
            answer.text().contains("is not cached, and the upstream is not contacted (network: offline)"),
            "{path}: {}",
            answer.text()
        );
    }
    assert_eq!(hub.upstream.calls().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_at_once_the_upstream_is_asked_once() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let gate = Gate::new();
    hub.upstream.always(JASON, Step::route().gated(&gate));
    let release = async {
        hub.upstream.wait_for_calls_to(JASON, 1).await;
        connected(&hub, 24.0).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(crowd(&hub, 24, JASON), release);
    let count = |status: &str| answers.iter().filter(|answer| answer.cache() == status).count();
    assert_eq!(count("miss"), 1);
    assert!(count("coalesced") > 0);
    // Whoever was connected and had not asked before the answer came has a hit.
    assert_eq!(count("coalesced") + count("hit"), 23);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == hub.registry.package("jason")));
    assert_eq!(calls(&hub), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_goes_to_all_who_wait_for_it() {
    for (step, status) in [(Step::ok("garbage"), 502), (Step::status(404), 404)] {
        let hub = Hub::start().await;
        let gate = Gate::new();
        hub.upstream.always(JASON, step.gated(&gate));
        let release = async {
            hub.upstream.wait_for_calls_to(JASON, 1).await;
            connected(&hub, 12.0).await;
            gate.open();
        };
        let (answers, ()) = tokio::join!(crowd(&hub, 12, JASON), release);
        assert!(answers.iter().all(|answer| answer.status == status && !answer.body.is_empty()), "{answers:?}");
        assert_eq!(calls(&hub), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_another_ones_fetch_beyond_the_deadline() {
    let mut hub = Hub::with(Wishes { server: "deadline: 1s".into(), ..Wishes::default() }).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub.upstream.script(JASON, [Step::never()]);
    let began = Instant::now();
    for answer in crowd(&hub, 4, JASON).await {
        assert_eq!((answer.status, answer.cache()), (502, ""));
        assert!(answer.text().contains("the upstream did not answer in time"), "{}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&took), "{took:?}");
    hub.upstream.wait_until_idle().await;
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache()), (200, "miss"), "the hanging fetch has left nothing behind");
    assert_eq!(hub.get(JASON).await.cache(), "hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_cancels_nothing() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let gate = Gate::new();
    hub.upstream.script(JASON, [Step::route().gated(&gate)]);
    {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        tokio::select! {
            _ = client.get(format!("{}{JASON}", hub.url())).send() => panic!("answered before the upstream has"),
            () = hub.upstream.wait_for_calls_to(JASON, 1) => {}
        }
    }
    eventually("the client is gone", async || hub.metric("hexkeep_connections").await == 0.0).await;
    gate.open();
    hub.upstream.wait_until_idle().await;
    let answer = hub.get(JASON).await;
    assert!(["hit", "coalesced"].contains(&answer.cache()), "{}", answer.cache());
    assert_eq!(calls(&hub), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_remembered_for_missing_ttl() {
    let mut hub = Hub::with_repository("missing_ttl: 30s").await;
    for status in [404, 410, 403] {
        hub.upstream.always(JASON, Step::status(status));
        let before = calls(&hub);
        for _ in 0..3 {
            let answer = hub.get(JASON).await;
            assert_eq!((answer.status, &*answer.text()), (404, "not found\n"));
        }
        hub.clock.advance(Duration::from_secs(29));
        assert_eq!(hub.get(JASON).await.status, 404);
        assert_eq!(calls(&hub) - before, 1, "{status}");
        hub.clock.advance(Duration::from_secs(1));
    }
    hub.upstream.always(JASON, Step::route());
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    assert_eq!(hub.get(JASON).await.cache(), "miss", "it has come into being meanwhile");
    assert_eq!(hub.files().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_freezes_nothing() {
    let (mut hub, _) = warm("").await;
    assert_eq!(hub.get("/packages/plug").await.status, 404);
    hub.clock.set_back(Duration::from_secs(86_400));
    let body = newer(&mut hub).await;
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "miss", &body));
    assert_eq!(hub.get(JASON).await.cache(), "hit", "confirmed by the clock as it is now");
    assert_eq!(hub.get("/packages/plug").await.cache(), "miss", "that it is missing is remembered for a minute");
    // While nobody can say more, what there is goes out as stale.
    hub.clock.set_back(Duration::from_secs(3600));
    hub.upstream.everything(Some(Step::status(503)));
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=status_5xx", &body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_forgets_what_does_not_exist() {
    let mut hub = Hub::start().await;
    assert_eq!(hub.get(JASON).await.status, 404);
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    assert_eq!(hub.get(JASON).await.status, 404);
    let purge = hexkeep::operations::purge::Purge {
        repository: Some("hexpm".into()),
        package: Some("jason".into()),
        version: None,
    };
    hub.app().core().purge(purge, Actor::console()).await.unwrap();
    assert_eq!(hub.get(JASON).await.cache(), "miss");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_keeps_failing_is_left_alone_for_a_while() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub.upstream.everything(Some(Step::status(500)));
    let up = "hexkeep_upstream_up{repository=\"hexpm\"}";
    assert_eq!(hub.metric(up).await, 1.0);
    for name in ["a", "b", "c"] {
        assert_eq!(hub.get(&format!("/packages/{name}")).await.status, 502);
    }
    let before = hub.upstream.calls().len();
    assert_eq!(hub.metric(up).await, 0.0);
    hub.upstream.everything(None);
    for _ in 0..5 {
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache()), (502, ""));
    }
    hub.clock.advance(Duration::from_secs(29));
    assert_eq!(hub.get(JASON).await.status, 502);
    assert_eq!(hub.upstream.calls().len(), before, "it is not asked");

    // One probe; it fails, and the others are not sent.
    let gate = Gate::new();
    hub.upstream.everything(Some(Step::status(500).gated(&gate)));
    hub.clock.advance(Duration::from_secs(1));
    let release = async {
        hub.upstream.wait_for_calls(before + 1).await;
        for name in ["d", "e"] {
            assert_eq!(hub.get(&format!("/packages/{name}")).await.status, 502, "not while the probe is out");
        }
        gate.open();
    };
    let (probe, ()) = tokio::join!(hub.get("/packages/probe"), release);
    assert_eq!(probe.status, 502);
    assert_eq!(hub.upstream.calls().len(), before + 1, "one probe, once");

    hub.upstream.everything(None);
    assert_eq!(hub.get(JASON).await.status, 502, "the failed probe starts the time anew");
    hub.clock.advance(Duration::from_secs(30));
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_eq!(hub.get("/names").await.cache(), "miss");
    assert_eq!(hub.metric(up).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_upstream_asks_for_is_kept_for_all_its_resources() {
    let (hub, body) = warm("").await;
    hub.upstream.script(JASON, [Step::too_many(Some("120"))]);
    hub.clock.advance(PAST_BACKGROUND);
    assert_eq!(hub.get(JASON).await.cache(), "stale; reason=rate_limited");
    let before = hub.upstream.calls().len();
    for seconds in [2, 60, 57] {
        hub.clock.advance(Duration::from_secs(seconds));
        let answer = hub.get(JASON).await;
        assert_eq!((answer.cache(), &answer.body), ("stale; reason=rate_limited", &body));
        let other = hub.get("/names").await;
        assert_eq!((other.status, other.header("retry-after")), (502, ""));
    }
    assert_eq!(hub.upstream.calls().len(), before);
    hub.clock.advance(Duration::from_secs(1));
    assert_eq!(hub.get("/names").await.cache(), "miss");
    hub.clock.advance(Duration::from_secs(1));
    assert_eq!(hub.get(JASON).await.cache(), "revalidated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_failure_is_tried_again_within_the_deadline() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub.upstream.script(JASON, [Step::status(503), Step::hang_up()]);
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache()), (200, "miss"));
    assert_eq!(calls(&hub), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_go_only_to_the_upstream_that_gave_them() {
    let acme = |path: &str| Wishes {
        more: vec![format!("acme: {{ type: remote, name: hexpm, url: \"{{url}}{path}\", public_key: {{key}} }}")],
        ..Wishes::default()
    };
    let mut hub = Hub::with(acme("/one")).await;
    hub.registry.add("jason", "1.0.0");
    let body = hub.registry.package("jason");
    hub.upstream.serve("/one/packages/jason", body.clone());
    hub.upstream.serve("/two/packages/jason", body.clone());
    let path = "/repos/acme/packages/jason";
    assert_eq!(hub.get(path).await.cache(), "miss");

    hub.configure(&acme("/two"));
    let changes = hub.app().core().reload().await.unwrap();
    assert_eq!(changes, ["repository `acme` has changed"]);
    hub.clock.advance(PAST_BACKGROUND);
    let answer = hub.get(path).await;
    assert_eq!((answer.cache(), &answer.body), ("miss", &body));
    let asked = hub.upstream.calls_to("/two/packages/jason");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("if-none-match"), None, "a tag of the old upstream means nothing to the new one");

    hub.clock.advance(PAST_BACKGROUND);
    assert_eq!(hub.get(path).await.cache(), "revalidated");
    assert_eq!(hub.upstream.calls_to("/two/packages/jason")[1].header("if-none-match"), Some(&*etag_of(&body)));
    assert_eq!(hub.upstream.calls_to("/one/packages/jason").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_without_its_record_is_confirmed_before_it_counts_as_fresh() {
    let (mut hub, body) = warm("").await;
    hub.stop().await;
    std::fs::remove_dir_all(hub.data().join("index")).unwrap();
    hub.launch().await;
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "miss", &body));
    assert_eq!(hub.upstream.calls_to(JASON)[1].header("if-none-match"), None, "its validators are lost");
    assert_eq!(hub.get(JASON).await.cache(), "hit");
}
