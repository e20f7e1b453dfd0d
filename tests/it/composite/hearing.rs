//! Which members hear a name: the same on every way, and whoever asks.

use std::time::Duration;

use hexkeep::hex::message::Policy;
use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::ReleaseCommand;
use hexkeep::operations::jobs::{BundleJob, CreateBundle, Job, PrefetchJob};
use hexkeep::operations::locked_releases::{LockFileRelease, LockedReleases};
use hexkeep::tasks::report::Reporter;
use serde_json::Value;

use super::*;
use crate::support::upstream::Step;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Whether any request to an upstream has this in it.
fn has_heard(upstream: &ScriptedUpstream, name: &str) -> Option<String> {
    upstream.calls().into_iter().map(|call| call.target).find(|target| target.to_lowercase().contains(name))
}

/// Does work to its end, whatever comes of it.
async fn work(hub: &Hub, job: Job) {
    let (reporter, mut events) = Reporter::new();
    let listening = async { while events.recv().await.is_some() {} };
    let (_outcome, ()) = tokio::join!(hub.app().core().work(job, reporter), listening);
}

/// Everything that anybody can ask about a package, and everything that the server does about it by itself.
async fn ask_everything(hub: &Hub, keys: &[&str], name: &str) {
    for key in keys {
        for base in ["", "/repos/outer"] {
            for path in [
                format!("/packages/{name}"),
                format!("/tarballs/{name}-1.0.0.tar"),
                format!("/docs/{name}-1.0.0.tar.gz"),
            ] {
                let path = format!("{base}{path}");
                let headers: &[_] = if key.is_empty() { &[] } else { &[("authorization", *key)] };
                hub.get_with(&path, headers).await;
                hub.send(Method::HEAD, &path, headers).await;
            }
            let api = if base.is_empty() { "/api" } else { "/api/repos/outer" };
            for path in [
                format!("packages/{name}"),
                format!("packages/{name}/releases/1.0.0"),
                format!("packages/{name}/owners"),
                format!("packages?search={name}"),
                format!("explain/{name}"),
                format!("explain/{name}/1.0.0"),
                format!("users/{name}"),
            ] {
                hub.api(Method::GET, &format!("{api}/{path}"), key, None).await;
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for repository in ["hexpm", "outer"] {
        let mut releases = LockedReleases::default();
        let release = LockFileRelease { repository: None, package: name, version: "1.0.0", inner: None, outer: None };
        releases.push(release).unwrap();
        let wanted =
            PrefetchJob { repository: Some(repository.to_owned()), releases, docs: true, latest: 1, closure: true };
        work(hub, Job::Prefetch(wanted.clone())).await;
        let file = folder.path().join(format!("{repository}.bundle"));
        work(hub, Job::Bundle(BundleJob::Create(CreateBundle { wanted, installers: false, since: None, file }))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_name_is_told_to_no_other_private_member() {
    let (mut corp, mut partner) = (Elsewhere::new("corp").await, Elsewhere::new("partner").await);
    corp.registry.add("corp_lib", "1.0.0");
    corp.registry.add("corp_old", "1.0.0");
    partner.registry.add("partner_lib", "1.0.0");
    corp.publish();
    partner.publish();
    let inner = "inner: { type: virtual, members: [partner, upstream], anonymous_read: true }".to_owned();
    let outer = "outer: { type: virtual, members: [corp, hexpm], anonymous_read: true }".to_owned();
    let private = |one: &Elsewhere| one.line(&format!(", private: true, api_url: \"{}/api\"", one.upstream.url()));
    let more = [private(&corp), private(&partner), inner, outer];
    let members = "members: [corp, acme, inner], deploy_to: acme, anonymous_read: true, allow_shadow: [\"*\"]";
    let mut hub = united(members, &more).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    for name in ["acme_core", "acme_gone", "acme_reverted"] {
        hub.published_here(&root, name, "1.0.0").await;
        assert_eq!(has_heard(&corp.upstream, name), None, "a name is told to nobody when it is published first");
        assert_eq!(has_heard(&partner.upstream, name), None);
    }
    let (repository, package, reason) = ("acme".to_owned(), "acme_gone".to_owned(), "leaked".to_owned());
    hub.order(ReleaseCommand::Remove { repository, package, version: None, reason }).await;
    let reverted = "/api/packages/acme_reverted/releases/1.0.0";
    assert_eq!(hub.api(Method::DELETE, reverted, &root, None).await.status, 204);
    assert_eq!(hub.releases(&root, "corp_old").await, ["1.0.0"]);
    corp.registry.remove("corp_old");
    corp.publish();
    corp.upstream.forget("/packages/corp_old");
    hub.clock.advance(HOUR);

    let names = ["acme_core", "acme_gone", "acme_reverted", "corp_lib", "corp_old", "partner_lib"];
    for name in names {
        ask_everything(&hub, &["", &root], name).await;
        // What is published depends on it.
        hub.publish_here(&root, &format!("needs_{name}"), "1.0.0", &requires(name)).await;
    }
    hub.clock.advance(HOUR);
    for name in names {
        ask_everything(&hub, &["", &root], name).await;
        let owner = name.split('_').next().unwrap();
        for (of, upstream) in [("corp", &corp.upstream), ("partner", &partner.upstream), ("hexpm", &hub.upstream)] {
            if of != owner {
                assert_eq!(has_heard(upstream, name), None, "{of} hears of {name}");
            }
        }
    }
    // A name that nobody claims is asked for: that is how a new private package is found.
    assert_eq!(hub.releases("", "jason").await, ["1.0.0"]);
    for upstream in [&corp.upstream, &partner.upstream] {
        assert!(has_heard(upstream, "jason").is_some());
    }
    assert_eq!(hub.releases(&root, "acme_core").await, ["1.0.0"], "and nothing is lost");
    assert_eq!(hub.releases("", "partner_lib").await, ["1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_name_is_answered_while_another_private_member_cannot_be_asked_for_it() {
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("corp_lib", "1.0.0");
    corp.publish();
    let members = "members: [corp, acme, upstream], deploy_to: acme, anonymous_read: true";
    let hub = united(members, &[corp.line(", private: true")]).await;
    hub.publish();
    let root = hub.user("root", true).await;
    hub.published_here(&root, "acme_core", "1.0.0").await;
    corp.upstream.always("/packages/acme_core", Step::status(503));
    hub.clock.advance(HOUR);
    assert_eq!(hub.releases(&root, "acme_core").await, ["1.0.0"]);
}

/// Key and outcome of each member.
fn outcomes(explanation: &Value) -> Vec<(&str, &str)> {
    let members = explanation["members"].as_array().unwrap().iter();
    members.map(|one| (one["repository"].as_str().unwrap(), one["outcome"].as_str().unwrap())).collect()
}

/// A private upstream as it answers for its list and for a package, or does not.
#[derive(Clone, Copy, Debug)]
enum Private {
    /// The list is confirmed, and it has nothing of that name.
    Listed(Said),
    /// Nothing comes.
    Silent,
    /// The list is this, and the package is not there.
    List(u16),
}

/// What it says of the package.
#[derive(Clone, Copy, Debug)]
enum Said {
    Status(u16),
    Nothing,
    Signed,
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_does_not_decide_who_answers_while_a_private_upstream_is_silent() {
    let table = [
        // What the private upstream does; the answer within `max_stale` of its last list, and beyond it.
        (Private::Listed(Said::Status(404)), 200, 200),
        (Private::Listed(Said::Status(403)), 200, 200),
        (Private::Listed(Said::Nothing), 200, 200),
        (Private::Listed(Said::Status(401)), 502, 502),
        (Private::Listed(Said::Status(429)), 502, 502),
        (Private::Listed(Said::Status(503)), 502, 502),
        (Private::Listed(Said::Signed), 401, 401),
        (Private::Silent, 200, 502),
        (Private::List(404), 502, 502),
        (Private::List(401), 502, 502),
        (Private::List(403), 502, 502),
        (Private::List(410), 502, 502),
        (Private::List(503), 502, 502),
    ];
    for (private, within, beyond) in table {
        for merge in ["package", "release"] {
            silence(private, merge, within, beyond).await;
        }
    }
}

async fn silence(private: Private, merge: &str, within: u16, beyond: u16) {
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("corp_lib", "1.0.0");
    corp.publish();
    let line = corp.line(
        ", private: true, anonymous_read: false, metadata_ttl: 60s, stale_while_revalidate: 60s, max_stale: 1h, missing_ttl: 0s",
    );
    let mut hub = united(&format!("members: [corp, upstream], anonymous_read: true, merge: {merge}"), &[line]).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let (root, stranger) = (hub.user("root", true).await, hub.user("sam", false).await);
    for key in ["", &stranger, &root] {
        assert_eq!(hub.fetch(key, "/packages/jason").await.status, 200);
        assert_eq!(hub.fetch(key, "/tarballs/jason-1.0.0.tar").await.status, 200);
    }
    match private {
        Private::Listed(said) => {
            let package = match said {
                Said::Status(status) => Step::status(status),
                Said::Nothing => Step::hang_up(),
                Said::Signed => {
                    corp.registry.add("jason", "7.0.0");
                    corp.upstream.serve("/packages/jason", corp.registry.package("jason"));
                    Step::route()
                }
            };
            corp.upstream.always("/packages/jason", package);
        }
        Private::Silent => corp.upstream.switch_off().await,
        Private::List(status) => {
            corp.upstream.always("/names", Step::status(status));
            corp.upstream.always("/packages/jason", Step::status(404));
        }
    }
    for (time, expected) in [(MINUTE * 10, within), (HOUR * 2, beyond)] {
        hub.clock.advance(time);
        for (who, key) in [("nobody", ""), ("a stranger", &*stranger), ("a reader of all", &*root)] {
            let what = format!("{private:?}, {merge}, after {time:?}, {who}");
            // A package of the private upstream is answered to those who may read it, and refused to others.
            let status = match (expected, who) {
                (401, "a reader of all") => 200,
                (401, "a stranger") => 403,
                (expected, _) => expected,
            };
            let headers: &[_] = if key.is_empty() { &[] } else { &[("authorization", key)] };
            let answer = hub.fetch(key, "/packages/jason").await;
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            if status == 200 {
                let version = if expected == 401 { "7.0.0" } else { "1.0.0" };
                assert_eq!(hub.releases(key, "jason").await, [version], "{what}");
            }
            let file = if expected == 401 && status == 200 { 404 } else { status };
            assert_eq!(hub.fetch(key, "/tarballs/jason-1.0.0.tar").await.status, file, "{what}");
            assert_eq!(hub.send(Method::HEAD, "/tarballs/jason-1.0.0.tar", headers).await.status, file, "{what}");
            assert_eq!(hub.send(Method::HEAD, "/packages/jason", headers).await.status, status, "{what}");
            let api = match status {
                // The API answers a known caller without the right as if there were nothing.
                403 => 404,
                status => status,
            };
            let shown = hub.api(Method::GET, "/api/packages/jason", key, None).await;
            assert_eq!(shown.status, api, "{what}: {}", shown.text());
        }
        let said = hub.api(Method::GET, "/api/explain/jason", &root, None).await;
        assert_eq!(said.status, 200, "{}", said.text());
        let said = said.json();
        let (answer, by) = match expected {
            200 => ("found", vec!["upstream"]),
            401 => ("found", vec!["corp"]),
            _ => ("failed", vec![]),
        };
        assert_eq!((&said["answer"], &said["answered_by"]), (&answer.into(), &by.into()), "{private:?}: {said}");
        let expected = match expected {
            200 => [("corp", "absent"), ("upstream", "answers")],
            401 => [("corp", "answers"), ("upstream", "claimed")],
            _ => [("corp", "failed"), ("upstream", "unheard")],
        };
        assert_eq!(outcomes(&said), expected, "{private:?}: {said}");
    }
}

/// A policy as an upstream publishes it.
fn policy_of(registry: &TestRegistry, name: &str) -> Bytes {
    let policy =
        Policy { repository: registry.name.clone(), name: name.to_owned(), visibility: 1, ..Policy::default() };
    registry.seal(&policy.encode_to_vec())
}

/// The status of `policies/NAME`, and how often the public upstream has heard of it.
async fn policy_at(hub: &Hub, key: &str, name: &str) -> (u16, usize) {
    let answer = hub.fetch(key, &format!("/policies/{name}")).await;
    (answer.status, hub.upstream.calls_to(&format!("/policies/{name}")).len())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_private_policy_is_told_to_no_public_upstream() {
    for members in ["[upstream, corp, acme]", "[upstream, inner, acme]"] {
        let mut corp = Elsewhere::new("corp").await;
        corp.registry.add("corp_lib", "1.0.0");
        corp.publish();
        corp.upstream.serve("/policies/strict", policy_of(&corp.registry, "strict"));
        let upstream =
            "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", policy: company }";
        let instead = vec![
            upstream.to_owned(),
            "acme: { type: local }".to_owned(),
            corp.line(", private: true, anonymous_read: false, metadata_ttl: 60s, max_stale: 1h"),
            "inner: { type: virtual, members: [corp], anonymous_read: true }".to_owned(),
            format!(
                "hexpm: {{ type: virtual, members: {members}, deploy_to: acme, reserve: [\"resv_*\"], anonymous_read: true }}"
            ),
        ];
        let top = "policies:\n  company: { mode: dry_run, repositories: { upstream: { cooldown: 7d } } }\n";
        let hub = Hub::with(Wishes { instead, top: top.to_owned(), ..Wishes::default() }).await;
        hub.publish();
        let root = hub.user("root", true).await;
        hub.published_here(&root, "acme_core", "1.0.0").await;
        for name in ["strict", "company", "acme_core", "acme-core", "corp_lib", "resv_new", "public"] {
            hub.upstream.serve(&format!("/policies/{name}"), policy_of(&hub.registry, name));
        }
        // A private member's is answered by it, whatever its place, and to those who may read it.
        assert_eq!(policy_at(&hub, &root, "strict").await, (200, 0), "{members}");
        assert_eq!(policy_at(&hub, "", "strict").await, (401, 0), "{members}");
        // This server's own; a package's name, a reserved one.
        for name in ["company", "acme_core", "acme-core", "corp_lib", "resv_new"] {
            for key in ["", &root] {
                assert_eq!(policy_at(&hub, key, name).await, (404, 0), "{members} {name}");
            }
        }
        assert!(corp.upstream.calls_to("/policies/acme_core").is_empty(), "{members}: nor to another private member");
        // What says nothing of what is private is asked for.
        assert_eq!(policy_at(&hub, "", "public").await, (200, 1), "{members}");
        // It is not known what a private member has while it does not answer, or says nothing that counts.
        hub.upstream.serve("/policies/later", policy_of(&hub.registry, "later"));
        corp.upstream.switch_off().await;
        hub.clock.advance(MINUTE * 10);
        assert_eq!(policy_at(&hub, "", "later").await, (502, 0), "{members}: silence says nothing of policies");
        assert_eq!(hub.get("/packages/nothing").await.status, 404, "{members}");
        corp.upstream.switch_on();
        corp.upstream.everything(Some(Step::status(404)));
        hub.clock.advance(MINUTE * 10);
        for key in ["", &root] {
            assert_eq!(policy_at(&hub, key, "later").await, (502, 0), "{members}");
        }
        assert_eq!(policy_at(&hub, &root, "strict").await.1, 0, "{members}");
        corp.upstream.everything(None);
        hub.clock.advance(MINUTE * 10);
        assert_eq!(policy_at(&hub, "", "later").await, (200, 1), "{members}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_policy_stays_claimed_when_its_upstream_drops_it() {
    for members in ["[upstream, corp]", "[upstream, inner]"] {
        let mut corp = Elsewhere::new("corp").await;
        corp.registry.add("corp_lib", "1.0.0");
        corp.publish();
        corp.upstream.serve("/policies/strict", policy_of(&corp.registry, "strict"));
        let instead = vec![
            "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\" }".to_owned(),
            corp.line(", private: true, anonymous_read: false, metadata_ttl: 60s"),
            "inner: { type: virtual, members: [corp], anonymous_read: true }".to_owned(),
            format!("hexpm: {{ type: virtual, members: {members}, anonymous_read: true }}"),
        ];
        let mut hub = Hub::with(Wishes { instead, ..Wishes::default() }).await;
        hub.publish();
        let root = hub.user("root", true).await;
        hub.upstream.serve("/policies/strict", policy_of(&hub.registry, "strict"));
        hub.upstream.serve("/policies/loose", policy_of(&hub.registry, "loose"));
        assert_eq!(policy_at(&hub, &root, "strict").await, (200, 0), "{members}");
        let forget = ["release", "forget", "corp", "policies/strict", "--yes"];
        let (code, _, said) = hub.command(&forget).await;
        assert!(code == 1 && said.contains("still has policies/strict"), "{members}: {said}");

        corp.upstream.always("/policies/strict", Step::status(404));
        for restarted in [false, true] {
            if restarted {
                hub.restart().await;
            }
            hub.clock.advance(MINUTE * 10);
            assert_eq!(policy_at(&hub, &root, "strict").await, (404, 0), "{members}, restarted: {restarted}");
            assert_eq!(policy_at(&hub, "", "strict").await, (401, 0), "{members}, restarted: {restarted}");
        }
        assert_eq!(policy_at(&hub, "", "loose").await, (200, 1), "{members}: another one");
        // Policies are no packages: what is typed is not compared with their names.
        assert_eq!(hub.get("/packages/strict").await.status, 404, "{members}");

        assert_eq!(hub.command(&forget).await.0, 0, "{members}");
        assert_eq!(policy_at(&hub, "", "strict").await, (200, 1), "{members}: it was given back");
        let (code, _, said) = hub.command(&forget).await;
        assert!(code == 1 && said.contains("does not claim policies/strict"), "{members}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_tells_the_private_name_of_one_view_to_no_member_of_another() {
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("corp_lib", "1.0.0");
    corp.publish();
    // This view comes first.
    let instead = vec![
        MEMBERS[0].replace(" }", ", prefetch: closure }"),
        MEMBERS[1].to_owned(),
        corp.line(", private: true"),
        "ateam: { type: virtual, members: [corp, upstream], anonymous_read: true }".to_owned(),
        "hexpm: { type: virtual, members: [acme, upstream], deploy_to: acme, anonymous_read: true, reserve: [\"resv_*\"] }"
            .to_owned(),
    ];
    let mut hub = Hub::with(Wishes { instead, ..Wishes::default() }).await;
    for package in ["plug", "mime"] {
        hub.registry.add(package, "1.0.0");
    }
    hub.registry.package_mut("plug").releases[0].dependencies = ["acme_core", "resv_new", "mime"].map(depends).to_vec();
    hub.publish();
    let root = hub.user("root", true).await;
    hub.published_here(&root, "acme_core", "1.0.0").await;
    assert_eq!(hub.get("/packages/plug").await.status, 200);
    // What comes last in the index is asked for last.
    hub.upstream.wait_for_calls_to("/packages/mime", 1).await;
    for name in ["acme_core", "resv_new"] {
        assert_eq!(has_heard(&corp.upstream, name), None);
        assert_eq!(has_heard(&hub.upstream, name), None);
    }
}
