//! What a delivery excuses later, by class of rule, and what it does not.

use super::*;

/// The same requests for a remote repository and for a virtual one above it.
fn ways(rules: &str) -> [(Wishes, &'static str); 2] {
    let own = policy("own", "enforce", rules);
    let above = Wishes {
        repository: "signature: own, metadata_ttl: 30d, direct: true".to_owned(),
        more: vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()],
        ..policy("own", "enforce", rules)
    };
    [(own, ""), (above, "/repos/all")]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_before_its_licence_is_known_is_not_excused() {
    for (wishes, base) in ways("licenses: {deny: [AGPL-3.0-only]}") {
        let mut hub = licensed(wishes).await;
        let path = format!("{base}{NEW}");
        // Each of these is answered from the index alone: nobody has read the licence.
        let head = hub.send(reqwest::Method::HEAD, &path, &[]).await;
        assert_eq!(head.status, 200, "{base}");
        let tag = head.header("etag").to_owned();
        assert!(!tag.is_empty());
        hub.get_with(&path, &[("if-none-match", &tag)]).await;
        for _ in 0..2 {
            let refused = hub.get(&path).await;
            assert_eq!(refused.status, 403, "{base} {}", refused.status);
            assert!(refused.text().contains("it has the licence AGPL-3.0-only"), "{}", refused.text());
            hub.restart().await;
        }
        assert_eq!(hub.get(&format!("{base}{OLD}")).await.status, 200);
    }
}
