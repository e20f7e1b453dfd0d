//! Checks the files in a gzipped tar archive: unpacking must not leave the target folder or exceed the size limits.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;
use tar::{Archive, Entry, EntryType};
use unicode_normalization::UnicodeNormalization as _;

use crate::hex::checksum::Hasher;
use crate::hex::limits;

/// Why the files are rejected.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("too_big_uncompressed: {}", limits::UNPACKED)]
    TooLarge,
    #[error("too many files: at most {} are allowed", limits::ARCHIVE_ENTRIES)]
    TooMany,
    #[error("not gzip: {0}")]
    NotGzip(io::Error),
    #[error("there are bytes after the end of the compressed data")]
    Trailing,
    #[error("{}", super::outer::cause(.0))]
    Read(io::Error),
    #[error("{path}: The path points above the current working directory")]
    Escape { path: String },
    #[error("{path}: unsafe_symlink to {target}")]
    Symlink { path: String, target: String },
    #[error("{path}: a file below a symbolic link")]
    BelowSymlink { path: String },
    #[error("{path}: neither a file, nor a folder, nor a symbolic link")]
    Kind { path: String },
    #[error("{path}: a file below a file")]
    BelowFile { path: String },
    #[error("{path}: occurs twice, in this spelling or in one that some file systems treat as the same")]
    Double { path: String },
    #[error("a path has more than {} bytes or {} folders, or is empty", limits::ARCHIVE_PATH, limits::ARCHIVE_DEPTH)]
    Path,
    #[error("an extension header that different readers interpret differently")]
    Extension,
    #[error("the end of the archive is missing or damaged")]
    End,
}

/// The unpacked size exceeds the limit.
#[derive(Debug, thiserror::Error)]
#[error("too large")]
struct TooLarge;

/// A reader that fails after a maximum of bytes, against decompression bombs, and knows whether it reached the end.
pub(super) struct Counted<R> {
    inner: R,
    left: u64,
    ended: bool,
}

impl<R: Read> Counted<R> {
    pub(super) fn new(inner: R, left: u64) -> Self {
        Self { inner, left, ended: false }
    }

    /// Whether the archive, which has been read, ended correctly: with a zero block, followed by another whole zero
    /// block or by the end. Erlang's reader accepts nothing else, and other readers would read entries after a single
    /// zero block.
    pub(super) fn ended_well(&mut self) -> io::Result<bool> {
        // Reading stopped at the zero block. If the end of the data was reached before, that block is missing.
        if self.ended {
            return Ok(false);
        }
        let mut block = Vec::new();
        self.take(512).read_to_end(&mut block)?;
        Ok(matches!(block.len(), 0 | 512) && block.iter().all(|byte| *byte == 0))
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left =
            self.left.checked_sub(read as u64).ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, TooLarge))?;
        self.ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

fn wrap(error: io::Error) -> Fault {
    if error.get_ref().is_some_and(|inner| inner.is::<TooLarge>()) {
        Fault::TooLarge
    } else if error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains("gzip") {
        Fault::NotGzip(error)
    } else {
        Fault::Read(error)
    }
}

/// Checks every entry, and calls `seen` with the path of each plain file. Reads all of `source`.
pub(super) fn scan(source: impl Read, seen: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
    let mut archive = Archive::new(Counted::new(GzDecoder::new(BufReader::new(source)), limits::UNPACKED));
    walk(&mut archive, seen)?;
    // There may be padding after the end of the archive. The gzip checksum follows it.
    let mut rest = archive.into_inner();
    if !rest.ended_well().map_err(wrap)? {
        return Err(Fault::End);
    }
    io::copy(&mut rest, &mut io::sink()).map_err(wrap)?;
    let mut behind = rest.inner.into_inner();
    let mut byte = [0];
    match behind.read(&mut byte) {
        Ok(0) => Ok(()),
        // Readers treat a second gzip member differently.
        Ok(_) => Err(Fault::Trailing),
        Err(error) => Err(wrap(error)),
    }
}

