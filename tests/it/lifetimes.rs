//! Repositories live as long as a configuration has them, although they know of each other.

use std::sync::{Arc, Weak};

use hexkeep::operations::Operations as _;
use hexkeep::repository::{LocalRepository, RemoteRepository, Repository, VirtualRepository};

use super::support::hub::{Answer, Hub, Wishes, eventually};
use super::support::local::package;

/// A repository that somebody else owns.
enum Seen {
    Remote(Weak<RemoteRepository>),
    Local(Weak<LocalRepository>),
    Virtual(Weak<VirtualRepository>),
}

impl Seen {
    fn is_alive(&self) -> bool {
        match self {
            Self::Remote(remote) => remote.strong_count() > 0,
            Self::Local(local) => local.strong_count() > 0,
            Self::Virtual(composed) => composed.strong_count() > 0,
        }
    }
}

fn seen(hub: &Hub) -> Vec<Seen> {
    let of = |repository: &Repository| match repository {
        Repository::Remote(remote) => Seen::Remote(Arc::downgrade(remote)),
        Repository::Local(local) => Seen::Local(Arc::downgrade(local)),
        Repository::Virtual(composed) => Seen::Virtual(Arc::downgrade(composed)),
    };
    hub.app().core().repositories().iter().map(of).collect()
}

/// `all` of a remote and a local member; `more` are settings of both members.
fn wishes(remote: &str, local: &str) -> Wishes {
    let instead = [
        format!("upstream: {{ type: remote, name: hexpm, url: \"{{url}}\", public_key: \"{{key}}\"{remote} }}"),
        format!("acme: {{ type: local{local} }}"),
        "hexpm: { type: virtual, members: [acme, upstream] }".to_owned(),
    ];
    Wishes { instead: instead.to_vec(), ..Wishes::default() }
}

async fn get(hub: &Hub, root: &str, path: &str) -> Answer {
    hub.get_with(path, &[("authorization", root)]).await
}

/// Asks each repository for something, and publishes to the local one, so that each has told others of something.
async fn use_all(hub: &mut Hub, root: &str, version: &str) {
    hub.registry.add("jason", version);
    hub.publish();
    for path in ["/names", "/packages/jason", "/repos/upstream/versions"] {
        assert_eq!(get(hub, root, path).await.status, 200, "{path}");
    }
    let published = hub.publish_to_acme(root, "core", package("core", version, "")).await;
    assert_eq!(published.status, 201, "{}", published.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_frees_the_repositories_that_it_replaces_and_a_stop_frees_all() {
    let mut hub = Hub::with(wishes("", "")).await;
    let root = hub.user("root", true).await;
    use_all(&mut hub, &root, "1.0.0").await;
    let before = seen(&hub);
    assert_eq!(before.len(), 3);

    hub.configure(&wishes(", metadata_ttl: 5s", ", allow_new_packages: false"));
    assert!(!hub.app().core().reload().await.unwrap().is_empty());
    // What they were doing when they were replaced ends first.
    eventually("replaced repositories are gone", async || !before.iter().any(Seen::is_alive)).await;

    use_all(&mut hub, &root, "1.0.10").await;
    let after = seen(&hub);
    assert!(after.iter().all(Seen::is_alive));
    hub.stop().await;
    eventually("the repositories are gone", async || !after.iter().any(Seen::is_alive)).await;
}

/// Views that come with a reload are told of what happens from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_a_reload_brings_shows_what_is_published_after_it() {
    let mut hub = Hub::with(wishes("", "")).await;
    let root = hub.user("root", true).await;
    use_all(&mut hub, &root, "1.0.0").await;
    hub.configure(&wishes(", metadata_ttl: 5s", ""));
    hub.app().core().reload().await.unwrap();
    assert_eq!(get(&hub, &root, "/packages/core").await.status, 200);
    let before = get(&hub, &root, "/versions").await.body;
    use_all(&mut hub, &root, "1.0.10").await;
    assert_ne!(get(&hub, &root, "/versions").await.body, before);
}
