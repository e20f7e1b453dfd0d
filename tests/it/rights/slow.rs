//! A right is found out before a body is read, and once more before something is written.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::operations::commands::{Account, KeyCommand, OrganizationCommand, PolicyCommand, UserCommand};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::support::hub::{Hub, Wishes};
use super::super::support::local::{PASSWORD, basic, docs, package};
use super::super::support::raw::{RawAnswer, ask};
use super::{MIX, log_in, private};

/// A request whose head was read and allowed, and whose body the daemon waits for.
pub(super) struct Begun {
    stream: TcpStream,
    body: Bytes,
}

/// A request that writes.
pub(super) struct Write {
    method: Method,
    path: String,
    content_type: &'static str,
    body: Bytes,
}

impl Write {
    pub(super) fn upload(path: &str, body: Bytes) -> Self {
        Self { method: Method::POST, path: path.to_owned(), content_type: "application/octet-stream", body }
    }

    pub(super) fn fields(method: Method, path: &str, fields: &serde_json::Value) -> Self {
        let body = Bytes::from(fields.to_string());
        Self { method, path: path.to_owned(), content_type: "application/json", body }
    }

    /// Sends the head, and waits until the daemon asks for the body: then it has found out that the caller may.
    pub(super) async fn begin(self, hub: &Hub, authorization: &str) -> Begun {
        let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: hub\r\nuser-agent: test\r\nauthorization: {authorization}\r\ncontent-type: {}\r\n\
             content-length: {}\r\nexpect: 100-continue\r\n\r\n",
            self.method,
            self.path,
            self.content_type,
            self.body.len(),
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = [0; 25];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(said, *b"HTTP/1.1 100 Continue\r\n\r\n", "{}: {}", self.path, String::from_utf8_lossy(&said));
        Begun { stream, body: self.body }
    }
}

impl Begun {
    pub(super) async fn finish(mut self) -> RawAnswer {
        let body = std::mem::take(&mut self.body);
        ask(&mut self.stream, &body).await
    }
}

/// Each kind of write, and how its caller is to be ranked.
fn writes() -> Vec<(&'static str, Write)> {
    let acme = |path: &str| format!("/api/repos/acme/{path}");
    let release = package("core", "1.1.0", "");
    let put = Write { method: Method::PUT, ..Write::upload(&acme("tarballs/core/1.1.0"), release.clone()) };
    let reads = json!([{"domain": "api", "resource": "read"}]);
    let fields = |method, path: &str, fields| Write::fields(method, path, &fields);
    vec![
        ("publish", Write::upload(&acme("packages/core/releases"), release.clone())),
        ("publish to whatever the tarball is of", Write::upload(&acme("publish"), release)),
        ("publish with a plain PUT", put),
        ("publish the first release", Write::upload(&acme("packages/new/releases"), package("new", "1.0.0", ""))),
        ("replace", Write::upload(&acme("packages/core/releases?replace=true"), package("core", "1.0.0", "% other"))),
        ("docs", Write::upload(&acme("packages/core/releases/1.0.0/docs"), docs("x"))),
        ("retire", fields(Method::POST, &acme("packages/core/releases/1.0.0/retire"), json!({"reason": "other"}))),
        ("retire all", fields(Method::POST, &acme("packages/core/retire"), json!({"reason": "other"}))),
        ("add an owner", fields(Method::PUT, &acme("packages/core/owners/otto"), json!({"level": "full"}))),
        ("make a key", fields(Method::POST, "/api/keys", json!({"name": "more", "permissions": reads}))),
        (
            "make a key of acme",
            fields(Method::POST, "/api/orgs/acme/keys", json!({"name": "more", "permissions": reads})),
        ),
        ("add a member", fields(Method::POST, "/api/orgs/acme/members", json!({"name": "sam", "role": "read"}))),
        ("set a role", fields(Method::POST, "/api/orgs/acme/members/otto", json!({"role": "write"}))),
        ("order", fields(Method::POST, "/api/admin/user-add", json!({"name": "more", "admin": true}))),
        ("purge", fields(Method::POST, "/api/admin/purge", json!({"repository": "hexpm"}))),
    ]
}

/// All that a write could have changed.
async fn everything(hub: &Hub, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in ["packages/core", "packages/new", "packages/core/owners"] {
        found.push(hub.api(Method::GET, &format!("/api/repos/acme/{path}"), root, None).await.text());
    }
    found.extend(hub.order(UserCommand::List).await.lines);
    found.extend(hub.order(OrganizationCommand::List).await.lines);
    let users = hub.app().core().accounts().list_users().await.unwrap();
    let accounts = users.into_iter().map(|user| Account::User(user.name));
    for owner in accounts.chain([Account::Organization("acme".to_owned())]) {
        let keys = hub.order(KeyCommand::List { owner }).await.lines;
        // When a key was used is its own business.
        found.extend(keys.iter().map(|line| line.split('\t').next().unwrap().to_owned()));
    }
    let mut folders = vec![hub.data().join("local")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let is_folder = entry.file_type().unwrap().is_dir();
            if is_folder { folders.push(entry.path()) } else { found.push(entry.path().display().to_string()) }
        }
    }
    found.sort();
    found
}

