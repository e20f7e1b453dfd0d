//! Who asks, and what they may do. May import ground, `hex` names and `state`.
//!
//! A right is a value: the methods of a repository want a [`ReadGrant`], and only [`AccessRules`] makes one, so
//! forgetting to authorise does not compile.

use crate::hex::name::RepoName;

/// The right to read one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadGrant {
    repository: RepoName,
}

impl ReadGrant {
    /// The repository that may be read.
    pub fn repository(&self) -> &RepoName {
        &self.repository
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The repository is private and nobody has said who they are.
    #[error("this repository is private and needs a key")]
    NeedsCredential,
}

/// Who may read a repository.
#[derive(Clone, Debug)]
pub struct AccessRules {
    repository: RepoName,
    anonymous_read: bool,
}

impl AccessRules {
    /// The rules of a repository.
    pub fn new(repository: RepoName, anonymous_read: bool) -> Self {
        Self { repository, anonymous_read }
    }

    /// The right to read, for a caller with the given `Authorization`.
    ///
    /// No credential is recognised as ours before there are accounts, and a foreign one on an open repository is
    /// nobody's: clients send their key for hex.pm wherever they are pointed.
    pub fn read(&self, _authorization: Option<&[u8]>) -> Result<ReadGrant, Denied> {
        if self.anonymous_read {
            Ok(ReadGrant { repository: self.repository.clone() })
        } else {
            Err(Denied::NeedsCredential)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_credential_on_an_open_repository_is_anonymous() {
        let open = AccessRules::new("hexpm".parse().unwrap(), true);
        for credential in [None, Some(&b""[..]), Some(b"Bearer foreign"), Some(b"Basic eDp5"), Some(b"\xff raw")] {
            assert_eq!(open.read(credential).unwrap().repository().as_str(), "hexpm");
        }
    }

    #[test]
    fn a_private_repository_is_not_read_without_one() {
        let private = AccessRules::new("acme".parse().unwrap(), false);
        assert_eq!(private.read(None), Err(Denied::NeedsCredential));
    }
}
