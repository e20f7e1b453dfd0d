//! Publishing beside and through a virtual repository: names that are taken outside, and where dependencies live.

use super::*;
use crate::support::upstream::Step;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_inside_hides_a_public_package_by_accident() {
    let mut hub = drop_in(", deploy_to: acme, reserve: [\"acme_*\"], allow_shadow: [plug]").await;
    for name in ["jason", "plug", "acme_core"] {
        hub.registry.add(name, "1.0.0");
    }
    hub.publish();
    let root = hub.user("root", true).await;
    let answer = hub.publish_here(&root, "jason", "1.0.0", "").await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let said = answer.json()["errors"]["name"].as_str().unwrap().to_owned();
    assert!(said.contains("public package in \"hexpm\"") && said.contains("allow_shadow"), "{said}");
    let direct = hub.publish_to_acme(&root, "jason", package("jason", "1.0.0", "")).await;
    assert_eq!(direct.status, 422, "at the address of the member, too");
    assert!(hub.upstream.calls_to("/packages/jason").is_empty(), "the name was looked up in the list of all");
    hub.published_here(&root, "plug", "9.0.0").await;
    hub.published_here(&root, "acme_core", "9.0.0").await;
    hub.published_here(&root, "plug", "9.1.0").await;
    assert_eq!(hub.releases(&root, "plug").await, ["9.0.0", "9.1.0"]);
    // A package that is there goes on being published, whatever appears outside.
    hub.published_here(&root, "ours", "1.0.0").await;
    hub.registry.add("ours", "2.0.0");
    hub.publish();
    hub.clock.advance(std::time::Duration::from_secs(7200));
    hub.published_here(&root, "ours", "1.1.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_claimed_already_hides_nothing() {
    let inner = "inner: { type: virtual, members: [acme], deploy_to: acme, reserve: [\"acme_*\"] }".to_owned();
    let mut hub = united("members: [inner, upstream], anonymous_read: true", &[inner]).await;
    hub.registry.add("acme_core", "99.0.0");
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    assert_eq!(hub.fetch(&root, "/packages/acme_core").await.status, 404, "squatted, and nobody sees it");
    let answer = hub.publish_to_acme(&root, "acme_core", package("acme_core", "1.0.0", "")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(hub.releases(&root, "acme_core").await, ["1.0.0"]);
    let answer = hub.publish_to_acme(&root, "jason", package("jason", "1.0.0", "")).await;
    assert_eq!(answer.status, 422, "this one would: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_looked_up_is_not_taken() {
    let hub = drop_in(", deploy_to: acme, reserve: [\"acme_*\"]").await;
    hub.upstream.everything(Some(Step::status(503)));
    let root = hub.user("root", true).await;
    let answer = hub.publish_here(&root, "jason", "1.0.0", "").await;
    assert_eq!(answer.status, 500, "{}", answer.text());
    hub.published_here(&root, "acme_core", "1.0.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_live_where_the_view_has_them() {
    let mut partner = Elsewhere::new("partner").await;
    partner.registry.add("shared", "1.0.0");
    partner.registry.add("tool", "1.0.0");
    partner.publish();
    let more = [
        partner.line(""),
        "narrow: { type: virtual, members: [acme, { repository: upstream, exclude: [shared] }] }".to_owned(),
    ];
    let mut hub = united("members: [acme, partner, upstream], deploy_to: acme", &more).await;
    hub.registry.add("shared", "1.0.0");
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    for (name, on) in [("a_shared", "shared"), ("a_tool", "tool"), ("a_jason", "jason")] {
        let answer = hub.publish_here(&root, name, "1.0.0", &requires(on)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(dependencies(&hub.shown(&root, name).await), [(on.to_owned(), None)], "here all are answered");
    }
    let answer = hub.publish_here(&root, "a_nothing", "1.0.0", &requires("nothing")).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("package does not exist"), "{}", answer.text());
    // Elsewhere each says where it lives, as far as it is not answered there.
    for (name, narrow, own) in [
        ("a_shared", Some("partner"), Some("partner")),
        ("a_tool", Some("partner"), Some("partner")),
        ("a_jason", None, Some("hexpm")),
    ] {
        let resource = RegistryResource::Package(name.parse().unwrap());
        for (base, of, expected) in [("/repos/narrow", "narrow", narrow), ("/repos/acme", "acme", own)] {
            let package = Package::decode(hub.payload(&root, base, of, &resource).await).unwrap();
            assert_eq!(dependencies(&package)[0].1.as_deref(), expected, "{name} at {base}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_at_the_members_address_goes_by_its_view() {
    for (settings, lives) in [("", "partner"), (", publish_view: other", "hexpm")] {
        let mut partner = Elsewhere::new("partner").await;
        partner.registry.add("shared", "1.0.0");
        partner.publish();
        let instead = vec![
            MEMBERS[0].to_owned(),
            format!("acme: {{ type: local{settings} }}"),
            partner.line(""),
            "hexpm: { type: virtual, members: [acme, partner, upstream] }".to_owned(),
            "other: { type: virtual, members: [acme, upstream, partner] }".to_owned(),
        ];
        let mut hub = Hub::with(Wishes { instead, ..Wishes::default() }).await;
        hub.registry.add("shared", "1.0.0");
        hub.publish();
        let root = hub.user("root", true).await;
        let answer = hub.publish_to_acme(&root, "ours", package("ours", "1.0.0", &requires("shared"))).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let resource = RegistryResource::Package("ours".parse().unwrap());
        let package = Package::decode(hub.payload(&root, "/repos/acme", "acme", &resource).await).unwrap();
        assert_eq!(dependencies(&package)[0].1.as_deref(), Some(lives), "{settings}");
    }
}
