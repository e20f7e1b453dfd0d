//! Backups of an open store, and a store made from one.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use super::bundle::new_file;
use super::commands::Outcome;
use super::operator::Operator;
use crate::store::StoreLock;
use crate::store::disk::RealDisk;
use crate::store::durable::Restoring;
use crate::tasks::backup::{self, BackupError};
use crate::tasks::report::Reporter;

/// Removes a file when it is no longer needed, however that comes about.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next start removes what this one does not.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Operator {
    pub(super) async fn backup(&self, file: PathBuf, report: Reporter) -> Result<Outcome, Failure> {
        let (folder, name) = new_file(&file)?;
        let store = Arc::clone(&self.shared.store);
        let scratch = Scratch(store.scratch("backup.sqlite"));
        let _ = std::fs::remove_file(&scratch.0);
        self.state.copy_to(&scratch.0).await.map_err(|error| Failure::of(&error))?;
        let now = self.shared.clock.now();
        let written = tokio::task::spawn_blocking(move || {
            let output = store.output(&folder)?;
            output.write_private(&name, |out| backup::write(&store, &scratch.0, now, out, &report))
        });
        let written = written.await.map_err(|_| Failure("the backup ended without an answer".to_owned()))?;
        let contents = written.map_err(|error: BackupError| Failure::of(&error))?;
        let mut outcome =
            Outcome::line(format!("{} files of {} bytes are in {}", contents.files, contents.bytes, file.display()));
        for key in self.setup().signing_keys.files() {
            if let Some(path) = &key.path {
                let outside = format!("the signing key `{}` is in {}, outside of the store", key.id, path.display());
                outcome.remarks.push(format!("{outside}: save it, too"));
            }
        }
        Ok(outcome)
    }
}

/// Makes the store in the folder `root` from a backup, which is proven first. Blocks.
pub fn restore(root: &Path, file: &Path, report: &Reporter) -> Result<Outcome, Failure> {
    if StoreLock::is_held(root) {
        return Err(Failure(format!("a daemon or a command uses the store in {}; stop it first", root.display())));
    }
    let open = || File::open(file).map(BufReader::new).map_err(|error| Failure(format!("{}: {error}", file.display())));
    backup::verify(&mut open()?).map_err(|error| Failure::of(&error))?;
    let lock = StoreLock::take(root).map_err(|error| Failure::of(&error))?;
    let restoring = Restoring::begin(lock, Arc::new(RealDisk)).map_err(|error| Failure::of(&error))?;
    let contents = backup::restore(&mut open()?, restoring, report).map_err(|error| Failure::of(&error))?;
    let (files, bytes) = (contents.files, contents.bytes);
    Ok(Outcome::line(format!("{files} files of {bytes} bytes were restored into {}", root.display())))
}
