//! `hexkeep mirror`

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use super::job::give;
use super::{CommandError, TerminalError};
use crate::config::Source;
use crate::operations::jobs::{Job, MirrorAction, MirrorJob};
use crate::size::ByteSize;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key of the remote repository
    #[arg(value_name = "REPO")]
    repository: String,
    /// Only packages whose names match; may be given more than once
    #[arg(long, value_name = "GLOB")]
    packages: Vec<String>,
    /// Only the N newest releases of each package
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    latest: Option<u32>,
    /// Only what was published since this day (2026-01-31) or time
    #[arg(long, value_name = "DATE", value_parser = date)]
    since: Option<u64>,
    /// Documentation, too
    #[arg(long)]
    docs: bool,
    /// Requests under way at one time; 0: as many as there are
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=1024))]
    connections: u32,
    /// Bytes a second on average, such as 2MiB; 0, or without it: as fast as it goes
    #[arg(long, value_name = "SIZE")]
    rate: Option<ByteSize>,
    /// Only say what would be fetched
    #[arg(long)]
    dry_run: bool,
    /// Prove what is here instead, and ask nobody
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
    /// Bring what --verify finds missing or wrong
    #[arg(long, requires = "verify")]
    repair: bool,
    /// Write what is here into this folder afterwards, for any web server
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    to: Option<PathBuf>,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    // A daemon does not stand where this command does.
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
    give(Job::Mirror(mirror), source)
}

/// A day or a time in UTC, in milliseconds since the epoch.
fn date(text: &str) -> Result<u64, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = humantime::parse_rfc3339_weak(&whole)
        .map_err(|_| "write a day such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z".to_owned())?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| "no package is older than 1970".to_owned())?;
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
