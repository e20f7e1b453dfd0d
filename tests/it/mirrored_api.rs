//! The API of a remote repository: what upstream's API says, within its limits; else what the registry tells.

use std::time::Duration;

use hexkeep::clock::Clock;
use hexkeep::hex::message::{Dependency, RetirementReason, RetirementStatus};
use hexkeep::hex::term;
use hexkeep::operations::commands::{Account, GrantCommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::hub::{Answer, Hub, Wishes, eventually};
use super::support::tarballs::pack;
use super::support::upstream::{Gate, Step};

const API: &str = "api_url: \"{url}/api\"";
const UP: &str = "/api/packages/jason";

async fn with_api() -> Hub {
    stocked(API).await
}

/// A daemon whose upstream has jason 1.0.0, retired, and 1.1.0.
async fn stocked(repository: &str) -> Hub {
    let mut hub = Hub::with_repository(repository).await;
    let metadata = "{<<\"name\">>,<<\"jason\">>}.\n{<<\"version\">>,<<\"1.1.0\">>}.\n{<<\"app\">>,<<\"jason\">>}.\n\
                    {<<\"description\">>,<<\"Reads and writes JSON.\">>}.\n{<<\"licenses\">>,[<<\"Apache-2.0\">>]}.\n\
                    {<<\"links\">>,[{<<\"GitHub\">>,<<\"https://github.com/x/jason\">>}]}.\n\
                    {<<\"build_tools\">>,[<<\"mix\">>]}.\n{<<\"requirements\">>,[]}.\n{<<\"files\">>,[]}.\n";
    hub.registry.add("jason", "1.0.0");
    let (tarball, inner) = pack(metadata.as_bytes(), b"contents");
    hub.registry.add_bytes("jason", "1.1.0", tarball, inner);
    hub.registry.add("plug", "1.0.0");
    hub.registry.published("jason", "1.0.0", 1_500_000_000);
    hub.registry.published("jason", "1.1.0", 1_600_000_000);
    let package = hub.registry.package_mut("jason");
    package.releases[0].retired =
        Some(RetirementStatus { reason: RetirementReason::Security.into(), message: Some("leaks".into()) });
    package.releases[1].dependencies.push(Dependency {
        package: "decimal".into(),
        requirement: "~> 1.0".into(),
        optional: Some(true),
        ..Dependency::default()
    });
    hub.publish();
    hub
}

fn upstreams(name: &str) -> Value {
    json!({
        "name": name, "repository": "hexpm", "html_url": format!("https://hex.pm/packages/{name}"),
        "meta": {"description": "of the API", "licenses": ["MIT"], "links": {"GitHub": "https://github.com/x/y"}},
        "configs": {"mix.exs": format!("{{:{name}, \"~> 1.1\"}}")}, "downloads": {"all": 7}, "retirements": {},
        "releases": [{"version": "1.1.0", "has_docs": true, "inserted_at": "2020-09-13T12:26:40.000000Z"}],
        "latest_stable_version": "1.1.0", "unknown": [null, 1.5],
    })
}

/// The same as it is told here, where the API was asked at `/api`.
fn ours(hub: &Hub, name: &str) -> Value {
    ours_at(hub, name, "/api")
}

/// With the addresses of the base that was asked.
fn ours_at(hub: &Hub, name: &str, api: &str) -> Value {
    let mut value = upstreams(name);
    value["html_url"] = json!(format!("{}{api}/packages/{name}", hub.url()));
    value["configs"] = json!({
        "mix.exs": format!("{{:{name}, \"~> 1.1\"}}"), "erlang.mk": format!("dep_{name} = hex 1.1.0"),
        "rebar.config": format!("{{{name}, \"1.1.0\"}}"), "gleam.toml": format!("{name} = \"1.1.0\""),
    });
    value
}

fn serve(hub: &Hub, path: &str, value: &Value) {
    hub.upstream.serve(path, value.to_string());
}

async fn get(hub: &Hub, path: &str) -> Answer {
    hub.get_with(path, &[("user-agent", "test"), ("accept", "application/json")]).await
}

async fn value(hub: &Hub, path: &str) -> Value {
    let answer = get(hub, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_answer_goes_out_in_either_format_and_is_asked_for_once() {
    let mut hub = with_api().await;
    serve(&hub, UP, &upstreams("jason"));
    for api in ["/api", "/api/repos/hexpm", "/repos/hexpm/api"] {
        let path = &format!("{api}/packages/jason");
        let answer =
            hub.get_with(path, &[("user-agent", "test"), ("authorization", "s3cr3t"), ("cookie", "a=b")]).await;
        assert_eq!(answer.status, 401, "a wrong credential on the API: {path}");
        let answer = get(&hub, path).await;
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), ours_at(&hub, "jason", api), "{path}");
        assert_eq!(answer.header("cache-control"), "public, max-age=60", "{path}");
        assert!(!answer.header("etag").is_empty(), "{path}");
        let erlang = [("user-agent", "test"), ("accept", "application/vnd.hex+erlang")];
        let answer = hub.get_with(path, &erlang).await;
        assert!(answer.header("content-type").starts_with("application/vnd.hex+erlang"), "{path}");
        let decoded = term::to_json(term::etf::decode(&answer.body).unwrap()).unwrap();
        assert_eq!(decoded, ours_at(&hub, "jason", api), "{path}");
    }
    let calls = hub.upstream.calls_to(UP);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].header("authorization").is_none() && calls[0].header("cookie").is_none(), "{calls:?}");

    hub.upstream.switch_off().await;
    hub.restart().await;
    hub.clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(value(&hub, "/api/packages/jason").await, ours(&hub, "jason"), "stale, from the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_fresh_for_a_minute_and_then_confirmed() {
    let hub = stocked("api_url: \"{url}/api\", metadata_ttl: 1s, stale_while_revalidate: 0s").await;
    serve(&hub, UP, &upstreams("jason"));
    value(&hub, "/api/packages/jason").await;
    hub.clock.advance(Duration::from_secs(59));
    value(&hub, "/api/packages/jason").await;
    assert_eq!(hub.upstream.calls_to(UP).len(), 1);
    hub.clock.advance(Duration::from_secs(1));
    value(&hub, "/api/packages/jason").await;
    let calls = hub.upstream.calls_to(UP);
    assert_eq!(calls.len(), 2);
    assert!(calls[1].header("if-none-match").is_some(), "{calls:?}");
    let mut newer = upstreams("jason");
    newer["downloads"]["all"] = json!(8);
    serve(&hub, UP, &newer);
    hub.clock.advance(Duration::from_secs(60));
    let mut expected = ours(&hub, "jason");
    expected["downloads"]["all"] = json!(8);
    assert_eq!(value(&hub, "/api/packages/jason").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_the_registry_and_the_tarballs_tell() {
    let hub = stocked("").await;
    let package = value(&hub, "/api/packages/jason").await;
    assert_eq!(package["releases"][0]["version"], "1.1.0", "newest first: {package}");
    assert_eq!(package["releases"][1]["version"], "1.0.0");
    assert_eq!(package["releases"][0]["inserted_at"], "2020-09-13T12:26:40.000000Z");
    assert_eq!(package["retirements"], json!({"1.0.0": {"reason": "security", "message": "leaks"}}));
    assert_eq!((&package["latest_version"], &package["latest_stable_version"]), (&json!("1.1.0"), &json!("1.1.0")));
    assert_eq!(package["configs"]["mix.exs"], "{:jason, \"~> 1.1\"}");
    assert_eq!(
        package["meta"],
        json!({"description": "", "licenses": [], "links": {}, "maintainers": [], "extra": {}})
    );
    assert_eq!((&package["repository"], &package["downloads"]), (&json!("hexpm"), &json!({})));

    assert_eq!(hub.get("/tarballs/jason-1.1.0.tar").await.status, 200);
    let package = value(&hub, "/api/packages/jason").await;
    assert_eq!(package["meta"]["description"], "Reads and writes JSON.");
    assert_eq!(package["meta"]["links"], json!({"GitHub": "https://github.com/x/jason"}));

    let release = value(&hub, "/api/packages/jason/releases/1.1.0").await;
    let expected = hub.registry.package_ref("jason").releases[1].outer_checksum.clone().unwrap();
    assert_eq!(release["checksum"], hex::encode(expected));
    assert_eq!(release["retirement"], Value::Null);
    assert!(release.as_object().unwrap().contains_key("retirement"));
    assert_eq!(
        release["requirements"],
        json!({"decimal": {"app": "decimal", "requirement": "~> 1.0", "optional": true}}),
        "a dependency of the same repository names none"
    );
    assert_eq!(release["meta"], json!({"app": "jason", "build_tools": ["mix"], "elixir": null}));
    let retired = value(&hub, "/api/packages/jason/releases/1.0.0").await;
    assert_eq!(retired["retirement"], json!({"reason": "security", "message": "leaks"}));

    for (path, status) in [
        ("/api/packages/nothing", 404),
        ("/api/packages/Bad", 404),
        ("/api/packages/jason/releases/9.9.9", 404),
        ("/api/packages/jason/releases/x", 400),
        ("/api/packages/jason/owners", 404),
        ("/api/users/wilma", 404),
    ] {
        assert_eq!(get(&hub, path).await.status, status, "{path}");
    }
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let docs = client.get(format!("{}/api/packages/jason/releases/1.1.0/docs", hub.url())).header("user-agent", "t");
    let docs = docs.send().await.unwrap();
    let location = docs.headers()["location"].to_str().unwrap();
    assert!(docs.status() == 302 && location == format!("{}/docs/jason-1.1.0.tar.gz", hub.url()), "{docs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_not_told() {
    let all = "all: { type: virtual, members: [hexpm] }".to_owned();
    let mut hub = Hub::with(Wishes { more: vec![all], ..Wishes::default() }).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let seen = hub.clock.now().to_micros();
    for api in ["/api", "/api/repos/all"] {
        for path in ["packages/jason", "packages/jason/releases/1.0.0"] {
            let told = value(&hub, &format!("{api}/{path}")).await;
            assert_eq!((&told["inserted_at"], &told["updated_at"]), (&json!(seen), &json!(seen)), "{told}");
            let docs = if told["releases"].is_array() { &told["releases"][0]["has_docs"] } else { &told["has_docs"] };
            assert_eq!((docs, &told["docs_html_url"]), (&json!(false), &Value::Null), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_fails_is_stood_in_for_by_what_is_known() {
    let hub = with_api().await;
    for step in [
        Step::status(500),
        Step::status(401),
        Step::ok("<html>"),
        Step::hang_up(),
        Step::too_many(Some("30")),
        Step::status(404),
    ] {
        hub.upstream.always(UP, step);
        let package = value(&hub, "/api/packages/jason").await;
        assert_eq!(package["latest_version"], "1.1.0");
        hub.clock.advance(Duration::from_secs(400));
    }
    hub.upstream.always("/api/packages/jason/owners", Step::status(500));
    let owners = get(&hub, "/api/packages/jason/owners").await;
    assert_eq!(owners.status, 502, "{}", owners.text());
    assert!(owners.text().contains("upstream"), "{}", owners.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_api_asks_for_is_kept() {
    let hub = with_api().await;
    hub.upstream.script(UP, [Step::too_many(Some("45"))]);
    serve(&hub, UP, &upstreams("jason"));
    serve(&hub, "/api/packages/plug", &upstreams("plug"));
    assert_eq!(value(&hub, "/api/packages/jason").await["meta"]["description"], "");
    for _ in 0..3 {
        hub.clock.advance(Duration::from_secs(10));
        value(&hub, "/api/packages/jason").await;
        value(&hub, "/api/packages/plug").await;
    }
    assert_eq!(hub.upstream.calls_to(UP).len() + hub.upstream.calls_to("/api/packages/plug").len(), 1);
    assert_eq!(hub.get("/packages/jason").await.status, 200, "the registry has another upstream");
    hub.clock.advance(Duration::from_secs(20));
    assert_eq!(value(&hub, "/api/packages/jason").await, ours(&hub, "jason"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_eighty_requests_are_made_in_a_minute() {
    let mut hub = Hub::with_repository(API).await;
    for number in 0..100 {
        hub.registry.add(&format!("p{number}"), "1.0.0");
        serve(&hub, &format!("/api/packages/p{number}"), &upstreams(&format!("p{number}")));
    }
    hub.publish();
    // To the beginning of a minute.
    let now = Clock::now(&*hub.clock).as_secs();
    hub.clock.advance(Duration::from_secs(60 - now % 60));
    let api_calls = |hub: &Hub| hub.upstream.calls().iter().filter(|call| call.path.starts_with("/api/")).count();
    for number in 0..100 {
        assert_eq!(value(&hub, &format!("/api/packages/p{number}")).await["name"], format!("p{number}"));
    }
    assert_eq!(api_calls(&hub), 80);
    hub.clock.advance(Duration::from_secs(61));
    assert_eq!(value(&hub, "/api/packages/p99").await, ours(&hub, "p99"));
    assert_eq!(api_calls(&hub), 81);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_makes_one_request() {
    let hub = with_api().await;
    serve(&hub, UP, &upstreams("jason"));
    let gate = Gate::new();
    hub.upstream.script(UP, [Step::route().gated(&gate)]);
    let all = futures_util::future::join_all((0..50).map(|_| value(&hub, "/api/packages/jason")));
    let (answers, ()) = tokio::join!(all, async {
        hub.upstream.wait_for_calls_to(UP, 1).await;
        gate.open();
    });
    assert!(answers.iter().all(|answer| *answer == ours(&hub, "jason")));
    assert_eq!(hub.upstream.calls_to(UP).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_owners_and_users_are_the_apis() {
    let hub = with_api().await;
    let release = json!({"version": "1.1.0", "checksum": "ab", "retirement": null, "publisher": {"username": "wilma"}});
    serve(&hub, "/api/packages/jason/releases/1.1.0", &release);
    let owners = json!([{"username": "wilma", "email": "w@x.example", "level": "full"}, {"username": "rita"}]);
    serve(&hub, "/api/packages/jason/owners", &owners);
    serve(&hub, "/api/users/wilma", &json!({"username": "wilma", "full_name": "Wilma"}));
    assert_eq!(value(&hub, "/api/packages/jason/releases/1.1.0").await, release);
    assert_eq!(value(&hub, "/api/packages/jason/owners").await, owners);
    assert_eq!(value(&hub, "/api/packages/jason/owners/w@x.example").await, owners[0]);
    assert_eq!(get(&hub, "/api/packages/jason/owners/nobody").await.status, 404);
    assert_eq!(value(&hub, "/api/users/wilma").await["full_name"], "Wilma");
    assert_eq!(get(&hub, "/api/users/..%2fpackages").await.status, 404);
    assert_eq!(get(&hub, "/api/users/me").await.status, 401);
    assert!(hub.upstream.calls_to("/api/users/me").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_the_apis_and_by_name_without_it() {
    let mut hub = with_api().await;
    serve(&hub, "/api/packages", &json!([upstreams("jason"), upstreams("poison")]));
    let found = value(&hub, "/api/repos/hexpm/packages?sort=downloads&page=1&search=json+x&_format=json").await;
    assert_eq!(found.as_array().unwrap().len(), 2);
    value(&hub, "/api/repos/hexpm/packages?search=json%20x&sort=downloads").await;
    let calls = hub.upstream.calls_to("/api/packages");
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].target, "/api/packages?search=json+x&sort=downloads", "sorted, and no more than is known");

    hub.upstream.switch_off().await;
    hub.restart().await;
    hub.clock.advance(Duration::from_secs(60));
    // The list of versions is not here, and cannot be had.
    assert_eq!(value(&hub, "/api/packages?search=jas").await, json!([]));
    hub.upstream.switch_on();
    hub.upstream.always("/api/packages", Step::status(500));
    hub.clock.advance(Duration::from_secs(61));
    let found = value(&hub, "/api/packages?search=jas").await;
    assert_eq!(found[0]["name"], "jason", "{found}");
    assert_eq!(found[0]["releases"][0]["version"], "1.1.0", "{found}");
    assert_eq!(found[0]["meta"]["description"], "");
    assert_eq!(value(&hub, "/api/packages?search=nothing").await, json!([]));
    assert_eq!(value(&hub, "/api/packages?search=jas&page=2").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_excluded_is_neither_shown_nor_asked_for() {
    let hub = stocked("api_url: \"{url}/api\", exclude: [\"pl*\"]").await;
    serve(&hub, "/api/packages/plug", &upstreams("plug"));
    serve(&hub, "/api/packages", &json!([upstreams("jason"), upstreams("plug")]));
    assert_eq!(get(&hub, "/api/packages/plug").await.status, 404);
    assert_eq!(get(&hub, "/api/packages/plug/releases/1.0.0").await.status, 404);
    assert_eq!(get(&hub, "/api/packages/plug/owners").await.status, 404);
    assert!(hub.upstream.calls_to("/api/packages/plug").is_empty());
    let found = value(&hub, "/api/repos/hexpm/packages?search=x").await;
    assert_eq!(found, json!([ours_at(&hub, "jason", "/api/repos/hexpm")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_packages_of_a_user_those_are_told_that_the_caller_may_read() {
    let hub = stocked("api_url: \"{url}/api\", anonymous_read: false").await;
    let sam = hub.user("sam", false).await;
    let (owner, repository) = (Account::User("sam".to_owned()), "hexpm".to_owned());
    hub.order(GrantCommand::Add { owner, repository, pattern: "ja*".to_owned() }).await;
    let packages = json!([{"name": "jason", "url": "x"}, {"name": "plug", "url": "x"}]);
    let wilma = json!({"username": "wilma", "packages": packages, "owned_packages": {"jason": "x", "plug": "x"}});
    serve(&hub, "/api/users/wilma", &wilma);
    let told = hub.api(Method::GET, "/api/users/wilma", &sam, None).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let url = format!("{}/api/packages/jason", hub.url());
    assert_eq!(told.json()["packages"], json!([{"name": "jason", "url": url}]));
    assert_eq!(told.json()["owned_packages"], json!({"jason": url}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_remote_is_for_its_readers_alone() {
    let hub = stocked("api_url: \"{url}/api\", anonymous_read: false").await;
    serve(&hub, UP, &upstreams("jason"));
    for path in ["/api/packages/jason", "/api/packages/jason/releases/1.1.0", "/api/packages/jason/owners"] {
        assert_eq!(get(&hub, path).await.status, 401, "{path}");
    }
    assert_eq!(value(&hub, "/api/packages?search=jason").await, json!([]));
    assert!(hub.upstream.calls_to(UP).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_repository_asks_nobody() {
    let mut hub = with_api().await;
    serve(&hub, UP, &upstreams("jason"));
    value(&hub, "/api/packages/jason").await;
    assert_eq!(hub.get("/packages/plug").await.status, 200);
    hub.registry.add("other", "1.0.0");
    hub.publish();
    assert_eq!(hub.get("/names").await.status, 200);
    hub.configure(&Wishes { repository: format!("{API}, network: offline"), ..Wishes::default() });
    hub.restart().await;
    hub.clock.advance(Duration::from_secs(365 * 24 * 3600));
    let before = hub.upstream.calls().len();
    assert_eq!(value(&hub, "/api/packages/jason").await, ours(&hub, "jason"));
    assert_eq!(value(&hub, "/api/packages/plug").await["latest_version"], "1.0.0");
    // What is missing has a name, and a way to it where there is one.
    assert_eq!(get(&hub, "/api/packages/nobody").await.status, 404, "the list of names says so");
    for (path, sentence) in [
        (
            "/api/packages/other",
            "packages/other of hexpm is not cached, and the upstream is not contacted (network: offline). With",
        ),
        ("/api/packages/other/releases/1.0.0", "packages/other of hexpm is not cached"),
        (
            "/api/packages/plug/owners",
            "the API answer of hexpm for packages/plug/owners is not cached, and the upstream is not contacted (network: offline); only",
        ),
        ("/api/users/wilma", "the API answer of hexpm for users/wilma is not cached"),
    ] {
        let answer = get(&hub, path).await;
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        assert!(answer.text().contains(sentence), "{path}: {}", answer.text());
    }
    eventually("nothing is under way", async || hub.metric("hexkeep_fills").await == 0.0).await;
    assert_eq!(hub.upstream.calls().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_purged_and_damaged_ones_dropped() {
    let mut hub = with_api().await;
    serve(&hub, UP, &upstreams("jason"));
    value(&hub, "/api/packages/jason").await;
    let answers = |hub: &Hub| hub.files().into_iter().filter(|file| file.starts_with("answers/")).collect::<Vec<_>>();
    let files = answers(&hub);
    assert_eq!(files.len(), 1, "{files:?}");
    hub.stop().await;
    let path = hub.data().join(&files[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    hub.launch().await;
    assert_eq!(value(&hub, "/api/packages/jason").await, ours(&hub, "jason"));
    assert_eq!(hub.upstream.calls_to(UP).len(), 2, "asked for again");
    assert_eq!(hub.metric("hexkeep_damaged_total{repository=\"hexpm\",reason=\"answer\"}").await, 1.0);

    use hexkeep::operations::Operations as _;
    let purge = hexkeep::operations::purge::Purge {
        repository: Some("hexpm".into()),
        package: Some("jason".into()),
        version: None,
    };
    hub.app().core().purge(purge, hexkeep::state::audit::Actor::console()).await.unwrap();
    assert_eq!(answers(&hub), Vec::<String>::new());
    value(&hub, "/api/packages/jason").await;
    assert_eq!(hub.upstream.calls_to(UP).len(), 3);
}
