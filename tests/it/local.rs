//! Local repositories: what is published is there at once, signed, for those who may see it, and stays.

use std::time::Duration;

use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message::{Names, Package, Versions};
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::operations::commands::{Account, GrantCommand, InspectCommand, OrganizationCommand, ReleaseCommand};
use hexkeep::trust::{Origin, PublicKey, verify};
use prost::Message as _;
use reqwest::Method;
use serde_json::json;

use super::support::hub::{Answer, Hub, Wishes};
use super::support::local::{PASSWORD, basic, basic_with, docs, package};

const HOUR: Duration = Duration::from_secs(3600);

async fn acme(settings: &str) -> Hub {
    Hub::with(Wishes { more: vec![format!("acme: {{ type: local{settings} }}")], ..Wishes::default() }).await
}

async fn read(hub: &Hub, key: &str, path: &str) -> Answer {
    hub.get_with(&format!("/repos/acme/{path}"), &[("authorization", key)]).await
}

/// The payload of a resource, verified with the key that the server hands out.
async fn payload(hub: &Hub, key: &str, resource: RegistryResource) -> bytes::Bytes {
    let answer = read(hub, key, &resource.path()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let pem = hub.get("/repos/acme/public_key").await.text();
    let public_key = PublicKey::from_pem(&pem).unwrap();
    let repository: RepoName = "acme".parse().unwrap();
    let envelope = Envelope::open(answer.body, resource.max_payload()).unwrap();
    verify(envelope, &[public_key], &Origin { repository: &repository, resource: &resource }).unwrap().payload().clone()
}

async fn names(hub: &Hub, key: &str) -> Vec<String> {
    let names = Names::decode(payload(hub, key, RegistryResource::Names).await).unwrap();
    names.packages.into_iter().map(|package| package.name).collect()
}

async fn versions(hub: &Hub, key: &str) -> Vec<(String, Vec<String>, Vec<i32>)> {
    let versions = Versions::decode(payload(hub, key, RegistryResource::Versions).await).unwrap();
    versions.packages.into_iter().map(|package| (package.name, package.versions, package.retired)).collect()
}

async fn index(hub: &Hub, key: &str, name: &str) -> Package {
    Package::decode(payload(hub, key, RegistryResource::Package(name.parse().unwrap())).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_there_at_once_and_after_a_restart() {
    let mut hub = acme("").await;
    let admin = hub.user("root", true).await;
    assert_eq!(names(&hub, &admin).await, Vec::<String>::new(), "empty and signed before the first publish");
    assert!(versions(&hub, &admin).await.is_empty());

    let tarball = package("core", "1.0.0", "");
    let answer = hub.publish_to_acme(&admin, "core", tarball.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let outer = Sha256::of(&tarball);
    assert_eq!(answer.json()["checksum"], json!(outer.to_string()));
    assert!(answer.header("location").ends_with("/api/repos/acme/packages/core/releases/1.0.0"));

    for round in ["at once", "after a restart"] {
        assert_eq!(names(&hub, &admin).await, ["core"], "{round}");
        assert_eq!(versions(&hub, &admin).await, [("core".to_owned(), vec!["1.0.0".to_owned()], vec![])], "{round}");
        let index = index(&hub, &admin, "core").await;
        assert_eq!(index.releases[0].outer_checksum(), outer.as_bytes(), "{round}");
        assert!(index.releases[0].published_at.is_some());
        let fetched = read(&hub, &admin, "tarballs/core-1.0.0.tar").await;
        assert_eq!((fetched.status, &fetched.body), (200, &tarball), "{round}");
        assert_eq!(fetched.header("etag"), format!("\"{outer}\""));
        assert!(fetched.header("cache-control").starts_with("private"), "{}", fetched.header("cache-control"));
        hub.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    let (writer, reader) = (hub.member("wilma", "write").await, hub.member("rita", "read").await);
    let stranger = hub.user("sam", false).await;
    let narrow = hub.key(Account::User("wilma".to_owned()), &["api:read"]).await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);

    let callers = [
        ("", 401, 401, 401),
        ("hkk_00000000000000000000000000000000", 401, 401, 401),
        ("foreign", 401, 401, 401),
        (stranger.as_str(), 403, 404, 404),
        (reader.as_str(), 200, 200, 403),
        (narrow.as_str(), 403, 200, 401),
        (writer.as_str(), 200, 200, 201),
        (admin.as_str(), 200, 200, 201),
    ];
    for (next, (key, fetch, show, publish)) in callers.into_iter().enumerate() {
        assert_eq!(read(&hub, key, "packages/core").await.status, fetch, "fetch with {key}");
        let shown = hub.api(Method::GET, "/api/repos/acme/packages/core", key, None).await;
        assert_eq!(shown.status, show, "show with {key}: {}", shown.text());
        let name = format!("p{next}");
        let answer = hub.publish_to_acme(key, &name, package(&name, "1.0.0", "")).await;
        assert_eq!(answer.status, publish, "publish with {key}: {}", answer.text());
    }
    let anonymous = hub.publish_to_acme("", "core", package("core", "1.1.0", "")).await;
    assert_eq!(anonymous.header("www-authenticate"), "Basic realm=hex");
    // Whether a repository exists is not said to those who may not write anywhere.
    let nowhere = "/api/repos/nowhere/packages/core/releases";
    assert_eq!(
        hub.call(Method::POST, nowhere, "", "application/octet-stream", Some(package("core", "1.0.0", "")))
            .await
            .status,
        401
    );
    assert_eq!(
        hub.call(Method::POST, nowhere, &admin, "application/octet-stream", Some(package("core", "1.0.0", "")))
            .await
            .status,
        404
    );
    // hexpm is a remote: nothing can be published to it.
    let remote = hub
        .call(Method::POST, "/api/publish", &admin, "application/octet-stream", Some(package("core", "1.0.0", "")))
        .await;
    assert_eq!(remote.status, 403, "{}", remote.text());
    assert!(remote.text().contains("publish to acme with: mix hex.publish --organization acme"), "{}", remote.text());
    let wrong = hub.call(Method::PUT, "/repos/acme/tarballs/core.tgz", &admin, "application/octet-stream", None).await;
    assert!(wrong.status == 404 && wrong.text().contains("upload it as NAME-VERSION.tar"), "{}", wrong.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_in_every_form() {
    let hub = acme("").await;
    let key = hub.user("root", true).await;
    for credential in
        [key.clone(), format!("Bearer {key}"), basic_with("anything", &key), basic_with(&key, ""), basic("root")]
    {
        let me = hub.api(Method::GET, "/api/users/me", &credential, None).await;
        assert_eq!((me.status, me.json()["username"].as_str()), (200, Some("root")), "{credential}: {}", me.text());
        assert_eq!(read(&hub, &credential, "names").await.status, 200, "{credential}");
    }
    assert_eq!(hub.api(Method::GET, "/api/users/me", &basic_with("root", "wrong"), None).await.status, 401);
    // What was meant for another server is nobody's where everybody may read, and never a reason to refuse.
    assert_ne!(hub.get_with("/packages/nothing", &[("authorization", "Bearer foreign")]).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_replaced_within_its_window_and_said_no_to_after() {
    let hub = acme("").await;
    hub.user("root", true).await;
    let writer = hub.member("wilma", "write").await;
    let publish = async |replace: &str, more: &str| {
        let path = format!("/api/repos/acme/publish{replace}");
        let tarball = package("core", "1.0.0", more);
        hub.call(Method::POST, &path, &writer, "application/x-tar", Some(tarball)).await
    };
    assert_eq!(publish("", "").await.status, 201);
    let refused = publish("?replace=false", "% other").await;
    assert_eq!(refused.status, 422);
    let message = "must include the --replace flag to update an existing release";
    assert_eq!(refused.json()["errors"]["inserted_at"], json!(message));
    let born = index(&hub, &writer, "core").await.releases[0].published_at;
    assert_eq!(publish("?replace=true", "% other").await.status, 200);
    let replaced = index(&hub, &writer, "core").await;
    assert_eq!(replaced.releases[0].published_at, born, "a replacement keeps the time");
    assert_eq!(replaced.releases[0].outer_checksum(), Sha256::of(&package("core", "1.0.0", "% other")).as_bytes());

    hub.clock.advance(25 * HOUR);
    let late = publish("?replace=true", "% late").await;
    assert_eq!(late.status, 422);
    let message = "can only modify a release up to one hour after publication";
    assert_eq!(late.json()["errors"]["inserted_at"], json!(message));
    let revert = hub.api(Method::DELETE, "/api/repos/acme/packages/core/releases/1.0.0", &writer, None).await;
    assert_eq!(revert.status, 422);
    assert_eq!(read(&hub, &writer, "tarballs/core-1.0.0.tar").await.status, 200, "nothing was lost by being refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverted_version_is_not_filled_with_other_bytes() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    let writer = hub.member("wilma", "write").await;
    let publish =
        async |key: &str, more: &str| hub.publish_to_acme(key, "core", package("core", "1.0.0", more)).await.status;
    let revert = async |key: &str| {
        hub.api(Method::DELETE, "/api/repos/acme/packages/core/releases/1.0.0", key, None).await.status
    };
    assert_eq!(publish(&writer, "").await, 201);
    assert_eq!(revert(&writer).await, 204);
    assert_eq!(names(&hub, &admin).await, Vec::<String>::new(), "a package without releases is nowhere");
    assert_eq!(read(&hub, &admin, "packages/core").await.status, 404);
    assert_eq!(publish(&writer, "% other").await, 422, "the version has been seen with other bytes");
    assert_eq!(publish(&writer, "").await, 201, "the same bytes may come back");
    let (repository, name) = ("acme".to_owned(), "core".to_owned());
    assert_eq!(revert(&writer).await, 204);
    let allow =
        ReleaseCommand::Allow { repository: repository.clone(), package: name.clone(), version: "1.0.0".to_owned() };
    hub.order(allow).await;
    assert_eq!(publish(&writer, "% other").await, 201, "unless an administrator lets it");
    let removal = ReleaseCommand::Remove {
        repository,
        package: name,
        version: Some("1.0.0".to_owned()),
        reason: "malware".to_owned(),
    };
    hub.order(removal).await;
    assert_eq!(publish(&admin, "% other").await, 422, "what an administrator removed does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn retirement_is_in_both_indexes() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    for version in ["1.0.0", "1.1.0", "1.10.0"] {
        assert_eq!(hub.publish_to_acme(&admin, "core", package("core", version, "")).await.status, 201);
    }
    let path = "/api/repos/acme/packages/core/releases/1.1.0/retire";
    let retire = async |body| hub.api(Method::POST, path, &admin, Some(body)).await;
    assert_eq!(retire(json!({"reason": "security", "message": "broken"})).await.status, 204);
    let expected: Vec<String> = ["1.0.0", "1.1.0", "1.10.0"].map(str::to_owned).into();
    assert_eq!(
        versions(&hub, &admin).await,
        [("core".to_owned(), expected.clone(), vec![1])],
        "ascending, with its place"
    );
    let retired = index(&hub, &admin, "core").await.releases[1].retired.clone().unwrap();
    assert_eq!((retired.reason, retired.message.as_deref()), (2, Some("broken")));
    let shown = hub.api(Method::GET, "/api/repos/acme/packages/core", &admin, None).await.json();
    assert_eq!(shown["retirements"]["1.1.0"]["reason"], json!("security"));
    assert_eq!(shown["latest_version"], json!("1.10.0"));
    for (body, field) in [
        (json!({"reason": "boredom"}), "reason"),
        (json!({}), "reason"),
        (json!({"reason": "other", "message": "no"}), "message"),
    ] {
        let refused = retire(body).await;
        assert!(
            refused.status == 422 && refused.json()["errors"]["retirement"][field].is_string(),
            "{}",
            refused.text()
        );
    }
    assert_eq!(hub.api(Method::DELETE, path, &admin, None).await.status, 204);
    assert_eq!(versions(&hub, &admin).await, [("core".to_owned(), expected, vec![])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_are_published_replaced_and_taken_back() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    let path = "/api/repos/acme/packages/core/releases/1.0.0/docs";
    let put = async |bytes| hub.call(Method::POST, path, &admin, "application/octet-stream", Some(bytes)).await;
    assert_eq!(read(&hub, &admin, "docs/core-1.0.0.tar.gz").await.status, 404);
    for text in ["first", "second"] {
        let answer = put(docs(text)).await;
        assert_eq!((answer.status, answer.body.len()), (201, 0), "{}", answer.text());
        assert!(answer.header("location").ends_with("/repos/acme/docs/core-1.0.0.tar.gz"));
        assert_eq!(read(&hub, &admin, "docs/core-1.0.0.tar.gz").await.body, docs(text));
    }
    assert_eq!(put("not an archive".into()).await.status, 422);
    assert_eq!(hub.api(Method::DELETE, path, &admin, None).await.status, 204);
    assert_eq!(read(&hub, &admin, "docs/core-1.0.0.tar.gz").await.status, 404);
    let missing = "/api/repos/acme/packages/core/releases/2.0.0/docs";
    let answer = hub.call(Method::POST, missing, &admin, "application/octet-stream", Some(docs("x"))).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_docs_alone_fetches_docs_alone() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    hub.member("rita", "read").await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    let path = "/api/repos/acme/packages/core/releases/1.0.0/docs";
    let put = hub.call(Method::POST, path, &admin, "application/octet-stream", Some(docs("text"))).await;
    assert_eq!(put.status, 201, "{}", put.text());
    for (permission, fetched, others) in [("docs:acme", 200, 403), ("docs:other", 403, 403), ("repositories", 200, 200)]
    {
        let key = hub.key(Account::User("rita".to_owned()), &[permission]).await;
        assert_eq!(read(&hub, &key, "docs/core-1.0.0.tar.gz").await.status, fetched, "{permission}");
        for resource in ["names", "packages/core", "tarballs/core-1.0.0.tar"] {
            assert_eq!(read(&hub, &key, resource).await.status, others, "{permission}: {resource}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_know_where_they_live() {
    let mut hub = acme("").await;
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    let admin = hub.user("root", true).await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    let requirement = |name: &str, repository: &str| {
        format!(
            "{{<<\"requirements\">>,[[{{<<\"name\">>,<<\"{name}\">>}},{{<<\"requirement\">>,<<\"~> 1.0\">>}},\
             {{<<\"optional\">>,false}},{{<<\"repository\">>,<<\"{repository}\">>}}]]}}."
        )
    };
    // mix writes hexpm for whatever names no repository.
    let own = package("web", "1.0.0", &requirement("core", "hexpm"));
    assert_eq!(hub.publish_to_acme(&admin, "web", own).await.status, 201);
    let dependency = index(&hub, &admin, "web").await.releases[0].dependencies[0].clone();
    assert_eq!((dependency.package.as_str(), dependency.repository, dependency.optional), ("core", None, None));
    let public = package("api", "1.0.0", &requirement("plug", "hexpm"));
    assert_eq!(hub.publish_to_acme(&admin, "api", public).await.status, 201);
    let dependency = index(&hub, &admin, "api").await.releases[0].dependencies[0].clone();
    assert_eq!(dependency.repository.as_deref(), Some("hexpm"));
    assert!(hub.upstream.calls_to("/packages/plug").is_empty(), "nobody learns what is looked for");
    for (name, repository) in [("nothing", "hexpm"), ("plug", "elsewhere")] {
        let refused = hub.publish_to_acme(&admin, "bad", package("bad", "1.0.0", &requirement(name, repository))).await;
        assert_eq!(refused.status, 422, "{name} {repository}");
        assert!(refused.json()["errors"]["requirements"][name].is_string(), "{}", refused.text());
    }
    let last = hub.api(Method::DELETE, "/api/repos/acme/packages/core/releases/1.0.0", &admin, None).await;
    assert_eq!(last.status, 422, "another package depends on it");
    assert_eq!(
        last.json()["errors"]["name"],
        json!("you cannot delete this package because other packages depend on it")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_upload_is_said() {
    let hub = acme(", exclude: [\"secret_*\"], allow_new_packages: true").await;
    let admin = hub.user("root", true).await;
    let publish = async |name: &str, bytes: bytes::Bytes| hub.publish_to_acme(&admin, name, bytes).await;
    for (name, bytes, field) in [
        ("core", bytes::Bytes::from_static(b"nothing"), "tar"),
        ("core", package("other", "1.0.0", ""), "name"),
        ("mix", package("mix", "1.0.0", ""), "name"),
        ("secret_core", package("secret_core", "1.0.0", ""), "name"),
        ("core", package("core", "1.0", ""), "version"),
        ("core", package("core", "1.0.0+build", ""), "version"),
        ("core", bytes::Bytes::from(vec![0; 17 << 20]), "tar"),
        ("core", package("core", "1.0.0", "{<<\"requirements\">>,[[{<<\"name\">>,<<\"plug\">>}]]}."), "requirements"),
    ] {
        let answer = publish(name, bytes).await;
        assert_eq!(answer.status, 422, "{name} {field}: {}", answer.text());
        let error = answer.json()["errors"][field].clone();
        let error = error.get("plug").cloned().unwrap_or(error);
        assert!(error.is_string(), "{name} {field}: {}", answer.text());
    }
    assert_eq!(names(&hub, &admin).await, Vec::<String>::new());
    assert!(hub.files().iter().all(|file| !file.starts_with("tmp/")), "{:?}", hub.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_is_put_without_a_client() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    let put = async |path: &str, version: &str| {
        let tarball = package("core", version, "");
        hub.call(Method::PUT, path, &admin, "application/octet-stream", Some(tarball)).await.status
    };
    assert_eq!(put("/repos/acme/tarballs/", "1.0.0").await, 201);
    assert_eq!(put("/repos/acme/tarballs/core-1.1.0.tar", "1.1.0").await, 201);
    assert_eq!(put("/repos/acme/tarballs/core-1.2.0.tar", "1.3.0").await, 422);
    assert_eq!(put("/tarballs/core-1.2.0.tar", "1.2.0").await, 403, "that one is a remote");
    assert_eq!(versions(&hub, &admin).await[0].1, ["1.0.0", "1.1.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_added_changed_and_removed() {
    let hub = acme("").await;
    hub.user("root", true).await;
    let (wilma, rita) = (hub.member("wilma", "write").await, hub.member("rita", "read").await);
    hub.user("sam", false).await;
    assert_eq!(hub.publish_to_acme(&wilma, "core", package("core", "1.0.0", "")).await.status, 201);
    let owner = async |method, name: &str, key: &str, body| {
        hub.api(method, &format!("/api/repos/acme/packages/core/owners/{name}"), key, body).await
    };
    assert_eq!(hub.publish_to_acme(&rita, "core", package("core", "1.1.0", "")).await.status, 403);
    assert_eq!(owner(Method::PUT, "rita", &rita, None).await.status, 403);
    assert_eq!(owner(Method::PUT, "rita", &wilma, Some(json!({"level": "maintainer"}))).await.status, 204);
    assert_eq!(
        hub.publish_to_acme(&rita, "core", package("core", "1.1.0", "")).await.status,
        201,
        "an owner may publish"
    );
    assert_eq!(owner(Method::PUT, "sam", &wilma, None).await.status, 422, "sam may not read the repository");
    assert_eq!(owner(Method::PUT, "nobody", &wilma, None).await.status, 404);
    assert_eq!(owner(Method::DELETE, "wilma", &wilma, None).await.status, 422, "the last full owner stays");
    let listed = hub.api(Method::GET, "/api/repos/acme/packages/core/owners", &wilma, None).await.json();
    let listed: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| (one["username"].clone(), one["level"].clone())).collect();
    assert_eq!(listed, [(json!("rita"), json!("maintainer")), (json!("wilma"), json!("full"))]);
    let shown = owner(Method::GET, "rita", &wilma, None).await.json();
    assert_eq!(shown["email"], json!("rita"), "mix shows an address alone: whoever has none is shown by name");
    assert_eq!(owner(Method::PUT, "rita", &wilma, Some(json!({"level": "full", "transfer": true}))).await.status, 204);
    assert_eq!(owner(Method::GET, "wilma", &rita, None).await.status, 404);
}

/// mix asks at the first publish who is to own a package, offers the user's organizations, and transfers it to the one
/// that is chosen.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_transferred_to_its_organization() {
    let mut hub = acme("").await;
    let root = hub.user("root", true).await;
    let (wilma, walt) = (hub.member("wilma", "write").await, hub.member("walt", "write").await);
    let ada = hub.member("ada", "admin").await;
    hub.order(OrganizationCommand::Add { name: "elsewhere".to_owned(), admin: None }).await;
    assert_eq!(hub.publish_to_acme(&wilma, "core", package("core", "1.0.0", "")).await.status, 201);
    let put = async |key: &str, name: &str, body| {
        hub.api(Method::PUT, &format!("/api/repos/acme/packages/core/owners/{name}"), key, Some(body)).await
    };
    let transfer = json!({"level": "full", "transfer": true});
    for (key, name, body, status, field) in [
        (&wilma, "acme", json!({"level": "full"}), 422, "username"),
        (&wilma, "acme", json!({"level": "maintainer", "transfer": true}), 422, "level"),
        (&wilma, "elsewhere", transfer.clone(), 422, "username"),
        (&wilma, "nobody", transfer.clone(), 404, ""),
        (&walt, "acme", transfer.clone(), 403, ""),
    ] {
        let refused = put(key, name, body).await;
        assert_eq!(refused.status, status, "{name}: {}", refused.text());
        assert!(field.is_empty() || refused.json()["errors"][field].is_string(), "{name}: {}", refused.text());
    }
    assert_eq!(put(&wilma, "acme", transfer.clone()).await.status, 204);
    assert_eq!(put(&ada, "acme", transfer).await.status, 204, "once more changes nothing");

    hub.restart().await;
    let get =
        async |path: &str| hub.api(Method::GET, &format!("/api/repos/acme/packages/core{path}"), &walt, None).await;
    let owners = get("/owners").await.json();
    assert_eq!(owners.as_array().unwrap().len(), 1, "{owners}");
    let expected = (json!("acme"), json!("full"), json!("acme"));
    assert_eq!((owners[0]["username"].clone(), owners[0]["level"].clone(), owners[0]["email"].clone()), expected);
    assert_eq!(get("/owners/acme").await.json()["level"], "full");
    assert_eq!(get("/owners/wilma").await.status, 404);
    assert_eq!(get("").await.json()["owners"][0]["username"], "acme");
    let log = get("/audit-logs").await.text();
    assert!(log.contains("owner.transfer"), "{log}");
    // Its members go on by their roles.
    assert_eq!(hub.publish_to_acme(&walt, "core", package("core", "1.1.0", "")).await.status, 201);
    let own = "/api/repos/acme/packages/core/owners/walt";
    assert_eq!(hub.api(Method::PUT, own, &wilma, None).await.status, 403, "who only writes owns it no more");
    let last = hub.api(Method::DELETE, "/api/repos/acme/packages/core/owners/acme", &ada, None).await;
    assert_eq!((last.status, last.json()["errors"]["username"].is_string()), (422, true), "{}", last.text());
    // It stays the organization's when everything is read from the files again.
    hub.order(ReleaseCommand::Reindex { repository: "acme".to_owned() }).await;
    assert_eq!(hub.api(Method::GET, own, &root, None).await.status, 404);
    assert_eq!(hub.api(Method::PUT, own, &ada, None).await.status, 204);
    let owners = hub.api(Method::GET, "/api/repos/acme/packages/core/owners", &root, None).await.json();
    assert_eq!((owners.as_array().unwrap().len(), owners[0]["username"].clone()), (1, json!("walt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_no_wider_than_their_maker() {
    let hub = acme("").await;
    hub.user("root", true).await;
    let wilma = hub.member("wilma", "write").await;
    let make = async |key: &str, body| hub.api(Method::POST, "/api/keys", key, Some(body)).await;
    let made = make(&wilma, json!({"name": "ci", "permissions": [{"domain": "api", "resource": "read"}]})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let narrow = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(narrow.starts_with("hkk_"));
    assert_eq!(made.header("cache-control"), "no-store");
    let again =
        make(&wilma, json!({"name": "ci", "permissions": [{"domain": "repository", "resource": "acme"}]})).await;
    assert_eq!((again.status, again.json()["name"].as_str()), (201, Some("ci-2")));
    assert_eq!(make(&narrow, json!({"name": "wide"})).await.status, 401, "a key that only reads makes none");
    let elsewhere =
        make(&wilma, json!({"name": "x", "permissions": [{"domain": "repository", "resource": "secret"}]})).await;
    assert_eq!(elsewhere.status, 422, "{}", elsewhere.text());
    let auth =
        async |key: &str, query: &str| hub.api(Method::GET, &format!("/api/auth?{query}"), key, None).await.status;
    let fetcher = again.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(auth(&fetcher, "domain=repository&resource=acme").await, 200);
    assert_eq!(auth(&narrow, "domain=repository&resource=acme").await, 401);
    assert_eq!(auth(&fetcher, "").await, 400);
    assert_eq!(hub.api(Method::DELETE, "/api/keys/ci-2", &wilma, None).await.status, 200);
    assert_eq!(read(&hub, &fetcher, "names").await.status, 401, "a revoked key is said to be one, at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_exchanged_for_a_token_that_ends() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    let exchange = async |secret: &str| {
        let body = json!({
            "grant_type": "client_credentials", "client_id": "78ea6566-89fd-481e-a1d6-7d9d78eacca8",
            "client_secret": secret, "scope": "repositories",
        });
        hub.api(Method::POST, "/api/oauth/token", "", Some(body)).await
    };
    let answer = exchange(&admin).await;
    assert_eq!((answer.status, answer.json()["expires_in"].as_u64()), (200, Some(1800)), "{}", answer.text());
    let token = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    assert_eq!(read(&hub, &token, "packages/core").await.status, 200);
    assert_eq!(exchange("hkk_00000000000000000000000000000000").await.status, 401);
    hub.clock.advance(HOUR);
    assert_eq!(read(&hub, &token, "packages/core").await.status, 401);
    let expired = hub.api(Method::GET, "/api/users/me", &token, None).await;
    assert_eq!(expired.header("www-authenticate"), r#"Bearer realm="hex", error="token_expired""#);
    let unknown = hub.api(Method::POST, "/api/oauth/token", "", Some(json!({"grant_type": "magic"}))).await;
    assert_eq!((unknown.status, unknown.json()["error"].as_str()), (400, Some("unsupported_grant_type")));
}

#[tokio::test(flavor = "multi_thread")]
async fn erlang_terms_are_spoken_both_ways() {
    use hexkeep::hex::term::{self, etf};
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    let erlang = "application/vnd.hex+erlang";
    let ask = async |method, path: &str, body: Option<serde_json::Value>| {
        let mut request = hub.client.request(method, format!("{}{path}", hub.url()));
        request = request.header("user-agent", "test").header("authorization", &admin).header("accept", erlang);
        if let Some(body) = body {
            request = request.header("content-type", erlang).body(etf::encode(&term::from_json(&body)));
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/vnd.hex+erlang; charset=utf-8");
        let status = response.status().as_u16();
        (status, term::to_json(etf::decode(&response.bytes().await.unwrap()).unwrap()).unwrap())
    };
    let (status, key) =
        ask(Method::POST, "/api/keys", Some(json!({"name": "k", "permissions": [{"domain": "api"}]}))).await;
    assert_eq!((status, key["name"].as_str()), (201, Some("k")));
    let (status, error) = ask(Method::GET, "/api/repos/acme/packages/nothing", None).await;
    assert_eq!((status, error), (404, json!({"status": 404, "message": "Page not found"})));
    let bomb = hub.call(Method::POST, "/api/keys", &admin, erlang, Some(vec![131, 80, 0, 0, 1, 0, 1].into())).await;
    assert_eq!(bomb.status, 422, "{}", bomb.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_searched() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    for name in ["core", "core_web", "gadgets"] {
        assert_eq!(hub.publish_to_acme(&admin, name, package(name, "1.0.0", "")).await.status, 201);
    }
    let search = async |path: &str, key: &str| {
        let found = hub.api(Method::GET, path, key, None).await.json();
        found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(search("/api/repos/acme/packages?search=core", &admin).await, ["core", "core_web"]);
    assert_eq!(search("/api/packages?search=name:*web&sort=downloads", &admin).await, ["core_web"]);
    assert_eq!(search("/api/repos/acme/packages?per_page=1&page=2", &admin).await, ["core_web"]);
    assert_eq!(search("/api/repos/acme/packages?per_page=0&page=9", &admin).await, Vec::<String>::new());
    assert_eq!(search("/api/packages", "").await, Vec::<String>::new(), "nothing is open to everybody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_limits_what_is_seen() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    let sam = hub.user("sam", false).await;
    for name in ["core", "gadgets"] {
        assert_eq!(hub.publish_to_acme(&admin, name, package(name, "1.0.0", "")).await.status, 201);
    }
    let owner = Account::User("sam".to_owned());
    hub.order(GrantCommand::Add { owner, repository: "acme".to_owned(), pattern: "co*".to_owned() }).await;
    assert_eq!(names(&hub, &sam).await, ["core"]);
    assert_eq!(versions(&hub, &sam).await.len(), 1);
    assert_eq!(read(&hub, &sam, "packages/core").await.status, 200);
    for path in ["packages/gadgets", "tarballs/gadgets-1.0.0.tar"] {
        assert_eq!(read(&hub, &sam, path).await.status, 404, "{path}");
    }
    assert_eq!(names(&hub, &admin).await, ["core", "gadgets"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_made_anew_from_its_files() {
    let mut hub = acme("").await;
    let admin = hub.user("root", true).await;
    for (name, version) in [("core", "1.0.0"), ("core", "1.1.0"), ("gone", "1.0.0")] {
        assert_eq!(hub.publish_to_acme(&admin, name, package(name, version, "")).await.status, 201);
    }
    let path = "/api/repos/acme/packages/core/releases/1.0.0/retire";
    assert_eq!(hub.api(Method::POST, path, &admin, Some(json!({"reason": "deprecated"}))).await.status, 204);
    assert_eq!(hub.api(Method::DELETE, "/api/repos/acme/packages/gone/releases/1.0.0", &admin, None).await.status, 204);
    let before = read(&hub, &admin, "packages/core").await;

    hub.stop().await;
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = std::fs::remove_file(hub.data().join(file));
    }
    hub.launch().await;
    let admin = hub.user("root", true).await;
    assert_eq!(names(&hub, &admin).await, Vec::<String>::new());
    let done = hub.order(ReleaseCommand::Reindex { repository: "acme".to_owned() }).await;
    assert!(!done.failed, "{done:?}");
    assert_eq!(names(&hub, &admin).await, ["core"], "what was reverted stays away");
    assert_eq!(read(&hub, &admin, "packages/core").await.body, before.body, "the same signed bytes");
    assert_eq!(read(&hub, &admin, "tarballs/core-1.1.0.tar").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_written_down() {
    let hub = acme("").await;
    let admin = hub.user("root", true).await;
    assert_eq!(hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await.status, 201);
    let log = hub.api(Method::GET, "/api/repos/acme/packages/core/audit-logs", &admin, None).await.json();
    assert_eq!(log[0]["action"], json!("release.publish"));
    assert_eq!((&log[0]["actor"], &log[0]["credential"]), (&json!("user:root"), &json!("key:test")));
    let lines =
        hub.order(InspectCommand::Audit { repository: Some("acme".to_owned()), account: None, page: 1 }).await.lines;
    assert!(lines.iter().any(|line| line.contains("release.publish") && line.contains("user:root")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_let_in_at_the_page() {
    let hub = acme("").await;
    hub.user("root", true).await;
    let client = "78ea6566-89fd-481e-a1d6-7d9d78eacca8";
    let ask = json!({"client_id": client, "scope": "api repositories", "name": "<b>laptop"});
    let device = hub.api(Method::POST, "/api/oauth/device_authorization", "", Some(ask)).await.json();
    let code = device["user_code"].as_str().unwrap();
    assert_eq!(code.len(), 8);
    let poll = async || {
        hub.clock.advance(Duration::from_secs(6));
        let body = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": client,
            "device_code": device["device_code"],
        });
        hub.api(Method::POST, "/api/oauth/token", "", Some(body)).await
    };
    assert_eq!(poll().await.json()["error"], json!("authorization_pending"));
    let shown = hub.get(&format!("/oauth/device?user_code={}", code.to_lowercase())).await;
    assert!(shown.status == 200 && shown.text().contains("&lt;b&gt;laptop"), "{}", shown.text());
    assert!(shown.header("content-security-policy").contains("frame-ancestors 'none'"));
    let send = async |password: &str| hub.let_in_with(code, ("root", password), &["api"], "").await;
    assert_eq!(send("wrong").await.status, 403);
    assert_eq!(poll().await.json()["error"], json!("authorization_pending"), "a wrong password lets nobody in");
    let done = send(PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let tokens = poll().await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let bearer = format!("Bearer {}", tokens.json()["access_token"].as_str().unwrap());
    assert_eq!(hub.api(Method::GET, "/api/users/me", &bearer, None).await.json()["username"], json!("root"));
    assert_eq!(poll().await.json()["error"], json!("invalid_grant"), "a code is good once");
    let refresh = json!({
        "grant_type": "refresh_token", "client_id": client, "refresh_token": tokens.json()["refresh_token"],
    });
    assert_eq!(hub.api(Method::POST, "/api/oauth/token", "", Some(refresh.clone())).await.status, 200);
    assert_ne!(hub.api(Method::POST, "/api/oauth/token", "", Some(refresh)).await.status, 200, "so is a refresh token");
    assert_eq!(hub.get("/oauth/device?user_code=AAAAAAAA").await.status, 404);
}
