//! What clients need of the API, line by line: each test is one line of the list that their sources add up to. Which
//! caller may do what, the OAuth grants and every route's bodies are in `conformance`.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::term::{self, etf};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::hub::{Answer, Hub, Wishes};
use super::support::local::{docs, package};
use super::support::raw::{self, RawAnswer};
use super::support::tarballs::{gzip, pack};

const ERLANG: &str = "application/vnd.hex+erlang";

/// What a client takes for a refused write; it believes that anything else was done.
const REFUSED: [u16; 5] = [401, 403, 404, 422, 500];

/// `team` is open to readers, `acme` is private.
async fn server() -> (Hub, String) {
    let more = vec!["team: { type: local, anonymous_read: true }".to_owned(), "acme: { type: local }".to_owned()];
    let hub = Hub::with(Wishes { more, ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    (hub, root)
}

fn tarball(name: &str) -> Bytes {
    package(name, "1.0.0", "")
}

/// A request with exactly these header fields beside its body.
async fn raw(hub: &Hub, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> RawAnswer {
    let address = hub.app().addresses().listen;
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: test\r\nconnection: close\r\ncontent-length: {}\r\n{fields}\r\n",
        body.len()
    );
    raw::exchange(address, &[head.as_bytes(), body].concat()).await
}

async fn erlang(hub: &Hub, method: Method, path: &str, key: &str, body: Option<Value>) -> (u16, String, Value) {
    let mut request = hub.client.request(method, format!("{}{path}", hub.url()));
    request = request.header("user-agent", "test").header("accept", ERLANG);
    if !key.is_empty() {
        request = request.header("authorization", key);
    }
    if let Some(body) = body {
        request = request.header("content-type", ERLANG).body(etf::encode(&term::from_json(&body)));
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let value = term::to_json(etf::decode(&response.bytes().await.unwrap()).unwrap()).unwrap();
    (status, content_type, value)
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_maps_in_both_formats() {
    let (hub, root) = server().await;
    let fault = json!({"reason": "boredom"});
    assert_eq!(hub.publish_to_acme(&root, "core", tarball("core")).await.status, 201);
    let retire = "/api/repos/acme/packages/core/releases/1.0.0/retire";
    for (method, path, key, body, expected) in [
        (Method::GET, "/api/repos/acme/packages/nothing", root.as_str(), None, (404, "Page not found")),
        (Method::GET, "/api/users/me", "", None, (401, "missing authentication information")),
        (Method::POST, retire, root.as_str(), Some(fault), (422, "Validation error(s)")),
    ] {
        let in_json = hub.api(method.clone(), path, key, body.clone()).await;
        let (status, content_type, in_erlang) = erlang(&hub, method, path, key, body).await;
        assert_eq!(in_json.header("content-type"), "application/json; charset=utf-8");
        // Clients look for these words, and read nothing where they are not.
        assert!(content_type.starts_with(ERLANG), "{content_type}");
        assert_eq!((in_json.status, status), (expected.0, expected.0), "{path}");
        assert_eq!(in_json.json(), in_erlang, "{path}");
        assert_eq!(in_erlang["status"], json!(expected.0));
        assert_eq!(in_erlang["message"], json!(expected.1));
        if status == 422 {
            assert!(in_erlang["errors"]["retirement"]["reason"].is_string(), "{in_erlang}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_the_publish_routes() {
    let (hub, root) = server().await;
    for (number, route) in [
        "/api/repos/team/publish",
        "/api/repos/team/packages/{}/releases",
        "/repos/team/api/publish",
        "/repos/team/api/packages/{}/releases",
        // A client whose whole base is the repository, and which names it all the same.
        "/api/repos/team/repos/team/publish",
        "/api/repos/team/repos/team/packages/{}/releases",
        "/api/repos/team/repos/hexpm/packages/{}/releases",
        "/api/repos/hexpm:team/packages/{}/releases",
        // From a base that ends in a slash.
        "//api//repos/team//publish",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("core{number}");
        let path = format!("{}?replace=false", route.replace("{}", &name));
        let answer = hub.call(Method::POST, &path, &root, "application/octet-stream", Some(tarball(&name))).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        assert_eq!(hub.get(&format!("/repos/team/packages/{name}")).await.status, 200, "{path}");
    }
}

/// Sends a head that waits for leave to send, reads what comes, and then the body; both answers.
async fn waits_for_leave(hub: &Hub, path: &str, key: &str, body: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: test\r\nexpect: 100-continue\r\nconnection: close\r\n\
         content-type: application/octet-stream\r\ncontent-length: {}\r\n{key}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = Vec::new();
    while !first.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(Duration::from_secs(30), stream.read_u8()).await;
        assert!(byte.is_ok(), "the server says nothing, and the client nothing until it does");
        first.push(byte.unwrap().unwrap());
    }
    let first = String::from_utf8(first).unwrap();
    if first.starts_with("HTTP/1.1 100") {
        stream.write_all(body).await.unwrap();
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.unwrap();
    (first, String::from_utf8_lossy(&rest).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn leave_to_send_is_given_after_the_right() {
    let (hub, root) = server().await;
    let stranger = hub.user("sam", false).await;
    for (number, (route, key, expected)) in [
        ("packages/core0/releases", format!("authorization: {root}\r\n"), "100"),
        ("publish", format!("authorization: {root}\r\n"), "100"),
        ("packages/core2/releases", String::new(), "401"),
        ("packages/core3/releases", "authorization: wrong\r\n".to_owned(), "401"),
        ("packages/core4/releases", format!("authorization: {stranger}\r\n"), "403"),
        ("publish", String::new(), "401"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/api/repos/team/{route}");
        let (first, rest) = waits_for_leave(&hub, &path, &key, &tarball(&format!("core{number}"))).await;
        assert!(first.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {first}");
        if expected == "100" {
            assert!(rest.starts_with("HTTP/1.1 201 "), "{path}: {rest}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_bytes_whatever_it_is_called() {
    let (hub, root) = server().await;
    let key = ("authorization", root.as_str());
    let kinds: [&[(&str, &str)]; 5] = [
        &[("content-type", "application/octet-stream")],
        &[("content-type", "application/x-tar")],
        &[],
        // Older libraries send two.
        &[("content-type", "application/json"), ("content-type", "application/x-tar")],
        &[("content-type", "application/x-tar"), ("content-encoding", "x-gzip")],
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let name = format!("core{number}");
        let headers: Vec<(&str, &str)> = kind.iter().copied().chain([key]).collect();
        let bytes = tarball(&name);
        let answer = raw(&hub, "POST", "/api/repos/team/publish", &headers, &bytes).await;
        assert_eq!(answer.status, 201, "{kind:?}: {}", String::from_utf8_lossy(&answer.body));
        let fetched = hub.get(&format!("/repos/team/tarballs/{name}-1.0.0.tar")).await;
        assert_eq!(fetched.body, bytes, "{kind:?}");
        let path = format!("/api/repos/team/packages/{name}/releases/1.0.0/docs");
        assert_eq!(raw(&hub, "POST", &path, &headers, &docs("docs")).await.status, 201, "{kind:?}");
        let fetched = hub.get(&format!("/repos/team/docs/{name}-1.0.0.tar.gz")).await;
        assert_eq!(fetched.body, docs("docs"), "{kind:?}: docs were not taken as they came");
    }
}

/// A package whose tarball has about this many bytes, of which none can be saved by compressing.
fn large(size: usize) -> Bytes {
    let metadata = b"{<<\"name\">>,<<\"large\">>}.\n{<<\"version\">>,<<\"1.0.0\">>}.\n{<<\"app\">>,<<\"large\">>}.\n\
                     {<<\"description\">>,<<\"Large\">>}.\n{<<\"files\">>,[<<\"mix.exs\">>]}.\n";
    let mut noise = Vec::with_capacity(size);
    let mut digest = Sha256::of(b"noise");
    while noise.len() < size {
        noise.extend_from_slice(digest.as_bytes());
        digest = Sha256::of(digest.as_bytes());
    }
    let contents = gzip(&super::support::tarballs::archive(&[("mix.exs", &noise)]));
    pack(metadata, &contents).0
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_mebibytes_are_taken_and_not_more() {
    let (hub, root) = server().await;
    let publish = async |bytes: Bytes| {
        hub.call(Method::POST, "/api/repos/team/publish", &root, "application/octet-stream", Some(bytes)).await
    };
    let (most, more) = (large((16 << 20) - 64 * 1024), large((16 << 20) + 64 * 1024));
    assert!(most.len() < 16 << 20 && more.len() > 16 << 20);
    let refused = publish(more).await;
    assert_eq!((refused.status, &refused.json()["errors"]["tar"]), (422, &json!("too big")));
    let taken = publish(most.clone()).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(hub.get("/repos/team/tarballs/large-1.0.0.tar").await.body, most);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_known_to_be_refused() {
    let (hub, root) = server().await;
    assert_eq!(hub.publish_to_acme(&root, "core", tarball("core")).await.status, 201);
    let key = ("authorization", root.as_str());
    let json_body = ("content-type", "application/json");
    for (method, path, headers, body) in [
        ("POST", "/api/keys", &[key, json_body][..], &b"{"[..]),
        ("POST", "/api/keys", &[key, ("content-type", "text/html")], b"<p>"),
        ("POST", "/api/keys", &[key, json_body, ("accept", "text/html")], b"{\"name\":\"x\"}"),
        ("POST", "/api/keys", &[key, ("content-type", ERLANG)], b"\x83\x50\x00\x00\x00\x01"),
        ("POST", "/api/keys", &[key, json_body], &[b' '; 9 << 20]),
        ("POST", "/api/packages", &[key], b""),
        ("PATCH", "/api/repos/acme/packages/core", &[key], b""),
        ("POST", "/api/nowhere", &[key], b""),
        ("POST", "/api/nowhere", &[], b""),
        ("DELETE", "/api/repos/acme/packages/core/releases/one", &[key], b""),
        ("POST", "/api/repos/acme/packages/core/releases/%00/retire", &[key, json_body], b"{}"),
        ("PUT", "/api/repos/acme/packages/core/owners/nobody", &[key], b""),
        ("POST", "/api/publish", &[key], b"to a remote"),
        ("POST", "/api/repos/nowhere/publish", &[key], b""),
        ("PUT", "/repos/acme/tarballs/core-1.0.tar", &[key], b""),
        ("POST", "/repos/acme/names", &[key], b""),
        ("POST", "/api/short_url", &[json_body], b"{\"url\":\"https://hex.pm/l/x\"}"),
    ] {
        let answer = raw(&hub, method, path, headers, body).await;
        let api = path.contains("/api/") || path.contains("/tarballs/");
        let fine = if api { REFUSED.contains(&answer.status) } else { answer.status == 405 };
        assert!(fine, "{method} {path} {headers:?}: {}", answer.head);
        if path.contains("/api/") && !headers.contains(&("accept", "text/html")) {
            let told: Value = serde_json::from_slice(&answer.body).unwrap();
            assert!(told["message"].as_str().is_some_and(|text| text.len() > 3), "{method} {path}: {told}");
        }
    }
    // Nor are there words that make clients ask again by themselves.
    let nowhere = raw(&hub, "POST", "/api/nowhere", &[key], b"").await;
    assert!(nowhere.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_has_the_status_that_clients_wait_for() {
    let (hub, root) = server().await;
    hub.member("rita", "read").await;
    let at = "/api/repos/acme/packages/core";
    let first = hub.publish_to_acme(&root, "core", tarball("core")).await;
    assert_eq!(first.status, 201);
    assert!(first.header("location").ends_with(&format!("{at}/releases/1.0.0")));
    let put = hub.call(Method::POST, &format!("{at}/releases/1.0.0/docs"), &root, "text/plain", Some(docs("x"))).await;
    assert_eq!(put.status, 201);
    assert!(put.header("location").ends_with("/repos/acme/docs/core-1.0.0.tar.gz"), "{}", put.header("location"));
    let made = hub.api(Method::POST, "/api/keys", &root, Some(json!({"name": "laptop"}))).await;
    assert_eq!(made.status, 201);
    assert!(made.json()["secret"].is_string() && made.header("location").ends_with("/api/keys/laptop"));
    let retirement = || Some(json!({"reason": "security", "message": "broken"}));
    for (method, path, body) in [
        (Method::PUT, format!("{at}/owners/rita"), Some(json!({"level": "maintainer"}))),
        (Method::DELETE, format!("{at}/owners/rita"), None),
        (Method::POST, format!("{at}/releases/1.0.0/retire"), retirement()),
        (Method::DELETE, format!("{at}/releases/1.0.0/retire"), None),
        (Method::DELETE, format!("{at}/releases/1.0.0/docs"), None),
        // Once more changes nothing, and is no failure.
        (Method::DELETE, format!("{at}/releases/1.0.0/docs"), None),
        (Method::DELETE, format!("{at}/releases/1.0.0"), None),
    ] {
        let answer = hub.api(method.clone(), &path, &root, body).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{method} {path}: {}", answer.text());
    }
    for (path, is_list) in [
        ("/api/keys", true),
        ("/api/orgs/acme/keys", true),
        ("/api/packages", true),
        ("/api/orgs", true),
        ("/api/repos", true),
        ("/api/users/me", false),
        ("/api/keys/laptop", false),
        ("/api/auth?domain=api", false),
    ] {
        let answer = hub.api(Method::GET, path, &root, None).await;
        assert_eq!((answer.status, answer.json().is_array()), (200, is_list), "{path}");
    }
    let me = hub.api(Method::GET, "/api/users/me", &root, None).await.json();
    assert!(me["organizations"].is_array() && me["packages"].is_array(), "mix walks both: {me}");
}

/// Logs `client` in as root, by approving it as a user does.
async fn device_login(hub: &Hub, client: &str, name: &str) -> Value {
    let ask = json!({"client_id": client, "scope": "api repositories", "name": name});
    let device = hub.api(Method::POST, "/api/oauth/device_authorization", "", Some(ask)).await.json();
    for field in ["device_code", "user_code", "verification_uri", "verification_uri_complete"] {
        assert!(device[field].is_string(), "{field}: {device}");
    }
    assert!(device["expires_in"].is_u64() && device["interval"].is_u64(), "{device}");
    let code = device["user_code"].as_str().unwrap();
    assert_eq!(hub.let_in(code, "root", &["api", "repositories"], "").await.status, 200);
    let poll = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": client,
        "device_code": device["device_code"],
    });
    token(hub, poll).await.json()
}

async fn token(hub: &Hub, body: Value) -> Answer {
    hub.api(Method::POST, "/api/oauth/token", "", Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_after_half_an_hour_and_say_so() {
    let (hub, root) = server().await;
    let client = "78ea6566-89fd-481e-a1d6-7d9d78eacca8";
    let exchange = json!({
        "grant_type": "client_credentials", "client_id": client, "client_secret": root, "scope": "repositories",
    });
    let exchanged = token(&hub, exchange).await.json();
    let login = device_login(&hub, client, "laptop").await;
    let refresh = json!({"grant_type": "refresh_token", "client_id": client, "refresh_token": login["refresh_token"]});
    let refreshed = token(&hub, refresh).await.json();
    for (grant, answer) in [("client_credentials", &exchanged), ("device_code", &login), ("refresh_token", &refreshed)]
    {
        assert_eq!(answer["expires_in"], json!(1800), "{grant}: {answer}");
        assert!(answer["access_token"].is_string(), "{grant}: {answer}");
    }
    let bearer = format!("Bearer {}", refreshed["access_token"].as_str().unwrap());
    let me = async || hub.api(Method::GET, "/api/users/me", &bearer, None).await;
    assert_eq!(me().await.status, 200);
    hub.clock.advance(Duration::from_secs(1801));
    let ended = me().await;
    assert_eq!(ended.status, 401);
    assert_eq!(ended.header("www-authenticate"), r#"Bearer realm="hex", error="token_expired""#);
    let write = hub.api(Method::POST, "/api/keys", &bearer, Some(json!({"name": "x"}))).await;
    assert_eq!(write.header("www-authenticate"), r#"Bearer realm="hex", error="token_expired""#);
}
