//! What a virtual repository signs, decoded by the reference library, by the `hexpm` crate and by us: all see one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hexkeep::hex::envelope::Envelope;
use hexkeep::hex::message;
use prost::Message as _;

use super::Union;
use crate::support::{Client, Registry, program, script};

/// A release: package, version, checksums, and the dependencies with their requirements and where they live.
type Seen = BTreeMap<(String, String), (Option<String>, String, BTreeSet<(String, String, String)>)>;

pub(crate) fn outside_judges_and_we_read_the_same_in_what_is_merged() {
    let rebar3 = program("rebar3");
    let union = Union::new(&rebar3);
    let private = union.publish(&rebar3);
    let key = union.readers_key();
    let theirs = by_the_reference_library(&rebar3, &union, &key);

    let of = |registry: &Registry| registry.releases.clone().into_iter();
    let attacks = ["acme_core", "acme_later", "partner_feed"];
    let public = of(&union.public).filter(|((name, _), _)| !attacks.contains(&name.as_str()));
    let expected: BTreeMap<_, _> = public.chain(of(&union.partners)).chain(of(&private)).collect();
    assert_eq!(theirs.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "all that is to be seen");
    for (release, (inner, outer, dependencies)) in &theirs {
        let sums = &expected[release];
        assert_eq!((inner.as_deref(), outer), (Some(sums.inner.as_str()), &sums.outer), "{release:?}");
        assert!(dependencies.iter().all(|(_, _, lives)| lives.is_empty()), "the view answers it: {dependencies:?}");
    }
    assert_eq!(theirs[&("acme_ledger".to_owned(), "1.2.0".to_owned())].2.len(), 3);

    let names: BTreeSet<&str> = theirs.keys().map(|(name, _)| name.as_str()).collect();
    assert_eq!(by_us(&union, &key, &names), theirs);
    let mut without_inner = theirs;
    for release in without_inner.values_mut() {
        release.0 = None;
    }
    assert_eq!(by_the_crate(&union, &key), without_inner);
}

fn by_the_reference_library(rebar3: &std::path::Path, union: &Union, key: &str) -> Seen {
    let escript = program("escript");
    let home = tempfile::TempDir::new().unwrap();
    let said = Client::new(&escript, home.path())
        .args([script("verify.escript").as_os_str(), rebar3.as_os_str()])
        .args([union.company.url()])
        .args([&union.company.key_file])
        .args([key])
        .succeed();
    let (mut seen, mut last) = (Seen::new(), None);
    for line in said.lines().skip(2) {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            [">", package, .., repository] => {
                let requirement = fields[2..fields.len() - 1].join(" ");
                let release: &mut (_, _, BTreeSet<_>) = seen.get_mut(last.as_ref().unwrap()).unwrap();
                release.2.insert((package.to_owned(), requirement, repository.to_owned()));
            }
            [name, version, inner, outer, ..] => {
                let release = (name.to_owned(), version.to_owned());
                seen.insert(release.clone(), (Some(inner.to_owned()), outer.to_owned(), BTreeSet::new()));
                last = Some(release);
            }
            _ => panic!("not a release: {line}"),
        }
    }
    seen
}

fn by_us(union: &Union, key: &str, names: &BTreeSet<&str>) -> Seen {
    let mut seen = Seen::new();
    in_runtime(async {
        for name in names {
            let url = format!("{}/packages/{name}", union.company.url());
            let request = http::Request::get(url).header("authorization", key).body(Vec::new()).unwrap();
            let payload = Envelope::open(fetch(request).await.into_body().into(), 1 << 24).unwrap().payload;
            let package = message::Package::decode(payload).unwrap();
            for release in package.releases {
                let lives = release.dependencies.into_iter();
                let lives = lives.map(|one| (one.package, one.requirement, one.repository.unwrap_or_default()));
                let (inner, outer) =
                    (hex::encode(&release.inner_checksum), hex::encode(release.outer_checksum.unwrap()));
                seen.insert((package.name.clone(), release.version), (Some(inner), outer, lives.collect()));
            }
        }
    });
    seen
}

fn by_the_crate(union: &Union, key: &str) -> Seen {
    let mut config = hexpm::Config::new();
    config.repository_base = format!("{}/", union.company.url()).parse().unwrap();
    let public_key = union.company.public_key();
    let public_key = public_key.as_bytes();
    let mut seen = Seen::new();
    in_runtime(async {
        let request = hexpm::repository_v2_get_versions_request(Some(key), &config);
        let versions = hexpm::repository_v2_get_versions_response(fetch(request).await, public_key).unwrap();
        for name in versions.keys() {
            let request = hexpm::repository_v2_get_package_request(name, Some(key), &config);
            let package = hexpm::repository_v2_get_package_response(fetch(request).await, public_key).unwrap();
            assert_eq!((&package.name, package.repository.as_str()), (name, "hexpm"));
            for release in package.releases {
                let lives = release
                    .requirements
                    .into_iter()
                    .map(|(name, one)| (name, one.requirement.to_string(), one.repository.unwrap_or_default()));
                let outer = hex::encode(&release.outer_checksum);
                seen.insert((name.clone(), release.version.to_string()), (None, outer, lives.collect()));
            }
        }
    });
    seen
}

fn in_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

async fn fetch(request: http::Request<Vec<u8>>) -> http::Response<Vec<u8>> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let (parts, body) = request.into_parts();
    let sent = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
    let response = sent.send().await.unwrap();
    let status = response.status();
    http::Response::builder().status(status).body(response.bytes().await.unwrap().to_vec()).unwrap()
}
