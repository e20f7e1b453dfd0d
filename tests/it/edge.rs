//! What every answer looks like from outside: validators, lengths, headers, bodies (client-protocol §1.4 to §1.6).

use std::time::Duration;

use bytes::Bytes;
use hexkeep::clock::Clock;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::Policy;
use prost::Message;
use reqwest::Method;
use tokio::net::TcpStream;

use super::support::hub::{Answer, Hub};
use super::support::raw;
use super::support::registry::TestRegistry;
use super::support::upstream::{ScriptedUpstream, Step};

/// One of every kind.
const EVERYTHING: [&str; 8] = [
    "/names",
    "/versions",
    "/packages/jason",
    "/policies/team",
    "/tarballs/jason-1.0.0.tar",
    "/docs/jason-1.0.0.tar.gz",
    "/public_key",
    "/installs/hex-1.x.csv",
];

/// What may be in the head of an answer; nothing of an upstream gets in between.
const HEADERS: [&str; 8] = [
    "content-type",
    "content-length",
    "accept-ranges",
    "etag",
    "cache-control",
    "x-hexkeep-cache",
    "x-request-id",
    "date",
];

const HEX_2_5: &str = "hex_core/0.18.0 hex/2.5.1 (elixir/1.14.0) (OTP/25) (erts/13.1.5)";
const HEX_2_4: &str = "hex_core/0.15.0 hex/2.4.2 (elixir/1.14.0) (OTP/25) (erts/13.1.5)";
const REBAR3: &str = "hex_core/0.7.1 (rebar3/3.19.0) (httpc) (OTP/25) (erts/13.1.5)";

/// A daemon whose upstream has one of every kind.
async fn stocked() -> Hub {
    let mut hub = Hub::start().await;
    stock(&mut hub.registry, &hub.upstream);
    hub
}

fn stock(registry: &mut TestRegistry, upstream: &ScriptedUpstream) {
    registry.add("jason", "1.0.0");
    registry.publish(upstream);
    let policy = Policy { repository: "hexpm".into(), name: "team".into(), visibility: 1, ..Policy::default() };
    upstream.serve("/policies/team", registry.seal(&policy.encode_to_vec()));
    upstream.serve("/docs/jason-1.0.0.tar.gz", &b"the docs of jason"[..]);
}

fn is_strong(etag: &str) -> bool {
    let opaque = etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    opaque.is_some_and(|opaque| !opaque.is_empty() && !opaque.contains('"'))
}

