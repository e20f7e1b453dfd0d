//! The daemon that all rows ask, its accounts, and what they are told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hexkeep::clock::{Clock as _, Timestamp};
use hexkeep::hex::term::{self, etf};
use hexkeep::operations::commands::{Account, KeyCommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::support::hub::{Hub, Wishes};
use super::super::support::local::{docs, package};
use super::rows::{Before, Row, Sent};

/// The moment at which everything happens: 2030-01-01T00:00:00Z.
const NOON: Timestamp = Timestamp::from_secs(1_893_456_000);

/// Headers that are compared: the rest is the same for all answers, or about the connection.
const COMPARED: [&str; 9] = [
    "cache-control",
    "content-type",
    "etag",
    "location",
    "retry-after",
    "www-authenticate",
    "x-ratelimit-limit",
    "x-ratelimit-reset",
    "vary",
];

/// Somebody who asks.
pub(super) struct Caller {
    pub(super) name: &'static str,
    /// What they send as `Authorization`.
    pub(super) key: Option<String>,
    /// Whose keys `/api/keys` is about.
    pub(super) account: Option<Account>,
}

pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) callers: Vec<Caller>,
    admin: String,
    /// Follows no redirect.
    client: reqwest::Client,
    /// Each request comes from an address of its own, so that nobody without a credential comes too often.
    addresses: AtomicUsize,
}

/// An answer, without what differs from run to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Value,
    /// Of the body.
    pub(super) length: usize,
    /// The tag as it was sent.
    pub(super) raw_etag: String,
}

impl Told {
    /// What has to be the same in every format.
    pub(super) fn without_type(&self) -> (u16, BTreeMap<&str, &str>, &Value) {
        let headers = self.headers.iter().filter(|(name, _)| *name != "content-type");
        (self.status, headers.map(|(name, value)| (name.as_str(), value.as_str())).collect(), &self.body)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        if self.length > 0 {
            writeln!(f, "{:#}", self.body)?;
        }
        Ok(())
    }
}

fn user(name: &str) -> Option<Account> {
    Some(Account::User(name.to_owned()))
}

impl World {
    pub(super) async fn new() -> Self {
        let more = [
            "acme: { type: local }",
            "lib: { type: local, organization: acme, anonymous_read: true }",
            "commons: { type: local, organization: acme, anonymous_read: true, publish: users, changes: owners }",
        ];
        let server = "public_url: \"http://hub\", trusted_proxies: [127.0.0.1/32]".to_owned();
        let hub = Hub::with(Wishes { server, more: more.map(str::to_owned).into(), ..Wishes::default() }).await;
        hub.clock.advance(NOON.since(hub.clock.now()));
        let admin = hub.user("root", true).await;
        let stranger = hub.user("sam", false).await;
        let reader = hub.member("rita", "read").await;
        let writer = hub.member("wilma", "write").await;
        let owner = hub.member("otto", "read").await;
        hub.member("mia", "read").await;
        hub.user("new", false).await;
        let named = async |owner: &Account, name: &str, permissions: &[&str]| {
            let permissions = permissions.iter().map(|one| (*one).to_owned()).collect();
            let (owner, name) = (owner.clone(), name.to_owned());
            hub.order(KeyCommand::Create { owner, name, permissions, days: None }).await.lines[0].clone()
        };
        let acme = Account::Organization("acme".to_owned());
        let organization = named(&acme, "robot", &["api", "repositories"]).await;
        let narrow = named(&Account::User("wilma".to_owned()), "narrow", &["api:read"]).await;
        let callers = vec![
            Caller { name: "anonymous", key: None, account: None },
            Caller { name: "wrong key", key: Some(format!("hkk_{}", "0".repeat(32))), account: None },
            Caller { name: "stranger", key: Some(stranger), account: user("sam") },
            Caller { name: "reader", key: Some(reader), account: user("rita") },
            Caller { name: "writer with a key that reads", key: Some(narrow), account: user("wilma") },
            Caller { name: "writer", key: Some(writer), account: user("wilma") },
            Caller { name: "organization's key", key: Some(organization), account: Some(acme) },
            Caller { name: "owner", key: Some(owner), account: user("otto") },
            Caller { name: "admin", key: Some(admin.clone()), account: user("root") },
        ];
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let world = Self { hub, callers, admin, client, addresses: AtomicUsize::new(0) };
        let needs = "{<<\"requirements\">>,[[{<<\"name\">>,<<\"quiet\">>},{<<\"requirement\">>,<<\"~> 1.0\">>},\
                     {<<\"optional\">>,true}]]}.\n{<<\"licenses\">>,[<<\"MIT\">>]}.\n\
                     {<<\"links\">>,[{<<\"Home\">>,<<\"https://example.com\">>}]}.";
        for (repository, name, version, more) in [
            ("acme", "quiet", "1.0.0", ""),
            ("acme", "core", "1.0.0", needs),
            ("acme", "core", "1.1.0-rc.1", ""),
            ("lib", "shared", "0.3.1", ""),
            ("commons", "common", "1.0.0", ""),
        ] {
            world.publish(repository, name, version, more).await;
        }
        let otto = "/api/repos/acme/packages/core/owners/otto";
        let answer = world.hub.api(Method::PUT, otto, &world.admin, Some(json!({"level": "full"}))).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        world
    }

