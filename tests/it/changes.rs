//! What the upstream changes, takes back or loses: checksums, releases, packages, whole indexes.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::clock::Clock as _;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Package, Timestamp, Versions, names};
use hexkeep::operations::Operations as _;
use hexkeep::operations::purge::Purge;
use hexkeep::state::audit::Actor;
use prost::Message as _;

use super::support::hub::{Answer, Hub, Wishes, eventually};
use super::support::registry::{TestRegistry, tarball};
use super::support::upstream::Step;

const JASON: &str = "/packages/jason";
const TARBALL: &str = "/tarballs/jason-1.0.0.tar";

/// Past `stale_while_revalidate`: the next request asks the upstream first.
const OLD: Duration = Duration::from_secs(360);
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn settings(repository: &str) -> Wishes {
    Wishes { repository: repository.to_owned(), ..Wishes::default() }
}

/// A daemon that has `packages/jason` (0.1.0, ten days old, and 1.0.0, two hours old) and both its tarballs.
async fn with_jason(repository: &str) -> Hub {
    let mut hub = Hub::with_repository(repository).await;
    hub.registry.add("jason", "0.1.0");
    hub.registry.add("jason", "1.0.0");
    let now = hub.clock.now().as_secs();
    hub.registry.published("jason", "0.1.0", now - 10 * DAY);
    hub.registry.published("jason", "1.0.0", now - 2 * HOUR);
    hub.publish();
    for path in [JASON, TARBALL, "/tarballs/jason-0.1.0.tar"] {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, answer.cache()), (200, "miss"), "{path}");
    }
    hub
}

/// Replaces a release upstream under its old date; returns the new tarball. It is seen with the next request.
fn replace(hub: &mut Hub, package: &str, version: &str, flavour: u8) -> Bytes {
    let (bytes, inner) = tarball(package, version, 1024, flavour);
    let releases = |registry: &mut TestRegistry| registry.package_mut(package).releases.clone();
    let date = releases(&mut hub.registry).iter().find(|r| r.version == version).unwrap().published_at;
    hub.registry.add_bytes(package, version, bytes.clone(), inner);
    let entry = hub.registry.package_mut(package);
    entry.releases.iter_mut().find(|r| r.version == version).unwrap().published_at = date;
    hub.publish();
    hub.clock.advance(OLD);
    bytes
}

/// Takes a release out of the upstream's index; seen with the next request.
fn lose(hub: &mut Hub, version: &str) {
    hub.registry.package_mut("jason").releases.retain(|release| release.version != version);
    hub.publish();
    hub.clock.advance(OLD);
}

/// The actions of the audit log, newest first, with what they are about.
async fn audited(hub: &Hub) -> Vec<(String, String)> {
    let log = hub.app().core().state().audit_log("hexpm", 100).await.unwrap();
    let about = |part: &Option<String>| part.clone().unwrap_or_default();
    log.iter().map(|e| (e.action.clone(), format!("{} {}", about(&e.package), about(&e.version)))).collect()
}

async fn changes(hub: &Hub, reason: &str) -> f64 {
    hub.metric(&format!("hexkeep_upstream_changes_total{{repository=\"hexpm\",reason=\"{reason}\"}}")).await
}

fn payload(answer: &Answer) -> Bytes {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Envelope::open(answer.body.clone(), 1 << 24).unwrap().payload
}

async fn listed(hub: &Hub) -> Vec<String> {
    let package = Package::decode(payload(&hub.get(JASON).await)).unwrap();
    package.releases.into_iter().map(|release| release.version).collect()
}

async fn listed_in_versions(hub: &Hub) -> Vec<String> {
    let versions = Versions::decode(payload(&hub.get("/versions").await)).unwrap();
    versions.packages.into_iter().find(|package| package.name == "jason").unwrap().versions
}

