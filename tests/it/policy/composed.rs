//! A policy on a virtual repository: its rules are about what its members have, whatever way it is reached.

use hexkeep::hex::message::Policy;
use reqwest::Method;

use super::super::support::local::package as local_package;
use super::super::support::registry::{TestRegistry, tarball};
use super::super::support::upstream::ScriptedUpstream;
use super::*;

/// The drop-in set-up under the policy `company`, whose rules for `upstream` are `rules`; `settings` are more of the
/// virtual repository, `more` other repositories, and what is cached stays fresh.
fn united(mode: &str, rules: &str, settings: &str, more: &[&str]) -> Wishes {
    let mut instead = vec![
        "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", metadata_ttl: 30d }".to_owned(),
        "acme: { type: local, anonymous_read: true }".to_owned(),
        format!(
            "hexpm: {{ type: virtual, members: [acme, upstream], policy: company, deploy_to: acme, \
             anonymous_read: true{settings} }}"
        ),
    ];
    instead.extend(more.iter().map(|line| (*line).to_owned()));
    Wishes { instead, ..Wishes::default() }.under(mode, &format!("upstream: {{ {rules} }}"))
}

impl Wishes {
    /// The same with a policy `company`, whose repositories these are.
    fn under(self, mode: &str, repositories: &str) -> Self {
        let top = format!("policies:\n  company: {{ mode: {mode}, repositories: {{ {repositories} }} }}\n");
        Self { top, ..self }
    }
}

async fn releases(hub: &Hub, path: &str) -> Vec<String> {
    package(&hub.get(path).await).releases.into_iter().map(|release| release.version).collect()
}

