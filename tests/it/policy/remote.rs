//! A policy on a remote repository.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_release_appears_by_itself_when_its_time_comes() {
    let hub = start(policy("own", "enforce", "cooldown: 7d")).await;
    assert_eq!(listed(&hub).await, ["1.0.0"]);
    assert_eq!(hub.get(OLD).await.status, 200);
    for path in [NEW, "/docs/jason-1.1.0.tar.gz"] {
        let refused = hub.get_with(path, &[MIX]).await;
        assert_eq!(refused.status, 403, "{path}");
        let text = refused.text();
        assert!(
            text.starts_with(
                "jason 1.1.0 is held by the policy company: it was published less than 7d ago; it is available from"
            ),
            "{text}"
        );
        let message = refused.header("x-hex-message").to_owned();
        assert!(message.contains("held by the policy company") && message.ends_with(";level=warn"), "{message}");
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    assert_eq!(hub.get(NEW).await.header("x-hex-message"), "", "older clients hang on it");
    assert_eq!(hub.metric("hexkeep_policy_denied_total{repository=\"hexpm\",reason=\"cooldown\"}").await, 3.0);
    eventually("the denials are in the audit log", async || audit(&hub, "policy.denied").await.len() == 1).await;

    // Five days and more before its time the whole freshness is given out, an hour before it an hour.
    hub.clock.advance(Duration::from_secs(6 * DAY - 3600));
    let soon = hub.get(INDEX).await;
    let freshness = soon.header("cache-control");
    assert!(["public, max-age=3599", "public, max-age=3600"].contains(&freshness), "{freshness}");
    assert_eq!(package(&soon).releases.len(), 1);
    let asked = hub.upstream.calls_to(INDEX).len();
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
    assert_eq!(hub.upstream.calls_to(INDEX).len(), asked, "nobody asked the upstream");
    assert_eq!(hub.get(NEW).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_on_list_stays_as_it_is_signed_and_the_download_is_refused() {
    let hub = start(policy("upstream", "enforce", "cooldown: 7d")).await;
    let answer = hub.get(INDEX).await;
    assert_eq!(answer.body, hub.registry.package("jason"));
    assert_eq!(hub.get(NEW).await.status, 403);
    assert_eq!(hub.send(reqwest::Method::HEAD, NEW, &[]).await.status, 403);
    assert_eq!(hub.get(OLD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_stays_in_lock_files() {
    let mut hub = start(policy("own", "dry_run", "cooldown: 7d")).await;
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "nothing is held yet");
    assert_eq!(hub.get(NEW).await.status, 200);
    let would = "hexkeep_policy_would_deny_total{repository=\"hexpm\",reason=\"cooldown\"}";
    assert_eq!(hub.metric(would).await, 1.0);
    eventually("it is in the audit log", async || audit(&hub, "policy.would_deny").await.len() == 1).await;

    let now = today(&hub);
    hub.registry.add("jason", "1.2.0");
    hub.registry.published("jason", "1.2.0", now);
    hub.publish();
    hub.clock.advance(Duration::from_secs(31 * DAY));
    assert_eq!(hub.get(NEW).await.status, 200, "by now no rule would hold it");
    hub.clock.advance(Duration::from_secs(31 * DAY));
    let now = today(&hub);
    hub.registry.add("jason", "1.3.0");
    hub.registry.published("jason", "1.3.0", now);
    hub.registry.published("jason", "1.1.0", now);
    hub.publish();
    reload(&hub, &policy("own", "enforce", "cooldown: 7d")).await;
    for _ in 0..2 {
        assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0", "1.2.0"], "1.1.0 is young by its date, and was delivered");
        assert_eq!(hub.get(NEW).await.status, 200);
        assert_eq!(hub.get("/tarballs/jason-1.3.0.tar").await.status, 403);
        hub.restart().await;
    }
    reload(&hub, &policy("own", "enforce", "cooldown: 7d, locked: hold")).await;
    assert_eq!(listed(&hub).await, ["1.0.0", "1.2.0"]);
    assert_eq!(hub.get(NEW).await.status, 403);
    reload(&hub, &policy("own", "enforce", "overrides: [{deny: jason, requirement: \"1.0.0\", reason: bad \"luck\"}]"))
        .await;
    let text = hub.get(OLD).await.text();
    assert_eq!(text.trim_end(), "jason 1.0.0 is held by the policy company: it is denied (bad 'luck')");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_release_is_owed_nothing() {
    let mut hub = start(policy("own", "dry_run", "cooldown: 7d")).await;
    assert_eq!(hub.get(NEW).await.status, 200);
    let (tarball, inner) = super::super::support::registry::tarball("jason", "1.1.0", 900, 7);
    let now = today(&hub);
    hub.registry.add_bytes("jason", "1.1.0", tarball, inner);
    hub.registry.published("jason", "1.1.0", now);
    hub.publish();
    hub.clock.advance(Duration::from_secs(3600));
    reload(&hub, &looking_again("cooldown: 7d")).await;
    assert_eq!(hub.get(NEW).await.status, 403, "it has another checksum than what was delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn advisories_and_retirements_hold_what_was_delivered_after_two_weeks() {
    let rules = "advisory_min_severity: high, retirement_reasons: [security]";
    let mut hub = start(policy("own", "enforce", rules)).await;
    assert_eq!(hub.get(OLD).await.status, 200);
    let jason = hub.registry.package_mut("jason");
    jason.advisories =
        vec![SecurityAdvisory { id: "GHSA-1".to_owned(), severity: Some(4), ..SecurityAdvisory::default() }];
    jason.releases[0].advisory_indexes = vec![0];
    jason.releases[1].retired = Some(RetirementStatus { reason: 2, message: None });
    hub.publish();
    hub.clock.advance(Duration::from_secs(40 * DAY));
    assert_eq!(listed(&hub).await, ["1.0.0"], "1.1.0 was never delivered");
    assert_eq!(
        hub.get(NEW).await.text().trim_end(),
        "jason 1.1.0 is held by the policy company: it is retired (security)"
    );
    hub.restart().await;
    hub.clock.advance(Duration::from_secs(14 * DAY - 1));
    assert_eq!(hub.get(OLD).await.status, 200);
    hub.clock.advance(Duration::from_secs(1));
    assert_eq!(listed(&hub).await, Vec::<String>::new());
    assert_eq!(
        hub.get(OLD).await.text().trim_end(),
        "jason 1.0.0 is held by the policy company: it has the security advisory GHSA-1 (severity critical)"
    );
    assert_eq!(package(&hub.get(INDEX).await).advisories.len(), 1, "the advisories stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn licences_are_decided_at_the_first_download() {
    let mut hub = Hub::with(policy("own", "enforce", "licenses: {deny: [AGPL-3.0-only]}")).await;
    for (version, licence, size) in
        [("1.0.0", "MIT", 900), ("1.1.0", "AGPL-3.0-only", 900), ("1.2.0", "AGPL-3.0-only", 400_000)]
    {
        let metadata = format!(
            "{{<<\"name\">>,<<\"jason\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"licenses\">>,[<<\"{licence}\">>]}}.\n"
        );
        let (tarball, inner) = pack(metadata.as_bytes(), &vec![7; size]);
        hub.registry.add_bytes("jason", version, tarball, inner);
    }
    hub.publish();
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0", "1.2.0"], "nobody has read them yet");
    assert_eq!(hub.get(OLD).await.status, 200);
    for version in ["1.1.0", "1.2.0"] {
        let refused = hub.get(&format!("/tarballs/jason-{version}.tar")).await;
        assert_eq!(refused.status, 403);
        let expected = format!("jason {version} is held by the policy company: it has the licence AGPL-3.0-only");
        assert_eq!(refused.text().trim_end(), expected);
    }
    assert_eq!(listed(&hub).await, ["1.0.0"], "from now on the list leaves them out");
    hub.restart().await;
    assert_eq!(listed(&hub).await, ["1.0.0"], "and after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_everything_never_show_what_is_held() {
    let hub = start(policy("own", "enforce", "cooldown: 7d")).await;
    let versions = async || {
        let answer = hub.get("/versions").await;
        let payload = Envelope::open(answer.body, 1 << 24).unwrap().payload;
        let versions = Versions::decode(payload).unwrap();
        versions.packages.into_iter().flat_map(|package| package.versions).collect::<Vec<_>>()
    };
    let names = async || {
        let payload = Envelope::open(hub.get("/names").await.body, 1 << 24).unwrap().payload;
        Names::decode(payload).unwrap().packages.len()
    };
    // The test's registry does not say when its packages were touched, so nothing is beyond doubt.
    assert_eq!(versions().await, Vec::<String>::new());
    assert_eq!(names().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_policy_is_refused_and_the_running_one_stays() {
    let hub = start(policy("own", "enforce", "cooldown: 7d")).await;
    hub.configure(&policy("own", "enforce", "cooldown: 7 days"));
    let refused = hub.app().core().reload().await.unwrap_err().sentence();
    assert!(
        refused.contains("policies.company.repositories.hexpm.cooldown: expected 0, or a number of days"),
        "{refused}"
    );
    assert_eq!(hub.get(NEW).await.status, 403);
    reload(&hub, &policy("own", "enforce", "cooldown: 1d")).await;
    assert_eq!(hub.get(NEW).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_explain_test_and_pin_with_the_daemon_and_without() {
    for running in [true, false] {
        let mut hub = start(policy("own", "enforce", "cooldown: 7d")).await;
        // The command's own clock is the machine's.
        let outer = hub.registry.package_mut("jason").releases[1].outer_checksum.clone().unwrap();
        let outer: String = outer.iter().map(|byte| format!("{byte:02x}")).collect();
        let lock = hub.config_file().with_file_name("manifest.toml");
        let entry = |version: &str, outer: &str| {
            format!(
                "  {{ name = \"jason\", version = \"{version}\", build_tools = [\"mix\"], requirements = [], otp_app = \"jason\", \
                 source = \"hex\", outer_checksum = \"{}\" }},\n",
                outer.to_uppercase()
            )
        };
        std::fs::write(&lock, format!("packages = [\n{}]\n", entry("1.1.0", &outer))).unwrap();
        let lock = lock.to_str().unwrap().to_owned();
        if !running {
            hub.stop().await;
        }
        let (code, said, _) = hub.command(&["policy", "why", "hexpm", "jason"]).await;
        assert_eq!(code, 0, "running: {running}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "jason 1.0.0 is allowed", "running: {running}");
        assert!(
            lines[1].starts_with("jason 1.1.0 is held by the policy company: it was published less than 7d"),
            "{said}"
        );
        let (code, _, error) = hub.command(&["policy", "why", "hexpm", "jason", "9.9.9"]).await;
        assert_eq!((code, error.trim_end()), (1, "hexkeep: `hexpm` does not have jason 9.9.9"));

        let (code, said, error) = hub.command(&["policy", "test", "hexpm", "--lock", &lock]).await;
        assert_eq!(code, 1, "{said}{error}");
        assert!(said.trim_end().ends_with("; use 1.0.0 instead, the newest allowed release"), "{said}");
        assert_eq!(error.trim_end(), "1 of 1 release is held");

        let pin = ["pin", "hexpm", "--lock", &lock, "--reason", "SEC-1", "--until", "2099-12-31"];
        let (code, said, error) = hub.command(&pin).await;
        assert_eq!((code, said.trim_end()), (0, "1 release is pinned for `hexpm`"), "{error}");
        let past = ["pin", "hexpm", "--lock", &lock, "--reason", "x", "--until", "2020-01-01"];
        assert_eq!(hub.command(&past).await.0, 1);
        let (_, said, _) = hub.command(&["policy", "why", "hexpm", "jason", "1.1.0"]).await;
        assert_eq!(said.trim_end(), "jason 1.1.0 is exempt because pinned");
        assert_eq!(hub.command(&["policy", "test", "hexpm", "--lock", &lock]).await.0, 0);
        if !running {
            hub.launch().await;
        }
        assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "running: {running}");
        assert_eq!(hub.get(NEW).await.status, 200);
        assert_eq!(audit(&hub, "policy.pin").await, ["1 releases are pinned until 2100-01-01T00:00:00Z: SEC-1"]);
    }
    let hub = Hub::start().await;
    let (code, _, error) = hub.command(&["policy", "why", "hexpm", "jason"]).await;
    assert_eq!(
        (code, error.trim_end()),
        (1, "hexkeep: `hexpm` has no policy; set one with the key `policy` of the repository in the configuration")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_published_where_clients_take_it() {
    let wishes = |mode: &str| Wishes {
        more: vec![
            "acme: { type: remote, url: \"{url}\", public_key: {key}, signature: own, policy: company }".to_owned(),
        ],
        top: format!(
            "policies:\n  company: {{ mode: {mode}, repositories: {{ hexpm: {{ cooldown: 1w }}, acme: {{ cooldown: 2w }} }} }}\n"
        ),
        ..policy("own", mode, "")
    };
    let hub = Hub::with(wishes("enforce")).await;
    let answer = hub.get("/repos/acme/policies/company").await;
    let policy = hexkeep::hex::message::Policy::decode(Envelope::open(answer.body, 1 << 20).unwrap().payload).unwrap();
    assert_eq!((policy.repository.as_str(), policy.name.as_str(), policy.visibility), ("acme", "company", 1));
    assert_eq!(policy.repositories[0].repository, "acme");
    assert_eq!(policy.repositories[0].restriction.as_ref().unwrap().cooldown.as_deref(), Some("2w"));
    assert_eq!(hub.get("/policies/company").await.status, 404, "clients refuse hexpm as the home of a policy");
    assert_eq!(hub.get("/repos/acme/policies/other").await.status, 404);
    reload(&hub, &wishes("dry_run")).await;
    assert_eq!(hub.get("/repos/acme/policies/company").await.status, 404, "nobody is held back yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_repository_shows_what_the_policy_of_its_member_leaves() {
    let wishes = Wishes {
        more: vec!["all: { type: virtual, members: [hexpm] }".to_owned()],
        ..policy("own", "enforce", "cooldown: 7d")
    };
    let hub = start(wishes).await;
    let shown = async || {
        let releases = package(&hub.get("/repos/all/packages/jason").await).releases;
        releases.into_iter().map(|release| release.version).collect::<Vec<_>>()
    };
    assert_eq!(shown().await, ["1.0.0"]);
    assert_eq!(hub.get("/repos/all/tarballs/jason-1.1.0.tar").await.status, 403);
    assert_eq!(hub.get("/repos/all/tarballs/jason-1.0.0.tar").await.status, 200);
    hub.clock.advance(Duration::from_secs(6 * DAY));
    assert_eq!(shown().await, ["1.0.0", "1.1.0"]);
    assert_eq!(hub.get("/repos/all/tarballs/jason-1.1.0.tar").await.status, 200);
}

/// A policy in front of an upstream that is looked at again after a second.
fn looking_again(rules: &str) -> Wishes {
    let wishes = policy("own", "enforce", rules);
    Wishes { repository: wishes.repository.replace("30d", "1s"), ..wishes }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_removes_stays_for_lock_files_unless_it_is_denied() {
    for (on_delete, never_delivered, delivered) in [("hide", 404, 200), ("keep", 200, 200), ("purge", 404, 404)] {
        let wishes = |rules: &str| {
            let wishes = looking_again(rules);
            Wishes { repository: format!("{}, on_upstream_delete: {on_delete}", wishes.repository), ..wishes }
        };
        let mut hub = start(wishes("cooldown: 1d")).await;
        assert_eq!(hub.get(OLD).await.status, 200);
        hub.registry.add("jason", "1.2.0");
        hub.registry.package_mut("jason").releases.drain(..2);
        hub.publish();
        hub.clock.advance(Duration::from_secs(3600));
        assert!(!listed(&hub).await.contains(&"1.0.0".to_owned()) || on_delete == "keep", "{on_delete}");
        assert_eq!(hub.get(NEW).await.status, never_delivered, "{on_delete}");
        assert_eq!(hub.get(OLD).await.status, delivered, "{on_delete}");
        reload(&hub, &wishes("cooldown: 1d, overrides: [{deny: jason, requirement: 1.0.0, reason: malware}]")).await;
        let denied = hub.get(OLD).await;
        assert_eq!(denied.status, if on_delete == "purge" { 404 } else { 403 }, "{on_delete}");
        assert!(on_delete == "purge" || denied.text().contains("it is denied (malware)"), "{}", denied.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_taken_away_whole_stays_for_lock_files() {
    for (on_delete, never_delivered, delivered) in [("hide", 404, 200), ("purge", 404, 404)] {
        let wishes = |rules: &str| {
            let wishes = looking_again(rules);
            Wishes { repository: format!("{}, on_upstream_delete: {on_delete}", wishes.repository), ..wishes }
        };
        let mut hub = start(wishes("cooldown: 1d")).await;
        assert_eq!(hub.get(OLD).await.status, 200);
        hub.registry.add("plug", "1.0.0");
        hub.registry.remove("jason");
        hub.upstream.forget(INDEX);
        hub.publish();
        hub.clock.advance(Duration::from_secs(3600));
        assert_eq!(hub.get(INDEX).await.status, 404, "{on_delete}");
        assert_eq!(hub.get(NEW).await.status, never_delivered, "{on_delete}");
        assert_eq!(hub.get(OLD).await.status, delivered, "{on_delete}");
        hub.restart().await;
        assert_eq!(hub.get(OLD).await.status, delivered, "{on_delete}");
        reload(&hub, &wishes("cooldown: 1d, overrides: [{deny: jason, reason: malware}]")).await;
        assert_eq!(hub.get(OLD).await.status, if on_delete == "purge" { 404 } else { 403 }, "{on_delete}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replaced_a_delivered_release_is_owed_nothing_when_it_is_removed() {
    let mut hub = start(looking_again("retirement_reasons: [security]")).await;
    assert_eq!((hub.get(OLD).await.status, hub.get(NEW).await.status), (200, 200));
    let now = today(&hub);
    let (tarball, inner) = super::super::support::registry::tarball("jason", "1.1.0", 900, 7);
    hub.registry.add_bytes("jason", "1.1.0", tarball, inner);
    hub.registry.published("jason", "1.1.0", now);
    hub.publish();
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "it is seen, and nobody has it");
    hub.registry.package_mut("jason").releases.clear();
    hub.registry.add("jason", "1.2.0");
    hub.publish();
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(listed(&hub).await, ["1.2.0"]);
    assert_eq!(hub.get(NEW).await.status, 404, "another file had been delivered");
    assert_eq!(hub.get(OLD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_policy_of_an_upstream_is_not_for_everybody() {
    let hub = Hub::with(Wishes {
        repository: "signature: own, metadata_ttl: 0s, stale_while_revalidate: 0s".to_owned(),
        more: vec!["all: { type: virtual, members: [hexpm], anonymous_read: true }".to_owned()],
        ..Wishes::default()
    })
    .await;
    let user = hub.user("rita", true).await;
    for (visibility, status) in [(0, 401), (1, 200), (7, 401)] {
        let policy = hexkeep::hex::message::Policy {
            repository: "hexpm".to_owned(),
            name: "team".to_owned(),
            visibility,
            ..Default::default()
        };
        hub.upstream.serve("/policies/team", hub.registry.seal(&policy.encode_to_vec()));
        for base in ["", "/repos/all"] {
            let path = format!("{base}/policies/team");
            assert_eq!(hub.get(&path).await.status, status, "{path}, visibility {visibility}");
            let known = hub.get_with(&path, &[("authorization", &user)]).await;
            assert_eq!(known.status, 200, "{path}, visibility {visibility}");
            let headers = [("authorization", &*user), ("if-none-match", known.header("etag"))];
            let unchanged = hub.get_with(&path, &headers).await;
            assert_eq!(unchanged.status, 304, "{path}, visibility {visibility}");
            let head = hub.send(reqwest::Method::HEAD, &path, &headers[..1]).await;
            for answer in [&known, &unchanged, &head] {
                let keep = answer.header("cache-control");
                assert!(keep.starts_with("private"), "{path}, visibility {visibility}: {keep}");
            }
        }
    }
}
