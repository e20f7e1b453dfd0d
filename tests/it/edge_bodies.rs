//! What a body may cost: each address takes as much as it needs, says so to those who send more, and makes no more
//! memory of it than a small multiple.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::term::{Term, etf};
use hexkeep::http::listener::ListenerTimeouts;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::SAFETY;
use super::support::hub::{Answer, Hub, Wishes};
use super::support::local::package;
use super::support::process::{Daemon, Home};

const MEBIBYTE: usize = 1024 * 1024;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const ERLANG: &str = "application/vnd.hex+erlang";
const PINS: &str = "/api/policy/pins";

fn filled(head: &[u8], piece: &[u8], tail: &[u8]) -> Vec<u8> {
    let pieces = (8 * MEBIBYTE - head.len() - tail.len()) / piece.len();
    [head, &piece.repeat(pieces), tail].concat()
}

/// A term whose length in items is written behind its tag.
fn term(tag: u8, piece: &[u8], tail: &[u8]) -> Vec<u8> {
    let pieces = (8 * MEBIBYTE - 100) / piece.len();
    let length = u32::try_from(pieces).unwrap().to_be_bytes();
    [&[131, tag][..], &length, &piece.repeat(pieces), tail].concat()
}

/// What is made to become much more in memory than it is on the wire.
fn hostile() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("empty lists", JSON, filled(b"{\"name\":[", b"[],", b"[]]}")),
        ("numbers", JSON, filled(b"{\"permissions\":[", b"1,", b"1]}")),
        ("maps", JSON, filled(b"{\"permissions\":[", b"{},", b"{}]}")),
        ("the same field", JSON, filled(b"{", b"\"x\":1,", b"\"y\":1}")),
        ("one text", JSON, filled(b"{\"name\":\"", b"a", b"\"}")),
        ("escapes", JSON, filled(b"{\"name\":\"", b"\\n", b"\"}")),
        ("lists in lists", JSON, filled(b"{\"name\":", b"[", b"")),
        ("maps in maps", JSON, filled(b"", b"{\"a\":", b"")),
        (
            "releases",
            JSON,
            filled(b"{\"reason\":\"x\",\"releases\":[", b"{\"package\":\"a\",\"version\":\"1\"},", b"{}]}"),
        ),
        ("names without values", FORM, filled(b"a", b"&a", b"")),
        ("pairs", FORM, filled(b"a=1", b"&a=1", b"")),
        ("escapes of a form", FORM, filled(b"name=", b"%41", b"")),
        ("empty lists of Erlang", ERLANG, term(108, &[106], &[106])),
        ("small numbers of Erlang", ERLANG, term(108, &[97, 1], &[106])),
        ("a big tuple", ERLANG, term(105, &[97, 1], &[])),
        ("atoms", ERLANG, term(108, &[119, 1, b'a'], &[106])),
        ("strings of Erlang", ERLANG, term(108, &[&[107, 255, 255][..], &[7; 65_535]].concat(), &[106])),
        ("a map of Erlang", ERLANG, term(116, &[119, 1, b'a', 106], &[])),
        ("lists in lists of Erlang", ERLANG, filled(&[131], &[108, 0, 0, 0, 1], &[])),
    ]
}

async fn send(daemon: &Daemon, path: &str, key: &str, (content_type, body): (&str, Vec<u8>)) -> u16 {
    let mut request = daemon.client.post(format!("{}{path}", daemon.url())).header("user-agent", "test");
    if !key.is_empty() {
        request = request.header("authorization", key);
    }
    let answer = request.header("content-type", content_type).body(body).send().await.unwrap();
    answer.status().as_u16()
}

/// The status, and how many bytes more the daemon had in memory at one time.
async fn measure(daemon: &Daemon, path: &str, key: &str, body: (&str, Vec<u8>)) -> (u16, u64) {
    daemon.forget_peak();
    let before = daemon.memory("VmHWM");
    let status = send(daemon, path, key, body).await;
    (status, daemon.memory("VmHWM").saturating_sub(before))
}