fn assert_withheld(answer: &Answer) {
    assert_eq!((answer.status, answer.cache()), (403, ""), "{}", answer.text());
    assert!(answer.text().contains("changed upstream after it was published"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_may_change_within_the_window_only() {
    let mut hub = Hub::with_repository("checksum_changes: window").await;
    let now = hub.clock.now().as_secs();
    let cases = [
        ("fresh_release", 10 * DAY, HOUR / 2, true),
        ("fresh_package", DAY - HOUR, 3 * HOUR, true),
        ("old_release", 10 * DAY, 2 * HOUR, false),
        ("old_package", DAY + HOUR, 2 * HOUR, false),
    ];
    for (name, package_age, release_age, allowed) in cases {
        hub.registry.add(name, "0.1.0");
        hub.registry.add(name, "1.0.0");
        hub.registry.published(name, "0.1.0", now - package_age);
        hub.registry.published(name, "1.0.0", now - release_age);
        hub.publish();
        let path = format!("/packages/{name}");
        let tarball_path = format!("/tarballs/{name}-1.0.0.tar");
        assert_eq!(hub.get(&path).await.cache(), "miss");
        assert_eq!(hub.get(&tarball_path).await.cache(), "miss");

        let new = replace(&mut hub, name, "1.0.0", 7);
        let answer = hub.get(&path).await;
        assert_eq!((answer.status, answer.cache()), (200, "miss"), "{name}");
        assert_eq!(answer.body, hub.registry.package(name), "{name}: a pass-through serves the new index");
        let answer = hub.get(&tarball_path).await;
        let action = if allowed {
            assert_eq!((answer.status, &answer.body), (200, &new), "{name}");
            "upstream.checksum_changed"
        } else {
            assert_withheld(&answer);
            "upstream.checksum_refused"
        };
        assert_eq!(audited(&hub).await[0], (action.to_owned(), format!("{name} 1.0.0")));
        assert_eq!(hub.get(&format!("/tarballs/{name}-0.1.0.tar")).await.status, 200, "the others are not touched");
    }
    assert_eq!((changes(&hub, "checksum_changed").await, changes(&hub, "checksum_refused").await), (2.0, 2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_allow_any_change_is_taken_and_written_down() {
    let mut hub = with_jason("checksum_changes: allow").await;
    hub.clock.advance(Duration::from_secs(100 * DAY));
    let new = replace(&mut hub, "jason", "1.0.0", 7);
    assert_eq!(hub.get(JASON).await.cache(), "miss", "older than max_stale");
    assert_eq!(hub.get(TARBALL).await.body, new);
    assert_eq!(audited(&hub).await, [("upstream.checksum_changed".to_owned(), "jason 1.0.0".to_owned())]);
    assert_eq!(changes(&hub, "checksum_changed").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_refuse_no_change_is_taken_however_young_the_release() {
    let mut hub = Hub::with_repository("checksum_changes: refuse").await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    let (bytes, inner) = tarball("jason", "1.0.0", 1024, 7);
    hub.registry.add_bytes("jason", "1.0.0", bytes, inner);
    hub.publish();
    hub.clock.advance(OLD);
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    let answer = hub.get_with(TARBALL, &[("user-agent", "hex/2.5.0 (elixir/1.18)")]).await;
    assert_withheld(&answer);
    assert!(answer.header("x-hex-message").contains("changed upstream"), "{:?}", answer.headers);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(hub.upstream.calls_to(TARBALL).len(), 0, "what may not be served is not fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_outlives_restart_purge_and_cache() {
    let mut hub = with_jason("checksum_changes: window").await;
    replace(&mut hub, "jason", "1.0.0", 7);
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_withheld(&hub.get(TARBALL).await);

    hub.restart().await;
    assert_withheld(&hub.get(TARBALL).await);

    let purge = Purge { repository: Some("hexpm".into()), package: None, version: None };
    hub.app().core().purge(purge, Actor::console()).await.unwrap();
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_withheld(&hub.get(TARBALL).await);

    hub.stop().await;
    for area in ["index", "registry", "blobs"] {
        std::fs::remove_dir_all(hub.data().join(area)).unwrap();
    }
    hub.launch().await;
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_withheld(&hub.get(TARBALL).await);
    let refusals = audited(&hub).await.into_iter().filter(|(action, _)| action == "upstream.checksum_refused");
    assert_eq!(refusals.count(), 1, "reported once, not at every look");

    // Another change of the same release is another report.
    replace(&mut hub, "jason", "1.0.0", 8);
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_withheld(&hub.get(TARBALL).await);
    let refusals = audited(&hub).await.into_iter().filter(|(action, _)| action == "upstream.checksum_refused");
    assert_eq!(refusals.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_when_the_upstream_takes_its_change_back_or_the_rule_allows_it() {
    let mut hub = with_jason("checksum_changes: window").await;
    let old = hub.get(TARBALL).await.body;
    let new = replace(&mut hub, "jason", "1.0.0", 7);
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_withheld(&hub.get(TARBALL).await);
    replace(&mut hub, "jason", "1.0.0", 0);
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    let answer = hub.get(TARBALL).await;
    assert_eq!((answer.status, &answer.body), (200, &old));

    replace(&mut hub, "jason", "1.0.0", 7);
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_withheld(&hub.get(TARBALL).await);
    hub.configure(&settings("checksum_changes: allow"));
    hub.app().core().reload().await.unwrap();
    let answer = hub.get(TARBALL).await;
    assert_eq!((answer.status, &answer.body), (200, &new));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_sign_ourselves_leaves_a_refused_release_out() {
    let mut hub = with_jason("signature: own, checksum_changes: window").await;
    assert_eq!(listed_in_versions(&hub).await, ["0.1.0", "1.0.0"]);
    replace(&mut hub, "jason", "1.0.0", 7);
    assert_eq!(listed(&hub).await, ["0.1.0"]);
    // The upstream's `versions` has no checksums: it is the same as before.
    assert_eq!(listed_in_versions(&hub).await, ["0.1.0"]);
    assert!([403, 404].contains(&hub.get(TARBALL).await.status));
    assert_eq!(hub.get("/tarballs/jason-0.1.0.tar").await.status, 200);
    hub.restart().await;
    assert_eq!(listed(&hub).await, ["0.1.0"]);
    assert_eq!(listed_in_versions(&hub).await, ["0.1.0"]);

    replace(&mut hub, "jason", "1.0.0", 0);
    assert_eq!(listed(&hub).await, ["0.1.0", "1.0.0"], "the change was taken back");
    assert_eq!(listed_in_versions(&hub).await, ["0.1.0", "1.0.0"]);
    hub.restart().await;
    assert_eq!(listed_in_versions(&hub).await, ["0.1.0", "1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_releases_are_asked_about_past_caches_and_then_believed() {
    let mut hub = with_jason("").await;
    lose(&mut hub, "1.0.0");
    assert_eq!(listed(&hub).await, ["0.1.0"]);
    let calls = hub.upstream.calls_to(JASON);
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[1].header("cache-control"), None);
    assert_eq!((calls[2].header("cache-control"), calls[2].header("if-none-match")), (Some("no-cache"), None));
    assert_eq!(audited(&hub).await, [("upstream.releases_removed".to_owned(), "jason ".to_owned())]);
    assert_eq!(changes(&hub, "releases_removed").await, 1.0);
    assert_eq!(hub.get(TARBALL).await.status, 404);
    assert_eq!(hub.get("/tarballs/jason-0.1.0.tar").await.cache(), "hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_release_that_is_kept_can_still_be_downloaded() {
    let mut hub = with_jason("on_upstream_delete: keep").await;
    let bytes = hub.get(TARBALL).await.body;
    lose(&mut hub, "1.0.0");
    assert_eq!(listed(&hub).await, ["0.1.0"]);
    hub.restart().await;
    let answer = hub.get(TARBALL).await;
    assert_eq!((answer.status, &answer.body), (200, &bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_release_that_is_purged_leaves_the_disk() {
    let mut hub = with_jason("on_upstream_delete: purge").await;
    for version in ["0.1.0", "1.0.0"] {
        let path = format!("/docs/jason-{version}.tar.gz");
        hub.upstream.serve(&path, format!("docs of {version}"));
        assert_eq!(hub.get(&path).await.status, 200);
    }
    let before = hub.files();
    lose(&mut hub, "1.0.0");
    assert_eq!(listed(&hub).await, ["0.1.0"]);
    let after = hub.files();
    assert_eq!(after.len(), before.len() - 2, "its tarball and its docs: {after:?}");
    assert_eq!(hub.get("/docs/jason-0.1.0.tar.gz").await.cache(), "hit");
    assert_eq!(hub.get(TARBALL).await.status, 404);
    assert_eq!(hub.get("/tarballs/jason-0.1.0.tar").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_cache_on_the_way_has_lost_is_not_lost() {
    let mut hub = with_jason("").await;
    let good = hub.get(JASON).await.body;
    let mut lesser = TestRegistry::new("hexpm");
    lesser.add("jason", "0.1.0");
    for wrong in [Step::ok(lesser.package("jason")), Step::status(404), Step::status(410)] {
        hub.clock.advance(OLD);
        hub.upstream.script(JASON, [wrong]);
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, &answer.body), (200, &good));
        assert_eq!(hub.upstream.calls_to(JASON).last().unwrap().header("cache-control"), Some("no-cache"));
    }
    // Nor is it where the second question is not answered.
    hub.clock.advance(OLD);
    hub.upstream.script(JASON, [Step::status(404), Step::status(400)]);
    let answer = hub.get(JASON).await;
    assert_eq!((answer.cache(), &answer.body), ("stale; reason=status_4xx", &good));
    assert_eq!(audited(&hub).await, []);
    assert_eq!(changes(&hub, "removed").await + changes(&hub, "releases_removed").await, 0.0);
    hub.registry.add("jason", "1.1.0");
    hub.publish();
    hub.clock.advance(OLD);
    assert_eq!(listed(&hub).await.len(), 3);
}

/// `names` of these packages, the newest of them as old as said.
fn names_of(registry: &TestRegistry, packages: &[&str], newest: u64) -> Bytes {
    let at = |seconds: u64| Timestamp { seconds: i64::try_from(seconds).unwrap(), ..Timestamp::default() };
    let packages =
        packages.iter().map(|name| names::Package { name: (*name).to_owned(), updated_at: Some(at(newest)) });
    registry.seal(&Names { packages: packages.collect(), repository: "hexpm".to_owned() }.encode_to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_goes_back_in_time_is_asked_about_past_caches_and_then_believed() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    hub.upstream.serve("/names", names_of(&hub.registry, &["jason", "plug"], 2_000_000));
    assert_eq!(hub.get("/names").await.cache(), "miss");
    assert_eq!(hub.get("/versions").await.cache(), "miss");
    let versions = hub.registry.versions();

    let steps = [
        ("/names", names_of(&hub.registry, &["jason", "plug"], 1_000_000)),
        ("/names", names_of(&hub.registry, &["jason"], 1_000_000)),
        ("/versions", {
            let mut older = TestRegistry::new("hexpm");
            older.add("jason", "1.0.0");
            older.versions()
        }),
    ];
    for (seen, (path, older)) in steps.into_iter().enumerate() {
        hub.upstream.serve(path, older.clone());
        hub.clock.advance(OLD);
        let before = hub.upstream.calls_to(path).len();
        let answer = hub.get(path).await;
        assert_eq!((answer.status, answer.cache(), &answer.body), (200, "miss", &older));
        let calls = &hub.upstream.calls_to(path)[before..];
        assert_eq!(calls.len(), 2, "{path}");
        assert_eq!((calls[0].header("cache-control"), calls[1].header("cache-control")), (None, Some("no-cache")));
        assert_eq!(audited(&hub).await[0].0, "upstream.rolled_back");
        assert_eq!(audited(&hub).await.len(), seen + 1);
        assert_eq!(changes(&hub, "rolled_back").await, (seen + 1) as f64);
    }
    // Growing again is nothing to talk about.
    hub.upstream.serve("/versions", versions.clone());
    hub.clock.advance(OLD);
    assert_eq!(hub.get("/versions").await.body, versions);
    assert_eq!(audited(&hub).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_package_is_hidden_with_its_tarballs() {
    let mut hub = with_jason("").await;
    let files = hub.files();
    hub.upstream.forget(JASON);
    hub.clock.advance(OLD);
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        for path in [JASON, TARBALL, "/tarballs/jason-0.1.0.tar", "/docs/jason-1.0.0.tar.gz"] {
            assert_eq!(hub.get(path).await.status, 404, "{path}");
        }
    }
    let calls = hub.upstream.calls_to(JASON);
    assert_eq!(calls[2].header("cache-control"), Some("no-cache"));
    assert_eq!(audited(&hub).await, [("upstream.package_removed".to_owned(), "jason ".to_owned())]);
    assert_eq!(hub.files(), files, "hidden, not deleted");

    hub.publish();
    hub.clock.advance(Duration::from_secs(60));
    assert_eq!(hub.get(JASON).await.cache(), "miss");
    assert_eq!(hub.get(TARBALL).await.cache(), "hit", "it is back, and its file never left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_seen_by_a_refresh_in_the_background_counts_too() {
    let hub = with_jason("").await;
    hub.upstream.forget(JASON);
    hub.clock.advance(Duration::from_secs(60));
    assert_eq!(hub.get(JASON).await.cache(), "stale; reason=revalidating");
    eventually("the removal is seen", async || hub.get(JASON).await.status == 404).await;
    assert_eq!(hub.get(TARBALL).await.status, 404);
    assert_eq!(changes(&hub, "removed").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_package_that_is_kept_is_served_and_says_so() {
    let mut hub = with_jason("on_upstream_delete: keep").await;
    let (index, bytes) = (hub.get(JASON).await.body, hub.get(TARBALL).await.body);
    hub.upstream.forget(JASON);
    hub.upstream.forget(TARBALL);
    for age in [OLD, Duration::ZERO, OLD] {
        hub.clock.advance(age);
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=deleted", &index));
        assert_eq!(hub.get(TARBALL).await.body, bytes);
    }
    hub.restart().await;
    let answer = hub.get(JASON).await;
    assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=deleted", &index));
    assert_eq!(hub.get(TARBALL).await.body, bytes);
    assert_eq!(audited(&hub).await.len(), 1, "said once");

    hub.publish();
    hub.clock.advance(OLD);
    assert_eq!(hub.get(JASON).await.cache(), "revalidated", "it is back");
    assert_eq!(hub.get(JASON).await.cache(), "hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_package_that_is_purged_leaves_the_disk() {
    let mut hub = with_jason("on_upstream_delete: purge, signature: own").await;
    hub.upstream.serve("/docs/jason-1.0.0.tar.gz", "docs");
    assert_eq!(hub.get("/docs/jason-1.0.0.tar.gz").await.status, 200);
    hub.upstream.forget(JASON);
    hub.clock.advance(OLD);
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        assert_eq!(hub.get(JASON).await.status, 404);
        assert_eq!(hub.get(TARBALL).await.status, 404);
        assert_eq!(hub.files(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_403_to_a_known_package_is_not_a_removal() {
    let mut hub = with_jason("").await;
    let index = hub.get(JASON).await.body;
    hub.upstream.always(JASON, Step::status(403));
    hub.clock.advance(OLD);
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.cache(), &answer.body), (200, "stale; reason=forbidden", &index));
        assert_eq!(hub.get(TARBALL).await.status, 200);
    }
    assert_eq!(audited(&hub).await, []);
    assert_eq!(changes(&hub, "removed").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_away_by_law_is_refused_with_that_and_not_served_from_the_cache() {
    let mut hub = with_jason("").await;
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    let away = "/tarballs/plug-1.0.0.tar";
    for path in [JASON, away] {
        hub.upstream.always(path, Step::status(451));
    }
    let mix = [("user-agent", "hex_core/0.18.0 hex/2.5.1 (elixir/1.14.0)")];
    let refused = hub.get_with(away, &mix).await;
    assert_eq!(refused.status, 451, "{}", refused.text());
    assert!(refused.header("x-hex-message").contains("for legal reasons"), "{:?}", refused.headers);
    hub.clock.advance(OLD);
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        let answer = hub.get(JASON).await;
        assert_eq!((answer.status, answer.header("cache-control")), (451, "no-store"), "{}", answer.text());
        assert!(answer.text().contains("legal reasons"), "{}", answer.text());
    }
    hub.upstream.always(JASON, Step::route());
    hub.clock.advance(OLD);
    assert_eq!(hub.get(JASON).await.status, 200, "and not for longer than the upstream says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_lists_has_not_removed_everything() {
    for rule in ["hide", "purge"] {
        let mut hub = Hub::with_repository(&format!("on_upstream_delete: {rule}")).await;
        hub.registry.add("jason", "1.0.0");
        hub.publish();
        for list in ["/names", "/versions"] {
            let first = hub.get(list).await;
            assert_eq!(first.status, 200);
            hub.upstream.always(list, Step::status(404));
            hub.clock.advance(OLD);
            for restarted in [false, true] {
                if restarted {
                    hub.restart().await;
                }
                let kept = hub.get(list).await;
                assert_eq!((kept.status, kept.cache()), (200, "stale; reason=deleted"), "{rule} {list} {restarted}");
                assert_eq!(kept.body, first.body);
            }
            hub.upstream.always(list, Step::route());
            hub.clock.advance(OLD);
            assert_eq!(hub.get(list).await.status, 200);
            assert_eq!(hub.get(list).await.cache(), "hit", "{rule} {list}: it is back");
        }
    }
}
