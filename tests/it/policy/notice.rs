//! What the index of a package says of releases that a policy hides.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_index_says_which_releases_are_hidden_and_what_to_take() {
    let message =
        "hexkeep: releases of jason are held by the policy company: 1.1.0 (it was published less than 7d ago, until ";
    for (wishes, base) in [
        (policy("own", "enforce", "cooldown: 7d"), ""),
        (
            Wishes {
                more: vec!["all: { type: virtual, members: [hexpm] }".to_owned()],
                ..policy("own", "enforce", "cooldown: 7d")
            },
            "/repos/all",
        ),
        (
            Wishes {
                repository: "signature: own, metadata_ttl: 30d, direct: true".to_owned(),
                more: vec![
                    "inner: { type: virtual, members: [hexpm], policy: company }".to_owned(),
                    "all: { type: virtual, members: [inner] }".to_owned(),
                ],
                ..policy("own", "enforce", "cooldown: 7d")
            },
            "/repos/all",
        ),
    ] {
        let hub = start(wishes).await;
        let path = format!("{base}{INDEX}");
        assert_eq!(hub.get(&path).await.header("x-hex-message"), "", "older clients hang on it");
        let head = hub.send(reqwest::Method::HEAD, &path, &[MIX]).await;
        assert_eq!((head.status, head.header("x-hex-message")), (200, ""), "{base}");
        let told = hub.get_with(&path, &[MIX]).await;
        let (said, tag) = (told.header("x-hex-message").to_owned(), told.header("etag").to_owned());
        assert!(said.starts_with(&format!("\"{message}")), "{base} {said}");
        assert!(said.ends_with("; the newest release to take is 1.0.0\";level=warn"), "{base} {said}");
        assert!(said.is_ascii());
        assert_eq!((told.status, told.header("cache-control")), (200, "no-store"));
        let again = hub.get_with(&path, &[MIX]).await;
        assert_eq!((again.status, again.header("x-hex-message")), (200, ""), "{base} once in ten minutes");
        assert_ne!(again.header("cache-control"), "no-store");
        hub.clock.advance(Duration::from_secs(600));
        let unchanged = hub.get_with(&path, &[MIX, ("if-none-match", &tag)]).await;
        assert_eq!((unchanged.status, unchanged.header("x-hex-message")), (304, ""), "{base}");
        assert_ne!(hub.get_with(&path, &[MIX]).await.header("x-hex-message"), "", "{base}");
        hub.clock.advance(Duration::from_secs(7 * DAY));
        let whole = hub.get_with(&path, &[MIX]).await;
        assert_eq!((package(&whole).releases.len(), whole.header("x-hex-message")), (2, ""), "{base}");
    }
    // What only would be held is hidden from nobody; what is passed on as it is signed is whole.
    for wishes in [policy("own", "dry_run", "cooldown: 7d"), policy("upstream", "enforce", "cooldown: 7d")] {
        let hub = start(wishes).await;
        assert_eq!(hub.get_with(INDEX, &[MIX]).await.header("x-hex-message"), "");
    }
}