fn assert_plain_head(path: &str, answer: &Answer) {
    for name in answer.headers.keys() {
        assert!(HEADERS.contains(&name.as_str()), "{path}: `{name}` is not for clients");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_strong_etag_and_its_length() {
    let hub = stocked().await;
    for path in EVERYTHING {
        let cold = hub.get(path).await;
        let warm = hub.get(path).await;
        let head = hub.send(Method::HEAD, path, &[]).await;
        for (what, answer) in [("cold", &cold), ("warm", &warm), ("head", &head)] {
            assert_eq!(answer.status, 200, "{path} {what}");
            assert!(is_strong(answer.header("etag")), "{path} {what}: {}", answer.header("etag"));
            assert_eq!(answer.header("etag"), cold.header("etag"), "{path} {what}");
            assert_eq!(answer.header("content-length"), cold.body.len().to_string(), "{path} {what}");
            assert_plain_head(path, answer);
        }
        assert_eq!(warm.body, cold.body, "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
    let digest = Sha256::of(&hub.get("/tarballs/jason-1.0.0.tar").await.body);
    let head = hub.send(Method::HEAD, "/tarballs/jason-1.0.0.tar", &[]).await;
    assert_eq!(head.header("etag"), format!("\"{digest}\""), "a tarball's tag is its outer checksum");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_of_a_tarball_that_was_never_fetched_fetches_nothing_and_invents_no_length() {
    let hub = stocked().await;
    let path = "/tarballs/jason-1.0.0.tar";
    let head = hub.send(Method::HEAD, path, &[]).await;
    assert_eq!((head.status, is_strong(head.header("etag"))), (200, true));
    assert_eq!(head.headers.get("content-length"), None, "zero would be a lie");
    assert!(hub.upstream.calls_to(path).is_empty());
    assert_eq!(hub.get(path).await.header("etag"), head.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_it_gets_304_in_every_spelling_of_the_tag() {
    let hub = stocked().await;
    for path in EVERYTHING {
        let first = hub.get(path).await;
        let tag = first.header("etag");
        let bare = tag.trim_matches('"');
        let weak = format!("W/{tag}");
        let listed = format!("\"other\", {tag}");
        for method in [Method::GET, Method::HEAD] {
            for sent in [tag, bare, &weak, &listed, "*"] {
                let answer = hub.send(method.clone(), path, &[("if-none-match", sent)]).await;
                assert_eq!((answer.status, answer.body.len()), (304, 0), "{method} {path} {sent}");
                assert_eq!(answer.header("etag"), tag, "{method} {path} {sent}");
                assert_plain_head(path, &answer);
            }
            for sent in ["", " ", ",", "\"\"", "\"other\"", "W/\"other\"", "other"] {
                let answer = hub.send(method.clone(), path, &[("if-none-match", sent)]).await;
                assert_eq!(answer.status, 200, "{method} {path} {sent:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_asks_the_upstream_for_no_tarball() {
    let hub = stocked().await;
    let path = "/tarballs/jason-1.0.0.tar";
    let tag = hub.send(Method::HEAD, path, &[]).await.header("etag").to_owned();
    assert_eq!(hub.get_with(path, &[("if-none-match", &tag)]).await.status, 304);
    assert!(hub.upstream.calls_to(path).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_encoded_redirected_or_negotiated() {
    let hub = stocked().await;
    for path in EVERYTHING {
        let plain = hub.get(path).await;
        for headers in [
            &[("accept-encoding", "gzip, deflate, br, zstd")][..],
            &[("accept-encoding", "identity;q=0, *;q=0")],
            &[("accept", "application/json")],
            &[("accept", "application/x-tar"), ("accept-language", "de"), ("accept-charset", "utf-7")],
            &[("accept", "")],
            &[("accept", "no/such-thing;q=nonsense")],
            &[("upgrade-insecure-requests", "1"), ("connection", "upgrade"), ("upgrade", "h2c")],
        ] {
            let answer = hub.get_with(path, headers).await;
            assert_eq!((answer.status, &answer.body), (200, &plain.body), "{path} {headers:?}");
            assert_plain_head(path, &answer);
            assert_eq!(answer.header("content-type"), plain.header("content-type"), "{path} {headers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_bytes_pass_through_untouched() {
    let hub = stocked().await;
    for path in &EVERYTHING[..4] {
        let upstream = match *path {
            "/names" => hub.registry.names(),
            "/versions" => hub.registry.versions(),
            "/packages/jason" => hub.registry.package("jason"),
            _ => continue,
        };
        assert_eq!(hub.get(path).await.body, upstream, "{path}");
    }
    assert_eq!(hub.get("/docs/jason-1.0.0.tar.gz").await.body, "the docs of jason");
    assert!(hub.get("/installs/hex-1.x.csv").await.body.is_empty());
}

/// As Erlang's httpc sends it: an empty `te`, a length on a GET, and from rebar3 an empty condition.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_understood_as_erlang_sends_them() {
    let hub = stocked().await;
    let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    for path in EVERYTHING {
        let request = format!(
            "GET {path} HTTP/1.1\r\ncontent-length: 0\r\nte: \r\nhost: 127.0.0.1\r\nconnection: keep-alive\r\n\
             if-none-match: \r\nauthorization: \r\nuser-agent: {REBAR3}\r\n\r\n"
        );
        let answer = raw::ask(&mut stream, request.as_bytes()).await;
        assert_eq!((answer.status, answer.header("etag").len()), (200, 1), "{path}: {}", answer.head);
        assert_eq!(answer.header("content-length"), [answer.body.len().to_string()], "{path}");
        assert!(answer.header("transfer-encoding").is_empty(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_says_in_its_headers_stays_there() {
    let hub = stocked().await;
    for path in &EVERYTHING[..6] {
        let mut step = Step::route();
        for (name, value) in [
            ("x-hex-message", "\"attack\";level=fatal"),
            ("set-cookie", "session=1"),
            ("server", "Cowboy"),
            ("via", "1.1 varnish"),
            ("age", "100"),
            ("vary", "accept-encoding"),
            ("retry-after", "1"),
            ("surrogate-control", "max-age=1"),
            ("surrogate-key", "packages"),
            ("cache-control", "private, max-age=1"),
            ("x-hexkeep-cache", "hit"),
            ("x-request-id", "theirs"),
            ("content-type", "text/html"),
            ("x-ratelimit-remaining", "99"),
            ("strict-transport-security", "max-age=1"),
            ("location", "http://elsewhere.example/"),
            ("www-authenticate", "Basic"),
        ] {
            step = step.header(name, value);
        }
        hub.upstream.always(path, step);
        for _ in 0..2 {
            let answer = hub.get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_plain_head(path, &answer);
            let said = format!("{:?}", answer.headers).to_lowercase();
            for word in ["attack", "theirs", "text/html", "private", "cowboy"] {
                assert!(!said.contains(word), "{path}: {said}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_upstream_is_502_with_a_sentence_and_never_a_retry_after() {
    for status in [500, 502, 503, 429] {
        let hub = Hub::with_repository("missing_ttl: 1s").await;
        hub.upstream.everything(Some(Step::status(status).header("retry-after", "1")));
        for path in ["/names", "/packages/jason", "/tarballs/jason-1.0.0.tar"] {
            let answer = hub.get(path).await;
            assert_eq!(answer.status, 502, "{status} {path}");
            assert_eq!(answer.headers.get("retry-after"), None, "{status} {path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{status} {path}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{status} {path}");
            assert_one_line(&answer);
        }
    }
}

fn assert_one_line(answer: &Answer) {
    let text = answer.text();
    assert!(text.ends_with('\n') && text.lines().count() == 1 && text.len() < 250, "{text:?}");
    assert_eq!(answer.header("content-length"), text.len().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_404_with_a_short_text() {
    let hub = stocked().await;
    for path in [
        "/packages/nothing",
        "/policies/nothing",
        "/tarballs/nothing-1.0.0.tar",
        "/tarballs/jason-9.9.9.tar",
        "/docs/jason-9.9.9.tar.gz",
        "/docs/nothing-1.0.0.tar.gz",
        "/packages/Not%20A%20Name",
        "/tarballs/jason.tar",
        "/tarballs/jason-1.0.0.tar.gz",
        "/installs/hex-9.x.csv",
        "/",
        "/favicon.ico",
        "/packages",
        "/packages/jason/1.0.0",
        "/public_key/x",
    ] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_one_line(&answer);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.headers.get("etag"), None, "{path}");
        let head = hub.send(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (404, 0), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_405_and_say_which_are_allowed() {
    let hub = stocked().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"] {
        // A tarball may be put where its repository takes one.
        for path in EVERYTHING.into_iter().filter(|path| method != "PUT" || !path.contains("/tarballs/")) {
            let answer = hub.send(method.parse().unwrap(), path, &[]).await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method} {path}");
        }
    }
    assert!(hub.upstream.calls().is_empty());
}

/// rebar3's plugin prints "Published" after any status that it does not know, 405 and 400 among them.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_something_gets_a_status_that_rebar3_knows() {
    let hub = stocked().await;
    for (method, path) in [
        ("POST", "/api/publish"),
        ("POST", "/api/packages/jason/releases"),
        ("DELETE", "/repos/hexpm/api/packages/jason/releases/1.0.0"),
        ("POST", "//api/keys"),
        ("PUT", "/tarballs/jason-1.0.0.tar"),
    ] {
        let headers = [("user-agent", "test"), ("expect", "100-continue")];
        let answer = hub.send(method.parse().unwrap(), path, &headers).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Basic realm=hex"), "{method} {path}");
    }
    for (method, path) in [("PATCH", "/api/publish"), ("PUT", "/api/keys"), ("POST", "/api/nothing")] {
        let answer = hub.send(method.parse().unwrap(), path, &[("user-agent", "test")]).await;
        assert!([404, 422].contains(&answer.status), "{method} {path}: {}", answer.status);
    }
    let nameless = hub.send("POST".parse().unwrap(), "/api/publish", &[]).await;
    assert_eq!(nameless.status, 422, "without a user agent: {}", nameless.text());
    let odd =
        hub.send("POST".parse().unwrap(), "/api/publish", &[("user-agent", "test"), ("accept", "image/png")]).await;
    assert_eq!(odd.status, 422, "{}", odd.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_resources_may_be_kept_as_long_as_they_are_fresh() {
    let mut hub = Hub::with_repository("metadata_ttl: 7s").await;
    stock(&mut hub.registry, &hub.upstream);
    for path in &EVERYTHING[..4] {
        assert_eq!(hub.get(path).await.header("cache-control"), "public, max-age=7", "{path}");
    }
    assert_eq!(stocked().await.get("/names").await.header("cache-control"), "public, max-age=60");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_is_immutable_once_its_windows_have_passed() {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    let mut hub = Hub::with_repository("checksum_changes: window").await;
    let now = hub.clock.now().as_millis() / 1000;
    for (package, version, age) in [
        ("old", "1.0.0", Some(48 * HOUR)),
        ("old", "1.0.1", Some(61 * MINUTE)),
        ("old", "1.0.2", Some(59 * MINUTE)),
        ("young", "1.0.0", Some(23 * HOUR)),
        ("undated", "1.0.0", None),
    ] {
        hub.registry.add(package, version);
        if let Some(age) = age {
            hub.registry.published(package, version, now - age);
        }
    }
    hub.publish();
    let immutable = "public, max-age=604800, immutable";
    let revalidate = "public, max-age=0, must-revalidate";
    for (tarball, expected) in [
        ("old-1.0.0", immutable),
        ("old-1.0.1", immutable),
        ("old-1.0.2", revalidate),
        ("young-1.0.0", revalidate),
        ("undated-1.0.0", revalidate),
    ] {
        let path = format!("/tarballs/{tarball}.tar");
        for method in [Method::HEAD, Method::GET, Method::GET] {
            let answer = hub.send(method.clone(), &path, &[]).await;
            assert_eq!(answer.header("cache-control"), expected, "{method} {tarball}");
        }
        let tag = hub.get(&path).await.header("etag").to_owned();
        let unchanged = hub.get_with(&path, &[("if-none-match", &tag)]).await;
        assert_eq!((unchanged.status, unchanged.header("cache-control")), (304, expected), "{tarball}");
    }
    hub.clock.advance(Duration::from_secs(2 * HOUR));
    let answer = hub.get("/tarballs/old-1.0.2.tar").await;
    assert_eq!(answer.header("cache-control"), immutable, "its hour has passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_that_may_always_change_is_never_immutable() {
    let mut hub = Hub::with_repository("checksum_changes: allow").await;
    hub.registry.add("old", "1.0.0");
    hub.registry.published("old", "1.0.0", 1_000_000_000);
    hub.publish();
    let answer = hub.get("/tarballs/old-1.0.0.tar").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=0, must-revalidate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_tarball_is_explained_to_those_who_can_read_it() {
    let hub = stocked().await;
    let path = "/tarballs/jason-1.0.0.tar";
    hub.upstream.serve(path, Bytes::from_static(b"something else"));
    for _ in 0..2 {
        let answer = hub.get_with(path, &[("user-agent", HEX_2_5)]).await;
        assert_eq!((answer.status, answer.header("cache-control")), (502, "no-store"));
        let message = answer.header("x-hex-message");
        let text = message.strip_prefix("\"hexkeep: ").and_then(|rest| rest.strip_suffix("\";level=warn"));
        assert!(
            text.is_some_and(|text| text.contains("does not match its signature") && !text.contains('"')),
            "{message}"
        );
    }
    for agent in [HEX_2_4, REBAR3, "Hex/2.0.6 (Elixir/1.14.0) (OTP/25.2.3)", "hex_core/0.10.1 (httpc)", ""] {
        let answer = hub.get_with(path, &[("user-agent", agent)]).await;
        assert_eq!((answer.status, answer.headers.get("x-hex-message")), (502, None), "{agent}");
    }
    let miss = hub.get_with("/packages/nothing", &[("user-agent", HEX_2_5)]).await;
    assert_eq!((miss.status, miss.headers.get("x-hex-message")), (404, None), "a miss is everyday business");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_answer_is_mentioned_once() {
    let hub = stocked().await;
    let path = "/packages/jason";
    hub.get(path).await;
    hub.upstream.switch_off().await;
    hub.clock.advance(Duration::from_secs(3600));
    for agent in [HEX_2_4, REBAR3] {
        let answer = hub.get_with(path, &[("user-agent", agent)]).await;
        assert!(answer.cache().starts_with("stale; reason="), "{}", answer.cache());
        assert_eq!(answer.headers.get("x-hex-message"), None, "{agent}");
    }
    let told = hub.get_with(path, &[("user-agent", HEX_2_5)]).await;
    assert!(told.header("x-hex-message").contains("hexpm is served from the cache"), "{:?}", told.headers);
    assert_eq!((told.status, told.header("cache-control")), (200, "no-store"));
    let again = hub.get_with(path, &[("user-agent", HEX_2_5)]).await;
    assert!(again.cache().starts_with("stale; reason="), "{}", again.cache());
    assert_eq!(again.headers.get("x-hex-message"), None, "once in ten minutes is enough");
    hub.clock.advance(Duration::from_secs(601));
    let later = hub.get_with(path, &[("user-agent", HEX_2_5)]).await;
    assert!(later.header("x-hex-message").contains("hexpm is served from the cache"), "{:?}", later.headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_in_the_background_is_not_worth_a_word() {
    let hub = stocked().await;
    hub.get("/packages/jason").await;
    hub.clock.advance(Duration::from_secs(90));
    let answer = hub.get_with("/packages/jason", &[("user-agent", HEX_2_5)]).await;
    assert_eq!(answer.cache(), "stale; reason=revalidating");
    assert_eq!(answer.headers.get("x-hex-message"), None);
}