/// One anonymous body of 8 MiB once cost 800.
#[tokio::test(flavor = "multi_thread")]
async fn no_body_costs_four_times_its_length() {
    let home = Home::new(
        "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nstorage: { path: data }\n\
         default_repository: acme\nrepositories: { acme: { type: local } }\n",
    );
    let daemon = home.serve();
    assert_eq!(home.run(&["user", "add", "root", "--admin", "--no-password"]).code, 0);
    let made =
        home.run(&["key", "create", "ci", "--user", "root", "--permission", "api", "--permission", "policy:write"]);
    let key = made.stdout.trim().to_owned();
    // As many releases as lock files may name.
    let release = json!({"repository": "hexpm", "package": "a", "version": "1.0.0", "inner": "a".repeat(64), "outer": "b".repeat(64)});
    let pins = json!({"releases": vec![release; 20_000], "reason": "x", "repository": "acme"});
    for body in [(JSON, pins.to_string().into_bytes()), (ERLANG, etf::encode(&hexkeep::hex::term::from_json(&pins)))] {
        let length = body.1.len() as u64;
        let (_, grown) = measure(&daemon, PINS, &key, body).await;
        println!("20,000 releases: {:.2} times", grown as f64 / length as f64);
        assert!(grown < 4 * length, "{grown} bytes more for {length}");
    }
    let administrative = "/api/admin/pin";
    for path in ["/api/oauth/token", "/oauth/device", "/api/keys", PINS, administrative] {
        let key = if path.contains("oauth") { "" } else { key.as_str() };
        send(&daemon, path, key, (JSON, b"{}".to_vec())).await;
        for (what, content_type, body) in hostile() {
            let length = body.len() as u64;
            let (status, grown) = measure(&daemon, path, key, (content_type, body)).await;
            assert!((400..500).contains(&status), "{what} to {path}: {status}");
            println!("{what} to {path}: {status}, {:.2} times", grown as f64 / length as f64);
            assert!(grown < 4 * length, "{what} to {path}: {grown} bytes more for {length}");
        }
    }
}

/// An address is a body, too: as long as a head may be, each of its parameters a pair of texts.
#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_counted_before_they_are_kept() {
    let hub = Hub::start().await;
    let most = "a&".repeat(62);
    for (path, status) in [("/api/packages", 200), ("/oauth/device", 200), ("/api/packages?search=x", 200)] {
        let asked = format!("{path}{}{most}", if path.contains('?') { '&' } else { '?' });
        let agent = [("user-agent", "test")];
        let (fits, too_many) =
            (hub.get_with(&asked, &agent).await, hub.get_with(&format!("{asked}&a&a&a"), &agent).await);
        assert_eq!(fits.status, status, "{path}: {}", fits.text());
        // A page begins anew.
        let status = if path.contains("device") { 200 } else { 400 };
        assert_eq!(too_many.status, status, "{path}: {}", too_many.text());
    }
}

struct Local {
    hub: Hub,
    admin: String,
}

impl Local {
    async fn start() -> Self {
        let more = vec!["acme: { type: local, dependency_check: off }".to_owned()];
        let hub = Hub::with(Wishes { more, ..Wishes::default() }).await;
        let admin = hub.user("root", true).await;
        assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
        Self { hub, admin }
    }

    async fn send(&self, (method, path): (&Method, &str), (content_type, body): (&str, &[u8])) -> Answer {
        let body = Some(Bytes::copy_from_slice(body));
        self.hub.call(method.clone(), path, &self.admin, content_type, body).await
    }
}

