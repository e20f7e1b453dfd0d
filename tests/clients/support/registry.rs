//! The upstream's content: a folder signed by the reference library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::client::{Client, say};

/// The original package tarballs of the test data, where they are.
pub(crate) fn originals() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/testdata/tarballs");
    folder.is_dir().then_some(folder)
}

/// The two checksums of a release, lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksums {
    pub(crate) inner: String,
    pub(crate) outer: String,
}

/// A registry as files, and what it says of each release.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) folder: PathBuf,
    /// By package and version.
    pub(crate) releases: BTreeMap<(String, String), Checksums>,
}

impl Registry {
    pub(crate) fn build(rebar3: &Path, folder: &Path) -> Self {
        let tarballs = originals();
        if tarballs.is_none() {
            say("the original tarballs of the test data are not here: a registry of our own packages only");
        }
        Self::written(rebar3, folder, "hexpm", tarballs)
    }

    /// One of another set of packages, of which `escript/build_registry.escript` tells.
    pub(crate) fn of(rebar3: &Path, folder: &Path, set: &str) -> Self {
        Self::written(rebar3, folder, set, None)
    }

    fn written(rebar3: &Path, folder: &Path, set: &str, tarballs: Option<PathBuf>) -> Self {
        let escript = super::program("escript");
        let home = tempfile::TempDir::with_prefix("hexkeep-escript-").unwrap();
        let mut client = Client::new(&escript, home.path()).args([
            script("build_registry.escript"),
            rebar3.to_path_buf(),
            folder.to_path_buf(),
            set.into(),
        ]);
        if let Some(tarballs) = tarballs {
            client = client.args([tarballs]);
        }
        let releases = client
            .succeed()
            .lines()
            .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
                [name, version, inner, outer] => {
                    ((name.into(), version.into()), Checksums { inner: inner.into(), outer: outer.into() })
                }
                _ => panic!("not a release: {line}"),
            })
            .collect();
        Self { folder: folder.to_path_buf(), releases }
    }

    pub(crate) fn public_key(&self) -> String {
        std::fs::read_to_string(self.folder.join("public_key")).unwrap()
    }

    pub(crate) fn checksums(&self, name: &str, version: &str) -> &Checksums {
        self.releases.get(&(name.to_owned(), version.to_owned())).unwrap_or_else(|| panic!("no {name} {version}"))
    }
}

/// The path of one of our escripts.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/escript").join(name)
}
