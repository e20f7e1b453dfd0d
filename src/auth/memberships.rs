//! Organizations and their members, read grants, sessions, and the audit log of an account.

use super::accounts::Accounts;
use super::management::{ManageError, NAME, RESERVED};
use super::patterns::PatternSet;
use super::principal::Role;
use crate::hex::invalid::Invalid;
use crate::hex::name::RepoName;
use crate::state::audit::{Actor, Entry};
use crate::state::grants::Grant;
use crate::state::organizations::{Member, Organization};
use crate::state::tokens::Session;
use crate::state::{AccountError, Owner, StateError};

impl Accounts {
    /// Creates an organization, optionally with its first administrator.
    pub async fn create_organization(
        &self,
        name: &str,
        first: Option<&str>,
        by: &Actor,
    ) -> Result<Organization, ManageError> {
        if name.len() < NAME || !RepoName::is_valid(name) {
            let fault = "must have 3 to 64 characters: lower-case letters, digits, underscores and hyphens";
            return Err(Invalid::of("name", fault).into());
        }
        if RESERVED.contains(&name) {
            return Err(Invalid::of(
                "name",
                "is reserved, because it has another meaning for clients: choose another name",
            )
            .into());
        }
        let first = match first {
            Some(user) => Some(self.known_user(user).await?),
            None => None,
        };
        let organization = self.state.create_organization(self.clock.now(), name, first.as_ref(), by).await?;
        self.clear_cache();
        Ok(organization)
    }

    /// The organization with this name.
    pub async fn organization(&self, name: &str) -> Result<Option<Organization>, StateError> {
        self.state.organization(name).await
    }

    /// All organizations, sorted by name.
    pub async fn organizations(&self) -> Result<Vec<Organization>, StateError> {
        self.state.organizations().await
    }

    /// The organizations of a user, sorted by name, with the user's role in each.
    pub async fn memberships(&self, user: i64) -> Result<Vec<(Organization, Role)>, StateError> {
        self.state.memberships(user).await
    }

    /// The members of an organization, sorted by name.
    pub async fn members(&self, organization: &str) -> Result<Vec<Member>, ManageError> {
        let organization = self.known_organization(organization).await?;
        Ok(self.state.members(organization.id).await?)
    }

    /// Adds a member to an organization.
    pub async fn add_member(&self, organization: &str, user: &str, role: Role, by: &Actor) -> Result<(), ManageError> {
        let (organization, user) = (self.known_organization(organization).await?, self.known_user(user).await?);
        self.state.add_member(self.clock.now(), &organization, &user, role, by).await?;
        self.clear_cache();
        Ok(())
    }

    /// Changes the role of a member.
    pub async fn set_role(&self, organization: &str, user: &str, role: Role, by: &Actor) -> Result<(), ManageError> {
        let (organization, user) = (self.known_organization(organization).await?, self.known_user(user).await?);
        self.state.set_role(self.clock.now(), &organization, &user, role, by).await?;
        self.clear_cache();
        Ok(())
    }

    /// Removes a member.
    pub async fn remove_member(&self, organization: &str, user: &str, by: &Actor) -> Result<(), ManageError> {
        let (organization, user) = (self.known_organization(organization).await?, self.known_user(user).await?);
        self.state.remove_member(self.clock.now(), &organization, &user, by).await?;
        self.clear_cache();
        Ok(())
    }

    /// Grants an owner read access to a repository, or to its packages that match a pattern.
    pub async fn add_grant(
        &self,
        owner: Owner,
        repository: &RepoName,
        pattern: &str,
        by: &Actor,
    ) -> Result<(), ManageError> {
        if !PatternSet::is_pattern(pattern) {
            let fault = "is empty, too long, or contains characters other than lower-case letters, digits, `_` and `*`: use `*` \
                         for all packages, or a pattern such as `web_*`";
            return Err(Invalid::of("pattern", fault).into());
        }
        let subject = self.subject(owner).await?;
        let at = self.clock.now();
        self.state.add_grant(at, (owner, &subject), repository.as_str(), pattern, by).await?;
        self.clear_cache();
        Ok(())
    }

    /// Removes a grant of read access.
    pub async fn remove_grant(
        &self,
        owner: Owner,
        repository: &RepoName,
        pattern: &str,
        by: &Actor,
    ) -> Result<(), ManageError> {
        let subject = self.subject(owner).await?;
        let at = self.clock.now();
        self.state.remove_grant(at, (owner, &subject), repository.as_str(), pattern, by).await?;
        self.clear_cache();
        Ok(())
    }

    /// The grants of an owner, or all grants.
    pub async fn list_grants(&self, owner: Option<Owner>) -> Result<Vec<Grant>, StateError> {
        self.state.grants(owner).await
    }

    /// The active OAuth sessions of an owner, the newest first.
    pub async fn list_sessions(&self, owner: Owner) -> Result<Vec<Session>, StateError> {
        self.state.sessions(owner, self.clock.now()).await
    }

    /// Ends a session of an owner.
    pub async fn revoke_session(&self, owner: Owner, id: &str, by: &Actor) -> Result<(), ManageError> {
        let sessions = self.list_sessions(owner).await?;
        let session = sessions.iter().find(|session| session.id == id).ok_or(AccountError::UnknownSession)?;
        self.state.end_session(self.clock.now(), session, "revoked", by).await?;
        self.clear_cache();
        Ok(())
    }

    /// A page of the audit log: actions of a user or an organization, and actions on it.
    pub async fn audit_of(&self, owner: Owner, page: u32) -> Result<Vec<Entry>, ManageError> {
        Ok(self.state.audit_of_account(&self.subject(owner).await?, page).await?)
    }
}
