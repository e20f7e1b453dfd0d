//! Permissions of credentials: the permission domains of Hex (server-api §5.4), in both notations. Pure.

// Each match is exhaustive, so that a new permission needs a decision in all of them.
#![warn(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;
use std::fmt;

use super::patterns::PatternSet;
use crate::hex::invalid::Invalid;
use crate::hex::name::{PackageName, RepoName};

/// The largest number of permissions of one credential.
const MOST: usize = 100;

/// The repository of a package name without a repository, as on hex.pm.
const BARE: &str = "hexpm";

/// One permission of a credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// `api`: full access to the API, including keys.
    Api,
    /// `api` + `read`
    ApiRead,
    /// `api` + `write`: change packages, owners and members. It includes reading the API, since clients that only
    /// request this (gleam) look up their user there. It cannot create or revoke keys.
    ApiWrite,
    /// `package`: the writes of an owner on all packages, or on one, written `REPOSITORY/NAME`.
    Package(Option<String>),
    /// `repository`: download from one repository (or an organization's); after a slash, a pattern of package names.
    Repository(String),
    /// `repositories`: download from every repository that the owner may read.
    Repositories,
    /// `docs`: download the documentation of one organization.
    Docs(String),
    /// `policy` + `write`: pin releases and waive policies. Only administrators grant it.
    PolicyWrite,
}

impl Permission {
    /// Parses a permission of a new key, `{domain, resource}`; the error says what is wrong.
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

    /// The permission as it is given when a key is created.
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

    /// Whether `self` allows everything that `other` allows.
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
    /// The permission as a word of an OAuth scope: `api`, `api:read`, `package:acme/web`.
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
    /// A password, which has all permissions of its user.
    everything: bool,
    set: BTreeSet<Permission>,
}

impl Permissions {
    /// All permissions of the account.
    pub fn everything() -> Self {
        Self { everything: true, set: BTreeSet::new() }
    }

    /// Exactly these permissions.
    pub fn of(set: impl IntoIterator<Item = Permission>) -> Self {
        Self { everything: false, set: set.into_iter().collect() }
    }

    /// Parses the permissions of a new key. Without any, the key gets `api`, as on hex.pm.
    pub fn from_pairs<'a>(
        pairs: Option<impl IntoIterator<Item = (&'a str, Option<&'a str>)>>,
    ) -> Result<Self, Invalid> {
        let Some(pairs) = pairs else { return Ok(Self::of([Permission::Api])) };
        let mut set = BTreeSet::new();
        for (at, (domain, resource)) in pairs.into_iter().enumerate() {
            if at == MOST {
                return Err(Invalid::of("permissions", format!("a key can have at most {MOST} permissions")));
            }
            set.insert(Permission::from_pair(domain, resource).map_err(|fault| Invalid::of("permissions", fault))?);
        }
        if set.is_empty() {
            return Err(Invalid::of("permissions", "can't be blank"));
        }
        Ok(Self { everything: false, set })
    }

    /// Parses an OAuth scope, words separated by spaces; `None` if a word is unknown.
    pub fn from_scope(scope: &str) -> Option<Self> {
        let mut set = BTreeSet::new();
        for word in scope.split(' ').filter(|word| !word.is_empty()) {
            let (domain, resource) = word.split_once(':').map_or((word, None), |(domain, rest)| (domain, Some(rest)));
            set.insert(Permission::from_pair(domain, resource).ok()?);
        }
        (set.len() <= MOST).then_some(Self { everything: false, set })
    }

    /// The permissions as an OAuth scope.
    pub fn scope(&self) -> String {
        self.set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The JSON that is stored with a key: `[{"domain": …, "resource": …}]`.
    pub fn to_json(&self) -> String {
        let pairs = self.set.iter().map(|permission| {
            let (domain, resource) = permission.pair();
            serde_json::json!({"domain": domain, "resource": resource})
        });
        serde_json::Value::Array(pairs.collect()).to_string()
    }

    /// Parses the output of [`Permissions::to_json`]. Unknown permissions allow nothing.
    pub fn from_json(text: &str) -> Self {
        let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        let text = |value: &'_ serde_json::Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        Self::of(list.iter().filter_map(|value| {
            Permission::from_pair(&text(value, "domain")?, text(value, "resource").as_deref()).ok()
        }))
    }

    /// The single permissions; none for a password.
    pub fn iter(&self) -> impl Iterator<Item = &Permission> {
        self.set.iter()
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        !self.everything && self.set.is_empty()
    }

    /// Whether these are all permissions of the account.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether reading the API is allowed.
    pub fn api_read(&self) -> bool {
        use Permission::{Api, ApiRead, ApiWrite, Package};
        self.any(|permission| matches!(permission, Api | ApiRead | ApiWrite | Package(_)))
    }

    /// Whether every kind of write on the API is allowed.
    pub fn api_write(&self) -> bool {
        self.any(|permission| matches!(permission, Permission::Api | Permission::ApiWrite))
    }

    /// Whether full access to the API is allowed: creating and revoking keys and, for administrators, running
    /// administrative commands.
    pub fn whole_api(&self) -> bool {
        self.any(|permission| matches!(permission, Permission::Api))
    }

    /// Whether writing to a package is allowed. A permission for one package does not allow its creation.
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

    /// The packages that may be downloaded from a repository, given by its key or its organization's name; `None` for
    /// nothing.
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

    /// Whether a permission for documentation allows downloading the documentation.
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

    /// Whether pinning releases and waiving policies is allowed. No account has this permission by default, so
    /// passwords do not have it.
    pub fn policy_write(&self) -> bool {
        self.set.contains(&Permission::PolicyWrite)
    }

    /// All permissions except `policy:write`.
    pub fn without_policy_write(&self) -> Self {
        let others = self.set.iter().filter(|permission| **permission != Permission::PolicyWrite);
        Self { everything: self.everything, set: others.cloned().collect() }
    }

    /// Whether this allows everything that `other` allows.
    pub fn covers(&self, other: &Self) -> bool {
        self.everything
            || !other.everything && other.set.iter().all(|theirs| self.set.iter().any(|ours| ours.covers(theirs)))
    }

    /// Whether a credential with these permissions may create a key with `other`. Only passwords and `api` create keys.
    /// Beyond [`Permissions::covers`], `api` may create keys that download, because the login of rebar3 and of mix
    /// before 2.4 does so.
    pub fn may_create_key_with(&self, other: &Self) -> bool {
        use Permission::{Docs, Repositories, Repository};
        let fetches = |permission: &Permission| matches!(permission, Repository(_) | Repositories | Docs(_));
        let covered = |theirs: &Permission| self.set.iter().any(|ours| ours.covers(theirs));
        self.everything
            || self.whole_api()
                && !other.everything
                && other.set.iter().all(|theirs| fetches(theirs) || covered(theirs))
    }

    /// The same permissions without redundant ones: `api api:read` becomes `api`.
    pub fn least(&self) -> Self {
        let covered = |one: &Permission| self.set.iter().any(|other| other != one && other.covers(one));
        Self { everything: self.everything, set: self.set.iter().filter(|one| !covered(one)).cloned().collect() }
    }

    /// The validation errors of permissions for which `reachable` is false, with the texts of hex.pm.
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
