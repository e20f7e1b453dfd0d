//! `backup` and `restore`: what cannot be made again, in one file.
//!
//! A tar archive: `hexkeep-backup.json` first, which says what it is; the database; signing keys and the server secret;
//! the files of local repositories; at the end `manifest.json` with the length and SHA-256 of each. A file without its
//! end is not taken, and nothing is written before all of it has been proven.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::report::{Progress, Reporter};
use crate::clock::Timestamp;
use crate::hex::checksum::Hasher;
use crate::store::durable::{Restoring, is_durable_path};
use crate::store::{Store, StoreError};

/// What an archive says of itself first.
const HEAD: &str = "hexkeep-backup.json";
const MANIFEST: &str = "manifest.json";
const DATABASE: &str = "state.sqlite";

/// The format of archives that this version writes and reads.
const FORMAT: u32 = 1;

/// Bytes of a block of tar.
const BLOCK: u64 = 512;

/// Bytes of the two lists in an archive.
const MAX_LIST: u64 = 256 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    /// Milliseconds since the epoch.
    created_at: Timestamp,
    version: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    path: String,
    size: u64,
    sha256: String,
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Files, the database among them.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Why an archive was not written or not taken.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file that is to be saved, or where it is to go.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive.
    #[error("the backup cannot be read or written")]
    Io(#[source] io::Error),
    /// Something else.
    #[error("this is no backup of hexkeep")]
    NoBackup,
    /// A later format.
    #[error(
        "the backup has the format {0}, which this version does not know; use the version that wrote it, or a later one"
    )]
    Format(u32),
    /// Its end is missing.
    #[error("the backup is not whole: it ends before its list of files; take another copy of it")]
    Truncated,
    /// Something stands behind its end.
    #[error("the backup has something behind its end, which no backup has: it is not taken")]
    Trailing,
    /// Whoever has ordered it has gone.
    #[error("nobody waits for the backup any more: give the command again")]
    Abandoned,
    /// Somebody has tampered with it.
    #[error("the backup has a file `{0}` that no backup has: it is not taken")]
    Path(String),
    /// A file has changed.
    #[error("`{0}` in the backup is not what its list says: the backup is damaged, take another copy of it")]
    Damaged(String),
}

/// Writes an archive of `store`, whose database was copied to `database`, to `out`. Blocks.
pub fn write(
    store: &Store,
    database: &Path,
    now: Timestamp,
    out: &mut dyn Write,
    report: &Reporter,
) -> Result<Contents, BackupError> {
    // What the copy of the database names is there by now: files come before the rows that name them.
    let mut files = vec![DATABASE.to_owned()];
    files.extend(store.durable_files()?);
    let mut progress = Progress { total: files.len() as u64, ..Progress::default() };
    let mut archive = tar::Builder::new(out);
    let head = Head { format: FORMAT, created_at: now, version: env!("CARGO_PKG_VERSION").to_owned() };
    append(&mut archive, HEAD, &json(&head)?)?;
    let mut listed = Vec::new();
    for path in files {
        if report.is_abandoned() {
            return Err(BackupError::Abandoned);
        }
        let file = match path == DATABASE {
            true => File::open(database).map_err(BackupError::Io)?,
            false => store.open_durable(&path)?,
        };
        let size = file.metadata().map_err(BackupError::Io)?.len();
        let mut hashing = Hashing { inner: AbortableReader { inner: file.take(size), report }, hasher: Hasher::new() };
        archive.append_data(&mut header(size), &path, &mut hashing).map_err(|error| match report.is_abandoned() {
            true => BackupError::Abandoned,
            false => BackupError::Io(error),
        })?;
        listed.push(Listed { path, size, sha256: hashing.hasher.finish().to_string() });
        progress.done += 1;
        progress.bytes += size;
        report.progress(progress);
    }
    append(&mut archive, MANIFEST, &json(&listed)?)?;
    archive.finish().map_err(BackupError::Io)?;
    Ok(Contents { files: progress.done, bytes: progress.bytes })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, BackupError> {
    serde_json::to_vec(value).map_err(|error| BackupError::Io(error.into()))
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o600);
    header
}

fn append(archive: &mut tar::Builder<&mut dyn Write>, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
    archive.append_data(&mut header(bytes.len() as u64), path, bytes).map_err(BackupError::Io)
}

/// Reads until nobody waits for the work any more.
struct AbortableReader<'a, R> {
    inner: R,
    report: &'a Reporter,
}

impl<R: Read> Read for AbortableReader<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self.report.is_abandoned() {
            true => Err(io::Error::other("nobody waits for it any more")),
            false => self.inner.read(target),
        }
    }
}

