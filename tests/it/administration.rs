//! What administrators do: orders over HTTP with a key, the last of them, second factors.

use hexkeep::operations::commands::{Account, Command, ReleaseCommand, UserCommand};
use hexkeep::operations::{Blame, Operations as _};
use hexkeep::state::audit::Actor;
use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use super::support::hub::{Hub, Wishes};
use super::support::local::{PASSWORD, package};
use super::support::process::Home;

const CONFIG: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      storage: { path: data }\n\
                      default_repository: acme\n\
                      repositories:\n  acme: { type: local }\n";

async fn acme() -> Hub {
    Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await
}

async fn order(hub: &Hub, key: &str, name: &str, fields: Value) -> (u16, Value) {
    let answer = hub.api(Method::POST, &format!("/api/admin/{name}"), key, Some(fields)).await;
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_order_over_http() {
    let hub = acme().await;
    let root = hub.user("root", true).await;
    let sam = hub.user("sam", false).await;
    let narrow = hub.key(Account::User("root".to_owned()), &["api:read"]).await;
    let lines = |answer: &Value| answer["lines"].as_array().unwrap().clone();

    for (key, status) in [("", 401), ("wrong", 401), (sam.as_str(), 403), (narrow.as_str(), 401)] {
        for name in ["user-list", "reload", "purge", "no-such-order"] {
            assert_eq!(order(&hub, key, name, json!({})).await.0, status, "{name} with {key:?}");
        }
        for path in ["/api/admin/config", "/api/admin/public-keys/acme"] {
            assert_eq!(hub.api(Method::GET, path, key, None).await.status, status, "{path} with {key:?}");
        }
    }

    let (status, made) = order(&hub, &root, "user-add", json!({"name": "alice", "password": PASSWORD})).await;
    assert_eq!((status, &made["failed"]), (200, &json!(false)), "{made}");
    assert_eq!(order(&hub, &root, "org-add", json!({"name": "acme", "admin": "alice"})).await.0, 200);
    let new = json!({"owner": {"user": "alice"}, "name": "ci", "permissions": ["api", "repositories"]});
    let answer = hub.api(Method::POST, "/api/admin/key-create", &root, Some(new)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let alice = lines(&answer.json())[0].as_str().unwrap().to_owned();
    assert_eq!(hub.publish_to_acme(&alice, "core", package("core", "1.0.0", "")).await.status, 201);

    let (_, users) = order(&hub, &root, "user-list", json!({})).await;
    assert_eq!(lines(&users).len(), 3, "{users}");
    let grant = json!({"owner": {"user": "sam"}, "repository": "acme"});
    assert_eq!(order(&hub, &root, "grant-add", grant).await.0, 200);
    assert_eq!(hub.get_with("/repos/acme/packages/core", &[("authorization", &sam)]).await.status, 200);

    let again = json!({"repository": "acme", "package": "core", "version": "1.0.0"});
    let release = "/api/repos/acme/packages/core/releases/1.0.0";
    assert_eq!(hub.api(Method::DELETE, release, &alice, None).await.status, 204);
    assert_eq!(order(&hub, &root, "release-allow", again.clone()).await.0, 200);
    assert_eq!(order(&hub, &root, "release-allow", again.clone()).await.0, 422, "it is allowed already");
    assert_eq!(hub.publish_to_acme(&alice, "core", package("core", "1.0.0", "")).await.status, 201);

    let gone = json!({"repository": "acme", "package": "core", "version": "1.0.0", "reason": "malware"});
    assert_eq!(order(&hub, &root, "release-remove", gone).await.0, 200);
    assert_eq!(hub.get_with("/repos/acme/packages/core", &[("authorization", &sam)]).await.status, 404);
    assert_eq!(hub.publish_to_acme(&alice, "core", package("core", "1.0.0", "")).await.status, 422);
    assert_eq!(order(&hub, &root, "release-allow", again).await.0, 422, "what was removed is gone for good");
    assert_eq!(hub.publish_to_acme(&alice, "core", package("core", "1.0.0", "")).await.status, 422);

    // It is written down who ordered, with which key, and not that somebody sat at the machine.
    let (_, log) = order(&hub, &root, "audit", json!({"repository": "acme"})).await;
    let cleared = lines(&log).iter().find(|line| line.as_str().unwrap().contains("release.remove")).cloned().unwrap();
    assert!(cleared.as_str().unwrap().contains("user:root"), "{log}");
    let purged = json!({"repository": "hexpm"});
    let (status, purged) = order(&hub, &root, "purge", purged).await;
    assert_eq!((status, &purged["tarballs"]), (200, &json!(0)), "{purged}");
    let purge = &hub.app().core().state().audit_log("hexpm", 1).await.unwrap()[0];
    assert_eq!(purge.by.actor.as_deref(), Some("user:root"));
    assert_eq!(purge.by.credential.as_deref(), Some("key:test"));

    for (name, fields, why) in [
        ("no-such-order", json!({}), "unknown variant `no-such-order`"),
        ("user-add", json!({}), "missing field `name`"),
        ("user-add", json!({"name": "otto", "administrator": true}), "unknown field `administrator`"),
        ("user-list", json!({"name": "otto"}), "unknown field `name`"),
        ("audit", json!({"pages": 2}), "unknown field `pages`"),
        ("purge", json!({"repo": "acme"}), "unknown field `repo`"),
        ("purge", json!({"repository": "nowhere"}), "there is no repository `nowhere`"),
        ("user-add", json!({"name": "alice"}), "the name `alice` is already in use"),
        ("import", json!({"repository": "acme", "folder": "/"}), "unknown variant `import`"),
    ] {
        let (status, refused) = order(&hub, &root, name, fields).await;
        assert_eq!(status, 422, "{name}");
        assert!(refused["message"].as_str().unwrap().contains(why), "{name}: {refused}");
    }
    let shown = hub.api(Method::GET, "/api/admin/config", &root, None).await;
    assert!(shown.status == 200 && shown.text().contains("default_repository"), "{}", shown.text());
    let keys = hub.api(Method::GET, "/api/admin/public-keys/acme", &root, None).await.json();
    assert!(keys[0]["fingerprint"].as_str().unwrap().starts_with("SHA256:"), "{keys}");
    assert_eq!(order(&hub, &root, "reload", json!({})).await, (200, json!([])), "nothing has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_administrator_stays() {
    let hub = acme().await;
    hub.user("root", true).await;
    hub.user("sam", false).await;
    let give = async |command: UserCommand| hub.app().core().administer(command.into(), Actor::console()).await;
    let shut_out = |name: &str| UserCommand::Active { name: name.to_owned(), active: false };
    let rank = |name: &str, admin: bool| UserCommand::Admin { name: name.to_owned(), admin };
    for command in [shut_out("root"), rank("root", false)] {
        let refused = give(command.clone()).await.unwrap_err();
        assert!(refused.sentence().contains("`root` is the last active administrator"), "{command:?}: {refused}");
    }
    give(shut_out("sam")).await.unwrap();
    give(rank("sam", true)).await.unwrap();
    assert!(give(rank("root", false)).await.is_err(), "one who is shut out is nobody to count on");
    give(UserCommand::Active { name: "sam".to_owned(), active: true }).await.unwrap();
    give(rank("root", false)).await.unwrap();
    assert!(give(shut_out("sam")).await.is_err(), "now sam is the last");
    give(rank("root", false)).await.unwrap();
}

/// The code that an app would show now, by the machine's own clock or by a test's.
fn code(secret: &str, now: u64) -> String {
    let secret = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    TOTP::new(Algorithm::SHA1, 6, 0, 30, secret, None, String::new()).unwrap().generate(now)
}

#[test]
fn a_second_factor_is_set_up_from_the_terminal() {
    for running in [true, false] {
        let home = Home::new(CONFIG);
        let daemon = running.then(|| home.serve());
        assert_eq!(home.run(&["user", "add", "root", "--admin", "--no-password"]).code, 0);
        let begun = home.run(&["user", "totp", "root"]);
        assert_eq!(begun.code, 0, "{begun:?}");
        let lines: Vec<&str> = begun.stdout.lines().collect();
        let [secret, url] = lines[..] else { panic!("not a secret and a URL: {begun:?}") };
        assert!(url.starts_with("otpauth://totp/") && url.contains(secret), "{url}");
        assert!(begun.stderr.contains("to confirm, run: hexkeep user totp root --code CODE"), "{begun:?}");

        let wrong = home.run(&["user", "totp", "root", "--code", "000000x"]);
        assert_eq!((wrong.code, wrong.stderr.as_str()), (1, "hexkeep: the code of the second factor is wrong\n"));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let confirmed = home.run(&["user", "totp", "root", "--code", &code(secret, now)]);
        assert_eq!((confirmed.code, confirmed.stdout.lines().count()), (0, 10), "{confirmed:?}");
        let off = home.run(&["user", "totp-off", "root"]);
        assert_eq!(
            (off.code, off.stderr.as_str()),
            (0, "turned off two-factor authentication for root\n"),
            "running: {running}"
        );
        assert_eq!(home.run(&["user", "totp", "nobody"]).code, 1);
        drop(daemon);
    }
}

#[test]
fn ranks_change_from_the_terminal() {
    for running in [true, false] {
        let home = Home::new(CONFIG);
        let daemon = running.then(|| home.serve());
        assert_eq!(home.run(&["user", "add", "root", "--admin", "--no-password"]).code, 0);
        assert_eq!(home.run(&["user", "add", "sam", "--no-password"]).code, 0);
        let refused = home.run(&["user", "demote", "root"]);
        let sentence = "hexkeep: `root` is the last active administrator; promote another user first\n";
        assert_eq!((refused.code, refused.stderr.as_str()), (1, sentence), "running: {running}");
        assert_eq!(home.run(&["user", "deactivate", "root"]).code, 1);
        assert_eq!(home.run(&["user", "promote", "sam"]).code, 0);
        assert_eq!(home.run(&["user", "demote", "root"]).code, 0);
        assert_eq!(home.run(&["user", "list"]).stdout, "root\t-\nsam\t-\tadministrator\n");
        drop(daemon);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_set_up_at_the_page() {
    let hub = acme().await;
    let root = hub.user("root", true).await;
    let send = async |fields: &[(&str, &str)]| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("username", "root"), ("password", PASSWORD)]).extend_pairs(fields);
        let form = bytes::Bytes::from(form.finish());
        hub.call(Method::POST, "/ui/second-factor", "", "application/x-www-form-urlencoded", Some(form)).await
    };
    let now = || hub.app().core().shared.clock.now().as_secs();
    let page = hub.get("/ui/second-factor").await;
    assert!(page.status == 200 && page.header("cache-control") == "no-store", "{}", page.text());
    let stranger = hub.call(
        Method::POST,
        "/ui/second-factor",
        "",
        "application/x-www-form-urlencoded",
        Some("username=root&password=wrong&step=begin".into()),
    );
    assert_eq!(stranger.await.status, 403);

    let shown = send(&[("step", "begin")]).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let text = shown.text();
    let (_, after) = text.split_once("app: <code>").unwrap();
    let secret = after.split('<').next().unwrap();
    assert_eq!(send(&[("step", "confirm"), ("code", "nonsense")]).await.status, 403);
    let on = send(&[("step", "confirm"), ("code", &code(secret, now()))]).await;
    assert_eq!((on.status, on.text().matches("<li>").count()), (200, 10), "{}", on.text());

    // From now on a login needs it, also the one that turns it off.
    hub.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(send(&[("step", "off")]).await.status, 403);
    let off = send(&[("step", "off"), ("otp", &code(secret, now()))]).await;
    assert!(off.status == 200 && off.text().contains("is disabled"), "{}", off.text());
    assert_eq!(send(&[("step", "begin")]).await.status, 200);
    let log = hub.api(Method::GET, "/api/users/me/audit-logs", &root, None).await.text();
    assert!(log.contains("security.update") && log.contains("security.disable"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_fails_is_called_by_its_name() {
    let mut hub = acme().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    // Without the list of its names a remote repository refuses before the database is asked.
    assert_eq!(hub.get("/names").await.status, 200);
    hub.app().core().state().close().await;
    let (acme, hexpm) = (|| "acme".to_owned(), || "hexpm".to_owned());
    let (package, reason) = (|| "core".to_owned(), "malware".to_owned());
    let orders: [Command; 5] = [
        ReleaseCommand::Remove { repository: acme(), package: package(), version: None, reason }.into(),
        ReleaseCommand::Forget { repository: acme(), package: package() }.into(),
        ReleaseCommand::Forget { repository: hexpm(), package: package() }.into(),
        ReleaseCommand::Allow { repository: acme(), package: package(), version: "1.0.0".to_owned() }.into(),
        UserCommand::List.into(),
    ];
    for order in orders {
        let failed = hub.app().core().administer(order.clone(), Actor::console()).await.unwrap_err();
        let said = failed.sentence();
        assert!(said.starts_with("cannot ") && said.contains(" in the database: "), "{order:?}: {said}");
        assert!(!said.contains("a local repository failed"), "{order:?}: {said}");
        assert_eq!(failed.blame(), Blame::Server, "{order:?}: {said}");
    }
    let unknown = ReleaseCommand::Reindex { repository: "nowhere".to_owned() };
    let refused = hub.app().core().administer(unknown.into(), Actor::console()).await.unwrap_err();
    assert_eq!(refused.blame(), Blame::Order, "{}", refused.sentence());
}
