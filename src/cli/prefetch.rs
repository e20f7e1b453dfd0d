//! `hexkeep prefetch`

use std::path::{Path, PathBuf};

use super::job::give;
use super::{CommandError, TerminalError, say};
use crate::config::Source;
use crate::hex::limits;
use crate::hex::lock::{self, Lock};
use crate::operations::jobs::{Job, PrefetchJob};
use crate::operations::locked_releases::{LockFileRelease, LockedReleases};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A mix.lock, rebar.lock or manifest.toml; may be given more than once
    #[arg(long = "lock", value_name = "FILE", required = true)]
    locks: Vec<PathBuf>,
    /// Key of the repository that stands for what the lock files call hexpm; else the default one
    #[arg(long = "repo", value_name = "KEY")]
    repository: Option<String>,
    /// The documentation of each release, too
    #[arg(long)]
    docs: bool,
    /// The N newest releases of each package, too
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    latest: usize,
    /// What the releases depend on, too: of each dependency the newest release that fits
    #[arg(long)]
    closure: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    give(Job::Prefetch(args.read()?), source)
}

impl Args {
    /// What is wanted, with what the lock files name.
    pub(super) fn read(self) -> Result<PrefetchJob, CommandError> {
        let releases = read(&self.locks)?;
        let Self { repository, docs, latest, closure, .. } = self;
        Ok(PrefetchJob { repository, releases, docs, latest, closure })
    }
}

/// Everything that the files name. A file that cannot be used is said before anything is begun.
pub(super) fn read(files: &[PathBuf]) -> Result<LockedReleases, CommandError> {
    let mut releases = LockedReleases::default();
    for file in files {
        let lock = read_one(file)?;
        for other in &lock.others {
            say(&format!("{}: `{other}` is no Hex package: left out", file.display()));
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
    // One byte more than is taken says that there are too many.
    let most = limits::LOCK as u64 + 1;
    let read = std::fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes));
    read.map_err(|why| TerminalError::Path { path: file.to_path_buf(), why })?;
    Ok(lock::parse(&bytes).map_err(|why| TerminalError::Lock { path: file.to_path_buf(), why })?)
}
