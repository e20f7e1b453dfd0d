//! Writes files atomically and durably. This module contains the only rename in the program.
//!
//! A file is written under a temporary name on the same file system, synced, and renamed to its final name. Then its
//! folder and the parents of new folders are synced. After a crash at any point, the final name has the complete old or
//! the complete new content. The next start removes temporary files that are left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use super::disk::Disk;

/// The folder of temporary files.
#[derive(Clone, Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    next: Arc<AtomicU64>,
}

impl Staging {
    pub(super) fn new(folder: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { folder, disk, next: Arc::new(AtomicU64::new(0)) }
    }

    /// Creates the folder and empties it: its files were left by a crash. The caller must hold the lock of the store.
    pub(super) fn clean(&self) -> io::Result<usize> {
        refuse_link(&self.folder)?;
        make_private(&self.folder)?;
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            self.disk.remove(&entry?.path())?;
            removed += 1;
        }
        Ok(removed)
    }

    /// The same for a folder in a place where other users may write too. The folder must belong to the user of this
    /// process. Only files with names as [`Staging::create`] gives them are removed.
    pub(super) fn clean_among_others(&self) -> io::Result<()> {
        refuse_link(&self.folder)?;
        make_private(&self.folder)?;
        let owner = fs::symlink_metadata(&self.folder)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, NotOurs(self.folder.clone())));
        }
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_staged_name) {
                match self.disk.remove(&entry.path()) {
                    // The process that created the file is just removing it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }

    /// A path for a temporary file that other code creates. Each path is returned only once in a run.
    pub(super) fn unused_path(&self, name: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{}-{number}-{name}", std::process::id()))
    }

    /// Creates an empty temporary file. It is removed when dropped, unless it is published.
    pub(super) fn create(&self) -> io::Result<Staged> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{}-{number}", std::process::id()));
        let file = match self.disk.create(&path) {
            // Another process that ended has just removed the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_private(&self.folder)?;
                self.disk.create(&path)
            }
            created => created,
        };
        let file = Arc::new(file?);
        Ok(Staged { path: Some(path), file, disk: Arc::clone(&self.disk) })
    }

    /// Writes a file `name` below `root` durably. Fails if a part of the path below `root` is a symbolic link. A file
    /// that has the same bytes is left unchanged.
    pub(super) fn write_below(&self, root: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let target = below(root, name)?;
        if has_bytes(&target, bytes) {
            return Ok(());
        }
        let staged = self.create()?;
        staged.append(bytes)?;
        staged.publish(&target)
    }
}

/// Whether a file name is one that [`Staging::create`] gives: the number of the process and of the file.
fn is_staged_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('-').is_some_and(|(process, file)| is_number(process) && is_number(file))
}

/// A path leads through a symbolic link.
#[derive(Debug, thiserror::Error)]
#[error("\"{}\" is a symbolic link, which is not followed; remove it, or use another folder", .0.display())]
struct IsLink(PathBuf);

/// A folder of temporary files belongs to another user.
#[derive(Debug, thiserror::Error)]
#[error("\"{}\" belongs to another user; remove it, or use another folder", .0.display())]
struct NotOurs(PathBuf);

/// Fails if a path is a symbolic link, because its target must not be written, emptied or removed. A path that does not
/// exist is accepted.
pub(super) fn refuse_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_symlink() => Err(io::Error::other(IsLink(path.to_path_buf()))),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The path of `name` below `root`. Fails if a part of it below `root` is a symbolic link.
pub(super) fn below(root: &Path, name: &str) -> io::Result<PathBuf> {
    let mut path = root.to_path_buf();
    for part in Path::new(name).components() {
        path.push(part);
        refuse_link(&path)?;
    }
    Ok(path)
}

/// Opens a file for reading. Fails if it is a symbolic link.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// Whether the file exists and has exactly these bytes.
fn has_bytes(path: &Path, bytes: &[u8]) -> bool {
    let compare = || -> io::Result<bool> {
        let mut file = open_plain(path)?;
        let mut there = Vec::new();
        Ok(file.metadata()?.len() == bytes.len() as u64
            && file.read_to_end(&mut there)? == bytes.len()
            && there == bytes)
    };
    compare().unwrap_or(false)
}

