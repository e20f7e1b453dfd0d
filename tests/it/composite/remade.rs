//! What changes in a member is merged and signed before anybody asks for it.

use std::time::Duration;

use super::*;
use crate::support::hub::eventually;

const SEALED: &str = "hexkeep_sealed_total{repository=\"hexpm\"}";
const PATHS: [&str; 3] = ["/packages/jason", "/names", "/versions"];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_remote_member_has_fetched_is_signed_before_anybody_asks() {
    let mut hub = drop_in("").await;
    hub.registry.add("jason", "1.0.0");
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    for path in PATHS {
        assert_eq!(hub.fetch(&root, path).await.status, 200);
    }
    assert_eq!(hub.metric(SEALED).await, 3.0);

    hub.registry.add("jason", "1.1.0");
    hub.registry.add("new", "1.0.0");
    hub.publish();
    hub.clock.advance(Duration::from_secs(61));
    // The member alone is asked, by somebody else.
    for path in PATHS.iter().copied().chain(["/packages/new"]) {
        assert_eq!(hub.fetch(&root, &format!("/repos/upstream{path}")).await.status, 200, "{path}");
    }
    eventually("the package and both indexes are signed anew", async || hub.metric(SEALED).await == 6.0).await;

    assert_eq!(hub.releases(&root, "jason").await, ["1.0.0", "1.1.0"]);
    assert_eq!(hub.listed(&root).await, ["jason", "new", "plug"]);
    assert_eq!(hub.metric(SEALED).await, 6.0, "nothing is left to do for who asks");
    hub.restart().await;
    assert_eq!(hub.listed(&root).await, ["jason", "new", "plug"]);
    assert_eq!(hub.releases(&root, "jason").await, ["1.0.0", "1.1.0"]);
    assert_eq!(hub.metric(SEALED).await, 0.0, "kept across a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_remote_member_has_lost_is_taken_out_before_anybody_asks() {
    let mut hub = drop_in("").await;
    hub.registry.add("jason", "1.0.0");
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    let root = hub.user("root", true).await;
    assert_eq!(hub.listed(&root).await, ["jason", "plug"]);
    let before = hub.metric(SEALED).await;
    hub.registry.remove("plug");
    hub.publish();
    hub.clock.advance(Duration::from_secs(61));
    for path in ["/names", "/versions"] {
        hub.fetch(&root, &format!("/repos/upstream{path}")).await;
    }
    eventually("both indexes are signed anew", async || hub.metric(SEALED).await == before + 2.0).await;
    assert_eq!(hub.listed(&root).await, ["jason"]);
    assert_eq!(hub.metric(SEALED).await, before + 2.0);
}

/// Flips a bit in every file of a folder and those below; how many there are.
fn damage(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let damaged = entries.map(|path| {
        if path.is_dir() {
            return damage(&path);
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        1
    });
    damaged.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_store_looks_at_every_view() {
    let mut hub = drop_in(", deploy_to: acme").await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let (root, stranger) = (hub.user("root", true).await, hub.user("sam", false).await);
    hub.published_here(&root, "acme_core", "1.0.0").await;
    for key in [&root, &stranger] {
        for path in PATHS {
            assert_eq!(hub.fetch(key, path).await.status, 200);
        }
    }
    let sealed = hub.data().join("sealed");
    let views: Vec<_> = std::fs::read_dir(&sealed)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("hexpm"))
        .collect();
    assert_eq!(views.len(), 2, "one for all, one for who may not read everything: {views:?}");
    let damaged: usize = views.iter().map(|view| damage(view)).sum();
    assert_eq!(damaged, 6);
    for running in [true, false] {
        if !running {
            hub.stop().await;
        }
        let (code, out, err) = hub.command(&["verify-store"]).await;
        assert!(code == 1 && out.contains("; 6 damaged"), "running: {running}: {out}{err}");
        assert_eq!(err.matches("damaged: sealed/hexpm/").count(), 3, "{err}");
        assert_eq!(err.matches("damaged: sealed/hexpm+").count(), 3, "{err}");
    }
    let (code, out, err) = hub.command(&["verify-store", "--repair"]).await;
    assert!(code == 0 && out.contains(" 6 removed"), "{out}{err}");
    hub.launch().await;
    assert_eq!(hub.listed(&stranger).await, ["jason"]);
    assert_eq!(hub.listed(&root).await, ["acme_core", "jason"]);
    assert_eq!(hub.command(&["verify-store"]).await.0, 0);
}
