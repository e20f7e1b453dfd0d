//! The access rules of a repository: who may read and write. Pure.

mod members;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::denied::Denied;
use super::grant::{Confirmation, ReadGrant, WriteGrant};
use super::patterns::PatternSet;
use super::principal::{Caller, OwnerLevel, Principal, Role};
use crate::hex::name::{PackageName, RepoName};
pub use members::MemberRules;
use members::ReadTarget;

/// The kind of write that a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind<'a> {
    /// Publish, retire or write documentation of an existing package. Contains the level of the caller as an owner, if
    /// any. A package without user owners belongs to the organization, whose members get a level by their roles.
    Maintain(&'a PackageName, Option<OwnerLevel>),
    /// Change the owners of an existing package.
    Own(&'a PackageName, Option<OwnerLevel>),
    /// Publish the first release of a package.
    Create(&'a PackageName),
}

/// The rule for publishing a new package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishedBy {
    /// Members of the organization with the role `write`.
    #[default]
    Members,
    /// Every user with read access to the repository.
    Users,
}

/// The rule for changing an existing package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangedBy {
    /// Its owners, and members of the organization by their roles.
    #[default]
    Members,
    /// Only its owners.
    Owners,
}

/// The access rules of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    repository: RepoName,
    organization: Option<Arc<str>>,
    anonymous_read: bool,
    published_by: PublishedBy,
    changed_by: ChangedBy,
    /// For a virtual repository, the rules of its members, which determine access.
    members: Option<Arc<[MemberRules]>>,
}

impl AccessRules {
    /// The rules of a repository; members of `organization` get access by their roles.
    pub fn new(repository: RepoName, organization: Option<&str>, anonymous_read: bool) -> Self {
        let (published_by, changed_by) = (PublishedBy::default(), ChangedBy::default());
        let organization = organization.map(Arc::from);
        Self { repository, organization, anonymous_read, published_by, changed_by, members: None }
    }

    /// The same rules with other conditions for writes.
    #[must_use]
    pub fn written_by(self, published_by: PublishedBy, changed_by: ChangedBy) -> Self {
        Self { published_by, changed_by, ..self }
    }

    /// The rules of a virtual repository with these members. A caller may read each member as far as the member's own
    /// rules allow.
    pub fn of_members(repository: RepoName, anonymous_read: bool, members: Vec<MemberRules>) -> Self {
        Self { members: Some(members.into()), ..Self::new(repository, None, anonymous_read) }
    }

    /// Whether everybody may read.
    pub fn is_open(&self) -> bool {
        self.anonymous_read
    }

    /// The organization whose members get access by their roles.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The access to download: limited by both the account and the permissions of the credential.
    pub fn read(&self, caller: &Caller) -> Result<ReadGrant, Denied> {
        self.right(caller, ReadTarget::Fetch, &[])
    }

    fn fetch(&self, caller: &Caller, through: &[&Self]) -> Result<ReadGrant, Denied> {
        if self.anonymous_read {
            return Ok(self.readable(caller, PatternSet::everything()));
        }
        let principal = caller.principal().ok_or(Denied::NeedsCredential)?;
        let account = self.account(principal).ok_or(Denied::Forbidden)?;
        Ok(self.readable(caller, account.and(&self.credential(principal, through).ok_or(Denied::Forbidden)?)))
    }

    /// The packages that the credential allows here, by the name of this repository or of a virtual repository above
    /// it.
    fn credential(&self, principal: &Principal, through: &[&Self]) -> Option<PatternSet> {
        let good = |rules: &Self| principal.permissions.repository(rules.repository.as_str(), rules.organization());
        through.iter().copied().chain([self]).filter_map(good).reduce(|one, other| one.or(&other))
    }

    /// The access to download documentation, for which a permission for documentation is enough.
    pub fn read_docs(&self, caller: &Caller) -> Result<ReadGrant, Denied> {
        self.right(caller, ReadTarget::Docs, &[])
    }

