//! What a policy evaluates before anybody asks: packages for `names` and `versions`, and licences.

use super::super::support::upstream::Step;
use super::*;

/// Longer than what is evaluated beforehand is left alone.
const WHILE: Duration = Duration::from_secs(61);

/// `NAME VERSION…` of each package in `versions`, which are those of `names` unless both are just being made again.
async fn versions(hub: &Hub, base: &str) -> Vec<String> {
    let open = async |path: &str| {
        let answer = hub.get(&format!("{base}/{path}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Envelope::open(answer.body, 1 << 24).unwrap().payload
    };
    let listed = Versions::decode(open("versions").await).unwrap().packages;
    let named: Vec<String> =
        Names::decode(open("names").await).unwrap().packages.into_iter().map(|one| one.name).collect();
    if named != listed.iter().map(|one| one.name.clone()).collect::<Vec<_>>() {
        return vec!["they differ".to_owned()];
    }
    listed.into_iter().map(|one| format!("{} {}", one.name, one.versions.join(" "))).collect()
}

/// `jason` 1.0.0 and 1.1.0, a year and a day old, and `plug` 1.0.0, which nobody has touched for a year.
async fn dated(wishes: Wishes) -> Hub {
    let mut hub = start(wishes).await;
    let now = today(&hub);
    hub.registry.add("plug", "1.0.0");
    hub.registry.published("plug", "1.0.0", now - 365 * DAY);
    for (name, days) in [("jason", 1), ("plug", 365)] {
        hub.registry.updated(name, i64::try_from(now - days * DAY).unwrap());
    }
    hub.publish();
    hub
}

fn asked_for(hub: &Hub, path: &str) -> usize {
    hub.upstream.calls_to(path).len()
}

fn asked(hub: &Hub, folder: &str) -> usize {
    hub.upstream.calls().iter().filter(|call| call.path.starts_with(folder)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_become_complete_by_themselves() {
    for base in ["", "/repos/all"] {
        let wishes = match base {
            "" => policy("own", "enforce", "cooldown: 7d"),
            _ => Wishes {
                repository: "signature: own, metadata_ttl: 30d, direct: true".to_owned(),
                more: vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()],
                ..policy("own", "enforce", "cooldown: 7d")
            },
        };
        let mut hub = dated(wishes).await;
        assert_eq!(versions(&hub, base).await, ["plug 1.0.0"], "nobody has looked at jason");
        assert_eq!(asked(&hub, "/packages/"), 0);
        hub.clock.advance(WHILE);
        let evaluated = async || versions(&hub, base).await == ["jason 1.0.0", "plug 1.0.0"];
        eventually("it is evaluated, though nobody asked for it", evaluated).await;
        assert_eq!(asked(&hub, "/packages/"), 1, "what is beyond doubt is not asked for");

        // What is here and was not touched since is evaluated again without asking anybody.
        hub.restart().await;
        assert_eq!(versions(&hub, base).await, ["plug 1.0.0"]);
        hub.clock.advance(WHILE);
        eventually("it goes on", async || versions(&hub, base).await.len() == 2).await;
        assert_eq!(asked(&hub, "/packages/"), 1);
        let left =
            format!("hexkeep_policy_unevaluated{{repository=\"{}\"}}", if base.is_empty() { "hexpm" } else { "all" });
        assert_eq!(hub.metric(&left).await, 0.0);

        // When its time has come, so does the release, in these lists too.
        hub.clock.advance(Duration::from_secs(6 * DAY));
        let whole = async || versions(&hub, base).await == ["jason 1.0.0 1.1.0", "plug 1.0.0"];
        eventually("the release appears", whole).await;
        assert_eq!(asked(&hub, "/packages/"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_those_of_what_the_upstream_has_now() {
    let mut hub = dated(policy("own", "enforce", "cooldown: 7d")).await;
    assert_eq!(versions(&hub, "").await, ["plug 1.0.0"]);
    let now = today(&hub);
    hub.registry.add("ecto", "3.0.0");
    hub.registry.updated("ecto", i64::try_from(now - 100 * DAY).unwrap());
    hub.publish();
    assert_eq!(hub.command(&["purge", "hexpm"]).await.0, 0);
    eventually("the new package is listed", async || versions(&hub, "").await == ["ecto 3.0.0", "plug 1.0.0"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_waived_any_more_is_out_of_the_lists_at_once() {
    // Time stands still, so nothing is evaluated but what is asked for.
    let hub = dated(policy("own", "enforce", "cooldown: 7d")).await;
    let waive = ["policy", "waive", "hexpm", "jason", "--until", "2099-12-31", "--reason", "SEC-1"];
    assert_eq!(hub.command(&waive).await.0, 0);
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
    assert_eq!(versions(&hub, "").await, ["jason 1.0.0 1.1.0", "plug 1.0.0"]);
    assert_eq!(hub.command(&["policy", "withdraw", "hexpm", "1"]).await.0, 0);
    assert_eq!(versions(&hub, "").await, ["plug 1.0.0"], "older lists would show it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turns_out_to_be_held_is_out_of_the_lists_at_once() {
    let mut hub = dated(policy("own", "enforce", "advisory_min_severity: high")).await;
    assert_eq!(versions(&hub, "").await, ["jason 1.0.0 1.1.0", "plug 1.0.0"], "nothing says that it has an advisory");
    let jason = hub.registry.package_mut("jason");
    jason.advisories =
        vec![SecurityAdvisory { id: "GHSA-1".to_owned(), severity: Some(4), ..SecurityAdvisory::default() }];
    jason.releases[1].advisory_indexes = vec![0];
    hub.upstream.serve(INDEX, hub.registry.package("jason"));
    assert_eq!(listed(&hub).await, ["1.0.0"]);
    assert_eq!(
        versions(&hub, "").await,
        ["jason 1.0.0", "plug 1.0.0"],
        "though `versions` of the upstream are the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn licences_are_read_beforehand_where_that_is_wanted() {
    for (metadata, left) in [("full", vec!["1.0.0"]), ("lazy", vec!["1.0.0", "1.1.0"])] {
        let mut wishes = policy("own", "enforce", "licenses: {deny: [AGPL-3.0-only]}");
        wishes.repository.push_str(&format!(", metadata: {metadata}"));
        wishes.more = vec!["all: { type: virtual, members: [hexpm] }".to_owned()];
        let mut hub = licensed(wishes).await;
        assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "nobody has read them yet");
        hub.clock.advance(WHILE);
        let expected = [format!("jason {}", left.join(" "))];
        eventually("it is evaluated", async || versions(&hub, "").await == expected).await;
        assert_eq!(listed(&hub).await, left, "{metadata}");
        assert_eq!(package(&hub.get("/repos/all/packages/jason").await).releases.len(), left.len());
        let read = if metadata == "full" { 2 } else { 0 };
        assert_eq!(asked(&hub, "/tarballs/"), read);
        assert!(
            hub.files().iter().all(|file| !file.starts_with("blobs/")),
            "nobody has asked for them: {:?}",
            hub.files()
        );

        hub.restart().await;
        hub.clock.advance(WHILE);
        eventually("and after a restart", async || versions(&hub, "").await == expected).await;
        assert_eq!(asked(&hub, "/tarballs/"), read, "what was read once is known");
        assert_eq!(hub.get(NEW).await.status, 403);
        assert_eq!(hub.get(OLD).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_names_that_is_older_than_that_of_versions_shows_nothing_that_is_held() {
    for base in ["", "/repos/all"] {
        let repository = "signature: own, metadata_ttl: 60s".to_owned();
        let wishes = match base {
            "" => Wishes {
                repository: format!("{repository}, policy: company"),
                ..policy("own", "enforce", "cooldown: 7d")
            },
            _ => Wishes {
                repository: format!("{repository}, direct: true"),
                more: vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()],
                ..policy("own", "enforce", "cooldown: 7d")
            },
        };
        let mut hub = dated(wishes).await;
        assert_eq!(versions(&hub, base).await, ["plug 1.0.0"], "{base}");
        let now = today(&hub);
        hub.registry.add("plug", "2.0.0");
        hub.registry.published("plug", "2.0.0", now);
        hub.registry.updated("plug", i64::try_from(now).unwrap());
        hub.publish();
        hub.upstream.always("/names", Step::status(503));
        for _ in 0..2 {
            hub.clock.advance(Duration::from_secs(600));
            for _ in 0..3 {
                let listed = versions(&hub, base).await;
                assert!(!listed.iter().any(|one| one.contains("2.0.0")), "{base}: {listed:?}");
            }
            // Then nothing is in memory.
            hub.restart().await;
        }
        hub.upstream.always("/names", Step::route());
        hub.clock.advance(Duration::from_secs(600));
        let listed = async || versions(&hub, base).await.contains(&"plug 1.0.0".to_owned());
        eventually("it is listed without what is held", listed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_just_failed_are_not_asked_for_again_with_each_list() {
    let repository =
        "signature: own, metadata_ttl: 60s, stale_while_revalidate: 0s, assumed_offline: 0s, policy: company";
    let wishes = Wishes { repository: repository.to_owned(), ..policy("own", "enforce", "cooldown: 7d") };
    let mut hub = dated(wishes).await;
    assert_eq!(versions(&hub, "").await, ["plug 1.0.0"]);
    hub.registry.add("plug", "2.0.0");
    // Its age is proven by when it was touched.
    hub.registry.add("undated", "1.0.0");
    hub.publish();
    hub.upstream.always("/names", Step::status(400));
    hub.clock.advance(Duration::from_secs(600));
    versions(&hub, "").await;
    let asked = asked_for(&hub, "/names");
    for _ in 0..3 {
        versions(&hub, "").await;
        assert_eq!(hub.get("/packages/undated").await.status, 200);
    }
    assert_eq!(asked_for(&hub, "/names"), asked, "no second has gone by");
    hub.clock.advance(Duration::from_secs(2));
    versions(&hub, "").await;
    assert_eq!(asked_for(&hub, "/names"), asked + 1, "then it is asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_lists_that_came_within_a_minute_are_of_the_same_age() {
    for (apart, shown) in [(60, vec!["plug 1.0.0"]), (61, Vec::new())] {
        let settings = "signature: own, metadata_ttl: 30d";
        let hub = dated(Wishes { repository: settings.to_owned(), ..Wishes::default() }).await;
        assert_eq!(hub.get("/names").await.status, 200);
        hub.clock.advance(Duration::from_secs(apart));
        assert_eq!(hub.get("/versions").await.status, 200);
        let repository = format!("{settings}, network: offline, policy: company");
        reload(&hub, &Wishes { repository, ..policy("own", "enforce", "cooldown: 7d") }).await;
        assert_eq!(versions(&hub, "").await, shown, "{apart} seconds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_before_the_first_evaluation_begins_with_the_policy() {
    let hub = dated(Wishes { repository: "signature: own, metadata_ttl: 30d".to_owned(), ..Wishes::default() }).await;
    assert_eq!(versions(&hub, "").await, ["jason 1.0.0 1.1.0", "plug 1.0.0"]);
    reload(&hub, &policy("own", "enforce", "cooldown: 7d")).await;
    // No round has looked at the policy by now: there is one in a second.
    hub.clock.advance(WHILE);
    let evaluated = async || versions(&hub, "").await == ["jason 1.0.0", "plug 1.0.0"];
    eventually("it is evaluated, though nobody asked for it", evaluated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_does_not_stop_the_rest() {
    let mut wishes = policy("own", "dry_run", "licenses: {deny: [AGPL-3.0-only]}");
    wishes.repository.push_str(", metadata: full");
    let hub = licensed(wishes).await;
    hub.upstream.always(OLD, Step::status(404));
    hub.clock.advance(WHILE);
    eventually("the other one is read", async || asked(&hub, NEW) == 1).await;
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "a dry run shows all");
    let would = "hexkeep_policy_would_deny_total{repository=\"hexpm\",reason=\"licence\"}";
    assert_eq!((hub.get(NEW).await.status, hub.metric(would).await), (200, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_policy_learns_of_a_licence_counts_for_all() {
    let rules = "licenses: {deny: [AGPL-3.0-only]}";
    let wishes = Wishes {
        more: vec!["all: { type: virtual, members: [hexpm], policy: other }".to_owned()],
        top: format!(
            "policies:\n  company: {{ mode: dry_run, repositories: {{ hexpm: {{ {rules} }} }} }}\n  \
             other: {{ mode: enforce, repositories: {{ hexpm: {{ {rules} }} }} }}\n"
        ),
        repository: "signature: own, metadata_ttl: 30d, policy: company, direct: true".to_owned(),
        ..Wishes::default()
    };
    let hub = licensed(wishes).await;
    let all = async || package(&hub.get("/repos/all/packages/jason").await).releases.len();
    assert_eq!(all().await, 2);
    assert_eq!(hub.get(NEW).await.status, 200, "the other one is dry");
    assert_eq!(all().await, 1);
    assert_eq!(hub.get(&format!("/repos/all{NEW}")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_download_through_a_virtual_repository_is_decided_by_its_licence() {
    let rules = "licenses: {deny: [AGPL-3.0-only]}";
    let wishes = Wishes {
        repository: "signature: own, metadata_ttl: 30d, direct: true".to_owned(),
        more: vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()],
        ..policy("own", "enforce", rules)
    };
    let hub = licensed(wishes).await;
    let refused = hub.get(&format!("/repos/all{NEW}")).await;
    assert_eq!(refused.status, 403, "before anybody has seen its metadata");
    assert!(refused.text().contains("it has the licence AGPL-3.0-only"), "{}", refused.text());
    assert_eq!(hub.get(&format!("/repos/all{OLD}")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_an_evaluation() {
    let mut hub = dated(policy("own", "enforce", "cooldown: 7d")).await;
    hub.upstream.always(INDEX, Step::never());
    hub.clock.advance(WHILE);
    eventually("it is asked for", async || asked(&hub, INDEX) == 1).await;
    hub.stop().await;
    hub.upstream.always(INDEX, Step::route());
    hub.launch().await;
    assert_eq!(listed(&hub).await, ["1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn index_and_tarballs_always_agree() {
    let rules = "cooldown: 7d, retirement_reasons: [security], licenses: {deny: [AGPL-3.0-only], unknown: hold}";
    for seed in [1, 2] {
        let mut random = fastrand::Rng::with_seed(seed);
        let wishes = policy("own", "enforce", rules);
        let repository = format!("{}, metadata: full, direct: true", wishes.repository);
        let more = vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()];
        let mut hub = Hub::with(Wishes { repository, more, ..wishes }).await;
        let now = today(&hub);
        let versions: Vec<String> = (0..12).map(|minor| format!("1.{minor}.0")).collect();
        for version in &versions {
            let licence = ["<<\"MIT\">>", "<<\"AGPL-3.0-only\">>", ""][random.usize(..3)];
            let metadata = format!(
                "{{<<\"name\">>,<<\"jason\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"licenses\">>,[{licence}]}}.\n"
            );
            let (tarball, inner) = pack(metadata.as_bytes(), &vec![7; random.usize(..200_000)]);
            hub.registry.add_bytes("jason", version, tarball, inner);
            hub.registry.published("jason", version, now - random.u64(..14) * DAY);
            if random.u8(..5) == 0 {
                hub.registry.package_mut("jason").releases.last_mut().unwrap().retired =
                    Some(RetirementStatus { reason: 2, message: None });
            }
        }
        hub.registry.updated("jason", i64::try_from(now - 1).unwrap());
        hub.publish();
        hub.clock.advance(WHILE);
        let read = async || asked(&hub, "/tarballs/") == 12 && !self::versions(&hub, "").await.is_empty();
        eventually("all licences are read", read).await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..4 {
            let bases = ["", "/repos/all"];
            let base = bases[random.usize(..2)];
            for base in [base, bases[0], bases[1]] {
                let agreed = async || {
                    let listed: Vec<String> = package(&hub.get(&format!("{base}{INDEX}")).await)
                        .releases
                        .into_iter()
                        .map(|release| release.version)
                        .collect();
                    let mut to_be_had = Vec::new();
                    for version in &versions {
                        let path = format!("{base}/tarballs/jason-{version}.tar");
                        let status = hub.get(&path).await.status;
                        assert!([200, 403].contains(&status), "{path}: {status}");
                        to_be_had.extend((status == 200).then(|| version.clone()));
                    }
                    assert_eq!(listed, to_be_had, "seed {seed}, at {base}");
                    listed.len()
                };
                seen.insert(agreed().await);
            }
            hub.clock.advance(Duration::from_secs(random.u64(..4) * DAY));
        }
        assert!(seen.len() > 1, "time changes something: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_lists_show() {
    let mut wishes = policy("own", "enforce", "cooldown: 7d");
    wishes.repository.push_str(", api_url: \"{url}/api\", direct: true");
    wishes.more = vec![
        "other: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", metadata_ttl: 30d }".to_owned(),
        "all: { type: virtual, members: [other], policy: company }".to_owned(),
    ];
    wishes.top = wishes.top.replace("{ hexpm: {", "{ other: { cooldown: 7d }, hexpm: {");
    let hub = dated(wishes).await;
    let release = |version: &str| serde_json::json!({"version": version, "url": "x"});
    let said = serde_json::json!([{"name": "jason", "latest_version": "1.1.0", "latest_stable_version": "1.1.0",
        "releases": [release("1.1.0"), release("1.0.0")]}]);
    hub.upstream.serve("/api/packages", said.to_string());
    let found = async |base: &str| -> Vec<serde_json::Value> {
        let path = format!("/api/repos/{base}/packages?search=jason");
        let answer = hub.get_with(&path, &[MIX, ("accept", "application/json")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    };
    for (base, upstream) in [("hexpm", "asked by its API"), ("all", "known by its list")] {
        assert!(found(base).await.is_empty(), "nobody has looked at it");
        hub.clock.advance(WHILE);
        eventually("it is found", async || !found(base).await.is_empty()).await;
        let jason = &found(base).await[0];
        assert_eq!(jason["latest_version"], "1.0.0", "{upstream}: {jason}");
        assert_eq!(jason["releases"].as_array().unwrap().len(), 1, "{upstream}: {jason}");
    }
}
