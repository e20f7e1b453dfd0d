//! Rights as values: what a caller may do, made by [`AccessRules`](super::AccessRules) alone. May import `hex` names.

use std::collections::BTreeSet;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::hex::name::{PackageName, RepoName};
use crate::state::audit::By;

/// The packages that somebody may read: all, or those whose names match.
#[derive(Clone, Debug)]
pub struct PatternSet {
    limited: Option<Arc<Limited>>,
}

#[derive(Debug)]
struct Limited {
    patterns: BTreeSet<String>,
    set: GlobSet,
}

impl PatternSet {
    /// Every package.
    pub fn everything() -> Self {
        Self { limited: None }
    }

    /// Packages that match one of `patterns`; `*` among them is everything. A text that is no pattern matches nothing.
    pub fn of(patterns: BTreeSet<String>) -> Self {
        if patterns.contains("*") {
            return Self::everything();
        }
        let mut builder = GlobSetBuilder::new();
        for glob in patterns.iter().filter_map(|pattern| Glob::new(pattern).ok()) {
            builder.add(glob);
        }
        let set = builder.build().unwrap_or_else(|_| GlobSet::empty());
        Self { limited: Some(Arc::new(Limited { patterns, set })) }
    }

    /// Whether a package may be read.
    pub fn allows(&self, package: &str) -> bool {
        self.limited.as_ref().is_none_or(|limited| limited.set.is_match(package))
    }

    /// The patterns in their order, `None` where everything may be read.
    pub fn patterns(&self) -> Option<&BTreeSet<String>> {
        self.limited.as_ref().map(|limited| &limited.patterns)
    }
}

impl PartialEq for PatternSet {
    /// The compiled set follows from the patterns.
    fn eq(&self, other: &Self) -> bool {
        self.patterns() == other.patterns()
    }
}

impl Eq for PatternSet {}

/// The right to read one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadGrant {
    pub(super) repository: RepoName,
    pub(super) packages: PatternSet,
    /// Whether everybody has it: then others may keep what is answered.
    pub(super) public: bool,
}

impl ReadGrant {
    /// The key of the repository that may be read.
    pub fn repository(&self) -> &RepoName {
        &self.repository
    }

    /// The packages that may be read.
    pub fn packages(&self) -> &PatternSet {
        &self.packages
    }

    /// Whether everybody has this right; what was answered by a private one is not for shared caches.
    pub fn is_public(&self) -> bool {
        self.public
    }
}

/// The right to change one repository, or one package of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteGrant {
    pub(super) repository: RepoName,
    /// `None`: the whole repository.
    pub(super) package: Option<PackageName>,
    pub(super) user: Option<String>,
    pub(super) administrator: bool,
    pub(super) by: By,
}

impl WriteGrant {
    /// The right of a command that was given on this machine.
    pub fn console(repository: RepoName) -> Self {
        Self { repository, package: None, user: None, administrator: true, by: By::console() }
    }

    /// The key of the repository.
    pub fn repository(&self) -> &RepoName {
        &self.repository
    }

    /// Whether `package` may be changed by it.
    pub fn covers(&self, package: &PackageName) -> bool {
        self.package.as_ref().is_none_or(|granted| granted == package)
    }

    /// The user who acts, where it is one: the publisher of what is published.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether an administrator acts, for whom windows and ownership do not count.
    pub fn is_administrator(&self) -> bool {
        self.administrator
    }

    /// Who acts, for the audit log.
    pub fn by(&self) -> &By {
        &self.by
    }
}
