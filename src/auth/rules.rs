//! Who may read and write a repository. Pure.

use std::sync::Arc;

use super::grant::{PatternSet, ReadGrant, WriteGrant};
use super::principal::{Caller, OwnerLevel, Principal};
use crate::hex::name::{PackageName, RepoName};

/// Why a request is turned away. What each means in status, header and words is the edge's (interface §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody has said who they are.
    #[error("a credential is needed")]
    NeedsCredential,
    /// The credential is good, but not for this.
    #[error("the credential is not good for this")]
    Scope,
    /// The account may not even know what is there.
    #[error("the account may not read this")]
    Hidden,
    /// The account may read this and not do that.
    #[error("the account may not do this")]
    Forbidden,
    /// A second factor is needed, and no code came along.
    #[error("a second factor is needed")]
    SecondFactorMissing,
    /// The code of the second factor is wrong.
    #[error("the code of the second factor is wrong")]
    SecondFactorWrong,
    /// A second factor is required, and the account has none.
    #[error("a second factor must be set up first")]
    SecondFactorNotSetUp,
    /// Too many wrong codes.
    #[error("too many wrong codes")]
    SecondFactorExhausted,
}

/// What somebody wants to do to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// Publish, retire, write docs of a package that is there; the level of the caller as its owner, if any.
    Maintain(&'a PackageName, Option<OwnerLevel>),
    /// Change the owners of a package that is there.
    Own(&'a PackageName, Option<OwnerLevel>),
    /// Publish the first release of a package.
    Create(&'a PackageName),
}

/// Who may read and write a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    repository: RepoName,
    organization: Option<Arc<str>>,
    anonymous_read: bool,
}

impl AccessRules {
    /// The rules of a repository; the members of `organization` have rights by their roles.
    pub fn new(repository: RepoName, organization: Option<&str>, anonymous_read: bool) -> Self {
        Self { repository, organization: organization.map(Arc::from), anonymous_read }
    }

    /// Whether everybody may read.
    pub fn is_open(&self) -> bool {
        self.anonymous_read
    }

    /// The organization whose members have rights by their roles.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The right to read.
    pub fn read(&self, caller: &Caller) -> Result<ReadGrant, Denied> {
        let granted =
            |packages| ReadGrant { repository: self.repository.clone(), packages, public: self.anonymous_read };
        match caller {
            _ if self.anonymous_read => Ok(granted(PatternSet::everything())),
            Caller::Anonymous => Err(Denied::NeedsCredential),
            Caller::Known(principal) if principal.is_administrator() => Ok(granted(PatternSet::everything())),
            Caller::Known(_) => Err(Denied::Forbidden),
        }
    }

    /// The right to change a package.
    pub fn write(&self, caller: &Caller, need: Need<'_>) -> Result<WriteGrant, Denied> {
        let principal = caller.principal().ok_or(Denied::NeedsCredential)?;
        let (Need::Maintain(package, _) | Need::Own(package, _) | Need::Create(package)) = need;
        if principal.is_administrator() {
            return Ok(self.granted(principal, package));
        }
        Err(Denied::Forbidden)
    }

    fn granted(&self, principal: &Principal, package: &PackageName) -> WriteGrant {
        WriteGrant {
            repository: self.repository.clone(),
            package: Some(package.clone()),
            user: principal.user().map(str::to_owned),
            administrator: principal.is_administrator(),
            by: principal.by(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_repository_is_everybodys() {
        let open = AccessRules::new("hexpm".parse().unwrap(), None, true);
        assert_eq!(open.read(&Caller::Anonymous).unwrap().repository().as_str(), "hexpm");
    }

    #[test]
    fn a_private_repository_is_not_read_without_a_credential() {
        let private = AccessRules::new("acme".parse().unwrap(), Some("acme"), false);
        assert_eq!(private.read(&Caller::Anonymous), Err(Denied::NeedsCredential));
    }
}
