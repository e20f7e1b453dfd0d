//! Commands about organizations, and lookup of the owners of keys and grants.

use serde::{Deserialize, Serialize};

use super::commands::{Account, OrganizationCommand};
use super::operator::Operator;
use super::outcome::Text;
use super::{OperationError, Refusal};
use crate::auth::{Owner, Role};
use crate::display_text::shown;
use crate::state::audit::Actor;

/// The result of an organization command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrganizationOutcome {
    /// An organization was created.
    Added {
        /// Name of the organization.
        name: String,
        /// Whether a configured repository belongs to it.
        has_repository: bool,
    },
    /// All organizations.
    Listed(Vec<ListedOrganization>),
    /// A member was added, or has a new role.
    Member {
        /// The organization.
        organization: String,
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
    /// A member was removed.
    MemberRemoved {
        /// The organization.
        organization: String,
        /// The user.
        user: String,
        /// Keys of the organization. They stay valid, even those that the user created.
        keys: Vec<String>,
    },
}

/// An organization in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedOrganization {
    /// Name of the organization.
    pub name: String,
    /// Members of the organization.
    pub members: Vec<ListedMember>,
}

/// A member of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedMember {
    /// The user.
    pub name: String,
    /// The role.
    pub role: String,
}

impl OrganizationOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Added { name, has_repository } => {
                let mut text = Text::remark(format!("created organization {name}"));
                if !has_repository {
                    text.remarks.push(format!(
                        "the organization has no repository yet; add this to the configuration and reload it:\n\n  repositories:\n    {name}: {{ type: local }}\n"
                    ));
                }
                text
            }
            Self::Listed(organizations) => Text::lines(organizations.iter().map(|one| {
                let members = one.members.iter().map(|member| format!("{} ({})", member.name, member.role));
                format!("{}\t{}", one.name, members.collect::<Vec<_>>().join(", "))
            })),
            Self::Member { organization, user, role } => {
                Text::remark(format!("{user} is now a member of {organization} with the role {role}"))
            }
            Self::MemberRemoved { organization, user, keys } => {
                let mut text = Text::remark(format!("removed {user} from {organization}"));
                if !keys.is_empty() {
                    let keys: Vec<String> = keys.iter().map(|key| shown(key)).collect();
                    text.remarks.push(format!(
                        "the keys of {organization} are still valid; revoke those that {user} knows: {}",
                        keys.join(", ")
                    ));
                }
                text
            }
        }
    }
}

impl Operator {
    pub(super) async fn run_organization_command(
        &self,
        command: OrganizationCommand,
        by: &Actor,
    ) -> Result<OrganizationOutcome, OperationError> {
        let accounts = self.accounts();
        Ok(match command {
            OrganizationCommand::Add { name, admin } => {
                let made = accounts.create_organization(&name, admin.as_deref(), by).await?;
                let has_repository =
                    self.repositories().iter().any(|one| one.access().organization() == Some(name.as_str()));
                OrganizationOutcome::Added { name: made.name, has_repository }
            }
            OrganizationCommand::List => {
                let mut listed = Vec::new();
                for organization in accounts.organizations().await? {
                    let members = accounts.members(&organization.name).await?;
                    let members = members
                        .into_iter()
                        .map(|member| ListedMember { role: member.role.as_str().to_owned(), name: member.name });
                    listed.push(ListedOrganization { name: organization.name, members: members.collect() });
                }
                OrganizationOutcome::Listed(listed)
            }
            OrganizationCommand::Member { organization, user, role } => {
                let role = Role::from_word(&role).ok_or(Refusal::NoRole(role))?;
                let members = accounts.members(&organization).await?;
                match members.iter().any(|member| member.name == user.to_lowercase()) {
                    true => accounts.set_role(&organization, &user, role, by).await?,
                    false => accounts.add_member(&organization, &user, role, by).await?,
                }
                OrganizationOutcome::Member { organization, user, role: role.as_str().to_owned() }
            }
            OrganizationCommand::RemoveMember { organization, user } => {
                accounts.remove_member(&organization, &user, by).await?;
                let owner = self.owner(&Account::Organization(organization.clone())).await?;
                let keys = accounts.list_keys(owner).await?.into_iter().map(|key| key.name).collect();
                OrganizationOutcome::MemberRemoved { organization, user, keys }
            }
        })
    }

    /// Finds the owner for an account name.
    pub(super) async fn owner(&self, account: &Account) -> Result<Owner, OperationError> {
        let accounts = self.accounts();
        let (owner, absent) = match account {
            Account::User(name) => {
                let user = accounts.user(name).await?;
                (user.map(|user| Owner::User(user.id)), Refusal::NoUser(name.clone()))
            }
            Account::Organization(name) => {
                let found = accounts.organization(name).await?;
                let owner = found.map(|organization| Owner::Organization(organization.id));
                (owner, Refusal::NoOrganization(name.clone()))
            }
        };
        Ok(owner.ok_or(absent)?)
    }

    /// The name of an owner; `-` if the account no longer exists.
    pub(super) async fn owner_name(&self, owner: Owner) -> Result<String, OperationError> {
        let principal = self.accounts().principal_of(owner).await?;
        Ok(principal.and_then(|principal| principal.by().actor).unwrap_or_else(|| "-".to_owned()))
    }
}
