//! Values as the API shows them (server-api §2; client-protocol §4.6). Pure. Nowhere else in the API is JSON made.

mod accounts;
mod failure;
mod oauth;
mod package;
mod release;
mod server;
mod upstreams;

pub(super) use accounts::{
    OwnedPackage, bearer, key, member, member_user, organization, organization_with, own_user, owner, revoked, user,
};
pub(super) use failure::failure;
pub(super) use oauth::{device, refused, token};
pub(super) use package::package;
pub(super) use release::release;
pub(super) use server::{index, repository};
pub(super) use upstreams::user as upstream_user;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::urls::{DependencySource, RepositoryUrls, Urls};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::metadata::is_app;
use crate::repository::local::{ReleaseMetadata, Requirement, Retirement};
use crate::repository::{Repository, VirtualRepository};
use crate::state::audit::Entry;

/// A time as ISO 8601 has it, in UTC.
fn time(time: Timestamp) -> String {
    time.to_micros()
}

fn retirement(retirement: Option<&Retirement>) -> Value {
    match retirement {
        None => Value::Null,
        Some(retirement) => json!({"reason": retirement.reason.word(), "message": retirement.message}),
    }
}

fn meta(about: &ReleaseMetadata) -> Value {
    json!({
        // Clients that print a table take a text alone.
        "description": about.description.as_deref().unwrap_or_default(),
        "licenses": about.licenses,
        "links": about.links,
        "maintainers": about.maintainers,
        "extra": about.extra,
    })
}

/// How the version of a package is required by its users: `~> 1.2`, `~> 0.3.1`, `~> 1.0.0-rc.1`.
fn requirement(version: &str) -> String {
    let short = match version.rsplit_once('.') {
        Some((short, _)) if !version.contains('-') && !version.starts_with("0.") => short,
        _ => version,
    };
    format!("~> {short}")
}

/// Lines to copy into a project, for a version and the application in it.
fn configs(source: DependencySource<'_>, name: &str, release: Option<(&str, &str)>) -> Value {
    // What a package from elsewhere calls itself is copied into projects.
    let release = release.map(|(version, app)| (version, if is_app(app) { app } else { name }));
    let Some((version, app)) = release else { return json!({"mix.exs": "", "rebar.config": "", "erlang.mk": ""}) };
    let source = match source {
        DependencySource::Usual => String::new(),
        DependencySource::Organization(key) => format!(", organization: \"{key}\""),
        DependencySource::Repository(name) => format!(", repo: \"{name}\""),
    };
    let requirement = requirement(version);
    let (mix, rebar) = if app == name {
        (format!("{{:{name}, \"{requirement}\"{source}}}"), format!("{{{name}, \"{version}\"}}"))
    } else {
        let mix = format!("{{:{app}, \"{requirement}\", hex: :{name}{source}}}");
        (mix, format!("{{{app}, \"{version}\", {{pkg, {name}}}}}"))
    };
    json!({
        "mix.exs": mix,
        "rebar.config": rebar,
        // These two know packages alone, whatever the application is called.
        "erlang.mk": format!("dep_{name} = hex {version}"),
        "gleam.toml": format!("{name} = \"{version}\""),
    })
}

/// The repository as whose a package is shown: the one that was asked about, where that has it from another.
#[derive(Clone, Debug)]
struct PackageRepository<'a> {
    /// Where its packages are found.
    shop: RepositoryUrls,
    /// How a project says that a package is from here.
    source: DependencySource<'a>,
    /// What clients call it.
    name: &'a str,
    /// Whether the package is not for everybody.
    is_private: bool,
    /// As whose the package is shown.
    shown: &'a Repository,
    /// Whose it is.
    owner: &'a Repository,
}

impl<'a> PackageRepository<'a> {
    /// `asked`: the repository asked about; `owner`: the one that has the package. `None` where no address leads there.
    fn of(places: Urls<'a>, asked: &'a Repository, owner: &'a Repository) -> Option<Self> {
        let shown = if asked.as_virtual().is_some() { asked } else { owner };
        Some(Self {
            shop: places.of(owner)?,
            source: places.source(shown),
            name: shown.name().as_str(),
            is_private: !owner.access().is_open(),
            shown,
            owner,
        })
    }

    /// Whether readers find here what lives in the repository of this key or name.
    fn has(&self, repository: &str) -> bool {
        let is_called = |one: &Repository| one.key().as_str() == repository || one.name().as_str() == repository;
        let is_below =
            |composed: &Arc<VirtualRepository>| repository.parse().is_ok_and(|key| composed.has_member(&key));
        is_called(self.shown) || is_called(self.owner) || self.shown.as_virtual().is_some_and(is_below)
    }

    /// What a release depends on, by package. A dependency names its repository where that is another one.
    fn requirements(&self, requirements: &[Requirement]) -> Map<String, Value> {
        let entry = |dependency: &Requirement| {
            let value = json!({
                "app": dependency.app,
                "requirement": dependency.requirement,
                "optional": dependency.optional,
            });
            let value = match dependency.repository.as_str() {
                own if self.has(own) => value,
                other => with(value, "repository", other),
            };
            (dependency.package.clone(), value)
        };
        requirements.iter().map(entry).collect()
    }
}

/// Adds a field to a value that has some.
fn with(mut value: Value, field: &str, more: impl Into<Value>) -> Value {
    if let Value::Object(map) = &mut value {
        map.insert(field.to_owned(), more.into());
    }
    value
}

/// Adds a field where there is something for it: rebar3 ends with an error on null, and clients print no date that is left
/// out.
fn with_some(value: Value, field: &str, more: Option<impl Into<Value>>) -> Value {
    match more {
        Some(more) => with(value, field, more),
        None => value,
    }
}

/// A user who did something, with the address where the account can be seen.
pub(super) fn somebody(name: &str, url: Option<String>) -> Value {
    with_some(json!({"username": name}), "url", url)
}

/// A line of the audit log.
pub(super) fn audit(entry: &Entry) -> Value {
    json!({
        "action": entry.action,
        "user_agent": entry.by.agent,
        "params": {
            "repository": (!entry.repository.is_empty()).then_some(&entry.repository),
            "package": entry.package,
            "version": entry.version,
            "subject": entry.subject,
            "detail": entry.detail,
        },
        "inserted_at": time(entry.at),
        "actor": entry.by.actor,
        "credential": entry.by.credential,
        "ip": entry.by.address.map(|address| address.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_hex_pms() {
        for (version, expected) in
            [("1.2.3", "~> 1.2"), ("0.3.1", "~> 0.3.1"), ("1.2.3-rc.1", "~> 1.2.3-rc.1"), ("10.0.0", "~> 10.0")]
        {
            assert_eq!(requirement(version), expected);
        }
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(time(Timestamp::from_millis(1_700_000_000_123)), "2023-11-14T22:13:20.123000Z");
    }
}
