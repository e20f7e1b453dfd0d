//! An upstream does not say where this server connects to: redirects stay within its origin unless what comes is proven,
//! and none leads from outside into a network that this server can see.

use hexkeep::operations::Operations as _;

use super::support::hub::{Hub, Wishes, eventually};
use super::support::installs::serve_signed;
use super::support::upstream::{ScriptedUpstream, Step};

/// A service in the network of the daemon, which answers everything.
async fn inside() -> ScriptedUpstream {
    let inside = ScriptedUpstream::start().await;
    inside.everything(Some(Step::ok("[{\"secret\": \"of the inside\"}]")));
    inside
}

/// The same by another port, by a name, and by addresses in other clothes.
fn ways_in(inside: &ScriptedUpstream) -> Vec<String> {
    let port = inside.url().rsplit(':').next().unwrap().to_owned();
    let hosts = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0.0.0.0"];
    hosts.iter().map(|host| format!("http://{host}:{port}/latest/meta-data")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signs_is_fetched_from_its_own_origin_alone() {
    let inside = inside().await;
    for way in ways_in(&inside) {
        let mut hub = Hub::with(Wishes {
            repository: "api_url: \"{url}/api\", signature: own, advisories: { osv: \"{url}/osv.json\" }".into(),
            ..Wishes::default()
        })
        .await;
        hub.registry.add("jason", "1.0.0");
        hub.publish();
        // A list of installers that is not signed.
        let list = "/installs/hex.csv";
        for path in ["/docs/jason-1.0.0.tar.gz", "/api/packages/jason", "/api/users/wilma", "/osv.json", list] {
            hub.upstream.always(path, Step::redirect(302, &way));
        }
        assert_eq!(hub.get("/packages/jason").await.status, 200);
        for path in ["/docs/jason-1.0.0.tar.gz", "/api/packages/jason", "/api/users/wilma", list] {
            let answer = hub.get(path).await;
            assert!(!answer.text().contains("of the inside"), "{way}: {path}: {}", answer.text());
        }
        let refused = hub.get("/docs/jason-1.0.0.tar.gz").await;
        assert_eq!(refused.status, 502, "{way}: {}", refused.text());
        hub.clock.advance(std::time::Duration::from_secs(3601));
        eventually("the dump is looked at", async || !hub.upstream.calls_to("/osv.json").is_empty()).await;
        hub.app().core().reload().await.unwrap();
        assert_eq!(inside.calls().len(), 0, "{way}: nobody inside is asked");

        // Within the origin it is followed.
        hub.upstream.always("/docs/jason-1.0.0.tar.gz", Step::redirect(302, "/moved"));
        hub.upstream.serve("/moved", &b"docs"[..]);
        hub.clock.advance(std::time::Duration::from_secs(3601));
        let docs = hub.get("/docs/jason-1.0.0.tar.gz").await;
        assert_eq!((docs.status, docs.text()), (200, "docs".to_owned()), "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_fetched_from_no_address_inside_either() {
    let inside = inside().await;
    for way in ways_in(&inside) {
        let mut hub = Hub::with(Wishes { installs: "public_key: registry.pem".into(), ..Wishes::default() }).await;
        hub.registry.add("jason", "1.0.0");
        hub.publish();
        let (tarball, list) = ("/tarballs/jason-1.0.0.tar", "/installs/hex-1.x.csv");
        serve_signed(&hub.upstream, list, "");
        assert_eq!(hub.get("/packages/jason").await.status, 200);
        for path in ["/names", tarball, list] {
            hub.upstream.always(path, Step::redirect(307, &way));
            let answer = hub.get(path).await;
            assert!(answer.status >= 400 || path == list, "{way}: {path}: {}", answer.text());
        }
        assert_eq!(inside.calls().len(), 0, "{way}: nobody inside is asked");
    }
}
