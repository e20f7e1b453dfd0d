//! `prefetch: closure`: what a client asks for has what it depends on brought behind its back, and never before its eyes.

use std::time::Duration;

use hexkeep::hex::message::Dependency;

use super::support::hub::{Hub, Wishes, eventually};
use super::support::local::package;
use super::support::registry::TestRegistry;
use super::support::upstream::{Gate, Step};

const CLOSURE: &str = "prefetch: closure, metadata_ttl: 30d, assumed_offline: 0s";

fn depends(registry: &mut TestRegistry, package: &str, on: &[(&str, &str, bool)]) {
    let dependencies: Vec<Dependency> = on
        .iter()
        .map(|(package, requirement, optional)| Dependency {
            package: (*package).to_owned(),
            requirement: (*requirement).to_owned(),
            optional: Some(*optional),
            app: None,
            repository: None,
        })
        .collect();
    for release in &mut registry.package_mut(package).releases {
        release.dependencies = dependencies.clone();
    }
}

/// plug needs telemetry, which needs mime, which needs plug; and something that is nowhere.
fn furnish(registry: &mut TestRegistry) {
    for (package, version) in [
        ("plug", "1.16.1"),
        ("telemetry", "0.4.3"),
        ("telemetry", "1.3.0"),
        ("telemetry", "2.0.0"),
        ("mime", "2.0.6"),
        ("extra", "1.0.0"),
        ("one", "1.0.0"),
        ("of_one", "1.0.0"),
        ("two", "1.0.0"),
        ("of_two", "1.0.0"),
        ("three", "1.0.0"),
        ("of_three", "1.0.0"),
    ] {
        registry.add(package, version);
    }
    depends(registry, "plug", &[("telemetry", "~> 1.0", false), ("extra", ">= 0.0.0", true)]);
    depends(registry, "telemetry", &[("nobody", "~> 1.0", false), ("mime", "~> 2.0", false)]);
    for (package, on) in [("one", "of_one"), ("two", "of_two"), ("three", "of_three")] {
        depends(registry, package, &[(on, "~> 1.0", false)]);
    }
    depends(registry, "mime", &[("plug", "~> 1.0", false)]);
}

async fn warmed(hub: &Hub, repository: &str, outcome: &str) -> f64 {
    hub.metric(&format!("hexkeep_warmed_total{{repository=\"{repository}\",reason=\"{outcome}\"}}")).await
}

