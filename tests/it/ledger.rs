//! What a release was stays what it is, whichever kind of checksum its index names, and whatever it leaves out.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;

use super::support::hub::{Hub, Wishes};
use super::support::registry::tarball;

const TARBALL: &str = "/tarballs/jason-1.0.0.tar";

/// Past every window, and past `max_stale`: the next request asks the upstream first.
const LATER: Duration = Duration::from_secs(30 * 24 * 3600);

/// A remote repository at the root and a virtual one in front of it.
async fn hub(rule: &str) -> Hub {
    let remote = format!(
        "upstream: {{ type: remote, name: hexpm, url: \"{{url}}\", public_key: \"{{key}}\", direct: true, \
         anonymous_read: true, checksum_changes: {rule} }}"
    );
    let view = "hexpm: { type: virtual, anonymous_read: true, members: [upstream] }".to_owned();
    Hub::with(Wishes { instead: vec![remote, view], ..Wishes::default() }).await
}

/// A tarball with its checksums.
#[derive(Clone)]
struct File {
    bytes: Bytes,
    outer: Sha256,
    inner: Sha256,
}

fn file(flavour: u8) -> File {
    let (bytes, inner) = tarball("jason", "1.0.0", 100 * 1024, flavour);
    File { outer: Sha256::of(&bytes), bytes, inner }
}

/// The upstream has this file, and an index that names it so.
fn serve(hub: &mut Hub, file: &File, outer: Option<Sha256>, inner: Option<Sha256>) {
    hub.registry.add_bytes("jason", "1.0.0", file.bytes.clone(), file.inner);
    let release = &mut hub.registry.package_mut("jason").releases[0];
    release.outer_checksum = outer.map(|digest| digest.as_bytes().to_vec());
    release.inner_checksum = inner.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
    hub.publish();
}

/// What becomes of a download that is cut before its end.
const CUT: u16 = 0;

/// Status and whether the bytes are those of `file`, at the address of the remote and of the virtual repository.
async fn answers(hub: &Hub, file: &File) -> Vec<(u16, bool)> {
    let mut found = Vec::new();
    for base in ["/repos/upstream", ""] {
        let response = hub.open(&format!("{base}{TARBALL}")).await;
        let status = response.status().as_u16();
        found.push(match response.bytes().await {
            Ok(body) => (status, body == file.bytes),
            Err(_) => (CUT, false),
        });
    }
    found
}

/// Nobody is served the file: at once, after a restart, and from an empty cache.
async fn is_never_served(hub: &mut Hub, evil: &File, statuses: &[u16], story: &str) {
    for moment in ["at once", "restarted", "without its cache"] {
        if moment == "restarted" {
            hub.restart().await;
        }
        if moment == "without its cache" {
            hub.stop().await;
            // Where nothing was sent under our signature, there is no `sealed/`.
            for area in ["index", "registry", "blobs", "sealed"].map(|area| hub.data().join(area)) {
                assert!(std::fs::remove_dir_all(&area).is_ok() || area.ends_with("sealed"), "{area:?}");
            }
            hub.launch().await;
        }
        for (status, is_evil) in answers(hub, evil).await {
            assert!(statuses.contains(&status) && !is_evil, "{story}, {moment}: {status} {is_evil}");
        }
    }
}

