//! Every address in an answer is one of the base that was asked, and can be fetched by whoever was told it.

use std::collections::BTreeSet;

use bytes::Bytes;
use hexkeep::operations::commands::Account;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::hub::{Hub, Wishes};
use crate::support::local::{docs, package};

const PUBLIC: &str = "http://registry.test";
const OCTETS: &str = "application/octet-stream";

/// `hexpm` unites the public `upstream` with `acme`, which answers at no address of its own; `team` has one, and a host.
async fn stage() -> Hub {
    let instead = [
        "upstream: { type: remote, name: hexpm, url: \"{url}\", public_key: \"{key}\", api_url: \"{url}/api\" }",
        "acme: { type: local }",
        "team: { type: local, hosts: [team.test] }",
        "hexpm: { type: virtual, members: [acme, upstream], deploy_to: acme, reserve: [\"acme_*\"] }",
    ];
    let instead = instead.map(str::to_owned).to_vec();
    let server = format!("public_url: \"{PUBLIC}\"");
    let mut hub = Hub::with(Wishes { instead, server, ..Wishes::default() }).await;
    hub.registry.add("jason", "1.1.0");
    hub.publish();
    let abroad = "https://hex.pm/api";
    let user = |name: &str| {
        let packages = json!([{"name": "jason", "repository": "hexpm", "url": format!("{abroad}/packages/jason"),
            "html_url": "https://hex.pm/packages/jason"}]);
        json!({"username": name, "url": format!("{abroad}/users/{name}"), "packages": packages,
            "owned_packages": {"jason": format!("{abroad}/packages/jason")}})
    };
    let release = json!({"version": "1.1.0", "url": format!("{abroad}/packages/jason/releases/1.1.0"),
        "html_url": "https://hex.pm/packages/jason/1.1.0", "package_url": format!("{abroad}/packages/jason"),
        "docs_html_url": "https://hexdocs.pm/jason/1.1.0/", "has_docs": true, "publisher": user("wilma"),
        "configs": {"mix.exs": "{:jason, \"~> 1.1\"}"}});
    let found = json!({"name": "jason", "repository": "hexpm", "url": format!("{abroad}/packages/jason"),
        "html_url": "https://hex.pm/packages/jason", "docs_html_url": "https://hexdocs.pm/jason/",
        "latest_version": "1.1.0", "latest_stable_version": "1.1.0", "releases": [release], "meta": {"description": null},
        "configs": {"mix.exs": "{:jason, \"~> 1.1\"}"}, "owners": [user("wilma")]});
    for (path, value) in [
        ("packages/jason", found.clone()),
        ("packages", json!([found])),
        ("packages/jason/releases/1.1.0", release),
        ("packages/jason/owners", json!([user("wilma")])),
        ("users/wilma", user("wilma")),
    ] {
        hub.upstream.serve(format!("/api/{path}").as_str(), value.to_string());
    }
    hub.upstream.serve("/docs/jason-1.1.0.tar.gz", docs("jason"));
    hub
}

/// Asks below one base, and calls every address that it is told.
struct Walk<'h> {
    hub: &'h Hub,
    client: reqwest::Client,
    key: &'h str,
    /// The host that is asked, where it is not the usual one.
    host: Option<&'static str>,
    /// Paths of the API and of the repository's files.
    api: &'static str,
    files: &'static str,
    seen: BTreeSet<String>,
}

impl<'h> Walk<'h> {
    fn new(hub: &'h Hub, key: &'h str, host: Option<&'static str>, api: &'static str, files: &'static str) -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let listen = hub.app().addresses().listen;
        let client = client.resolve("team.test", listen).resolve("v.test", listen).build().unwrap();
        Self { hub, client, key, host, api, files, seen: BTreeSet::new() }
    }

    /// What addresses begin with.
    fn server(&self) -> String {
        match self.host {
            Some(host) => format!("http://{host}:{}", self.hub.app().addresses().listen.port()),
            None => PUBLIC.to_owned(),
        }
    }

