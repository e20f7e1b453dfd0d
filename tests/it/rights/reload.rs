//! A body comes while the configuration is read again: what counts is the configuration by which it is written.

use hexkeep::operations::Operations as _;
use reqwest::Method;
use serde_json::json;

use super::super::support::hub::{Hub, Wishes};
use super::super::support::local::{docs, package};
use super::slow::Write;

fn wishes(more: &[&str]) -> Wishes {
    Wishes { more: more.iter().map(|line| (*line).to_owned()).collect(), ..Wishes::default() }
}

async fn reload(hub: &Hub, more: &[&str]) {
    hub.configure(&wishes(more));
    let changes = hub.app().core().reload().await.unwrap();
    assert!(!changes.is_empty(), "{more:?}");
}

const BEFORE: &str = "acme: { type: local, mutability: always }";

fn new_package() -> Write {
    Write::upload("/api/repos/acme/packages/new/releases", package("new", "1.0.0", ""))
}

fn release() -> Write {
    Write::upload("/api/repos/acme/publish", package("core", "1.1.0", ""))
}

fn documentation() -> Write {
    Write::upload("/api/repos/acme/packages/core/releases/1.0.0/docs", docs("x"))
}

fn retirement() -> Write {
    let fields = json!({"reason": "other"});
    Write::fields(Method::POST, "/api/repos/acme/packages/core/releases/1.0.0/retire", &fields)
}

/// What happens, the repositories after it, what is sent, how it is answered, and how many releases there are then.
type Case = (&'static str, &'static [&'static str], fn() -> Write, u16, &'static str, usize);

const CASES: [Case; 11] = [
    ("removed", &["other: { type: local }"], new_package, 404, "", 1),
    ("removed", &["other: { type: local }"], release, 404, "", 1),
    ("removed", &["other: { type: local }"], documentation, 404, "", 1),
    ("removed", &["other: { type: local }"], retirement, 404, "", 1),
    (
        "no new packages",
        &["acme: { type: local, mutability: always, allow_new_packages: false }"],
        new_package,
        422,
        "this repository does not accept new packages",
        1,
    ),
    (
        "excluded",
        &["acme: { type: local, mutability: always, exclude: [\"new\"] }"],
        new_package,
        422,
        "is not among the names",
        1,
    ),
    ("owners alone", &["acme: { type: local, mutability: always, changes: owners }"], release, 403, "", 1),
    ("owners alone", &["acme: { type: local, mutability: always, changes: owners }"], documentation, 403, "", 1),
    // What is still allowed is done, whatever else has changed.
    ("another repository", &[BEFORE, "other: { type: local }"], release, 201, "", 2),
    ("another rule", &["acme: { type: local, mutability: window }"], release, 201, "", 2),
    ("another rule", &["acme: { type: local, mutability: window }"], documentation, 201, "", 1),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_written_by_the_configuration_of_then() {
    for (story, after, write, status, sentence, releases) in CASES {
        let mut hub = Hub::with(wishes(&[BEFORE])).await;
        let root = hub.user("root", true).await;
        let wilma = hub.member("wilma", "write").await;
        assert_eq!(hub.publish_to_acme(&root, "core", package("core", "1.0.0", "")).await.status, 201, "{story}");
        let begun = write().begin(&hub, &wilma).await;
        reload(&hub, after).await;
        let answer = begun.finish().await;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{story}: {said}");
        assert!(said.contains(sentence), "{story}: {said}");
        // What was written is there at once, and nothing else is, by whatever configuration.
        let listed = async |hub: &Hub| {
            let shown = hub.api(Method::GET, "/api/repos/acme/packages/core", &root, None).await.json();
            let versions: Vec<_> =
                shown["releases"].as_array().unwrap().iter().map(|one| one["version"].clone()).collect();
            let retired = shown["retirements"].as_object().is_some_and(|retired| !retired.is_empty());
            let new = hub.api(Method::GET, "/api/repos/acme/packages/new", &root, None).await.status;
            (versions.len(), retired, new)
        };
        let expected = (releases, false, 404);
        if story != "removed" {
            assert_eq!(listed(&hub).await, expected, "{story}");
        }
        hub.configure(&wishes(&[BEFORE]));
        hub.restart().await;
        assert_eq!(listed(&hub).await, expected, "{story}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_comes_during_a_reload_is_in_the_new_index() {
    let hub = Hub::with(wishes(&[BEFORE])).await;
    let root = hub.user("root", true).await;
    assert_eq!(hub.publish_to_acme(&root, "core", package("core", "1.0.0", "")).await.status, 201);
    let begun = release().begin(&hub, &root).await;
    reload(&hub, &["acme: { type: local, mutability: window }"]).await;
    // The new one is asked, so that it has an index in memory.
    let tarball =
        async || hub.get_with("/repos/acme/tarballs/core-1.1.0.tar", &[("authorization", root.as_str())]).await;
    assert_eq!(tarball().await.status, 404);
    assert_eq!(begun.finish().await.status, 201);
    let answer = tarball().await;
    assert_eq!((answer.status, answer.body), (200, package("core", "1.1.0", "")));
}
