//! What hex.pm's server does and this one must not (server-api §11), line by line: where each is held, and the tests of
//! those that nothing else holds.
//!
//! | # | hex.pm | held by |
//! |---|---|---|
//! | 1 | an organization is changed by those who only read | `conformance`, row `organization_seats` |
//! | 2 | `DELETE /keys` shows a stranger's key, or fails | `conformance::oauth::all_keys_are_revoked_at_once` |
//! | 3 | a text in `errors` | `conformance`, every refusal |
//! | 4 | private answers are `public` | `conformance`, every answer |
//! | 5 | a retirement is not in `versions` | `local::retirement_is_in_both_indexes` |
//! | 6 | no `names` before the first publish | `local::what_is_published_is_there_at_once_and_after_a_restart` |
//! | 7 | keys are stored as they are | here |
//! | 8 | parallel exchanges end each other | `conformance::oauth::a_session_ends_by_either_word_for_it` |
//! | 9 | wrong credentials may be tried without end | `hostile_api::a_client_of_ipv6_is_counted_and_written_down_like_any_other` |
//! | 10 | 500 for what a client has sent | `hostile_api`; foreign organizations: `conformance`, rows `auth_*` |
//! | 11 | `per_page` below 1 | `hostile_api::a_hostile_request_is_the_clients_fault` |
//! | 12 | 403 to anonymous writers | `conformance`, every row that writes |
//! | 13 | a reverted version comes back with other content | `local::a_reverted_version_is_not_filled_with_other_bytes` |
//! | 14 | an old release changes what its package says of itself | here |
//! | 15 | `Location` of a private package leads to a public one | `conformance`, rows `publish*` |
//! | 16 | a release without its tarball | `crash::a_killed_daemon_loses_nothing_that_it_has_acknowledged` |
//! | 17 | the same content, other bytes | `local::a_repository_is_made_anew_from_its_files` |
//! | 18 | a key makes a wider one | here |
//! | 19 | tags without quotes | `conformance`, every read |
//! | 20 | `! 1.0.0` is a requirement | `hostile_api::a_hostile_tarball_is_refused_with_the_field_and_a_sentence` |
//! | 21 | an expired token is any wrong one | `hostile_api::credentials_that_are_no_good_are_told_apart` |
//! | 22 | a body is read before anybody is asked who sends it | here |
//! | 23 | a newline behind a name | `hostile_api::a_hostile_tarball_is_refused_with_the_field_and_a_sentence` |
//! | 24 | accounts that skip every check | there are none: `auth::Who` has users and organizations |

use std::fs;
use std::path::Path;

use hexkeep::operations::commands::{Account, OrganizationCommand};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;

use super::support::hub::{Hub, Wishes};
use super::support::local::{PASSWORD, package};
use super::support::raw;

const MIX: &str = "78ea6566-89fd-481e-a1d6-7d9d78eacca8";

async fn acme() -> Hub {
    Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await
}

