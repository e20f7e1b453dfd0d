//! Credentials: whose they are, and where they never go (interface §3).

use std::path::Path;
use std::time::Duration;

use hexkeep::trust::{PrivateKey, Signer};
use http::HeaderMap;

use super::support::hub::{Answer, Hub, Wishes};
use super::support::process::{Home, access_lines};
use super::support::raw;
use super::support::registry::TestRegistry;
use super::support::upstream::{ScriptedUpstream, Step};

/// Part of every credential here; it must not turn up anywhere.
const MARK: &str = "m4rk3d";

/// What clients send: raw, tokens, names and passwords, nothing, garbage.
fn foreign() -> Vec<Vec<u8>> {
    let mut credentials: Vec<Vec<u8>> = [
        "m4rk3d0123456789abcdef0123456789",
        "Bearer m4rk3d.eyJhbGciOi.token",
        "bearer m4rk3d",
        // `user:m4rk3d-password`, and the mark in Base64 besides.
        "Basic dXNlcjptNHJrM2QtcGFzc3dvcmQ=",
        "Basic m4rk3d not base64 !!",
        "Digest username=\"m4rk3d\"",
        "m4rk3d:",
        "",
        " ",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    credentials.push(b"\xff\xfe\x80 m4rk3d \xc3\x28".to_vec());
    credentials.push([b"m4rk3d ".as_slice(), &[b'x'; 8000]].concat());
    credentials
}

const PATHS: [&str; 5] =
    ["/names", "/packages/jason", "/tarballs/jason-1.0.0.tar", "/public_key", "/installs/hex-1.x.csv"];

/// Everything in a folder and below it that holds the mark, in plain text or in Base64.
fn files_with_mark(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // A socket cannot be read.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            seen += 1;
            if has_mark(&bytes) {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(seen > 5, "the store was not found");
    found
}

fn has_mark(bytes: &[u8]) -> bool {
    [MARK, "dXNlcjptNHJr"].iter().any(|mark| bytes.windows(mark.len()).any(|window| window == mark.as_bytes()))
}

fn carries_mark(headers: &HeaderMap) -> bool {
    headers.values().any(|value| has_mark(value.as_bytes()))
}

/// The most talkative log, a process of its own, its whole store: no trace of what clients sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_credential_is_nobodys_and_leaves_no_trace() {
    let upstream = ScriptedUpstream::start().await;
    let mut registry = TestRegistry::new("hexpm");
    registry.add("jason", "1.0.0");
    registry.publish(&upstream);
    let config = Home::config(&upstream.url(), "").replace("format: json", "format: json, level: trace");
    let home = Home::new(&config);
    home.write("registry.pem", &registry.public_key());
    let daemon = home.serve();
    let mut asked = 0;
    for credential in foreign() {
        for path in PATHS {
            // In the address, too: proxies of the world write such things into their logs.
            let mut request =
                format!("GET {path}?key={MARK} HTTP/1.1\r\nhost: {MARK}.example\r\nconnection: close\r\n");
            request.push_str(&format!("cookie: session={MARK}\r\nx-hex-otp: {MARK}\r\nauthorization: "));
            let mut request = request.into_bytes();
            request.extend_from_slice(&credential);
            request.extend_from_slice(b"\r\n\r\n");
            let answer = raw::exchange(daemon.listen(), &request).await;
            assert_eq!(answer.status, 200, "{path} {}: {}", String::from_utf8_lossy(&credential), answer.head);
            assert!(!has_mark(answer.head.as_bytes()), "{path}: {}", answer.head);
            asked += 1;
        }
    }
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0));
    assert_eq!(access_lines(&log).len(), asked);
    assert!(!has_mark(log.as_bytes()), "{:?}", log.lines().find(|line| has_mark(line.as_bytes())));
    assert_eq!(files_with_mark(&home.data()), Vec::<String>::new());
    assert!(upstream.calls().len() >= 3);
    for call in upstream.calls() {
        assert!(!carries_mark(&call.headers) && !has_mark(call.target.as_bytes()), "{call:?}");
        assert!(!call.headers.contains_key("authorization"), "{call:?}");
    }
}

