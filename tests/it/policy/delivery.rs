//! One delivery: whichever way a file is asked for, what a policy holds is not given out, and only what was given out is
//! owed to lock files.

use reqwest::Method;

use super::super::support::upstream::Step;
use super::*;

/// The set-ups that deliver alike: a remote repository, a virtual one above it, and a virtual one above that, each asked
/// at its root. What is cached stays fresh for `ttl`.
pub(super) fn worlds(mode: &str, rules: &str, ttl: &str, more: &str) -> [(&'static str, Wishes); 3] {
    let top = format!("policies:\n  company: {{ mode: {mode}, repositories: {{ ROOM: {{ {rules} }} }} }}\n");
    let remote = format!("type: remote, url: \"{{url}}\", public_key: \"{{key}}\", metadata_ttl: {ttl}{more}");
    let above = |between: &[&str], members: &str| {
        let mut instead = vec![format!("upstream: {{ name: hexpm, {remote} }}")];
        instead.extend(between.iter().map(|line| (*line).to_owned()));
        instead
            .push(format!("hexpm: {{ type: virtual, members: [{members}], policy: company, anonymous_read: true }}"));
        Wishes { instead, top: top.replace("ROOM", "upstream"), ..Wishes::default() }
    };
    let inner = "inner: { type: virtual, members: [upstream], anonymous_read: true }";
    let own = vec![format!("hexpm: {{ {remote}, signature: own, policy: company }}")];
    [
        ("remote", Wishes { instead: own, top: top.replace("ROOM", "hexpm"), ..Wishes::default() }),
        ("virtual", above(&[], "upstream")),
        ("virtual of virtual", above(&[inner], "inner")),
    ]
}

/// What each test asks about one release of its own.
const WAYS: [&str; 12] = [
    "head",
    "match",
    "match and head",
    "empty",
    "mismatch",
    "any",
    "range",
    "no bytes",
    "docs",
    "docs head",
    "prefetch",
    "get",
];

fn version(way: &str) -> String {
    format!("1.0.{}", WAYS.iter().position(|known| *known == way).unwrap())
}

fn tarball(way: &str) -> String {
    format!("/tarballs/jason-{}.tar", version(way))
}

/// A tarball that states this licence.
fn stating(version: &str, licence: &str, size: usize) -> (bytes::Bytes, hexkeep::hex::checksum::Sha256) {
    let metadata = format!(
        "{{<<\"name\">>,<<\"jason\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"licenses\">>,[<<\"{licence}\">>]}}.\n"
    );
    pack(metadata.as_bytes(), &vec![7; size])
}

/// A daemon whose upstream has a release for each way, of this licence and a year old, with documentation.
async fn stocked(wishes: Wishes, licence: &str) -> Hub {
    let mut hub = Hub::with(wishes).await;
    let now = today(&hub);
    for way in WAYS {
        let version = version(way);
        let (bytes, inner) = stating(&version, licence, 900);
        hub.registry.add_bytes("jason", &version, bytes, inner);
        hub.registry.published("jason", &version, now - 365 * DAY);
        hub.upstream.serve(&format!("/docs/jason-{version}.tar.gz"), &b"docs"[..]);
    }
    hub.publish();
    hub
}

/// The entity tag of a tarball, as its index has it.
fn tag(hub: &Hub, version: &str) -> String {
    let release = hub.registry.package_ref("jason").releases.iter().find(|release| release.version == version);
    let outer = release.unwrap().outer_checksum.clone().unwrap();
    format!("\"{}\"", outer.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Asks for a release this way; the status of the answer, 0 for a command that says that the release cannot be had.
async fn ask(hub: &Hub, way: &str) -> u16 {
    let (path, tag) = (tarball(way), tag(hub, &version(way)));
    let docs = format!("/docs/jason-{}.tar.gz", version(way));
    let with = async |name: &str, value: &str| hub.get_with(&path, &[(name, value)]).await.status;
    match way {
        "head" => hub.send(Method::HEAD, &path, &[]).await.status,
        "match and head" => hub.send(Method::HEAD, &path, &[("if-none-match", &tag)]).await.status,
        "match" => with("if-none-match", &tag).await,
        "empty" => with("if-none-match", "").await,
        "mismatch" => with("if-none-match", "\"other\"").await,
        "any" => with("if-none-match", "*").await,
        "range" => with("range", "bytes=0-0").await,
        "no bytes" => with("range", "bytes=999999-").await,
        "docs" => hub.get(&docs).await.status,
        "docs head" => hub.send(Method::HEAD, &docs, &[]).await.status,
        "prefetch" => {
            let lock = hub.config_file().with_file_name("mix.lock");
            let version = version(way);
            let text = format!("%{{\n\"jason\": {{:hex, :jason, \"{version}\", nil, [], [], \"hexpm\", nil}},\n}}\n");
            std::fs::write(&lock, text).unwrap();
            let (code, _, _) = hub.command(&["prefetch", "--lock", lock.to_str().unwrap(), "--docs"]).await;
            if code == 0 { 200 } else { 0 }
        }
        _ => hub.get(&path).await.status,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_asking_excuses_a_licence_that_nobody_has_read() {
    for (world, wishes) in worlds("enforce", "licenses: {deny: [AGPL-3.0-only]}", "30d", "") {
        let mut hub = stocked(wishes, "AGPL-3.0-only").await;
        for way in WAYS {
            let expected = match way {
                // Answered from the index, with no byte of the file.
                "head" | "match and head" => 200,
                "prefetch" => 0,
                _ => 403,
            };
            assert_eq!(ask(&hub, way).await, expected, "{world}: {way}");
        }
        for _ in 0..2 {
            for way in WAYS {
                let answer = hub.get(&tarball(way)).await;
                assert_eq!(answer.status, 403, "{world}: after {way}");
                assert!(answer.text().contains("it has the licence AGPL-3.0-only"), "{}", answer.text());
                assert_eq!(hub.send(Method::HEAD, &tarball(way), &[]).await.status, 403, "{world}: after {way}");
            }
            hub.restart().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_bytes_and_what_a_client_names_are_owed_to_lock_files() {
    for (world, wishes) in worlds("enforce", "cooldown: 7d", "1s", "") {
        let mut hub = stocked(wishes, "MIT").await;
        for way in WAYS {
            let expected = match way {
                "match" | "match and head" | "any" => 304,
                "range" => 206,
                "no bytes" => 416,
                _ => 200,
            };
            assert_eq!(ask(&hub, way).await, expected, "{world}: {way}");
        }
        hub.clock.advance(Duration::from_secs(400 * DAY));
        let now = today(&hub);
        for way in WAYS {
            hub.registry.published("jason", &version(way), now);
        }
        hub.publish();
        let owed = ["match", "empty", "mismatch", "range", "get"];
        for _ in 0..2 {
            let mut expected: Vec<String> = owed.map(version).into();
            expected.sort();
            let mut shown = listed(&hub).await;
            shown.sort();
            assert_eq!(shown, expected, "{world}");
            for way in WAYS {
                let expected = if owed.contains(&way) { 200 } else { 403 };
                assert_eq!(hub.get(&tarball(way)).await.status, expected, "{world}: after {way}");
            }
            hub.restart().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replaces_a_release_while_it_is_fetched_is_judged_itself() {
    for (world, wishes) in worlds("enforce", "licenses: {deny: [AGPL-3.0-only]}", "30d", ", checksum_changes: allow") {
        for size in [900, 400_000] {
            let mut hub = Hub::with(wishes.clone()).await;
            let (bytes, inner) = stating("1.1.0", "MIT", size);
            hub.registry.add_bytes("jason", "1.1.0", bytes, inner);
            hub.publish();
            assert_eq!(listed(&hub).await, ["1.1.0"]);
            // The index that is cached has the checksum of the first.
            let (bytes, inner) = stating("1.1.0", "AGPL-3.0-only", size);
            hub.registry.add_bytes("jason", "1.1.0", bytes, inner);
            hub.publish();
            for _ in 0..3 {
                let status = hub.client.get(format!("{}{NEW}", hub.url())).send().await.unwrap();
                let (status, body) = (status.status().as_u16(), status.bytes().await);
                assert!(status != 200 || body.is_err(), "{world}: {status}");
            }
            let refused = hub.get(NEW).await;
            assert_eq!(refused.status, 403, "{world}: {}", refused.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_an_inner_checksum_alone_is_judged_by_its_licence() {
    for (world, wishes) in worlds("enforce", "licenses: {deny: [AGPL-3.0-only]}", "30d", "") {
        let mut hub = stocked(wishes, "AGPL-3.0-only").await;
        for release in &mut hub.registry.package_mut("jason").releases {
            release.outer_checksum = None;
        }
        hub.publish();
        for _ in 0..2 {
            for path in [tarball("get"), format!("/docs/jason-{}.tar.gz", version("docs"))] {
                let refused = hub.get(&path).await;
                assert_eq!(refused.status, 403, "{world}: {path}");
                assert!(refused.text().contains("it has the licence AGPL-3.0-only"), "{}", refused.text());
            }
            hub.restart().await;
        }
        assert!(!listed(&hub).await.contains(&version("get")), "{world}: from now on the list leaves it out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decided_now_is_refused() {
    let strict = ", stale_while_revalidate: 0s, max_stale: 0s, network: strict";
    for (world, wishes) in worlds("enforce", "licenses: {deny: [AGPL-3.0-only]}", "0s", strict) {
        let hub = stocked(wishes, "AGPL-3.0-only").await;
        for (answered, way) in [(1_usize, "head"), (2, "match"), (3, "empty")] {
            let path = tarball(way);
            hub.upstream.script(INDEX, (0..answered).map(|_| Step::route()));
            hub.upstream.always(INDEX, Step::status(500));
            let status = hub.get(&path).await.status;
            assert!(matches!(status, 403 | 502), "{world}: {status} after {answered} answers");
            hub.upstream.always(INDEX, Step::route());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_excuses_nothing_that_it_would_hold() {
    for rules in ["cooldown: 30d", "licenses: {deny: [AGPL-3.0-only]}"] {
        for ((world, wishes), (_, enforced)) in
            worlds("dry_run", rules, "30d", "").into_iter().zip(worlds("enforce", rules, "30d", ""))
        {
            let mut hub = Hub::with(wishes).await;
            let now = today(&hub);
            for (version, licence, days) in [("1.0.0", "MIT", 365), ("1.1.0", "AGPL-3.0-only", 1)] {
                let (bytes, inner) = stating(version, licence, 900);
                hub.registry.add_bytes("jason", version, bytes, inner);
                hub.registry.published("jason", version, now - days * DAY);
            }
            hub.publish();
            for path in [OLD, NEW, NEW] {
                assert_eq!(hub.get(path).await.status, 200, "{world}: {path}");
            }
            let rule = if rules.starts_with("cooldown") { "cooldown" } else { "licence" };
            let would = format!("hexkeep_policy_would_deny_total{{repository=\"hexpm\",reason=\"{rule}\"}}");
            assert_eq!(hub.metric(&would).await, 2.0, "{world}: each answer is counted once");
            reload(&hub, &enforced).await;
            for _ in 0..2 {
                assert_eq!(hub.get(NEW).await.status, 403, "{world}: {rules}");
                assert_eq!(hub.get(OLD).await.status, 200, "{world}: {rules}");
                hub.restart().await;
            }
        }
    }
}

/// Rules that hold 1.1.0, a day old.
const HELD: [&str; 5] = [
    "cooldown: 7d",
    "freeze_after: 2020-01-01T00:00:00Z",
    "advisory_min_severity: high",
    "retirement_reasons: [security]",
    "licenses: {deny: [AGPL-3.0-only]}",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_removes_stays_subject_to_every_rule() {
    for rules in HELD {
        for (world, wishes) in worlds("enforce", rules, "1s", ", on_upstream_delete: keep") {
            let mut hub = Hub::with(wishes).await;
            let now = today(&hub);
            for (version, licence, days) in
                [("1.0.0", "MIT", 365 * 20), ("1.1.0", "AGPL-3.0-only", 1), ("1.2.0", "MIT", 365 * 20)]
            {
                let (bytes, inner) = stating(version, licence, 900);
                hub.registry.add_bytes("jason", version, bytes, inner);
                hub.registry.published("jason", version, now - days * DAY);
            }
            let jason = hub.registry.package_mut("jason");
            jason.advisories = ["GHSA-0", "GHSA-1"]
                .map(|id| SecurityAdvisory { id: id.to_owned(), severity: Some(4), ..SecurityAdvisory::default() })
                .into();
            jason.releases[1].advisory_indexes = vec![1];
            jason.releases[1].retired = Some(RetirementStatus { reason: 2, message: None });
            hub.publish();
            assert!(listed(&hub).await.contains(&"1.0.0".to_owned()), "{world}: {rules}");
            hub.registry.package_mut("jason").releases.retain(|release| release.version == "1.2.0");
            hub.publish();
            hub.clock.advance(Duration::from_secs(3600));
            assert_eq!(listed(&hub).await, ["1.2.0"], "{world}: {rules}");
            for _ in 0..2 {
                for path in [NEW, "/docs/jason-1.1.0.tar.gz"] {
                    let held = hub.get(path).await;
                    assert_eq!(held.status, 403, "{world}: {rules}: {path} {}", held.text());
                }
                let kept = hub.get(OLD).await;
                assert_eq!(kept.status, 200, "{world}: {rules}: what no rule holds is kept, {}", kept.text());
                hub.restart().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_waiver_lets_through_is_not_allowed_by_the_rule() {
    let mut hub = start(policy("own", "enforce", "cooldown: 30d")).await;
    let waive = ["policy", "waive", "hexpm", "jason", "~> 1.1", "--until", "2099-12-31", "--reason", "SEC-1"];
    assert_eq!(hub.command(&waive).await.0, 0);
    assert_eq!(hub.get(NEW).await.status, 200);
    assert_eq!(hub.command(&["policy", "withdraw", "hexpm", "1"]).await.0, 0);
    for _ in 0..2 {
        assert_eq!(hub.get(NEW).await.status, 403);
        assert_eq!(listed(&hub).await, ["1.0.0"]);
        hub.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_no_delivery_and_has_nothing_that_is_held() {
    for (world, wishes) in worlds("enforce", "licenses: {deny: [AGPL-3.0-only]}, cooldown: 7d", "1s", "") {
        let mut hub = licensed(wishes).await;
        let now = today(&hub);
        for version in ["1.0.0", "1.1.0"] {
            hub.registry.published("jason", version, now - 365 * DAY);
        }
        hub.publish();
        let lock = hub.config_file().with_file_name("mix.lock");
        let bundle = hub.config_file().with_file_name("bundle");
        for (version, code) in [("1.1.0", 1), ("1.0.0", 0)] {
            let text = format!("%{{\n\"jason\": {{:hex, :jason, \"{version}\", nil, [], [], \"hexpm\", nil}},\n}}\n");
            std::fs::write(&lock, text).unwrap();
            let create = ["bundle", "create", "--output", bundle.to_str().unwrap(), "--lock", lock.to_str().unwrap()];
            let said = hub.command(&create).await;
            assert_eq!(said.0, code, "{world}: {version}: {said:?}");
        }
        hub.clock.advance(Duration::from_secs(400 * DAY));
        let now = today(&hub);
        hub.registry.published("jason", "1.0.0", now);
        hub.publish();
        assert_eq!(hub.get(OLD).await.status, 403, "{world}: nobody has been given it");
    }
}
