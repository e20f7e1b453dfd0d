//! Absence is signed: what a private upstream does not have, only its signed list says.

use std::time::Duration;

use hexkeep::operations::Operations as _;
use hexkeep::operations::purge::Purge;
use hexkeep::state::audit::Actor;

use super::guard::{attacked, unseen};
use super::*;
use crate::support::upstream::{Gate, Step};

/// Past `metadata_ttl` and `stale_while_revalidate` of the private member, well within its `max_stale` of an hour.
const STALE: Duration = Duration::from_secs(150);
const HOUR: Duration = Duration::from_secs(3600);

/// `corp` was heard once. Since then it has published `acme_new`, and so has an attacker outside.
async fn since_published() -> (Hub, Elsewhere) {
    let (mut hub, mut corp) = attacked("").await;
    assert_eq!(hub.listed("").await, ["acme_core", "jason"]);
    assert_eq!(hub.releases("", "jason").await, ["1.0.0"]);
    assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200);
    corp.registry.add("acme_new", "1.0.0");
    corp.publish();
    hub.registry.add("acme_new", "99.0.0");
    hub.publish();
    (hub, corp)
}

/// Nobody gets the attacker's release of the new name.
async fn new_is_unseen(hub: &Hub, what: &str) {
    for path in ["/packages/acme_new", "/tarballs/acme_new-99.0.0.tar", "/docs/acme_new-99.0.0.tar.gz"] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, 502, "{what}: {path}: {}", answer.text());
    }
    let shown = hub.api(Method::GET, "/api/packages/acme_new", "", None).await;
    assert!(!shown.text().contains("99.0.0"), "{what}: {}", shown.text());
    let found = hub.api(Method::GET, "/api/packages?search=acme_new", "", None).await;
    assert!(!found.text().contains("99.0.0"), "{what}: {}", found.text());
    for list in ["/names", "/versions"] {
        assert_eq!(hub.get(list).await.status, 502, "{what}: {list} would show it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_has_signed_says_nothing_of_what_there_is() {
    for (what, step) in [
        ("everything is gone", Step::status(404)),
        ("everything is gone for good", Step::status(410)),
        ("forbidden", Step::status(403)),
        ("unauthorized", Step::status(401)),
        ("out of order", Step::status(503)),
    ] {
        let (mut hub, corp) = since_published().await;
        corp.upstream.everything(Some(step));
        for round in 0..6 {
            // Within `max_stale` at first, then beyond it.
            hub.clock.advance(if round < 3 { STALE } else { HOUR });
            new_is_unseen(&hub, what).await;
            unseen(&hub, &[""], what).await;
            if round % 2 == 1 {
                hub.restart().await;
            }
        }
        corp.upstream.everything(None);
        hub.clock.advance(HOUR);
        assert_eq!(hub.releases("", "acme_new").await, ["1.0.0"], "{what}: it is back");
        assert_eq!(hub.releases("", "jason").await, ["1.0.0"], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_confirmed_before_its_silence_counts() {
    // Just past `metadata_ttl`, where a list is otherwise served at once and refreshed meanwhile.
    for (list, status) in [(Step::status(404), 502), (Step::status(503), 502), (Step::route(), 200)] {
        let (hub, corp) = since_published().await;
        corp.upstream.always("/packages/acme_new", Step::status(404));
        corp.upstream.always("/names", list);
        hub.clock.advance(Duration::from_secs(61));
        let answer = hub.get("/packages/acme_new").await;
        match status {
            // The list is new, and has the name.
            200 => assert_eq!(answer.status, 404, "{}", answer.text()),
            status => assert_eq!(answer.status, status, "{}", answer.text()),
        }
        assert_eq!(hub.get("/packages/jason").await.status, status, "what is public is known by a list that is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_package_is_an_answer_whatever_becomes_of_the_list() {
    let (hub, corp) = since_published().await;
    for step in [Step::status(404), Step::status(403), Step::status(503)] {
        corp.upstream.always("/names", step);
        hub.clock.advance(STALE);
        assert_eq!(hub.releases("", "acme_new").await, ["1.0.0"]);
        assert_eq!(hub.get("/tarballs/acme_new-99.0.0.tar").await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_list_speaks_for_an_upstream_that_does_not_answer_at_all() {
    let (mut hub, corp) = since_published().await;
    corp.upstream.switch_off().await;
    for restarted in [true, false] {
        if restarted {
            hub.restart().await;
        }
        hub.clock.advance(STALE);
        assert_eq!(hub.releases("", "jason").await, ["1.0.0"], "public, by the last list");
        assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200);
        assert_eq!(hub.get("/versions").await.status, 200);
        unseen(&hub, &[""], "nobody answers").await;
    }
    // With every upstream gone.
    hub.upstream.switch_off().await;
    hub.restart().await;
    hub.clock.advance(STALE);
    assert_eq!(hub.releases("", "jason").await, ["1.0.0"]);
    assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200);
    // What was assumed long ago is known no more.
    hub.upstream.switch_on();
    hub.clock.advance(HOUR);
    for path in ["/packages/jason", "/packages/acme_core", "/packages/acme_new", "/names"] {
        assert_eq!(hub.get(path).await.status, 502, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_answered_badly_is_not_silent_when_it_is_left_alone() {
    let (hub, corp) = since_published().await;
    corp.upstream.everything(Some(Step::status(503)));
    hub.clock.advance(STALE);
    // After some failures it is not asked for a while.
    for _ in 0..6 {
        assert_eq!(hub.get("/packages/acme_new").await.status, 502);
        hub.clock.advance(Duration::from_secs(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_gets_no_younger_by_an_answer_that_nobody_has_signed() {
    let mut hub = Hub::with_repository("metadata_ttl: 60s, stale_while_revalidate: 60s, max_stale: 1h").await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    for list in ["/names", "/versions"] {
        assert_eq!(hub.get(list).await.cache(), "miss");
    }
    hub.upstream.everything(Some(Step::status(404)));
    for minutes in [3, 25, 25] {
        hub.clock.advance(Duration::from_secs(minutes * 60));
        for list in ["/names", "/versions"] {
            let answer = hub.get(list).await;
            assert_eq!((answer.status, answer.cache()), (200, "stale; reason=deleted"), "{list} after {minutes}");
        }
        hub.restart().await;
    }
    hub.clock.advance(Duration::from_secs(10 * 60));
    for list in ["/names", "/versions"] {
        assert_eq!(hub.get(list).await.status, 502, "{list}");
    }
    let log = hub.app().core().state().audit_log("hexpm", 10).await.unwrap();
    assert_eq!(log.iter().filter(|entry| entry.action == "upstream.package_removed").count(), 2, "said once for each");
    hub.upstream.everything(None);
    hub.clock.advance(Duration::from_secs(10 * 60));
    assert_eq!(hub.get("/names").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_begun_is_no_silence() {
    let never = Gate::new();
    let stalls = || Step::route().drip(1, &never);
    type Row = (&'static str, Vec<Step>, Step, Option<Step>, u16);
    let rows: [Row; 6] = [
        // What the private upstream answers for its list first, and always; for the package; what is answered here.
        ("nothing comes", vec![], Step::never(), None, 200),
        ("both have a head alone", vec![], stalls(), None, 502),
        ("the list has a head alone, the package is missing", vec![], stalls(), Some(Step::status(404)), 502),
        ("the list has a head alone, of the package nothing comes", vec![], stalls(), Some(Step::never()), 502),
        ("an error, then nothing", vec![Step::status(500)], Step::never(), None, 502),
        ("another place, then nothing", vec![Step::redirect(302, "/elsewhere")], Step::never(), None, 502),
    ];
    for (what, first, list, package, status) in rows {
        let mut corp = Elsewhere::new("corp").await;
        corp.registry.add("acme_core", "1.0.0");
        corp.publish();
        let mut instead: Vec<String> = MEMBERS.iter().map(|member| (*member).to_owned()).collect();
        let settings =
            ", private: true, metadata_ttl: 60s, stale_while_revalidate: 60s, max_stale: 1h, assumed_offline: 0s";
        instead.push(corp.line(settings));
        instead.push("hexpm: { type: virtual, members: [upstream, corp], on_member_failure: skip }".to_owned());
        let mut hub = Hub::with(Wishes { instead, server: "deadline: 3s".to_owned(), ..Wishes::default() }).await;
        hub.registry.add("acme_new", "99.0.0");
        hub.publish();
        assert_eq!(hub.listed("").await, ["acme_core", "acme_new"], "public as yet");
        corp.registry.add("acme_new", "1.0.0");
        corp.publish();
        corp.upstream.script("/names", first.clone());
        corp.upstream.script("/packages/acme_new", first);
        corp.upstream.everything(Some(list.clone()));
        corp.upstream.always("/packages/acme_new", package.unwrap_or(list));
        hub.clock.advance(STALE);
        let answer = hub.get("/packages/acme_new").await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let heard = hub.upstream.calls_to("/packages/acme_new").len();
        assert_eq!(heard, usize::from(status == 200), "{what}: who hears the name");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_came_in_a_bundle_says_nothing_of_what_it_does_not_have() {
    let (mut hub, mut corp) = attacked("").await;
    assert_eq!(hub.listed("").await, ["acme_core", "jason"]);
    let (lock, bundle) = (hub.data().join("../rebar.lock"), hub.data().join("../x.bundle"));
    std::fs::write(&lock, "{\"1.2.0\",\n[{<<\"acme_core\">>,{pkg,<<\"acme_core\">>,<<\"1.0.0\">>},0}]}.\n").unwrap();
    let (lock, bundle) = (lock.to_str().unwrap(), bundle.to_str().unwrap());
    let (code, _, said) = hub.command(&["bundle", "create", "--lock", lock, "-o", bundle]).await;
    assert_eq!(code, 0, "{said}");
    corp.registry.add("acme_new", "1.0.0");
    corp.publish();
    hub.registry.add("acme_new", "99.0.0");
    hub.publish();
    corp.upstream.switch_off().await;
    hub.clock.advance(HOUR * 2);
    new_is_unseen(&hub, "the list is old").await;
    let purge = Purge { repository: Some("corp".to_owned()), package: None, version: None };
    hub.app().core().purge(purge, Actor::console()).await.unwrap();
    let (code, _, said) = hub.command(&["bundle", "import", bundle]).await;
    assert_eq!(code, 0, "{said}");
    for moment in ["imported", "restarted"] {
        new_is_unseen(&hub, moment).await;
        assert_eq!(hub.releases("", "acme_core").await, ["1.0.0"], "{moment}: what it has is served");
        hub.restart().await;
    }
    corp.upstream.switch_on();
    hub.clock.advance(HOUR);
    assert_eq!(hub.releases("", "acme_new").await, ["1.0.0"], "it is confirmed");
    assert_eq!(hub.releases("", "jason").await, ["1.0.0"]);
}
