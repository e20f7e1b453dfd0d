//! The JSON of the API's answers (server-api §2; client-protocol §4.6). Pure. No other module of the API builds JSON.

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

/// A time in ISO 8601, in UTC.
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
        // Clients that print a table expect a string.
        "description": about.description.as_deref().unwrap_or_default(),
        "licenses": about.licenses,
        "links": about.links,
        "maintainers": about.maintainers,
        "extra": about.extra,
    })
}

/// The version requirement to recommend for a package: `~> 1.2`, `~> 0.3.1`, `~> 1.0.0-rc.1`.
fn requirement(version: &str) -> String {
    let short = match version.rsplit_once('.') {
        Some((short, _)) if !version.contains('-') && !version.starts_with("0.") => short,
        _ => version,
    };
    format!("~> {short}")
}

/// The dependency lines to copy into a project, for a version and its application.
fn configs(source: DependencySource<'_>, name: &str, release: Option<(&str, &str)>) -> Value {
    // The name of the application comes from the package and is copied into projects, so it is checked.
    let release = release.map(|(version, app)| (version, if is_app(app) { app } else { name }));
    let Some((version, app)) = release else { return json!({"mix.exs": "", "rebar.config": "", "erlang.mk": ""}) };
    let source = match source {
        DependencySource::Default => String::new(),
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
        // These two use the package name, whatever the application is called.
        "erlang.mk": format!("dep_{name} = hex {version}"),
        "gleam.toml": format!("{name} = \"{version}\""),
    })
}

/// The repository in whose name a package is shown: the requested one, if it contains the package's own repository.
#[derive(Clone, Debug)]
struct PackageRepository<'a> {
    /// The URLs of its packages.
    shop: RepositoryUrls,
    /// How a project's dependency refers to the repository.
    source: DependencySource<'a>,
    /// The name that clients use.
    name: &'a str,
    /// Whether the package is private.
    is_private: bool,
    /// The repository in whose name the package is shown.
    shown: &'a Repository,
    /// The repository that owns the package.
    owner: &'a Repository,
}

impl<'a> PackageRepository<'a> {
    /// `asked` is the requested repository, `owner` the one that has the package. `None` if no URL leads to the
    /// package.
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

    /// Whether this repository also serves the packages of the repository with this key or name.
    fn has(&self, repository: &str) -> bool {
        let is_called = |one: &Repository| one.key().as_str() == repository || one.name().as_str() == repository;
        let is_below =
            |composed: &Arc<VirtualRepository>| repository.parse().is_ok_and(|key| composed.has_member(&key));
        is_called(self.shown) || is_called(self.owner) || self.shown.as_virtual().is_some_and(is_below)
    }

    /// The dependencies of a release, by package. A dependency in another repository includes that repository.
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

/// Adds a field to an object.
fn with(mut value: Value, field: &str, more: impl Into<Value>) -> Value {
    if let Value::Object(map) = &mut value {
        map.insert(field.to_owned(), more.into());
    }
    value
}

/// Adds a field if there is a value: rebar3 fails on null, and clients do not print a missing date.
fn with_some(value: Value, field: &str, more: Option<impl Into<Value>>) -> Value {
    match more {
        Some(more) => with(value, field, more),
        None => value,
    }
}

/// A user who performed an action, with the URL of the account if the caller may see it.
pub(super) fn actor(name: &str, url: Option<String>) -> Value {
    with_some(json!({"username": name}), "url", url)
}

/// An entry of the audit log.
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
