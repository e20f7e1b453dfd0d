//! What an author adds to a package's metadata: nested values are published, shown, imported and kept.

use hexkeep::hex::term::{self, etf};
use hexkeep::operations::commands::ReleaseCommand;
use serde_json::{Value, json};

use crate::support::hub::{Hub, Wishes};
use crate::support::local::package;
use crate::support::process::Home;

/// As mix writes `%{"c" => %{"d" => "e"}, "hooks" => [%{"name" => "a"}, %{"name" => "b"}], "grid" => [[1, 2], [3]]}`, with
/// the globs that the registry's scan for secrets is to pass over.
const NESTED: &str = "{<<\"extra\">>,\n [{<<\"c\">>,[{<<\"d\">>,<<\"e\">>}]},\n  {<<\"grid\">>,[[1,2],[3]]},\n  \
                      {<<\"hooks\">>,[[{<<\"name\">>,<<\"a\">>}],[{<<\"name\">>,<<\"b\">>}]]}]}.\n\
                      {<<\"secret_scan\">>,[{<<\"ignore\">>,[<<\"test/**\">>]}]}.\n";

fn nested() -> Value {
    json!({"c": {"d": "e"}, "grid": [[1, 2], [3]], "hooks": [{"name": "a"}, {"name": "b"}]})
}

async fn extra(hub: &Hub, key: &str) -> Value {
    let headers = [("user-agent", "test"), ("authorization", key)];
    let answer = hub.get_with("/api/repos/acme/packages/core", &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let erlang = [headers[0], headers[1], ("accept", "application/vnd.hex+erlang")];
    let same = hub.get_with("/api/repos/acme/packages/core", &erlang).await;
    let same = term::to_json(etf::decode(&same.body).unwrap()).unwrap();
    let value = answer.json();
    assert_eq!(same["meta"]["extra"], value["meta"]["extra"]);
    value["meta"]["extra"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_values_are_published_and_outlive_a_rebuild() {
    let mut hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    let answer = hub.publish_to_acme(&root, "core", package("core", "1.0.0", NESTED)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(extra(&hub, &root).await, nested());
    let found = hub
        .get_with("/api/repos/acme/packages?search=extra:c,d,e", &[("user-agent", "test"), ("authorization", &root)])
        .await;
    assert_eq!(found.json().as_array().unwrap().len(), 1, "{}", found.text());
    hub.restart().await;
    hub.order(ReleaseCommand::Reindex { repository: "acme".parse().unwrap() }).await;
    assert_eq!(extra(&hub, &root).await, nested());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_list_of_packages_can_show_is_refused() {
    let hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    for (value, why) in [
        (format!("[{{<<\"a\">>,<<\"{}\">>}}]", "x".repeat(100_000)), "has more than"),
        (format!("[{{<<\"a\">>,{}{}}}]", "[".repeat(100), "]".repeat(100)), "nested deeper than"),
        ("[{<<\"a\">>,{1,2,3}}]".to_owned(), "tuples are not supported here"),
    ] {
        let tarball = package("core", "1.0.0", &format!("{{<<\"extra\">>,{value}}}."));
        let answer = hub.publish_to_acme(&root, "core", tarball).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains(why), "{}", answer.text());
    }
}

#[test]
fn a_package_with_nested_values_is_imported() {
    let home = Home::new(
        "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nstorage: { path: data }\n\
         default_repository: acme\nrepositories:\n  acme: { type: local, anonymous_read: true }\n",
    );
    std::fs::create_dir_all(home.path("old")).unwrap();
    std::fs::write(home.path("old/core-1.0.0.tar"), package("core", "1.0.0", NESTED)).unwrap();
    let done = home.run(&["import", "acme", "old"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.starts_with("1 release was published"), "{done:?}");
}
