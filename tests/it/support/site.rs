//! An upstream with some packages, and homes of daemons that know it: for what is brought here ahead of time.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;

use super::process::{Daemon, Home, Said};
use super::registry::TestRegistry;
use super::upstream::ScriptedUpstream;

/// A release: (package, version).
pub(crate) type Release<'a> = (&'a str, &'a str);

pub(crate) struct Site {
    pub(crate) upstream: ScriptedUpstream,
    pub(crate) registry: TestRegistry,
    pub(crate) home: Home,
}

impl Site {
    /// An upstream with `releases` of `size` bytes each, not published yet, and a home whose `hexpm` is its remote; `more`
    /// is added to the repository.
    pub(crate) async fn with(releases: &[Release<'_>], size: usize, more: &str) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let mut registry = TestRegistry::new("hexpm");
        for (package, version) in releases {
            registry.add_sized(package, version, size);
        }
        let home = Home::remote(&upstream.url(), &registry.public_key(), more);
        Self { upstream, registry, home }
    }

    /// The upstream has what the registry has.
    pub(crate) fn publish(&self) {
        self.registry.publish(&self.upstream);
    }

    /// Another home that knows the same upstream.
    pub(crate) fn another(&self, more: &str) -> Home {
        Home::remote(&self.upstream.url(), &self.registry.public_key(), more)
    }

    /// Writes a lock file of mix with the checksums that the registry has.
    pub(crate) fn lock(&self, file: &str, releases: &[Release<'_>]) {
        let mut text = "%{\n".to_owned();
        for (package, version) in releases {
            let (inner, outer) = self.checksums(package, version);
            writeln!(
                text,
                "  \"{package}\": {{:hex, :{package}, \"{version}\", \"{inner}\", [:mix], [], \"hexpm\", \"{outer}\"}},"
            )
            .unwrap();
        }
        self.home.write(file, &format!("{text}}}\n"));
    }

    /// The inner and the outer checksum of a release.
    pub(crate) fn checksums(&self, package: &str, version: &str) -> (Sha256, Sha256) {
        let package = self.registry.package_ref(package);
        let release = package.releases.iter().find(|release| release.version == version).unwrap();
        let digest = |bytes: &[u8]| Sha256::try_from(bytes).unwrap();
        (digest(&release.inner_checksum), digest(release.outer_checksum.as_ref().unwrap()))
    }

    /// Where a tarball is stored.
    pub(crate) fn blob(&self, package: &str, version: &str) -> PathBuf {
        let digest = self.checksums(package, version).1.to_string();
        self.home.data().join("blobs").join(digest.get(..2).unwrap()).join(digest)
    }

    /// How often a path was asked for.
    pub(crate) fn calls(&self, path: &str) -> usize {
        self.upstream.calls_to(path).len()
    }

    /// What was asked for since the first `count` requests.
    pub(crate) fn asked_since(&self, count: usize) -> BTreeSet<String> {
        self.upstream.calls().into_iter().skip(count).map(|call| call.path).collect()
    }

    /// `hexkeep COMMAND… MORE…` in the home.
    pub(crate) fn run(&self, command: &[&str], more: &[&str]) -> Said {
        self.home.run(&[command, more].concat())
    }
}

/// A GET request over a connection of its own: status and body.
pub(crate) async fn get(daemon: &Daemon, path: &str) -> (u16, Bytes) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(format!("{}{path}", daemon.url())).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap())
}