/// A repository whose upstream wants a credential; `{secret}` is its file.
async fn private(secret: &str) -> (Hub, ScriptedUpstream) {
    let closed = ScriptedUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let more = format!(
        "closed: {{ type: remote, name: hexpm, url: \"{}\", public_key: {{key}}, credentials: {{ file: {} }}, anonymous_read: true }}",
        closed.url(),
        file.display()
    );
    let hub = Hub::with(Wishes { more: vec![more], server: "deadline: 1s".into(), ..Wishes::default() }).await;
    (hub, closed)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_credential_goes_upstream_word_for_word_and_the_clients_does_not() {
    for secret in
        ["m4rk3d-raw-key", "Bearer m4rk3d.token", "Basic dXNlcjptNHJrM2Q=", "odd  spacing;and=signs \"m4rk3d\""]
    {
        let (mut hub, closed) = private(secret).await;
        hub.registry.add("jason", "1.0.0");
        hub.registry.publish(&closed);
        for path in ["/repos/closed/packages/jason", "/repos/closed/tarballs/jason-1.0.0.tar"] {
            let answer = hub.get_with(path, &[("authorization", "Bearer the-clients-own")]).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(!carries_mark(&answer.headers), "{path}");
        }
        assert_eq!(closed.calls().len(), 2);
        for call in closed.calls() {
            assert_eq!(call.header("authorization"), Some(secret), "{call:?}");
        }
        // Its neighbour's upstream has no part in it.
        hub.get("/packages/jason").await;
        assert!(hub.upstream.calls().iter().all(|call| !call.headers.contains_key("authorization")));
        hub.stop().await;
        assert_eq!(files_with_mark(&hub.data()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_credential_does_not_follow_a_redirect() {
    let (mut hub, closed) = private("m4rk3d-raw-key").await;
    let elsewhere = ScriptedUpstream::start().await;
    let tarball = hub.registry.add("jason", "1.0.0");
    hub.registry.publish(&closed);
    elsewhere.serve("/bucket/jason", tarball.clone());
    closed.serve("/bucket/jason", tarball.clone());
    closed.serve("/inside/jason", hub.registry.package("jason"));
    closed.always("/tarballs/jason-1.0.0.tar", Step::redirect(302, "/bucket/jason"));
    closed.always("/packages/jason", Step::redirect(307, "/inside/jason"));
    let answer = hub.get("/repos/closed/tarballs/jason-1.0.0.tar").await;
    assert_eq!((answer.status, &answer.body), (200, &tarball));
    assert_eq!(answer.headers.get("location"), None);
    assert!(!closed.calls_to("/bucket/jason")[0].headers.contains_key("authorization"), "not even to its own");
    assert!(!closed.calls_to("/inside/jason")[0].headers.contains_key("authorization"), "not even to its own");
    assert!(closed.calls_to("/packages/jason")[0].headers.contains_key("authorization"));
    // An upstream at no public address redirects to no other (that no other is told a credential: `upstream_room`).
    hub.registry.add("jason", "1.1.0");
    hub.registry.publish(&closed);
    closed.serve("/inside/jason", hub.registry.package("jason"));
    hub.clock.advance(Duration::from_secs(3600));
    closed.always("/tarballs/jason-1.1.0.tar", Step::redirect(302, &format!("{}/bucket/jason", elsewhere.url())));
    let answer = hub.get("/repos/closed/tarballs/jason-1.1.0.tar").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(elsewhere.calls().len(), 0);
}

fn assert_discreet(what: &str, answer: &Answer, secrets: &[&str]) {
    let said = format!("{:?}\n{}", answer.headers, answer.text());
    for secret in secrets {
        assert!(!said.contains(secret), "{what}: {secret:?} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_tells_clients_neither_paths_nor_upstreams_nor_credentials() {
    let (hub, closed) = private("m4rk3d-raw-key").await;
    let data = hub.data();
    let port = closed.url().rsplit(':').next().unwrap().to_owned();
    let secrets = [MARK, data.to_str().unwrap(), &port, "127.0.0.1", "/tmp", ".rs:", "tests"];
    let other = PrivateKey::generate(2048).unwrap();
    let foreign = Signer::new(&other).unwrap().seal(b"not even a message").unwrap();
    for (what, step, status) in [
        ("refused", Step::status(401), 502),
        ("forbidden", Step::status(403), 502),
        ("gone", Step::status(404), 404),
        ("broken", Step::status(500), 502),
        ("odd", Step::status(418), 502),
        ("redirect", Step::redirect(302, "ftp://m4rk3d@elsewhere.example/"), 502),
        ("silent", Step::never(), 502),
        ("hung up", Step::hang_up(), 502),
        ("not gzip", Step::ok("m4rk3d"), 502),
        ("unsigned", Step::ok(foreign.body().clone()), 502),
        ("too large", Step::endless(), 502),
    ] {
        closed.everything(Some(step));
        let path = format!("/repos/closed/packages/p_{}", what.replace(' ', "_"));
        let answer = hub.get_with(&path, &[("user-agent", "hex_core/0.18.0 hex/2.5.1")]).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_discreet(what, &answer, &secrets);
        // A breaker that opened would hide the next failure.
        hub.clock.advance(Duration::from_secs(120));
    }
    closed.switch_off().await;
    let answer = hub.get("/repos/closed/packages/unreachable").await;
    assert_eq!(answer.status, 502);
    assert_discreet("unreachable", &answer, &secrets);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_our_own_tells_clients_nothing_of_it() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    // The ledger of checksums is gone, so nothing can be said about a package.
    hub.app().core().state().close().await;
    let answer = hub.get("/packages/jason").await;
    assert!(answer.status >= 500, "{}", answer.text());
    assert_discreet("no database", &answer, &[hub.data().to_str().unwrap(), "sqlite", "SQL", "pool"]);
}
