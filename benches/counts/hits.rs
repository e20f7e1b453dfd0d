//! Requests that are answered from memory.

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{Names, Package, Timestamp, Versions, names, versions};
use hexkeep::trust::{PrivateKey, Signer};
use http::Method;
use prost::Message as _;

use super::region::count_async;
use super::server::{KEY, NOW, Server, request};
use super::upstream::Upstream;
use super::{synthetic, tarballs};

/// Hits that are counted of each case.
const TURNS: u32 = 500;

/// Hits before that: what is kept after the first answers is there, and queues have been worked off a few times.
const WARM: u32 = 200;

/// Packages of the upstream.
const PACKAGES: usize = 20;

/// The package that is asked for, and the release of it that can be fetched.
const PACKAGE: &str = "package_07";
const RELEASE: &str = "1.18.0";

/// One case: what is asked, with which headers, and what is answered.
struct Case {
    name: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    status: u16,
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let upstream = upstream().await;
        let server = Server::start(&config(&format!("http://{}", upstream.address))).await;
        let key = server.key().await;
        publish_private_packages(&server, &key).await;
        for case in cases(&key) {
            hit(&server, case).await;
        }
    });
}

fn cases(key: &str) -> Vec<Case> {
    let package = format!("/packages/{PACKAGE}");
    let tarball = format!("/tarballs/{PACKAGE}-{RELEASE}.tar");
    let case = |name, path: String, headers, status| Case { name, path, headers, status };
    vec![
        case("package", package.clone(), vec![], 200),
        case("package_unchanged", package.clone(), vec![("if-none-match", String::new())], 304),
        case("tarball", tarball.clone(), vec![], 200),
        case("tarball_unchanged", tarball.clone(), vec![("if-none-match", String::new())], 304),
        case("key_package", format!("/repos/closed{package}"), vec![("authorization", key.to_owned())], 200),
        case("key_tarball", format!("/repos/closed{tarball}"), vec![("authorization", key.to_owned())], 200),
        case("policed_package", format!("/repos/policed{package}"), vec![], 200),
        case("policed_tarball", format!("/repos/policed{tarball}"), vec![], 200),
        case("virtual_package", format!("/repos/united{package}"), vec![], 200),
        case("virtual_private_package", "/repos/united/packages/private_1".to_owned(), vec![], 200),
        case("virtual_tarball", format!("/repos/united{tarball}"), vec![], 200),
        case("virtual_versions", "/repos/united/versions".to_owned(), vec![], 200),
    ]
}

async fn hit(server: &Server, case: Case) {
    let get = |headers: &[(&str, &str)]| request(Method::GET, &case.path, headers, Bytes::new());
    let mut headers: Vec<(&str, &str)> = case.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (_, first, _) = server.answer(get(&headers)).await;
    let tag = first.get("etag").map(|tag| tag.to_str().unwrap()).unwrap_or_default();
    for (name, value) in &mut headers {
        if *name == "if-none-match" {
            *value = tag;
        }
    }
    for _ in 0..WARM {
        let (status, answered, body) = server.answer(get(&headers)).await;
        assert_eq!(status, case.status, "{}: {}", case.name, String::from_utf8_lossy(&body));
        if status == 200 {
            assert_eq!(answered.get("x-hexkeep-cache").unwrap(), "hit", "{}", case.name);
        }
    }
    let requests = (0..TURNS).map(|_| get(&headers)).collect();
    count_async(case.name, requests, async |request| {
        server.answer(request).await;
    })
    .await;
}

fn config(url: &str) -> String {
    let remote = format!("type: remote, name: hexpm, url: \"{url}\", public_key: public.pem, metadata_ttl: 30d");
    format!(
        "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }}\n\
         storage: {{ path: data }}\n\
         signing: {{ keys: [{{ id: k1, file: key.pem }}] }}\n\
         default_repository: hexpm\n\
         policies:\n  company: {{ mode: enforce, repositories: {{ policed: {{ cooldown: 7d }} }} }}\n\
         repositories:\n  \
         hexpm: {{ {remote} }}\n  \
         closed: {{ {remote}, anonymous_read: false }}\n  \
         policed: {{ {remote}, signature: own, policy: company }}\n  \
         acme: {{ type: local, anonymous_read: true, dependency_check: off }}\n  \
         united: {{ type: virtual, members: [acme, hexpm], anonymous_read: true }}\n"
    )
}

/// The local member of the virtual repository has packages, too.
async fn publish_private_packages(server: &Server, key: &str) {
    for number in 0..3 {
        let tarball = super::publish::package(&format!("private_{number}"), "1.0.0");
        let publish = request(Method::POST, "/api/repos/acme/publish", &[("authorization", key)], tarball);
        let (status, _, body) = server.answer(publish).await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    }
}

/// A registry of a few packages with twenty releases each, of which the last is a day old.
async fn upstream() -> Upstream {
    let signer = Signer::new(&PrivateKey::from_pem(KEY).unwrap()).unwrap();
    let seal = |payload: Vec<u8>| signer.seal(&payload).unwrap().body().clone();
    let noise = super::publish::noise(7);
    let metadata = format!("{{<<\"name\">>,<<\"{PACKAGE}\">>}}.\n{{<<\"version\">>,<<\"{RELEASE}\">>}}.\n");
    let (tarball, inner) = tarballs::pack(metadata.as_bytes(), &noise);
    let names: Vec<String> = (0..PACKAGES).map(|number| format!("package_{number:02}")).collect();
    let mut served = vec![(format!("/tarballs/{PACKAGE}-{RELEASE}.tar"), tarball.clone())];
    for name in &names {
        let mut package = Package::decode(synthetic::package("hexpm", name, 20).as_slice()).unwrap();
        for release in package.releases.iter_mut().filter(|release| release.version == RELEASE) {
            release.inner_checksum = inner.as_bytes().to_vec();
            release.outer_checksum = Some(Sha256::of(&tarball).as_bytes().to_vec());
        }
        let day_ago = i64::try_from(NOW - 86_400).unwrap();
        package.releases.last_mut().unwrap().published_at = Some(Timestamp { seconds: day_ago, nanos: 0 });
        served.push((format!("/packages/{name}"), seal(package.encode_to_vec())));
    }
    let listed = names.iter().map(|name| names::Package { name: name.clone(), ..Default::default() }).collect();
    served.push(("/names".to_owned(), seal(Names { packages: listed, repository: "hexpm".into() }.encode_to_vec())));
    let versions: Vec<String> = (0..20).map(|minor| format!("1.{minor}.0")).collect();
    let listed = names.iter().map(|name| versions::Package {
        name: name.clone(),
        versions: versions.clone(),
        ..Default::default()
    });
    let listed = Versions { packages: listed.collect(), repository: "hexpm".into() };
    served.push(("/versions".to_owned(), seal(listed.encode_to_vec())));
    Upstream::start(move |path| served.iter().find(|(served, _)| served == path).map(|(_, body)| body.clone())).await
}
