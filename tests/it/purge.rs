//! What a purge takes away, whatever was purged before it.

use hexkeep::operations::Operations as _;
use hexkeep::operations::purge::{Purge, PurgeReport};
use hexkeep::state::audit::Actor;

use super::support::hub::Hub;

fn purge(package: Option<&str>, version: Option<&str>) -> Purge {
    Purge {
        repository: Some("hexpm".to_owned()),
        package: package.map(str::to_owned),
        version: version.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_goes_whole_also_after_one_of_its_releases_went() {
    let mut hub = Hub::start().await;
    for version in ["1.0.0", "1.1.0"] {
        hub.registry.add("jason", version);
    }
    hub.registry.add("plug", "1.0.0");
    hub.publish();
    for path in ["/tarballs/jason-1.0.0.tar", "/tarballs/jason-1.1.0.tar", "/tarballs/plug-1.0.0.tar"] {
        assert_eq!(hub.get(path).await.status, 200);
    }

    let core = hub.app().core();
    let one = core.purge(purge(Some("jason"), Some("1.0.0")), Actor::console()).await.unwrap();
    assert_eq!(one, PurgeReport { resources: 1, tarballs: 1, docs: 0, ..PurgeReport::default() });
    let rest = core.purge(purge(Some("jason"), None), Actor::console()).await.unwrap();
    assert_eq!(rest, PurgeReport { resources: 0, tarballs: 1, docs: 0, ..PurgeReport::default() });
    assert_eq!(hub.files().iter().filter(|file| file.starts_with("blobs/")).count(), 1, "plug's is left");

    assert_eq!(hub.get("/tarballs/jason-1.1.0.tar").await.cache(), "miss");
    let all = core.purge(purge(None, None), Actor::console()).await.unwrap();
    assert_eq!(all, PurgeReport { resources: 2, tarballs: 2, docs: 0, ..PurgeReport::default() });
    assert_eq!(hub.files(), Vec::<String>::new());
}
