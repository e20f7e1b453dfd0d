//! Why a virtual repository answers as it does: what is hidden and by which rule, for those who may see all of it.

use std::time::Duration;

use hexkeep::operations::commands::{Account, GrantCommand};
use serde_json::{Value, json};

use super::*;
use crate::support::registry::tarball;
use crate::support::upstream::Step;

/// `upstream` has `jason`, and what an attacker has put there; `acme` has `acme_core`.
async fn stage(settings: &str) -> (Hub, String) {
    let members = "members: [acme, { repository: upstream, exclude: [\"secret_*\"] }]";
    let mut hub = united(&format!("{members}, deploy_to: acme, reserve: [\"acme_*\"]{settings}"), &[]).await;
    let root = hub.user("root", true).await;
    hub.published_here(&root, "acme_core", "1.0.0").await;
    for (name, version) in [("jason", "1.0.0"), ("acme_core", "99.0.0"), ("acme_web", "99.0.0"), ("secret_x", "1.0.0")]
    {
        hub.registry.add(name, version);
    }
    hub.publish();
    (hub, root)
}

async fn explained(hub: &Hub, key: &str, path: &str) -> Value {
    let answer = hub.api(Method::GET, &format!("/api/repos/hexpm/explain/{path}"), key, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// Key and outcome of each member.
fn outcomes(explanation: &Value) -> Vec<(&str, &str)> {
    let members = explanation["members"].as_array().unwrap().iter();
    members.map(|one| (one["repository"].as_str().unwrap(), one["outcome"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guard_and_patterns_hide_is_said() {
    let (hub, root) = stage("").await;
    let said = explained(&hub, &root, "acme_core").await;
    assert_eq!(
        said,
        json!({
            "repository": "hexpm", "package": "acme_core", "version": null, "answer": "found",
            "answered_by": ["acme"], "failure": null, "reserved": true, "claimed_by": ["acme"],
            "members": [
                {"repository": "acme", "private": true, "outcome": "answers", "why": "answers", "shown": ["1.0.0"], "hidden": [], "held": []},
                {"repository": "upstream", "private": false, "outcome": "claimed", "shown": [], "hidden": [], "held": [],
                 "why": "lists it, but is not asked: a private member claims the name"},
            ],
            "conflicts": [],
        })
    );
    for (path, answer, by, members) in [
        ("acme_core/1.0.0", "found", json!(["acme"]), ["answers", "claimed"]),
        ("acme_core/99.0.0", "not_found", json!([]), ["absent", "claimed"]),
        ("acme_web", "not_found", json!([]), ["absent", "reserved"]),
        ("secret_x", "not_found", json!([]), ["absent", "excluded"]),
        ("jason", "found", json!(["upstream"]), ["absent", "answers"]),
        ("jason/2.0.0", "not_found", json!([]), ["absent", "absent"]),
        ("nothing", "not_found", json!([]), ["absent", "absent"]),
    ] {
        let said = explained(&hub, &root, path).await;
        assert_eq!((&said["answer"], &said["answered_by"]), (&json!(answer), &by), "{said}");
        assert_eq!(outcomes(&said), [("acme", members[0]), ("upstream", members[1])], "{path}");
        assert_eq!(said["reserved"], path.starts_with("acme_"), "{path}");
    }
    for name in ["acme_core", "acme_web", "secret_x"] {
        assert!(hub.upstream.calls_to(&format!("/packages/{name}")).is_empty(), "{name} is not told to outsiders");
    }
    // A repository without members answers by itself.
    let alone = hub.api(Method::GET, "/api/repos/acme/explain/acme_core", &root, None).await.json();
    assert_eq!((&alone["answer"], &alone["answered_by"]), (&json!("found"), &json!(["acme"])), "{alone}");
    assert_eq!(outcomes(&alone), [("acme", "answers")]);
    // One that is read through others alone explains nothing: it would ask its upstream for names that are reserved.
    let alone = hub.api(Method::GET, "/api/repos/upstream/explain/acme_web", &root, None).await;
    assert_eq!(alone.status, 404, "{}", alone.text());
    assert!(hub.upstream.calls_to("/packages/acme_web").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_member_that_fails_silences_the_others() {
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("acme_core", "1.0.0");
    corp.publish();
    let mut hub = united("members: [upstream, corp], on_member_failure: skip", &[corp.line(", private: true")]).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    corp.upstream.everything(Some(Step::status(503)));
    let said = explained(&hub, &root, "jason").await;
    assert_eq!((&said["answer"], &said["failure"]), (&json!("failed"), &json!("the upstream failed")), "{said}");
    assert_eq!(outcomes(&said), [("upstream", "unheard"), ("corp", "failed")]);
    assert!(hub.upstream.calls_to("/packages/jason").is_empty(), "nor is it told which name was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_and_conflicts_are_said() {
    let mut one = Elsewhere::new("one").await;
    let mut two = Elsewhere::new("two").await;
    for version in ["1.0.0", "1.10.0"] {
        one.registry.add("shared", version);
    }
    two.registry.add("shared", "1.0.0");
    two.registry.add("shared", "1.2.0");
    let (theirs, inner) = tarball("shared", "1.10.0", 512, 9);
    two.registry.add_bytes("shared", "1.10.0", theirs, inner);
    one.publish();
    two.publish();
    let conflict = json!([{"version": "1.10.0", "shown": "one", "hidden": "two"}]);
    for (merge, path, outcome, shown, hidden, conflicts) in [
        ("package", "shared", "behind", json!([]), json!(["1.0.0", "1.2.0", "1.10.0"]), conflict.clone()),
        ("package", "shared/1.0.0", "behind", json!([]), json!(["1.0.0"]), json!([])),
        ("release", "shared", "answers", json!(["1.2.0"]), json!(["1.0.0", "1.10.0"]), conflict.clone()),
        ("release", "shared/1.10.0", "conflict", json!([]), json!(["1.10.0"]), conflict.clone()),
        ("release", "shared/1.0.0", "behind", json!([]), json!(["1.0.0"]), json!([])),
    ] {
        // All of it is open, so anybody may ask.
        let hub = united(&format!("members: [one, two], merge: {merge}"), &[one.line(""), two.line("")]).await;
        let said = explained(&hub, "", path).await;
        assert_eq!(outcomes(&said), [("one", "answers"), ("two", outcome)], "{merge} {path}");
        let second = &said["members"][1];
        assert_eq!((&second["shown"], &second["hidden"]), (&shown, &hidden), "{merge} {path}");
        assert_eq!(said["conflicts"], conflicts, "{merge} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_to_those_who_may_read_every_member() {
    for settings in ["", ", anonymous_read: true"] {
        let (hub, root) = stage(settings).await;
        let member = hub.member("rita", "read").await;
        let stranger = hub.user("sam", false).await;
        let reader = hub.user("paul", false).await;
        let right = GrantCommand::Add {
            owner: Account::User("paul".to_owned()),
            repository: "acme".to_owned(),
            pattern: "acme_c*".to_owned(),
        };
        hub.order(right).await;
        let fetches = hub.key(Account::User("rita".to_owned()), &["repository:hexpm"]).await;
        for (who, key, whole, private, public) in [
            ("nobody", "", 401, 401, 404),
            ("a key that nobody made", "hkk_00000000000000000000000000000000", 401, 401, 401),
            ("a stranger", &stranger, 403, 404, 404),
            ("a reader of some names", &reader, 403, 403, 404),
            ("a member's key for fetching", &fetches, 403, 401, 404),
            ("a member", &member, 200, 200, 404),
            ("an administrator", &root, 200, 200, 404),
        ] {
            // Wrong credentials are counted for a minute.
            hub.clock.advance(Duration::from_secs(61));
            for (repository, status) in [("hexpm", whole), ("acme", private), ("upstream", public)] {
                for path in ["acme_core", "acme_core/1.0.0", "nothing"] {
                    let path = format!("/api/repos/{repository}/explain/{path}");
                    let answer = hub.api(Method::GET, &path, key, None).await;
                    assert_eq!(answer.status, status, "{path}, {who}{settings}: {}", answer.text());
                    let private = status != 200 || repository != "upstream";
                    assert!(!private || !answer.header("cache-control").starts_with("public"), "{path}, {who}");
                }
            }
        }
        for path in ["hexpm/explain/NO", "hexpm/explain/jason/one", "other/explain/jason"] {
            assert_eq!(hub.api(Method::GET, &format!("/api/repos/{path}"), &root, None).await.status, 404, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_explains_with_the_daemon_and_without() {
    let (mut hub, root) = stage("").await;
    let answer = explained(&hub, &root, "acme_core").await;
    for running in [true, false] {
        if !running {
            hub.stop().await;
        }
        let (code, said, error) = hub.command(&["explain", "hexpm", "acme_core"]).await;
        assert_eq!((code, error.as_str()), (0, ""), "running: {running}");
        assert_eq!(
            said,
            "acme_core in hexpm: answered by acme\n\
             \x20 the name is reserved for private members\n\
             \x20 the name is claimed by acme\n\
             \x20 acme (private) answers: 1.0.0\n\
             \x20 upstream (public) lists it, but is not asked: a private member claims the name\n",
            "running: {running}"
        );
        let (_, said, _) = hub.command(&["explain", "hexpm", "acme_core", "--json"]).await;
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), answer, "running: {running}");
        let (_, said, _) = hub.command(&["explain", "upstream", "jason", "1.0.0"]).await;
        assert_eq!(said, "jason 1.0.0 in upstream: answered by upstream\n  upstream answers: 1.0.0\n");
        for (args, why) in
            [(["explain", "other", "jason"], "there is no repository `other`"), (["explain", "hexpm", "NO"], "NO")]
        {
            let (code, said, error) = hub.command(&args).await;
            assert_eq!((code, said.as_str()), (1, ""), "{args:?}");
            assert!(error.starts_with("hexkeep: ") && error.contains(why), "{error}");
        }
    }
}
