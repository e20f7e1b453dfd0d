//! Dependency confusion: an attacker publishes a private name upstream, and nobody ever sees it.

use std::time::Duration;

use super::*;
use crate::support::upstream::Step;

const HOUR: Duration = Duration::from_secs(3600);

/// Nobody gets the attacker's release, in index, list or file.
pub(super) async fn unseen(hub: &Hub, keys: &[&str], what: &str) {
    for key in keys {
        let answer = hub.fetch(key, "/packages/acme_core").await;
        if answer.status == 200 {
            let versions = hub.releases(key, "acme_core").await;
            assert!(!versions.contains(&"99.0.0".to_owned()), "{what}: {versions:?}");
        }
        for path in ["/tarballs/acme_core-99.0.0.tar", "/docs/acme_core-99.0.0.tar.gz"] {
            assert_ne!(hub.fetch(key, path).await.status, 200, "{path}: {what}");
        }
        let answer = hub.fetch(key, "/versions").await;
        if answer.status == 200 {
            let listed = hub.versions(key).await;
            let found = listed.iter().find(|(name, _)| name == "acme_core");
            assert!(found.is_none_or(|(_, versions)| !versions.contains(&"99.0.0".to_owned())), "{what}: {found:?}");
        }
    }
    let asked = hub.upstream.calls().iter().any(|call| call.path.contains("acme_core-99.0.0"));
    assert!(!asked, "{what}: the file was not even asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_answers_a_local_name() {
    let mut hub = drop_in(", deploy_to: acme, anonymous_read: true").await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    let stranger = hub.user("sam", false).await;
    hub.published_here(&root, "acme_core", "1.0.0").await;
    hub.registry.add("acme_core", "99.0.0");
    hub.publish();
    for round in 0..2 {
        unseen(&hub, &["", &stranger, &root], "a local member").await;
        assert_eq!(hub.releases(&root, "acme_core").await, ["1.0.0"]);
        assert_eq!(hub.fetch(&stranger, "/packages/acme_core").await.status, 403);
        assert_eq!(hub.get("/packages/acme_core").await.status, 401);
        assert_eq!(hub.listed("").await, ["jason"]);
        if round == 0 {
            hub.clock.advance(HOUR);
            hub.restart().await;
        }
    }
    // A name is private from its first release on, even for those who have asked for it before.
    hub.registry.add("acme_next", "99.0.0");
    hub.publish();
    hub.clock.advance(HOUR);
    assert_eq!(hub.get("/packages/acme_next").await.status, 200, "public as yet");
    let shadow = hub.publish_here(&root, "acme_next", "1.0.0", "").await;
    assert_eq!(shadow.status, 422, "nor does anybody inside hide what is public: {}", shadow.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_name_is_answered_by_private_members_alone() {
    let mut hub = drop_in(", deploy_to: acme, reserve: [\"acme_*\"], anonymous_read: true").await;
    hub.registry.add("acme_core", "99.0.0");
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    for key in ["", &root] {
        assert_eq!(hub.fetch(key, "/packages/acme_core").await.status, 404);
        assert_eq!(hub.listed(key).await, ["jason"]);
    }
    unseen(&hub, &["", &root], "reserved").await;
    assert!(hub.upstream.calls_to("/packages/acme_core").is_empty(), "the name is not told to outsiders");
    hub.published_here(&root, "acme_core", "1.0.0").await;
    assert_eq!(hub.releases(&root, "acme_core").await, ["1.0.0"]);
    unseen(&hub, &["", &root], "reserved and there").await;
}

/// A private registry elsewhere has `acme_core 1.0.0`; the attacker has published it here and there.
pub(super) async fn attacked(settings: &str) -> (Hub, Elsewhere) {
    let mut acme = Elsewhere::new("corp").await;
    acme.registry.add("acme_core", "1.0.0");
    acme.publish();
    let line = acme.line(", private: true, metadata_ttl: 60s, stale_while_revalidate: 60s, max_stale: 1h");
    let mut hub = united(&format!("members: [upstream, corp], on_member_failure: skip{settings}"), &[line]).await;
    hub.registry.add("acme_core", "99.0.0");
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    (hub, acme)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_member_that_fails_is_never_skipped() {
    for (what, step) in [
        ("down", Step::status(503)),
        ("credentials lost", Step::status(401)),
        ("credentials lost, said otherwise", Step::status(403)),
        ("everything is gone", Step::status(404)),
    ] {
        // From the first request on.
        let (hub, corp) = attacked("").await;
        corp.upstream.everything(Some(step.clone()));
        for name in ["acme_core", "jason"] {
            let answer = hub.get(&format!("/packages/{name}")).await;
            assert_eq!(answer.status, 502, "{what}, {name}: what is private is not known: {}", answer.text());
            assert!(!answer.text().contains("corp"), "who it is, is nobody's business: {}", answer.text());
        }
        unseen(&hub, &[""], what).await;
        // The member is back.
        corp.upstream.everything(None);
        hub.clock.advance(HOUR);
        assert_eq!(hub.releases("", "acme_core").await, ["1.0.0"], "{what}");
        assert_eq!(hub.listed("").await, ["acme_core", "jason"]);

        // It fails after it was known.
        corp.upstream.everything(Some(step));
        for time in [HOUR / 2, HOUR * 3] {
            hub.clock.advance(time);
            unseen(&hub, &[""], what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_member_that_fails_holds_up_what_it_could_claim_and_nothing_else() {
    let mut partner = Elsewhere::new("partner").await;
    partner.registry.add("partner_core", "1.0.0");
    partner.publish();
    let line = partner.line(", private: true");
    let inner = "inner: { type: virtual, members: [{ repository: partner, include: [\"partner_*\"] }] }".to_owned();
    for member in ["{ repository: partner, include: [\"partner_*\"] }", "inner"] {
        let members = format!("members: [upstream, {member}]");
        let mut hub = united(&members, &[line.clone(), inner.clone()]).await;
        hub.registry.add("pub_a", "1.0.0");
        hub.registry.add("partner_core", "99.0.0");
        hub.publish();
        for step in [Step::status(500), Step::status(404)] {
            partner.upstream.everything(Some(step));
            assert_eq!(hub.releases("", "pub_a").await, ["1.0.0"], "{members}");
            assert_eq!(hub.get("/tarballs/pub_a-1.0.0.tar").await.status, 200);
            for path in ["/packages/partner_core", "/tarballs/partner_core-99.0.0.tar", "/names", "/versions"] {
                assert_eq!(hub.get(path).await.status, 502, "{members} {path}");
            }
            hub.clock.advance(HOUR);
        }
        partner.upstream.everything(None);
        hub.clock.advance(HOUR);
        assert_eq!(hub.listed("").await, ["partner_core", "pub_a"], "{members}");
        assert_eq!(hub.versions("").await[0].1, ["1.0.0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_private_member_lists_and_does_not_have_is_nobodys() {
    let (hub, corp) = attacked("").await;
    corp.upstream.always("/packages/acme_core", Step::status(404));
    for _ in 0..2 {
        assert_eq!(hub.get("/packages/acme_core").await.status, 404);
        unseen(&hub, &[""], "a missing package").await;
        assert_eq!(hub.listed("").await, ["acme_core", "jason"], "its list has it");
        assert_eq!(hub.versions("").await[0].1, ["1.0.0"]);
    }
    assert_eq!(hub.releases("", "jason").await, ["1.0.0"], "what is public is not held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_package_that_its_list_does_not_have_yet_is_private() {
    let (mut hub, mut corp) = attacked("").await;
    assert_eq!(hub.get("/packages/jason").await.status, 200);
    // The list is fresh for another minute.
    corp.registry.add("acme_new", "1.0.0");
    corp.publish();
    hub.registry.add("acme_new", "99.0.0");
    hub.publish();
    assert_eq!(hub.releases("", "acme_new").await, ["1.0.0"]);
    assert_eq!(hub.get("/tarballs/acme_new-99.0.0.tar").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_private_member_cannot_say_is_no_absence() {
    // It lists the package and cannot give it: that is a failure, also where public members are left out.
    let (hub, corp) = attacked("").await;
    assert_eq!(hub.listed("").await, ["acme_core", "jason"]);
    corp.upstream.always("/packages/acme_core", Step::status(503));
    assert_eq!(hub.get("/packages/acme_core").await.status, 502);
    // Another private member has the name, too: it does not answer in the place of the one that owns it.
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("acme_core", "1.0.0");
    corp.publish();
    let members = "members: [corp, acme, upstream], deploy_to: acme, on_member_failure: skip, anonymous_read: true";
    let hub = united(members, &[corp.line(", private: true")]).await;
    hub.publish();
    let root = hub.user("root", true).await;
    hub.published_here(&root, "acme_core", "7.0.0").await;
    corp.upstream.always("/packages/acme_core", Step::status(503));
    assert_eq!(hub.fetch(&root, "/packages/acme_core").await.status, 502);
    // It cannot say what it has, and says of this name that it has it not.
    let (hub, corp) = attacked("").await;
    corp.upstream.always("/names", Step::status(503));
    corp.upstream.always("/packages/jason", Step::status(404));
    assert_eq!(hub.get("/packages/jason").await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_nobody_elses_package_in_the_place_of_one_that_may_not_be_read() {
    // Two private members have the name; the caller may read the second alone.
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("acme_core", "1.0.0");
    corp.publish();
    let hub = united("members: [acme, corp, upstream], deploy_to: acme", &[corp.line(", private: true")]).await;
    hub.publish();
    let (root, stranger) = (hub.user("root", true).await, hub.user("sam", false).await);
    assert_eq!(hub.listed(&stranger).await, ["acme_core"]);
    hub.published_here(&root, "acme_core", "7.0.0").await;
    assert_eq!(hub.releases(&root, "acme_core").await, ["7.0.0"]);
    assert_eq!(hub.fetch(&stranger, "/packages/acme_core").await.status, 403);
    assert_eq!(hub.listed(&stranger).await, [""; 0]);
}
