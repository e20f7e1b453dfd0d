//! What repositories of all types have: names, addresses, access rules, and rules for package names.

use globset::GlobSet;

use crate::auth::AccessRules;
use crate::hex::name::RepoName;

/// The package names that a repository answers for.
#[derive(Clone, Debug)]
pub struct NameRules {
    /// A name must match one of these patterns,
    pub include: GlobSet,
    /// and none of these.
    pub exclude: GlobSet,
    /// Whether `include` is everything and `exclude` nothing.
    pub everything: bool,
}

impl NameRules {
    /// Whether the repository answers for a package.
    pub fn allows(&self, name: &str) -> bool {
        self.everything || (self.include.is_match(name) && !self.exclude.is_match(name))
    }

    /// Whether the repository would answer for a package if nothing were excluded.
    pub fn includes(&self, name: &str) -> bool {
        self.everything || self.include.is_match(name)
    }

    /// Whether the repository answers for every package.
    pub fn allows_all(&self) -> bool {
        self.everything
    }
}

/// The names and addresses of a repository, and its access rules.
#[derive(Debug)]
pub struct Identity {
    /// Key in the configuration.
    pub key: RepoName,
    /// Name inside signed payloads.
    pub name: RepoName,
    /// Host names that serve it at their root.
    pub hosts: Vec<String>,
    /// Whether it answers at its own address, and not only through virtual repositories.
    pub direct: bool,
    /// The access rules.
    pub access: AccessRules,
    /// The packages that it answers for.
    pub names: NameRules,
}
