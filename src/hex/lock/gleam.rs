//! Reads Gleam's `manifest.toml`: a list of tables, one for each package, with the outer checksum of the tarball.

use super::{Collected, Lock, LockEntry, LockError, LockFormat};

const FORMAT: LockFormat = LockFormat::Gleam;

#[derive(serde::Deserialize)]
struct Manifest {
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    version: String,
    source: String,
    outer_checksum: Option<String>,
}

pub(super) fn read(text: &str) -> Result<Lock, LockError> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        LockError::Syntax { format: FORMAT, line, what: error.message().into() }
    })?;
    let mut lock = Collected::new(FORMAT);
    for package in &manifest.packages {
        if package.source != "hex" {
            lock.other(&package.name)?;
            continue;
        }
        let entry = LockEntry {
            repository: None,
            package: &package.name,
            version: &package.version,
            inner: None,
            outer: package.outer_checksum.as_deref(),
        };
        lock.release(&package.name, entry)?;
    }
    Ok(lock.finish())
}
