//! What the API tells of packages, for every kind of repository and whoever asks, byte for byte.
//!
//! One snapshot: every read of [`PATHS`] below every base, first where nothing was asked before and then by others.
//! `INSTA_UPDATE=always cargo test --test it api_views`, and then read every difference.

use std::fmt::Write as _;
use std::time::Duration;

use hexkeep::clock::{Clock as _, Timestamp};
use hexkeep::hex::message::{Dependency, RetirementReason, RetirementStatus};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::hub::{Hub, Wishes};
use super::support::local::{docs, package};
use super::support::registry::TestRegistry;
use super::support::tarballs::pack;
use super::support::upstream::ScriptedUpstream;

/// The moment at which everything happens: 2030-01-01T00:00:00Z.
const NOON: u64 = 1_893_456_000;
const DAY: u64 = 86_400;

/// What is asked below each base.
const PATHS: &[&str] = &[
    "packages",
    "packages?search=core",
    "packages?search=core&sort=updated_at&page=2&per_page=1",
    "packages/json_core",
    "packages/json_core/releases/1.0.0",
    "packages/json_core/releases/1.1.0",
    "packages/json_core/releases/1.1.0/docs",
    "packages/json_core/owners",
    "packages/json_core/owners/joe",
    "packages/acme_core",
    "packages/acme_core/releases/0.1.0",
    "packages/acme_core/releases/0.2.0",
    "packages/acme_core/releases/0.1.0/docs",
    "packages/acme_core/releases/0.2.0/docs",
    "packages/acme_core/owners",
    "packages/acme_core/owners/root",
    "packages/acme_core/audit-logs",
    "packages/lib_core",
    "packages/lib_core/releases/1.0.0",
    "packages/lib_core/owners",
    "packages/nothing",
    "users/joe",
    "users/root",
];

/// Where it is asked: a base for each kind of repository.
const BASES: &[&str] = &[
    // One that unites all the others.
    "/api",
    "/api/repos/hexpm",
    // Remote: with an API, without, under a policy with and without.
    "/api/repos/upstream",
    "/api/repos/plain",
    "/api/repos/policed",
    "/api/repos/policed_plain",
    // Local: private, open, and one that only answers through a policed repository.
    "/api/repos/acme",
    "/api/repos/lib",
    "/api/repos/inner",
    // Virtual: of several that have the same package, under a policy, and above that one.
    "/api/repos/several",
    "/api/repos/mixed",
    "/api/repos/held",
    "/api/repos/nested",
    "/repos/nested/api",
];

fn repositories(plain: &str, other: &str) -> Vec<String> {
    [
        "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", api_url: \"{url}/api\" }",
        &format!("plain: {{ type: remote, url: \"{plain}\", public_key: \"{{key}}\" }}"),
        &format!("other: {{ type: remote, url: \"{other}\", public_key: \"{{key}}\" }}"),
        "policed: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", api_url: \"{url}/api\", \
         signature: own, policy: company }",
        "policed_plain: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", signature: own, \
         policy: company }",
        "behind: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", api_url: \"{url}/api\" }",
        "acme: { type: local }",
        "lib: { type: local, anonymous_read: true }",
        "shop: { type: local, anonymous_read: true }",
        "inner: { type: local, anonymous_read: true }",
        "hexpm: { type: virtual, members: [acme, lib, upstream], deploy_to: acme, anonymous_read: true }",
        "several: { type: virtual, members: [plain, other], merge: release, anonymous_read: true }",
        "mixed: { type: virtual, members: [{ repository: shop, private: false }, plain], merge: release, \
         anonymous_read: true }",
        "held: { type: virtual, members: [inner, behind], policy: company, anonymous_read: true }",
        "nested: { type: virtual, members: [held], anonymous_read: true }",
    ]
    .map(str::to_owned)
    .into()
}

