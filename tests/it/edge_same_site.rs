//! Writes that a browser sends for a page of another site, clients that come through proxies, and conditions of reads.

use reqwest::Method;
use serde_json::json;

use super::support::hub::{Hub, Wishes};
use super::support::local::package;

async fn home() -> (Hub, String) {
    let more = vec!["acme: { type: local, hosts: [acme.example], dependency_check: off }".to_owned()];
    let server = "public_url: \"https://hex.example.com/base\", trusted_proxies: [\"::ffff:127.0.0.0/104\"]".to_owned();
    let top = "auth: { rate_limits: { per_address: 3, failed_logins: 0 } }\n".to_owned();
    let hub = Hub::with(Wishes { more, server, top, ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    (hub, admin)
}

/// Every way in which something is changed.
fn writes() -> Vec<(Method, &'static str)> {
    vec![
        (Method::POST, "/api/keys"),
        (Method::DELETE, "/api/keys/test"),
        (Method::POST, "/api/oauth/token"),
        (Method::POST, "/api/admin/user-admin"),
        (Method::POST, "/api/admin/reload"),
        (Method::POST, "/api/repos/acme/publish"),
        (Method::PUT, "/api/repos/acme/packages/core/owners/root"),
        (Method::PUT, "/repos/acme/tarballs"),
        (Method::PUT, "/repos/acme/tarballs/core-1.0.0.tar"),
        (Method::POST, "/oauth/device"),
        (Method::POST, "/ui/second-factor"),
        (Method::POST, "/nowhere"),
        (Method::PATCH, "/names"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_site_changes_anything() {
    let (hub, admin) = home().await;
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://hex.example.com"),
    ];
    for (method, path) in writes() {
        for (name, value) in foreign {
            let headers = [("authorization", admin.as_str()), ("user-agent", "browser"), (name, value)];
            let answer = hub.send(method.clone(), path, &headers).await;
            assert_eq!(answer.status, 403, "{method} {path} with {name}: {value}");
            assert!(answer.text().contains("a page of another site"), "{}", answer.text());
        }
        for own in [("sec-fetch-site", "same-origin"), ("origin", "https://hex.example.com")] {
            let headers = [("authorization", ""), ("user-agent", "browser"), own];
            let answer = hub.send(method.clone(), path, &headers).await;
            assert!(!answer.text().contains("another site"), "{method} {path} with {own:?}");
        }
    }
    for (name, value) in foreign {
        let answer = hub.send(Method::GET, "/public_key", &[(name, value)]).await;
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
    // At a host of its own, a repository's pages are that host's.
    let at_host = async |origin: &str| {
        let headers = [("host", "acme.example"), ("origin", origin), ("user-agent", "browser")];
        hub.send(Method::POST, "/oauth/device", &headers).await.status
    };
    assert_eq!((at_host("https://acme.example").await, at_host("https://evil.example").await), (200, 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_says_of_the_forms_here_whose_they_are() {
    let (hub, _) = home().await;
    assert_eq!(hub.get("/oauth/device").await.header("referrer-policy"), "same-origin");
}

/// The daemon listens on IPv4, its proxies are configured as an IPv6 socket shows them.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_proxy_are_counted_apart_however_it_writes_their_addresses() {
    let (hub, _) = home().await;
    let ask = async |forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded), ("user-agent", "test")];
        hub.get_with("/api/packages", &headers).await.status
    };
    for written in ["192.0.2.1", "192.0.2.1:5678", "\"[::ffff:192.0.2.1]:443\""] {
        assert_eq!(ask(written).await, 200, "{written}");
    }
    assert_eq!(ask("198.51.100.9, 192.0.2.1:1").await, 429);
    assert_eq!(ask("192.0.2.2:5678").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_limit_on_failed_logins_is_none() {
    let (hub, _) = home().await;
    for attempt in 0..30 {
        let headers =
            [("authorization", "Basic cm9vdDp3cm9uZw=="), ("user-agent", "test"), ("x-forwarded-for", "192.0.2.7")];
        let answer = hub.send(Method::POST, "/api/keys", &headers).await;
        assert_eq!(answer.status, 401, "attempt {attempt}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_mean_the_same_wherever_there_is_an_entity_tag() {
    let (mut hub, admin) = home().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    for path in [
        "/packages/jason",
        "/names",
        "/public_key",
        "/installs/hex-1.x.csv",
        "/repos/acme/packages/core",
        "/api/repos/acme/packages/core",
        "/api/repos/acme/packages/core/releases/1.0.0",
        "/api/users/me",
    ] {
        let ask = async |method: Method, condition: &str| {
            let headers = [("authorization", admin.as_str()), ("user-agent", "test"), ("if-none-match", condition)];
            hub.send(method, path, &headers).await
        };
        let plain = ask(Method::GET, "").await;
        assert_eq!(plain.status, 200, "{path}: an empty condition is none");
        let etag = plain.header("etag").to_owned();
        if etag.is_empty() {
            assert_eq!(ask(Method::GET, "*").await.status, 200, "{path} has no tag");
            continue;
        }
        let bare = etag.trim_matches('"').to_owned();
        for (condition, status) in [
            (etag.clone(), 304),
            (format!("W/{etag}"), 304),
            (bare, 304),
            (format!("\"other\", W/{etag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
            (" , ".to_owned(), 200),
            ("\"\"".to_owned(), 200),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let answer = ask(method.clone(), &condition).await;
                assert_eq!(answer.status, status, "{method} {path}: {condition}");
                assert_eq!(answer.header("etag"), etag, "{method} {path}: {condition}");
                let whole = if status == 304 || method == Method::HEAD { "" } else { &*plain.text() };
                assert_eq!(answer.text(), whole, "{method} {path}: {condition}");
            }
        }
    }
    let made = hub.api(Method::POST, "/api/keys", &admin, Some(json!({"name": "x"}))).await;
    assert_eq!(made.header("etag"), "", "what is made once has no tag");
}
