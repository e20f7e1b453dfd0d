//! What a credential is good for: the permission domains of Hex (server-api §5.4), with their two spellings. Pure.

// Each match says what a permission means there: a new one has to be decided in all of them.
#![warn(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;
use std::fmt;

use super::patterns::PatternSet;
use crate::hex::invalid::Invalid;
use crate::hex::name::{PackageName, RepoName};

/// Permissions of one credential.
const MOST: usize = 100;

/// The repository that a package's bare name means, as with hex.pm.
const BARE: &str = "hexpm";

/// One permission of a credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// `api`: everything on the API, keys included.
    Api,
    /// `api` + `read`
    ApiRead,
    /// `api` + `write`: change packages, owners and members. It reads on the API, as clients that ask for nothing else
    /// (gleam) look there who they are, and it makes and revokes no key.
    ApiWrite,
    /// `package`: owners' writes on all packages, or on one, written `REPOSITORY/NAME`.
    Package(Option<String>),
    /// `repository`: fetch from one repository (or an organization's); behind a slash a pattern of package names.
    Repository(String),
    /// `repositories`: fetch from all that the owner may read.
    Repositories,
    /// `docs`: fetch docs of one organization.
    Docs(String),
    /// `policy` + `write`: pin releases and waive policies. Administrators alone give it.
    PolicyWrite,
}

