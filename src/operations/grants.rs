//! Commands about grants of read access.

use serde::{Deserialize, Serialize};

use super::commands::GrantCommand;
use super::operator::Operator;
use super::outcome::Text;
use super::{OperationError, Refusal};
use crate::hex::name::RepoName;
use crate::state::audit::Actor;

/// The result of a grant command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantOutcome {
    /// A grant was added.
    Added {
        /// Key of the repository.
        repository: String,
        /// Pattern of package names.
        pattern: String,
    },
    /// A grant was revoked.
    Removed {
        /// Key of the repository.
        repository: String,
        /// Pattern of package names.
        pattern: String,
    },
    /// All grants.
    Listed(Vec<ListedGrant>),
}

/// A grant in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedGrant {
    /// Account that may read: `user:alice` or `org:acme`.
    pub owner: String,
    /// Key of the repository.
    pub repository: String,
    /// Pattern of package names.
    pub pattern: String,
}

impl GrantOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Added { repository, pattern } => {
                Text::remark(format!("granted read access to {pattern} in {repository}"))
            }
            Self::Removed { repository, pattern } => {
                Text::remark(format!("revoked read access to {pattern} in {repository}"))
            }
            Self::Listed(grants) => Text::lines(
                grants
                    .iter()
                    .map(|ListedGrant { owner, repository, pattern }| format!("{owner}\t{repository}\t{pattern}")),
            ),
        }
    }
}

impl Operator {
    pub(super) async fn run_grant_command(
        &self,
        command: GrantCommand,
        by: &Actor,
    ) -> Result<GrantOutcome, OperationError> {
        let accounts = self.accounts();
        Ok(match command {
            GrantCommand::Add { owner, repository, pattern } => {
                let (owner, key) = (self.owner(&owner).await?, self.known(&repository)?);
                accounts.add_grant(owner, &key, &pattern, by).await?;
                GrantOutcome::Added { repository, pattern }
            }
            GrantCommand::Remove { owner, repository, pattern } => {
                let owner = self.owner(&owner).await?;
                // The repository may no longer be configured.
                let key = repository.parse().map_err(Refusal::from)?;
                accounts.remove_grant(owner, &key, &pattern, by).await?;
                GrantOutcome::Removed { repository, pattern }
            }
            GrantCommand::List => {
                let mut listed = Vec::new();
                for grant in accounts.list_grants(None).await? {
                    let owner = self.owner_name(grant.owner).await?;
                    listed.push(ListedGrant {
                        owner,
                        repository: grant.repository.to_string(),
                        pattern: grant.pattern,
                    });
                }
                GrantOutcome::Listed(listed)
            }
        })
    }

    /// The key of a configured repository.
    fn known(&self, repository: &str) -> Result<RepoName, Refusal> {
        let found = self.repository(repository).map_err(|_| Refusal::UnknownRepository(repository.to_owned()))?;
        Ok(found.key().clone())
    }
}
