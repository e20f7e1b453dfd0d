//! Reads the outer entries of a package's tarball: four parts, each exactly once, for every reader.

use std::io::{self, Read, Seek};

use tar::Archive;

use super::{excerpt, files};
use crate::hex::limits;

/// The parts of a tarball.
#[derive(Debug)]
pub struct Outer {
    /// `VERSION`: the format.
    pub version: Vec<u8>,
    /// `CHECKSUM`: the inner checksum in hexadecimal.
    pub checksum: Vec<u8>,
    /// `metadata.config`: Erlang terms.
    pub metadata: Vec<u8>,
    /// The position and the length of the contents.
    pub contents: (u64, u64),
}

impl Outer {
    /// Reads all outer entries of a tarball of at most `max` bytes. Extra files are ignored, as on hex.pm. Duplicates,
    /// links and extension headers, which different readers interpret differently, are rejected. The error is a clause
    /// without a full stop. Blocks. `source` is read from its beginning.
    pub fn read(source: &mut (impl Read + Seek), max: u64) -> Result<Self, String> {
        let length = source.seek(io::SeekFrom::End(0)).and_then(|length| source.rewind().map(|()| length));
        let length = length.map_err(|error| unreadable(&error))?;
        if length > max {
            return Err("too big".to_owned());
        }
        let [mut version, mut checksum, mut metadata] = [const { None::<Vec<u8>> }; 3];
        let mut contents = None;
        let mut archive = Archive::new(files::Counted::new(source, u64::MAX));
        let entries = archive.entries().map_err(|error| unreadable(&error))?.raw(true);
        for (count, entry) in entries.enumerate() {
            let mut entry = entry.map_err(|error| unreadable(&error))?;
            if count >= limits::OUTER_ENTRIES {
                return Err("tarball error, too many entries".to_owned());
            }
            let name = entry.path_bytes().into_owned();
            if !entry.header().entry_type().is_file() {
                return Err(format!("tarball error, {} is not a plain file", excerpt(&name)));
            }
            let (slot, max) = match &name[..] {
                b"VERSION" => (&mut version, limits::TARBALL_VERSION),
                b"CHECKSUM" => (&mut checksum, limits::TARBALL_CHECKSUM),
                b"metadata.config" => (&mut metadata, limits::TARBALL_METADATA),
                b"contents.tar.gz" => {
                    let (start, size) = (entry.raw_file_position(), entry.size());
                    // Entries are found by their headers, so an entry that is longer than the file would hide the
                    // following ones.
                    if start.checked_add(size).is_none_or(|end| end > length) {
                        return Err("tarball error, Unexpected end of file".to_owned());
                    }
                    if contents.replace((start, size)).is_some() {
                        return Err(doubled(&name));
                    }
                    continue;
                }
                // A reader that unpacks the archive would overwrite the part that was checked.
                other if is_part_in_disguise(other) => return Err(doubled(other)),
                other if !is_plain(other) => {
                    return Err(format!("tarball error, {} is not a plain name", excerpt(other)));
                }
                _ => continue,
            };
            if entry.size() > max as u64 {
                return Err(format!("file too big: {}", excerpt(&name)));
            }
            // The size has been checked, so this allocates at most `max` bytes.
            let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(max));
            entry.read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
            if slot.replace(bytes).is_some() {
                return Err(doubled(&name));
            }
        }
        let ended_well = archive.into_inner().ended_well().map_err(|error| unreadable(&error))?;
        match (version, checksum, metadata, contents) {
            (Some(_), Some(_), Some(_), Some(_)) if !ended_well => {
                Err("tarball error, Unexpected end of file".to_owned())
            }
            (Some(version), Some(checksum), Some(metadata), Some(contents)) => {
                Ok(Self { version, checksum, metadata, contents })
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
                Err(format!("missing files: [{}]", missing.join(",")))
            }
        }
    }
}

/// Whether a name becomes that of a part only when it is unpacked: `./VERSION`, `a/../VERSION`; on file systems that
/// ignore case or a dot at the end also `version` and `VERSION.`.
fn is_part_in_disguise(name: &[u8]) -> bool {
    const PARTS: [&[u8]; 4] = [b"VERSION", b"CHECKSUM", b"metadata.config", b"contents.tar.gz"];
    let is_part = |name: &[u8]| {
        let end = name.iter().rposition(|byte| *byte != b'.').map_or(0, |last| last + 1);
        let name = name.get(..end).unwrap_or_default();
        PARTS.iter().any(|part| part.eq_ignore_ascii_case(name))
    };
    let plain = files::resolve(&[], name);
    plain.is_none_or(|parts| matches!(parts.as_slice(), [part] if is_part(part)))
}

/// Whether the name of an entry means the same file on every file system. `METADA~1.CON`, `a\b`, `a:b` and names with
/// letters beyond ASCII are other files on some.
fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(byte))
}

fn doubled(name: &[u8]) -> String {
    format!("tarball error, {} occurs twice", excerpt(name))
}

/// The error about a tarball that cannot be read, in hex.pm's words. Never quotes the content: it may be that of
/// another file, which the reader of the message may not read.
pub(super) fn unreadable(error: &io::Error) -> String {
    format!("tarball error, {}", cause(error))
}

/// The cause alone, without hex.pm's word for the kind of error.
pub(super) fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "Unexpected end of file".to_owned(),
        _ if error.raw_os_error().is_some() => error.to_string(),
        _ => "it is not a tar archive, or it is damaged".to_owned(),
    }
}
