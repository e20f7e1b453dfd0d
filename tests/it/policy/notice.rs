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
        assert!(said.ends_with("; the newest available release is 1.0.0\";level=warn"), "{base} {said}");
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

/// The index and what is said beside it are of one moment: nobody is asked twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_hidden_releases_is_about_the_index_that_it_is_sent_with() {
    let rules = policy("own", "enforce", "cooldown: 7d");
    let strict =
        |repository: &str| repository.replace("metadata_ttl: 30d", "metadata_ttl: 0s, stale_while_revalidate: 0s");
    let own = Wishes { repository: strict(&rules.repository), ..policy("own", "enforce", "cooldown: 7d") };
    let above = Wishes {
        repository: strict("signature: own, metadata_ttl: 30d, direct: true"),
        more: vec!["all: { type: virtual, members: [hexpm] }".to_owned()],
        ..policy("own", "enforce", "cooldown: 7d")
    };
    let own_above = Wishes {
        more: vec!["all: { type: virtual, members: [hexpm] }".to_owned()],
        repository: format!("{}, direct: true", own.repository),
        ..policy("own", "enforce", "cooldown: 7d")
    };
    let held_above =
        Wishes { more: vec!["all: { type: virtual, members: [hexpm], policy: company }".to_owned()], ..above };
    for (what, wishes, base) in
        [("remote", own, ""), ("member", own_above, "/repos/all"), ("virtual", held_above, "/repos/all")]
    {
        let hub = start(wishes).await;
        let path = format!("{base}{INDEX}");
        let index = |asked: usize| hub.upstream.calls_to(INDEX).len() - asked;
        assert_eq!(hub.get(&path).await.status, 200);
        let before = index(0);
        assert_eq!(hub.get(&path).await.status, 200);
        let quiet = index(before);
        let before = index(0);
        let told = hub.get_with(&path, &[MIX]).await;
        assert!(told.header("x-hex-message").contains("1.1.0 (it was published"), "{what}: {:?}", told.headers);
        assert_eq!(index(before), quiet, "{what}: the upstream is asked as often as for an index alone");
    }
}
