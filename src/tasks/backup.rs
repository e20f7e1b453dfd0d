//! `backup` and `restore`: save all data that cannot be downloaded or rebuilt, in one file.
//!
//! The file is a tar archive. It contains, in this order: `hexkeep-backup.json` with the format and version; the
//! database; signing keys and the server secret; the files of local repositories; and `manifest.json` with the length
//! and SHA-256 of each file. An incomplete archive is refused, and a restore writes nothing before the whole archive is
//! verified.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::report::{Progress, Reporter};
use crate::clock::Timestamp;
use crate::hex::checksum::Hasher;
use crate::store::durable_files::{Restoring, is_durable_path};
use crate::store::{Store, StoreError};

/// Name of the first file in an archive, with its format and version.
const HEAD: &str = "hexkeep-backup.json";
const MANIFEST: &str = "manifest.json";
const DATABASE: &str = "state.sqlite";

/// The format of archives that this version writes and reads.
const FORMAT: u32 = 1;

/// Size of a tar block in bytes.
const BLOCK: u64 = 512;

/// Maximum size in bytes of the JSON files in an archive.
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

/// Contents of a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Number of files, including the database.
    pub files: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
}

/// Why a backup cannot be written, verified or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of the store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive cannot be read or written.
    #[error("cannot read or write the backup")]
    Io(#[source] io::Error),
    /// The file is not a backup.
    #[error("the file is not a backup of hexkeep")]
    NoBackup,
    /// The format of the archive is unknown.
    #[error(
        "the backup has the format {0}, which this version does not support; restore it with the version that wrote it, or a \
         later one"
    )]
    Format(u32),
    /// The archive is incomplete.
    #[error("the backup is incomplete: its list of files is missing; use another copy of the backup")]
    Truncated,
    /// There is data after the end of the archive.
    #[error("the backup is invalid: there is data after its end")]
    Trailing,
    /// The client disconnected.
    #[error("the backup was cancelled, because the client disconnected; run the command again")]
    Abandoned,
    /// The archive contains a file that does not belong to a backup.
    #[error("the backup is invalid: it contains the unexpected file `{0}`")]
    Path(String),
    /// A file does not match its checksum.
    #[error("the backup is damaged: `{0}` does not match its checksum; use another copy of the backup")]
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
    // All files that the copied database refers to exist, because files are written before their rows.
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

/// A reader that fails when the client has disconnected.
struct AbortableReader<'a, R> {
    inner: R,
    report: &'a Reporter,
}

impl<R: Read> Read for AbortableReader<'_, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self.report.is_abandoned() {
            true => Err(io::Error::other("the client disconnected")),
            false => self.inner.read(target),
        }
    }
}

/// A reader that computes a hash.
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

/// Verifies a whole archive, without writing anything. Blocks.
pub fn verify(archive: &mut dyn Read) -> Result<Contents, BackupError> {
    walk(archive, &mut |_, from| io::copy(from, &mut io::sink()).map(drop).map_err(BackupError::Io))
}

/// Creates a store from an archive that [`verify`] has accepted, and verifies it again meanwhile. Blocks.
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

/// Passes each file to `take`, which reads it to its end, and then compares all files with the list at the end of the
/// archive. Data after the end is an error.
fn walk(archive: &mut dyn Read, take: &mut Take<'_>) -> Result<Contents, BackupError> {
    let contents = walk_entries(&mut *archive, take)?;
    // An archive ends with two empty blocks. The first of them has been read.
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
    // This fails for a file that is not a tar archive, and for a truncated one.
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

/// A reader that counts bytes.
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

/// Compares the files of an archive with its list. Both have the same order.
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