const POLICY: &str = "policies:\n  company: { mode: enforce, repositories: { policed: { cooldown: 7d }, \
                      policed_plain: { cooldown: 7d }, behind: { cooldown: 7d }, \
                      inner: { overrides: [{ deny: acme_core, requirement: \"0.2.0\" }] } } }\n";

/// What an upstream's API tells of a package.
fn told(name: &str, versions: &[&str]) -> Value {
    let releases: Vec<Value> = versions
        .iter()
        .map(|version| {
            let url = format!("https://up.example/{name}/{version}");
            json!({"version": version, "url": url, "has_docs": true, "inserted_at": "2029-01-01T00:00:00.000000Z"})
        })
        .collect();
    let newest = versions[0];
    json!({
        "name": name, "repository": "hexpm", "url": format!("https://up.example/{name}"), "private": false,
        "html_url": format!("https://up.example/packages/{name}"), "docs_html_url": "https://docs.example/",
        "meta": {"description": null, "licenses": ["MIT"], "links": {}, "maintainers": []},
        "releases": releases, "retirements": {"1.0.0": {"reason": "security", "message": "leaks"}},
        "latest_version": newest, "latest_stable_version": newest, "downloads": {"all": 7}, "unknown": [null, 1.5],
        "configs": {"mix.exs": format!("{{:app_of_{name}, \"~> 1.1\", hex: :{name}}}")},
        "owners": [{"username": "joe", "email": "joe@example.com", "url": "https://up.example/users/joe"}],
    })
}

fn serve_api(upstream: &ScriptedUpstream) {
    let serve = |path: &str, value: &Value| upstream.serve(path, value.to_string());
    serve("/api/packages", &json!([told("json_core", &["1.1.0", "1.0.0"]), told("acme_core", &["99.0.0"])]));
    serve("/api/packages/json_core", &told("json_core", &["2.0.0-dev", "1.1.0", "1.0.0"]));
    for version in ["1.0.0", "1.1.0"] {
        let value = json!({
            "version": version, "has_docs": version == "1.1.0", "url": "https://up.example/", "html_url": null,
            "package_url": "https://up.example/", "docs_html_url": "https://docs.example/", "told": "by the API",
            "publisher": {"username": "joe", "url": "https://up.example/users/joe"}, "configs": {},
        });
        serve(&format!("/api/packages/json_core/releases/{version}"), &value);
    }
    serve("/api/packages/json_core/owners", &json!([{"username": "joe", "email": "joe@example.com", "url": "x"}]));
    let packages = json!([{"name": "json_core", "url": "x", "html_url": "x"}, {"name": "Not one", "url": "x"}]);
    let owned = json!({"json_core": "x", "excluded": "x"});
    let joe = json!({"username": "joe", "url": "x", "packages": packages, "owned_packages": owned});
    serve("/api/users/joe", &joe);
}

/// json_core 1.0.0, old and retired, and 1.1.0, a day old, with a tarball that says something of itself.
fn stock(registry: &mut TestRegistry, versions: &[&str]) {
    for version in versions {
        let metadata = format!(
            "{{<<\"name\">>,<<\"json_core\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"app\">>,<<\"json\">>}}.\n\
             {{<<\"description\">>,<<\"Reads JSON.\">>}}.\n{{<<\"licenses\">>,[<<\"MIT\">>]}}.\n\
             {{<<\"build_tools\">>,[<<\"mix\">>]}}.\n{{<<\"requirements\">>,[]}}.\n{{<<\"files\">>,[]}}.\n"
        );
        let (tarball, inner) = pack(metadata.as_bytes(), b"contents");
        registry.add_bytes("json_core", version, tarball, inner);
        let age = if *version == "1.0.0" { 300 * DAY } else { DAY };
        registry.published("json_core", version, NOON - age);
    }
    let releases = &mut registry.package_mut("json_core").releases;
    releases[0].retired = Some(RetirementStatus { reason: RetirementReason::Security.into(), message: None });
    let needs = Dependency { package: "decimal".into(), requirement: "~> 1.0".into(), ..Dependency::default() };
    releases[0].dependencies.push(needs);
}