fn walk(archive: &mut Archive<impl Read>, seen: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
    let mut unpacked = Unpacked::default();
    let mut extended = Extended::default();
    for (count, entry) in archive.entries().map_err(wrap)?.raw(true).enumerate() {
        let mut entry = entry.map_err(wrap)?;
        if count >= limits::ARCHIVE_ENTRIES {
            return Err(Fault::TooMany);
        }
        let kind = entry.header().entry_type();
        if extended.take(kind, &mut entry)? {
            continue;
        }
        let (path, target) = extended.finish(&entry)?;
        let text = || String::from_utf8_lossy(&path).chars().take(limits::EXCERPT * 2).collect::<String>();
        let parts = safe_parts(&path).ok_or_else(|| Fault::Escape { path: text() })?;
        if parts.len() > limits::ARCHIVE_DEPTH || (parts.is_empty() && kind != EntryType::Directory) {
            return Err(Fault::Path);
        }
        // Some readers skip the bytes of such an entry, others read them as the next header.
        if kind != EntryType::Regular && entry.size() > 0 {
            return Err(Fault::Kind { path: text() });
        }
        let thing = match kind {
            EntryType::Regular => {
                seen(&parts.join(&b'/'));
                PathKind::File { path: mark(&parts), content: content(&mut entry)? }
            }
            EntryType::Directory => PathKind::Folder,
            EntryType::Symlink => {
                let folder = parts.split_last().map(|(_, above)| above).unwrap_or_default();
                if target.starts_with(b"/") || turns_back(&target) || resolve(folder, &target).is_none() {
                    let target = String::from_utf8_lossy(&target).chars().take(limits::EXCERPT).collect();
                    return Err(Fault::Symlink { path: text(), target });
                }
                PathKind::Link
            }
            _ => return Err(Fault::Kind { path: text() }),
        };
        unpacked.add(&parts, thing).map_err(|clash| clash.fault(text()))?;
    }
    Ok(())
}

/// The kind of a path after unpacking.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PathKind {
    Folder,
    Link,
    /// A file with this spelling of its path and this content.
    File {
        path: Mark,
        content: Mark,
    },
}

/// Why an entry conflicts with earlier ones.
enum Clash {
    BelowLink,
    BelowFile,
    Double,
    TooMany,
}

impl Clash {
    fn fault(self, path: String) -> Fault {
        match self {
            Self::BelowLink => Fault::BelowSymlink { path },
            Self::BelowFile => Fault::BelowFile { path },
            Self::Double => Fault::Double { path },
            Self::TooMany => Fault::TooMany,
        }
    }
}

/// The paths after unpacking on a file system that ignores case and Unicode normalization. Includes folders without an
/// entry of their own.
#[derive(Default)]
struct Unpacked(HashMap<Mark, PathKind>);

impl Unpacked {
    /// The most paths. Folders without an entry take as much memory as entries, and there can be 64 for each entry.
    const MOST: usize = 2 * limits::ARCHIVE_ENTRIES;

    fn add(&mut self, parts: &[&[u8]], thing: PathKind) -> Result<(), Clash> {
        let (mark, above) = marks(parts);
        for folder in above {
            match *self.0.entry(folder).or_insert(PathKind::Folder) {
                PathKind::Folder => {}
                // The real target of a link is unknown, so no entry may be below a link.
                PathKind::Link => return Err(Clash::BelowLink),
                PathKind::File { .. } => return Err(Clash::BelowFile),
            }
        }
        let before = self.0.insert(mark, thing);
        if self.0.len() > Self::MOST {
            return Err(Clash::TooMany);
        }
        match before {
            // Some real packages contain the same file twice.
            Some(before) if before != thing || thing == PathKind::Link => Err(Clash::Double),
            Some(_) | None => Ok(()),
        }
    }
}

/// The parts of the path of an entry; `None` if one of them is `..`, whose target depends on the part before it, which
/// may be a link. A leading slash is ignored. On some systems a backslash is a separator too.
fn safe_parts(path: &[u8]) -> Option<Vec<&[u8]>> {
    let mut steps = path.split(|byte| matches!(byte, b'/' | b'\\'));
    if steps.any(|step| step == b"..") { None } else { resolve(&[], path) }
}

/// The parts of `path` relative to the folder `from`; `None` if it leaves the root. A leading slash is ignored.
pub(super) fn resolve<'p>(from: &[&'p [u8]], path: &'p [u8]) -> Option<Vec<&'p [u8]>> {
    let mut parts = from.to_vec();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts)
}

/// Whether the target of a link contains `..` after another part. Its meaning depends on that part, which may be a link
/// itself.
fn turns_back(target: &[u8]) -> bool {
    let mut parts = target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.by_ref().find(|part| *part != b"..").is_some() && parts.any(|part| part == b"..")
}

/// A shortened digest of a path or of a content, which takes less memory.
type Mark = [u8; 16];

