//! `hexkeep mirror`

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use super::job::run_job;
use super::{CommandError, TerminalError};
use crate::config::Source;
use crate::operations::jobs::{Job, MirrorAction, MirrorJob};
use crate::size::ByteSize;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the remote repository in the configuration
    #[arg(value_name = "REPO")]
    repository: String,
    /// Mirror only packages whose names match this pattern; can be repeated
    #[arg(long, value_name = "GLOB")]
    packages: Vec<String>,
    /// Mirror only the N newest releases of each package
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    latest: Option<u32>,
    /// Mirror only releases that were published since this date (2026-01-31) or time (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "DATE", value_parser = date)]
    since: Option<u64>,
    /// Include the documentation of each release
    #[arg(long)]
    docs: bool,
    /// Maximum number of concurrent requests; 0 means no limit
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=1024))]
    connections: u32,
    /// Average download rate per second, such as 2MiB; 0 means no limit, which is the default
    #[arg(long, value_name = "SIZE")]
    rate: Option<ByteSize>,
    /// Show what would be downloaded, without downloading it
    #[arg(long)]
    dry_run: bool,
    /// Verify the mirrored files instead of downloading; sends no request to the upstream
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
    /// Download files that --verify finds missing or damaged
    #[arg(long, requires = "verify")]
    repair: bool,
    /// Also write the mirrored files to this folder, from which any web server can serve them
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    to: Option<PathBuf>,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    // The daemon may run in another working directory.
    let to = args.to.map(std::path::absolute).transpose();
    let to = to.map_err(TerminalError::To)?;
    let action = match (args.dry_run, args.verify, args.repair) {
        (true, ..) => MirrorAction::DryRun,
        (_, _, true) => MirrorAction::Repair,
        (_, true, _) => MirrorAction::Verify,
        _ => MirrorAction::Bring,
    };
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let mirror = MirrorJob {
        repository: args.repository,
        packages: args.packages,
        latest: args.latest.map(size),
        since: args.since,
        docs: args.docs,
        connections: size(args.connections),
        rate: args.rate.map(ByteSize::bytes),
        action,
        to,
    };
    run_job(Job::Mirror(mirror), source)
}

/// Reads a date or a time in UTC, as milliseconds since the epoch.
fn date(text: &str) -> Result<u64, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = humantime::parse_rfc3339_weak(&whole)
        .map_err(|_| "write a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z".to_owned())?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| "write a date after 1970-01-01".to_owned())?;
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
