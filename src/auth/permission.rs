//! What a credential is good for: the permission domains of Hex (server-api §5.4). Pure.

use std::collections::BTreeSet;

/// One permission of a credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// `api`: everything on the API.
    Api,
    /// `api` + `read`
    ApiRead,
    /// `api` + `write`, which includes reading.
    ApiWrite,
    /// `package`: owners' writes on all packages, or on one, written `REPOSITORY/NAME`.
    Package(Option<String>),
    /// `repository`: fetch from one repository (or an organization's); behind a slash a pattern of package names.
    Repository(String),
    /// `repositories`: fetch from all that the owner may read.
    Repositories,
    /// `docs`: fetch docs of one organization.
    Docs(String),
}

/// The permissions of a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// A password: whatever its user may do.
    everything: bool,
    set: BTreeSet<Permission>,
}

impl Permissions {
    /// Whatever the account may do.
    pub fn everything() -> Self {
        Self { everything: true, set: BTreeSet::new() }
    }

    /// Just these.
    pub fn of(set: impl IntoIterator<Item = Permission>) -> Self {
        Self { everything: false, set: set.into_iter().collect() }
    }

    /// Whether the API may be read.
    pub fn api_read(&self) -> bool {
        self.everything
            || self.set.iter().any(|permission| {
                matches!(
                    permission,
                    Permission::Api | Permission::ApiRead | Permission::ApiWrite | Permission::Package(_)
                )
            })
    }

    /// Whether the API may be written to, whatever it is about.
    pub fn api_write(&self) -> bool {
        self.everything
            || self.set.iter().any(|permission| matches!(permission, Permission::Api | Permission::ApiWrite))
    }
}