/// A daemon with all of these, and the keys of those who ask.
async fn world() -> (Hub, [(&'static str, String); 3], [ScriptedUpstream; 2]) {
    let (plain, other) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let instead = repositories(&plain.url(), &other.url());
    let server = "public_url: \"http://hub\"".to_owned();
    let mut hub = Hub::with(Wishes { instead, server, top: POLICY.to_owned(), ..Wishes::default() }).await;
    hub.clock.advance(Timestamp::from_secs(NOON).since(hub.clock.now()));
    let (root, reader) = (hub.user("root", true).await, hub.member("rita", "read").await);
    stock(&mut hub.registry, &["1.0.0", "1.1.0"]);
    hub.publish();
    for (name, upstream, versions) in [("plain", &plain, ["1.0.0", "1.1.0"]), ("other", &other, ["1.0.0", "1.2.0"])] {
        let mut registry = TestRegistry::new(name);
        stock(&mut registry, &versions);
        registry.publish(upstream);
    }
    serve_api(&hub.upstream);
    for (repository, name, version) in [
        ("acme", "acme_core", "0.1.0"),
        ("acme", "acme_core", "0.2.0"),
        ("inner", "acme_core", "0.1.0"),
        ("inner", "acme_core", "0.2.0"),
        ("lib", "lib_core", "1.0.0"),
        ("shop", "json_core", "3.0.0"),
    ] {
        hub.clock.advance(Duration::from_secs(60));
        let (path, tarball) = (format!("/api/repos/{repository}/publish"), package(name, version, ""));
        let answer = hub.call(Method::POST, &path, &root, "application/octet-stream", Some(tarball)).await;
        assert!(answer.status < 300, "{repository} {name}: {}", answer.text());
    }
    for repository in ["acme", "inner"] {
        let release = format!("/api/repos/{repository}/packages/acme_core/releases");
        let octets = "application/octet-stream";
        let answer = hub.call(Method::POST, &format!("{release}/0.2.0/docs"), &root, octets, Some(docs("text"))).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let retired = Some(json!({"reason": "other", "message": "take the next"}));
        let answer = hub.api(Method::POST, &format!("{release}/0.1.0/retire"), &root, retired).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    (hub, [("nobody", String::new()), ("a reader", reader), ("an administrator", root)], [plain, other])
}

/// Digests, and the addresses of the machine.
fn redacted(text: &str) -> String {
    let is_digest = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split('"').map(|word| if is_digest(&word) { "SHA256" } else { word });
    words.collect::<Vec<_>>().join("\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_repository_tells_the_same_as_ever() {
    let (hub, callers, _upstreams) = world().await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut text = String::new();
    for base in BASES {
        for path in PATHS {
            let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
            for (caller, key) in &callers {
                hub.clock.advance(Duration::from_millis(700));
                let mut request = client.get(format!("{}{base}/{path}", hub.url())).header("user-agent", "test");
                if !key.is_empty() {
                    request = request.header("authorization", key);
                }
                let response = request.send().await.unwrap();
                let header = |name: &str| {
                    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
                    value.map(|value| format!("{name}: {value}\n")).unwrap_or_default()
                };
                let mut answer = format!("{}\n{}{}", response.status(), header("cache-control"), header("location"));
                let body = redacted(&response.text().await.unwrap());
                answer.push_str(&body);
                match groups.iter_mut().find(|(one, _)| *one == answer) {
                    Some((_, who)) => who.push(caller),
                    None => groups.push((answer, vec![caller])),
                }
            }
            writeln!(text, "# {base}/{path}").unwrap();
            for (answer, who) in groups {
                writeln!(text, "## {}\n{answer}", who.join(", ")).unwrap();
            }
        }
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("api_views", text);
    });
}
