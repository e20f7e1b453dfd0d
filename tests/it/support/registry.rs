//! A registry that a test signs itself, with the key that is made for tests.

use std::collections::BTreeMap;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{Names, Package, Release, Timestamp, Versions, names, versions};
use hexkeep::trust::{PrivateKey, Signer};
use prost::Message;

use super::tarballs::pack;
use super::upstream::ScriptedUpstream;

/// The private key of all test registries.
pub(crate) const TEST_KEY: &str = include_str!("../../../src/trust/testdata/test-only-key.pem");

/// Packages and their tarballs, kept in step with a scripted upstream by [`TestRegistry::publish`].
pub(crate) struct TestRegistry {
    pub(crate) name: String,
    pub(crate) signer: Signer,
    packages: BTreeMap<String, Package>,
    tarballs: BTreeMap<String, Bytes>,
    /// When packages changed, in seconds, where `names` is to say so.
    updated: BTreeMap<String, i64>,
}

impl TestRegistry {
    /// An empty registry called `name`.
    pub(crate) fn new(name: &str) -> Self {
        let signer = Signer::new(&PrivateKey::from_pem(TEST_KEY).unwrap()).unwrap();
        Self {
            name: name.to_owned(),
            signer,
            packages: BTreeMap::new(),
            tarballs: BTreeMap::new(),
            updated: BTreeMap::new(),
        }
    }

    /// The key that it signs with, as SPKI PEM.
    pub(crate) fn public_key(&self) -> String {
        self.signer.public_key().to_spki_pem().to_owned()
    }

    /// Adds a release with a small tarball; returns the tarball.
    pub(crate) fn add(&mut self, package: &str, version: &str) -> Bytes {
        self.add_sized(package, version, 1024)
    }

    /// Adds a release whose tarball has about `size` bytes; returns the tarball.
    pub(crate) fn add_sized(&mut self, package: &str, version: &str, size: usize) -> Bytes {
        let (tarball, inner) = tarball(package, version, size, 0);
        self.add_bytes(package, version, tarball, inner)
    }

    /// Adds (or replaces) a release with the given tarball.
    pub(crate) fn add_bytes(&mut self, package: &str, version: &str, tarball: Bytes, inner: Sha256) -> Bytes {
        let entry = self.packages.entry(package.to_owned()).or_insert_with(|| Package {
            name: package.to_owned(),
            repository: self.name.clone(),
            ..Package::default()
        });
        entry.releases.retain(|release| release.version != version);
        entry.releases.push(Release {
            version: version.to_owned(),
            inner_checksum: inner.as_bytes().to_vec(),
            outer_checksum: Some(Sha256::of(&tarball).as_bytes().to_vec()),
            ..Release::default()
        });
        self.tarballs.insert(format!("{package}-{version}"), tarball.clone());
        tarball
    }

    /// Every tarball that is listed, by `NAME-VERSION`.
    pub(crate) fn tarballs(&self) -> BTreeMap<String, Bytes> {
        let listed = |name: &str| name.split_once('-').is_some_and(|(package, _)| self.packages.contains_key(package));
        self.tarballs
            .iter()
            .filter(|(name, _)| listed(name))
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect()
    }

    /// The message of a package.
    pub(crate) fn package_ref(&self, package: &str) -> &Package {
        &self.packages[package]
    }

    /// The message of a package, to be changed at will.
    pub(crate) fn package_mut(&mut self, package: &str) -> &mut Package {
        self.packages.get_mut(package).unwrap()
    }

    /// Sets when a release was published, in seconds.
    pub(crate) fn published(&mut self, package: &str, version: &str, seconds: u64) {
        let release = self.packages.get_mut(package).unwrap().releases.iter_mut().find(|r| r.version == version);
        release.unwrap().published_at =
            Some(Timestamp { seconds: i64::try_from(seconds).unwrap(), ..Timestamp::default() });
    }

    /// Lets `names` say when a package changed.
    pub(crate) fn updated(&mut self, package: &str, seconds: i64) {
        self.updated.insert(package.to_owned(), seconds);
    }

    /// Takes a package away.
    pub(crate) fn remove(&mut self, package: &str) {
        self.packages.remove(package);
    }

    /// Any payload, signed.
    pub(crate) fn seal(&self, payload: &[u8]) -> Bytes {
        self.signer.seal(payload).unwrap().body().clone()
    }

    /// `packages/NAME`, signed.
    pub(crate) fn package(&self, name: &str) -> Bytes {
        self.seal(&self.packages[name].encode_to_vec())
    }

    /// `names`, signed.
    pub(crate) fn names(&self) -> Bytes {
        let packages = self.packages.keys().map(|name| names::Package {
            name: name.clone(),
            updated_at: self.updated.get(name).map(|seconds| Timestamp { seconds: *seconds, ..Timestamp::default() }),
        });
        self.seal(&Names { packages: packages.collect(), repository: self.name.clone() }.encode_to_vec())
    }

    /// `versions`, signed.
    pub(crate) fn versions(&self) -> Bytes {
        let packages = self.packages.values().map(|package| versions::Package {
            name: package.name.clone(),
            versions: package.releases.iter().map(|release| release.version.clone()).collect(),
            ..versions::Package::default()
        });
        self.seal(&Versions { packages: packages.collect(), repository: self.name.clone() }.encode_to_vec())
    }

    /// Makes the upstream serve what this registry holds now.
    pub(crate) fn publish(&self, upstream: &ScriptedUpstream) {
        upstream.serve("/names", self.names());
        upstream.serve("/versions", self.versions());
        for name in self.packages.keys() {
            upstream.serve(&format!("/packages/{name}"), self.package(name));
        }
        for (name, tarball) in &self.tarballs {
            upstream.serve(&format!("/tarballs/{name}.tar"), tarball.clone());
        }
    }
}

/// A Hex tarball of about `size` bytes, and its inner checksum. Another `flavour` gives other bytes.
pub(crate) fn tarball(package: &str, version: &str, size: usize, flavour: u8) -> (Bytes, Sha256) {
    let metadata = format!("{{<<\"name\">>,<<\"{package}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n");
    let contents: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap_or_default() ^ flavour).collect();
    pack(metadata.as_bytes(), &contents)
}