/// Reads and hashes.
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(target)?;
        self.hasher.update(target.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Proves an archive, from its first byte to its last; writes nothing. Blocks.
pub fn verify(archive: &mut dyn Read) -> Result<Contents, BackupError> {
    walk(archive, &mut |_, from| io::copy(from, &mut io::sink()).map(drop).map_err(BackupError::Io))
}

/// Makes a store from an archive that [`verify`] has proven, and proves it again on the way. Blocks.
pub fn restore(archive: &mut dyn Read, restoring: Restoring, report: &Reporter) -> Result<Contents, BackupError> {
    let mut progress = Progress::default();
    let contents = walk(archive, &mut |path, from| {
        restoring.write(path, from)?;
        progress.done += 1;
        progress.total = progress.done;
        report.progress(progress);
        Ok(())
    })?;
    restoring.finish()?;
    Ok(contents)
}

type Take<'a> = dyn FnMut(&str, &mut dyn Read) -> Result<(), BackupError> + 'a;

/// Gives each file to `take`, which reads it to its end, and holds all of them against the list at the end, behind which
/// nothing may stand.
fn walk(archive: &mut dyn Read, take: &mut Take<'_>) -> Result<Contents, BackupError> {
    let contents = walk_entries(&mut *archive, take)?;
    // The first of the two empty blocks that end an archive has been read.
    let mut rest = Vec::new();
    archive.take(BLOCK + 1).read_to_end(&mut rest).map_err(|_| BackupError::Truncated)?;
    match (rest.len() as u64).cmp(&BLOCK) {
        Ordering::Less => Err(BackupError::Truncated),
        Ordering::Equal if rest.iter().all(|byte| *byte == 0) => Ok(contents),
        Ordering::Equal | Ordering::Greater => Err(BackupError::Trailing),
    }
}

fn walk_entries(archive: &mut dyn Read, take: &mut Take<'_>) -> Result<Contents, BackupError> {
    let mut archive = tar::Archive::new(archive);
    // What is not tar at all fails here as well as what ends in the middle of a file.
    let mut entries = archive.entries().map_err(|_| BackupError::NoBackup)?;
    let first = entries.next().ok_or(BackupError::NoBackup)?.map_err(|_| BackupError::NoBackup)?;
    if path_of(&first)? != HEAD {
        return Err(BackupError::NoBackup);
    }
    let head: Head = list(first).map_err(|_| BackupError::NoBackup)?;
    if head.format != FORMAT {
        return Err(BackupError::Format(head.format));
    }
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|_| BackupError::Truncated)?;
        let path = path_of(&entry)?;
        if path == MANIFEST {
            let listed: Vec<Listed> = list(entry)?;
            return match entries.next() {
                None => compare(&found, &listed),
                Some(_) => Err(BackupError::Trailing),
            };
        }
        let fits = path == DATABASE || is_durable_path(&path);
        if !fits || !entry.header().entry_type().is_file() || !seen.insert(path.clone()) {
            return Err(BackupError::Path(path));
        }
        let size = entry.size();
        let mut hashing = Hashing { inner: entry, hasher: Hasher::new() };
        let mut counted = Counted { inner: &mut hashing, count: 0 };
        take(&path, &mut counted)?;
        if counted.count != size {
            return Err(BackupError::Truncated);
        }
        found.push(Listed { path, size, sha256: hashing.hasher.finish().to_string() });
    }
    Err(BackupError::Truncated)
}

/// Counts what is read.
struct Counted<'a> {
    inner: &'a mut dyn Read,
    count: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(target)?;
        self.count += read as u64;
        Ok(read)
    }
}

fn path_of(entry: &tar::Entry<'_, &mut dyn Read>) -> Result<String, BackupError> {
    let bytes = entry.path_bytes();
    let path = String::from_utf8(bytes.to_vec());
    path.map_err(|error| BackupError::Path(String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn list<T: for<'de> Deserialize<'de>>(entry: impl Read) -> Result<T, BackupError> {
    let mut bytes = Vec::new();
    entry.take(MAX_LIST).read_to_end(&mut bytes).map_err(|_| BackupError::Truncated)?;
    serde_json::from_slice(&bytes).map_err(|_| BackupError::Truncated)
}

/// The list has the files in the order in which they stand.
fn compare(found: &[Listed], listed: &[Listed]) -> Result<Contents, BackupError> {
    let places = found.len().max(listed.len());
    if let Some(place) = (0..places).find(|place| found.get(*place) != listed.get(*place)) {
        let odd = found.get(place).or(listed.get(place));
        return Err(BackupError::Damaged(odd.map(|file| file.path.clone()).unwrap_or_default()));
    }
    if found.first().is_none_or(|file| file.path != DATABASE) {
        return Err(BackupError::Damaged(DATABASE.to_owned()));
    }
    Ok(Contents { files: found.len() as u64, bytes: found.iter().map(|file| file.size).sum() })
}