/// A body of `length` bytes in which `value` stands, however long.
fn padded(value: &Value, length: usize, content_type: &str) -> Vec<u8> {
    let mut value = value.clone();
    value["padding"] = json!("");
    let write = |value: &Value| match content_type {
        ERLANG => etf::encode(&hexkeep::hex::term::from_json(value)),
        _ => value.to_string().into_bytes(),
    };
    value["padding"] = json!("x".repeat(length - write(&value).len()));
    let body = write(&value);
    assert_eq!(body.len(), length);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_takes_as_much_as_it_needs() {
    const SMALL: usize = 16 * 1024;
    let local = Local::start().await;
    let key = json!({"name": "k", "permissions": [{"domain": "api", "resource": "read"}]});
    let retirement = json!({"reason": "other", "message": "x"});
    let pin = json!({"releases": [{"package": "core", "version": "1.0.0"}], "reason": "x", "repository": "acme"});
    let (post, put) = (&Method::POST, &Method::PUT);
    for (method, path, value, limit) in [
        (post, "/api/keys", &key, SMALL),
        (post, "/api/users", &json!({"username": "u"}), SMALL),
        (post, "/api/repos/acme/packages/core/releases/1.0.0/retire", &retirement, SMALL),
        (post, "/api/repos/acme/packages/core/retire", &retirement, SMALL),
        (put, "/api/repos/acme/packages/core/owners/root", &json!({"level": "full"}), SMALL),
        (post, "/api/repos/acme/policy/waivers", &pin, SMALL),
        (post, "/api/admin/user-list", &json!({}), SMALL),
        (post, "/api/admin/purge", &json!({}), SMALL),
        (post, "/api/repos/acme/policy/pins", &pin, 8 * MEBIBYTE),
        (post, "/api/admin/pin", &pin, 8 * MEBIBYTE),
    ] {
        for content_type in [JSON, ERLANG] {
            let fits = local.send((method, path), (content_type, &padded(value, limit, content_type))).await;
            let over = local.send((method, path), (content_type, &padded(value, limit + 1, content_type))).await;
            let sentence = format!("the body is too large: the limit is {limit} bytes");
            let is_shut = path == "/api/users";
            assert!(!fits.text().contains("too large"), "{path}: {}", fits.text());
            if !is_shut {
                assert_eq!((over.status, &over.json()["message"]), (422, &json!(sentence)), "{path}");
            }
        }
    }
    for path in ["/api/oauth/token", "/api/oauth/device_authorization", "/api/oauth/revoke", "/oauth/device"] {
        let body = format!("client_id=x&padding={}", "x".repeat(SMALL));
        let answer = local.send((post, path), (FORM, body.as_bytes())).await;
        assert_eq!(answer.status, 413, "{path}: {}", answer.text());
        assert!(answer.text().contains("the limit is 16384 bytes"), "{}", answer.text());
    }
    // Its length need not be announced.
    let pieces = futures_util::stream::iter((0..32).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1024]))));
    let request = local.hub.client.post(format!("{}/api/keys", local.hub.url())).header("user-agent", "test");
    let request = request.header("authorization", &local.admin).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(request.send().await.unwrap().status(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_the_same_fields_does_the_same() {
    let local = Local::start().await;
    let retire = (&Method::POST, "/api/repos/acme/packages/core/releases/1.0.0/retire");
    let retirement = json!({"reason": "security", "message": "use 2.0", "more": [{"x": [1]}]});
    let binaries = etf::encode(&hexkeep::hex::term::from_json(&retirement));
    let atoms = etf::encode(&Term::Map(vec![
        (Term::Atom("reason".into()), Term::Atom("security".into())),
        (Term::Atom("message".into()), Term::text("use 2.0")),
    ]));
    let json = retirement.to_string().into_bytes();
    for (content_type, body) in
        [(JSON, json), (ERLANG, binaries), (ERLANG, atoms), (FORM, b"reason=security&message=use+2.0".to_vec())]
    {
        let answer = local.send(retire, (content_type, &body)).await;
        assert_eq!(answer.status, 204, "{content_type}: {}", answer.text());
        let shown =
            local.hub.api(Method::GET, "/api/repos/acme/packages/core/releases/1.0.0", &local.admin, None).await;
        assert_eq!(shown.json()["retirement"]["message"], "use 2.0", "{content_type}");
        assert_eq!(local.hub.api(Method::DELETE, retire.1, &local.admin, None).await.status, 204);
    }
    // A field that is told twice is told once too often: who reads it would not know which one counts.
    let twice = br#"{"reason": "security", "reason": "other"}"#;
    assert_eq!(local.send(retire, (JSON, twice)).await.status, 422);
    // More parts than a request of this kind has, and more levels.
    for body in [json!({"reason": vec![1; 1100]}), json!({"x": [[[[[[[[1]]]]]]]]})] {
        let answer = local.send(retire, (JSON, body.to_string().as_bytes())).await;
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains("more than 8 levels of nesting"), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_its_name_from_the_address_and_its_fields_from_the_body() {
    let local = Local::start().await;
    let order = async |name: &str, fields: Value| {
        local.send((&Method::POST, &format!("/api/admin/{name}")), (JSON, fields.to_string().as_bytes())).await
    };
    assert_eq!(order("user-add", json!({"name": "sam", "password": "a long password"})).await.status, 200);
    let unknown = order("user-list", json!({"passed": "over"})).await;
    assert!(unknown.status == 422 && unknown.text().contains("unknown field `passed`"), "{}", unknown.text());
    let listed = order("user-list", json!({})).await;
    assert!(listed.text().contains("sam"), "{}", listed.text());
    assert_eq!(local.send((&Method::POST, "/api/admin/user-list"), (JSON, b"")).await.status, 200);
    let made = order("key-create", json!({"owner": {"user": "sam"}, "name": "k", "permissions": ["api:read"]})).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let missing = order("user-active", json!({"name": "sam"})).await;
    assert_eq!((missing.status, missing.json()["message"].clone()), (422, json!("missing field `active`")));
    let unknown = order("user-fly", json!({})).await;
    assert!(unknown.status == 422 && unknown.text().contains("unknown variant `user-fly`"), "{}", unknown.text());
}

/// It comes fast enough, and does not end.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_has_to_end() {
    let more = vec!["acme: { type: local, dependency_check: off }".to_owned()];
    let patience = ListenerTimeouts { upload: Duration::from_millis(300), ..ListenerTimeouts::default() };
    let hub = Hub::with(Wishes { more, patience, ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    for (method, path) in
        [(Method::POST, "/api/repos/acme/publish"), (Method::PUT, "/repos/acme/tarballs/core-1.0.0.tar")]
    {
        let trickle = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(&[0; 512])), ()))
        });
        let request = hub.client.request(method, format!("{}{path}", hub.url())).header("user-agent", "test");
        let request = request.header("authorization", &admin).body(reqwest::Body::wrap_stream(trickle));
        let answer = tokio::time::timeout(SAFETY, request.send()).await.unwrap().unwrap();
        assert_eq!(answer.status(), 422, "{path}");
        assert!(answer.text().await.unwrap().contains("took too long in total"), "{path}");
    }
}
