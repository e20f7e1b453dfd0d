//! The files in a gzip'd tar: whether unpacking them would stay where it was begun, and stay small.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;
use tar::{Archive, Entry, EntryType};
use unicode_normalization::UnicodeNormalization as _;

use crate::hex::checksum::Hasher;
use crate::hex::limits;

/// Why files are not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("too_big_uncompressed: {}", limits::UNPACKED)]
    TooLarge,
    #[error("too many files: at most {} are taken", limits::ARCHIVE_ENTRIES)]
    TooMany,
    #[error("not gzip: {0}")]
    NotGzip(io::Error),
    #[error("something follows the compressed data")]
    Trailing,
    #[error("{}", super::outer::unreadable(.0))]
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
    #[error("{path}: is there twice, in this spelling or in one that some disks do not tell from it")]
    Double { path: String },
    #[error("a path of more than {} bytes or {} folders, or none", limits::ARCHIVE_PATH, limits::ARCHIVE_DEPTH)]
    Path,
    #[error("an extension header that readers understand in different ways")]
    Extension,
    #[error("the end of the archive is missing, or something else is there")]
    End,
}

/// More than may be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("too large")]
struct TooLarge;

/// Counts what is read, stops a bomb, and remembers whether there was an end.
pub(super) struct Counted<R> {
    inner: R,
    left: u64,
    ended: bool,
}

impl<R: Read> Counted<R> {
    pub(super) fn new(inner: R, left: u64) -> Self {
        Self { inner, left, ended: false }
    }

    /// Whether an archive that was walked over ended as one does: with a block of zeros, and another whole one or
    /// nothing behind it. Erlang's reader takes nothing else, and what follows a single block of zeros others would read on.
    pub(super) fn ended_well(&mut self) -> io::Result<bool> {
        // The walk stops at the block of zeros, without asking for more.
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

/// Looks at every file; `seen` hears the path of each plain one. Reads all of `source`.
pub(super) fn scan(source: impl Read, seen: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
    let mut archive = Archive::new(Counted::new(GzDecoder::new(BufReader::new(source)), limits::UNPACKED));
    walk(&mut archive, seen)?;
    // Behind the tar's end there may be padding; the checksum comes after it.
    let mut rest = archive.into_inner();
    if !rest.ended_well().map_err(wrap)? {
        return Err(Fault::End);
    }
    io::copy(&mut rest, &mut io::sink()).map_err(wrap)?;
    let mut behind = rest.inner.into_inner();
    let mut byte = [0];
    match behind.read(&mut byte) {
        Ok(0) => Ok(()),
        // Readers disagree on a second member.
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
        let parts = inside(&path).ok_or_else(|| Fault::Escape { path: text() })?;
        if parts.len() > limits::ARCHIVE_DEPTH || (parts.is_empty() && kind != EntryType::Directory) {
            return Err(Fault::Path);
        }
        // Some readers skip the bytes of such an entry, others take them for the next header.
        if kind != EntryType::Regular && entry.size() > 0 {
            return Err(Fault::Kind { path: text() });
        }
        let thing = match kind {
            EntryType::Regular => {
                seen(&parts.join(&b'/'));
                Thing::File { path: mark(&parts), content: content(&mut entry)? }
            }
            EntryType::Directory => Thing::Folder,
            EntryType::Symlink => {
                let folder = parts.split_last().map(|(_, above)| above).unwrap_or_default();
                if target.starts_with(b"/") || turns_back(&target) || resolve(folder, &target).is_none() {
                    let target = String::from_utf8_lossy(&target).chars().take(limits::EXCERPT).collect();
                    return Err(Fault::Symlink { path: text(), target });
                }
                Thing::Link
            }
            _ => return Err(Fault::Kind { path: text() }),
        };
        unpacked.add(&parts, thing).map_err(|clash| clash.fault(text()))?;
    }
    Ok(())
}

/// What lies at a path once an archive is unpacked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    Folder,
    Link,
    /// A file of this spelling, with this content.
    File {
        path: Mark,
        content: Mark,
    },
}

/// Why something cannot lie beside what is there.
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

/// What an archive leaves on a disk that does not tell apart large and small letters, nor two ways to write one letter.
/// Folders in it are also those that no entry names.
#[derive(Default)]
struct Unpacked(HashMap<Mark, Thing>);

impl Unpacked {
    /// Folders that no entry names cost as much memory as entries, and there can be 64 of them for each.
    const MOST: usize = 2 * limits::ARCHIVE_ENTRIES;

