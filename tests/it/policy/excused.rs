//! What an override, or a list that is too old to prove anything, does not excuse for ever.

use hexkeep::operations::purge::Purge;
use hexkeep::state::audit::Actor;

use super::super::support::upstream::Step;
use super::*;

/// The index of `jason` is fetched again when it is needed, and no list is.
async fn forget(hub: &Hub) {
    let purge = Purge { repository: Some("hexpm".to_owned()), package: Some("jason".to_owned()), version: None };
    hub.app().core().purge(purge, Actor::console()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_override_passes_over_is_no_exemption() {
    for (mode, way) in [("enforce", "until"), ("enforce", "reload"), ("dry_run", "reload")] {
        let exception = "package: jason, ignore_cooldown: true";
        let until = match way {
            "until" => format!("cooldown: 30d, overrides: [{{{exception}, until: 2030-01-01}}]"),
            _ => format!("cooldown: 30d, overrides: [{{{exception}}}]"),
        };
        let mut hub = start(policy("own", mode, &until)).await;
        assert_eq!(hub.get(NEW).await.status, 200, "{mode}");
        let (_, said, _) = hub.command(&["policy", "why", "hexpm", "jason", "1.1.0"]).await;
        assert!(said.starts_with("jason 1.1.0 is exempt because of an override"), "{said}");
        match way {
            "until" => {
                let end = 1_893_456_000 + DAY - today(&hub);
                hub.clock.advance(Duration::from_secs(end));
                // It is as young by then as it was.
                hub.registry.published("jason", "1.1.0", 1_893_456_000);
                hub.publish();
                forget(&hub).await;
            }
            _ => reload(&hub, &policy("own", "enforce", "cooldown: 30d")).await,
        }
        let refused = hub.get(NEW).await;
        assert_eq!(refused.status, 403, "{mode} {way}: {}", refused.text());
        assert_eq!(listed(&hub).await, ["1.0.0"], "{mode} {way}");
        hub.restart().await;
        assert_eq!(hub.get(NEW).await.status, 403, "{mode} {way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_retirement_or_advisory_is_no_exemption() {
    let rule = "retirement_reasons: [security]";
    let ignoring = format!("{rule}, overrides: [{{package: jason, ignore_retirement: security}}]");
    let mut hub = start(policy("own", "enforce", &ignoring)).await;
    let release = &mut hub.registry.package_mut("jason").releases[1];
    release.retired = Some(RetirementStatus { reason: 2, message: None });
    hub.publish();
    assert_eq!(hub.get(NEW).await.status, 200);
    reload(&hub, &policy("own", "enforce", rule)).await;
    assert_eq!(hub.get(NEW).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_older_than_a_release_proves_nothing_of_its_age() {
    for names_fail in [false, true] {
        let wishes = policy("own", "enforce", "cooldown: 7d, unknown_published_at: hold");
        let mut hub = Hub::with(wishes).await;
        let now = i64::try_from(today(&hub)).unwrap();
        hub.registry.add("jason", "1.0.0");
        hub.registry.updated("jason", now - 400 * i64::try_from(DAY).unwrap());
        hub.publish();
        assert_eq!(hub.get("/names").await.status, 200);
        assert_eq!(hub.get(OLD).await.status, 200, "untouched for 400 days");
        // A release without a date comes, while the list in the cache counts as fresh.
        hub.clock.advance(Duration::from_secs(3600));
        hub.registry.add("jason", "1.1.0");
        hub.registry.updated("jason", now + 3600);
        hub.publish();
        if names_fail {
            hub.upstream.always("/names", Step::status(500));
        }
        forget(&hub).await;
        let refused = hub.get(NEW).await;
        assert_eq!(refused.status, 403, "names fail: {names_fail}: {}", refused.text());
        assert_eq!(hub.get(OLD).await.status, 200, "names fail: {names_fail}: delivered before");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_none_is_denied_with_a_requirement() {
    let mut hub = start(policy("own", "enforce", "overrides: [{deny: jason, requirement: \">= 1.1.0\"}]")).await;
    hub.registry.package_mut("jason").releases[1].version = "latest".to_owned();
    hub.publish();
    assert_eq!(listed(&hub).await, ["1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_to_a_hidden_release_is_not_told() {
    let wishes = Wishes {
        more: vec![
            "acme: { type: local, anonymous_read: true }".to_owned(),
            "all: { type: virtual, members: [acme, hexpm], policy: company, anonymous_read: true }".to_owned(),
        ],
        repository: "direct: true".to_owned(),
        top: "policies:\n  company: { mode: enforce, repositories: { acme: { cooldown: 7d } } }\n".to_owned(),
        ..Wishes::default()
    };
    let hub = Hub::with(wishes).await;
    let alice = hub.member("alice", "write").await;
    let stranger = hub.user("sam", false).await;
    let published =
        hub.publish_to_acme(&alice, "mine", super::super::support::local::package("mine", "1.0.0", "")).await;
    assert_eq!(published.status, 201, "{}", published.text());
    for base in ["/api/repos/all", "/api/repos/acme"] {
        let path = format!("{base}/packages/mine/audit-logs");
        let told = hub.api(reqwest::Method::GET, &path, &stranger, None).await;
        assert!(!told.text().contains("1.0.0"), "{base}: {}", told.text());
    }
    let told = hub.api(reqwest::Method::GET, "/api/repos/acme/packages/mine/audit-logs", &alice, None).await;
    assert!(told.text().contains("1.0.0"), "who looks after it sees all: {}", told.text());
}
