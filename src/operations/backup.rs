//! Writes backups of an open store, and restores a store from a backup.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bundle::new_file;
use super::operator::Operator;
use super::orphans::OWED;
use super::outcome::{Text, count};
use super::{OperationError, Refusal};
use crate::shutdown;
use crate::store::StoreLock;
use crate::store::disk::RealDisk;
use crate::store::durable_files::Restoring;
use crate::tasks::backup::{self, BackupError};
use crate::tasks::report::Reporter;

/// The result of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Number of files.
    pub files: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
    /// Path of the backup.
    pub file: PathBuf,
    /// Ids and files of signing keys that are outside of the store, so that the backup does not contain them.
    pub keys_outside: Vec<(String, PathBuf)>,
    /// Number of packages of local repositories whose sidecars could not be written.
    pub owed: usize,
}

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Number of files.
    pub files: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
    /// Folder of the store.
    pub root: PathBuf,
}

impl BackedUp {
    pub(super) fn text(&self) -> Text {
        let Self { files, bytes, file, keys_outside, owed } = self;
        let outside = keys_outside.iter().map(|(id, path)| {
            format!("the backup does not contain the signing key `{id}` in {}, which is outside of the store: save this file separately", path.display())
        });
        let owed = (*owed > 0).then(|| {
            let packages = count(*owed, "package", "packages");
            format!("in the backup, the latest change of {packages} is only in the database, because {OWED}")
        });
        Text {
            remarks: outside.chain(owed).collect(),
            ..Text::line(format!("wrote {} ({bytes} bytes) to {}", count(*files, "file", "files"), file.display()))
        }
    }
}

impl Restored {
    pub(super) fn text(&self) -> Text {
        let Self { files, bytes, root } = self;
        let files = count(*files, "file", "files");
        Text::line(format!("restored {files} ({bytes} bytes) to {}", root.display()))
    }
}

/// A temporary file, removed when this value is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // If this fails, the next start of the daemon removes the file.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Operator {
    pub(super) async fn backup(&self, file: PathBuf, report: Reporter) -> Result<BackedUp, OperationError> {
        let (folder, name) = new_file(&file)?;
        let owed = self.write_owed_sidecars().await?;
        let store = Arc::clone(&self.shared.store);
        let scratch = Scratch(store.scratch("backup.sqlite"));
        self.state.copy_to(&scratch.0).await?;
        let now = self.shared.clock.now();
        let written = shutdown::blocking(move || {
            let output = store.output(&folder)?;
            output.write_private(&name, |out| backup::write(&store, &scratch.0, now, out, &report))
        });
        let contents = written.await?.map_err(|error: BackupError| error)?;
        let setup = self.setup();
        let outside = setup.signing_keys.files().iter().filter_map(|key| Some((key.id.clone(), key.path.clone()?)));
        Ok(BackedUp { files: contents.files, bytes: contents.bytes, file, keys_outside: outside.collect(), owed })
    }
}

/// Creates the store in the folder `root` from a backup, after it has verified the backup. Blocks.
pub fn restore(root: &Path, file: &Path, report: &Reporter) -> Result<Restored, OperationError> {
    if StoreLock::is_held(root) {
        return Err(Refusal::StoreInUse(root.to_path_buf()).into());
    }
    let open = || {
        let opened = File::open(file).map(BufReader::new);
        opened.map_err(|source| OperationError::File { path: file.to_path_buf(), source })
    };
    backup::verify(&mut open()?)?;
    let lock = StoreLock::take(root)?;
    let restoring = Restoring::begin(lock, Arc::new(RealDisk))?;
    let contents = backup::restore(&mut open()?, restoring, report)?;
    Ok(Restored { files: contents.files, bytes: contents.bytes, root: root.to_path_buf() })
}
