//! What is united, in which order, and that the same members make the same bytes everywhere.

use std::time::{Duration, SystemTime};

use hexkeep::operations::commands::ReleaseCommand;
use serde_json::json;

use super::*;
use crate::support::registry::{TEST_KEY, tarball};

const SEALED: &str = "hexkeep_sealed_total{repository=\"hexpm\"}";

#[tokio::test(flavor = "multi_thread")]
async fn private_and_public_packages_come_from_one_signed_registry() {
    let mut hub = drop_in(", deploy_to: acme").await;
    let jason = hub.registry.add("jason", "1.4.4");
    hub.registry.add("plug", "1.0.0");
    hub.registry.package_mut("plug").releases[0].dependencies = vec![depends("jason")];
    hub.publish();
    let key = hub.user("root", true).await;
    let util = hub.published_here(&key, "acme_util", "1.0.0").await;
    let answer = hub.publish_here(&key, "acme_core", "1.0.0", &requires("acme_util")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = hub.publish_here(&key, "acme_web", "1.0.0", &requires("jason")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());

    for round in ["at once", "after a restart, without the upstream"] {
        assert_eq!(hub.listed(&key).await, ["acme_core", "acme_util", "acme_web", "jason", "plug"], "{round}");
        // The view answers all of them itself, so none names a repository.
        for (name, depends_on) in [("acme_core", "acme_util"), ("acme_web", "jason"), ("plug", "jason")] {
            let shown = hub.shown(&key, name).await;
            assert_eq!(dependencies(&shown), [(depends_on.to_owned(), None)], "{name} {round}");
            assert_eq!((shown.name.as_str(), shown.repository.as_str()), (name, "hexpm"));
        }
        for (path, bytes) in [("/tarballs/jason-1.4.4.tar", &jason), ("/tarballs/acme_util-1.0.0.tar", &util)] {
            let answer = hub.fetch(&key, path).await;
            assert_eq!((answer.status, &answer.body), (200, bytes), "{path} {round}");
            assert_eq!(answer.header("etag"), etag_of(bytes));
            assert!(answer.header("cache-control").starts_with("private"), "{}", answer.header("cache-control"));
        }
        if round == "at once" {
            hub.upstream.switch_off().await;
            hub.restart().await;
        }
    }
    // In its own repository a package says where its dependencies live.
    let resource = RegistryResource::Package("acme_web".parse().unwrap());
    let own = Package::decode(hub.payload(&key, "/repos/acme", "acme", &resource).await).unwrap();
    assert_eq!(dependencies(&own), [("jason".to_owned(), Some("hexpm".to_owned()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_member_owns_a_package_or_releases_are_united() {
    let mut one = Elsewhere::new("one").await;
    let mut two = Elsewhere::new("two").await;
    one.registry.add("shared", "1.0.0");
    one.registry.add("shared", "1.10.0");
    two.registry.add("shared", "1.2.0");
    // The same version in two ways.
    let (theirs, inner) = tarball("shared", "1.10.0", 512, 9);
    two.registry.add_bytes("shared", "1.10.0", theirs, inner);
    let only_two = two.registry.add("second", "2.0.0");
    one.publish();
    two.publish();
    for (merge, releases) in [("package", vec!["1.0.0", "1.10.0"]), ("release", vec!["1.0.0", "1.2.0", "1.10.0"])] {
        let hub = united(&format!("members: [one, two], merge: {merge}"), &[one.line(""), two.line("")]).await;
        assert_eq!(hub.releases("", "shared").await, releases, "{merge}");
        assert_eq!(hub.listed("").await, ["second", "shared"], "{merge}");
        let versions = hub.versions("").await;
        assert_eq!(versions[1], ("shared".to_owned(), releases.iter().map(|v| (*v).to_owned()).collect()), "{merge}");
        // In conflict the member of higher priority wins, in index and file alike.
        let shown = hub.shown("", "shared").await;
        let fetched = hub.get("/tarballs/shared-1.10.0.tar").await;
        let release = shown.releases.iter().find(|release| release.version == "1.10.0").unwrap();
        assert_eq!(release.outer_checksum(), Sha256::of(&fetched.body).as_bytes(), "{merge}");
        assert_eq!(fetched.body, tarball("shared", "1.10.0", 1024, 0).0, "{merge}");
        let status = hub.get("/tarballs/shared-1.2.0.tar").await.status;
        assert_eq!(status, if merge == "release" { 200 } else { 404 }, "{merge}");
        assert_eq!(hub.get("/tarballs/second-2.0.0.tar").await.body, only_two);
        assert!(hub.get("/packages/shared").await.header("cache-control").starts_with("public"), "all of it is open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_cross_the_guard_where_it_is_written() {
    let settings = ", deploy_to: acme, merge: release, merge_across: [jason], allow_shadow: [jason, plug]";
    let mut hub = drop_in(settings).await;
    for (name, version) in [("jason", "1.0.0"), ("jason", "1.1.0"), ("plug", "1.0.0")] {
        hub.registry.add(name, version);
    }
    hub.publish();
    let key = hub.user("root", true).await;
    let patched = hub.published_here(&key, "jason", "1.1.0").await;
    hub.published_here(&key, "jason", "1.0.1").await;
    hub.published_here(&key, "plug", "9.0.0").await;
    assert_eq!(hub.releases(&key, "jason").await, ["1.0.0", "1.0.1", "1.1.0"]);
    assert_eq!(hub.fetch(&key, "/tarballs/jason-1.1.0.tar").await.body, patched, "the private release wins");
    assert_eq!(hub.fetch(&key, "/tarballs/jason-1.0.0.tar").await.status, 200);
    assert_eq!(hub.releases(&key, "plug").await, ["9.0.0"]);
    assert_eq!(hub.fetch(&key, "/tarballs/plug-1.0.0.tar").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn build_metadata_make_no_other_version_of_a_private_one() {
    let mut hub = drop_in(", deploy_to: acme, merge: release, merge_across: [solo], allow_shadow: [solo]").await;
    for version in ["1.0.0+evil", "1.0.0-rc.1", "1.1.0", "1.1.0+b"] {
        hub.registry.add("solo", version);
    }
    hub.publish();
    let key = hub.user("root", true).await;
    let private = hub.published_here(&key, "solo", "1.0.0").await;
    let expected = ["1.0.0-rc.1", "1.0.0", "1.1.0", "1.1.0+b"];
    assert_eq!(hub.releases(&key, "solo").await, expected);
    assert_eq!(hub.versions(&key).await, [("solo".to_owned(), expected.map(str::to_owned).to_vec())]);
    assert_eq!(hub.fetch(&key, "/tarballs/solo-1.0.0.tar").await.body, private);
    for version in ["1.0.0+evil", "1.0.0%2Bevil"] {
        assert_eq!(hub.fetch(&key, &format!("/tarballs/solo-{version}.tar")).await.status, 404, "{version}");
    }
    assert_eq!(hub.fetch(&key, "/tarballs/solo-1.1.0+b.tar").await.status, 200);
    // Also where the caller may not see the private release.
    let stranger = hub.user("sam", false).await;
    assert_eq!(hub.fetch(&stranger, "/tarballs/solo-1.0.0+evil.tar").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_repositories_have_virtual_members() {
    let mut other = Elsewhere::new("other").await;
    other.registry.add("extra", "1.0.0");
    other.registry.add("core", "6.6.6");
    other.publish();
    let inner = "inner: { type: virtual, members: [acme, upstream], deploy_to: acme }".to_owned();
    let mut hub = united("members: [other, inner]", &[inner, other.line("")]).await;
    let jason = hub.registry.add("jason", "1.0.0");
    hub.publish();
    let key = hub.user("root", true).await;
    let answer = hub
        .call(
            Method::POST,
            "/api/repos/inner/packages/core/releases",
            &key,
            "application/octet-stream",
            Some(package("core", "1.0.0", "")),
        )
        .await;
    // Nobody inside hides what outsiders have in a repository around this one.
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(hub.publish_to_acme(&key, "ours", package("ours", "1.0.0", "")).await.status, 201);
    assert_eq!(hub.listed(&key).await, ["core", "extra", "jason", "ours"]);
    assert_eq!(hub.fetch(&key, "/tarballs/jason-1.0.0.tar").await.body, jason);
    assert_eq!(hub.fetch(&key, "/tarballs/ours-1.0.0.tar").await.status, 200);
    // What is private below is private above, whoever comes first.
    other.registry.add("ours", "99.0.0");
    other.publish();
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(hub.releases(&key, "ours").await, ["1.0.0"]);
    assert_eq!(hub.fetch(&key, "/tarballs/ours-99.0.0.tar").await.status, 404);
    let stranger = hub.user("sam", false).await;
    assert_eq!(hub.fetch(&stranger, "/packages/ours").await.status, 403);
    assert_eq!(hub.listed(&stranger).await, ["core", "extra", "jason"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_seen_through_their_patterns() {
    let settings = "members: [{ repository: acme, exclude: [secret_*] }, { repository: upstream, include: [\"j*\"] }], \
                    deploy_to: acme, exclude: [java]";
    let mut hub = united(settings, &[]).await;
    for name in ["jason", "java", "plug", "secret_x"] {
        hub.registry.add(name, "1.0.0");
    }
    hub.publish();
    let key = hub.user("root", true).await;
    hub.published_here(&key, "ours", "1.0.0").await;
    let unseen = hub.publish_here(&key, "secret_y", "1.0.0", "").await;
    assert_eq!(unseen.status, 422, "nobody would see it here: {}", unseen.text());
    assert_eq!(hub.publish_to_acme(&key, "secret_y", package("secret_y", "1.0.0", "")).await.status, 201);
    assert_eq!(hub.listed(&key).await, ["jason", "ours"]);
    for (name, status) in
        [("jason", 200), ("ours", 200), ("java", 404), ("plug", 404), ("secret_x", 404), ("secret_y", 404)]
    {
        assert_eq!(hub.fetch(&key, &format!("/packages/{name}")).await.status, status, "{name}");
        assert_eq!(hub.fetch(&key, &format!("/tarballs/{name}-1.0.0.tar")).await.status, status, "{name}");
    }
}

/// Two machines with the same signing key, members and packages.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_members_make_the_same_bytes_on_any_machine() {
    let mut tags = Vec::new();
    for round in 0..2 {
        let mut instead: Vec<String> = MEMBERS.iter().map(|member| (*member).to_owned()).collect();
        let mut other = Elsewhere::new("other").await;
        other.registry.add("extra", "1.0.0");
        other.registry.add("jason", "2.0.0");
        other.publish();
        instead[1] = other.line("");
        instead.push("hexpm: { type: virtual, members: [upstream, other], merge: release }".to_owned());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("signing.pem"), TEST_KEY).unwrap();
        let signing = folder.path().join("signing.pem");
        let top = format!("signing: {{ keys: [{{ id: k1, file: \"{}\" }}], active: k1 }}\n", signing.display());
        let mut hub = Hub::with(Wishes { instead, top, ..Wishes::default() }).await;
        for version in ["1.0.0", "1.1.0"] {
            hub.registry.add("jason", version);
        }
        hub.publish();
        let mut found = Vec::new();
        let paths = ["/packages/jason", "/names", "/versions", "/packages/extra"];
        // Whatever is asked for first.
        for path in if round == 0 { paths } else { [paths[3], paths[2], paths[1], paths[0]] } {
            found.push((path, hub.get(path).await.header("etag").to_owned()));
        }
        found.sort_unstable();
        tags.push(found);
    }
    assert_eq!(tags[0], tags[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_is_signed_once() {
    let mut hub = drop_in(", deploy_to: acme").await;
    hub.registry.add("jason", "1.0.0");
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    let key = hub.user("root", true).await;
    let paths = ["/packages/jason", "/packages/plug", "/names", "/versions"];
    let mut tags = Vec::new();
    for path in paths {
        tags.push(hub.fetch(&key, path).await.header("etag").to_owned());
        assert_eq!(hub.fetch(&key, path).await.cache(), "hit");
        let known = hub.get_with(path, &[("authorization", &key), ("if-none-match", tags.last().unwrap())]).await;
        assert_eq!(known.status, 304);
    }
    assert_eq!(hub.metric(SEALED).await, 4.0);
    // Another caller with other rights gets another view; what is the same in it is not merged into another thing.
    let stranger = hub.user("sam", false).await;
    assert_eq!(hub.fetch(&stranger, "/packages/jason").await.header("etag"), tags[0]);
    hub.restart().await;
    for (path, tag) in paths.iter().zip(&tags) {
        assert_eq!(hub.fetch(&key, path).await.header("etag"), tag);
    }
    assert_eq!(hub.metric(SEALED).await, 0.0, "kept across a restart");
    // A change of one package signs that package and the two indexes, before anybody asks.
    hub.published_here(&key, "ours", "1.0.0").await;
    assert_eq!(hub.fetch(&key, "/packages/ours").await.status, 200);
    assert_eq!(hub.listed(&key).await, ["jason", "ours", "plug"]);
    for path in ["/packages/jason", "/packages/plug"] {
        hub.fetch(&key, path).await;
    }
    assert_eq!(hub.metric(SEALED).await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_says_where_it_lives_once_its_name_is_taken_inside() {
    let more = ["wide: { type: virtual, members: [acme, upstream], allow_shadow: [decimal] }".to_owned()];
    let mut hub = united("members: [acme, upstream], deploy_to: acme, allow_shadow: [decimal]", &more).await;
    hub.registry.add("decimal", "1.0.0");
    hub.registry.add("jason", "1.0.0");
    hub.registry.package_mut("jason").releases[0].dependencies.push(depends("decimal"));
    hub.publish();
    let root = hub.user("root", true).await;
    let jason = RegistryResource::Package("jason".parse().unwrap());
    let lives = async |hub: &Hub| {
        let package = Package::decode(hub.payload(&root, "/repos/wide", "wide", &jason).await).unwrap();
        dependencies(&package)[0].1.clone()
    };
    assert_eq!(lives(&hub).await, None, "the view itself answers it from there");
    hub.published_here(&root, "decimal", "9.0.0").await;
    assert_eq!(lives(&hub).await.as_deref(), Some("hexpm"), "the view's own decimal is another package");
    let removed = hub.call(Method::DELETE, "/api/packages/decimal/releases/9.0.0", &root, "", None).await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert_eq!(lives(&hub).await.as_deref(), Some("hexpm"), "the name stays taken");
    hub.order(ReleaseCommand::Forget { repository: "acme".to_owned(), package: "decimal".to_owned() }).await;
    assert_eq!(lives(&hub).await, None, "until it is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_package_says_of_no_private_name_that_it_lives_elsewhere() {
    let mut corp = Elsewhere::new("corp").await;
    let from = |name: &str, repository: Option<&str>| {
        let repository = repository.map(str::to_owned);
        Dependency { repository, ..depends(name) }
    };
    corp.registry.add("corp_web", "1.0.0");
    corp.registry.package_mut("corp_web").releases[0].dependencies.push(from("acme_core", Some("elsewhere")));
    corp.publish();
    let members = "members: [acme, corp, upstream], deploy_to: acme, reserve: [\"resv_*\"], allow_shadow: [decimal]";
    let more = [corp.line(", private: true"), format!("wide: {{ type: virtual, {members} }}")];
    let mut hub = united(members, &more).await;
    hub.registry.add("plug", "1.0.0");
    hub.registry.package_mut("plug").releases[0].dependencies = vec![
        from("acme_core", Some("elsewhere")),
        from("acme_util", Some("hexpm")),
        from("acme_web", None),
        from("corp_web", Some("elsewhere")),
        from("decimal", Some("elsewhere")),
        from("free", Some("elsewhere")),
        from("resv_new", Some("elsewhere")),
    ];
    hub.publish();
    let root = hub.user("root", true).await;
    for name in ["acme_core", "acme_util", "acme_web", "decimal"] {
        hub.published_here(&root, name, "1.0.0").await;
    }
    for (base, name) in [("", "hexpm"), ("/repos/wide", "wide")] {
        let lives = async |package: &str| {
            let resource = RegistryResource::Package(package.parse().unwrap());
            dependencies(&Package::decode(hub.payload(&root, base, name, &resource).await).unwrap())
        };
        let elsewhere: Vec<_> =
            lives("plug").await.into_iter().filter(|(_, repository)| repository.is_some()).collect();
        let kept = |name: &str| (name.to_owned(), Some("elsewhere".to_owned()));
        assert_eq!(elsewhere, [kept("decimal"), kept("free")], "{name}");
        assert_eq!(lives("corp_web").await, [kept("acme_core")], "{name}: a private package knows what it needs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_its_member_holds_is_nobody_elses() {
    const DAY: u64 = 86400;
    for inner in [false, true] {
        let (mut one, mut two) = (Elsewhere::new("one").await, Elsewhere::new("two").await);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let young = one.registry.add("shared", "1.1.0");
        one.registry.add("shared", "1.0.0");
        two.registry.add("shared", "1.2.0");
        let (theirs, inner_sum) = tarball("shared", "1.1.0", 512, 9);
        two.registry.add_bytes("shared", "1.1.0", theirs, inner_sum);
        one.registry.published("shared", "1.0.0", now - 100 * DAY);
        one.registry.published("shared", "1.1.0", now - DAY);
        two.registry.published("shared", "1.1.0", now - 100 * DAY);
        two.registry.published("shared", "1.2.0", now - 100 * DAY);
        one.publish();
        two.publish();
        two.upstream.serve("/docs/shared-1.1.0.tar.gz", &b"docs"[..]);
        // The policy is the member's own, or that of a virtual repository between.
        let (of_one, first) = if inner { ("", "inner") } else { (", policy: company", "one") };
        let instead = vec![
            one.line(of_one),
            two.line(""),
            "inner: { type: virtual, members: [one], policy: company }".to_owned(),
            format!("hexpm: {{ type: virtual, members: [{first}, two], merge: release }}"),
        ];
        let top = "policies:\n  company: { mode: enforce, repositories: { one: { cooldown: 7d } } }\n".to_owned();
        let hub = Hub::with(Wishes { instead, top, ..Wishes::default() }).await;
        assert_eq!(hub.releases("", "shared").await, ["1.0.0", "1.2.0"], "{first}");
        for path in ["/tarballs/shared-1.1.0.tar", "/docs/shared-1.1.0.tar.gz"] {
            let refused = hub.get(path).await;
            assert_eq!(refused.status, 403, "{first} {path}: {}", refused.text());
            assert!(refused.text().contains("held by the policy company"), "{first} {path}: {}", refused.text());
        }
        assert_eq!(hub.send(Method::HEAD, "/tarballs/shared-1.1.0.tar", &[]).await.status, 403, "{first}");
        let asked = two.upstream.calls().into_iter().any(|call| call.path.contains("1.1.0"));
        assert!(!asked, "{first}: the other member's file is not asked for");
        assert_eq!(hub.get("/tarballs/shared-1.2.0.tar").await.status, 200, "{first}");
        let listed = hub.versions("").await.into_iter().find(|(name, _)| name == "shared");
        assert!(listed.is_none_or(|(_, versions)| !versions.contains(&"1.1.0".to_owned())), "{first}");
        let shown = hub.api(Method::GET, "/api/packages/shared", "", None).await.json();
        let releases = shown["releases"].as_array().unwrap().iter().map(|one| one["version"].as_str().unwrap());
        let mut releases: Vec<&str> = releases.collect();
        releases.sort_unstable();
        assert_eq!(releases, ["1.0.0", "1.2.0"], "{first}");
        let release = hub.api(Method::GET, "/api/packages/shared/releases/1.1.0", "", None).await;
        assert_eq!(release.status, 404, "{first}: {}", release.text());
        let said = hub.api(Method::GET, "/api/explain/shared/1.1.0", "", None).await.json();
        assert_eq!((&said["answer"], &said["answered_by"]), (&"not_found".into(), &json!([])), "{said}");
        let outcomes = said["members"].as_array().unwrap().iter();
        let outcomes: Vec<_> = outcomes.map(|one| (&one["repository"], &one["outcome"])).collect();
        assert_eq!(outcomes, [(&json!(first), &json!("held")), (&json!("two"), &json!("behind"))], "{said}");

        // When its time has come it is the first member's.
        hub.clock.advance(Duration::from_secs(7 * DAY));
        assert_eq!(hub.releases("", "shared").await, ["1.0.0", "1.1.0", "1.2.0"], "{first}");
        assert_eq!(hub.get("/tarballs/shared-1.1.0.tar").await.body, young, "{first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_checksum_may_not_change_is_nobody_elses() {
    let (mut one, mut two) = (Elsewhere::new("one").await, Elsewhere::new("two").await);
    one.registry.add("shared", "1.0.0");
    one.registry.add("shared", "1.1.0");
    let theirs = two.registry.add("shared", "1.1.0");
    one.publish();
    two.publish();
    let more = [one.line(", checksum_changes: refuse"), two.line("")];
    let hub = united("members: [one, two], merge: release", &more).await;
    assert_eq!(hub.get("/tarballs/shared-1.1.0.tar").await.body, theirs);
    let (other, inner) = tarball("shared", "1.1.0", 512, 9);
    one.registry.add_bytes("shared", "1.1.0", other, inner);
    one.publish();
    hub.clock.advance(Duration::from_secs(3600));
    assert_eq!(hub.releases("", "shared").await, ["1.0.0"]);
    assert_eq!(hub.get("/tarballs/shared-1.1.0.tar").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_a_caller_may_not_see_is_nobody_elses() {
    let mut corp = Elsewhere::new("corp").await;
    corp.registry.add("acme_core", "1.0.0");
    let second = corp.registry.add("acme_core", "2.0.0");
    corp.publish();
    let members = "members: [acme, corp], merge: release, deploy_to: acme, anonymous_read: true";
    let hub = united(members, &[corp.line(", private: true")]).await;
    let (root, stranger) = (hub.user("root", true).await, hub.user("sam", false).await);
    let ours = hub.published_here(&root, "acme_core", "1.0.0").await;
    for (key, releases, status) in [("", vec!["2.0.0"], 401), (&*stranger, vec!["2.0.0"], 403)] {
        assert_eq!(hub.releases(key, "acme_core").await, releases);
        assert_eq!(hub.versions(key).await, [("acme_core".to_owned(), vec!["2.0.0".to_owned()])]);
        assert_eq!(hub.fetch(key, "/tarballs/acme_core-1.0.0.tar").await.status, status);
        assert_eq!(hub.fetch(key, "/tarballs/acme_core-2.0.0.tar").await.body, second);
    }
    assert_eq!(hub.releases(&root, "acme_core").await, ["1.0.0", "2.0.0"]);
    assert_eq!(hub.fetch(&root, "/tarballs/acme_core-1.0.0.tar").await.body, ours);
}
