//! The main job in a few lines: fetched, verified, cached, served again without the upstream.

use super::support::hub::Hub;

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_fetched_once_and_served_without_its_upstream() {
    let mut hub = Hub::start().await;
    let tarball = hub.registry.add("jason", "1.0.0");
    hub.publish();

    let package = hub.get("/packages/jason").await;
    assert_eq!((package.status, package.cache()), (200, "miss"));
    assert_eq!(package.body, hub.registry.package("jason"), "upstream's own bytes");
    let first = hub.get("/tarballs/jason-1.0.0.tar").await;
    assert_eq!((first.status, first.cache(), &first.body), (200, "miss", &tarball));

    hub.upstream.switch_off().await;
    hub.restart().await;
    assert_eq!(hub.get("/packages/jason").await.body, package.body);
    let again = hub.get("/tarballs/jason-1.0.0.tar").await;
    assert_eq!((again.status, again.cache(), &again.body), (200, "hit", &tarball));
    assert_eq!(hub.upstream.calls_to("/tarballs/jason-1.0.0.tar").len(), 1);
}
