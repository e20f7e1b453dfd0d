//! The API of a virtual repository: what clients ask of packages, from whichever member they are.

use std::time::Duration;

use hexkeep::hex::checksum::Sha256;
use serde_json::{Value, json};

use super::*;
use crate::support::upstream::Step;

/// `upstream` has `json_core` and `plug_core`, and somebody's `acme_core`; its API tells of all three. `acme` has `acme_core`.
async fn stage(members: &str, upstream: &str) -> (Hub, String) {
    let instead = [
        format!(
            "upstream: {{ type: remote, name: hexpm, url: \"{{url}}\", public_key: \"{{key}}\", \
             api_url: \"{{url}}/api\"{upstream} }}"
        ),
        MEMBERS[1].to_owned(),
        format!("hexpm: {{ type: virtual, members: [{members}], deploy_to: acme, anonymous_read: true }}"),
    ];
    let mut hub = Hub::with(Wishes { instead: instead.to_vec(), ..Wishes::default() }).await;
    for version in ["1.0.0", "1.1.0"] {
        hub.registry.add("json_core", version);
    }
    hub.registry.add("plug_core", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    hub.published_here(&root, "acme_core", "1.0.0").await;
    hub.registry.add("acme_core", "99.0.0");
    hub.registry.published("json_core", "1.0.0", 1_500_000_000);
    hub.publish();
    hub.clock.advance(Duration::from_secs(61));
    (hub, root)
}

fn told(name: &str, versions: &[&str]) -> Value {
    let releases: Vec<Value> = versions.iter().map(|version| json!({"version": version, "has_docs": true})).collect();
    json!({
        "name": name, "repository": "hexpm", "meta": {"description": format!("{name} by the API")},
        "releases": releases, "retirements": {}, "latest_version": versions[0], "latest_stable_version": versions[0],
    })
}

fn serve_api(hub: &Hub) {
    let serve = |path: &str, value: &Value| hub.upstream.serve(path, value.to_string());
    serve("/api/packages/json_core", &told("json_core", &["1.1.0", "1.0.0"]));
    serve("/api/packages/acme_core", &told("acme_core", &["99.0.0"]));
    serve("/api/packages/json_core/releases/1.1.0", &json!({"version": "1.1.0", "told": "by the API"}));
    serve("/api/packages/json_core/owners", &json!([{"username": "joe", "email": "joe@example.com"}]));
    serve("/api/packages/acme_core/owners", &json!([{"username": "mallory", "email": null}]));
    serve("/api/users/joe", &json!({"username": "joe"}));
    let hits = json!([told("json_core", &["1.1.0"]), told("acme_core", &["99.0.0"]), told("plug_core", &["1.0.0"])]);
    serve("/api/packages", &hits);
}

async fn ask(hub: &Hub, key: &str, path: &str) -> Value {
    let answer = hub.api(Method::GET, path, key, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn refused(hub: &Hub, key: &str, path: &str) -> u16 {
    hub.clock.advance(Duration::from_secs(61));
    hub.api(Method::GET, path, key, None).await.status
}

fn names(found: &Value) -> Vec<&str> {
    found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn public_and_private_packages_are_told_of_by_whoever_has_them() {
    let (hub, root) = stage("acme, upstream", "").await;
    serve_api(&hub);
    for base in ["/api", "/api/repos/hexpm"] {
        let json_core = ask(&hub, &root, &format!("{base}/packages/json_core")).await;
        assert_eq!(json_core["meta"]["description"], "json_core by the API");
        assert_eq!(json_core["releases"].as_array().unwrap().len(), 2);
        let release = ask(&hub, &root, &format!("{base}/packages/json_core/releases/1.1.0")).await;
        assert_eq!(release["told"], "by the API");
        let private = ask(&hub, &root, &format!("{base}/packages/acme_core")).await;
        assert_eq!(private["latest_version"], "1.0.0", "not what others have under this name");
        assert_eq!((&private["repository"], &private["private"]), (&json!("hexpm"), &json!(true)));
        assert_eq!(private["configs"]["mix.exs"], "{:acme_core, \"~> 1.0\"}", "no `repo:` is needed here");
        assert_eq!(private["url"], format!("{}{base}/packages/acme_core", hub.url()));
    }
    assert_eq!(refused(&hub, &root, "/api/packages/acme_core/releases/99.0.0").await, 404);
    assert_eq!(refused(&hub, &root, "/api/packages/nothing").await, 404);
    assert_eq!(ask(&hub, &root, "/api/packages/json_core/owners").await[0]["username"], "joe");
    assert_eq!(ask(&hub, &root, "/api/packages/json_core/owners/joe").await["email"], "joe@example.com");
    assert_eq!(ask(&hub, &root, "/api/users/joe").await["username"], "joe");
    assert_eq!(ask(&hub, &root, "/api/packages/acme_core/owners").await[0]["username"], "root");
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let docs = client.get(format!("{}/api/packages/json_core/releases/1.1.0/docs", hub.url()));
    let docs = docs.header("user-agent", "test").header("authorization", &root).send().await.unwrap();
    let location = docs.headers()["location"].to_str().unwrap();
    assert!(docs.status() == 302 && location == format!("{}/docs/json_core-1.1.0.tar.gz", hub.url()), "{docs:?}");
    for path in ["/api/packages?search=core", "/api/repos/hexpm/packages?search=core"] {
        let found = ask(&hub, &root, path).await;
        assert_eq!(names(&found), ["acme_core", "json_core", "plug_core"], "{path}");
        assert_eq!(found[0]["latest_version"], "1.0.0", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_upstream_the_signed_index_tells() {
    let (mut hub, root) = stage("acme, upstream", "").await;
    let json_core = ask(&hub, &root, "/api/packages/json_core").await;
    assert_eq!(json_core["latest_version"], "1.1.0");
    assert_eq!((&json_core["repository"], &json_core["private"]), (&json!("hexpm"), &json!(false)));
    assert_eq!(json_core["releases"][1]["inserted_at"], "2017-07-14T02:40:00.000000Z");
    assert_eq!(json_core["url"], format!("{}/api/packages/json_core", hub.url()));
    let release = ask(&hub, &root, "/api/packages/json_core/releases/1.0.0").await;
    let expected = hub.registry.package_ref("json_core").releases[0].outer_checksum.clone().unwrap();
    assert_eq!(release["checksum"], hex::encode(expected));
    let found = ask(&hub, &root, "/api/packages?search=core").await;
    assert_eq!(names(&found), ["acme_core", "json_core", "plug_core"]);

    hub.upstream.switch_off().await;
    hub.restart().await;
    assert_eq!(ask(&hub, &root, "/api/packages/json_core").await["latest_version"], "1.1.0");
    assert_eq!(ask(&hub, &root, "/api/packages/acme_core").await["latest_version"], "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_a_member_hears_nothing_of_it() {
    let (hub, _) = stage("acme, upstream", "").await;
    serve_api(&hub);
    let (stranger, member) = (hub.user("sam", false).await, hub.member("rita", "read").await);
    for (key, status) in [("", 401), (stranger.as_str(), 404), (member.as_str(), 200)] {
        for path in
            ["/api/packages/acme_core", "/api/packages/acme_core/releases/1.0.0", "/api/packages/acme_core/owners"]
        {
            assert_eq!(refused(&hub, key, path).await, status, "{path} for {key:?}");
        }
        assert_eq!(ask(&hub, key, "/api/packages/json_core").await["name"], "json_core", "{key:?}");
        let expected: &[&str] =
            if status == 200 { &["acme_core", "json_core", "plug_core"] } else { &["json_core", "plug_core"] };
        assert_eq!(names(&ask(&hub, key, "/api/repos/hexpm/packages?search=core").await), expected, "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_not_shown_is_not_told_of() {
    let (hub, root) = stage("{ repository: upstream, exclude: [\"plug_core\"] }, acme", "").await;
    serve_api(&hub);
    // The API upstream tells of a release that the signed index does not have.
    hub.upstream.serve("/api/packages/json_core", told("json_core", &["2.0.0", "1.1.0", "1.0.0"]).to_string());
    hub.upstream.serve("/api/packages/json_core/releases/2.0.0", json!({"version": "2.0.0"}).to_string());
    let json_core = ask(&hub, &root, "/api/packages/json_core").await;
    let versions: Vec<&str> =
        json_core["releases"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["1.1.0", "1.0.0"]);
    assert_eq!(json_core["latest_version"], "1.1.0");
    assert_eq!(refused(&hub, &root, "/api/packages/json_core/releases/2.0.0").await, 404);
    hub.upstream.serve("/api/packages/plug_core", told("plug_core", &["1.0.0"]).to_string());
    assert_eq!(refused(&hub, &root, "/api/packages/plug_core").await, 404);
    assert_eq!(names(&ask(&hub, &root, "/api/packages?search=core").await), ["acme_core", "json_core"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_members_have_of_a_package_is_told_of_as_one() {
    let mut other = Elsewhere::new("more").await;
    other.registry.add("json_core", "1.2.0");
    other.publish();
    let mut hub = united("members: [upstream, more], merge: release", &[other.line("")]).await;
    hub.registry.add("json_core", "1.0.0");
    hub.publish();
    let json_core = ask(&hub, "", "/api/packages/json_core").await;
    let versions: Vec<&str> =
        json_core["releases"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["1.2.0", "1.0.0"]);
    for version in versions {
        assert_eq!(ask(&hub, "", &format!("/api/packages/json_core/releases/{version}")).await["version"], version);
    }
    assert_eq!(refused(&hub, "", "/api/packages/json_core/releases/1.1.0").await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_a_private_name_tells_no_public_api() {
    let (hub, root) = stage("acme, upstream", "").await;
    serve_api(&hub);
    let asked = |hub: &Hub| hub.upstream.calls_to("/api/packages").len();
    for search in ["acme_core", "name:acme_core", "web+acme_core"] {
        ask(&hub, &root, &format!("/api/repos/hexpm/packages?search={search}")).await;
        assert_eq!(asked(&hub), 0, "{search}");
    }
    ask(&hub, &root, "/api/repos/hexpm/packages?search=plug").await;
    assert_eq!(asked(&hub), 1, "a public one is looked for there");
}

/// Ways to write a name in a query.
const WRITINGS: [&str; 16] = [
    "acme_core",
    "ACME_CORE",
    "Acme_Core",
    "%20acme_core%20",
    "%22acme_core%22",
    "name:ACME*",
    "%22name:ACME_CO*%22",
    "name:*me_core",
    "acme-core",
    "ACME+core",
    "acmecore",
    "ac+me+core",
    "is+there+an+acme_core+somewhere",
    "myacme_cores",
    "acme%255fcore",
    "%EF%BC%A1cme_core",
];

/// What the upstream was asked beside its signed lists, in lower case and without separators.
fn heard(hub: &Hub) -> Vec<String> {
    let asked = hub.upstream.calls().into_iter().map(|call| call.target);
    asked.filter(|target| target.starts_with("/api")).map(|target| target.to_ascii_lowercase()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_private_name_is_told_upstream_however_it_is_written() {
    let (hub, root) = stage("acme, upstream", ", direct: true").await;
    serve_api(&hub);
    for writing in WRITINGS {
        // At the view, at the member itself, as an order, as a user.
        for path in [
            format!("/api/packages?search={writing}"),
            format!("/api/repos/hexpm/packages?search={writing}&page=2"),
            format!("/api/repos/upstream/packages?search={writing}"),
            format!("/api/repos/upstream/packages?search=plug&sort={writing}"),
        ] {
            ask(&hub, &root, &path).await;
        }
        for base in ["", "/repos/hexpm", "/repos/upstream"] {
            let path = format!("/api{base}/users/{}", writing.replace('+', "%20"));
            hub.api(Method::GET, &path, &root, None).await;
        }
    }
    for target in heard(&hub) {
        let plain: String = target.chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(!plain.contains("acme") && !plain.contains("cmecore"), "{target}");
        assert!(!target.contains('%'), "{target}");
    }
    assert_eq!(hub.upstream.calls_to("/api/packages").len(), 1, "plug, once, since no such order is sent");
    // What is not private is looked for there, in any case, and answered by what lists it.
    assert_eq!(names(&ask(&hub, &root, "/api/packages?search=PLUG*").await).last(), Some(&"plug_core"));
    assert_eq!(hub.upstream.calls_to("/api/packages").len(), 2);
    ask(&hub, &root, "/api/users/joe").await;
    assert_eq!(hub.upstream.calls_to("/api/users/joe").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reserved_name_is_told_upstream_either() {
    let mut instead: Vec<String> = vec![
        "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", api_url: \"{url}/api\", \
         direct: true, anonymous_read: true }"
            .to_owned(),
    ];
    instead.push("acme: { type: local }".to_owned());
    instead.push(
        "hexpm: { type: virtual, members: [acme, upstream], anonymous_read: true, reserve: [\"acme_*\", \"*_inside\"] }"
            .to_owned(),
    );
    let mut hub = Hub::with(Wishes { instead, ..Wishes::default() }).await;
    hub.registry.add("plug_core", "1.0.0");
    hub.publish();
    serve_api(&hub);
    // Nobody has published one of them yet.
    for writing in WRITINGS.into_iter().chain(["acme", "ACME", "tool_INSIDE", "tool+inside", "name:*inside*"]) {
        for base in ["", "/repos/hexpm", "/repos/upstream"] {
            ask(&hub, "", &format!("/api{base}/packages?search={writing}")).await;
            hub.api(Method::GET, &format!("/api{base}/users/{}", writing.replace('+', "%20")), "", None).await;
        }
    }
    assert_eq!(heard(&hub), Vec::<String>::new());
    ask(&hub, "", "/api/packages?search=plug").await;
    assert_eq!(heard(&hub), ["/api/packages?search=plug"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_repository_beside_a_remote_one_is_as_private() {
    let remote = "hexpm: { type: remote, url: \"{url}\", public_key: \"{key}\", api_url: \"{url}/api\" }".to_owned();
    let instead = vec![remote, "acme: { type: local }".to_owned()];
    let mut hub = Hub::with(Wishes { instead, ..Wishes::default() }).await;
    hub.registry.add("plug_core", "1.0.0");
    hub.publish();
    serve_api(&hub);
    let root = hub.user("root", true).await;
    let tarball = package("acme_core", "1.0.0", "");
    let path = "/api/repos/acme/packages/acme_core/releases";
    let published = hub.call(Method::POST, path, &root, "application/octet-stream", Some(tarball)).await;
    assert_eq!(published.status, 201, "{}", published.text());
    for writing in WRITINGS {
        ask(&hub, &root, &format!("/api/packages?search={writing}")).await;
        ask(&hub, &root, &format!("/api/repos/hexpm/packages?search={writing}")).await;
    }
    assert_eq!(heard(&hub), Vec::<String>::new());
    ask(&hub, &root, "/api/packages?search=plug").await;
    assert_eq!(heard(&hub), ["/api/packages?search=plug"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_a_private_registry_that_is_no_member_are_as_private() {
    for (settings, is_private) in [(", anonymous_read: false", true), (", anonymous_read: true", false)] {
        let mut corp = Elsewhere::new("corp").await;
        corp.registry.add("acme_core", "1.0.0");
        corp.registry.add("acme_old", "1.0.0");
        corp.publish();
        let remote =
            "hexpm: { type: remote, url: \"{url}\", public_key: \"{key}\", api_url: \"{url}/api\" }".to_owned();
        let instead = vec![remote, corp.line(settings)];
        let mut hub = Hub::with(Wishes { instead, ..Wishes::default() }).await;
        hub.registry.add("plug_core", "1.0.0");
        hub.publish();
        serve_api(&hub);
        let search = async |hub: &Hub, writing: &str| {
            ask(hub, "", &format!("/api/packages?search={writing}")).await;
            hub.api(Method::GET, &format!("/api/users/{}", writing.replace('+', "%20")), "", None).await;
            heard(hub).len()
        };
        assert_eq!(search(&hub, "acme_core").await > 0, !is_private, "{settings}");
        if !is_private {
            continue;
        }
        for writing in WRITINGS {
            assert_eq!(search(&hub, writing).await, 0, "{writing}");
        }
        // What it had once, too, and while nobody can say what it has.
        corp.registry.remove("acme_old");
        corp.publish();
        hub.clock.advance(Duration::from_secs(3600));
        assert_eq!(search(&hub, "acme_old").await, 0);
        assert!(search(&hub, "plug").await > 0);
        let before = heard(&hub).len();
        corp.upstream.everything(Some(Step::status(404)));
        hub.clock.advance(Duration::from_secs(40 * 86400));
        assert_eq!(search(&hub, "other").await, before, "what it has is not known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_of_many_words_is_answered_here() {
    let (hub, root) = stage("acme, upstream", ", direct: true").await;
    serve_api(&hub);
    let words = |count: usize| vec!["ab"; count].join("+");
    // So many words hide a name in too many ways to compare, and so do none that is left: nobody outside hears of them.
    for text in [format!("{}+acme_core", words(24)), format!("acme_core+{}", words(30)), words(25), words(60)] {
        for base in ["", "/repos/upstream"] {
            let answer = hub.api(Method::GET, &format!("/api{base}/packages?search={text}"), &root, None).await;
            assert_eq!(answer.status, 200, "{text}: {}", answer.text());
        }
    }
    assert_eq!(heard(&hub), Vec::<String>::new());
    ask(&hub, &root, &format!("/api/packages?search={}", words(24))).await;
    assert_eq!(heard(&hub).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_release_is_told_of_by_the_member_whose_it_is() {
    let own = "own: { type: local, anonymous_read: true }".to_owned();
    let more = "more: { type: local, anonymous_read: true }".to_owned();
    let settings = "members: [{ repository: own, private: false }, { repository: more, private: false }], \
                    merge: release, anonymous_read: true";
    let hub = united(settings, &[own, more]).await;
    let root = hub.user("root", true).await;
    for (repository, version) in [("own", "1.0.0"), ("more", "2.0.0")] {
        let (path, tarball) = (format!("/api/repos/{repository}/publish"), package("acme_core", version, ""));
        let answer = hub.call(Method::POST, &path, &root, "application/octet-stream", Some(tarball)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let told = ask(&hub, "", "/api/packages/acme_core").await;
    assert_eq!(told["latest_version"], "2.0.0", "{told}");
    for version in ["1.0.0", "2.0.0"] {
        let told = ask(&hub, "", &format!("/api/packages/acme_core/releases/{version}")).await;
        assert_eq!(told["version"], version);
        let file = format!("/tarballs/acme_core-{version}.tar");
        assert_eq!(told["checksum"], Sha256::of(&hub.get(&file).await.body).to_string());
    }
    assert_eq!(refused(&hub, "", "/api/packages/acme_core/releases/3.0.0").await, 404);
}