/// The files below a folder that hold a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_stored_as_it_is() {
    let mut hub = acme().await;
    let key = hub.user("root", true).await;
    let exchange = json!({
        "grant_type": "client_credentials", "client_id": MIX, "client_secret": key, "scope": "api repositories",
    });
    let token = hub.api(Method::POST, "/api/oauth/token", "", Some(exchange)).await.json();
    let device = json!({"client_id": MIX, "scope": "api"});
    let device = hub.api(Method::POST, "/api/oauth/device_authorization", "", Some(device)).await.json();
    hub.let_in(device["user_code"].as_str().unwrap(), "root", &["api"], "").await;
    let poll = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": MIX,
        "device_code": device["device_code"],
    });
    hub.clock.advance(std::time::Duration::from_secs(10));
    let tokens = hub.api(Method::POST, "/api/oauth/token", "", Some(poll)).await.json();
    let made = hub.publish_to_acme(&key, "core", package("core", "1.0.0", "")).await;
    assert_eq!(made.status, 201);
    hub.stop().await;
    let secret = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    assert!(!files_with(&hub.data(), "user:root").is_empty(), "what is stored can be found");
    for (what, secret) in [
        ("an API key", key.clone()),
        ("an API key, without its prefix", key.trim_start_matches("hkk_").to_owned()),
        ("an exchanged token", secret(&token["access_token"])),
        ("an access token", secret(&tokens["access_token"])),
        ("a refresh token", secret(&tokens["refresh_token"])),
        ("a device code", secret(&device["device_code"])),
        ("a password", PASSWORD.to_owned()),
    ] {
        assert_eq!(files_with(&hub.data(), &secret), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_says_of_itself_what_its_latest_stable_release_does() {
    let hub = acme().await;
    let admin = hub.user("root", true).await;
    for (version, licence) in [("2.0.0", "MIT"), ("1.0.1", "Apache-2.0"), ("3.0.0-rc.1", "ISC")] {
        let more = format!("{{<<\"licenses\">>,[<<\"{licence}\">>]}}.");
        assert_eq!(hub.publish_to_acme(&admin, "core", package("core", version, &more)).await.status, 201);
    }
    let shown = hub.api(Method::GET, "/api/repos/acme/packages/core", &admin, None).await.json();
    assert_eq!(shown["meta"]["licenses"], json!(["MIT"]), "{shown}");
    assert_eq!((&shown["latest_version"], &shown["latest_stable_version"]), (&json!("3.0.0-rc.1"), &json!("2.0.0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_makes_a_wider_one() {
    let hub = acme().await;
    hub.user("root", true).await;
    hub.member("wilma", "write").await;
    hub.member("rita", "read").await;
    let owner = Account::User("wilma".to_owned());
    let make = async |key: &str, permissions: &[(&str, Option<&str>)]| {
        let permissions: Vec<_> =
            permissions.iter().map(|(domain, resource)| json!({"domain": domain, "resource": resource})).collect();
        let answer =
            hub.api(Method::POST, "/api/keys", key, Some(json!({"name": "x", "permissions": permissions}))).await;
        answer.status
    };
    let writes = hub.key(owner.clone(), &["api:write"]).await;
    for permissions in [&[("api", Some("read"))][..], &[("api", Some("write"))], &[("package", Some("acme/core"))]] {
        assert_eq!(make(&writes, permissions).await, 401, "only a key for the whole API makes keys: {permissions:?}");
    }
    // With a key for the whole API rebar3 and older mix make those that they fetch with: of all that is wider, that is
    // taken, and from no other key.
    let all = hub.key(owner.clone(), &["api"]).await;
    for permissions in [&[("repositories", None)][..], &[("repository", Some("acme"))]] {
        assert_eq!(make(&all, permissions).await, 201, "{permissions:?}");
        assert_eq!(make(&writes, permissions).await, 401, "{permissions:?}");
    }
    assert_eq!(make(&writes, &[("repository", Some("hexpm")), ("repository", Some("secret"))]).await, 401);
    assert_eq!(make(&all, &[("repository", Some("hexpm")), ("repository", Some("secret"))]).await, 422);
    for narrow in ["api:read", "package:acme/core", "repositories", "repository:acme"] {
        let key = hub.key(owner.clone(), &[narrow]).await;
        for permissions in [&[("api", None)][..], &[("api", Some("read"))], &[("repositories", None)]] {
            assert_eq!(make(&key, permissions).await, 401, "{narrow}: {permissions:?}");
        }
    }
    // A role that is lost narrows every key.
    let (organization, user) = ("acme".to_owned(), "wilma".to_owned());
    hub.order(OrganizationCommand::RemoveMember { organization, user }).await;
    assert_eq!(hub.publish_to_acme(&writes, "core", package("core", "1.0.0", "")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_a_body_before_they_are_known() {
    let hub = acme().await;
    let admin = hub.user("root", true).await;
    let rita = hub.member("rita", "read").await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    let listen = hub.app().addresses().listen;
    let head = |path: &str, key: &str, length: usize| {
        let key = if key.is_empty() { String::new() } else { format!("authorization: {key}\r\n") };
        format!(
            "POST {path} HTTP/1.1\r\nhost: hub\r\nuser-agent: test\r\n{key}expect: 100-continue\r\n\
             content-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let first = async |head: String| {
        let mut stream = TcpStream::connect(listen).await.unwrap();
        raw::ask(&mut stream, head.as_bytes()).await
    };
    let (publish, by_name) = ("/api/repos/acme/publish", "/api/repos/acme/packages/core/releases");
    let docs = "/api/repos/acme/packages/core/releases/1.0.0/docs";
    // The first thing that comes back is the refusal: nobody has asked for the body.
    for (path, key, length, status) in [
        (publish, "", 1000, 401),
        (by_name, "", 1000, 401),
        (docs, "", 1000, 401),
        (publish, "hkk_0", 1000, 401),
        (by_name, &rita, 1000, 403),
        (docs, &rita, 1000, 403),
        (by_name, &admin, 17 << 20, 422),
        (publish, &admin, 17 << 20, 422),
        ("/api/repos/nowhere/publish", &admin, 1000, 404),
    ] {
        let answer = first(head(path, key, length)).await;
        assert_eq!(answer.status, status, "{path} {key:?} {length}");
    }
    for path in [publish, by_name, docs] {
        let answer = first(head(path, &admin, 1000)).await;
        assert_eq!(answer.status, 100, "who may publish is asked for it: {path}");
    }
}
