//! Retiring all releases of a package with one request.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::hub::{Hub, Wishes};
use crate::support::local::package;

async fn retirements(hub: &Hub, key: &str) -> Value {
    let answer = hub.api(Method::GET, "/api/packages/acme_core", key, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["retirements"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_releases_are_retired_at_once() {
    let instead = [
        "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\" }",
        "acme: { type: local }",
        "hexpm: { type: virtual, members: [acme, upstream], deploy_to: acme, reserve: [\"acme_*\"] }",
    ];
    let hub = Hub::with(Wishes { instead: instead.map(str::to_owned).to_vec(), ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    let (writer, reader) = (hub.member("wanda", "write").await, hub.member("rita", "read").await);
    let stranger = hub.user("sam", false).await;
    for version in ["1.0.0", "1.1.0", "2.0.0-rc.1"] {
        let path = "/api/packages/acme_core/releases";
        let tarball = Some(package("acme_core", version, ""));
        assert_eq!(hub.call(Method::POST, path, &root, "application/octet-stream", tarball).await.status, 201);
    }
    let all = "/api/packages/acme_core/retire";
    let body = |reason: &str, message: &str| Some(json!({"reason": reason, "message": message}));
    for (key, status) in [("", 401), (stranger.as_str(), 404), (&reader, 403)] {
        let answer = hub.api(Method::POST, all, key, body("security", "leaks")).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    for fields in [body("boredom", "leaks"), body("security", "no"), Some(json!({}))] {
        let answer = hub.api(Method::POST, all, &writer, fields).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.json()["errors"]["retirement"].is_object(), "{}", answer.text());
    }
    assert_eq!(
        hub.api(Method::POST, "/api/packages/acme_web/retire", &writer, body("other", "gone")).await.status,
        404
    );
    assert_eq!(retirements(&hub, &root).await, json!({}));

    let one = "/api/packages/acme_core/releases/1.0.0/retire";
    assert_eq!(hub.api(Method::POST, one, &writer, body("renamed", "now acme_kernel")).await.status, 204);
    assert_eq!(hub.api(Method::POST, all, &writer, body("security", "leaks")).await.status, 204);
    let (first, rest) =
        (json!({"reason": "renamed", "message": "now acme_kernel"}), json!({"reason": "security", "message": "leaks"}));
    assert_eq!(retirements(&hub, &root).await, json!({"1.0.0": first, "1.1.0": rest, "2.0.0-rc.1": rest}));
    let replace = json!({"reason": "deprecated", "replace": true});
    assert_eq!(
        hub.api(Method::POST, "/api/repos/acme/packages/acme_core/retire", &writer, Some(replace)).await.status,
        204
    );
    let every = json!({"reason": "deprecated", "message": null});
    assert_eq!(retirements(&hub, &root).await, json!({"1.0.0": every, "1.1.0": every, "2.0.0-rc.1": every}));
    assert_eq!(hub.api(Method::DELETE, one, &writer, None).await.status, 204);
    assert_eq!(retirements(&hub, &root).await, json!({"1.1.0": every, "2.0.0-rc.1": every}));

    let log = hub.api(Method::GET, "/api/packages/acme_core/audit-logs", &root, None).await.json();
    let retired: Vec<&Value> =
        log.as_array().unwrap().iter().filter(|line| line["action"] == "release.retire").collect();
    // One; then the two others; then all three.
    assert_eq!(retired.len(), 6, "{log}");
    assert!(retired.iter().all(|line| line["actor"] == "user:wanda"), "{log}");
}
