//! Rights as values: what a caller may do, made by [`AccessRules`](super::AccessRules) alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::denied::Denied;
use super::patterns::PatternSet;
use super::principal::Caller;
use crate::hex::name::{PackageName, RepoName};
use crate::state::audit::Actor;

/// The right to read one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadGrant {
    pub(super) repository: RepoName,
    pub(super) packages: PatternSet,
    /// Whether everybody has it: then others may keep what is answered.
    pub(super) public: bool,
    /// Of a virtual repository the right to read each member, in their order; `None` where there is none.
    pub(super) members: Vec<Option<ReadGrant>>,
    /// Who has shown it.
    pub(super) caller: Caller,
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

    /// Of a virtual repository the right to read each member, in their order; `None` where there is none.
    pub fn members(&self) -> &[Option<ReadGrant>] {
        &self.members
    }

    /// Whether it shows all that there is.
    pub fn is_whole(&self) -> bool {
        let whole = |member: &Option<Self>| member.as_ref().is_some_and(Self::is_whole);
        self.packages.patterns().is_none() && self.members.iter().all(whole)
    }

    /// What it shows, as a text: two grants of one repository with the same text show the same.
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

    /// Who asks: what is fetched and refused is written down with it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether everybody has this right; what was answered by a private one is not for shared caches.
    pub fn is_public(&self) -> bool {
        self.public
    }
}

/// Why a right does not hold any more, as whoever found it out says it.
pub type GrantWithdrawn = Arc<dyn std::error::Error + Send + Sync>;

/// Finds out once more whether a right to write holds. While a body was on its way, a key may have been revoked, a user shut
/// out, a role taken.
pub trait ConfirmGrant: Send + Sync {
    /// Whether it still holds.
    fn confirm(&self) -> BoxFuture<'_, Result<(), GrantWithdrawn>>;
}

/// Who says that a right still holds.
#[derive(Clone)]
pub(super) enum Standing {
    /// Nobody yet: nothing is written by it.
    Unconfirmed,
    /// A command of an administrator, which is carried out at once.
    Order,
    /// Whoever looks at the credential and the rules once more.
    By(Arc<dyn ConfirmGrant>),
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unconfirmed => "Unconfirmed",
            Self::Order => "Order",
            Self::By(_) => "By",
        })
    }
}

/// The right to change one repository, or one package of it. It is found out when a request begins, and once more directly
/// before something is written.
#[derive(Clone, Debug)]
pub struct WriteGrant {
    pub(super) repository: RepoName,
    /// `None`: the whole repository.
    pub(super) package: Option<PackageName>,
    pub(super) user: Option<String>,
    pub(super) administrator: bool,
    pub(super) by: Actor,
    pub(super) standing: Standing,
}

impl WriteGrant {
    /// The right to everything in a repository, for an order of whoever has just been found to be an administrator.
    pub fn administrator(repository: RepoName, by: Actor) -> Self {
        Self { repository, package: None, user: None, administrator: true, by, standing: Standing::Order }
    }

    /// The same right, with somebody who finds out whether it still holds.
    pub fn confirmed_by(self, confirm: Arc<dyn ConfirmGrant>) -> Self {
        Self { standing: Standing::By(confirm), ..self }
    }

    /// Whether it still holds: to be asked directly before something is written.
    pub async fn confirm(&self) -> Result<(), GrantWithdrawn> {
        match &self.standing {
            Standing::Unconfirmed => Err(Arc::new(Denied::Forbidden)),
            Standing::Order => Ok(()),
            Standing::By(confirm) => confirm.confirm().await,
        }
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
    pub fn by(&self) -> &Actor {
        &self.by
    }
}

/// What a caller may read of a whole server: repositories by key, and which names of each.
#[derive(Clone, Debug, Default)]
pub struct Readable(BTreeMap<RepoName, Vec<PatternSet>>);

impl Readable {
    /// All that these rights show, through virtual repositories as well.
    pub fn of<'g>(grants: impl IntoIterator<Item = &'g ReadGrant>) -> Self {
        let mut readable = Self::default();
        grants.into_iter().for_each(|grant| readable.add(grant));
        readable
    }

    fn add(&mut self, grant: &ReadGrant) {
        self.0.entry(grant.repository.clone()).or_default().push(grant.packages.clone());
        grant.members.iter().flatten().for_each(|member| self.add(member));
    }

    /// Whether a name of a repository may be read, be there such a package or not.
    pub fn allows(&self, repository: &RepoName, package: &str) -> bool {
        self.0.get(repository).is_some_and(|sets| sets.iter().any(|set| set.allows(package)))
    }
}
