//! A private upstream that is slow, or that refused its list, is not silent: nobody else answers for its names.

use std::time::Duration;

use super::*;
use crate::support::hub::eventually;
use crate::support::upstream::{Gate, Step};

/// Past `metadata_ttl` and `stale_while_revalidate` of the private member, well within its `max_stale`.
const STALE: Duration = Duration::from_secs(150);
const NEW: &str = "/packages/acme_new";

/// `corp` was heard once. Since then it has published `acme_new`, and so has an attacker outside.
async fn since_published(deadline: &str, settings: &str) -> (Hub, Elsewhere) {
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("acme_core", "1.0.0");
    corp.publish();
    let mut instead: Vec<String> = MEMBERS.iter().map(|member| (*member).to_owned()).collect();
    let usual = ", private: true, metadata_ttl: 60s, stale_while_revalidate: 60s, max_stale: 1h";
    instead.push(corp.line(&format!("{usual}{settings}")));
    instead.push("hexpm: { type: virtual, members: [upstream, corp], on_member_failure: skip }".to_owned());
    let mut hub = Hub::with(Wishes { instead, server: format!("deadline: {deadline}"), ..Wishes::default() }).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    assert_eq!(hub.listed("").await, ["acme_core", "jason"]);
    corp.registry.add("acme_new", "1.0.0");
    corp.publish();
    hub.registry.add("acme_new", "99.0.0");
    hub.publish();
    hub.clock.advance(STALE);
    (hub, corp)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_arrives_while_the_package_is_awaited_decides() {
    for path in [NEW, "/tarballs/acme_new-99.0.0.tar", "/docs/acme_new-99.0.0.tar.gz"] {
        let (hub, corp) = since_published("4s", "").await;
        let list = Gate::new();
        corp.upstream.always("/names", Step::route().gated(&list));
        corp.upstream.always(NEW, Step::never());
        let arrives = async {
            // Half of the time is over, and the package is asked for.
            corp.upstream.wait_for_calls_to(NEW, 1).await;
            list.open();
        };
        let (answer, ()) = tokio::join!(hub.get(path), arrives);
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        assert!(hub.upstream.calls_to(NEW).is_empty(), "{path}: nobody outside hears the name");
        // A name that the list does not have is public, though of the package nothing comes.
        assert_eq!(hub.releases("", "jason").await, ["1.0.0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_begins_while_public_members_are_heard_is_no_silence() {
    let series = "hexkeep_upstream_requests_total{repository=\"corp\",reason=\"body\"}";
    let never = Gate::new();
    for (what, is_whole, is_package) in
        [("the head of the list", false, false), ("the list", true, false), ("the head of the package", false, true)]
    {
        let (hub, corp) = since_published("8s", "").await;
        let before = hub.metric(series).await;
        let (late, public) = (Gate::new(), Gate::new());
        let answer = Step::route().gated(&late);
        let answer = if is_whole { answer } else { answer.drip(1, &never) };
        let (list, package) = if is_package { (Step::hang_up(), answer) } else { (answer, Step::hang_up()) };
        corp.upstream.always("/names", list);
        corp.upstream.always(NEW, package);
        hub.upstream.always(NEW, Step::route().gated(&public));
        let begins = async {
            hub.upstream.wait_for_calls_to(NEW, 1).await;
            late.open();
            eventually("the private upstream begins to answer", async || hub.metric(series).await > before).await;
            public.open();
        };
        let (answer, ()) = tokio::join!(hub.get(NEW), begins);
        assert_eq!(answer.status, 502, "{what}: {}", answer.text());
        assert!(answer.text().contains("in time"), "{what}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_list_stays_refused_while_its_upstream_is_not_asked() {
    for (what, refusal) in [
        ("missing", Step::status(404)),
        ("unauthorized", Step::status(401)),
        ("refused", Step::status(400)),
        ("not signed", Step::ok("garbage")),
    ] {
        let (hub, corp) = since_published("5s", ", missing_ttl: 10s, assumed_offline: 30s").await;
        corp.upstream.everything(Some(Step::hang_up()));
        corp.upstream.always("/names", refusal);
        // Each time the package fails without an answer; after three times nothing is sent for half a minute.
        for _ in 0..4 {
            assert_eq!(hub.get(NEW).await.status, 502, "{what}");
        }
        let asked = corp.upstream.calls().len();
        for _ in 0..2 {
            hub.clock.advance(Duration::from_secs(11));
            let answer = hub.get(NEW).await;
            assert_eq!(answer.status, 502, "{what}, when the failure is not remembered: {}", answer.text());
        }
        assert_eq!(corp.upstream.calls().len(), asked, "{what}: it was left alone");
        assert!(hub.upstream.calls_to(NEW).is_empty(), "{what}: nobody outside hears the name");
        // A request that gets no answer is silence.
        corp.upstream.always("/names", Step::hang_up());
        hub.clock.advance(Duration::from_secs(31));
        assert_eq!(hub.releases("", "jason").await, ["1.0.0"], "{what}: by the last list");
    }
}
