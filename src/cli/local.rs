//! `hexkeep release`, `import`, `reindex`, `audit`: manage local repositories.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use super::order::run_command;
use super::{CommandError, TerminalError, job, print_stderr};
use crate::config::Source;
use crate::operations::commands::{Account, InspectCommand, ReleaseCommand};
use crate::operations::jobs::Job;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Release {
    /// Remove a release, or a package with all its releases, permanently; removed versions cannot be published again
    Remove {
        /// Name of the local repository in the configuration
        repository: String,
        /// Name of the package
        package: String,
        /// Remove only this version; without it, all versions
        version: Option<String>,
        /// Reason, shown to publishers
        #[arg(long)]
        reason: String,
    },
    /// Allow a reverted version to be published again with different content
    Allow {
        /// Name of the local repository in the configuration
        repository: String,
        /// Name of the package
        package: String,
        /// Version of the release
        version: String,
    },
    /// Give up the claim of a repository to a package name, so that other repositories can serve the name
    ///
    /// A private repository claims the name of every package that it has ever had. While the claim exists, no package
    /// of the same name is served from a public repository, even if the private repository has no release left. This
    /// command removes the claim. It fails while the repository still has a release of the package. To remove the claim
    /// of a private remote repository to the name of a policy, write `policies/NAME` as the package.
    Forget {
        /// Name of the local or remote repository in the configuration
        repository: String,
        /// Name of the package
        package: String,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// Name of the local repository in the configuration
    repository: String,
    /// Folder of tarballs, output folder of `mix hex.registry build`, or data folder of mini_repo
    folder: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Reindex {
    /// Name of the local repository in the configuration
    repository: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    /// Show only changes to this repository; without REPO, --user and --org, the whole log
    #[arg(value_name = "REPO")]
    repository: Option<String>,
    /// Show only actions by this user, and changes to this user
    #[arg(long, value_name = "NAME", conflicts_with = "repository")]
    user: Option<String>,
    /// Show only changes to this organization
    #[arg(long, value_name = "NAME", conflicts_with_all = ["repository", "user"])]
    org: Option<String>,
    /// Number of the page to show; a page has 100 lines
    #[arg(long, default_value_t = 1)]
    page: u32,
}

pub(super) fn release(order: Release, source: Source) -> Result<(), CommandError> {
    let command = match order {
        Release::Remove { repository, package, version, reason } => {
            ReleaseCommand::Remove { repository, package, version, reason }
        }
        Release::Allow { repository, package, version } => ReleaseCommand::Allow { repository, package, version },
        Release::Forget { repository, package, yes } => {
            if !yes {
                confirm(&repository, &package)?;
            }
            ReleaseCommand::Forget { repository, package }
        }
    };
    run_command(command, source)
}

/// Asks the user to repeat the name of the package as a confirmation.
fn confirm(repository: &str, package: &str) -> Result<(), CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(TerminalError::NoTerminal.into());
    }
    print_stderr(&format!(
        "After this, a public package `{package}` can be served in place of the one that `{repository}` had."
    ));
    print_stderr("Type the name of the package to confirm:");
    let mut again = String::new();
    let read = std::io::stdin().read_line(&mut again);
    read.map_err(|why| TerminalError::Answer { what: "the name", why })?;
    match again.trim() == package {
        true => Ok(()),
        false => Err(TerminalError::NameMismatch.into()),
    }
}

pub(super) fn import(args: Import, source: Source) -> Result<(), CommandError> {
    // The daemon may run in another working directory.
    let folder = args.folder.canonicalize();
    let folder = folder.map_err(|why| TerminalError::Path { path: args.folder.clone(), why })?;
    job::run_job(Job::Import { repository: args.repository, folder }, source)
}

pub(super) fn reindex(args: Reindex, source: Source) -> Result<(), CommandError> {
    run_command(ReleaseCommand::Reindex { repository: args.repository }, source)
}

pub(super) fn audit(args: Audit, source: Source) -> Result<(), CommandError> {
    let account = args.user.map(Account::User).or(args.org.map(Account::Organization));
    run_command(InspectCommand::Audit { repository: args.repository, account, page: args.page }, source)
}