    fn docs(&self, caller: &Caller, through: &[&Self]) -> Result<ReadGrant, Denied> {
        match caller.principal() {
            Some(principal)
                if !self.anonymous_read
                    && through
                        .iter()
                        .copied()
                        .chain([self])
                        .any(|rules| principal.permissions.docs(rules.repository.as_str(), rules.organization())) =>
            {
                self.account(principal).map(|packages| self.readable(caller, packages)).ok_or(Denied::Forbidden)
            }
            _ => self.fetch(caller, through),
        }
    }

    /// The access to read through the API.
    pub fn read_api(&self, caller: &Caller) -> Result<ReadGrant, Denied> {
        self.right(caller, ReadTarget::Api, &[])
    }

    fn show(&self, caller: &Caller) -> Result<ReadGrant, Denied> {
        if self.anonymous_read {
            return Ok(self.readable(caller, PatternSet::everything()));
        }
        let principal = caller.principal().ok_or(Denied::NeedsCredential)?;
        if !principal.permissions.api_read() {
            return Err(Denied::Scope);
        }
        self.account(principal).map(|packages| self.readable(caller, packages)).ok_or(Denied::Hidden)
    }

    /// The access to change a package.
    pub fn write(&self, caller: &Caller, need: AccessKind<'_>) -> Result<WriteGrant, Denied> {
        let principal = caller.principal().ok_or(Denied::NeedsCredential)?;
        let (package, exists) = match need {
            AccessKind::Maintain(package, _) | AccessKind::Own(package, _) => (package, true),
            AccessKind::Create(package) => (package, false),
        };
        let permissions = &principal.permissions;
        if !permissions.package(self.repository.as_str(), self.organization(), package.as_str(), exists) {
            return Err(Denied::Scope);
        }
        let readable = self.anonymous_read || self.account(principal).is_some_and(|set| set.allows(package.as_str()));
        if !readable {
            return Err(Denied::Hidden);
        }
        let by_role = self.level_by_role(principal);
        let level = |owner: Option<OwnerLevel>| match self.changed_by {
            ChangedBy::Members => owner.max(by_role),
            ChangedBy::Owners => owner,
        };
        let enough = match need {
            AccessKind::Maintain(_, owner) => level(owner) >= Some(OwnerLevel::Maintainer),
            AccessKind::Own(_, owner) => level(owner) >= Some(OwnerLevel::Full),
            AccessKind::Create(_) => {
                by_role.is_some() || self.published_by == PublishedBy::Users && principal.user().is_some()
            }
        };
        if !enough && !principal.is_administrator() {
            return Err(Denied::Forbidden);
        }
        principal.shown_second_factor()?;
        Ok(self.granted(principal, package))
    }

    /// The packages that an account may read, independent of the credential.
    fn account(&self, principal: &Principal) -> Option<PatternSet> {
        if principal.is_administrator() || self.role(principal).is_some() {
            return Some(PatternSet::everything());
        }
        let grants = principal.reads.iter().filter(|(repository, _)| repository == self.repository.as_str());
        let patterns: BTreeSet<String> = grants.map(|(_, pattern)| pattern.clone()).collect();
        (!patterns.is_empty()).then(|| PatternSet::of(patterns))
    }

    /// The owner level that a role in the organization gives for a package of the organization.
    pub fn level_by_role(&self, principal: &Principal) -> Option<OwnerLevel> {
        match self.role(principal)? {
            Role::Admin => Some(OwnerLevel::Full),
            Role::Write => Some(OwnerLevel::Maintainer),
            Role::Read => None,
        }
    }

    /// The rule for changing an existing package.
    pub fn changed_by(&self) -> ChangedBy {
        self.changed_by
    }

    fn role(&self, principal: &Principal) -> Option<Role> {
        principal.roles.get(self.organization()?).copied()
    }

    fn readable(&self, caller: &Caller, packages: PatternSet) -> ReadGrant {
        let (repository, caller) = (self.repository.clone(), caller.clone());
        ReadGrant { repository, packages, public: self.anonymous_read, members: Vec::new(), caller }
    }

    fn granted(&self, principal: &Principal, package: &PackageName) -> WriteGrant {
        WriteGrant {
            repository: self.repository.clone(),
            package: Some(package.clone()),
            user: principal.user().map(str::to_owned),
            administrator: principal.is_administrator(),
            by: principal.by(),
            standing: Confirmation::Unconfirmed,
        }
    }
}

#[cfg(test)]
mod tests;
