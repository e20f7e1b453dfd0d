//! Claims last: a name that was private once is answered by nobody outside, until an administrator gives it back.

use std::time::Duration;

use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::ReleaseCommand;
use hexkeep::operations::purge::Purge;
use hexkeep::state::audit::Actor;
use serde_json::json;

use super::guard::{attacked, unseen};
use super::*;
use crate::support::upstream::Step;

const HOUR: Duration = Duration::from_secs(3600);
const CORE: &str = "/packages/acme_core";

/// `acme` has had `acme_core`, of which no release is left, and an attacker has published it outside. The keys of an
/// administrator and of the member who published it.
async fn bereft(removed: bool) -> (Hub, String, String) {
    let mut hub = drop_in(", deploy_to: acme, anonymous_read: true").await;
    let (root, alice) = (hub.user("root", true).await, hub.member("alice", "write").await);
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub.published_here(&alice, "acme_core", "1.0.0").await;
    hub.registry.add("acme_core", "99.0.0");
    hub.publish();
    hub.clock.advance(HOUR / 2);
    assert_eq!(hub.listed("").await, ["jason"]);
    if removed {
        let (repository, package, reason) = ("acme".to_owned(), "acme_core".to_owned(), "leaked".to_owned());
        hub.order(ReleaseCommand::Remove { repository, package, version: None, reason }).await;
    } else {
        let release = "/api/packages/acme_core/releases/1.0.0";
        assert_eq!(hub.api(Method::DELETE, release, &alice, None).await.status, 204);
    }
    (hub, root, alice)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_name_is_claimed_when_its_last_release_is_gone() {
    for removed in [false, true] {
        let (mut hub, root, alice) = bereft(removed).await;
        let stranger = hub.user("sam", false).await;
        for round in 0..3 {
            unseen(&hub, &["", &stranger, &root, &alice], "its last release is gone").await;
            assert_eq!(hub.get(CORE).await.status, 401, "round {round}");
            assert_eq!(hub.fetch(&stranger, CORE).await.status, 403);
            assert_eq!(hub.fetch(&root, CORE).await.status, 404);
            assert_eq!(hub.listed("").await, ["jason"]);
            let shown = hub.api(Method::GET, "/api/packages/acme_core", &root, None).await;
            assert_eq!(shown.status, 404, "{}", shown.text());
            match round {
                0 => hub.restart().await,
                1 => {
                    for repository in ["upstream", "acme"] {
                        let purge = Purge { repository: Some(repository.to_owned()), package: None, version: None };
                        drop(hub.app().core().purge(purge, Actor::console()).await);
                    }
                    hub.clock.advance(HOUR);
                }
                _ => {}
            }
        }
        // Who owned it publishes it again, whatever is outside; nobody else takes it over.
        let other = hub.user("eve", false).await;
        assert_ne!(hub.publish_here(&other, "acme_core", "1.1.0", "").await.status, 201);
        hub.published_here(&alice, "acme_core", "1.1.0").await;
        assert_eq!(hub.releases(&root, "acme_core").await, ["1.1.0"]);
        let owners = hub.api(Method::GET, "/api/packages/acme_core/owners", &root, None).await;
        assert!(owners.text().contains("alice"), "{}", owners.text());
        let answer = hub.publish_here(&root, "jason", "9.0.0", "").await;
        assert_eq!(answer.status, 422, "what was never ours hides a public package still: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_private_upstream_drops_stays_claimed() {
    let (mut hub, mut corp) = attacked("").await;
    assert_eq!(hub.listed("").await, ["acme_core", "jason"], "known by its list alone");
    corp.registry.add("other", "1.0.0");
    corp.registry.remove("acme_core");
    corp.publish();
    corp.upstream.forget(CORE);
    for round in 0..3 {
        hub.clock.advance(HOUR);
        assert_eq!(hub.listed("").await, ["jason", "other"], "round {round}");
        unseen(&hub, &[""], "dropped").await;
        assert_eq!(hub.get(CORE).await.status, 404);
        let found = hub.api(Method::GET, "/api/packages?search=acme_core", "", None).await;
        assert!(!found.text().contains("99.0.0"), "{}", found.text());
        match round {
            0 => hub.restart().await,
            1 => {
                let purge = Purge { repository: Some("corp".to_owned()), package: None, version: None };
                hub.app().core().purge(purge, Actor::console()).await.unwrap();
            }
            _ => {}
        }
    }
    // Nobody can be asked at all.
    corp.upstream.switch_off().await;
    hub.restart().await;
    hub.clock.advance(HOUR / 2);
    assert_eq!(hub.get(CORE).await.status, 502);
    unseen(&hub, &[""], "dropped, and nobody answers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_knows_of_a_private_upstream_is_claimed() {
    // Its list never had the name.
    let (hub, mut corp) = attacked("").await;
    assert_eq!(hub.listed("").await, ["acme_core", "jason"]);
    let names = corp.registry.names();
    corp.registry.add("acme_new", "1.0.0");
    corp.publish();
    corp.upstream.serve("/names", names);
    assert_eq!(hub.releases("", "acme_new").await, ["1.0.0"]);
    corp.upstream.forget("/packages/acme_new");
    let mut outside = TestRegistry::new("hexpm");
    outside.add("acme_new", "99.0.0");
    outside.publish(&hub.upstream);
    hub.clock.advance(HOUR);
    assert_eq!(hub.get("/packages/acme_new").await.status, 404);
    assert!(hub.upstream.calls_to("/packages/acme_new").is_empty(), "nobody outside is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_reach_through_virtual_members_and_patterns() {
    for (what, members, more) in [
        (
            "a member's member",
            "inner, upstream",
            "inner: { type: virtual, members: [{ repository: corp, private: true }] }",
        ),
        (
            "a private virtual member",
            "{ repository: inner, private: true, include: [\"acme_*\"] }, upstream",
            "inner: { type: virtual, members: [{ repository: corp, private: false }] }",
        ),
        (
            "a public remote that is private here",
            "upstream, { repository: corp, private: true, include: [\"acme_*\"], exclude: [acme_open] }",
            "inner: { type: virtual, members: [corp] }",
        ),
    ] {
        let mut corp = Elsewhere::new("corp").await;
        for name in ["acme_core", "acme_open", "jason"] {
            corp.registry.add(name, "1.0.0");
        }
        corp.publish();
        let more = [corp.line(", anonymous_read: true"), more.to_owned()];
        let mut hub = united(&format!("members: [{members}], anonymous_read: true"), &more).await;
        for name in ["acme_core", "acme_open", "jason"] {
            hub.registry.add(name, "99.0.0");
        }
        hub.publish();
        assert_eq!(hub.releases("", "acme_core").await, ["1.0.0"], "{what}");
        for name in ["acme_core", "acme_open"] {
            corp.registry.remove(name);
            corp.upstream.forget(&format!("/packages/{name}"));
        }
        corp.publish();
        for _ in 0..2 {
            hub.clock.advance(HOUR);
            assert_eq!(hub.get(CORE).await.status, 404, "{what}");
            unseen(&hub, &[""], what).await;
            assert!(!hub.listed("").await.contains(&"acme_core".to_owned()), "{what}");
            hub.restart().await;
        }
        let open = hub.get("/packages/acme_open").await.status;
        assert_eq!(
            open,
            if members.contains("exclude") { 200 } else { 404 },
            "{what}: what patterns leave out is public"
        );
        let jason = hub.releases("", "jason").await;
        assert_eq!(jason, [if members.contains("include") { "99.0.0" } else { "1.0.0" }], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_back_by_an_administrator_alone() {
    let (mut hub, root, alice) = bereft(true).await;
    let forget = ["release", "forget", "acme", "acme_core"];
    let (code, _, said) = hub.command(&forget).await;
    assert!(code != 0 && said.contains("--yes"), "nobody is asked without a terminal: {said}");
    let fields = json!({"repository": "acme", "package": "acme_core"});
    let over = async |hub: &Hub, key: &str| {
        hub.api(Method::POST, "/api/admin/release-forget", key, Some(fields.clone())).await
    };
    assert_eq!(over(&hub, &alice).await.status, 403);
    assert_eq!(hub.get(CORE).await.status, 401);
    hub.published_here(&alice, "acme_core", "1.1.0").await;
    let refused = over(&hub, &root).await;
    assert!(refused.status == 422 && refused.text().contains("still has releases"), "{}", refused.text());
    let (code, _, said) = hub.command(&[&forget[..], &["--yes"]].concat()).await;
    assert!(code != 0 && said.contains("still has releases"), "{said}");
    let (repository, package, reason) = ("acme".to_owned(), "acme_core".to_owned(), "again".to_owned());
    hub.order(ReleaseCommand::Remove { repository, package, version: None, reason }).await;

    // Beside the daemon.
    let (code, _, said) = hub.command(&[&forget[..], &["--yes"]].concat()).await;
    assert!(code == 0 && said.contains("acme_core is not claimed by acme any more"), "{said}");
    for restarted in [false, true] {
        if restarted {
            hub.restart().await;
        }
        assert_eq!(hub.releases("", "acme_core").await, ["99.0.0"], "restarted: {restarted}");
        assert_eq!(hub.listed("").await, ["acme_core", "jason"]);
    }
    let (code, _, said) = hub.command(&[&forget[..], &["--yes"]].concat()).await;
    assert!(code != 0 && said.contains("never had"), "{said}");
    let log = &hub.app().core().state().audit_log("acme", 1).await.unwrap()[0];
    assert_eq!((&*log.action, log.package.as_deref()), ("name.forget", Some("acme_core")));
    assert_eq!(log.by.actor.as_deref(), Some("console"));
    let shadow = hub.publish_here(&alice, "acme_core", "1.2.0", "").await;
    assert_eq!(shadow.status, 422, "it is somebody else's now: {}", shadow.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_back_on_a_store_at_rest() {
    let (mut hub, _, _) = bereft(false).await;
    hub.stop().await;
    let (code, _, said) = hub.command(&["release", "forget", "acme", "acme_core", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    hub.launch().await;
    assert_eq!(hub.releases("", "acme_core").await, ["99.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_a_private_upstream_is_given_back_when_it_has_it_no_more() {
    let (hub, mut corp) = attacked("").await;
    assert_eq!(hub.releases("", "acme_core").await, ["1.0.0"]);
    let forget = async |hub: &Hub, repository: &str| {
        let (repository, package) = (repository.to_owned(), "acme_core".to_owned());
        hub.app().core().administer(ReleaseCommand::Forget { repository, package }.into(), Actor::console()).await
    };
    assert!(forget(&hub, "corp").await.unwrap_err().sentence().contains("still has releases"));
    assert!(forget(&hub, "hexpm").await.unwrap_err().sentence().contains("virtual"));
    corp.registry.remove("acme_core");
    corp.publish();
    assert!(
        forget(&hub, "corp").await.unwrap_err().sentence().contains("still has releases"),
        "its package is still there"
    );
    corp.upstream.forget(CORE);
    // What it has now is asked for, whatever is cached.
    forget(&hub, "corp").await.unwrap();
    hub.clock.advance(HOUR);
    assert_eq!(hub.releases("", "acme_core").await, ["99.0.0"]);
    // It has it again.
    corp.registry.add("acme_core", "1.0.1");
    corp.publish();
    hub.clock.advance(HOUR);
    assert_eq!(hub.releases("", "acme_core").await, ["1.0.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_since_when_a_name_is_claimed() {
    let (hub, root, _) = bereft(true).await;
    let answer = hub.api(Method::GET, "/api/repos/hexpm/explain/acme_core", &root, None).await;
    let said = answer.json();
    assert_eq!(said["claimed_by"], json!(["acme"]), "{said}");
    let why = said["members"][0]["why"].as_str().unwrap();
    assert!(
        why.starts_with("has claimed the name since 20") && why.ends_with(", but no longer has a release of it"),
        "{why}"
    );
    assert_eq!(said["members"][1]["outcome"], "claimed");
    let (code, text, _) = hub.command(&["explain", "hexpm", "acme_core"]).await;
    assert!(code == 0 && text.contains("no longer has a release of it"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_files_speak_of_are_claimed_while_the_database_is_lost() {
    let mut hub = drop_in(", deploy_to: acme, anonymous_read: true").await;
    let alice = hub.member("alice", "write").await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    for name in ["acme_core", "acme_gone"] {
        hub.published_here(&alice, name, "1.0.0").await;
    }
    let gone = "/api/packages/acme_gone/releases/1.0.0";
    assert_eq!(hub.api(Method::DELETE, gone, &alice, None).await.status, 204);
    for name in ["acme_core", "acme_gone"] {
        hub.registry.add(name, "99.0.0");
    }
    hub.publish();
    hub.stop().await;
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        match std::fs::remove_file(hub.data().join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{file}: {error}"),
            _ => {}
        }
    }
    for round in 0..2 {
        if round == 0 {
            hub.launch().await
        } else {
            hub.restart().await
        }
        assert_eq!(hub.get("/packages/jason").await.status, 200, "what nobody claims is there");
        for name in ["acme_core", "acme_gone"] {
            for path in [format!("/packages/{name}"), format!("/tarballs/{name}-99.0.0.tar")] {
                let answer = hub.get(&path).await;
                assert!(matches!(answer.status, 401 | 404), "round {round}: {path}: {}", answer.status);
            }
        }
        assert_eq!(hub.listed("").await, ["jason"], "round {round}");
    }
    let (code, _, error) = hub.command(&["reindex", "acme"]).await;
    assert_eq!(code, 0, "{error}");
    assert_eq!(hub.get("/packages/acme_core").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_private_repository_excludes_is_not_made_public_by_that() {
    for (of_corp, of_member, old, jason) in [
        ("exclude: [acme_old]", "", 404, "1.0.0"),
        ("include: [\"acme_*\"], exclude: [acme_old]", "", 404, "99.0.0"),
        // This is said of the view: there somebody else may have it.
        ("exclude: [acme_old]", ", exclude: [acme_old]", 200, "1.0.0"),
    ] {
        let what = format!("{of_corp}{of_member}");
        let mut corp = Elsewhere::new("corp").await;
        for name in ["acme_core", "acme_old", "jason"] {
            corp.registry.add(name, "1.0.0");
        }
        corp.publish();
        let corp = corp.line(&format!(", private: true, anonymous_read: true, {of_corp}"));
        let members = format!("members: [upstream, {{ repository: corp{of_member} }}], anonymous_read: true");
        let mut hub = united(&members, &[corp]).await;
        for name in ["acme_core", "acme_old", "jason"] {
            hub.registry.add(name, "99.0.0");
        }
        hub.publish();
        for restarted in [false, true] {
            if restarted {
                hub.restart().await;
            }
            assert_eq!(hub.get("/packages/acme_old").await.status, old, "{what}, restarted: {restarted}");
            assert_eq!(hub.get("/tarballs/acme_old-99.0.0.tar").await.status, old, "{what}, restarted: {restarted}");
            let asked = hub.upstream.calls_to("/packages/acme_old").len();
            assert_eq!(asked > 0, old == 200, "{what}, restarted: {restarted}: {asked}");
            assert_eq!(hub.listed("").await.contains(&"acme_old".to_owned()), old == 200, "{what}");
            assert_eq!(hub.releases("", "acme_core").await, ["1.0.0"], "{what}");
            assert_eq!(hub.releases("", "jason").await, [jason], "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_not_given_back_while_nobody_knows_whether_it_is_in_use() {
    let (hub, corp) = attacked("").await;
    assert_eq!(hub.releases("", "acme_core").await, ["1.0.0"]);
    let purge = Purge { repository: Some("corp".to_owned()), package: None, version: None };
    hub.app().core().purge(purge, Actor::console()).await.unwrap();
    for status in [503, 404] {
        corp.upstream.everything(Some(Step::status(status)));
        let (code, _, said) = hub.command(&["release", "forget", "corp", "acme_core", "--yes"]).await;
        let why = "it cannot be known whether corp still has acme_core";
        assert!(code != 0 && said.contains(why), "{status}: {said}");
        unseen(&hub, &[""], "it stays claimed").await;
    }
    corp.upstream.everything(None);
    hub.clock.advance(HOUR);
    let (code, _, said) = hub.command(&["release", "forget", "corp", "acme_core", "--yes"]).await;
    assert!(code != 0 && said.contains("still has releases"), "{said}");
}