    async fn publish(&self, repository: &str, name: &str, version: &str, more: &str) {
        let path = format!("/api/repos/{repository}/publish");
        let tarball = package(name, version, more);
        let answer = self.hub.call(Method::POST, &path, &self.admin, "application/octet-stream", Some(tarball)).await;
        assert!(answer.status < 300, "{}", answer.text());
    }

    /// Brings about what a row is about; nobody else has to be there for it.
    async fn prepare(&self, before: Before, caller: &Caller, id: &str) {
        let core = "/api/repos/acme/packages/core";
        match before {
            Before::Nothing => {}
            Before::Release => self.publish("acme", "core", "9.9.9", "").await,
            Before::NoRelease => {
                self.hub.api(Method::DELETE, &format!("{core}/releases/2.0.0"), &self.admin, None).await;
            }
            Before::Docs => {
                let path = format!("{core}/releases/1.0.0/docs");
                let octets = "application/octet-stream";
                self.hub.call(Method::POST, &path, &self.admin, octets, Some(docs("text"))).await;
            }
            Before::Retired => {
                let path = format!("{core}/releases/1.0.0/retire");
                self.hub.api(Method::POST, &path, &self.admin, Some(json!({"reason": "other"}))).await;
            }
            Before::NoOwner => {
                self.hub.api(Method::DELETE, &format!("{core}/owners/mia"), &self.admin, None).await;
            }
            Before::Owner => {
                let level = json!({"level": "maintainer"});
                self.hub.api(Method::PUT, &format!("{core}/owners/mia"), &self.admin, Some(level)).await;
            }
            Before::NoMember => {
                self.hub.api(Method::DELETE, "/api/orgs/acme/members/new", &self.admin, None).await;
            }
            Before::Member => {
                let member = json!({"name": "new", "role": "read"});
                self.hub.api(Method::POST, "/api/orgs/acme/members", &self.admin, Some(member)).await;
            }
            Before::Key => {
                let accounts = [caller.account.clone(), Some(Account::Organization("acme".to_owned()))];
                for owner in accounts.into_iter().flatten() {
                    let permissions = vec!["api:read".to_owned()];
                    let name = format!("spare-{id}");
                    self.hub.order(KeyCommand::Create { owner, name, permissions, days: None }).await;
                }
            }
        }
    }

