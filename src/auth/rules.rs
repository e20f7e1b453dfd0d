//! Who may read and write a repository. Pure.

mod members;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::denied::Denied;
use super::grant::{ReadGrant, Standing, WriteGrant};
use super::patterns::PatternSet;
use super::principal::{Caller, OwnerLevel, Principal, Role};
use crate::hex::name::{PackageName, RepoName};
pub use members::MemberRules;
use members::ReadTarget;

/// What somebody wants to do to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind<'a> {
    /// Publish, retire, write docs of a package that is there; the level of the caller as its owner, if any. A package
    /// that no user owns is the organization's, whose members own it by their roles.
    Maintain(&'a PackageName, Option<OwnerLevel>),
    /// Change the owners of a package that is there.
    Own(&'a PackageName, Option<OwnerLevel>),
    /// Publish the first release of a package.
    Create(&'a PackageName),
}

/// Who may publish a package that is not there yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishedBy {
    /// Members of the organization with the role `write`.
    #[default]
    Members,
    /// Every user who may read the repository.
    Users,
}

/// Who may change a package that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangedBy {
    /// Its owners, and members of the organization by their roles.
    #[default]
    Members,
    /// Its owners alone.
    Owners,
}

/// Who may read and write a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    repository: RepoName,
    organization: Option<Arc<str>>,
    anonymous_read: bool,
    published_by: PublishedBy,
    changed_by: ChangedBy,
    /// Of a virtual repository, whose rights come from its members.
    members: Option<Arc<[MemberRules]>>,
}

impl AccessRules {
    /// The rules of a repository; the members of `organization` have rights by their roles.
    pub fn new(repository: RepoName, organization: Option<&str>, anonymous_read: bool) -> Self {
        let (published_by, changed_by) = (PublishedBy::default(), ChangedBy::default());
        let organization = organization.map(Arc::from);
        Self { repository, organization, anonymous_read, published_by, changed_by, members: None }
    }

    /// The same where others may write.
    #[must_use]
    pub fn written_by(self, published_by: PublishedBy, changed_by: ChangedBy) -> Self {
        Self { published_by, changed_by, ..self }
    }

    /// The rules of a virtual repository with these members. Who may read one of them may read as much of it here.
    pub fn of_members(repository: RepoName, anonymous_read: bool, members: Vec<MemberRules>) -> Self {
        Self { members: Some(members.into()), ..Self::new(repository, None, anonymous_read) }
    }

    /// Whether everybody may read.
    pub fn is_open(&self) -> bool {
        self.anonymous_read
    }

    /// The organization whose members have rights by their roles.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The right to fetch: what the account may read and the credential is good for.
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

    /// What the credential is good for here, by this repository's name or by one of those that it is reached through.
    fn credential(&self, principal: &Principal, through: &[&Self]) -> Option<PatternSet> {
        let good = |rules: &Self| principal.permissions.repository(rules.repository.as_str(), rules.organization());
        through.iter().copied().chain([self]).filter_map(good).reduce(|one, other| one.or(&other))
    }

    /// The right to fetch docs, for which a permission for docs alone is enough.
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

    /// The right to read on the API.
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

    /// The right to change a package.
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

    /// What an account may read here, whatever credential it uses.
    fn account(&self, principal: &Principal) -> Option<PatternSet> {
        if principal.is_administrator() || self.role(principal).is_some() {
            return Some(PatternSet::everything());
        }
        let grants = principal.reads.iter().filter(|(repository, _)| repository == self.repository.as_str());
        let patterns: BTreeSet<String> = grants.map(|(_, pattern)| pattern.clone()).collect();
        (!patterns.is_empty()).then(|| PatternSet::of(patterns))
    }

    /// What a role in the organization is worth, of a package that the organization owns.
    pub fn level_by_role(&self, principal: &Principal) -> Option<OwnerLevel> {
        match self.role(principal)? {
            Role::Admin => Some(OwnerLevel::Full),
            Role::Write => Some(OwnerLevel::Maintainer),
            Role::Read => None,
        }
    }

    /// Who may change a package that is there.
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
            standing: Standing::Unconfirmed,
        }
    }
}

#[cfg(test)]
mod tests;
