//! What every repository has, of whatever type: its names, its addresses, who may use it, and for which packages.

use globset::GlobSet;

use crate::auth::AccessRules;
use crate::hex::name::RepoName;

/// Which package names a repository answers for.
#[derive(Clone, Debug)]
pub struct NameRules {
    /// A name must match one of these.
    pub include: GlobSet,
    /// And none of these.
    pub exclude: GlobSet,
    /// Whether `include` is everything and `exclude` nothing.
    pub everything: bool,
}

impl NameRules {
    /// Whether a package is answered for.
    pub fn allows(&self, name: &str) -> bool {
        self.everything || (self.include.is_match(name) && !self.exclude.is_match(name))
    }

    /// Whether a package would be answered for if nothing were excluded.
    pub fn includes(&self, name: &str) -> bool {
        self.everything || self.include.is_match(name)
    }

    /// Whether every package is.
    pub fn allows_all(&self) -> bool {
        self.everything
    }
}

/// What a repository is called and where it is, and who may do what there.
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
    /// Who may do what.
    pub access: AccessRules,
    /// Which packages it answers for.
    pub names: NameRules,
}