    fn add(&mut self, parts: &[&[u8]], thing: Thing) -> Result<(), Clash> {
        let (mark, above) = marks(parts);
        for folder in above {
            match *self.0.entry(folder).or_insert(Thing::Folder) {
                Thing::Folder => {}
                // Where a link leads is known by its text alone, so nothing may lie behind one.
                Thing::Link => return Err(Clash::BelowLink),
                Thing::File { .. } => return Err(Clash::BelowFile),
            }
        }
        let before = self.0.insert(mark, thing);
        if self.0.len() > Self::MOST {
            return Err(Clash::TooMany);
        }
        match before {
            // Real packages list a file twice.
            Some(before) if before != thing || thing == Thing::Link => Err(Clash::Double),
            Some(_) | None => Ok(()),
        }
    }
}

/// The parts of the path of an entry; `None` where one of them is `..`: where that leads depends on what lies before it, which
/// may be a link. A slash in front means nothing, and on some systems a backslash is one.
fn inside(path: &[u8]) -> Option<Vec<&[u8]>> {
    let mut steps = path.split(|byte| matches!(byte, b'/' | b'\\'));
    if steps.any(|step| step == b"..") { None } else { resolve(&[], path) }
}

/// The parts of `path` seen from the folder `from`; `None` where it leaves the root. A slash in front means nothing.
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

/// Whether a link's target goes up again after it has gone down: where that ends depends on what lies there, as the
/// folder may be a link itself.
fn turns_back(target: &[u8]) -> bool {
    let mut parts = target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.by_ref().find(|part| *part != b"..").is_some() && parts.any(|part| part == b"..")
}

/// Stands for a path or a content: many long ones would take much memory.
type Mark = [u8; 16];

fn shortened(hasher: Hasher) -> Mark {
    let digest = hasher.finish();
    let mut mark = Mark::default();
    for (to, from) in mark.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    mark
}

/// The mark of a path as it is spelled.
fn mark(parts: &[&[u8]]) -> Mark {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
        hasher.update(b"/");
    }
    shortened(hasher)
}

/// The mark of a path as a disk without case takes it, and those of the folders it lies in; every byte is hashed once.
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

/// A name as a disk without case takes it: in small letters, each of them in one of the ways to write it (NFC).
fn folded(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_ascii() => {
            // By way of the large letters: some small ones have a large one in common.
            let letters = text.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            letters.nfc().collect::<String>().into_bytes()
        }
        Ok(_) | Err(_) => name.to_ascii_lowercase(),
    }
}

/// The mark of all bytes of an entry.
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

/// What extension headers say of the entry behind them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

impl Extended {
    /// Takes an extension header in; says whether it was one.
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
            // Says something of all that follow, such as a comment; some readers would take a path from it, too.
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

    /// Path and link target of the entry.
    fn finish(&mut self, entry: &Entry<'_, impl Read>) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        let path = self.path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let target = self.target.take();
        let target =
            target.unwrap_or_else(|| entry.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default());
        let fits = |bytes: &[u8]| bytes.len() <= limits::ARCHIVE_PATH;
        if path.is_empty() || !fits(&path) || !fits(&target) {
            return Err(Fault::Path);
        }
        // A name ends there for some readers, and goes on for others.
        if path.contains(&0) || target.contains(&0) { Err(Fault::Extension) } else { Ok((path, target)) }
    }
}

/// Keys whose value makes some readers see another name or another size than those who do not know the key.
fn changes_entries(key: &[u8]) -> bool {
    key == b"size" || key.starts_with(b"GNU.sparse.")
}

/// Two headers that name one entry: which counts?
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

/// GNU's names end with a zero.
fn ended(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// The records of a pax header: `LENGTH KEY=VALUE\n`, the length being that of the whole record.
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
