//! What a publisher sends, looked at without unpacking it anywhere.
//!
//! A tarball is walked twice: once over its outer entries, once through the files inside. Nothing is held but the small
//! parts; every size is bounded before it is believed. What is wrong is said under the field and with the first words
//! that hex.pm has for it.

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

/// A package's tarball that may be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// What it says of itself.
    pub metadata: Metadata,
    /// The text of that.
    pub metadata_config: Bytes,
    /// SHA-256 over `VERSION`, `metadata.config` and `contents.tar.gz`.
    pub inner: Sha256,
}

/// Looks at all of a tarball. Blocks; `source` is read from its beginning.
pub fn package(mut source: impl Read + Seek) -> Result<Package, Invalid> {
    let (package, (start, length)) = described(&mut source)?;
    source.seek(SeekFrom::Start(start)).map_err(|error| unreadable(&error))?;
    files::scan(source.take(length), &mut |_| {})
        .map_err(|fault| tar_fault(format!("inner tarball error, {fault}")))?;
    Ok(package)
}

/// Reads a tarball that was taken once, maybe when other files in it were taken: what it says of itself is looked at, its files
/// are not. Blocks; `source` is read from its beginning.
pub fn taken_before(mut source: impl Read + Seek) -> Result<Package, Invalid> {
    described(&mut source).map(|(package, _)| package)
}

/// What a tarball says of itself, and where its files begin and how long they are.
fn described(source: &mut (impl Read + Seek)) -> Result<(Package, (u64, u64)), Invalid> {
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

/// Reads the name of the package alone.
pub fn name(mut source: impl Read + Seek) -> Result<PackageName, Invalid> {
    let outer = Outer::read(&mut source, limits::TARBALL as u64).map_err(tar_fault)?;
    Metadata::name_of(&outer.metadata)
}

/// Looks at all of a documentation archive: a gzip'd tar with an `index.html`. Blocks.
pub fn docs(source: impl Read) -> Result<(), Invalid> {
    let mut has_index = false;
    let scanned = files::scan(source, &mut |path| has_index |= path == b"index.html");
    match scanned {
        Err(files::Fault::TooLarge) => Err(tar_fault("too big (uncompressed)")),
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
