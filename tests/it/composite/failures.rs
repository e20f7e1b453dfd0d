//! Members that are slow, down, or send what does not verify.

use std::time::Duration;

use hexkeep::hex::message::Policy;

use super::*;
use crate::support::upstream::Step;

const AGENT: (&str, &str) = ("user-agent", "hex_core/0.18.0 hex/2.5.1 (elixir/1.14.0)");

/// Two public members; the first has `first`, both have `shared`. They have all the time that they may need.
async fn stage(settings: &str) -> (Hub, Elsewhere, Elsewhere) {
    stage_within("60s", settings).await
}

/// The same, which have to answer within `deadline`.
async fn stage_within(deadline: &str, settings: &str) -> (Hub, Elsewhere, Elsewhere) {
    let mut one = Elsewhere::new("one").await;
    let mut two = Elsewhere::new("two").await;
    one.registry.add("first", "1.0.0");
    one.registry.add("shared", "1.0.0");
    two.registry.add("second", "1.0.0");
    two.registry.add("shared", "2.0.0");
    one.publish();
    two.publish();
    let instead =
        vec![one.line(""), two.line(""), format!("hexpm: {{ type: virtual, members: [one, two]{settings} }}")];
    let hub = Hub::with(Wishes { instead, server: format!("deadline: {deadline}"), ..Wishes::default() }).await;
    (hub, one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_member_that_fails_fails_the_answer() {
    let (hub, one, _two) = stage("").await;
    one.upstream.everything(Some(Step::status(503)));
    for path in ["/packages/shared", "/packages/second", "/names", "/versions", "/tarballs/second-1.0.0.tar"] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
    }
    one.upstream.everything(None);
    hub.clock.advance(Duration::from_secs(60));
    assert_eq!(hub.releases("", "shared").await, ["1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn or_is_left_out_and_the_caller_is_told() {
    let (hub, one, _two) = stage(", on_member_failure: skip").await;
    one.upstream.everything(Some(Step::status(503)));
    let answer = hub.get_with("/packages/shared", &[AGENT]).await;
    assert_eq!((answer.status, answer.cache()), (200, "stale; reason=skipped"));
    assert_eq!(
        answer.header("x-hex-message"),
        "\"hexkeep: a member of hexpm is unavailable and was left out: packages may be missing\";level=warn"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let again = hub.get_with("/packages/second", &[AGENT]).await;
    assert_eq!((again.status, again.header("x-hex-message")), (200, ""), "once in ten minutes");
    assert_eq!(hub.releases("", "shared").await, ["2.0.0"]);
    assert_eq!(hub.listed("").await, ["second", "shared"]);
    // That nobody has it is not known.
    assert_eq!(hub.get("/packages/first").await.status, 502);

    one.upstream.everything(None);
    hub.clock.advance(Duration::from_secs(60));
    assert_eq!(hub.releases("", "shared").await, ["1.0.0"]);
    assert_eq!(hub.listed("").await, ["first", "second", "shared"]);
    // Stale is not skipped. What is refused is not asked for again, so that the answer is there in time.
    one.upstream.everything(Some(Step::status(400)));
    hub.clock.advance(Duration::from_secs(3600));
    let stale = hub.get("/packages/shared").await;
    assert_eq!((stale.status, stale.cache()), (200, "stale; reason=status_4xx"));
    assert_eq!(hub.releases("", "shared").await, ["1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_a_member_that_is_left_out_is_not_said_to_be_missing() {
    for merge in ["package", "release"] {
        let (hub, one, _two) = stage(&format!(", on_member_failure: skip, merge: {merge}")).await;
        let path = "/tarballs/shared-1.0.0.tar";
        one.upstream.everything(Some(Step::status(503)));
        assert_eq!(hub.get(path).await.status, 502, "{merge}: it is not known");
        assert_eq!(hub.get("/docs/shared-1.0.0.tar.gz").await.status, 502, "{merge}");
        assert_eq!(hub.get("/tarballs/shared-2.0.0.tar").await.status, 200, "{merge}: the others' are to be had");
        one.upstream.everything(None);
        hub.clock.advance(Duration::from_secs(60));
        assert_eq!(hub.get(path).await.status, 200, "{merge}");
        assert_eq!(hub.get("/tarballs/shared-9.9.9.tar").await.status, 404, "{merge}: now it is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_lists_fails_like_any_other() {
    for (settings, status) in [("", 502), (", on_member_failure: skip", 200)] {
        let (hub, one, _two) = stage(settings).await;
        for list in ["/names", "/versions"] {
            one.upstream.always(list, Step::status(404));
            let answer = hub.get(list).await;
            assert_eq!(answer.status, status, "{settings} {list}: {}", answer.text());
            if status == 200 {
                assert_eq!(answer.cache(), "stale; reason=skipped");
            }
        }
        assert_eq!(hub.releases("", "first").await, ["1.0.0"], "its packages are not concerned");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_member_is_not_waited_for_to_the_end() {
    let (hub, one, _two) = stage_within("4s", ", on_member_failure: skip").await;
    one.upstream.everything(Some(Step::never()));
    let answer = hub.get("/packages/second").await;
    assert_eq!((answer.status, answer.cache()), (200, "stale; reason=skipped"));
}

/// A policy as an upstream would publish it.
fn policy_of(registry: &TestRegistry) -> Bytes {
    let policy =
        Policy { repository: registry.name.clone(), name: "company".to_owned(), visibility: 1, ..Policy::default() };
    registry.seal(&policy.encode_to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_that_of_the_first_member_that_can_be_asked() {
    for (settings, status) in [(", on_member_failure: skip", 200), ("", 502)] {
        let (one, two) = (Elsewhere::new("one").await, Elsewhere::new("two").await);
        two.upstream.serve("/policies/company", policy_of(&two.registry));
        let team = format!("team: {{ type: virtual, members: [one, two]{settings} }}");
        let instead = vec![one.line(""), two.line(""), team];
        let top = "default_repository: team\n".to_owned();
        let hub = Hub::with(Wishes { instead, top, server: "deadline: 2s".to_owned(), ..Wishes::default() }).await;
        let resource = RegistryResource::Policy("company".parse().unwrap());
        assert_eq!(hub.get("/policies/other").await.status, 404);
        let seen = hub.payload("", "", "team", &resource).await;
        assert_eq!(Policy::decode(seen).unwrap().repository, "team");

        one.upstream.everything(Some(Step::status(503)));
        hub.clock.advance(Duration::from_secs(61));
        let answer = hub.get("/policies/company").await;
        assert_eq!(answer.status, status, "{settings}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.cache(), "stale; reason=skipped");
            // That nobody has it is not known.
            assert_eq!(hub.get("/policies/unknown").await.status, 502);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_is_no_answer() {
    for (what, name) in [("another name inside", "elsewhere"), ("a broken signature", "one")] {
        let (hub, one, _two) = stage("").await;
        let mut forged = TestRegistry::new(name);
        forged.add("first", "9.9.9");
        let mut body = forged.package("first").to_vec();
        if name == "one" {
            // The end of the deflated signature.
            let at = body.len() / 2;
            body[at] ^= 1;
        }
        one.upstream.serve("/packages/first", body);
        let answer = hub.get("/packages/first").await;
        assert_eq!(answer.status, 502, "{what}: {}", answer.text());
        assert_eq!(hub.get("/tarballs/first-9.9.9.tar").await.status, 502, "{what}");
        assert_eq!(hub.get("/packages/second").await.status, 200, "{what}: the others are not concerned");
    }
}
