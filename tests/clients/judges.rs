//! Two outside judges of what the daemon hands out: the reference library of the Erlang clients, and the `hexpm` crate.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Client, Mode, Stage, program, script};

pub(crate) fn the_reference_library_accepts_what_passes_through() {
    reference_library(Mode::Upstream);
}

pub(crate) fn the_reference_library_accepts_what_we_sign() {
    reference_library(Mode::Own);
}

pub(crate) fn the_hexpm_crate_accepts_what_passes_through() {
    hexpm_crate(Mode::Upstream);
}

pub(crate) fn the_hexpm_crate_accepts_what_we_sign() {
    hexpm_crate(Mode::Own);
}

fn reference_library(mode: Mode) {
    let rebar3 = program("rebar3");
    let mut stage = Stage::set(&rebar3, mode);
    let first = judged(&rebar3, &stage);
    let calls = stage.upstream.tarball_calls();
    assert_eq!(calls.len(), stage.registry.releases.len());
    assert!(calls.values().all(|n| *n == 1), "each tarball is fetched once: {calls:?}");

    let packages: std::collections::BTreeSet<_> = stage.registry.releases.keys().map(|(name, _)| name).collect();
    let mut lines = first.lines();
    assert_eq!(lines.next(), Some(format!("names {}", packages.len()).as_str()));
    assert_eq!(lines.next(), Some(format!("versions {}", packages.len()).as_str()));
    let decoded: BTreeMap<_, _> = lines
        .filter(|line| !line.starts_with('>'))
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .map(|fields| ((fields[0].to_owned(), fields[1].to_owned()), fields[2..].join(" ")))
        .collect();
    let expected: BTreeMap<_, _> = stage
        .registry
        .releases
        .iter()
        .map(|((name, version), sums)| {
            let retired = if (name.as_str(), version.as_str()) == ("stopwatch", "1.0.0") { " retired" } else { "" };
            ((name.clone(), version.clone()), format!("{} {}{retired}", sums.inner, sums.outer))
        })
        .collect();
    assert_eq!(decoded, expected);

    stage.upstream.switch_off();
    stage.daemon.restart();
    assert_eq!(judged(&rebar3, &stage), first, "the same repository without its upstream, after a restart");
}

fn judged(rebar3: &std::path::Path, stage: &Stage) -> String {
    let escript = program("escript");
    let home = tempfile::TempDir::new().unwrap();
    Client::new(&escript, home.path())
        .args([script("verify.escript").as_os_str(), rebar3.as_os_str()])
        .args([stage.daemon.url()])
        .args([&stage.key_file])
        .succeed()
}

fn hexpm_crate(mode: Mode) {
    let rebar3 = program("rebar3");
    let stage = Stage::set(&rebar3, mode);
    let mut config = hexpm::Config::new();
    config.repository_base = format!("{}/", stage.daemon.url()).parse().unwrap();
    let key = stage.key();
    let key = key.as_bytes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let versions = fetch(hexpm::repository_v2_get_versions_request(None, &config)).await;
        let versions = hexpm::repository_v2_get_versions_response(versions, key).unwrap();
        let listed: usize = versions.values().map(Vec::len).sum();
        assert_eq!(listed, stage.registry.releases.len());
        for name in versions.keys() {
            let package = fetch(hexpm::repository_v2_get_package_request(name, None, &config)).await;
            let package = hexpm::repository_v2_get_package_response(package, key).unwrap();
            assert_eq!((&package.name, package.repository.as_str()), (name, "hexpm"));
            for release in package.releases {
                let version = release.version.to_string();
                let sums = stage.registry.checksums(name, &version);
                assert_eq!(hex::encode(&release.outer_checksum), sums.outer, "{name} {version}");
                let request = hexpm::repository_get_package_tarball_request(name, &version, None, &config);
                let tarball = fetch(request).await;
                hexpm::repository_get_package_tarball_response(tarball, &release.outer_checksum).unwrap();
            }
        }
        let request = hexpm::repository_v2_get_package_request("no_such_package", None, &config);
        let missing = hexpm::repository_v2_get_package_response(fetch(request).await, key);
        assert!(matches!(missing, Err(hexpm::ApiError::NotFound)), "{missing:?}");
    });
}

async fn fetch(request: http::Request<Vec<u8>>) -> http::Response<Vec<u8>> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let (parts, body) = request.into_parts();
    let response =
        client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body).send().await.unwrap();
    let status = response.status();
    http::Response::builder().status(status).body(response.bytes().await.unwrap().to_vec()).unwrap()
}
