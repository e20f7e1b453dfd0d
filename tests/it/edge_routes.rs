//! Which repository answers under which address (interface §2).

use bytes::Bytes;
use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::limits;
use hexkeep::hex::name::RepoName;
use hexkeep::hex::resource::RegistryResource;
use hexkeep::trust::{Origin, PublicKey, verify};
use reqwest::Method;

use super::support::hub::{Answer, Hub, Wishes};
use super::support::raw;
use super::support::registry::TestRegistry;

/// `hexpm` at the root, which has `jason`; and `acme`, which has `anvil`, at `/repos/acme` and a host of its own, and two
/// keys, of which the first signs.
struct Two {
    hub: Hub,
    acme: TestRegistry,
}

async fn two() -> Two {
    two_with("", "").await
}

/// With more settings for each.
async fn two_with(hexpm: &str, acme: &str) -> Two {
    let separator = if acme.is_empty() { "" } else { ", " };
    let more = format!(
        "acme: {{ type: remote, url: \"{{url}}/repos/acme\", public_key: [{{key}}, hexpm], hosts: [acme.example]{separator}{acme} }}"
    );
    let wishes = Wishes { repository: hexpm.to_owned(), more: vec![more], ..Wishes::default() };
    let mut hub = Hub::with(wishes).await;
    hub.registry.add("jason", "1.0.0");
    hub.registry.add("jason", "1.0.0+build.1");
    hub.publish();
    let mut acme = TestRegistry::new("acme");
    let tarball = acme.add("anvil", "2.0.0");
    hub.upstream.serve("/repos/acme/packages/anvil", acme.package("anvil"));
    hub.upstream.serve("/repos/acme/names", acme.names());
    hub.upstream.serve("/repos/acme/tarballs/anvil-2.0.0.tar", tarball);
    Two { hub, acme }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_base_has_its_aliases() {
    let Two { hub, acme } = two().await;
    let (jason, anvil) = (hub.registry.package("jason"), acme.package("anvil"));
    for path in [
        "/packages/jason",
        "//packages/jason",
        "/packages//jason",
        "/repos/hexpm/packages/jason",
        "/repos/hexpm//packages/jason",
        "/repos/acme/repos/hexpm:hexpm/packages/jason",
    ] {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, &answer.body), (200, &jason), "{path}");
    }
    for path in [
        "/repos/acme/packages/anvil",
        "//repos//acme//packages//anvil",
        "/repos/hexpm:acme/packages/anvil",
        "/repos/hexpm%3Aacme/packages/anvil",
        "/repos/hexpm/repos/acme/packages/anvil",
        "/repos/hexpm/repos/hexpm:acme/packages/anvil",
        "/repos/acme/repos/acme/packages/anvil",
        "/repos/acme/repos/hexpm/packages/anvil",
    ] {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, &answer.body), (200, &anvil), "{path}");
    }
    assert_eq!(hub.get("/packages/anvil").await.status, 404);
    assert_eq!(hub.get("/repos/acme/packages/jason").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_below_ui_is_unknown_to_everybody_until_there_is_a_page() {
    let Two { hub, .. } = two().await;
    let root = hub.user("root", true).await;
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST] {
        for headers in [&[][..], &[("authorization", root.as_str())], &[("host", "acme.example")]] {
            let unknown = hub.send(method.clone(), "/nowhere/to/be/found", headers).await;
            for path in
                ["/ui", "/ui/", "/ui/hello", "/ui/names", "/ui/packages/jason", "/ui/tarballs", "/ui/api/packages"]
            {
                let answer = hub.send(method.clone(), path, headers).await;
                let told = (answer.status, answer.text(), answer.header("content-type"), answer.header("allow"));
                let expected =
                    (unknown.status, unknown.text(), unknown.header("content-type"), unknown.header("allow"));
                assert_eq!(told, expected, "{method} {path} {headers:?}");
            }
        }
    }
    assert_eq!(hub.get("/ui/hello").await.status, 404);
    assert_eq!(hub.get("/ui/second-factor").await.status, 200, "a page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_stands_for_its_repository() {
    let Two { hub, acme } = two().await;
    let (jason, anvil) = (hub.registry.package("jason"), acme.package("anvil"));
    for host in ["acme.example", "ACME.Example", "acme.example:4000", "acme.example."] {
        let answer = hub.get_with("/packages/anvil", &[("host", host)]).await;
        assert_eq!((answer.status, &answer.body), (200, &anvil), "{host}");
        assert_eq!(hub.get_with("/packages/jason", &[("host", host)]).await.status, 404, "{host}");
    }
    for host in ["other.example", "xacme.example", "acme.example.evil.example", "[::1]:4000", "localhost"] {
        let answer = hub.get_with("/packages/jason", &[("host", host)]).await;
        assert_eq!((answer.status, &answer.body), (200, &jason), "{host}");
    }
    let listen = hub.app().addresses().listen;
    let absolute =
        b"GET http://acme.example/packages/anvil HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n";
    let answer = raw::exchange(listen, absolute).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &anvil[..]), "a request in absolute form names its own host");
    let ancient = raw::exchange(listen, b"GET /packages/jason HTTP/1.0\r\n\r\n").await;
    assert_eq!((ancient.status, &ancient.body[..]), (200, &jason[..]), "a request without a host is for the default");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_says_of_the_host_is_not_believed() {
    let Two { hub, .. } = two().await;
    let headers =
        [("x-forwarded-host", "acme.example"), ("forwarded", "host=acme.example"), ("x-forwarded-proto", "https")];
    assert_eq!(hub.get_with("/packages/jason", &headers).await.status, 200);
    assert_eq!(hub.get_with("/packages/anvil", &headers).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn build_metadata_is_found_in_every_spelling() {
    let Two { hub, .. } = two().await;
    let upstream = hub.upstream.url();
    let expected = hub.client.get(format!("{upstream}/tarballs/jason-1.0.0+build.1.tar")).send().await.unwrap();
    let expected = expected.bytes().await.unwrap();
    assert!(expected.len() > 1000);
    for plus in ["+", "%2B", "%2b", "%252B"] {
        let answer = hub.get(&format!("/tarballs/jason-1.0.0{plus}build.1.tar")).await;
        assert_eq!((answer.status, &answer.body), (200, &expected), "{plus}");
    }
    // One by this test, one by the daemon.
    assert_eq!(hub.upstream.calls_to("/tarballs/jason-1.0.0+build.1.tar").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_repository_is_404_and_nobody_is_asked() {
    let Two { hub, .. } = two().await;
    for path in [
        "/repos/nobody/packages/jason",
        "/repos/nobody/public_key",
        "/repos/hexpm:nobody/packages/jason",
        "/repos/hexpm/repos/nobody/packages/jason",
        "/repos/Acme/packages/anvil",
        "/repos//packages/jason",
        "/repos/../packages/jason/x",
        "/repos/a%2Fb/packages/jason",
        "/repos/acme",
        "/repos/acme/",
        "/repos",
        "/repos/hexpm/repos/acme/repos/hexpm/packages/jason",
        "/repos/acme/repos/acme/repos/acme/packages/anvil",
        "/repos/acme/repos/acme/repos/acme/repos/acme/packages/anvil",
    ] {
        let answer = hub.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.len() < 100, "{path}");
    }
    assert!(hub.upstream.calls().is_empty(), "{:?}", hub.upstream.calls());
}

/// The one PEM entry of an answer.
fn key_of(answer: &Answer) -> PublicKey {
    let text = answer.text();
    assert_eq!(text.matches("-----BEGIN ").count(), 1, "{text}");
    assert!(text.starts_with("-----BEGIN PUBLIC KEY-----\n") && text.ends_with("-----END PUBLIC KEY-----\n"), "{text}");
    PublicKey::from_pem(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_base_hands_out_one_public_key_to_everybody() {
    let Two { hub, .. } = two().await;
    let expected = hub.registry.public_key();
    for path in [
        "/public_key",
        "//public_key",
        "/repos/hexpm/public_key",
        "/repos/acme/public_key",
        "/repos/hexpm:acme/public_key",
        "/repos/acme/repos/hexpm/public_key",
    ] {
        for headers in [&[][..], &[("authorization", "Bearer foreign")], &[("authorization", "")]] {
            let answer = hub.get_with(path, headers).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"), "{path}");
            assert_eq!(key_of(&answer).to_spki_pem(), expected, "{path}");
        }
    }
    let host = hub.get_with("/public_key", &[("host", "acme.example")]).await;
    assert_eq!(key_of(&host).to_spki_pem(), expected);
    assert!(hub.upstream.calls().is_empty(), "the key is configured, not fetched");
}

fn verifies(body: &Bytes, repository: &str, path: &str, key: &PublicKey) -> bool {
    let repository: RepoName = repository.parse().unwrap();
    let resource = match path {
        "names" => RegistryResource::Names,
        path => RegistryResource::Package(path.strip_prefix("packages/").unwrap().parse().unwrap()),
    };
    let envelope = Envelope::open(body.clone(), limits::PACKAGE_PAYLOAD).unwrap();
    verify(envelope, std::slice::from_ref(key), &Origin { repository: &repository, resource: &resource }).is_ok()
}

/// Clients verify `hexpm:acme` with the key that they hold for hexpm.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_of_a_base_that_we_sign_verifies_with_the_key_of_its_base() {
    let Two { mut hub, acme } = two_with("signature: own", "").await;
    let anvil = acme.package("anvil");
    for round in ["cold", "again"] {
        let own = key_of(&hub.get("/public_key").await);
        let theirs = PublicKey::from_pem(&hub.registry.public_key()).unwrap();
        assert_ne!(own, theirs, "{round}");
        for base in ["/repos/acme", "/repos/hexpm:acme", "/repos/hexpm/repos/acme", "/repos/hexpm/repos/hexpm:acme"] {
            assert_eq!(key_of(&hub.get(&format!("{base}/public_key")).await), own, "{round} {base}");
            for path in ["packages/anvil", "names"] {
                let answer = hub.get(&format!("{base}/{path}")).await;
                assert_eq!(answer.status, 200, "{round} {base}/{path}");
                assert!(verifies(&answer.body, "acme", path, &own), "{round} {base}/{path}");
                assert!(!verifies(&answer.body, "acme", path, &theirs), "{round} {base}/{path}");
                let tag = answer.header("etag").to_owned();
                let unchanged = hub.get_with(&format!("{base}/{path}"), &[("if-none-match", &tag)]).await;
                assert_eq!(unchanged.status, 304, "{round} {base}/{path}");
            }
            let tarball = hub.get(&format!("{base}/tarballs/anvil-2.0.0.tar")).await;
            assert_eq!(tarball.status, 200, "{round} {base}");
        }
        // At an address that is not below a base of ours it passes through.
        for (path, host) in [("/packages/anvil", "acme.example"), ("/repos/acme/packages/anvil", "acme.example")] {
            let answer = hub.get_with(path, &[("host", host)]).await;
            assert_eq!((answer.status, &answer.body), (200, &anvil), "{round} {host}{path}");
            let key = hub.get_with(&path.replace("packages/anvil", "public_key"), &[("host", host)]).await;
            assert_eq!(key_of(&key), theirs, "{round} {host}{path}");
        }
        hub.restart().await;
    }
    assert_eq!(hub.upstream.calls_to("/repos/acme/packages/anvil").len(), 1, "one copy serves both signatures");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_we_sign_is_signed_by_us_under_every_base() {
    let Two { hub, .. } = two_with("", "signature: own").await;
    let own = key_of(&hub.get("/repos/acme/public_key").await);
    for base in ["/repos/acme", "/repos/hexpm:acme", "/repos/hexpm/repos/acme"] {
        let answer = hub.get(&format!("{base}/packages/anvil")).await;
        assert!(verifies(&answer.body, "acme", "packages/anvil", &own), "{base}");
        assert_eq!(key_of(&hub.get(&format!("{base}/public_key")).await), own, "{base}");
    }
    let below = hub.get("/repos/acme/repos/hexpm:hexpm/packages/jason").await;
    assert!(verifies(&below.body, "hexpm", "packages/jason", &own));
    assert_eq!(hub.get("/packages/jason").await.body, hub.registry.package("jason"));
    let head = hub.send(Method::HEAD, "/repos/acme/public_key", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