/// Logs a warning for each folder of a store that other users may write in: they could add files that the server would
/// then serve and sign.
pub(super) fn warn_of_shared_folders(root: &Path) {
    for folder in [root.to_path_buf(), root.join("keys"), root.join("local")] {
        let Ok(meta) = fs::metadata(&folder) else { continue };
        let mode = meta.mode() & 0o7777;
        if mode & 0o022 != 0 {
            tracing::warn!(
                path = %folder.display(), mode = format!("{mode:o}"),
                "other users can write to this folder of the store and change the files that are served; run chmod go-w on it"
            );
        }
    }
}

/// The number of bytes that are copied at a time.
pub(super) const PIECE: usize = 256 * 1024;

/// A temporary file. Methods block. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Staged {
    path: Option<PathBuf>,
    file: Arc<File>,
    disk: Arc<dyn Disk>,
}

impl Staged {
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(&self.file, bytes)
    }

    /// Appends everything that `from` has.
    pub(super) fn append_all(&self, from: &mut dyn io::Read) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let read = from.read(&mut piece)?;
            let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            self.append(bytes)?;
        }
    }

    /// Moves the file to `target`, durably. On an error the temporary file is removed, and `target` is unchanged, or
    /// already has the new content if only the last sync failed.
    pub(super) fn publish(mut self, target: &Path) -> io::Result<()> {
        let folder = target.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let made = make_folders(folder)?;
        self.disk.sync(&self.file)?;
        if let Some(path) = &self.path {
            self.disk.rename(path, target)?;
        }
        self.path = None;
        self.disk.sync_dir(folder)?;
        for parent in made {
            self.disk.sync_dir(&parent)?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = self.disk.remove(&path)
        {
            tracing::warn!(%error, "cannot remove a temporary file; the next start will remove it");
        }
    }
}

/// Creates `folder` and its missing parents, accessible only to the user of this process. The storage path itself may
/// have existed before, with access for other users.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Creates `folder` and its missing parents. Returns the folders that got a new entry.
fn make_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    let mut missing = folder;
    while !missing.exists() {
        let Some(parent) = missing.parent() else { break };
        changed.push(parent.to_path_buf());
        missing = parent;
    }
    if !changed.is_empty() {
        make_private(folder)?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::disk::RealDisk;

    #[test]
    fn nothing_below_a_folder_leads_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (folder.path().join("root"), folder.path().join("elsewhere"));
        fs::create_dir_all(root.join("plain")).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, root.join("link")).unwrap();
        symlink(folder.path().join("nowhere"), root.join("plain/dangling")).unwrap();
        for name in ["new", "plain", "plain/new", "new/deeper/file"] {
            assert_eq!(below(&root, name).unwrap(), root.join(name), "{name}");
        }
        for name in ["link", "link/file", "plain/dangling", "plain/dangling/file"] {
            let said = below(&root, name).unwrap_err().to_string();
            assert!(said.contains("is a symbolic link, which is not followed"), "{name}: {said}");
        }
        assert!(open_plain(&root.join("link")).is_err());
        // The root itself may be a symbolic link, because the operator chose it.
        symlink(&root, folder.path().join("way")).unwrap();
        assert!(below(&folder.path().join("way"), "plain/new").is_ok());
    }

    #[test]
    fn two_works_at_a_time_share_no_temporary_file() {
        let staging = Staging::new(PathBuf::from("tmp"), Arc::new(RealDisk));
        assert_ne!(staging.unused_path("x"), staging.clone().unused_path("x"));
    }

    #[test]
    fn among_others_only_our_own_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::new(folder.path().join("staging"), Arc::new(RealDisk));
        staging.clean_among_others().unwrap();
        for name in ["12-0", "12-", "-1", "notes", "1-2-3"] {
            File::create(folder.path().join("staging").join(name)).unwrap();
        }
        staging.clean_among_others().unwrap();
        let left = fs::read_dir(folder.path().join("staging")).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["-1", "1-2-3", "12-", "notes"]);
    }
}
