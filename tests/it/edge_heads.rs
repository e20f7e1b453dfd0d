//! Heads that may be read in two ways, or that never end, and bodies that nobody wants: the answer comes at once.

use hexkeep::hex::limits::DRAIN_TIME;
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::support::hub::{Hub, Wishes};
use super::support::raw;

async fn stocked() -> Hub {
    let mut hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    for (version, hosts, status) in [
        ("1.1", "host: a\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "host: a\r\nhost: a\r\n", 400),
        ("1.1", "host: a\r\nhost: b\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "host: a\r\nhost: b\r\n", 400),
        ("1.0", "host:\r\n", 200),
        ("1.1", "host:\r\n", 400),
        ("1.1", "host: a b\r\n", 400),
        ("1.1", "host: a, b\r\n", 400),
        ("1.1", "host: u@h\r\n", 400),
        ("1.1", "host: a#b\r\n", 400),
        ("1.1", "host: a:8x\r\n", 400),
        ("1.1", "host: a:80\r\n", 200),
        ("1.1", "host: [::1]:80\r\n", 200),
    ] {
        let request = format!("GET /packages/jason HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let answer = raw::exchange(listen, request.as_bytes()).await;
        assert_eq!(answer.status, status, "{version} {hosts:?}: {}", answer.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_one_credential() {
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    for path in ["/packages/jason", "/api/packages/jason", "/ui/", "/oauth/device"] {
        let two = "authorization: a\r\nauthorization: b\r\n";
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nuser-agent: test\r\n{two}connection: close\r\n\r\n");
        let answer = raw::exchange(listen, request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.head);
    }
}

/// What stands behind the body in another reading of it is no request.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_a_coding_that_is_not_known_is_not_taken_for_chunks() {
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    let smuggled = "0\r\n\r\nGET /packages/jason HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for coding in ["gzip, chunked", "identity, chunked", "chunked, chunked", "gzip\r\ntransfer-encoding: chunked"] {
        let request = format!("PUT /repos/acme/tarballs/ HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {coding}\r\n\r\n");
        let answer = raw::exchange(listen, format!("{request}{smuggled}").as_bytes()).await;
        assert_eq!(answer.status, 400, "{coding}: {}", answer.head);
        let body = String::from_utf8_lossy(&answer.body);
        assert!(!body.contains("HTTP/1.1"), "{coding}: there is a second answer: {body}");
    }
    assert!(hub.upstream.calls_to("/packages/jason").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_at_most_64_kibibytes() {
    const MOST: usize = 64 * 1024;
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    let of = |length: usize| {
        let start = "GET /packages/jason HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: ";
        let filling = "y".repeat(length - start.len() - "\r\n\r\n".len());
        format!("{start}{filling}\r\n\r\n").into_bytes()
    };
    for (length, status) in [(MOST - 1024, 200), (MOST + 1, 431), (MOST + 20_000, 431), (100_000, 431)] {
        let answer = raw::exchange(listen, &of(length)).await;
        assert_eq!(answer.status, status, "{length} bytes: {}", answer.head);
    }
}

/// Who may not write is told so before the body has come: some send one that never does.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_does_not_wait_for_the_body() {
    let hub = stocked().await;
    let member = hub.user("sam", false).await;
    for (path, credential, status) in [
        ("/repos/acme/tarballs/core-1.0.0.tar", "", 401),
        ("/api/repos/acme/publish", "", 401),
        ("/api/repos/acme/publish", "authorization: wrong\r\n", 401),
        ("/api/repos/acme/packages/core/releases", &format!("authorization: {member}\r\n"), 404),
    ] {
        let method = if path.ends_with(".tar") { "PUT" } else { "POST" };
        let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nuser-agent: test\r\n{credential}content-length: 5000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Of 5000 bytes one: the rest does not come.
        let answer = timeout(DRAIN_TIME / 2, raw::ask(&mut stream, b"x")).await;
        let answer = answer.unwrap_or_else(|_| panic!("{path} {credential}: the answer waits for the body"));
        assert_eq!(answer.status, status, "{path} {credential}: {}", answer.head);
        // It comes after all, and the connection goes on.
        stream.write_all(&[b'x'; 4999]).await.unwrap();
        let next = raw::ask(&mut stream, b"GET /packages/jason HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(next.status, 200, "{path} {credential}: {}", next.head);
    }
}

/// As with hex.pm, a program without a name is told so before anything else is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_name_is_asked_for_one_first() {
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    for (method, status) in [(Method::GET, 400), (Method::POST, 422)] {
        let request = format!(
            "{method} /api/repos/acme/publish HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = raw::exchange(listen, request.as_bytes()).await;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == status && said.contains("User-Agent header is required"), "{}: {said}", answer.status);
    }
}

/// The machine itself is not counted. Whoever a proxy says that it asks for is, whatever address that is.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_this_machine_by_the_word_of_a_proxy() {
    let server = "trusted_proxies: [127.0.0.0/8]".to_owned();
    let top = "auth: { rate_limits: { per_address: 2 } }\n".to_owned();
    let hub = Hub::with(Wishes { server, top, ..Wishes::default() }).await;
    let ask = async |forwarded: &str| {
        let mut headers = vec![("user-agent", "test")];
        if !forwarded.is_empty() {
            headers.push(("x-forwarded-for", forwarded));
        }
        let answer = hub.get_with("/api/packages", &headers).await;
        (answer.status, answer.header("x-ratelimit-limit").to_owned())
    };
    for forwarded in ["127.0.0.1", "::1", "[::ffff:127.0.0.1]:80", "198.51.100.7"] {
        let counted = |status| (status, "2".to_owned());
        hub.clock.advance(std::time::Duration::from_secs(60));
        let answers = [ask(forwarded).await, ask(forwarded).await, ask(forwarded).await];
        assert_eq!(answers, [counted(200), counted(200), counted(429)], "{forwarded}");
    }
    for _ in 0..5 {
        assert_eq!(ask("").await, (200, String::new()));
    }
}
