//! Reads the outer tar archive of a package and computes its inner checksum.
//!
//! Nothing is unpacked. Only plain files with the four known names are accepted: different readers interpret extension
//! headers, links and duplicates differently.

use std::fmt;
use std::io::{self, Read};

use tar::{Archive, Entry};

use super::checksum::{Hasher, Sha256};
use super::limits;

/// The parts of a tarball.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `VERSION`: the format, always `3`.
    Version,
    /// `CHECKSUM`: the inner checksum in hexadecimal.
    Checksum,
    /// `metadata.config`: Erlang terms.
    Metadata,
    /// `contents.tar.gz`: the package's files.
    Contents,
}

impl Part {
    const ALL: [Self; 4] = [Self::Version, Self::Checksum, Self::Metadata, Self::Contents];

    fn name(self) -> &'static str {
        match self {
            Self::Version => "VERSION",
            Self::Checksum => "CHECKSUM",
            Self::Metadata => "metadata.config",
            Self::Contents => "contents.tar.gz",
        }
    }

    fn max(self) -> usize {
        match self {
            Self::Version => limits::TARBALL_VERSION,
            Self::Checksum => limits::TARBALL_CHECKSUM,
            Self::Metadata => limits::TARBALL_METADATA,
            Self::Contents => limits::TARBALL,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are not a package's tarball.
#[derive(Debug, thiserror::Error)]
pub enum TarballError {
    /// Not a tar archive, incomplete, damaged, or the reader failed.
    #[error("the tarball cannot be read")]
    Read(#[source] io::Error),
    /// An unexpected entry.
    #[error(
        "the tarball has an unexpected entry {name:?}; a package has VERSION, CHECKSUM, metadata.config and contents.tar.gz"
    )]
    Entry { name: Box<str> },
    /// An entry that is not a plain file: a link, a folder, a device, an extension header.
    #[error("entry {name:?} of the tarball is not a plain file")]
    Kind { name: Box<str> },
    /// A part occurs twice, so it is unclear which one counts.
    #[error("the tarball has {0} twice")]
    Double(Part),
    /// A part is missing.
    #[error("the tarball has no {0}")]
    Missing(Part),
    /// A part is larger than clients accept.
    #[error("{part} of the tarball is larger than {max} bytes")]
    TooLarge { part: Part, max: usize },
    /// A format that current clients do not read.
    #[error("the tarball has format {found:?}; only format \"3\" is supported")]
    Format { found: Box<str> },
    /// `CHECKSUM` is not a SHA-256 digest in hexadecimal.
    #[error("CHECKSUM of the tarball is not a SHA-256 checksum")]
    Malformed,
    /// The inner checksum does not match `CHECKSUM`.
    #[error("the tarball states the inner checksum {claimed}, but the actual one is {actual}")]
    Mismatch { claimed: Sha256, actual: Sha256 },
}

/// The inner checksum of a tarball: SHA-256 over `VERSION`, `metadata.config` and `contents.tar.gz`, in this order,
/// whatever their order in the archive. It must match the `CHECKSUM` in the tarball.
///
/// Reads to the end of the archive; later bytes stay in the reader. Keeps the three small parts in memory, and the
/// contents only if they precede the metadata.
pub fn inner_checksum(reader: impl Read) -> Result<Sha256, TarballError> {
    // The limit allows for headers and padding in addition to the parts. A larger archive is not read further.
    let most = limits::TARBALL + limits::TARBALL_METADATA + 64 * 1024;
    let mut archive = Archive::new(reader.take(u64::try_from(most).unwrap_or(u64::MAX)));
    let mut parts: [Option<Vec<u8>>; 4] = Default::default();
    let mut hasher = Hasher::new();
    let mut hashed = false;
    // Raw: extension headers are returned as entries, and are rejected like other unexpected entries.
    for entry in archive.entries().map_err(TarballError::Read)?.raw(true) {
        let mut entry = entry.map_err(TarballError::Read)?;
        let part = part_of(&entry)?;
        let before = |wanted: Part| parts.get(wanted as usize).and_then(Option::as_ref);
        if before(part).is_some() {
            return Err(TarballError::Double(part));
        }
        let bytes = match (part, before(Part::Version), before(Part::Metadata)) {
            (Part::Contents, Some(version), Some(metadata)) => {
                hasher.update(version);
                hasher.update(metadata);
                stream_part(&mut entry, part, |bytes| hasher.update(bytes))?;
                hashed = true;
                Vec::new()
            }
            _ => {
                let mut held = Vec::new();
                stream_part(&mut entry, part, |bytes| held.extend_from_slice(bytes))?;
                held
            }
        };
        if let Some(slot) = parts.get_mut(part as usize) {
            *slot = Some(bytes);
        }
    }

    let [version, checksum, metadata, contents] = parts;
    let there = |part: Part, bytes: Option<Vec<u8>>| bytes.ok_or(TarballError::Missing(part));
    let version = there(Part::Version, version)?;
    let checksum = there(Part::Checksum, checksum)?;
    let metadata = there(Part::Metadata, metadata)?;
    let contents = there(Part::Contents, contents)?;
    if version != b"3" {
        return Err(TarballError::Format { found: excerpt(&version) });
    }
    if !hashed {
        hasher.update(&version);
        hasher.update(&metadata);
        hasher.update(&contents);
    }
    let claimed = std::str::from_utf8(&checksum).map_err(|_| TarballError::Malformed)?;
    // Some old tools write a line break at the end.
    let claimed = Sha256::from_hex(claimed.trim_ascii_end()).map_err(|_| TarballError::Malformed)?;
    let actual = hasher.finish();
    if claimed == actual { Ok(actual) } else { Err(TarballError::Mismatch { claimed, actual }) }
}

fn part_of(entry: &Entry<'_, impl Read>) -> Result<Part, TarballError> {
    let name = entry.path_bytes();
    let part = Part::ALL.into_iter().find(|part| part.name().as_bytes() == &*name);
    // The type is checked first: the name of a link or an extension header has no meaning.
    if !entry.header().entry_type().is_file() {
        return Err(TarballError::Kind { name: excerpt(&name) });
    }
    let part = part.ok_or_else(|| TarballError::Entry { name: excerpt(&name) })?;
    match usize::try_from(entry.size()) {
        Ok(size) if size <= part.max() => Ok(part),
        _ => Err(TarballError::TooLarge { part, max: part.max() }),
    }
}

/// Calls `sink` with all bytes of an entry, whose size has been checked. Fewer bytes than its header announces are an
/// error.
fn stream_part(entry: &mut Entry<'_, impl Read>, part: Part, mut sink: impl FnMut(&[u8])) -> Result<(), TarballError> {
    let mut left = usize::try_from(entry.size()).unwrap_or(usize::MAX);
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = match entry.read(&mut buffer) {
            Ok(0) if left > 0 => return Err(TarballError::Read(io::ErrorKind::UnexpectedEof.into())),
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(TarballError::Read(error)),
        };
        left = left.checked_sub(read).ok_or(TarballError::TooLarge { part, max: part.max() })?;
        sink(buffer.get(..read).unwrap_or_default());
    }
}

fn excerpt(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).chars().take(limits::EXCERPT).collect()
}

#[cfg(test)]
mod tests;
