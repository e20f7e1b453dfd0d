//! A request that is refused before its body was read, wherever that is decided: its client gets the answer, and keeps its
//! connection.

use tokio::net::TcpStream;

use super::support::hub::{Hub, Wishes};
use super::support::raw::{RawAnswer, ask};

const MEBIBYTE: usize = 1024 * 1024;

fn request(method: &str, path: &str, fields: &str, length: usize) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{fields}\r\n");
    [head.into_bytes(), vec![b'x'; length]].concat()
}

/// The answer, after which the same connection has answered another request.
async fn refused(hub: &Hub, (method, path): (&str, &str), fields: &str, length: usize) -> RawAnswer {
    let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    let answer = ask(&mut stream, &request(method, path, fields, length)).await;
    let next = ask(&mut stream, b"GET /public_key HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(next.status, 200, "{method} {path} {fields}: the connection goes on");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_before_the_body_was_read_gets_the_answer_and_keeps_the_connection() {
    let more = vec![
        "acme: { type: local, dependency_check: off }".to_owned(),
        "inner: { type: remote, url: \"{url}\", public_key: \"{key}\", direct: false }".to_owned(),
    ];
    let server = "trusted_proxies: [127.0.0.1/32]".to_owned();
    let top = "auth: { rate_limits: { per_address: 3 } }\n".to_owned();
    let hub = Hub::with(Wishes { more, server, top, ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    let agent = "user-agent: test\r\n";
    let known = format!("{agent}authorization: {admin}\r\n");
    for (what, way, fields, status) in [
        ("another site", ("POST", "/api/keys"), format!("{known}sec-fetch-site: cross-site\r\n"), 403),
        (
            "another site that uploads",
            ("PUT", "/repos/acme/tarballs/core-1.0.0.tar"),
            format!("{known}origin: https://evil.example\r\n"),
            403,
        ),
        ("a method that the registry does not have", ("PATCH", "/names"), agent.to_owned(), 405),
        ("an address that is none", ("POST", "/nowhere"), agent.to_owned(), 405),
        ("a tarball whose name is none", ("PUT", "/repos/acme/tarballs/x.tar"), known.clone(), 404),
        ("a repository without an address", ("PUT", "/repos/inner/tarballs/core-1.0.0.tar"), known.clone(), 404),
        ("a repository that is a mirror", ("PUT", "/tarballs/core-1.0.0.tar"), known.clone(), 403),
        ("nobody", ("POST", "/api/repos/acme/publish"), agent.to_owned(), 401),
        ("a key that is none", ("POST", "/api/keys"), format!("{agent}authorization: hkk_wrong\r\n"), 401),
        ("a program without a name", ("POST", "/api/keys"), format!("authorization: {admin}\r\n"), 422),
        ("a format that is none", ("POST", "/api/keys?_format=png"), format!("{known}accept: image/png\r\n"), 422),
        ("too many parameters", ("POST", &*format!("/api/keys?{}", "a&".repeat(70))), known.clone(), 422),
        ("a method that the API does not have", ("PATCH", "/api/keys"), known.clone(), 404),
        ("a body that is too long", ("POST", "/api/keys"), known.clone(), 422),
        ("a method that a page does not have", ("PUT", "/oauth/device"), agent.to_owned(), 405),
        ("a form that is too long", ("POST", "/oauth/device"), agent.to_owned(), 413),
        ("a read", ("GET", "/public_key"), agent.to_owned(), 200),
    ] {
        let answer = refused(&hub, way, &fields, 2 * MEBIBYTE).await;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{what}: {said}");
    }
    // One that is read for a while, and then is too much.
    let releases = ("POST", "/api/repos/acme/packages/core/releases");
    let answer = refused(&hub, releases, &known, 17 * MEBIBYTE).await;
    assert_eq!(answer.status, 422);
    // One too many.
    let from = format!("{agent}x-forwarded-for: 192.0.2.1\r\n");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(refused(&hub, ("POST", "/api/repos/acme/publish"), &from, 2 * MEBIBYTE).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 403]);
}
