//! `hexkeep backup`, `hexkeep restore`

use std::path::PathBuf;

use super::job::{run_job, run_without_store};
use super::{CommandError, TerminalError, load};
use crate::config::Source;
use crate::operations::jobs::Job;
use crate::shutdown;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Backup file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    // The daemon may run in another working directory.
    let file = std::path::absolute(&args.file);
    let file = file.map_err(|why| TerminalError::Path { path: args.file.clone(), why })?;
    run_job(Job::Backup { file }, source)
}

pub(super) fn restore(args: Args, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    run_without_store(move |report| async move {
        let work = shutdown::blocking(move || crate::operations::restore(&settings.storage.path, &args.file, &report));
        let restored = work.await.map_err(TerminalError::from)?;
        Ok(restored?.into())
    })
}
