//! `hexkeep prefetch`

use std::path::{Path, PathBuf};

use super::job::run_job;
use super::{CommandError, TerminalError, print_stderr};
use crate::config::Source;
use crate::hex::limits;
use crate::hex::lock::{self, Lock};
use crate::operations::jobs::{Job, PrefetchJob};
use crate::operations::locked_releases::{LockFileRelease, LockedReleases};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Lock file: mix.lock, rebar.lock or manifest.toml; can be repeated
    #[arg(long = "lock", value_name = "FILE", required = true)]
    locks: Vec<PathBuf>,
    /// Repository to use for packages that lock files list under `hexpm` [default: the default repository]
    #[arg(long = "repo", value_name = "REPO")]
    repository: Option<String>,
    /// Include the documentation of each release
    #[arg(long)]
    docs: bool,
    /// Include the N newest releases of each package
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    latest: usize,
    /// Include all dependencies, each in the newest version that meets the requirements
    #[arg(long)]
    closure: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    run_job(Job::Prefetch(args.read()?), source)
}

impl Args {
    /// Reads the lock files and returns the job.
    pub(super) fn read(self) -> Result<PrefetchJob, CommandError> {
        let releases = read(&self.locks)?;
        let Self { repository, docs, latest, closure, .. } = self;
        Ok(PrefetchJob { repository, releases, docs, latest, closure })
    }
}

/// Reads the releases of all lock files. A file that cannot be read is an error before any work starts.
pub(super) fn read(files: &[PathBuf]) -> Result<LockedReleases, CommandError> {
    let mut releases = LockedReleases::default();
    for file in files {
        let lock = read_one(file)?;
        for other in &lock.others {
            print_stderr(&format!("{}: skipped `{other}`: it is not a Hex package", file.display()));
        }
        for one in &lock.releases {
            let (inner, outer) =
                (one.inner.map(|digest| digest.to_string()), one.outer.map(|digest| digest.to_string()));
            let release = LockFileRelease {
                repository: one.repository.as_deref(),
                package: one.package.as_str(),
                version: one.version.as_str(),
                inner: inner.as_deref(),
                outer: outer.as_deref(),
            };
            releases.push(release).map_err(TerminalError::from)?;
        }
    }
    Ok(releases)
}

fn read_one(file: &Path) -> Result<Lock, CommandError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // Reads one byte more than the limit, so that the parser can reject a file that is too long.
    let most = limits::LOCK as u64 + 1;
    let read = std::fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes));
    read.map_err(|why| TerminalError::Path { path: file.to_path_buf(), why })?;
    Ok(lock::parse(&bytes).map_err(|why| TerminalError::Lock { path: file.to_path_buf(), why })?)
}