    /// Makes the request of a row on behalf of a caller.
    pub(super) async fn tell(&self, row: &Row, caller: &Caller, erlang: bool) -> Told {
        let place = self.callers.iter().position(|one| one.name == caller.name).unwrap();
        let id = format!("x{}{place}x", if erlang { "e" } else { "j" });
        self.prepare(row.before, caller, &id).await;
        let format = if erlang { "application/vnd.hex+erlang" } else { "application/json" };
        let fill = |text: &str| text.replace("{n}", &id);
        let (content_type, body) = match row.sent {
            Sent::Nothing => ("", None),
            Sent::Fields(text) => {
                let value: Value = serde_json::from_str(&fill(text)).unwrap();
                let encoded = if erlang { etf::encode(&term::from_json(&value)) } else { value.to_string().into() };
                (format, Some(Bytes::from(encoded)))
            }
            Sent::Package(name, version) => ("application/octet-stream", Some(package(&fill(name), version, ""))),
            Sent::Docs => ("application/x-tar", Some(docs("text"))),
            Sent::Text(text) => ("application/octet-stream", Some(Bytes::from_static(text.as_bytes()))),
        };
        let mut told = self.request(&row.method, &fill(row.path), caller, content_type, format, body, &[], &id).await;
        if row.varies && told.status == 200 {
            told.body = Value::from("REDACTED");
        }
        told
    }

    /// Makes the request of a row that sends nothing once more, in another way.
    pub(super) async fn ask(&self, method: &Method, row: &Row, caller: &Caller, headers: &[(&str, &str)]) -> Told {
        let place = self.callers.iter().position(|one| one.name == caller.name).unwrap();
        let id = format!("xj{place}x");
        let path = row.path.replace("{n}", &id);
        self.request(method, &path, caller, "", "application/json", None, headers, &id).await
    }

    #[expect(clippy::too_many_arguments, reason = "a request has as many parts")]
    async fn request(
        &self,
        method: &Method,
        path: &str,
        caller: &Caller,
        content_type: &str,
        accept: &str,
        body: Option<Bytes>,
        headers: &[(&str, &str)],
        id: &str,
    ) -> Told {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.hub.url()));
        let number = self.addresses.fetch_add(1, Ordering::Relaxed);
        // Of IPv6, a network of 64 bits is one client.
        request = request.header("x-forwarded-for", format!("2001:db8:0:{number:x}::1"));
        request = request.header("user-agent", "test/1").header("accept", accept);
        if let Some(key) = &caller.key {
            request = request.header("authorization", key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", content_type).body(body);
        }
        let response = request.timeout(Duration::from_secs(60)).send().await.unwrap();
        let status = response.status().as_u16();
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in response.headers() {
            if COMPARED.contains(&name.as_str()) {
                told.insert(name.to_string(), redact(value.to_str().unwrap(), id));
            }
        }
        let raw_etag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
        if told.contains_key("etag") {
            told.insert("etag".to_owned(), "\"TAG\"".to_owned());
        }
        let bytes = response.bytes().await.unwrap();
        let mut body = match &*bytes {
            [] => Value::Null,
            [131, ..] => term::to_json(etf::decode(&bytes).unwrap()).unwrap(),
            _ => serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{path}: {bytes:?}")),
        };
        redact_value(&mut body, id);
        Told { status, headers: told, body, length: bytes.len(), raw_etag }
    }
}

/// Digests, secrets and what makes the names of a caller's own things differ.
fn redact(text: &str, id: &str) -> String {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text {
        _ if is_digest => "SHA256".to_owned(),
        _ if text.starts_with("hkk_") => "hkk_SECRET".to_owned(),
        _ => text.replace(id, "{n}"),
    }
}

fn redact_value(value: &mut Value, id: &str) {
    match value {
        Value::String(text) => *text = redact(text, id),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_value(item, id)),
        Value::Object(map) => {
            // When a use of a key is written down is its own business.
            for name in ["last_use", "ip"] {
                if let Some(value) = map.get_mut(name) {
                    *value = Value::from("REDACTED");
                }
            }
            map.values_mut().for_each(|value| redact_value(value, id));
            let names: Vec<String> = map.keys().filter(|name| name.contains(id)).cloned().collect();
            for name in names {
                let value = map.remove(&name).unwrap();
                map.insert(name.replace(id, "{n}"), value);
            }
        }
        _ => {}
    }
}
