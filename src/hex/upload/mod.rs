//! Validates uploads of publishers (tarballs and documentation) without unpacking them to the disk.
//!
//! A tarball is read twice: first its outer entries, then the files inside. Only the small parts are kept in memory,
//! and every announced size is checked against a limit first. Errors use the same fields and begin with the same words
//! as those of hex.pm.

mod files;
pub mod outer;

use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::checksum::{Hasher, Sha256};
use super::invalid::Invalid;
use super::limits;
use super::metadata::Metadata;
use super::name::PackageName;
use outer::Outer;

/// A validated tarball of a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Its metadata.
    pub metadata: Metadata,
    /// The text of `metadata.config`.
    pub metadata_config: Bytes,
    /// SHA-256 over `VERSION`, `metadata.config` and `contents.tar.gz`.
    pub inner: Sha256,
}

/// Validates a whole tarball. Blocks. `source` is read from its beginning.
pub fn package(mut source: impl Read + Seek) -> Result<Package, Invalid> {
    let (package, (start, length)) = read_package(&mut source)?;
    source.seek(SeekFrom::Start(start)).map_err(|error| unreadable(&error))?;
    files::scan(source.take(length), &mut |_| {})
        .map_err(|fault| tar_fault(format!("inner tarball error, {fault}")))?;
    Ok(package)
}

/// Validates a tarball that was accepted before, perhaps under other rules for its files: checks the metadata, but not
/// the files. Blocks. `source` is read from its beginning.
pub fn read_accepted(mut source: impl Read + Seek) -> Result<Package, Invalid> {
    read_package(&mut source).map(|(package, _)| package)
}

/// Validates the metadata of a tarball. Returns the package, and the position and the length of its files.
fn read_package(source: &mut (impl Read + Seek)) -> Result<(Package, (u64, u64)), Invalid> {
    let outer = Outer::read(&mut *source, limits::TARBALL as u64).map_err(tar_fault)?;
    if outer.version != b"3" {
        return Err(tar_fault(format!("unsupported version: {:?}", excerpt(&outer.version))));
    }
    let claimed = std::str::from_utf8(&outer.checksum).ok().map(str::trim_ascii_end);
    let claimed = claimed.and_then(|text| Sha256::from_hex(text).ok());
    let claimed = claimed.ok_or_else(|| tar_fault("CHECKSUM is not a SHA-256 checksum in hexadecimal"))?;
    let mut hasher = Hasher::new();
    hasher.update(&outer.version);
    hasher.update(&outer.metadata);
    let (start, length) = outer.contents;
    source.seek(SeekFrom::Start(start)).map_err(|error| unreadable(&error))?;
    hash(&mut source.take(length), &mut hasher).map_err(|error| unreadable(&error))?;
    let inner = hasher.finish();
    if inner != claimed {
        return Err(tar_fault(format!("tarball error, {{inner_checksum_mismatch,{claimed},{inner}}}")));
    }
    let metadata = Metadata::read(&outer.metadata)?;
    Ok((Package { metadata, metadata_config: outer.metadata.into(), inner }, (start, length)))
}

/// Reads only the name of the package.
pub fn name(mut source: impl Read + Seek) -> Result<PackageName, Invalid> {
    let outer = Outer::read(&mut source, limits::TARBALL as u64).map_err(tar_fault)?;
    Metadata::name_of(&outer.metadata)
}

/// Validates a whole documentation archive: a gzipped tar archive with an `index.html`. Blocks.
pub fn docs(source: impl Read) -> Result<(), Invalid> {
    let mut has_index = false;
    let scanned = files::scan(source, &mut |path| has_index |= path == b"index.html");
    match scanned {
        Err(files::Fault::TooLarge) => Err(tar_fault("too big (uncompressed)")),
        Err(files::Fault::Read(error)) => Err(unreadable(&error)),
        Err(fault) => Err(tar_fault(fault.to_string())),
        Ok(()) if !has_index => Err(tar_fault("has no index.html")),
        Ok(()) => Ok(()),
    }
}

fn tar_fault(message: impl Into<String>) -> Invalid {
    Invalid::of("tar", message)
}

fn unreadable(error: &io::Error) -> Invalid {
    tar_fault(outer::unreadable(error))
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(limits::EXCERPT).collect()
}

fn hash(source: &mut impl Read, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = source.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        hasher.update(bytes);
    }
}

#[cfg(test)]
mod tests;
