//! The page at which a user lets a program in.

use reqwest::Method;
use serde_json::json;

use super::super::support::local::PASSWORD;
use super::{ask, log_in, poll, private};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_disguises_nothing_and_gets_what_is_checked() {
    let hub = private("").await;
    hub.member("alice", "write").await;
    let name = format!("<b>mix\u{202e}\u{200b}\n{}", "x".repeat(500));
    let device = ask(&hub, "api repositories", &name).await;
    let code = device["user_code"].as_str().unwrap();
    let page = hub.get(&format!("/oauth/device?user_code={code}")).await.text();
    let shown = format!(
        "<dt>Name (reported by the program)</dt><dd class=\"said\"><bdi>&lt;b&gt;mix\\u{{202e}}\\u{{200b}}\\n{}…</bdi></dd>",
        "x".repeat(55)
    );
    assert!(page.contains(&shown), "{page}");
    assert!(!page.contains(['\u{202e}', '\u{200b}']), "{page}");
    for right in ["api", "api:read", "api:write", "repositories"] {
        assert!(page.contains(&format!("name=\"right {right}\" value=\"yes\" checked>")), "{right}: {page}");
    }
    // Without a selected permission nothing is granted, and the page says so.
    let none = hub.let_in(code, "alice", &[], "").await;
    assert!(none.status == 422 && none.text().contains("No permission is selected"), "{}", none.text());
    // What was not asked for is not granted.
    assert_eq!(hub.let_in(code, "alice", &["docs:acme", "policy:write"], "").await.status, 422);
    // The page keeps what was unchecked when the password is wrong.
    let page = hub.let_in_with(code, ("alice", "wrong"), &["api:read"], "").await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("name=\"right api:read\" value=\"yes\" checked>"), "{}", page.text());
    assert!(page.text().contains("name=\"right api:write\" value=\"yes\">"), "{}", page.text());
    // A link checks nothing.
    let link = format!("/oauth/device?user_code={code}&right+api=yes&right+repositories=yes");
    let form = format!(
        "user_code={code}&username=alice&password={}&right+api:read=yes&decision=approve",
        PASSWORD.replace(' ', "+")
    );
    let form = Some(bytes::Bytes::from(form));
    let page = hub.call(Method::POST, &link, "", "application/x-www-form-urlencoded", form).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let token = poll(&hub, &device).await;
    assert_eq!(token["scope"], json!("api:read"), "{token}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_is_good_for_what_was_checked() {
    let hub = private("").await;
    hub.member("alice", "admin").await;
    let fields = json!({"name": "ci", "permissions": [{"domain": "repository", "resource": "acme"}]});
    // `mix hex.user auth`, then: hex.organization auth, hex.organization key generate, deps.get, whoami.
    for (rights, mints, fetches, reads) in [
        (&["api", "api:read", "api:write", "repositories"][..], 201, 404, 200),
        (&["api:read", "api:write", "repositories"], 401, 404, 200),
        (&["repositories"], 401, 404, 401),
        (&["api"], 201, 403, 200),
    ] {
        let token = log_in(&hub, "alice", rights).await;
        for path in ["/api/keys", "/api/orgs/acme/keys"] {
            let made = hub.api(Method::POST, path, &token, Some(fields.clone())).await;
            assert_eq!(made.status, mints, "{rights:?} {path}: {}", made.text());
        }
        let fetched = hub.get_with("/repos/acme/packages/core", &[("authorization", &token)]).await;
        assert_eq!(fetched.status, fetches, "{rights:?}");
        assert_eq!(hub.api(Method::GET, "/api/users/me", &token, None).await.status, reads, "{rights:?}");
    }
}
