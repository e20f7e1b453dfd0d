//! Changing the signing key: what the new one signs at the usual address, the old one goes on signing at its own.

use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::{RegistryResource, Resource};
use hexkeep::operations::Operations as _;
use hexkeep::trust::{Origin, PublicKey, verify};
use reqwest::Method;

use super::support::hub::{Answer, Hub, Wishes};
use super::support::local::package;

const TWO_KEYS: &str = "signing: { keys: [ { id: k1 }, { id: k2 } ], active: ";

/// `hexpm` with our signature, a local `acme`, and a remote `plain` with its upstream's; `active` signs.
fn wishes(active: &str) -> Wishes {
    Wishes {
        repository: "signature: own".to_owned(),
        more: vec![
            "acme: { type: local, anonymous_read: true }".to_owned(),
            "plain: { type: remote, name: hexpm, url: \"{url}\", public_key: {key} }".to_owned(),
        ],
        top: format!("{TWO_KEYS}{active} }}\n"),
        ..Wishes::default()
    }
}

/// The key that an address hands out, which has to verify what the address has.
async fn key_at(hub: &Hub, base: &str) -> PublicKey {
    let answer = hub.get(&format!("{base}/public_key")).await;
    assert_eq!(answer.status, 200, "{base}");
    PublicKey::from_pem(&answer.text()).unwrap()
}

