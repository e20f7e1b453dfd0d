//! `hexkeep pin`, `hexkeep policy`: what policies hold, and what they must not take from lock files.

use std::path::PathBuf;

use super::CommandError;
use super::order::give;
use super::prefetch::read;
use crate::config::Source;
use crate::operations::commands::{InspectCommand, PolicyCommand, ReportBy};

#[derive(Debug, clap::Args)]
pub(super) struct Pin {
    /// Key of the repository that the policy holds for
    #[arg(value_name = "REPO")]
    repository: String,
    /// A mix.lock, rebar.lock or manifest.toml; may be given more than once
    #[arg(long = "lock", value_name = "FILE", required = true)]
    locks: Vec<PathBuf>,
    /// Why; it stands in the audit log
    #[arg(long)]
    reason: String,
    /// Until when: 2026-11-01T12:00:00Z, or a date, which means its end; for ever without it
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct WhoHas {
    #[arg(value_name = "NAME")]
    package: String,
    /// All releases without it
    version: Option<String>,
    /// Key of the repository that was asked; all of them without it
    #[arg(long, value_name = "REPO")]
    repository: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Policy {
    /// Say what the policy of a repository says of a package or a release, and why
    Why {
        /// Key of the repository that the policy holds for
        #[arg(value_name = "REPO")]
        repository: String,
        package: String,
        version: Option<String>,
    },
    /// Let releases pass the policy for some time, unless it denies them; prints the waiver's number
    Waive {
        /// Key of the repository that the policy holds for
        #[arg(value_name = "REPO")]
        repository: String,
        package: String,
        /// Which releases, as in mix.exs: "~> 1.7"; all without it
        requirement: Option<String>,
        /// Until when: 2026-11-01T12:00:00Z, or a date, which means its end
        #[arg(long, value_name = "TIME")]
        until: String,
        /// Why; it stands in the audit log
        #[arg(long)]
        reason: String,
    },
    /// List the waivers in force
    Waivers {
        /// Key of the repository that the policy holds for
        #[arg(value_name = "REPO")]
        repository: String,
    },
    /// End a waiver before its time
    Withdraw {
        /// Key of the repository that the policy holds for
        #[arg(value_name = "REPO")]
        repository: String,
        /// The number of the waiver
        number: i64,
    },
    /// List what was asked for that the policy holds, or would hold if it were enforced
    Report {
        /// Key of the repository that the policy holds for
        #[arg(value_name = "REPO")]
        repository: String,
        /// A line for everybody who asked, not for each release
        #[arg(long)]
        by_caller: bool,
    },
    /// Say which of the releases that lock files name are held, and what there is instead; fails if any is
    Test {
        /// Key of the repository that the policy holds for
        #[arg(value_name = "REPO")]
        repository: String,
        /// A mix.lock, rebar.lock or manifest.toml; may be given more than once
        #[arg(long = "lock", value_name = "FILE", required = true)]
        locks: Vec<PathBuf>,
    },
}

pub(super) fn pin(args: Pin, source: Source) -> Result<(), CommandError> {
    let releases = read(&args.locks)?;
    let Pin { repository, until, reason, .. } = args;
    give(PolicyCommand::Pin { repository, releases, until, reason }, source)
}

pub(super) fn who_has(args: WhoHas, source: Source) -> Result<(), CommandError> {
    let WhoHas { package, version, repository } = args;
    give(InspectCommand::WhoHas { package, version, repository }, source)
}

pub(super) fn policy(order: Policy, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Policy::Why { repository, package, version } => PolicyCommand::Why { repository, package, version },
        Policy::Waive { repository, package, requirement, until, reason } => {
            PolicyCommand::Waive { repository, package, requirement, until, reason }
        }
        Policy::Waivers { repository } => PolicyCommand::Waivers { repository },
        Policy::Withdraw { repository, number } => PolicyCommand::Withdraw { repository, number },
        Policy::Report { repository, by_caller } => {
            let by = if by_caller { ReportBy::Caller } else { ReportBy::Package };
            PolicyCommand::Report { repository, by }
        }
        Policy::Test { repository, locks } => PolicyCommand::Test { repository, releases: read(&locks)? },
    };
    give(command, source)
}