fn calls(hub: &Hub, path: &str) -> usize {
    hub.upstream.calls_to(path).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_brings_the_tarballs_that_its_release_depends_on() {
    let mut hub = Hub::with_repository(CLOSURE).await;
    furnish(&mut hub.registry);
    hub.publish();
    let gate = Gate::new();
    hub.upstream.script("/packages/telemetry", [Step::route().gated(&gate)]);
    // Nobody waits for it.
    assert_eq!(hub.get("/tarballs/plug-1.16.1.tar").await.status, 200);
    hub.upstream.wait_for_calls_to("/packages/telemetry", 1).await;
    assert_eq!(calls(&hub, "/tarballs/telemetry-1.3.0.tar"), 0);
    gate.open();
    eventually("the closure is here", async || warmed(&hub, "hexpm", "brought").await >= 2.0).await;
    for (name, expected) in [
        ("telemetry-1.3.0", 1),
        ("telemetry-0.4.3", 0),
        ("telemetry-2.0.0", 0),
        ("mime-2.0.6", 1),
        ("extra-1.0.0", 0),
        ("plug-1.16.1", 1),
    ] {
        assert_eq!(calls(&hub, &format!("/tarballs/{name}.tar")), expected, "{name}");
    }
    // What depends on each other is asked for together: that is no reason to begin again.
    for name in ["plug-1.16.1", "telemetry-1.3.0", "mime-2.0.6"] {
        assert_eq!(hub.get(&format!("/tarballs/{name}.tar")).await.cache(), "hit", "{name}");
    }
    for name in ["one", "two", "three"] {
        assert_eq!(hub.get(&format!("/tarballs/{name}-1.0.0.tar")).await.status, 200, "{name}");
    }
    eventually("what was asked for last is looked at", async || warmed(&hub, "hexpm", "brought").await >= 5.0).await;
    assert!(warmed(&hub, "hexpm", "there").await < 1.0);
    hub.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(hub.get("/tarballs/plug-1.16.1.tar").await.cache(), "hit");
    eventually("after a while it is looked at again", async || warmed(&hub, "hexpm", "there").await >= 2.0).await;
    hub.upstream.switch_off().await;
    assert_eq!(hub.get("/tarballs/mime-2.0.6.tar").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_brings_indexes_alone() {
    let mut hub = Hub::with_repository(CLOSURE).await;
    furnish(&mut hub.registry);
    hub.publish();
    assert_eq!(hub.get("/packages/plug").await.status, 200);
    hub.upstream.wait_for_calls_to("/packages/mime", 1).await;
    hub.stop().await;
    let calls: Vec<String> = hub.upstream.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(calls, ["/packages/plug", "/packages/telemetry", "/packages/nobody", "/packages/mime"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_brought_where_nobody_has_said_so() {
    let mut hub = Hub::start().await;
    furnish(&mut hub.registry);
    hub.publish();
    for path in ["/packages/plug", "/tarballs/plug-1.16.1.tar"] {
        assert_eq!(hub.get(path).await.status, 200);
    }
    hub.stop().await;
    let calls: Vec<String> = hub.upstream.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(calls, ["/packages/plug", "/tarballs/plug-1.16.1.tar"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_is_the_end_until_somebody_asks_again() {
    // What the release depends on, what that depends on, and what comes behind it.
    for (fails, not_asked) in [
        ("/tarballs/telemetry-1.3.0.tar", "/packages/mime"),
        ("/tarballs/mime-2.0.6.tar", "/packages/after"),
        ("/tarballs/after-1.0.0.tar", "/tarballs/last-1.0.0.tar"),
    ] {
        let mut hub = Hub::with_repository(CLOSURE).await;
        furnish(&mut hub.registry);
        hub.registry.add("after", "1.0.0");
        hub.registry.add("last", "1.0.0");
        depends(&mut hub.registry, "mime", &[("after", "~> 1.0", false)]);
        depends(&mut hub.registry, "after", &[("last", "~> 1.0", false)]);
        hub.publish();
        hub.upstream.always(fails, Step::status(503));
        assert_eq!(hub.get("/tarballs/plug-1.16.1.tar").await.status, 200);
        eventually("it has failed", async || warmed(&hub, "hexpm", "failed").await >= 1.0).await;
        assert_eq!(calls(&hub, not_asked), 0, "{fails}: an upstream that fails is left alone");
        hub.upstream.always(fails, Step::route());
        hub.clock.advance(Duration::from_secs(5));
        assert_eq!(hub.get("/tarballs/plug-1.16.1.tar").await.cache(), "hit");
        eventually("the closure is here", async || warmed(&hub, "hexpm", "brought").await >= 4.0).await;
        for name in ["telemetry-1.3.0", "mime-2.0.6", "after-1.0.0", "last-1.0.0"] {
            assert_eq!(hub.get(&format!("/tarballs/{name}.tar")).await.cache(), "hit", "{fails}: {name}");
        }
        assert!(warmed(&hub, "hexpm", "failed").await < 2.0, "{fails}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_very_much_does_not_bring_all_of_it() {
    let mut hub = Hub::with_repository(CLOSURE).await;
    furnish(&mut hub.registry);
    let names: Vec<String> = (0..210).map(|at| format!("p{at:03}")).collect();
    hub.registry.add("large", "1.0.0");
    for name in &names {
        hub.registry.add(name, "1.0.0");
    }
    let all: Vec<(&str, &str, bool)> = names.iter().map(|name| (name.as_str(), "~> 1.0", false)).collect();
    depends(&mut hub.registry, "large", &all);
    hub.publish();
    assert_eq!(hub.get("/tarballs/large-1.0.0.tar").await.status, 200);
    hub.upstream.wait_for_calls_to("/packages/p200", 1).await;
    // Others are looked at meanwhile and afterwards.
    for name in ["one", "two", "three"] {
        assert_eq!(hub.get(&format!("/tarballs/{name}-1.0.0.tar")).await.status, 200);
        hub.upstream.wait_for_calls_to(&format!("/tarballs/of_{name}-1.0.0.tar"), 1).await;
    }
    hub.stop().await;
    assert_eq!(calls(&hub, "/packages/p201"), 0);
    let brought = hub.upstream.calls().into_iter().filter(|call| call.path.starts_with("/tarballs/p0")).count();
    let last = |name: &str| calls(&hub, &format!("/tarballs/{name}.tar"));
    assert_eq!((brought, last("p199-1.0.0"), last("p200-1.0.0")), (100, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_a_virtual_repository_brings_what_it_has() {
    let mut hub = Hub::with(Wishes {
        instead: vec![
            format!("upstream: {{ type: remote, name: hexpm, url: \"{{url}}\", public_key: {{key}}, {CLOSURE} }}"),
            "acme: { type: local }".to_owned(),
            "hexpm: { type: virtual, members: [acme, upstream], anonymous_read: true }".to_owned(),
        ],
        ..Wishes::default()
    })
    .await;
    furnish(&mut hub.registry);
    hub.publish();
    assert_eq!(hub.get("/tarballs/plug-1.16.1.tar").await.status, 200);
    eventually("the closure is here", async || warmed(&hub, "upstream", "brought").await >= 2.0).await;
    hub.upstream.switch_off().await;
    assert_eq!(hub.get("/tarballs/mime-2.0.6.tar").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_private_in_a_view_is_not_asked_for() {
    for (view, at) in [
        ("all: { type: virtual, members: [acme, hexpm], reserve: [\"resv_*\"] }", "/repos/all"),
        ("all: { type: virtual, members: [acme, hexpm], reserve: [\"resv_*\"] }", ""),
        ("all: { type: virtual, members: [below, hexpm], reserve: [\"resv_*\"] }", "/repos/all"),
        // A member that answers for none of these names here is told none of them, either.
        (
            "all: { type: virtual, reserve: [\"resv_*\"], members: [acme, { repository: hexpm, exclude: [\"acme_*\", \"resv_*\"] }] }",
            "/repos/all",
        ),
        (
            "all: { type: virtual, reserve: [\"resv_*\"], members: [acme, { repository: public, exclude: [\"acme_*\", \"resv_*\"] }] }",
            "/repos/all",
        ),
    ] {
        let more = [
            "acme: { type: local }",
            "below: { type: virtual, members: [acme], deploy_to: acme }",
            "public: { type: virtual, members: [hexpm] }",
            view,
        ];
        let more = more.map(str::to_owned).to_vec();
        let repository = format!("{CLOSURE}, direct: true");
        let mut hub = Hub::with(Wishes { repository, more, ..Wishes::default() }).await;
        for (package, version) in [("plug", "1.16.1"), ("mime", "1.0.0")] {
            hub.registry.add(package, version);
        }
        let all = [("acme_core", "~> 1.0", false), ("resv_new", "~> 1.0", false), ("mime", "~> 1.0", false)];
        depends(&mut hub.registry, "plug", &all);
        hub.publish();
        let root = hub.user("root", true).await;
        let published = hub.publish_to_acme(&root, "acme_core", package("acme_core", "1.0.0", "")).await;
        assert_eq!(published.status, 201, "{}", published.text());
        // Somebody outside takes the names afterwards.
        for package in ["acme_core", "resv_new"] {
            hub.registry.add(package, "1.0.0");
        }
        hub.publish();
        let tarball = format!("{at}/tarballs/plug-1.16.1.tar");
        assert_eq!(hub.get_with(&tarball, &[("authorization", root.as_str())]).await.status, 200, "{view} {at}");
        // What comes last in the index is asked for last.
        eventually("the closure is here", async || calls(&hub, "/tarballs/mime-1.0.0.tar") == 1).await;
        let lock = hub.data().join("../rebar.lock");
        std::fs::write(&lock, "{\"1.2.0\",\n[{<<\"plug\">>,{pkg,<<\"plug\">>,<<\"1.16.1\">>},0}]}.\n").unwrap();
        let (_, _, said) = hub.command(&["prefetch", "--closure", "--lock", lock.to_str().unwrap()]).await;
        let why = "is private, and must not be sent to the upstream of `hexpm`";
        assert_eq!(said.lines().filter(|line| line.contains(why)).count(), 2, "{view} {at}: {said}");
        for path in ["/packages/acme_core", "/packages/resv_new"] {
            assert_eq!(calls(&hub, path), 0, "{view} {at}: {path}");
        }
    }
}