async fn audited(hub: &Hub, action: &str) -> usize {
    let log = hub.app().core().state().audit_log("upstream", 100).await.unwrap();
    log.iter().filter(|entry| entry.action == action).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_checksum_is_another_release() {
    let (good, evil) = (file(0), file(7));
    for rule in ["refuse", "window"] {
        for (story, before, after) in [
            ("inner, then outer", (None, Some(good.inner)), (Some(evil.outer), None)),
            ("outer, then inner", (Some(good.outer), None), (None, Some(evil.inner))),
            ("both, then another outer", (Some(good.outer), Some(good.inner)), (Some(evil.outer), Some(good.inner))),
        ] {
            let story = format!("{rule}: {story}");
            let mut hub = hub(rule).await;
            serve(&mut hub, &good, before.0, before.1);
            assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)], "{story}");
            hub.clock.advance(LATER);
            serve(&mut hub, &evil, after.0, after.1);
            is_never_served(&mut hub, &evil, &[403, 404], &story).await;
            assert_eq!(audited(&hub, "upstream.checksum_refused").await, 1, "{story}: reported once");
            // The upstream takes it back.
            hub.clock.advance(LATER);
            serve(&mut hub, &good, before.0, before.1);
            assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)], "{story}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_changes_are_allowed_another_kind_is_a_change_that_is_reported() {
    let (old, new) = (file(0), file(7));
    let mut hub = hub("allow").await;
    serve(&mut hub, &old, None, Some(old.inner));
    assert_eq!(answers(&hub, &old).await, [(200, true), (200, true)]);
    hub.clock.advance(LATER);
    serve(&mut hub, &new, Some(new.outer), None);
    assert_eq!(answers(&hub, &new).await, [(200, true), (200, true)]);
    assert_eq!(audited(&hub, "upstream.checksum_changed").await, 1);
    // It is what the release is from now on.
    hub.clock.advance(LATER);
    serve(&mut hub, &new, Some(new.outer), Some(new.inner));
    assert_eq!(answers(&hub, &new).await, [(200, true), (200, true)]);
    assert_eq!(audited(&hub, "upstream.checksum_changed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_added_names_the_same_file() {
    let (good, evil) = (file(0), file(7));
    for was_fetched in [true, false] {
        let mut hub = hub("refuse").await;
        serve(&mut hub, &good, None, Some(good.inner));
        let known = if was_fetched { TARBALL } else { "/packages/jason" };
        assert_eq!(hub.get(known).await.status, 200);
        hub.clock.advance(LATER);
        serve(&mut hub, &good, Some(good.outer), Some(good.inner));
        assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)], "fetched: {was_fetched}");
        hub.restart().await;
        assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)], "fetched: {was_fetched}");

        // The outer checksum of another file, beside the inner one that is known.
        let mut hub = self::hub("refuse").await;
        serve(&mut hub, &good, None, Some(good.inner));
        assert_eq!(hub.get(known).await.status, 200);
        hub.clock.advance(LATER);
        serve(&mut hub, &evil, Some(evil.outer), Some(good.inner));
        is_never_served(&mut hub, &evil, &[502, CUT], &format!("fetched: {was_fetched}")).await;
        // And that outer checksum alone.
        hub.clock.advance(LATER);
        serve(&mut hub, &evil, Some(evil.outer), None);
        is_never_served(&mut hub, &evil, &[502, CUT], &format!("fetched: {was_fetched}, outer alone")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_left_out_still_counts() {
    let (good, evil) = (file(0), file(7));
    // An index that prepares the exchange: the outer checksum of one file and the inner one of another.
    let mut hub = hub("refuse").await;
    serve(&mut hub, &good, Some(good.outer), Some(evil.inner));
    assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)]);
    hub.clock.advance(LATER);
    serve(&mut hub, &evil, None, Some(evil.inner));
    is_never_served(&mut hub, &evil, &[502, CUT], "the outer one is left out").await;

    // A registry that stops to name one of them goes on being served.
    for (outer, inner) in [(Some(good.outer), None), (None, Some(good.inner))] {
        let mut hub = self::hub("refuse").await;
        serve(&mut hub, &good, Some(good.outer), Some(good.inner));
        assert_eq!(hub.get("/packages/jason").await.status, 200);
        hub.clock.advance(LATER);
        serve(&mut hub, &good, outer, inner);
        assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)]);
        hub.restart().await;
        assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_added_is_confirmed_to_nobody_before_a_file_has_it() {
    let (good, evil) = (file(1), file(2));
    let mut hub = hub("refuse").await;
    serve(&mut hub, &good, None, Some(good.inner));
    assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)]);
    // The index names the inner checksum of one file and the outer one of another.
    serve(&mut hub, &evil, Some(evil.outer), Some(good.inner));
    hub.clock.advance(LATER);
    let tag = format!("\"{}\"", evil.outer);
    for base in ["/repos/upstream", ""] {
        let path = format!("{base}{TARBALL}");
        let asked = hub.get_with(&path, &[("if-none-match", &tag)]).await;
        assert_eq!(asked.status, 502, "{path}: {}", asked.text());
        let head = hub.send(reqwest::Method::HEAD, &path, &[]).await;
        assert!(!head.headers.contains_key("etag"), "{path}: {:?}", head.headers);
        let head = hub.send(reqwest::Method::HEAD, &path, &[("if-none-match", &tag)]).await;
        assert_ne!(head.status, 304, "{path}");
    }
    // Both of the same file.
    let mut hub = self::hub("refuse").await;
    serve(&mut hub, &good, None, Some(good.inner));
    assert_eq!(answers(&hub, &good).await, [(200, true), (200, true)]);
    serve(&mut hub, &good, Some(good.outer), Some(good.inner));
    hub.clock.advance(LATER);
    let tag = format!("\"{}\"", good.outer);
    let asked = hub.get_with(TARBALL, &[("if-none-match", &tag)]).await;
    assert_eq!(asked.status, 304, "{}", asked.text());
    let head = hub.send(reqwest::Method::HEAD, TARBALL, &[]).await;
    assert_eq!((head.status, head.header("etag")), (200, &*tag));
}