impl Permission {
    /// Reads what a key is made with, `{domain, resource}`; the error says what is wrong.
    pub fn from_pair(domain: &str, resource: Option<&str>) -> Result<Self, &'static str> {
        const RESOURCE: &str = "invalid resource for given domain";
        match (domain, resource) {
            ("api", None) => Ok(Self::Api),
            ("api", Some("read")) => Ok(Self::ApiRead),
            ("api", Some("write")) => Ok(Self::ApiWrite),
            ("package", None) => Ok(Self::Package(None)),
            ("package", Some(resource)) => {
                let (repository, package) = resource.split_once('/').unwrap_or((BARE, resource));
                let is_one = RepoName::is_valid(repository) && PackageName::is_valid(package);
                is_one.then(|| Self::Package(Some(format!("{repository}/{package}")))).ok_or(RESOURCE)
            }
            ("repository", Some(resource)) => {
                let (repository, pattern) = resource.split_once('/').unwrap_or((resource, "*"));
                let is_one = RepoName::is_valid(repository) && PatternSet::is_pattern(pattern);
                is_one.then(|| Self::Repository(resource.to_owned())).ok_or(RESOURCE)
            }
            ("repositories", None) => Ok(Self::Repositories),
            ("docs", Some(resource)) if RepoName::is_valid(resource) => Ok(Self::Docs(resource.to_owned())),
            ("policy", Some("write")) => Ok(Self::PolicyWrite),
            ("api" | "repository" | "repositories" | "docs" | "policy", _) => Err(RESOURCE),
            _ => Err("unknown domain"),
        }
    }

    /// What a key is made with.
    pub fn pair(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Api => ("api", None),
            Self::ApiRead => ("api", Some("read")),
            Self::ApiWrite => ("api", Some("write")),
            Self::Package(resource) => ("package", resource.as_deref()),
            Self::Repository(resource) => ("repository", Some(resource)),
            Self::Repositories => ("repositories", None),
            Self::Docs(resource) => ("docs", Some(resource)),
            Self::PolicyWrite => ("policy", Some("write")),
        }
    }

    /// Whether whoever holds `self` could do all that `other` allows.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Api, Self::Api | Self::ApiWrite | Self::ApiRead | Self::Package(_))
            | (Self::ApiWrite, Self::ApiRead | Self::Package(_))
            | (Self::ApiRead | Self::Package(_), Self::ApiRead)
            | (Self::Package(None), Self::Package(_))
            | (Self::Repositories, Self::Repository(_)) => true,
            (Self::Repository(ours), Self::Repository(theirs)) => {
                ours == theirs || theirs.split_once('/').is_some_and(|(repository, _)| repository == ours)
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Permission {
    /// As a word of an OAuth scope: `api`, `api:read`, `package:acme/web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pair() {
            (domain, None) => f.write_str(domain),
            (domain, Some(resource)) => write!(f, "{domain}:{resource}"),
        }
    }
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

    /// Reads the permissions that a new key is to have; none given are `api`, as with hex.pm.
    pub fn from_pairs<'a>(
        pairs: Option<impl IntoIterator<Item = (&'a str, Option<&'a str>)>>,
    ) -> Result<Self, Invalid> {
        let Some(pairs) = pairs else { return Ok(Self::of([Permission::Api])) };
        let mut set = BTreeSet::new();
        for (at, (domain, resource)) in pairs.into_iter().enumerate() {
            if at == MOST {
                return Err(Invalid::of("permissions", format!("a key has at most {MOST} permissions")));
            }
            set.insert(Permission::from_pair(domain, resource).map_err(|fault| Invalid::of("permissions", fault))?);
        }
        if set.is_empty() {
            return Err(Invalid::of("permissions", "can't be blank"));
        }
        Ok(Self { everything: false, set })
    }

    /// Reads an OAuth scope, words with spaces between; `None` where a word is none of ours.
    pub fn from_scope(scope: &str) -> Option<Self> {
        let mut set = BTreeSet::new();
        for word in scope.split(' ').filter(|word| !word.is_empty()) {
            let (domain, resource) = word.split_once(':').map_or((word, None), |(domain, rest)| (domain, Some(rest)));
            set.insert(Permission::from_pair(domain, resource).ok()?);
        }
        (set.len() <= MOST).then_some(Self { everything: false, set })
    }

    /// As an OAuth scope.
    pub fn scope(&self) -> String {
        self.set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// As it is stored with a key: `[{"domain": …, "resource": …}]`.
    pub fn to_json(&self) -> String {
        let pairs = self.set.iter().map(|permission| {
            let (domain, resource) = permission.pair();
            serde_json::json!({"domain": domain, "resource": resource})
        });
        serde_json::Value::Array(pairs.collect()).to_string()
    }

    /// Reads what [`Permissions::to_json`] wrote. What it cannot read allows nothing.
    pub fn from_json(text: &str) -> Self {
        let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        let text = |value: &'_ serde_json::Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        Self::of(list.iter().filter_map(|value| {
            Permission::from_pair(&text(value, "domain")?, text(value, "resource").as_deref()).ok()
        }))
    }

    /// Each of them; none for a password.
    pub fn iter(&self) -> impl Iterator<Item = &Permission> {
        self.set.iter()
    }

    /// Whether it allows nothing at all.
    pub fn is_empty(&self) -> bool {
        !self.everything && self.set.is_empty()
    }

    /// Whether it is whatever the account may do.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether the API may be read.
    pub fn api_read(&self) -> bool {
        use Permission::{Api, ApiRead, ApiWrite, Package};
        self.any(|permission| matches!(permission, Api | ApiRead | ApiWrite | Package(_)))
    }

    /// Whether the API may be written to, whatever it is about.
    pub fn api_write(&self) -> bool {
        self.any(|permission| matches!(permission, Permission::Api | Permission::ApiWrite))
    }

    /// Whether everything on the API may be done: keys made and revoked, and orders given where the account is an
    /// administrator's.
    pub fn whole_api(&self) -> bool {
        self.any(|permission| matches!(permission, Permission::Api))
    }

    /// Whether a package may be written to. One that does not exist yet is not made with a permission for it alone.
    pub fn package(&self, repository: &str, organization: Option<&str>, name: &str, exists: bool) -> bool {
        let is_it = |resource: &str| {
            resource
                .split_once('/')
                .is_some_and(|(place, package)| package == name && (place == repository || Some(place) == organization))
        };
        self.api_write()
            || self.any(|permission| match permission {
                Permission::Package(None) => true,
                Permission::Package(Some(resource)) => exists && is_it(resource),
                Permission::Api
                | Permission::ApiRead
                | Permission::ApiWrite
                | Permission::Repository(_)
                | Permission::Repositories
                | Permission::Docs(_)
                | Permission::PolicyWrite => false,
            })
    }

    /// What may be fetched from a repository, by its key or its organization's name; `None`: nothing.
    pub fn repository(&self, key: &str, organization: Option<&str>) -> Option<PatternSet> {
        if self.any(|permission| *permission == Permission::Repositories) {
            return Some(PatternSet::everything());
        }
        let patterns: BTreeSet<String> = self
            .set
            .iter()
            .filter_map(|permission| match permission {
                Permission::Repository(resource) => Some(resource.split_once('/').unwrap_or((resource, "*"))),
                Permission::Api
                | Permission::ApiRead
                | Permission::ApiWrite
                | Permission::Package(_)
                | Permission::Repositories
                | Permission::Docs(_)
                | Permission::PolicyWrite => None,
            })
            .filter(|(place, _)| *place == key || Some(*place) == organization)
            .map(|(_, pattern)| pattern.to_owned())
            .collect();
        (!patterns.is_empty()).then(|| PatternSet::of(patterns))
    }

    /// Whether docs may be fetched with a permission for docs alone.
    pub fn docs(&self, key: &str, organization: Option<&str>) -> bool {
        self.any(|permission| match permission {
            Permission::Docs(place) => place == key || Some(place.as_str()) == organization,
            Permission::Api
            | Permission::ApiRead
            | Permission::ApiWrite
            | Permission::Package(_)
            | Permission::Repository(_)
            | Permission::Repositories
            | Permission::PolicyWrite => false,
        })
    }

    /// Whether releases may be pinned and policies waived with it: no account has that by itself, so a password does not.
    pub fn policy_write(&self) -> bool {
        self.set.contains(&Permission::PolicyWrite)
    }

    /// The others.
    pub fn without_policy_write(&self) -> Self {
        let others = self.set.iter().filter(|permission| **permission != Permission::PolicyWrite);
        Self { everything: self.everything, set: others.cloned().collect() }
    }

    /// Whether this allows all that `other` does.
    pub fn covers(&self, other: &Self) -> bool {
        self.everything
            || !other.everything && other.set.iter().all(|theirs| self.set.iter().any(|ours| ours.covers(theirs)))
    }

    /// Whether a credential with these may make a key with `other`. Only a password and `api` make keys. Beyond what
    /// [`Permissions::covers`] says, `api` makes keys that fetch: the log-in of rebar3, and of mix before 2.4, does just
    /// that.
    pub fn may_mint(&self, other: &Self) -> bool {
        use Permission::{Docs, Repositories, Repository};
        let fetches = |permission: &Permission| matches!(permission, Repository(_) | Repositories | Docs(_));
        let covered = |theirs: &Permission| self.set.iter().any(|ours| ours.covers(theirs));
        self.everything
            || self.whole_api()
                && !other.everything
                && other.set.iter().all(|theirs| fetches(theirs) || covered(theirs))
    }

    /// The same rights without those that others of them cover: `api api:read` is `api`.
    pub fn least(&self) -> Self {
        let covered = |one: &Permission| self.set.iter().any(|other| other != one && other.covers(one));
        Self { everything: self.everything, set: self.set.iter().filter(|one| !covered(one)).cloned().collect() }
    }

    /// Faults of permissions that name what `reachable` denies, in hex.pm's words.
    pub fn without_access(&self, reachable: impl Fn(&Permission) -> bool) -> Invalid {
        let mut found = Invalid::default();
        for permission in self.set.iter().filter(|permission| permission.pair().1.is_some() && !reachable(permission)) {
            match permission {
                Permission::Package(_) => found.push(&["permissions"], "you do not have access to this package"),
                Permission::Repository(_) | Permission::Docs(_) => {
                    found.push(&["permissions"], "you do not have access to this repository");
                }
                Permission::Api
                | Permission::ApiRead
                | Permission::ApiWrite
                | Permission::Repositories
                | Permission::PolicyWrite => {}
            }
        }
        found
    }

    fn any(&self, holds: impl Fn(&Permission) -> bool) -> bool {
        self.everything || self.set.iter().any(holds)
    }
}

#[cfg(test)]
mod tests;
