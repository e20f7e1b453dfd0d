//! What a publisher sends, looked at without unpacking it anywhere. May import `hex`.
//!
//! A tarball is walked twice: once over its outer entries, once through the files inside. Nothing is held but the small
//! parts; every size is bounded before it is believed. What is wrong is said under the field and with the first words
//! that hex.pm has for it.

mod files;

use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use tar::Archive;

use super::checksum::{Hasher, Sha256};
use super::invalid::Invalid;
use super::limits;
use super::metadata::Metadata;
use super::name::PackageName;

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

/// The outer entries.
#[derive(Debug)]
struct Outer {
    version: Vec<u8>,
    checksum: Vec<u8>,
    metadata: Vec<u8>,
    /// Where the contents begin, and how long they are.
    contents: (u64, u64),
}

/// Looks at all of a tarball. Blocks; `source` is read from its beginning.
pub fn package(mut source: impl Read + Seek) -> Result<Package, Invalid> {
    let outer = outer(&mut source)?;
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
    let contents = |source: &mut dyn ReadSeek| -> io::Result<()> { source.seek(SeekFrom::Start(start)).map(drop) };
    contents(&mut source).map_err(|error| unreadable(&error))?;
    hash(&mut (&mut source).take(length), &mut hasher).map_err(|error| unreadable(&error))?;
    let inner = hasher.finish();
    if inner != claimed {
        return Err(tar_fault(format!("tarball error, {{inner_checksum_mismatch,{claimed},{inner}}}")));
    }
    let metadata = Metadata::read(&outer.metadata)?;
    contents(&mut source).map_err(|error| unreadable(&error))?;
    files::scan(source.take(length), &mut |_| {})
        .map_err(|fault| tar_fault(format!("inner tarball error, {fault}")))?;
    Ok(Package { metadata, metadata_config: outer.metadata.into(), inner })
}

/// Reads the name of the package alone.
pub fn name(mut source: impl Read + Seek) -> Result<PackageName, Invalid> {
    Metadata::name_of(&outer(&mut source)?.metadata)
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

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

fn tar_fault(message: impl Into<String>) -> Invalid {
    Invalid::of("tar", message)
}

fn unreadable(error: &io::Error) -> Invalid {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "Unexpected end of file".to_owned(),
        _ => error.to_string(),
    };
    tar_fault(format!("tarball error, {what}"))
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

/// Walks over the outer entries. What hex.pm ignores, extra files, is ignored; what readers could understand in two
/// ways, doubles, links and extension headers, is refused.
fn outer(source: &mut (impl Read + Seek)) -> Result<Outer, Invalid> {
    let length = source.seek(SeekFrom::End(0)).and_then(|length| source.rewind().map(|()| length));
    let length = length.map_err(|error| unreadable(&error))?;
    if length > limits::TARBALL as u64 {
        return Err(tar_fault("too big"));
    }
    let [mut version, mut checksum, mut metadata] = [const { None::<Vec<u8>> }; 3];
    let mut contents = None;
    let mut archive = Archive::new(files::Counted::new(source, u64::MAX));
    let entries = archive.entries().map_err(|error| unreadable(&error))?.raw(true);
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|error| unreadable(&error))?;
        if count >= limits::OUTER_ENTRIES {
            return Err(tar_fault("tarball error, too many entries"));
        }
        let name = entry.path_bytes().into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(tar_fault(format!("tarball error, {} is not a plain file", excerpt(&name))));
        }
        let (slot, max) = match &name[..] {
            b"VERSION" => (&mut version, limits::TARBALL_VERSION),
            b"CHECKSUM" => (&mut checksum, limits::TARBALL_CHECKSUM),
            b"metadata.config" => (&mut metadata, limits::TARBALL_METADATA),
            b"contents.tar.gz" => {
                let (start, size) = (entry.raw_file_position(), entry.size());
                // Entries are found by their headers: one that announces more than there is has no next one.
                if start.checked_add(size).is_none_or(|end| end > length) {
                    return Err(tar_fault("tarball error, Unexpected end of file"));
                }
                if contents.replace((start, size)).is_some() {
                    return Err(doubled(&name));
                }
                continue;
            }
            // A reader that unpacks would write it over the part that was checked.
            other if is_part_in_disguise(other) => return Err(doubled(other)),
            _ => continue,
        };
        if entry.size() > max as u64 {
            return Err(tar_fault(format!("file too big: {}", excerpt(&name))));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if slot.replace(bytes).is_some() {
            return Err(doubled(&name));
        }
    }
    let ended_well = archive.into_inner().ended_well().map_err(|error| unreadable(&error))?;
    match (version, checksum, metadata, contents) {
        (Some(_), Some(_), Some(_), Some(_)) if !ended_well => Err(tar_fault("tarball error, Unexpected end of file")),
        (Some(version), Some(checksum), Some(metadata), Some(contents)) => {
            Ok(Outer { version, checksum, metadata, contents })
        }
        (version, checksum, metadata, contents) => {
            let there = [
                ("VERSION", version.is_some()),
                ("CHECKSUM", checksum.is_some()),
                ("metadata.config", metadata.is_some()),
                ("contents.tar.gz", contents.is_some()),
            ];
            let missing: Vec<String> =
                there.iter().filter(|(_, there)| !there).map(|(name, _)| format!("\"{name}\"")).collect();
            Err(tar_fault(format!("missing files: [{}]", missing.join(","))))
        }
    }
}

/// `./VERSION`, `a/../VERSION`: the name of a part after unpacking, but not before.
fn is_part_in_disguise(name: &[u8]) -> bool {
    const PARTS: [&[u8]; 4] = [b"VERSION", b"CHECKSUM", b"metadata.config", b"contents.tar.gz"];
    let plain = files::resolve(&[], name);
    plain.is_none_or(|parts| matches!(parts.as_slice(), [part] if PARTS.contains(part)))
}

fn doubled(name: &[u8]) -> Invalid {
    tar_fault(format!("tarball error, {} is there twice", excerpt(name)))
}

#[cfg(test)]
mod tests;
