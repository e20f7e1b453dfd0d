//! Commands about releases of local repositories, and claims to package names.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::commands::ReleaseCommand;
use super::operator::Operator;
use super::outcome::{Text, count};
use super::{OperationError, Refusal};
use crate::auth::WriteGrant;
use crate::hex::name::{PackageName, PolicyName};
use crate::hex::version::ReleaseVersion;
use crate::repository::Repository;
use crate::repository::local::{Reindexed, WriteError};
use crate::repository::remote::ForgetOutcome;
use crate::state::audit::Actor;
use crate::state::claims;

/// The result of a release command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReleaseOutcome {
    /// Releases were removed permanently.
    Removed {
        /// The package.
        package: String,
        /// Number of removed releases.
        releases: usize,
    },
    /// A version may be published again.
    Allowed {
        /// The package.
        package: String,
        /// The version.
        version: String,
    },
    /// The claim to a name was removed.
    Forgotten {
        /// Key of the repository.
        repository: String,
        /// The name.
        package: String,
    },
    /// A database was rebuilt from files.
    Reindexed {
        /// Number of restored releases.
        restored: usize,
        /// Number of releases that the database has as their files do.
        unchanged: usize,
        /// Number of removed versions, which cannot be used again.
        taken: usize,
        /// Releases and removed versions that the database has otherwise than their files, which are not newer.
        kept: Vec<String>,
        /// Files that could not be read, and why.
        failed: Vec<String>,
    },
}

impl ReleaseOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Removed { package, releases } => Text::remark(format!(
                "removed {} of {package}; their version numbers cannot be published again",
                count(*releases, "release", "releases")
            )),
            Self::Allowed { package, version } => Text::remark(format!("{package} {version} can be published again")),
            Self::Forgotten { repository, package } => Text::remark(format!(
                "removed the claim of {repository} to {package}: other repositories can now serve it"
            )),
            Self::Reindexed { restored, unchanged, taken, kept, failed } => {
                let mut text = Text::line(format!(
                    "restored {restored} releases from their files, {unchanged} unchanged; {taken} removed versions cannot \
                     be published again"
                ));
                if !kept.is_empty() {
                    let kept_releases = count(kept.len(), "release", "releases");
                    text.lines.push(format!(
                        "kept {kept_releases} as they are in the database, because their files are not newer:"
                    ));
                    text.lines.extend(kept.iter().map(|release| format!("  {release}")));
                }
                Text { remarks: failed.clone(), failed: !failed.is_empty(), ..text }
            }
        }
    }
}

impl Operator {
    pub(super) async fn run_release_command(
        &self,
        command: ReleaseCommand,
        by: Actor,
    ) -> Result<ReleaseOutcome, OperationError> {
        match command {
            ReleaseCommand::Remove { repository, package, version, reason } => {
                let (local, grant) = self.local_with_grant(&repository, by)?;
                let name: PackageName = package.parse().map_err(Refusal::from)?;
                let version: Option<ReleaseVersion> = version.as_deref().map(read).transpose()?;
                let removed = local.remove(&grant, &name, version.as_ref(), &reason).await;
                let releases = removed.map_err(|error| match error {
                    WriteError::NotFound => Refusal::NoRelease { repository, package: name, version }.into(),
                    error => OperationError::from(error),
                })?;
                Ok(ReleaseOutcome::Removed { package, releases })
            }
            ReleaseCommand::Allow { repository, package, version } => {
                let (local, grant) = self.local_with_grant(&repository, by)?;
                let (name, number) = (package.parse().map_err(Refusal::from)?, read(&version)?);
                let allowed = local.allow_again(&grant, &name, &number).await;
                allowed.map_err(|error| match error {
                    WriteError::NotFound => Refusal::NotReverted { repository, package: name, version: number }.into(),
                    error => OperationError::from(error),
                })?;
                Ok(ReleaseOutcome::Allowed { package, version })
            }
            ReleaseCommand::Forget { repository, package } => self.forget_name(repository, package, by).await,
            ReleaseCommand::Reindex { repository } => {
                let (local, grant) = self.local_with_grant(&repository, by)?;
                let Reindexed { restored, unchanged, taken, kept, failed } = local.reindex(&grant).await?;
                Ok(ReleaseOutcome::Reindexed { restored, unchanged, taken, kept, failed })
            }
        }
    }

    /// Removes the claim of a repository to a name, if the repository has no release of it.
    async fn forget_name(&self, key: String, package: String, by: Actor) -> Result<ReleaseOutcome, OperationError> {
        let repository = self.repository(&key)?;
        let deadline = Instant::now() + self.setup().deadline;
        let forgotten = match (&repository, claims::as_policy(&package)) {
            (Repository::Remote(remote), Some(policy)) => {
                let policy: PolicyName = policy.parse().map_err(Refusal::from)?;
                remote.forget_policy(&policy, &by, deadline).await?
            }
            (Repository::Local(local), None) => {
                let name: PackageName = package.parse().map_err(Refusal::from)?;
                let grant = WriteGrant::administrator(local.key().clone(), by);
                match local.forget_name(&grant, &name).await {
                    Ok(()) => ForgetOutcome::Done,
                    Err(WriteError::NotFound) => ForgetOutcome::Unclaimed,
                    Err(WriteError::Invalid(_)) => ForgetOutcome::StillHere,
                    Err(error) => return Err(error.into()),
                }
            }
            (Repository::Remote(remote), None) => {
                let name: PackageName = package.parse().map_err(Refusal::from)?;
                remote.forget_name(&name, &by, deadline).await?
            }
            (Repository::Local(_), Some(_)) => ForgetOutcome::Unclaimed,
            (Repository::Virtual(_), _) => return Err(Refusal::NameOfVirtual(key).into()),
        };
        match forgotten {
            ForgetOutcome::Done => Ok(ReleaseOutcome::Forgotten { repository: key, package }),
            ForgetOutcome::Unclaimed => Err(Refusal::Unclaimed { repository: key, name: package }.into()),
            ForgetOutcome::StillHere if claims::as_policy(&package).is_some() => {
                Err(Refusal::PolicyStillHere { repository: key, policy: package }.into())
            }
            ForgetOutcome::StillHere => Err(Refusal::StillHere { repository: key, package }.into()),
            ForgetOutcome::Unknown => Err(Refusal::NotKnown { repository: key, package }.into()),
        }
    }
}

fn read(version: &str) -> Result<ReleaseVersion, Refusal> {
    Ok(version.parse()?)
}
