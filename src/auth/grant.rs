//! Access grants: values that prove a caller's access. Only [`AccessRules`](super::AccessRules) creates them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::denied::Denied;
use super::patterns::PatternSet;
use super::principal::Caller;
use crate::hex::name::{PackageName, RepoName};
use crate::state::audit::Actor;

/// Read access to one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadGrant {
    pub(super) repository: RepoName,
    pub(super) packages: PatternSet,
    /// Whether everybody has this access: then shared caches may store the answers.
    pub(super) public: bool,
    /// For a virtual repository, the access to each member, in their order; `None` for members without access.
    pub(super) members: Vec<Option<ReadGrant>>,
    /// The caller who has the access.
    pub(super) caller: Caller,
}

impl ReadGrant {
    /// The key of the repository.
    pub fn repository(&self) -> &RepoName {
        &self.repository
    }

    /// The packages that the caller may read.
    pub fn packages(&self) -> &PatternSet {
        &self.packages
    }

    /// For a virtual repository, the access to each member, in their order; `None` for members without access.
    pub fn members(&self) -> &[Option<ReadGrant>] {
        &self.members
    }

    /// Whether the grant covers all packages.
    pub fn is_whole(&self) -> bool {
        let whole = |member: &Option<Self>| member.as_ref().is_some_and(Self::is_whole);
        self.packages.patterns().is_none() && self.members.iter().all(whole)
    }

    /// The covered packages as a text: two grants for one repository with the same text cover the same packages.
    pub fn scope(&self) -> String {
        let packages = match self.packages.patterns() {
            None => "*".to_owned(),
            Some(patterns) => patterns.iter().map(String::as_str).collect::<Vec<_>>().join("|"),
        };
        if self.members.is_empty() {
            return packages;
        }
        let member = |member: &Option<Self>| member.as_ref().map_or_else(|| "-".to_owned(), Self::scope);
        format!("{packages}({})", self.members.iter().map(member).collect::<Vec<_>>().join(","))
    }

    /// The caller, for the log of downloads and refusals.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether everybody has this access. Answers from a private grant must not be stored by shared caches.
    pub fn is_public(&self) -> bool {
        self.public
    }
}

/// The reason why access ended, as an error of the code that checked it.
pub type GrantWithdrawn = Arc<dyn std::error::Error + Send + Sync>;

/// Checks again whether write access still exists. While a body was received, a key may have been revoked, a user
/// deactivated, or a role removed.
pub trait ConfirmGrant: Send + Sync {
    /// Returns an error if the access ended.
    fn confirm(&self) -> BoxFuture<'_, Result<(), GrantWithdrawn>>;
}

/// The way to confirm a grant.
#[derive(Clone)]
pub(super) enum Confirmation {
    /// None yet: the grant allows no write.
    Unconfirmed,
    /// A command of an administrator, which runs immediately.
    Order,
    /// A second check of the credential and the access rules.
    By(Arc<dyn ConfirmGrant>),
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unconfirmed => "Unconfirmed",
            Self::Order => "Order",
            Self::By(_) => "By",
        })
    }
}

/// Write access to one repository, or to one package in it. It is checked when a request begins, and again immediately
/// before the write.
#[derive(Clone, Debug)]
pub struct WriteGrant {
    pub(super) repository: RepoName,
    /// `None` means the whole repository.
    pub(super) package: Option<PackageName>,
    pub(super) user: Option<String>,
    pub(super) administrator: bool,
    pub(super) by: Actor,
    pub(super) standing: Confirmation,
}

impl WriteGrant {
    /// Access to everything in a repository, for a command of an administrator who was just authenticated.
    pub fn administrator(repository: RepoName, by: Actor) -> Self {
        Self { repository, package: None, user: None, administrator: true, by, standing: Confirmation::Order }
    }

    /// The same access, to be confirmed by `confirm`.
    pub fn confirmed_by(self, confirm: Arc<dyn ConfirmGrant>) -> Self {
        Self { standing: Confirmation::By(confirm), ..self }
    }

    /// Checks the access again; called immediately before a write.
    pub async fn confirm(&self) -> Result<(), GrantWithdrawn> {
        match &self.standing {
            Confirmation::Unconfirmed => Err(Arc::new(Denied::Forbidden)),
            Confirmation::Order => Ok(()),
            Confirmation::By(confirm) => confirm.confirm().await,
        }
    }

    /// The key of the repository.
    pub fn repository(&self) -> &RepoName {
        &self.repository
    }

    /// Whether the grant covers `package`.
    pub fn covers(&self, package: &PackageName) -> bool {
        self.package.as_ref().is_none_or(|granted| granted == package)
    }

    /// The user who acts, if it is a user: the publisher of a release.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether an administrator acts. Time limits and ownership do not apply to administrators.
    pub fn is_administrator(&self) -> bool {
        self.administrator
    }

    /// The actor for the audit log.
    pub fn by(&self) -> &Actor {
        &self.by
    }
}

/// Everything that a caller may read on a server: for each repository, patterns of package names.
#[derive(Clone, Debug, Default)]
pub struct Readable(BTreeMap<RepoName, Vec<PatternSet>>);

impl Readable {
    /// Everything that these grants cover, including the members of virtual repositories.
    pub fn of<'g>(grants: impl IntoIterator<Item = &'g ReadGrant>) -> Self {
        let mut readable = Self::default();
        grants.into_iter().for_each(|grant| readable.add(grant));
        readable
    }

    fn add(&mut self, grant: &ReadGrant) {
        self.0.entry(grant.repository.clone()).or_default().push(grant.packages.clone());
        grant.members.iter().flatten().for_each(|member| self.add(member));
    }

    /// Whether the caller may read a package of this name, whether it exists or not.
    pub fn allows(&self, repository: &RepoName, package: &str) -> bool {
        self.0.get(repository).is_some_and(|sets| sets.iter().any(|set| set.allows(package)))
    }
}
