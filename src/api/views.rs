//! Values as the API shows them (server-api §2; client-protocol §4.6). Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::places::{Places, Shop, Source};
use crate::auth::{Key, LastUse, Member, Organization, OwnerLevel, Permissions, Principal, Proof, User};
use crate::clock::Timestamp;
use crate::hex::metadata::is_app;
use crate::hex::version::ReleaseVersion;
use crate::repository::Repository;
use crate::repository::local::{About, Package, Release, Requirement, Retirement};
use crate::state::audit::Entry;

/// A time as ISO 8601 has it, in UTC.
pub(super) fn time(time: Timestamp) -> String {
    time.to_micros()
}

pub(super) fn retirement(retirement: Option<&Retirement>) -> Value {
    match retirement {
        None => Value::Null,
        Some(retirement) => json!({"reason": retirement.reason.as_str(), "message": retirement.message}),
    }
}

/// The newest release, and the newest that is no pre-release, of releases that come newest first.
fn latest(package: &Package) -> (Option<&Release>, Option<&Release>) {
    let stable = |release: &&Release| {
        release.listed.version.parse::<ReleaseVersion>().is_ok_and(|version| !version.is_pre_release())
    };
    (package.releases.first(), package.releases.iter().find(stable))
}

pub(super) fn meta(about: &About) -> Value {
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
pub(super) fn configs(source: Source<'_>, name: &str, release: Option<(&str, &str)>) -> Value {
    // What a package from elsewhere calls itself is copied into projects.
    let release = release.map(|(version, app)| (version, if is_app(app) { app } else { name }));
    let Some((version, app)) = release else { return json!({"mix.exs": "", "rebar.config": "", "erlang.mk": ""}) };
    let source = match source {
        Source::Usual => String::new(),
        Source::Organization(key) => format!(", organization: \"{key}\""),
        Source::Repository(name) => format!(", repo: \"{name}\""),
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
pub(super) struct Shelf<'a> {
    /// Where its packages are found.
    pub(super) shop: Shop,
    /// How a project says that a package is from here.
    pub(super) source: Source<'a>,
    /// What clients call it.
    pub(super) name: &'a str,
    /// Whether the package is not for everybody.
    pub(super) is_private: bool,
    /// The organization of the repository that has it.
    pub(super) organization: Option<&'a str>,
}

impl<'a> Shelf<'a> {
    /// `asked`: the repository asked about; `owner`: the one that has the package. `None` where no address leads there.
    pub(super) fn of(places: Places<'a>, asked: &'a Repository, owner: &'a Repository) -> Option<Self> {
        let shown = if asked.as_virtual().is_some() { asked } else { owner };
        Some(Self {
            shop: places.of(owner)?,
            source: places.source(shown),
            name: shown.name().as_str(),
            is_private: !owner.access().is_open(),
            organization: owner.access().organization(),
        })
    }
}

/// A package, without its owners.
pub(super) fn package(shelf: &Shelf<'_>, package: &Package) -> Value {
    let (shop, name) = (&shelf.shop, package.name.as_str());
    let (newest, stable) = latest(package);
    let shown = stable.or(newest);
    let releases: Vec<Value> = package
        .releases
        .iter()
        .map(|release| {
            let version = release.listed.version.as_str();
            json!({
                "version": version,
                "url": shop.release(name, version),
                "has_docs": release.listed.docs.is_some(),
                "inserted_at": time(release.listed.inserted_at),
            })
        })
        .collect();
    let retired = package.releases.iter().filter(|release| release.listed.retirement.is_some());
    let retirements: Map<String, Value> = retired
        .map(|release| (release.listed.version.clone(), retirement(release.listed.retirement.as_ref())))
        .collect();
    let with_docs = package.releases.iter().find(|release| release.listed.docs.is_some());
    json!({
        "name": name,
        "repository": shelf.name,
        "private": shelf.is_private,
        "url": shop.package(name),
        "html_url": shop.package(name),
        "docs_html_url": with_docs.and_then(|release| shop.docs(name, &release.listed.version)),
        "inserted_at": time(package.inserted_at),
        "updated_at": time(package.updated_at),
        "latest_version": newest.map(|release| release.listed.version.as_str()),
        "latest_stable_version": stable.map(|release| release.listed.version.as_str()),
        "configs": configs(shelf.source, name, shown.map(version_and_app)),
        "meta": shown.map_or_else(|| meta(&About::default()), |release| meta(&release.about)),
        "releases": releases,
        "retirements": retirements,
        // Nobody counts them here; clients want the map.
        "downloads": {},
    })
}

/// Who owns a package. One without a user as its owner is the organization's of its repository, whose members have rights
/// by their roles in any case.
pub(super) fn owners(organization: Option<&str>, package: &Package) -> BTreeMap<String, OwnerLevel> {
    let mut owners = package.owners.clone();
    if let (true, Some(organization)) = (owners.is_empty(), organization) {
        owners.insert(organization.to_owned(), OwnerLevel::Full);
    }
    owners
}

fn version_and_app(release: &Release) -> (&str, &str) {
    (release.listed.version.as_str(), release.about.app.as_str())
}

/// What a release depends on, by package.
pub(super) fn requirements(requirements: &[Requirement]) -> Map<String, Value> {
    let entry = |dependency: &Requirement| {
        let value = json!({
            "app": dependency.app,
            "requirement": dependency.requirement,
            "optional": dependency.optional,
            "repository": dependency.repository,
        });
        (dependency.package.clone(), value)
    };
    requirements.iter().map(entry).collect()
}

/// A user who did something, with the address where the account can be seen.
pub(super) fn somebody(name: &str, url: Option<String>) -> Value {
    let mut value = json!({"username": name});
    if let (Some(url), Value::Object(map)) = (url, &mut value) {
        map.insert("url".to_owned(), Value::String(url));
    }
    value
}

/// A release of a package; `publisher` as [`somebody`].
pub(super) fn release(shelf: &Shelf<'_>, name: &str, release: &Release, publisher: Option<Value>) -> Value {
    let (shop, version) = (&shelf.shop, release.listed.version.as_str());
    json!({
        "version": version,
        "checksum": release.listed.outer.to_string(),
        "inner_checksum": release.listed.inner.to_string(),
        "has_docs": release.listed.docs.is_some(),
        "url": shop.release(name, version),
        "html_url": shop.release(name, version),
        "package_url": shop.package(name),
        "docs_html_url": release.listed.docs.and_then(|_| shop.docs(name, version)),
        "inserted_at": time(release.listed.inserted_at),
        "updated_at": time(release.updated_at),
        "retirement": retirement(release.listed.retirement.as_ref()),
        "requirements": requirements(&release.requirements),
        "configs": configs(shelf.source, name, Some(version_and_app(release))),
        "meta": {
            "app": release.about.app,
            "build_tools": release.about.build_tools,
            "elixir": release.about.elixir,
        },
        "downloads": 0,
        "publisher": publisher,
        "security_advisories": [],
    })
}

/// A package that a user owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owned {
    /// Key of its repository.
    pub(super) repository: String,
    /// Its name.
    pub(super) name: String,
    /// Where it is found.
    pub(super) url: String,
}

/// A user, with the packages that the caller may see.
pub(super) fn user(places: Places<'_>, user: &User, packages: &[Owned]) -> Value {
    let owned: Vec<Value> = packages
        .iter()
        .map(|Owned { repository, name, url }| {
            json!({"name": name, "repository": repository, "url": url, "html_url": url})
        })
        .collect();
    let by_name: Map<String, Value> =
        packages.iter().map(|package| (package.name.clone(), Value::from(package.url.as_str()))).collect();
    let mut value = json!({
        "username": user.name,
        "handles": {},
        "url": places.user(&user.name),
        "inserted_at": time(user.created_at),
        "updated_at": time(user.updated_at),
        "packages": owned,
        "owned_packages": by_name,
    });
    // Left out where there is none: rebar3 ends with an error on null.
    if let (Value::Object(map), Some(name)) = (&mut value, &user.full_name) {
        map.insert("full_name".to_owned(), json!(name));
    }
    value
}

/// An organization.
pub(super) fn organization(organization: &Organization) -> Value {
    json!({
        "name": organization.name,
        // Nobody pays here, and there is room for everybody.
        "billing_active": true,
        "seats": null,
        "inserted_at": time(organization.created_at),
        "updated_at": time(organization.updated_at),
    })
}

/// A member of an organization.
pub(super) fn member(places: Places<'_>, member: &Member) -> Value {
    json!({
        "username": member.name,
        "url": places.user(&member.name),
        "role": member.role.as_str(),
    })
}

/// A key; its secret is shown once, when it is made.
pub(super) fn key(
    places: Places<'_>,
    key: &Key,
    organization: Option<&str>,
    caller: Option<&Principal>,
    secret: Option<&str>,
) -> Value {
    let permissions: Vec<Value> = Permissions::from_json(&key.permissions)
        .iter()
        .map(|permission| {
            let (domain, resource) = permission.pair();
            json!({"domain": domain, "resource": resource})
        })
        .collect();
    let authing = caller.is_some_and(|caller| matches!(caller.proof, Proof::Key { id, .. } if id == key.id));
    json!({
        "name": key.name,
        "secret": secret,
        "authing_key": authing,
        "permissions": permissions,
        "revoke_at": key.revoke_at.map(time),
        "revoked_at": key.revoked_at.map(time),
        "inserted_at": time(key.created_at),
        "updated_at": time(key.updated_at),
        "url": places.key(&key.name, organization),
        "last_use": key.last_use.as_ref().map(last_use),
    })
}

fn last_use(used: &LastUse) -> Value {
    json!({
        "used_at": time(used.at),
        "ip": used.address.map(|address| address.to_string()),
        "user_agent": used.agent,
    })
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

/// A repository.
pub(super) fn repository(places: Places<'_>, repository: &Repository) -> Value {
    let kind = match repository {
        Repository::Remote(_) => "remote",
        Repository::Local(_) => "local",
        Repository::Virtual(_) => "virtual",
    };
    json!({
        "name": repository.key().as_str(),
        "payload_name": repository.name().as_str(),
        "kind": kind,
        "public": repository.access().is_open(),
        "url": places.repository(repository),
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
