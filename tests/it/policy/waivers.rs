//! Waivers and pins: who may give them, and for how long they count.

use hexkeep::operations::commands::Account;
use reqwest::Method;
use serde_json::{Value, json};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_lets_pass_until_it_ends_or_is_withdrawn() {
    for running in [true, false] {
        let rules = "cooldown: 30d, overrides: [{deny: evil}]";
        let mut hub = start(policy("own", "enforce", rules)).await;
        if !running {
            hub.stop().await;
        }
        let waive = ["policy", "waive", "hexpm", "jason", "~> 1.1", "--until", "2099-12-31", "--reason", "SEC-1"];
        let (code, number, error) = hub.command(&waive).await;
        assert_eq!((code, number.trim_end()), (0, "1"), "{error}");
        assert!(error.starts_with("waived jason ~> 1.1 for `hexpm` until the end of 2099-12-31 (UTC)"), "{error}");
        for (wrong, sentence) in [
            (
                ["policy", "waive", "hexpm", "jason", "~> 1.1", "--until", "2020-01-01", "--reason", "x"],
                "is not a time in the future",
            ),
            (["policy", "waive", "hexpm", "jason", "nonsense", "--until", "2099-01-01", "--reason", "x"], "hexkeep: "),
            (
                ["policy", "waive", "hexpm", "jason", "> 1.0.0 and < 1.0.0", "--until", "2099-01-01", "--reason", "x"],
                "matches no version",
            ),
            (
                ["policy", "waive", "hexpm", "jason", "~> 1.1", "--until", "2099-01-01", "--reason", " "],
                "write a reason of one line",
            ),
        ] {
            let (code, _, error) = hub.command(&wrong).await;
            assert_eq!(code, 1, "{wrong:?}");
            assert!(error.contains(sentence), "{error}");
        }
        let (_, said, _) = hub.command(&["policy", "waivers", "hexpm"]).await;
        assert_eq!(said.trim_end(), "1\tjason\t~> 1.1\t2100-01-01T00:00:00Z\tconsole\tSEC-1");
        let (_, said, _) = hub.command(&["policy", "why", "hexpm", "jason", "1.1.0"]).await;
        assert_eq!(said.trim_end(), "jason 1.1.0 is exempt because waived", "it is old by the time the waiver ends");
        if !running {
            hub.launch().await;
        }
        assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"], "running: {running}");
        assert_eq!(audit(&hub, "policy.waive").await.len(), 1);
        if !running {
            hub.stop().await;
        }
        assert_eq!(hub.command(&["policy", "withdraw", "hexpm", "1"]).await.0, 0);
        let (code, _, error) = hub.command(&["policy", "withdraw", "hexpm", "1"]).await;
        assert_eq!((code, error.trim_end()), (1, "hexkeep: `hexpm` has no active waiver 1"));
        if !running {
            hub.launch().await;
        }
        assert_eq!(listed(&hub).await, ["1.0.0"], "running: {running}");
        assert_eq!(hub.get(NEW).await.status, 403);
        assert_eq!(audit(&hub, "policy.withdraw").await, ["waiver number 1 is withdrawn"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_ends_by_itself_and_survives_a_restart() {
    let mut hub = start(policy("own", "enforce", "cooldown: 30d")).await;
    let until = hexkeep::clock::Timestamp::from_secs(today(&hub) + 2 * DAY);
    let until = until.to_string();
    let waive = ["policy", "waive", "hexpm", "jason", "--until", &until, "--reason", "x"];
    assert_eq!(hub.command(&waive).await.0, 0);
    hub.restart().await;
    let shown = hub.get(INDEX).await;
    assert_eq!(package(&shown).releases.len(), 2);
    hub.clock.advance(Duration::from_secs(2 * DAY - 60));
    let freshness = hub.get(INDEX).await.header("cache-control").to_owned();
    assert!(freshness == "public, max-age=59" || freshness == "public, max-age=60", "{freshness}");
    hub.clock.advance(Duration::from_secs(60));
    assert_eq!(listed(&hub).await, ["1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_and_waivers_need_the_right_to_write_policies() {
    let hub = start(policy("own", "enforce", "cooldown: 30d")).await;
    let root = hub.user("root", true).await;
    let alice = hub.user("alice", false).await;
    let policies = hub.key(Account::User("alice".to_owned()), &["policy:write"]).await;
    let waivers = "/api/repos/hexpm/policy/waivers";
    let waiver = json!({"package": "jason", "requirement": "~> 1.1", "until": "2099-01-01", "reason": "SEC-1"});
    for (key, status) in [("", 401), (alice.as_str(), 403), ("hkk_00000000000000000000000000000000", 401)] {
        assert_eq!(hub.api(Method::POST, waivers, key, Some(waiver.clone())).await.status, status, "{key}");
        assert_eq!(hub.api(Method::GET, waivers, key, None).await.status, status, "{key}");
        assert_eq!(hub.api(Method::DELETE, &format!("{waivers}/1"), key, None).await.status, status, "{key}");
        let pins = hub.api(Method::POST, "/api/repos/hexpm/policy/pins", key, Some(json!({}))).await;
        assert_eq!(pins.status, status, "{key}");
    }
    assert_eq!(listed(&hub).await, ["1.0.0"]);
    let given = hub.api(Method::POST, waivers, &policies, Some(waiver.clone())).await;
    assert_eq!((given.status, &given.json()["lines"]), (200, &json!(["1"])), "{}", given.text());
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
    let shown = hub.api(Method::GET, waivers, &root, None).await.json();
    assert!(shown["lines"][0].as_str().unwrap().ends_with("\tuser:alice\tSEC-1"), "{shown}");
    assert_eq!(hub.api(Method::DELETE, &format!("{waivers}/1"), &root, None).await.status, 200);
    assert_eq!(hub.api(Method::DELETE, &format!("{waivers}/1"), &root, None).await.status, 422);
    assert_eq!(listed(&hub).await, ["1.0.0"]);
    let wrong = json!({"package": "jason", "until": "tomorrow", "reason": "x"});
    assert_eq!(hub.api(Method::POST, waivers, &root, Some(wrong)).await.status, 422);

    let outer = hub.registry.package_ref("jason").releases[1].outer_checksum.clone().unwrap();
    let outer: String = outer.iter().map(|byte| format!("{byte:02x}")).collect();
    let pin = json!({"releases": [{"package": "jason", "version": "1.1.0", "outer": outer}], "reason": "SEC-2"});
    let pinned = hub.api(Method::POST, "/api/repos/hexpm/policy/pins", &policies, Some(pin)).await;
    assert_eq!(pinned.status, 200, "{}", pinned.text());
    assert_eq!(listed(&hub).await, ["1.0.0", "1.1.0"]);
    let log = hub.app().core().state().audit_log("hexpm", 100).await.unwrap();
    let pins: Vec<_> = log.iter().filter(|line| line.action == "policy.pin").collect();
    assert_eq!(pins[0].by.actor.as_deref(), Some("user:alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_is_given_by_administrators_alone() {
    let hub = start(policy("own", "enforce", "cooldown: 30d")).await;
    let (root, alice) = (hub.user("root", true).await, hub.user("alice", false).await);
    let policies = hub.key(Account::User("alice".to_owned()), &["policy:write", "api"]).await;
    let wanted = json!({"name": "ci", "permissions": [{"domain": "policy", "resource": "write"}]});
    let create = async |key: &str| hub.api(Method::POST, "/api/keys", key, Some(wanted.clone())).await.status;
    assert_eq!(create(&root).await, 201);
    assert!(create(&alice).await >= 400);
    assert!(create(&policies).await >= 400, "not even with a key that has it");
    let password = format!("Basic {}", base64(&format!("alice:{}", super::super::support::local::PASSWORD)));
    assert!(create(&password).await >= 400);
    let keys: Value = hub.api(Method::GET, "/api/keys", &alice, None).await.json();
    assert_eq!(keys.as_array().unwrap().len(), 2, "{keys}");
    let device = json!({"client_id": "78ea6566-89fd-481e-a1d6-7d9d78eacca8", "scope": "api policy:write"});
    let asked = hub.api(Method::POST, "/api/oauth/device_authorization", "", Some(device)).await;
    assert_eq!((asked.status, &asked.json()["error"]), (400, &json!("invalid_scope")), "{}", asked.text());
    let domain = "/api/auth?domain=policy&resource=write";
    assert_eq!(hub.api(Method::GET, domain, &policies, None).await.status, 200);
    assert!(hub.api(Method::GET, domain, &alice, None).await.status >= 400);
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