async fn world() -> (Hub, String) {
    let hub = private("").await;
    let root = hub.user("root", true).await;
    hub.member("otto", "read").await;
    hub.member("anna", "admin").await;
    hub.user("sam", false).await;
    assert_eq!(hub.publish_to_acme(&root, "core", package("core", "1.0.0", "")).await.status, 201);
    (hub, root)
}

/// What ends a right while a body is on its way.
const ENDS: [&str; 7] = [
    "the key is revoked",
    "the key ends",
    "all keys are revoked",
    "the user is shut out",
    "the role is taken",
    "the token is revoked",
    "the password is changed",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_by_a_right_that_ended_while_the_body_was_on_its_way() {
    let (hub, root) = world().await;
    for (number, end) in ENDS.into_iter().enumerate() {
        for (at, (what, write)) in writes().into_iter().enumerate() {
            // Everybody's keys are their own, whatever role is taken from them.
            if end == "the role is taken" && what == "make a key" {
                continue;
            }
            hub.clock.advance(Duration::from_secs(60));
            let name = format!("user{number}x{at}");
            // One who may do all of it, as an administrator, or by the role in the organization alone.
            let orders = matches!(what, "order" | "purge");
            // To hash a password takes long.
            let password =
                matches!(end, "the token is revoked" | "the password is changed").then(|| PASSWORD.to_owned());
            let (email, full_name) = (None, None);
            hub.order(UserCommand::Add { name: name.clone(), email, full_name, password, admin: orders }).await;
            if !orders {
                let (organization, user, role) = ("acme".to_owned(), name.clone(), "admin".to_owned());
                hub.order(OrganizationCommand::Member { organization, user, role }).await;
            }
            let owner = || Account::User(name.clone());
            let made = KeyCommand::Create {
                owner: owner(),
                name: "used".to_owned(),
                permissions: vec!["api".to_owned()],
                days: Some(1),
            };
            let key = hub.order(made).await.lines[0].clone();
            let authorization = match end {
                "the token is revoked" => log_in(&hub, &name, &["api"]).await,
                "the password is changed" => basic(&name),
                _ => key.clone(),
            };
            let begun = write.begin(&hub, &authorization).await;
            match end {
                "the key is revoked" => {
                    hub.order(KeyCommand::Revoke { owner: owner(), name: "used".to_owned() }).await;
                }
                "the key ends" => hub.clock.advance(Duration::from_secs(24 * 3600)),
                "all keys are revoked" => {
                    assert_eq!(hub.api(Method::DELETE, "/api/keys", &key, None).await.status, 200);
                }
                "the user is shut out" => {
                    hub.order(UserCommand::Active { name: name.clone(), active: false }).await;
                }
                "the role is taken" if orders => {
                    hub.order(UserCommand::Admin { name: name.clone(), admin: false }).await;
                }
                "the role is taken" => {
                    let (organization, user) = ("acme".to_owned(), name.clone());
                    hub.order(OrganizationCommand::RemoveMember { organization, user }).await;
                }
                "the token is revoked" => {
                    let token = authorization.trim_start_matches("Bearer ");
                    let fields = json!({"token": token, "client_id": MIX});
                    assert_eq!(hub.api(Method::POST, "/api/oauth/revoke", "", Some(fields)).await.status, 200);
                }
                _ => {
                    let password = Some("another horse".to_owned());
                    hub.order(UserCommand::Password { name: name.clone(), password }).await;
                }
            }
            let before = everything(&hub, &root).await;
            let answer = begun.finish().await;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            // Who may not do it any more is told so, and not that there is nothing: it was there a moment ago.
            let expected = if end == "the role is taken" { 403 } else { 401 };
            assert_eq!(answer.status, expected, "{what}, {end}: {said}");
            assert_eq!(everything(&hub, &root).await, before, "{what}, {end}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_was_removed_and_a_member_who_was_demoted_publish_nothing() {
    let (hub, root) = world().await;
    let otto = hub.key(Account::User("otto".to_owned()), &["api"]).await;
    let path = "/api/repos/acme/packages/core/owners/otto";
    assert_eq!(hub.api(Method::PUT, path, &root, Some(json!({"level": "full"}))).await.status, 204);
    let release = || Write::upload("/api/repos/acme/packages/core/releases", package("core", "1.1.0", ""));
    let begun = release().begin(&hub, &otto).await;
    assert_eq!(hub.api(Method::DELETE, path, &root, None).await.status, 204);
    let before = everything(&hub, &root).await;
    assert_eq!(begun.finish().await.status, 403);
    assert_eq!(everything(&hub, &root).await, before);

    let wilma = hub.member("wilma", "write").await;
    let begun = release().begin(&hub, &wilma).await;
    let (organization, user, role) = ("acme".to_owned(), "wilma".to_owned(), "read".to_owned());
    hub.order(OrganizationCommand::Member { organization, user, role }).await;
    let before = everything(&hub, &root).await;
    assert_eq!(begun.finish().await.status, 403);
    assert_eq!(everything(&hub, &root).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_lose_or_gain_meanwhile_stops_nobody() {
    let (hub, _) = world().await;
    let wilma = hub.member("wilma", "write").await;
    let release = Write::upload("/api/repos/acme/packages/core/releases", package("core", "1.1.0", ""));
    let begun = release.begin(&hub, &wilma).await;
    hub.order(UserCommand::Active { name: "otto".to_owned(), active: false }).await;
    let (organization, user, role) = ("acme".to_owned(), "wilma".to_owned(), "admin".to_owned());
    hub.order(OrganizationCommand::Member { organization, user, role }).await;
    hub.order(OrganizationCommand::Add { name: "other".to_owned(), admin: Some("wilma".to_owned()) }).await;
    let answer = begun.finish().await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
}

/// What ends the right to write policies while a body is on its way, and what is answered then.
const ENDS_OF_POLICIES: [(&str, u16); 4] = [
    ("the key is revoked", 401),
    ("the key ends", 401),
    ("the user is shut out", 401),
    ("the administrator is one no more", 403),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pinned_or_waived_by_a_right_that_ended_while_the_body_was_on_its_way() {
    let repository = "signature: own, metadata_ttl: 30d, policy: company".to_owned();
    let top = "policies:\n  company: { mode: enforce, repositories: { hexpm: { cooldown: 30d } } }\n".to_owned();
    let mut hub = Hub::with(Wishes { repository, top, ..Wishes::default() }).await;
    hub.registry.add("jason", "1.0.0");
    let now = hexkeep::clock::Clock::now(&*hub.clock).as_secs();
    hub.registry.published("jason", "1.0.0", now);
    hub.publish();
    let root = hub.user("root", true).await;
    let outer = hub.registry.package_ref("jason").releases[0].outer_checksum.clone().unwrap();
    let outer: String = outer.iter().map(|byte| format!("{byte:02x}")).collect();
    let pin = json!({"releases": [{"package": "jason", "version": "1.0.0", "outer": outer}], "reason": "x"});
    let waiver = json!({"package": "jason", "until": "2099-01-01", "reason": "x"});
    let writes = [("/api/repos/hexpm/policy/pins", &pin), ("/api/repos/hexpm/policy/waivers", &waiver)];
    for (number, (end, status)) in ENDS_OF_POLICIES.into_iter().enumerate() {
        for (at, (path, fields)) in writes.into_iter().enumerate() {
            hub.clock.advance(Duration::from_secs(60));
            let (name, admin) = (format!("user{number}x{at}"), status == 403);
            let (email, full_name, password) = (None, None, None);
            hub.order(UserCommand::Add { name: name.clone(), email, full_name, password, admin }).await;
            let owner = || Account::User(name.clone());
            let permissions = vec![if admin { "api" } else { "policy:write" }.to_owned()];
            let made = KeyCommand::Create { owner: owner(), name: "used".to_owned(), permissions, days: Some(1) };
            let key = hub.order(made).await.lines[0].clone();
            let begun = Write::fields(Method::POST, path, fields).begin(&hub, &key).await;
            match end {
                "the key is revoked" => {
                    hub.order(KeyCommand::Revoke { owner: owner(), name: "used".to_owned() }).await;
                }
                "the key ends" => hub.clock.advance(Duration::from_secs(24 * 3600)),
                "the user is shut out" => {
                    hub.order(UserCommand::Active { name, active: false }).await;
                }
                _ => {
                    hub.order(UserCommand::Admin { name, admin: false }).await;
                }
            }
            let answer = begun.finish().await;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, status, "{path}, {end}: {said}");
            let waivers = hub.order(PolicyCommand::Waivers { repository: "hexpm".to_owned() }).await.lines;
            assert_eq!(waivers, Vec::<String>::new(), "{end}");
            assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 403, "{path}, {end}");
        }
    }
    // With a right that lasts each of them is written.
    for (path, fields) in writes {
        let begun = Write::fields(Method::POST, path, fields).begin(&hub, &root).await;
        assert_eq!(begun.finish().await.status, 200, "{path}");
    }
    assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200);
}