/// The payload of a resource, verified with `key`.
fn payload(answer: &Answer, path: &str, repository: &str, key: &PublicKey) -> Vec<u8> {
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let Ok(Resource::Registry(resource)) = Resource::parse(&segments) else { panic!("{path}") };
    let repository: RepoName = repository.parse().unwrap();
    let envelope = Envelope::open(answer.body.clone(), RegistryResource::Names.max_payload()).unwrap();
    let payload = envelope.payload.to_vec();
    let origin = Origin { repository: &repository, resource: &resource };
    verify(envelope, std::slice::from_ref(key), &origin).unwrap_or_else(|error| panic!("{path}: {error}"));
    payload
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_key_goes_on_signing_at_its_own_address() {
    let mut hub = Hub::with(wishes("k1")).await;
    let tarball = hub.registry.add("jason", "1.0.0");
    hub.publish();
    let key = hub.member("alice", "admin").await;
    assert_eq!(hub.publish_to_acme(&key, "core", package("core", "1.0.0", "")).await.status, 201);
    let old = key_at(&hub, "").await;
    let mut before = Vec::new();
    for path in ["/names", "/versions", "/packages/jason"] {
        before.push(payload(&hub.get(path).await, path, "hexpm", &old));
    }

    // The new key has its address before it signs, so that clients can be moved to it one by one.
    let new = key_at(&hub, "/keys/k2").await;
    assert_ne!(new, old);
    assert_eq!(payload(&hub.get("/keys/k2/names").await, "/names", "hexpm", &new), before[0]);

    hub.configure(&wishes("k2"));
    hub.app().core().reload().await.unwrap();
    assert_eq!((key_at(&hub, "").await, key_at(&hub, "/keys/k1").await), (new.clone(), old.clone()));
    for (path, before) in ["/names", "/versions", "/packages/jason"].into_iter().zip(&before) {
        let (usual, kept) = (hub.get(path).await, hub.get(&format!("/keys/k1{path}")).await);
        assert_eq!(payload(&usual, path, "hexpm", &new), *before, "{path}");
        assert_eq!(payload(&kept, path, "hexpm", &old), *before, "{path}");
        assert_ne!(usual.header("etag"), kept.header("etag"), "{path}");
        assert_eq!(hub.get(&format!("/keys/k2{path}")).await.body, usual.body, "the active key has an address too");
        let again = hub.get_with(&format!("/keys/k1{path}"), &[("if-none-match", kept.header("etag"))]).await;
        assert_eq!((again.status, again.header("etag")), (304, kept.header("etag")), "{path}");
    }
    assert_eq!(hub.get("/keys/k1/tarballs/jason-1.0.0.tar").await.body, tarball);

    // Organizations: a local repository, and one whose own address has its upstream's signature.
    assert_eq!(key_at(&hub, "/keys/k1/repos/acme").await, old);
    let core = hub.get("/keys/k1/repos/acme/packages/core").await;
    let core = payload(&core, "/packages/core", "acme", &old);
    assert_eq!(payload(&hub.get("/repos/acme/packages/core").await, "/packages/core", "acme", &new), core);
    payload(&hub.get("/keys/k1/repos/plain/names").await, "/names", "hexpm", &old);

    // A change is there under both keys.
    assert_eq!(hub.publish_to_acme(&key, "core", package("core", "1.1.0", "")).await.status, 201);
    let core = payload(&hub.get("/keys/k1/repos/acme/packages/core").await, "/packages/core", "acme", &old);
    assert!(core.windows(5).any(|bytes| bytes == b"1.1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_configured_has_no_address() {
    let mut hub = Hub::with(wishes("k2")).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    assert_eq!(hub.get("/keys/k1/packages/jason").await.status, 200);
    for path in
        ["/keys/k9/names", "/keys/k9/public_key", "/keys/k9/repos/acme/names", "/keys/k9/tarballs/jason-1.0.0.tar"]
    {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, answer.text().contains("signing key")), (404, true), "{path}");
    }
    for path in ["/keys/k1", "/keys/k1/api/packages/jason", "/keys/k1/keys/k2/names", "/keys/k1/repos/nobody/names"] {
        assert_eq!(hub.get(path).await.status, 404, "{path}");
    }
    // Nothing is published to a key's address.
    let key = hub.member("alice", "admin").await;
    let tarball = package("core", "1.0.0", "");
    let put = hub.call(Method::PUT, "/keys/k1/repos/acme/tarballs/core-1.0.0.tar", &key, "", Some(tarball)).await;
    assert_eq!(put.status, 405);
    assert_eq!(hub.get("/repos/acme/packages/core").await.status, 404);

    // Out of the configuration: gone.
    hub.configure(&Wishes { top: "signing: { keys: [ { id: k2 } ], active: k2 }\n".to_owned(), ..wishes("k2") });
    hub.app().core().reload().await.unwrap();
    assert_eq!(hub.get("/keys/k1/packages/jason").await.status, 404);
    assert_eq!(hub.get("/keys/k1/public_key").await.status, 404);
    assert_eq!(hub.get("/packages/jason").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_has_no_view_of_ours() {
    let mut hub = Hub::with(Wishes { repository: String::new(), ..wishes("k1") }).await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    for path in ["/keys/k1/names", "/keys/k1/public_key", "/keys/k1/repos/plain/packages/jason"] {
        assert_eq!(hub.get(path).await.status, 404, "{path}");
    }
    let old = key_at(&hub, "/keys/k2/repos/acme").await;
    payload(&hub.get("/keys/k2/repos/acme/names").await, "/names", "acme", &old);
}

/// A private repository is as private below a key's address.
#[tokio::test(flavor = "multi_thread")]
async fn rights_are_asked_for_below_a_key() {
    let mut hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..wishes("k2") }).await;
    let key = hub.member("alice", "admin").await;
    let core = package("core", "1.0.0", "");
    assert_eq!(hub.publish_to_acme(&key, "core", core.clone()).await.status, 201);
    let stranger = hub.user("eve", false).await;
    for path in ["/keys/k1/repos/acme/names", "/keys/k1/repos/acme/tarballs/core-1.0.0.tar"] {
        assert_eq!(hub.get(path).await.status, 401, "{path}");
        assert_eq!(hub.get_with(path, &[("authorization", &stranger)]).await.status, 403, "{path}");
        let answer = hub.get_with(path, &[("authorization", &key)]).await;
        assert_eq!((answer.status, answer.header("cache-control").contains("private")), (200, true), "{path}");
    }
    hub.stop().await;
}
