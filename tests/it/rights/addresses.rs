//! E-mail addresses and names: whom they identify, and who sees them.

use hexkeep::operations::commands::{Account, OrganizationCommand, ReleaseCommand, UserCommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::support::hub::{Answer, Hub, Wishes};
use super::super::support::local::{PASSWORD, basic, package};
use super::private;

const ADDRESS: &str = "victim@example.com";

async fn sign_up(hub: &Hub, name: &str, email: &str) -> Answer {
    let fields = json!({"username": name, "password": PASSWORD, "email": email});
    hub.api(Method::POST, "/api/users", "", Some(fields)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_has_confirmed_is_nobodys() {
    let hub = private("auth: { sign_up: true }\n").await;
    let root = hub.user("root", true).await;
    hub.member("anna", "admin").await;
    assert_eq!(hub.publish_to_acme(&root, "core", package("core", "1.0.0", "")).await.status, 201);
    let made = sign_up(&hub, "mallory", ADDRESS).await;
    assert_eq!((made.status, &made.json()["email"]), (201, &json!(ADDRESS)), "{}", made.text());
    let me = |authorization: String| {
        let hub = &hub;
        async move { hub.api(Method::GET, "/api/users/me", &authorization, None).await }
    };
    assert_eq!(me(basic("mallory")).await.json()["email"], json!(ADDRESS), "the user's own word");
    // Not by log-in, owner, transfer, member, or look-up.
    assert_eq!(me(basic(ADDRESS)).await.status, 401);
    let owner = format!("/api/repos/acme/packages/core/owners/{ADDRESS}");
    for fields in [json!({"level": "full"}), json!({"level": "full", "transfer": true})] {
        let answer = hub.api(Method::PUT, &owner, &root, Some(fields)).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    let member = json!({"name": ADDRESS, "role": "read"});
    let added = async || hub.api(Method::POST, "/api/orgs/acme/members", &root, Some(member.clone())).await;
    assert_eq!(added().await.status, 422);
    assert_eq!(hub.api(Method::GET, &format!("/api/users/{ADDRESS}"), &root, None).await.status, 404);
    // It stands in nobody's way: its owner gets it from an administrator.
    let victim = UserCommand::Add {
        name: "victim".to_owned(),
        email: Some(ADDRESS.to_owned()),
        full_name: None,
        password: Some(PASSWORD.to_owned()),
        admin: false,
    };
    hub.order(victim).await;
    assert_eq!(me(basic(ADDRESS)).await.json()["username"], json!("victim"), "an administrator's word confirms it");
    let lines = hub.order(UserCommand::List).await.lines;
    assert!(lines.contains(&format!("mallory\t{ADDRESS} (unconfirmed)")), "{lines:?}");
    assert_eq!(added().await.status, 200);
    assert_eq!(hub.api(Method::PUT, &owner, &root, Some(json!({"level": "full"}))).await.status, 204);
    let owners = hub.api(Method::GET, "/api/repos/acme/packages/core/owners", &root, None).await.text();
    assert!(owners.contains("victim") && !owners.contains("mallory"), "{owners}");

    // Another one is confirmed by hand.
    assert_eq!(sign_up(&hub, "nina", "nina@example.com").await.status, 201);
    hub.order(UserCommand::Email { name: "nina".to_owned(), email: None }).await;
    assert_eq!(me(basic("nina@example.com")).await.json()["username"], json!("nina"));
    // Two people cannot have the same.
    let twice = UserCommand::Email { name: "mallory".to_owned(), email: None };
    let by = hexkeep::state::audit::Actor::console();
    let refused = hexkeep::operations::Operations::administer(&**hub.app().core(), twice.into(), by).await.unwrap_err();
    assert!(refused.to_string().contains("already in use"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_up_as_the_owner_or_publisher_of_a_package() {
    let mut hub = private("auth: { sign_up: true }\n").await;
    let root = hub.user("root", true).await;
    let wilma = hub.member("wilma", "write").await;
    hub.member("otto", "read").await;
    assert_eq!(hub.publish_to_acme(&wilma, "core", package("core", "1.0.0", "")).await.status, 201);
    let owner = "/api/repos/acme/packages/core/owners/otto";
    let transfer = json!({"level": "full", "transfer": true});
    assert_eq!(hub.api(Method::PUT, owner, &root, Some(transfer)).await.status, 204);
    // The database is lost, and with it every user.
    hub.stop().await;
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = std::fs::remove_file(hub.data().join(file));
    }
    hub.launch().await;
    let taken = async |hub: &Hub, when: &str| {
        for name in ["otto", "wilma", "Otto"] {
            let answer = sign_up(hub, name, "").await;
            let said = answer.json();
            assert_eq!(
                (answer.status, &said["errors"]["username"]),
                (422, &json!("has already been taken")),
                "{when}, {name}: {said}"
            );
        }
    };
    taken(&hub, "by the files").await;
    hub.order(ReleaseCommand::Reindex { repository: "acme".to_owned() }).await;
    taken(&hub, "after a reindex").await;
    hub.restart().await;
    std::fs::remove_dir_all(hub.data().join("local/acme")).unwrap();
    hub.restart().await;
    taken(&hub, "by the rows").await;
    assert_eq!(sign_up(&hub, "mallory", "").await.status, 201);
    // An administrator knows who it is.
    hub.user("otto", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_reset_by_an_administrator() {
    let hub = private("").await;
    hub.user("alice", false).await;
    for name in ["alice", "nobody", ADDRESS] {
        let answer = hub.api(Method::POST, &format!("/api/users/{name}/reset"), "", None).await;
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 403, "rebar3 prints the message of a 403");
        assert!(message.contains("does not send mail") && message.contains("administrator"), "{message}");
    }
}

/// alice has an address and owns a package of `acme`; bob has neither.
async fn people(hub: &Hub) -> [String; 4] {
    let alice = UserCommand::Add {
        name: "alice".to_owned(),
        email: Some(ADDRESS.to_owned()),
        full_name: None,
        password: Some(PASSWORD.to_owned()),
        admin: false,
    };
    let root = hub.user("root", true).await;
    hub.order(alice).await;
    let bob = hub.member("bob", "write").await;
    let (organization, user, role) = ("acme".to_owned(), "alice".to_owned(), "admin".to_owned());
    hub.order(OrganizationCommand::Member { organization, user, role }).await;
    let own = hub.key(Account::User("alice".to_owned()), &["api:read"]).await;
    let fetches = hub.key(Account::User("bob".to_owned()), &["repositories", "docs:acme"]).await;
    let publisher = hub.key(Account::User("alice".to_owned()), &["api"]).await;
    assert_eq!(hub.publish_to_acme(&publisher, "core", package("core", "1.0.0", "")).await.status, 201);
    [root, own, bob, fetches]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_for_its_user_and_administrators() {
    let more = vec!["acme: { type: local, anonymous_read: true }".to_owned()];
    let hub = Hub::with(Wishes { more, ..Wishes::default() }).await;
    let [root, own, bob, fetches] = people(&hub).await;
    let (user, owners) = ("/api/users/alice", "/api/repos/acme/packages/core/owners");
    let (members, organization) = ("/api/orgs/acme/members", "/api/orgs/acme");
    for (who, key, sees) in [
        ("an administrator", root.as_str(), true),
        ("the user", &own, true),
        ("another user", &bob, false),
        ("one who fetches", &fetches, false),
        ("nobody", "", false),
    ] {
        let shown = hub.api(Method::GET, user, key, None).await;
        assert_eq!(shown.status, 200, "{who}: {}", shown.text());
        assert_eq!(shown.json().get("email"), sees.then(|| json!(ADDRESS)).as_ref(), "{who}");
        assert_eq!(shown.json().get("full_name"), None, "{who}: left out, since there is none");
        for path in [members, organization] {
            let answer = hub.api(Method::GET, path, key, None).await;
            assert_eq!(answer.text().contains(ADDRESS), sees && answer.status == 200, "{who} {path}");
        }
        let listed = hub.api(Method::GET, owners, key, None).await;
        assert_eq!(listed.json()[0]["email"], json!("alice"), "{who}: mix prints it in the place of an address");
        // Nor does anybody learn whose an address is.
        for path in [format!("/api/users/{ADDRESS}"), format!("{owners}/{ADDRESS}")] {
            let found = hub.api(Method::GET, &path, key, None).await;
            assert_eq!(found.status, if sees { 200 } else { 404 }, "{who} {path}: {}", found.text());
        }
    }
    let me = hub.api(Method::GET, "/api/users/me", &bob, None).await.json();
    assert!(me.get("email").is_none() && me.get("full_name").is_none(), "{me}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_exists_is_not_told_to_passers_by() {
    // Nothing is open: a credential is needed, whoever is asked for.
    let instead = vec!["acme: { type: local }".to_owned()];
    let top = "default_repository: acme\n".to_owned();
    let hub = Hub::with(Wishes { instead, top, ..Wishes::default() }).await;
    let [root, _, bob, fetches] = people(&hub).await;
    for name in ["alice", "bob", "nobody", ADDRESS] {
        let path = format!("/api/users/{name}");
        let told = async |key: &str| hub.api(Method::GET, &path, key, None).await.status;
        assert_eq!((told("").await, told(&fetches).await), (401, 401), "{name}");
        let there = if matches!(name, "alice" | "bob") { 200 } else { 404 };
        assert_eq!(told(&bob).await, there, "{name}");
    }
    assert_eq!(hub.api(Method::GET, &format!("/api/users/{ADDRESS}"), &root, None).await.status, 200);

    // Something is open: owners of packages that everybody may see are shown.
    let more = vec!["acme: { type: local }".to_owned(), "lib: { type: local, anonymous_read: true }".to_owned()];
    let hub = Hub::with(Wishes { more, ..Wishes::default() }).await;
    let [root, _, _, fetches] = people(&hub).await;
    let told = async |name: &str, key: &str| {
        let answer = hub.api(Method::GET, &format!("/api/users/{name}"), key, None).await;
        let message: Value = answer.json();
        (answer.status, message["message"].as_str().unwrap_or_default().to_owned())
    };
    for key in ["", &fetches] {
        for name in ["bob", "alice", "root"] {
            assert_eq!(told(name, key).await, told("nobody", key).await, "{name}: who owns nothing that is open");
        }
    }
    assert_eq!(hub.publish_to("lib", &root, "tool", package("tool", "1.0.0", "")).await.status, 201);
    assert_eq!((told("root", "").await.0, told("root", &fetches).await.0), (200, 200));
}
