//! Whose rights apply: each row of the table, with and without credentials.

use hexkeep::operations::commands::{Account, GrantCommand, KeyCommand};

use super::*;

/// `upstream` has `jason`, `acme` has `acme_core` and `acme_web`.
async fn stage(settings: &str) -> (Hub, String) {
    let mut hub = drop_in(&format!(", deploy_to: acme{settings}")).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    for name in ["acme_core", "acme_web"] {
        hub.published_here(&root, name, "1.0.0").await;
    }
    (hub, root)
}

async fn statuses(hub: &Hub, key: &str, package: &str) -> [u16; 3] {
    // Wrong credentials are counted for a minute.
    hub.clock.advance(std::time::Duration::from_secs(61));
    let mut found = [0; 3];
    let paths = [format!("packages/{package}"), format!("tarballs/{package}-1.0.0.tar")];
    for (at, path) in paths.iter().enumerate() {
        found[at] = hub.fetch(key, &format!("/{path}")).await.status;
        // `/repos/hexpm` is the same repository.
        assert_eq!(hub.fetch(key, &format!("/repos/hexpm/{path}")).await.status, found[at], "{path}");
    }
    found[2] = hub.api(Method::GET, &format!("/api/packages/{package}"), key, None).await.status;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_the_members_that_they_may_read() {
    for (settings, open) in [("", false), (", anonymous_read: true", true)] {
        let (hub, root) = stage(settings).await;
        let member = hub.member("rita", "read").await;
        let stranger = hub.user("sam", false).await;
        let lost = "hkk_00000000000000000000000000000000";
        let user = |name: &str| Account::User(name.to_owned());
        let narrow = hub.key(user("rita"), &["repository:acme/acme_c*", "api:read"]).await;
        let here = hub.key(user("rita"), &["repository:hexpm"]).await;
        let permissions = vec!["repositories".to_owned()];
        let (owner, name) = (user("rita"), "revoked".to_owned());
        let made = hub.order(KeyCommand::Create { owner, name: name.clone(), permissions, days: None }).await;
        let revoked = made.lines[0].clone();
        hub.order(KeyCommand::Revoke { owner: user("rita"), name }).await;
        for (who, key, private, public, unknown) in [
            // A CI job that lost its token.
            (
                "nobody",
                "",
                [401, 401, 401],
                if open { [200, 200, 200] } else { [401, 401, 401] },
                if open { 404 } else { 401 },
            ),
            (
                "a key that nobody made",
                lost,
                [401, 401, 401],
                if open { [200, 200, 401] } else { [401, 401, 401] },
                if open { 404 } else { 401 },
            ),
            ("a key of ours that was revoked", &revoked, [401; 3], [401; 3], 401),
            (
                "a token of hex.pm",
                "Bearer foreign",
                [401, 401, 401],
                if open { [200, 200, 401] } else { [401, 401, 401] },
                if open { 404 } else { 401 },
            ),
            ("a stranger", &stranger, [403, 403, 404], [200, 200, 200], 404),
            ("a member", &member, [200, 200, 200], [200, 200, 200], 404),
            ("a key for one repository", &narrow, [200, 200, 200], [200, 200, 200], 404),
            ("a key for this one", &here, [200, 200, 404], [200, 200, 200], 404),
            ("an administrator", &root, [200, 200, 200], [200, 200, 200], 404),
        ] {
            assert_eq!(statuses(&hub, key, "acme_core").await, private, "acme_core, {who}, open: {open}");
            assert_eq!(statuses(&hub, key, "jason").await, public, "jason, {who}, open: {open}");
            assert_eq!(hub.fetch(key, "/packages/nothing").await.status, unknown, "{who}, open: {open}");
        }
        assert_eq!(statuses(&hub, &narrow, "acme_web").await[..2], [403, 403], "not among its patterns");
        for (key, names) in [
            (&stranger, vec!["jason"]),
            (&narrow, vec!["acme_core", "jason"]),
            (&member, vec!["acme_core", "acme_web", "jason"]),
        ] {
            assert_eq!(hub.listed(key).await, names);
        }
        if open {
            assert_eq!(hub.listed("").await, ["jason"]);
        }
        let caching = hub.fetch(&member, "/names").await;
        assert!(caching.header("cache-control").starts_with("private"), "{}", caching.header("cache-control"));
        // The key that verifies is everybody's.
        assert_eq!(hub.get("/public_key").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_the_whole_is_one_to_a_member_where_it_is_written() {
    for (settings, seen) in [("", 403), (", grants_read: [acme]", 200)] {
        let (hub, _) = stage(settings).await;
        let reader = hub.user("paul", false).await;
        assert_eq!(hub.fetch(&reader, "/packages/acme_core").await.status, 403, "{settings}");
        hub.order(GrantCommand::Add {
            owner: Account::User("paul".to_owned()),
            repository: "hexpm".to_owned(),
            pattern: "acme_c*".to_owned(),
        })
        .await;
        assert_eq!(hub.fetch(&reader, "/packages/acme_core").await.status, seen, "{settings}");
        assert_eq!(hub.fetch(&reader, "/packages/acme_web").await.status, 403, "{settings}");
        assert_eq!(hub.fetch(&reader, "/repos/acme/packages/acme_core").await.status, 403, "in its own place");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_where_they_are_deployed_to_by_the_rights_there() {
    let (hub, root) = stage("").await;
    let writer = hub.member("wilma", "write").await;
    let reader = hub.member("rita", "read").await;
    let stranger = hub.user("sam", false).await;
    for (key, status) in [("", 401), (stranger.as_str(), 404), (&reader, 403), (&writer, 201)] {
        let answer = hub.publish_here(key, "new_one", "1.0.0", "").await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(hub.fetch(&root, "/repos/acme/packages/new_one").await.status, 200);
    let put = hub
        .call(
            Method::PUT,
            "/tarballs/new_two-1.0.0.tar",
            &writer,
            "application/octet-stream",
            Some(package("new_two", "1.0.0", "")),
        )
        .await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(hub.releases(&writer, "new_two").await, ["1.0.0"]);
    let retire = serde_json::json!({"reason": "other", "message": "old one"});
    let answer = hub.api(Method::POST, "/api/packages/new_two/releases/1.0.0/retire", &writer, Some(retire)).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert!(hub.shown(&writer, "new_two").await.releases[0].retired.is_some());
    let found = hub.api(Method::GET, "/api/repos/hexpm/packages?search=new", &reader, None).await.json();
    let names: Vec<&str> = found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["new_one", "new_two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_deploy_to_nothing_can_be_published() {
    let hub = drop_in("").await;
    let root = hub.user("root", true).await;
    let answer = hub.publish_here(&root, "acme_core", "1.0.0", "").await;
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_reserve_members_answer_through_the_virtual_repository_alone() {
    let (mut hub, root) = stage(", reserve: [\"acme_*\"]").await;
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    for path in [
        "/repos/acme/packages/acme_core",
        "/repos/acme/names",
        "/repos/upstream/packages/jason",
        "/repos/acme/tarballs/acme_core-1.0.0.tar",
    ] {
        assert_eq!(hub.fetch(&root, path).await.status, 404, "{path}");
    }
    let put = hub
        .call(
            Method::PUT,
            "/repos/acme/tarballs/x-1.0.0.tar",
            &root,
            "application/octet-stream",
            Some(package("x", "1.0.0", "")),
        )
        .await;
    assert!(matches!(put.status, 404 | 405), "{}", put.status);
    assert_eq!(hub.fetch(&root, "/packages/acme_core").await.status, 200);
    assert_eq!(hub.api(Method::GET, "/api/repos/acme/packages/acme_core", &root, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_some_names_of_a_member_sees_those() {
    let mut partner = Elsewhere::new("partner").await;
    partner.registry.add("partner_feed", "1.0.0");
    partner.registry.add("partner_other", "1.0.0");
    partner.publish();
    let line = partner.line(", private: true, anonymous_read: false");
    let hub = united("members: [acme, partner, upstream]", &[line]).await;
    hub.publish();
    let paul = hub.user("paul", false).await;
    hub.order(GrantCommand::Add {
        owner: Account::User("paul".to_owned()),
        repository: "partner".to_owned(),
        pattern: "partner_f*".to_owned(),
    })
    .await;
    // An organization of what is signed here is signed here, and cut to measure.
    let names = Names::decode(hub.payload(&paul, "/repos/partner", "partner", &RegistryResource::Names).await).unwrap();
    assert_eq!(names.packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["partner_feed"]);
    for (path, status) in [
        ("packages/partner_feed", 200),
        ("packages/partner_other", 403),
        ("tarballs/partner_feed-1.0.0.tar", 200),
        ("tarballs/partner_other-1.0.0.tar", 403),
    ] {
        assert_eq!(hub.fetch(&paul, &format!("/repos/partner/{path}")).await.status, status, "{path}");
    }
    assert_eq!(hub.api(Method::GET, "/api/repos/partner/packages/partner_other", &paul, None).await.status, 404);
    assert_eq!(hub.listed(&paul).await, ["partner_feed"]);
    for (name, status) in [("partner_feed", 200), ("partner_other", 403)] {
        assert_eq!(statuses(&hub, &paul, name).await[..2], [status; 2], "{name}");
    }
    for (key, status) in [("", 401), (hub.user("sam", false).await.as_str(), 403)] {
        assert_eq!(statuses(&hub, key, "partner_feed").await[..2], [status; 2], "for {key:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_cannot_be_cut_to_measure() {
    let instead =
        vec!["hexpm: { type: remote, url: \"{url}\", public_key: \"{key}\", anonymous_read: false }".to_owned()];
    let mut hub = Hub::with(Wishes { instead, ..Wishes::default() }).await;
    for name in ["jason", "plug"] {
        hub.registry.add(name, "1.0.0");
    }
    hub.publish();
    let paul = hub.user("paul", false).await;
    let (owner, repository) = (Account::User("paul".to_owned()), "hexpm".to_owned());
    hub.order(GrantCommand::Add { owner, repository, pattern: "jas*".to_owned() }).await;
    for (path, status) in [
        ("/names", 403),
        ("/versions", 403),
        ("/packages/jason", 200),
        ("/packages/plug", 403),
        ("/tarballs/plug-1.0.0.tar", 403),
    ] {
        assert_eq!(hub.fetch(&paul, path).await.status, status, "{path}");
    }
}