    async fn send(&self, method: Method, url: &str, body: Option<(&str, Bytes)>) -> reqwest::Response {
        let url = url.replacen(PUBLIC, &self.hub.url(), 1);
        let mut request =
            self.client.request(method, url).header("user-agent", "test").header("authorization", self.key);
        if let Some((content_type, bytes)) = body {
            request = request.header("content-type", content_type).body(bytes);
        }
        request.send().await.unwrap()
    }

    /// A request below the base; notes each address in its answer.
    async fn ask(&mut self, method: Method, path: &str, body: Option<(&str, Bytes)>, expected: u16) -> Value {
        let response = self.send(method.clone(), &format!("{}{}/{path}", self.server(), self.api), body).await;
        let (status, location) = (response.status().as_u16(), response.headers().get("location").cloned());
        let bytes = response.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(status, expected, "{method} {}/{path}: {text}", self.api);
        self.seen.extend(location.map(|location| location.to_str().unwrap().to_owned()));
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        self.note(&value);
        value
    }

    async fn tell(&mut self, method: Method, path: &str, value: Value, expected: u16) -> Value {
        self.ask(method, path, Some(("application/json", value.to_string().into())), expected).await
    }

    fn note(&mut self, value: &Value) {
        match value {
            Value::String(text) if text.starts_with("http") && !text.contains('{') => {
                self.seen.insert(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| self.note(item)),
            // This one is Hex's own documentation.
            Value::Object(map) => {
                map.iter().filter(|(key, _)| *key != "documentation_url").for_each(|(_, one)| self.note(one))
            }
            _ => {}
        }
    }

    /// Calls what was noted.
    async fn follow(&self) {
        let server = self.server();
        for address in &self.seen {
            // Other repositories, and their packages, are found at the server's usual address.
            let other = address.strip_prefix(PUBLIC).filter(|path| path.starts_with("/api/repos/"));
            let path = address.strip_prefix(&server).or(other);
            let path = path.unwrap_or_else(|| panic!("{address} below {server}{}", self.api));
            let is_of_base = path.starts_with(&format!("{}/", self.api))
                || path.starts_with(&format!("{}/docs/", self.files))
                || other.is_some();
            assert!(is_of_base, "{address} below {server}{}", self.api);
            let is_hidden = path.starts_with("/repos/acme") || path.starts_with("/api/repos/acme");
            assert!(!is_hidden || self.api.ends_with("/acme"), "{address} below {server}{}", self.api);
            let response = self.send(Method::GET, address, None).await;
            assert_eq!(response.status(), 200, "{address} below {server}{}", self.api);
        }
        assert!(self.seen.len() > 5, "{:?}", self.seen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_in_an_answer_can_be_fetched_by_whoever_got_it() {
    let hub = stage().await;
    let root = hub.user("root", true).await;
    hub.member("mia", "write").await;
    hub.user("nina", false).await;
    for (number, (host, api, files, name)) in [
        (None, "/api", "", "acme_core"),
        (None, "/api/repos/hexpm", "/repos/hexpm", "acme_core"),
        (None, "/repos/hexpm/api", "/repos/hexpm", "acme_core"),
        // No address of its own: its files are found where it is shown.
        (None, "/api/repos/acme", "/repos/hexpm", "acme_core"),
        (None, "/api/repos/team", "/repos/team", "team_core"),
        (None, "/repos/team/api", "/repos/team", "team_core"),
        (None, "/repos/hexpm/repos/team/api", "/repos/hexpm/repos/team", "team_core"),
        (None, "/repos/hexpm/api/repos/team", "/repos/hexpm/repos/team", "team_core"),
        (Some("team.test"), "/api", "", "team_core"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut walk = Walk::new(&hub, &root, host, api, files);
        let version = format!("1.0.{number}");
        let (at, release) = (format!("packages/{name}"), format!("packages/{name}/releases/{version}"));
        let tarball = package(name, &version, "");
        walk.ask(Method::POST, &format!("{at}/releases?replace=false"), Some((OCTETS, tarball)), 201).await;
        walk.ask(Method::POST, &format!("{release}/docs"), Some((OCTETS, docs(name))), 201).await;
        walk.ask(Method::GET, &format!("{release}/docs"), None, 302).await;
        let shown = walk.ask(Method::GET, &release, None, 200).await;
        assert!(
            shown["docs_html_url"].as_str().unwrap().ends_with(&format!("/docs/{name}-{version}.tar.gz")),
            "{shown}"
        );
        let shown = walk.ask(Method::GET, &at, None, 200).await;
        assert_eq!(shown["owners"][0]["username"], "root", "{shown}");
        for path in
            ["packages", "packages?search=core", "repos", "users/me", "users/root", "orgs", "keys", "keys/test", ""]
        {
            walk.ask(Method::GET, path, None, 200).await;
        }
        walk.tell(Method::PUT, &format!("{at}/owners/root"), json!({"level": "full"}), 204).await;
        walk.ask(Method::GET, &format!("{at}/owners"), None, 200).await;
        walk.ask(Method::GET, &format!("{at}/owners/root"), None, 200).await;
        walk.tell(Method::POST, &format!("{release}/retire"), json!({"reason": "other", "message": "old"}), 204).await;
        walk.tell(Method::POST, "keys", json!({"name": format!("k{number}")}), 201).await;
        walk.tell(Method::POST, "orgs/acme/keys", json!({"name": format!("o{number}")}), 201).await;
        walk.tell(Method::POST, "orgs/acme/members", json!({"name": "nina", "role": "read"}), 200).await;
        walk.ask(Method::GET, "orgs/acme/members", None, 200).await;
        walk.ask(Method::GET, "orgs/acme", None, 200).await;
        walk.follow().await;
        walk.ask(Method::DELETE, "orgs/acme/members/nina", None, 204).await;
        walk.seen.clear();
        if files.is_empty() && host.is_none()
            || api.ends_with("hexpm")
            || files == "/repos/hexpm" && api != "/api/repos/acme"
        {
            for path in
                ["packages/jason", "packages/jason/releases/1.1.0", "packages/jason/owners", "users/wilma", "packages"]
            {
                let shown = walk.ask(Method::GET, path, None, 200).await;
                assert!(!shown.to_string().contains("hex.pm"), "{shown}");
            }
            walk.ask(Method::GET, "packages/jason/releases/1.1.0/docs", None, 302).await;
            walk.follow().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_host_every_repository_is_found_at_that_host() {
    let instead = [
        "view: { type: virtual, members: [acme, quiet], deploy_to: acme, hosts: [v.test] }",
        "acme: { type: local }",
        "quiet: { type: local, direct: false }",
        "solo: { type: local }",
    ];
    let server = format!("public_url: \"{PUBLIC}\"");
    let top = "default_repository: solo\n".to_owned();
    let instead = instead.map(str::to_owned).to_vec();
    let hub = Hub::with(Wishes { instead, server, top, ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    for name in ["acme", "quiet", "solo"] {
        let mut walk = Walk::new(&hub, &root, None, "/api", "");
        let at = format!("repos/{name}/packages/{name}_core/releases");
        walk.ask(Method::POST, &at, Some((OCTETS, package(&format!("{name}_core"), "1.0.0", ""))), 201).await;
        walk.ask(Method::POST, &format!("{at}/1.0.0/docs"), Some((OCTETS, docs(name))), 201).await;
    }
    let here = format!("http://v.test:{}", hub.app().addresses().listen.port());
    for (api, name) in [
        ("/api", "users/me"),
        ("/api", "packages/acme_core"),
        ("/api", "packages/quiet_core"),
        ("/api", "repos"),
        ("/api/repos/acme", "packages/acme_core"),
        ("/api/repos/acme", "users/me"),
        ("/api/repos/quiet", "packages/quiet_core"),
        ("/api/repos/quiet", "packages/quiet_core/releases/1.0.0"),
        ("/api/repos/solo", "packages/solo_core"),
    ] {
        let mut walk = Walk::new(&hub, &root, Some("v.test"), api, "");
        let value = walk.ask(Method::GET, name, None, 200).await;
        assert!(!walk.seen.is_empty(), "{api}/{name}: {value}");
        for address in &walk.seen {
            assert!(address.starts_with(&here), "{api}/{name}: {address}");
            assert_eq!(walk.send(Method::GET, address, None).await.status(), 200, "{api}/{name}: {address}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_let_in_at_the_base_that_it_has_asked() {
    let hub = stage().await;
    let here = format!("http://team.test:{}", hub.app().addresses().listen.port());
    for (host, api, server) in [
        (None, "/api", PUBLIC),
        (None, "/api/repos/team", PUBLIC),
        (Some("team.test"), "/api", here.as_str()),
        (Some("team.test"), "/api/repos/hexpm", here.as_str()),
    ] {
        let mut walk = Walk::new(&hub, "", host, api, "");
        let ask = json!({"client_id": "78ea6566-89fd-481e-a1d6-7d9d78eacca8", "scope": "api"});
        let told = walk.tell(Method::POST, "oauth/device_authorization", ask, 200).await;
        let page = format!("{server}/oauth/device");
        assert_eq!(told["verification_uri"], page.as_str(), "{api}");
        let complete = format!("{page}?user_code={}", told["user_code"].as_str().unwrap());
        assert_eq!(told["verification_uri_complete"], complete.as_str(), "{api}");
        assert_eq!(walk.send(Method::GET, &complete, None).await.status(), 200, "{complete}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_port_is_told_as_the_one_that_was_found() {
    let hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    let key = hub.user("root", true).await;
    let shown = hub.api(Method::GET, "/api/users/me", &key, None).await.json();
    assert_eq!(shown["url"], format!("{}/api/users/root", hub.url()));
    hub.command(&["reload"]).await;
    let shown = hub.api(Method::GET, "/api/keys/test", &key, None).await.json();
    assert_eq!(shown["url"], format!("{}/api/keys/test", hub.url()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_the_api_alone_is_told_of_no_files() {
    let hub = stage().await;
    hub.user("root", true).await;
    let key = hub.key(Account::User("root".to_owned()), &["api"]).await;
    let mut walk = Walk::new(&hub, &key, None, "/api", "");
    let tarball = package("acme_core", "1.0.0", "");
    walk.ask(Method::POST, "packages/acme_core/releases", Some((OCTETS, tarball)), 201).await;
    let release = "packages/acme_core/releases/1.0.0";
    walk.ask(Method::POST, &format!("{release}/docs"), Some((OCTETS, docs("x"))), 201).await;
    assert!(walk.seen.contains(&format!("{PUBLIC}/api/{release}")), "{:?}", walk.seen);
    for path in [release, "packages/acme_core", "packages"] {
        walk.ask(Method::GET, path, None, 200).await;
    }
    walk.ask(Method::GET, "keys", None, 200).await;
    assert!(walk.seen.iter().all(|address| !address.contains("/docs/acme")), "{:?}", walk.seen);
    walk.ask(Method::GET, &format!("{release}/docs"), None, 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_caller_may_not_see_has_no_address() {
    let more = vec!["acme: { type: local, anonymous_read: true }".to_owned()];
    let hub = Hub::with(Wishes { more, ..Wishes::default() }).await;
    let (member, stranger) = (hub.member("mia", "read").await, hub.user("sam", false).await);
    let key = hub.key(Account::Organization("acme".to_owned()), &["api"]).await;
    assert_eq!(hub.publish_to_acme(&key, "core", package("core", "1.0.0", "")).await.status, 201);
    let path = "/api/repos/acme/packages/core";
    let shown = hub.api(Method::GET, path, &member, None).await.json();
    let address = shown["owners"][0]["url"].as_str().unwrap();
    assert!(address.ends_with("/api/repos/acme/orgs/acme"), "{shown}");
    for key in [stranger.as_str(), ""] {
        let shown = hub.api(Method::GET, path, key, None).await.json();
        assert_eq!(shown["owners"], json!([{"username": "acme"}]), "{shown}");
    }
}