async fn versions(hub: &Hub, base: &str) -> Vec<(String, Vec<String>)> {
    let answer = hub.get(&format!("{base}/versions")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let payload = Envelope::open(answer.body, 1 << 24).unwrap().payload;
    let listed = Versions::decode(payload).unwrap().packages.into_iter();
    let listed: Vec<_> = listed.map(|package| (package.name, package.versions)).collect();
    let payload = Envelope::open(hub.get(&format!("{base}/names")).await.body, 1 << 24).unwrap().payload;
    let names: Vec<String> = Names::decode(payload).unwrap().packages.into_iter().map(|one| one.name).collect();
    // Unless both are just being made again.
    if names != listed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>() {
        return vec![entry("they differ", &[])];
    }
    listed
}

fn entry(name: &str, versions: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), versions.iter().map(|version| (*version).to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_in_no_list_and_cannot_be_downloaded_until_its_time() {
    let hub = start(united("enforce", "cooldown: 7d", "", &[])).await;
    let root = hub.user("root", true).await;
    let answer = hub.publish_to_acme(&root, "acme_core", local_package("acme_core", "0.1.0", "")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(listed(&hub).await, ["1.0.0"]);
    assert_eq!(hub.get(OLD).await.status, 200);
    for path in [NEW, "/docs/jason-1.1.0.tar.gz"] {
        let refused = hub.get_with(path, &[MIX]).await;
        assert_eq!(refused.status, 403, "{path}");
        let text = refused.text();
        let expected =
            "jason 1.1.0 is held by the policy company: it was published less than 7d ago; it is available from";
        assert!(text.starts_with(expected), "{text}");
        assert!(refused.header("x-hex-message").contains("held by the policy company"), "{path}");
    }
    assert_eq!(hub.send(Method::HEAD, NEW, &[]).await.status, 403);
    assert_eq!(hub.metric("hexkeep_policy_denied_total{repository=\"hexpm\",reason=\"cooldown\"}").await, 3.0);
    eventually("the denial is in the audit log", async || audit(&hub, "policy.denied").await.len() == 1).await;

    // A private member that the policy does not name is as free as it was.
    assert_eq!(releases(&hub, "/packages/acme_core").await, ["0.1.0"]);
    assert_eq!(hub.get("/tarballs/acme_core-0.1.0.tar").await.status, 200);
    // What was evaluated is listed, as far as it may be had; the upstream does not say when it touched its packages.
    assert_eq!(versions(&hub, "").await, [entry("acme_core", &["0.1.0"])]);

    // The members are reached through the repository alone.
    for path in ["/repos/upstream/packages/jason", "/repos/upstream/tarballs/jason-1.1.0.tar"] {
        assert_eq!(hub.get(path).await.status, 404, "{path}");
    }

    hub.clock.advance(Duration::from_secs(6 * DAY - 3600));
    let soon = hub.get(INDEX).await;
    let freshness = soon.header("cache-control");
    assert!(["public, max-age=3599", "public, max-age=3600"].contains(&freshness), "{freshness}");
    let asked = hub.upstream.calls_to(INDEX).len();
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
    assert_eq!(hub.upstream.calls_to(INDEX).len(), asked, "nobody asked the upstream");
    assert_eq!(hub.get(NEW).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_everything_show_what_was_evaluated_and_what_is_beyond_doubt() {
    let mut hub = start(united("enforce", "cooldown: 7d", "", &[])).await;
    let now = i64::try_from(today(&hub)).unwrap();
    hub.registry.updated("jason", now - i64::try_from(DAY).unwrap());
    hub.registry.add("plug", "1.0.0");
    hub.registry.updated("plug", now - 100 * i64::try_from(DAY).unwrap());
    hub.publish();
    assert_eq!(versions(&hub, "").await, [entry("plug", &["1.0.0"])], "nobody has looked at jason yet");
    assert_eq!(listed(&hub).await, ["1.0.0"]);
    hub.clock.advance(Duration::from_secs(31 * DAY));
    eventually("by now jason is old, too", async || versions(&hub, "").await.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_and_what_is_pinned_goes_on() {
    let mut hub = start(united("dry_run", "cooldown: 7d", "", &[])).await;
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
    assert_eq!(hub.get(NEW).await.status, 200);
    eventually("it is in the audit log", async || audit(&hub, "policy.would_deny").await.len() == 1).await;
    hub.clock.advance(Duration::from_secs(31 * DAY));
    assert_eq!(hub.get(NEW).await.status, 200, "by now no rule would hold it");
    hub.clock.advance(Duration::from_secs(31 * DAY));
    let now = today(&hub);
    hub.registry.add("jason", "1.2.0");
    for version in ["1.1.0", "1.2.0"] {
        hub.registry.published("jason", version, now);
    }
    hub.publish();
    reload(&hub, &united("enforce", "cooldown: 7d", "", &[])).await;
    for _ in 0..2 {
        assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "it is young by its date, and was delivered");
        assert_eq!(hub.get(NEW).await.status, 200);
        assert_eq!(hub.get("/tarballs/jason-1.2.0.tar").await.status, 403);
        hub.restart().await;
    }
    reload(&hub, &united("enforce", "cooldown: 7d, locked: hold", "", &[])).await;
    assert_eq!(listed(&hub).await, ["1.0.0"]);

    let outer = hub.registry.package_ref("jason").releases[2].outer_checksum.clone().unwrap();
    let outer: String = outer.iter().map(|byte| format!("{byte:02X}")).collect();
    let lock = hub.config_file().with_file_name("manifest.toml");
    let text = format!(
        "packages = [\n  {{ name = \"jason\", version = \"1.2.0\", build_tools = [\"mix\"], requirements = [], otp_app = \"jason\", \
         source = \"hex\", outer_checksum = \"{outer}\" }},\n]\n"
    );
    std::fs::write(&lock, text).unwrap();
    let lock = lock.to_str().unwrap().to_owned();
    let (code, said, _) = hub.command(&["policy", "test", "hexpm", "--lock", &lock]).await;
    assert_eq!(code, 1);
    assert!(said.trim_end().ends_with("; the newest release to take instead is 1.0.0"), "{said}");
    let (code, _, error) = hub.command(&["pin", "hexpm", "--lock", &lock, "--reason", "SEC-1"]).await;
    assert_eq!(code, 0, "{error}");
    assert_eq!(listed(&hub).await, ["1.0.0", "1.2.0"]);
    assert_eq!(hub.get("/tarballs/jason-1.2.0.tar").await.status, 200);
    let (_, said, _) = hub.command(&["policy", "why", "hexpm", "jason"]).await;
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[1].starts_with("jason 1.1.0 is held by the policy company"), "{said}");
    assert_eq!((lines[0], lines[2]), ("jason 1.0.0 is allowed", "jason 1.2.0 is exempt because pinned"));
}

#[tokio::test(flavor = "multi_thread")]
async fn licences_are_read_at_the_first_download() {
    let mut hub = Hub::with(united("enforce", "licenses: {deny: [AGPL-3.0-only]}", "", &[])).await;
    for (version, licence) in [("1.0.0", "MIT"), ("1.1.0", "AGPL-3.0-only")] {
        let metadata = format!(
            "{{<<\"name\">>,<<\"jason\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"licenses\">>,[<<\"{licence}\">>]}}.\n"
        );
        let (tarball, inner) = pack(metadata.as_bytes(), &[7; 900]);
        hub.registry.add_bytes("jason", version, tarball, inner);
    }
    hub.publish();
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
    assert_eq!(hub.get(OLD).await.status, 200);
    let refused = hub.get(NEW).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.text().trim_end(),
        "jason 1.1.0 is held by the policy company: it has the licence AGPL-3.0-only"
    );
    assert_eq!(listed(&hub).await, ["1.0.0"]);
}

/// A registry `other` with `jason` 1.1.0 (other bytes) and 1.3.0, and the line that makes it a repository.
async fn other(hub_clock: u64) -> (ScriptedUpstream, String) {
    let (upstream, mut registry) = (ScriptedUpstream::start().await, TestRegistry::new("other"));
    for version in ["1.1.0", "1.3.0"] {
        let (bytes, inner) = tarball("jason", version, 500, 9);
        registry.add_bytes("jason", version, bytes, inner);
        registry.published("jason", version, hub_clock - 300 * DAY);
    }
    registry.updated("jason", i64::try_from(hub_clock - 300 * DAY).unwrap());
    registry.publish(&upstream);
    let line =
        format!("other: {{ type: remote, url: \"{}\", public_key: \"{{key}}\", metadata_ttl: 30d }}", upstream.url());
    (upstream, line)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_makes_no_room_for_another_members_release() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (_other, line) = other(now).await;
    let both = "both: { type: virtual, members: [upstream, other], merge: release, policy: company }";
    let wishes = united("enforce", "cooldown: 7d", "", &[&line, both]);
    let mut hub = start(wishes).await;
    hub.registry.updated("jason", i64::try_from(now - DAY).unwrap());
    hub.publish();
    assert_eq!(releases(&hub, "/repos/both/packages/jason").await, ["1.0.0", "1.3.0"], "1.1.0 is upstream's, and held");
    assert_eq!(hub.get("/repos/both/tarballs/jason-1.1.0.tar").await.status, 403);
    assert_eq!(hub.get("/repos/both/tarballs/jason-1.3.0.tar").await.status, 200);
    assert_eq!(versions(&hub, "/repos/both").await, [entry("jason", &["1.0.0", "1.3.0"])]);
    let (_, said, _) = hub.command(&["explain", "both", "jason"]).await;
    assert!(
        said.contains("upstream (public) answers: 1.0.0; not shown: 1.1.0\n    jason 1.1.0 is held by the"),
        "{said}"
    );
    let (_, said, _) = hub.command(&["explain", "both", "jason", "1.1.0"]).await;
    assert!(said.starts_with("jason 1.1.0 in both: not found"), "{said}");
    assert!(said.contains("upstream (public) has it, but it is held by policy; not shown: 1.1.0"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_reaches_through_virtual_members() {
    let outer = "outer: { type: virtual, members: [inner], policy: company }";
    let inner = "inner: { type: virtual, members: [upstream] }";
    for (rules, shown) in [
        ("upstream: { cooldown: 7d }", vec!["1.0.0"]),
        ("inner: { cooldown: 7d }", vec!["1.0.0"]),
        ("inner: { cooldown: 7d }, upstream: { cooldown: 1d }", vec!["1.0.0", "1.1.0"]),
    ] {
        let instead = vec![
            "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", direct: true }".to_owned(),
            inner.replace(" }", ", direct: true }"),
            outer.to_owned(),
        ];
        let wishes = Wishes { instead, top: "default_repository: upstream\n".to_owned(), ..Wishes::default() };
        let policies = wishes.clone().under("enforce", rules).top;
        let mut hub = start(Wishes { top: format!("{}{policies}", wishes.top), ..wishes }).await;
        let now = today(&hub);
        hub.registry.updated("jason", i64::try_from(now - DAY).unwrap());
        hub.publish();
        assert_eq!(releases(&hub, "/repos/outer/packages/jason").await, shown, "{rules}");
        let expected = if shown.len() == 1 { 403 } else { 200 };
        assert_eq!(hub.get("/repos/outer/tarballs/jason-1.1.0.tar").await.status, expected, "{rules}");
        let names: Vec<&str> = shown.iter().map(AsRef::as_ref).collect();
        assert_eq!(versions(&hub, "/repos/outer").await, [entry("jason", &names)], "{rules}");
        // Who is allowed to go there directly is held back by nobody.
        assert_eq!(releases(&hub, "/repos/inner/packages/jason").await, ["1.0.0", "1.1.0"], "{rules}");
        assert_eq!(hub.get("/repos/inner/tarballs/jason-1.1.0.tar").await.status, 200, "{rules}");
        assert_eq!(versions(&hub, "/repos/inner").await, [entry("jason", &["1.0.0", "1.1.0"])], "{rules}");
        hub.clock.advance(Duration::from_secs(6 * DAY));
        assert_eq!(releases(&hub, "/repos/outer/packages/jason").await, ["1.0.0", "1.1.0"], "{rules}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_name_stays_claimed_whatever_is_held_of_it() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (_other, line) = other(now).await;
    // `below` is private, and its policy lists nothing of jason as long as nobody has looked at it.
    let wishes = Wishes {
        instead: vec![
            "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\" }".to_owned(),
            line,
            "below: { type: virtual, members: [upstream], policy: company }".to_owned(),
            "hexpm: { type: virtual, members: [other, {repository: below, private: true}], merge: release }".to_owned(),
        ],
        ..Wishes::default()
    };
    let hub = start(wishes.under("enforce", "upstream: { cooldown: 7d }")).await;
    let found =
        hub.get_with("/api/repos/hexpm/packages?search=jason", &[MIX, ("accept", "application/json")]).await.text();
    assert_eq!(found, "[]", "what other has is not found, and of below nobody has looked at anything");
    assert_eq!(versions(&hub, "").await, [], "other does not answer");
    assert_eq!(listed(&hub).await, ["1.0.0"]);
    assert_eq!(hub.get("/tarballs/jason-1.3.0.tar").await.status, 404);
}

fn published(answer: &Answer) -> Policy {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Policy::decode(Envelope::open(answer.body.clone(), 1 << 20).unwrap().payload).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_published_with_exceptions_for_private_names() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (_other, line) = other(now).await;
    let more = [
        line.as_str(),
        "team: { type: virtual, members: [secret, upstream], policy: company, anonymous_read: true }",
        "mixed: { type: virtual, members: [secret, upstream, other], policy: company, anonymous_read: true }",
        "secret: { type: local, organization: acme }",
    ];
    let hub = start(united("enforce", "cooldown: 7d, overrides: [{deny: evil}]", "", &more)).await;
    let reader = hub.member("rita", "write").await;
    let answer = hub.publish_to("secret", &reader, "hush", local_package("hush", "1.0.0", "")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());

    let overrides = |policy: &Policy| {
        let found = policy.repositories[0].overrides.iter();
        found.map(|one| (one.action, one.r#ref.package.clone())).collect::<Vec<_>>()
    };
    let seen = published(&hub.get_with("/repos/team/policies/company", &[("authorization", &reader)]).await);
    assert_eq!((seen.repository.as_str(), seen.repositories[0].repository.as_str()), ("team", "team"));
    assert_eq!(seen.repositories[0].restriction.as_ref().unwrap().cooldown.as_deref(), Some("7d"));
    assert_eq!(overrides(&seen), [(1, "evil".to_owned()), (0, "hush".to_owned())]);
    let stranger = published(&hub.get("/repos/team/policies/company").await);
    assert_eq!(overrides(&stranger), [(1, "evil".to_owned())], "private names are for those who may read them");

    // Of `other` the policy says nothing, and clients could not tell whose a release is.
    let mixed = published(&hub.get("/repos/mixed/policies/company").await);
    assert_eq!(mixed.repositories[0].restriction.as_ref().unwrap().cooldown, None);
    assert_eq!(overrides(&mixed), []);
    assert_eq!(hub.get("/policies/company").await.status, 404, "clients refuse hexpm as the home of a policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_was_sent_is_sent_again_without_the_disk() {
    let hub = start(Wishes {
        repository: "signature: own, metadata_ttl: 30d, direct: true".to_owned(),
        more: vec!["team: { type: virtual, members: [hexpm], policy: company, anonymous_read: true }".to_owned()],
        ..policy("own", "enforce", "cooldown: 7d")
    })
    .await;
    let theirs =
        Policy { repository: "hexpm".to_owned(), name: "theirs".to_owned(), visibility: 1, ..Default::default() };
    hub.upstream.serve("/policies/theirs", hub.registry.seal(&theirs.encode_to_vec()));
    // The repository's own, and one that a member has.
    for path in ["/repos/team/policies/company", "/repos/team/policies/theirs"] {
        let first = hub.get(path).await;
        assert_eq!(first.status, 200, "{path}: {}", first.text());
        let sealed = "hexkeep_sealed_total{repository=\"team\"}";
        let before = hub.metric(sealed).await;
        let kept: Vec<String> = hub.files().into_iter().filter(|file| file.starts_with("sealed/team")).collect();
        assert!(!kept.is_empty(), "{path}");
        kept.iter().for_each(|file| std::fs::remove_file(hub.data().join(file)).unwrap());
        let again = hub.get(path).await;
        assert_eq!((again.status, &again.body), (200, &first.body), "{path}");
        assert_eq!(hub.metric(sealed).await, before, "{path}: it was signed before");
    }
}

/// The drop-in set-up whose upstream is looked at every second, behind another virtual repository too.
fn watched(rules: &str) -> Wishes {
    let mut wishes = united("enforce", rules, "", &["outer: { type: virtual, members: [hexpm] }"]);
    wishes.instead[0] = wishes.instead[0].replace("30d", "1s");
    wishes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_removes_stays_for_lock_files_of_a_virtual_repository() {
    for whole in [false, true] {
        let mut hub = start(watched("retirement_reasons: [security]")).await;
        let root = hub.user("root", true).await;
        assert_eq!(hub.get(OLD).await.status, 200);
        hub.registry.add("plug", "1.0.0");
        if whole {
            hub.registry.remove("jason");
            hub.upstream.forget(INDEX);
        } else {
            hub.registry.package_mut("jason").releases.drain(..2);
            let now = today(&hub);
            hub.registry.add("jason", "1.2.0");
            hub.registry.published("jason", "1.2.0", now - DAY);
        }
        hub.publish();
        hub.clock.advance(Duration::from_secs(3600));
        assert_eq!(hub.get(INDEX).await.status, if whole { 404 } else { 200 });
        for base in ["", "/repos/outer"] {
            assert_eq!(hub.get(&format!("{base}{OLD}")).await.status, 200, "{base}, whole: {whole}");
            let head = hub.send(Method::HEAD, &format!("{base}{OLD}"), &[]).await;
            assert_eq!((head.status, head.header("etag").is_empty()), (200, false), "{base}");
            assert_eq!(hub.get(&format!("{base}{NEW}")).await.status, 404, "it was never delivered");
            assert_eq!(hub.get(&format!("{base}/tarballs/jason-9.9.9.tar")).await.status, 404);
        }
        // What is denied is owed to nobody.
        let denied = watched("overrides: [{deny: jason, reason: malware}]");
        reload(&hub, &denied).await;
        for base in ["", "/repos/outer"] {
            assert_eq!(hub.get(&format!("{base}{OLD}")).await.status, 403, "{base}, whole: {whole}");
        }
        reload(&hub, &watched("retirement_reasons: [security]")).await;
        // What a private member has come to claim is nobody else's any more.
        let answer = hub.publish_to_acme(&root, "jason", local_package("jason", "2.0.0", "")).await;
        assert_eq!(answer.status, if whole { 201 } else { 422 }, "{}", answer.text());
        assert_eq!(hub.get(OLD).await.status, if whole { 404 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_shows_of_a_local_package_what_the_policy_leaves() {
    let mut wishes = united("enforce", "cooldown: 7d", "", &[]);
    wishes = wishes.under(
        "enforce",
        "upstream: { cooldown: 7d }, acme: { overrides: [{deny: acme_core, requirement: \"0.2.0\"}] }",
    );
    let hub = start(wishes).await;
    let root = hub.user("root", true).await;
    for version in ["0.1.0", "0.2.0"] {
        let answer = hub.publish_to_acme(&root, "acme_core", local_package("acme_core", version, "")).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    assert_eq!(releases(&hub, "/packages/acme_core").await, ["0.1.0"]);
    let json = async |path: &str| -> serde_json::Value {
        let answer = hub.get_with(path, &[MIX, ("accept", "application/json")]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    };
    let shown = json("/api/packages/acme_core").await;
    assert_eq!(shown["releases"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!((&shown["releases"][0]["version"], &shown["latest_version"]), (&"0.1.0".into(), &"0.1.0".into()));
    let found = json("/api/repos/hexpm/packages?search=acme_core").await;
    assert_eq!(found[0]["latest_version"], "0.1.0", "{found}");
    for (version, status) in [("0.2.0", 404), ("0.1.0", 200)] {
        let path = format!("/api/packages/acme_core/releases/{version}");
        assert_eq!(hub.get_with(&path, &[MIX]).await.status, status, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_shows_no_release_of_a_package_that_the_view_does_not_list() {
    let instead = [
        "acme: { type: local }",
        "shop: { type: local, anonymous_read: true }",
        "hexpm: { type: virtual, members: [{ repository: shop, private: false }, acme], policy: company, \
         anonymous_read: true }",
    ];
    let wishes = Wishes { instead: instead.map(str::to_owned).into(), ..Wishes::default() };
    let hub = Hub::with(wishes.under("enforce", "shop: { overrides: [{ deny: other }] }")).await;
    let root = hub.user("root", true).await;
    let publish = async |repository: &str| {
        let (path, tarball) = (format!("/api/repos/{repository}/publish"), local_package("acme_core", "0.1.0", ""));
        let answer = hub.call(Method::POST, &path, &root, "application/octet-stream", Some(tarball)).await;
        assert_eq!(answer.status, 201, "{repository}: {}", answer.text());
    };
    publish("acme").await;
    let release = "/api/repos/acme/packages/acme_core/releases/0.1.0";
    assert_eq!(hub.api(Method::DELETE, release, &root, None).await.status, 204);
    // The name stays acme's, which has no release of it.
    publish("shop").await;
    assert_eq!(hub.get_with("/packages/acme_core", &[("authorization", &root)]).await.status, 404);
    let shown = hub.api(Method::GET, "/api/packages/acme_core", &root, None).await;
    assert_eq!((shown.status, &shown.json()["releases"]), (200, &serde_json::json!([])), "{}", shown.text());
    assert_eq!(hub.api(Method::GET, "/api/packages/acme_core/releases/0.1.0", &root, None).await.status, 404);
    let found = hub.api(Method::GET, "/api/packages", &root, None).await;
    assert!(!found.text().contains("0.1.0"), "{}", found.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_the_place_of_a_local_release_is_as_young_as_it_is() {
    let mut wishes = united("enforce", "cooldown: 7d", "", &[]).under("enforce", "acme: { cooldown: 7d }");
    wishes.instead[1] = "acme: { type: local, anonymous_read: true, mutability: always }".to_owned();
    let mut hub = start(wishes).await;
    let root = hub.user("root", true).await;
    let publish = async |hub: &Hub, more: &str| {
        let tarball = local_package("core", "1.0.0", more);
        let path = "/api/publish?replace=true";
        let answer = hub.call(Method::POST, path, &root, "application/octet-stream", Some(tarball)).await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
    };
    let status = async |hub: &Hub| hub.get("/tarballs/core-1.0.0.tar").await.status;
    publish(&hub, "").await;
    assert_eq!(status(&hub).await, 403);
    hub.clock.advance(Duration::from_secs(8 * DAY));
    assert_eq!(status(&hub).await, 200);
    publish(&hub, "").await;
    assert_eq!(status(&hub).await, 200, "the same bytes");
    publish(&hub, "% other").await;
    for moment in ["at once", "after a restart", "made anew from its files"] {
        assert_eq!(status(&hub).await, 403, "other bytes, {moment}");
        match moment {
            "at once" => hub.restart().await,
            "after a restart" => {
                let (code, _, said) = hub.command(&["reindex", "acme"]).await;
                assert_eq!(code, 0, "{said}");
            }
            _ => {}
        }
    }
    hub.clock.advance(Duration::from_secs(8 * DAY));
    assert_eq!(status(&hub).await, 200, "in its turn");
}
