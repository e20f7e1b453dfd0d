//! A synthetic registry of hex.pm's size, mirrored end to end by the real program: `cargo bench --bench mirror`.
//!
//! Prints the time, the peak of memory and the requests upstream of a first run and of a second one that finds nothing
//! new. `HEXKEEP_BENCH_PACKAGES` says how many packages there are (20,000), each with ten releases of 2 KiB.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement ends by panicking, prints what it has found, and makes its own files"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{Names, Package, Release, Timestamp, Versions, names, versions};
use hexkeep::trust::{PrivateKey, Signer};
use prost::Message;

#[path = "support/upstream.rs"]
mod upstream;

use upstream::Upstream;

const KEY: &str = include_str!("../src/trust/testdata/test-only-key.pem");
const RELEASES: usize = 10;
const TARBALL: usize = 2048;

struct Registry {
    signer: Signer,
    names: Bytes,
    versions: Bytes,
}

fn name(place: usize) -> String {
    format!("package_{place:05}")
}

fn tarball(name: &str, version: &str) -> Vec<u8> {
    format!("{name}-{version} ").repeat(TARBALL).into_bytes().into_iter().take(TARBALL).collect()
}

impl Registry {
    fn new(packages: usize) -> Self {
        let signer = Signer::new(&PrivateKey::from_pem(KEY).unwrap()).unwrap();
        let all: Vec<String> = (0..packages).map(name).collect();
        let list: Vec<String> = (0..RELEASES).map(|minor| format!("1.{minor}.0")).collect();
        let updated_at = Some(Timestamp { seconds: 1_767_225_600, nanos: 0 });
        let named = all.iter().map(|name| names::Package { name: name.clone(), updated_at });
        let versioned = all.iter().map(|name| versions::Package {
            name: name.clone(),
            versions: list.clone(),
            ..versions::Package::default()
        });
        let names = Names { packages: named.collect(), repository: "hexpm".to_owned() };
        let versions = Versions { packages: versioned.collect(), repository: "hexpm".to_owned() };
        let seal = |payload: &[u8]| signer.seal(payload).unwrap().body().clone();
        let (names, versions) = (seal(&names.encode_to_vec()), seal(&versions.encode_to_vec()));
        Self { signer, names, versions }
    }

    fn package(&self, name: &str) -> Bytes {
        let releases = (0..RELEASES).map(|minor| {
            let version = format!("1.{minor}.0");
            let digest = Sha256::of(&tarball(name, &version)).as_bytes().to_vec();
            Release { version, inner_checksum: digest.clone(), outer_checksum: Some(digest), ..Release::default() }
        });
        let package = Package {
            name: name.to_owned(),
            repository: "hexpm".to_owned(),
            releases: releases.collect(),
            advisories: vec![],
        };
        self.signer.seal(&package.encode_to_vec()).unwrap().body().clone()
    }

    fn body(&self, path: &str) -> Option<Bytes> {
        match path {
            "/names" => Some(self.names.clone()),
            "/versions" => Some(self.versions.clone()),
            _ => match (path.strip_prefix("/packages/"), path.strip_prefix("/tarballs/")) {
                (Some(name), _) => Some(self.package(name)),
                (_, Some(file)) => {
                    let (name, version) = file.strip_suffix(".tar")?.split_once('-')?;
                    Some(tarball(name, version).into())
                }
                _ => None,
            },
        }
    }
}

fn main() {
    let packages = std::env::var("HEXKEEP_BENCH_PACKAGES").map_or(20_000, |text| text.parse().unwrap());
    let registry = Registry::new(packages);
    let public_key = registry.signer.public_key().to_spki_pem().to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let upstream = runtime.block_on(Upstream::start(move |path| registry.body(path)));
    let address = upstream.address;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("key.pem"), public_key).unwrap();
    let config = format!(
        "storage: {{ path: data }}\nrepositories:\n  hexpm: {{ type: remote, url: \"http://{address}\", public_key: key.pem }}\n"
    );
    std::fs::write(home.path().join("hexkeep.yaml"), config).unwrap();
    println!("{packages} packages, {} releases", packages * RELEASES);
    for story in ["first run", "second run"] {
        let before = upstream.counts();
        let (took, memory, said) = run(home.path());
        let requests = upstream.counts().requests - before.requests;
        let unchanged = upstream.counts().unchanged - before.unchanged;
        println!(
            "{story}: {:.1} s, at most {} MiB, {requests} requests upstream, {unchanged} of them answered 304; {said}",
            took.as_secs_f64(),
            memory / 1024
        );
    }
}

/// Mirrors once: how long it took, the peak of memory in KiB, and what was said.
fn run(home: &std::path::Path) -> (Duration, u64, String) {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hexkeep"))
        .args(["--config", "hexkeep.yaml", "mirror", "hexpm", "--connections", "16"])
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak = peak.max(now.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = began.elapsed();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the mirror failed");
    (took, peak, String::from_utf8(output.stdout).unwrap().trim().to_owned())
}
