//! `hexkeep release`, `import`, `reindex`, `audit`: local repositories.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use super::order::give;
use super::{CommandError, TerminalError, job, say};
use crate::config::Source;
use crate::operations::commands::{Account, InspectCommand, ReleaseCommand};
use crate::operations::jobs::Job;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Release {
    /// Remove a release for good, or a package with all of them; their versions are not used again
    Remove {
        /// Key of the local repository
        repository: String,
        package: String,
        version: Option<String>,
        /// Why; publishers are told
        #[arg(long)]
        reason: String,
    },
    /// Let a version that was reverted be published again with other content
    Allow {
        /// Key of the local repository
        repository: String,
        package: String,
        version: String,
    },
    /// Give a name back that a repository has had, so that others may answer for it
    ///
    /// A name that a private repository has had once stays its own, also when no release of it is left: nobody else's
    /// package of that name is answered. This takes that back. It is refused while the repository has a release of it.
    /// The same holds for policies of a private remote repository: give back `policies/NAME`.
    Forget {
        /// Key of the local or remote repository
        repository: String,
        package: String,
        /// Do not ask for the name once more
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// Key of the local repository
    repository: String,
    /// A folder of tarballs, one that `mix hex.registry build` made, or the data folder of mini_repo
    folder: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Reindex {
    /// Key of the local repository
    repository: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    /// What was done to a repository; without it, and without a user or an organization, everything
    #[arg(value_name = "REPO")]
    repository: Option<String>,
    /// What a user did, and what was done to them
    #[arg(long, value_name = "NAME", conflicts_with = "repository")]
    user: Option<String>,
    /// What was done to an organization
    #[arg(long, value_name = "NAME", conflicts_with_all = ["repository", "user"])]
    org: Option<String>,
    /// Which page of a hundred lines
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
    give(command, source)
}

/// Asks for a name once more.
fn confirm(repository: &str, package: &str) -> Result<(), CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(TerminalError::NobodyToAsk.into());
    }
    say(&format!("Whoever has a public package {package} answers for it then in the place of {repository}."));
    say("The name once more:");
    let mut again = String::new();
    let read = std::io::stdin().read_line(&mut again);
    read.map_err(|why| TerminalError::Answer { what: "the name", why })?;
    match again.trim() == package {
        true => Ok(()),
        false => Err(TerminalError::AnotherName.into()),
    }
}

pub(super) fn import(args: Import, source: Source) -> Result<(), CommandError> {
    // A daemon does not stand where this command does.
    let folder = args.folder.canonicalize();
    let folder = folder.map_err(|why| TerminalError::Path { path: args.folder.clone(), why })?;
    job::give(Job::Import { repository: args.repository, folder }, source)
}

pub(super) fn reindex(args: Reindex, source: Source) -> Result<(), CommandError> {
    give(ReleaseCommand::Reindex { repository: args.repository }, source)
}

pub(super) fn audit(args: Audit, source: Source) -> Result<(), CommandError> {
    let account = args.user.map(Account::User).or(args.org.map(Account::Organization));
    give(InspectCommand::Audit { repository: args.repository, account, page: args.page }, source)
}
