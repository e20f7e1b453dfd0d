//! The upstream's content: a small signed registry whose files have the sizes that are measured.

use std::path::{Path, PathBuf};

use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{Package, Release};
use hexkeep::trust::{PrivateKey, Signer};
use prost::Message;

#[path = "../../tests/it/support/tarballs.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod tarballs;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A registry as files.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) folder: PathBuf,
    /// SPKI PEM.
    pub(crate) public_key: String,
    /// Paths of 20 MiB tarballs that nobody asked for yet.
    pub(crate) cold: Vec<String>,
    signer: Signer,
}

impl Registry {
    /// `cold`: how many tarballs are needed for cold fills.
    pub(crate) fn build(folder: &Path, cold: usize) -> Self {
        for sub in ["packages", "tarballs"] {
            std::fs::create_dir_all(folder.join(sub)).unwrap();
        }
        let key = PrivateKey::generate(2048).unwrap();
        let signer = Signer::new(&key).unwrap();
        let write = |name: &str, releases: &[Release]| {
            let sealed = seal(&signer, name, releases);
            std::fs::write(folder.join("packages").join(name), sealed).unwrap();
        };
        write("bench_small", &filler(&signer, "bench_small", 700));
        write("bench_large", &filler(&signer, "bench_large", 16 * KIB));
        for (name, size) in [("bench_30k", 30 * KIB), ("bench_1m", MIB), ("bench_20m", 20 * MIB)] {
            write(name, &[tarball(folder, name, "1.0.0", size)]);
        }
        let cold: Vec<_> = (0..cold).map(|n| format!("1.0.{n}")).collect();
        let releases: Vec<_> = cold.iter().map(|version| tarball(folder, "bench_cold", version, 20 * MIB)).collect();
        write("bench_cold", &releases);
        Self {
            folder: folder.to_path_buf(),
            public_key: key.public().to_spki_pem().to_owned(),
            cold: cold.iter().map(|version| format!("/tarballs/bench_cold-{version}.tar")).collect(),
            signer,
        }
    }

    /// Adds packages of one release without a tarball; returns their paths.
    pub(crate) fn add_small(&self, count: usize) -> Vec<String> {
        let add = |number| {
            let name = format!("small_{number}");
            let sealed = seal(&self.signer, &name, &[release("1.0.0", &[1; 32], &[2; 32])]);
            std::fs::write(self.folder.join("packages").join(&name), sealed).unwrap();
            format!("/packages/{name}")
        };
        (0..count).map(add).collect()
    }
}

fn seal(signer: &Signer, name: &str, releases: &[Release]) -> Vec<u8> {
    let package = Package {
        name: name.to_owned(),
        repository: "hexpm".to_owned(),
        releases: releases.to_vec(),
        ..Package::default()
    };
    signer.seal(&package.encode_to_vec()).unwrap().body().to_vec()
}

/// As many releases as the resource needs to reach `size` bytes on the wire.
fn filler(signer: &Signer, name: &str, size: usize) -> Vec<Release> {
    let mut releases = Vec::new();
    while seal(signer, name, &releases).len() < size {
        let mut sums = [[0; 32]; 2];
        sums.iter_mut().for_each(|sum| fastrand::fill(sum));
        releases.push(release(&format!("1.{}.0", releases.len()), &sums[0], &sums[1]));
    }
    releases
}

fn release(version: &str, inner: &[u8], outer: &[u8]) -> Release {
    Release {
        version: version.to_owned(),
        inner_checksum: inner.to_vec(),
        outer_checksum: Some(outer.to_vec()),
        ..Release::default()
    }
}

/// Writes a Hex tarball of about `size` bytes whose content does not compress.
fn tarball(folder: &Path, name: &str, version: &str, size: usize) -> Release {
    let metadata = format!("{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n");
    let mut contents = vec![0; size.saturating_sub(6 * KIB)];
    fastrand::fill(&mut contents);
    let (bytes, inner) = tarballs::pack(metadata.as_bytes(), &contents);
    std::fs::write(folder.join(format!("tarballs/{name}-{version}.tar")), &bytes).unwrap();
    release(version, inner.as_bytes(), Sha256::of(&bytes).as_bytes())
}
