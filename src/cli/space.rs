//! `hexkeep stats`, `gc`, `unpin`

use std::path::PathBuf;
use std::time::Duration;

use super::prefetch::read;
use super::{CommandError, job, order};
use crate::config::Source;
use crate::operations::commands::{InspectCommand, PolicyCommand};
use crate::operations::jobs::{CollectJob, Job};

#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    /// Name of the repository in the configuration; without it, all repositories
    #[arg(value_name = "REPO")]
    repository: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    /// Lock file whose releases are kept: mix.lock, rebar.lock or manifest.toml; can be repeated
    #[arg(long = "lock", value_name = "FILE")]
    locks: Vec<PathBuf>,
    /// Keep the N newest releases of each package
    #[arg(long, value_name = "N")]
    keep_latest: Option<usize>,
    /// Keep files that were used within this time, such as 30d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    unused_for: Option<Duration>,
    /// Show what would be removed, without removing it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Unpin {
    /// Name of the repository in the configuration
    #[arg(value_name = "REPO")]
    repository: String,
    /// Lock file: mix.lock, rebar.lock or manifest.toml; can be repeated
    #[arg(long = "lock", value_name = "FILE", required = true)]
    locks: Vec<PathBuf>,
}

pub(super) fn stats(args: Stats, source: Source) -> Result<(), CommandError> {
    order::run_command(InspectCommand::Stats { repository: args.repository }, source)
}

pub(super) fn gc(args: Gc, source: Source) -> Result<(), CommandError> {
    let releases = read(&args.locks)?;
    let unused_for = args.unused_for.map(|age| age.as_secs());
    let Gc { keep_latest, dry_run, .. } = args;
    job::run_job(Job::Collect(CollectJob { releases, keep_latest, unused_for, dry_run }), source)
}

pub(super) fn unpin(args: Unpin, source: Source) -> Result<(), CommandError> {
    let releases = read(&args.locks)?;
    order::run_command(PolicyCommand::Unpin { repository: args.repository, releases }, source)
}
