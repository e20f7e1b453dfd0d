//! Orders about rights to read.

use serde::{Deserialize, Serialize};

use super::commands::GrantCommand;
use super::operator::Operator;
use super::outcome::Text;
use super::{OperationError, Refusal};
use crate::hex::name::RepoName;
use crate::state::audit::Actor;

/// What came of an order about rights to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantOutcome {
    /// A right was given.
    Added {
        /// Key of the repository.
        repository: String,
        /// Names of packages.
        pattern: String,
    },
    /// A right was taken away.
    Removed {
        /// Key of the repository.
        repository: String,
        /// Names of packages.
        pattern: String,
    },
    /// All rights.
    Listed(Vec<ListedGrant>),
}

/// A right in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedGrant {
    /// Whose it is: `user:alice`, `org:acme`.
    pub owner: String,
    /// Key of the repository.
    pub repository: String,
    /// Names of packages.
    pub pattern: String,
}

impl GrantOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Added { repository, pattern } => {
                Text::remark(format!("granted reading of {pattern} of {repository}"))
            }
            Self::Removed { repository, pattern } => {
                Text::remark(format!("removed the right to read {pattern} of {repository}"))
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
    pub(super) async fn order_grant(&self, command: GrantCommand, by: &Actor) -> Result<GrantOutcome, OperationError> {
        let accounts = self.accounts();
        Ok(match command {
            GrantCommand::Add { owner, repository, pattern } => {
                let (owner, key) = (self.owner(&owner).await?, self.known(&repository)?);
                accounts.add_grant(owner, &key, &pattern, by).await?;
                GrantOutcome::Added { repository, pattern }
            }
            GrantCommand::Remove { owner, repository, pattern } => {
                let owner = self.owner(&owner).await?;
                // It may be no longer configured.
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

    /// The key of a repository that is configured.
    fn known(&self, repository: &str) -> Result<RepoName, Refusal> {
        let found = self.repository(repository).map_err(|_| Refusal::UnknownRepository(repository.to_owned()))?;
        Ok(found.key().clone())
    }
}