fn shortened(hasher: Hasher) -> Mark {
    let digest = hasher.finish();
    let mut mark = Mark::default();
    for (to, from) in mark.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    mark
}

/// The digest of a path as it is written.
fn mark(parts: &[&[u8]]) -> Mark {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
        hasher.update(b"/");
    }
    shortened(hasher)
}

/// The digest of a path on a file system that ignores case, and those of its parent folders. Every byte is hashed once.
fn marks(parts: &[&[u8]]) -> (Mark, Vec<Mark>) {
    let mut hasher = Hasher::new();
    let mut marks = Vec::with_capacity(parts.len());
    for part in parts {
        hasher.update(&folded(part));
        hasher.update(b"/");
        marks.push(shortened(hasher.clone()));
    }
    (marks.pop().unwrap_or_default(), marks)
}

/// A name on a file system that ignores case: in lower case and normalized (NFC).
fn folded(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_ascii() => {
            // Converts to upper case first, because several lower-case letters can have the same upper-case letter.
            let letters = text.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            letters.nfc().collect::<String>().into_bytes()
        }
        Ok(_) | Err(_) => name.to_ascii_lowercase(),
    }
}

/// The digest of the content of an entry.
fn content(entry: &mut Entry<'_, impl Read>) -> Result<Mark, Fault> {
    let mut hasher = Hasher::new();
    let mut piece = [0; 8192];
    loop {
        match entry.read(&mut piece).map_err(wrap)? {
            0 => return Ok(shortened(hasher)),
            read => hasher.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// The values from extension headers for the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

impl Extended {
    /// Reads an extension header. Returns whether the entry was one.
    fn take(&mut self, kind: EntryType, entry: &mut Entry<'_, impl Read>) -> Result<bool, Fault> {
        match kind {
            EntryType::GNULongName => set(&mut self.path, ended(short(entry)?))?,
            EntryType::GNULongLink => set(&mut self.target, ended(short(entry)?))?,
            EntryType::XHeader => {
                for (key, value) in records(&short(entry)?).ok_or(Fault::Extension)? {
                    match key {
                        b"path" => set(&mut self.path, value.to_vec())?,
                        b"linkpath" => set(&mut self.target, value.to_vec())?,
                        other if changes_entries(other) => return Err(Fault::Extension),
                        _ => {}
                    }
                }
            }
            // A global header applies to all following entries, such as a comment. Some readers would also read a path
            // from it.
            EntryType::XGlobalHeader => {
                let says_more =
                    |(key, _): &(&[u8], &[u8])| matches!(*key, b"path" | b"linkpath") || changes_entries(key);
                if records(&short(entry)?).ok_or(Fault::Extension)?.iter().any(says_more) {
                    return Err(Fault::Extension);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The path and the link target of the entry.
    fn finish(&mut self, entry: &Entry<'_, impl Read>) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        let path = self.path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let target = self.target.take();
        let target =
            target.unwrap_or_else(|| entry.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default());
        let fits = |bytes: &[u8]| bytes.len() <= limits::ARCHIVE_PATH;
        if path.is_empty() || !fits(&path) || !fits(&target) {
            return Err(Fault::Path);
        }
        // For some readers, a name ends at NUL; for others, it continues.
        if path.contains(&0) || target.contains(&0) { Err(Fault::Extension) } else { Ok((path, target)) }
    }
}

/// Whether a key changes the name or the size of the entry for readers that support it.
fn changes_entries(key: &[u8]) -> bool {
    key == b"size" || key.starts_with(b"GNU.sparse.")
}

/// Sets a value. A second value is an error, because it is unclear which one counts.
fn set(slot: &mut Option<Vec<u8>>, value: Vec<u8>) -> Result<(), Fault> {
    if slot.replace(value).is_some() { Err(Fault::Extension) } else { Ok(()) }
}

fn short(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, Fault> {
    let most = 4 * limits::ARCHIVE_PATH as u64;
    if entry.size() > most {
        return Err(Fault::Path);
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(wrap)?;
    Ok(bytes)
}

/// Removes trailing zero bytes, with which names in GNU headers end.
fn ended(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// The records of a pax header: `LENGTH KEY=VALUE\n`, where LENGTH is that of the whole record.
fn records(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
        let (record, rest) = bytes.split_at_checked(length)?;
        let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        found.push((record.get(..equals)?, record.get(equals + 1..)?));
        bytes = rest;
    }
    Some(found)
}
