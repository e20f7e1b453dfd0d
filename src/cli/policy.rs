//! `hexkeep pin`, `hexkeep policy`: show what policies hold, and protect lock files from them.

use std::path::PathBuf;

use super::CommandError;
use super::order::run_command;
use super::prefetch::read;
use crate::config::Source;
use crate::operations::commands::{InspectCommand, PolicyCommand, ReportBy};

#[derive(Debug, clap::Args)]
pub(super) struct Pin {
    /// Name of the repository in the configuration
    #[arg(value_name = "REPO")]
    repository: String,
    /// Lock file: mix.lock, rebar.lock or manifest.toml; can be repeated
    #[arg(long = "lock", value_name = "FILE", required = true)]
    locks: Vec<PathBuf>,
    /// Reason, recorded in the audit log
    #[arg(long)]
    reason: String,
    /// Time at which the pins expire: 2026-11-01T12:00:00Z, or a date, which means the end of that day; without it, they never
    /// expire
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct WhoHas {
    /// Name of the package
    #[arg(value_name = "NAME")]
    package: String,
    /// Show only downloads of this version; without it, of all versions
    version: Option<String>,
    /// Show only downloads from this repository; without it, from all repositories
    #[arg(long, value_name = "REPO")]
    repository: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Policy {
    /// Explain which releases of a package the policy holds, and why
    Why {
        /// Name of the repository in the configuration
        #[arg(value_name = "REPO")]
        repository: String,
        /// Name of the package
        package: String,
        /// Explain only this version; without it, all versions
        version: Option<String>,
    },
    /// Exempt releases from the policy until a given time, except from its deny rules; prints the number of the waiver
    Waive {
        /// Name of the repository in the configuration
        #[arg(value_name = "REPO")]
        repository: String,
        /// Name of the package
        package: String,
        /// Exempt only versions that match this requirement, as in mix.exs: "~> 1.7"; without it, all versions
        requirement: Option<String>,
        /// Time at which the waiver expires: 2026-11-01T12:00:00Z, or a date, which means the end of that day
        #[arg(long, value_name = "TIME")]
        until: String,
        /// Reason, recorded in the audit log
        #[arg(long)]
        reason: String,
    },
    /// List active waivers
    Waivers {
        /// Name of the repository in the configuration
        #[arg(value_name = "REPO")]
        repository: String,
    },
    /// End a waiver before it expires
    Withdraw {
        /// Name of the repository in the configuration
        #[arg(value_name = "REPO")]
        repository: String,
        /// Number of the waiver
        number: i64,
    },
    /// List requested releases that the policy holds, or would hold in mode `enforce`
    Report {
        /// Name of the repository in the configuration
        #[arg(value_name = "REPO")]
        repository: String,
        /// Print one line for each client instead of one for each release
        #[arg(long)]
        by_caller: bool,
    },
    /// Report which releases in lock files the policy holds, with alternatives; fails if it holds any
    Test {
        /// Name of the repository in the configuration
        #[arg(value_name = "REPO")]
        repository: String,
        /// Lock file: mix.lock, rebar.lock or manifest.toml; can be repeated
        #[arg(long = "lock", value_name = "FILE", required = true)]
        locks: Vec<PathBuf>,
    },
}

pub(super) fn pin(args: Pin, source: Source) -> Result<(), CommandError> {
    let releases = read(&args.locks)?;
    let Pin { repository, until, reason, .. } = args;
    run_command(PolicyCommand::Pin { repository, releases, until, reason }, source)
}

pub(super) fn who_has(args: WhoHas, source: Source) -> Result<(), CommandError> {
    let WhoHas { package, version, repository } = args;
    run_command(InspectCommand::WhoHas { package, version, repository }, source)
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
    run_command(command, source)
}
