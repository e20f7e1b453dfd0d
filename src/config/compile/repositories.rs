//! Reads the section `repositories`, and checks references between repositories.

use std::collections::{BTreeMap, BTreeSet};

use super::patterns::{everything, included, nothing, patterns};
use super::virtuals::Unresolved;
use super::{Context, hexpm, local, remote, virtuals};
use crate::choice::{Choice as _, choice};
use crate::config::fault::Fault;
use crate::config::fields::{Field, Section};
use crate::config::problem::Excerpt;
use crate::config::settings::{CommonSettings, RepositorySettings, VirtualSettings};
use crate::hex::name::{PAGES, RepoName};

/// Values that must be compared between repositories.
#[derive(Debug, Default)]
struct Surroundings {
    /// Each host, with the path of its list item.
    hosts: BTreeMap<String, String>,
    /// Names of all repositories by key, including those with problems.
    names: BTreeMap<RepoName, RepoName>,
    /// Repositories with the key `direct`.
    direct: BTreeSet<RepoName>,
}

choice! {
    enum Kind {
        Remote = "remote",
        Local = "local",
        Virtual = "virtual",
    }
}

impl Kind {
    /// Keys of this type that not all types have.
    fn own(self) -> &'static [&'static str] {
        match self {
            Self::Remote => remote::OWN,
            Self::Local => local::OWN,
            Self::Virtual => virtuals::OWN,
        }
    }
}

/// Reports a fault at a key that was read before.
fn fault_below(field: &Field<'_>, key: &str, fault: Fault) {
    let entry = field.entries().and_then(|entries| entries.iter().find(|entry| entry.key == key));
    match entry {
        Some(entry) => field.child(entry).fault_at_key(fault),
        None => field.fault_at_key(fault),
    }
}

/// Reads all repositories of `top`. `default` is the key of the default repository.
pub(super) fn read(
    top: &mut Section<'_>,
    default: &RepoName,
    context: Context<'_>,
) -> BTreeMap<RepoName, RepositorySettings> {
    let mut found = BTreeMap::new();
    let Some(field) = top.field("repositories") else { return found };
    let Some(entries) = field.entries() else { return found };
    if entries.is_empty() {
        field.fault(Fault::NoRepositories);
        return found;
    }
    let mut around = Surroundings::default();
    let mut keys: Vec<(RepoName, Field<'_>)> = Vec::new();
    let mut virtuals = Vec::new();
    for entry in entries {
        let child = field.child(entry);
        match entry.key.parse::<RepoName>() {
            Ok(key) if key.as_str() == PAGES => child.fault_at_key(Fault::KeptKey(PAGES)),
            Ok(key) => {
                if let Some(settings) = repository(&child, &key, &mut around, &mut virtuals, context) {
                    found.insert(key.clone(), settings);
                }
                keys.push((key, child));
            }
            Err(error) => child.fault_at_key(Fault::Name(error)),
        }
    }
    if !keys.iter().any(|(key, _)| key == default) {
        let known = keys.iter().map(|(key, _)| key.to_string()).collect();
        top.fault("default_repository", Fault::DefaultRepository { name: Excerpt::new(default.as_str()), known });
    }
    // Clients expect one repository with the name `hexpm`. If it is the default repository, it is also served at
    // `/repos/hexpm`.
    let hexpm = hexpm();
    if *default != hexpm && around.names.get(default) == Some(&hexpm) {
        for (_, child) in keys.iter().filter(|(key, _)| *key == hexpm) {
            child.fault_at_key(Fault::HexpmTaken { default: default.to_string() });
        }
    }
    for (key, child) in &keys {
        if let Some(RepositorySettings::Local(local)) = found.get(key) {
            let is_unknown = |other: &&RepoName| !keys.iter().any(|(key, _)| key == *other);
            for other in local.allowed_dependency_repositories.iter().flatten().filter(is_unknown) {
                let fault = Fault::UnknownRepository(Excerpt::new(other.as_str()));
                fault_below(child, "allowed_dependency_repositories", fault);
            }
            for other in local.dependency_aliases.values().filter(is_unknown) {
                fault_below(child, "dependency_aliases", Fault::UnknownRepository(Excerpt::new(other.as_str())));
            }
        }
    }
    let known: BTreeSet<RepoName> = keys.iter().map(|(key, _)| key.clone()).collect();
    virtuals::resolve(&mut found, virtuals, &known);
    for (key, child) in &keys {
        relations(&mut found, key, child, &around, default);
    }
    found
}

/// Checks `publish_view`, and computes the default of `direct`, which both depend on virtual repositories.
fn relations(
    found: &mut BTreeMap<RepoName, RepositorySettings>,
    key: &RepoName,
    child: &Field<'_>,
    around: &Surroundings,
    default: &RepoName,
) {
    let above = |found: &BTreeMap<RepoName, RepositorySettings>, rule: &dyn Fn(&VirtualSettings) -> bool| {
        let mut virtuals = found.values().filter_map(RepositorySettings::as_virtual);
        virtuals.any(|one| one.members.iter().any(|member| member.repository == *key) && rule(one))
    };
    let closed = is_held_above(found, key);
    if let Some(RepositorySettings::Local(local)) = found.get(key)
        && let Some(view) = &local.publish_view
        && !above(found, &|one| one.common.key == *view)
        && let Some(mut section) = child.table()
        && let Some(field) = section.field("publish_view")
    {
        field.fault(Fault::PublishView(Excerpt::new(view.as_str())));
    }
    let Some(settings) = found.get_mut(key) else { return };
    if !around.direct.contains(key) {
        settings.common_mut().direct = !closed;
    }
    if settings.common().direct {
        return;
    }
    if key == default {
        child.fault_at_key(Fault::NotDirect { at: "as the default repository".to_owned() });
    } else if !settings.common().hosts.is_empty() {
        child.fault_at_key(Fault::NotDirect { at: "on its own hosts".to_owned() });
    }
}

/// Whether a virtual repository with a `policy` or a `reserve` contains a repository, directly or through other virtual
/// ones.
fn is_held_above(found: &BTreeMap<RepoName, RepositorySettings>, key: &RepoName) -> bool {
    let mut virtuals = found.values().filter_map(RepositorySettings::as_virtual).filter(|one| one.common.key != *key);
    virtuals.any(|one| {
        let is_member = one.members.iter().any(|member| member.repository == *key);
        is_member && (one.policy.is_some() || !one.reserve.is_empty() || is_held_above(found, &one.common.key))
    })
}

/// Reads one repository. Returns `None` after a problem that was reported, and for a virtual repository.
fn repository<'t>(
    field: &Field<'t>,
    key: &RepoName,
    around: &mut Surroundings,
    virtuals: &mut Vec<Unresolved<'t>>,
    context: Context<'_>,
) -> Option<RepositorySettings> {
    let mut section = field.table()?;
    let kind = section.require("type", Fault::MissingType, Field::choice::<Kind>);
    if kind.is_none() && section.has("type") {
        // Without the type, the other keys cannot be read.
        return None;
    }
    let name = section.get("name", key.clone(), Field::repo_name);
    around.names.insert(key.clone(), name.clone());
    let hosts = section.get("hosts", Vec::new(), |field| field.list(|item| host(item, &mut around.hosts)));
    let include = section.get("include", everything(), included);
    let exclude = section.get("exclude", nothing(), patterns);
    if section.has("direct") {
        around.direct.insert(key.clone());
    }
    // The default of `direct` is computed later, because it depends on other repositories; that of `anonymous_read`
    // depends on the type.
    let direct = section.get("direct", true, Field::boolean);
    let common = CommonSettings { key: key.clone(), name, hosts, direct, include, exclude, anonymous_read: false };
    let kind = kind.unwrap_or(Kind::Remote);
    let settings = match kind {
        Kind::Remote => {
            remote::remote(&mut section, common, context).map(|remote| RepositorySettings::Remote(Box::new(remote)))
        }
        Kind::Local => Some(RepositorySettings::Local(Box::new(local::local(&mut section, common)))),
        Kind::Virtual => {
            virtuals.push(virtuals::read(&mut section, common));
            None
        }
    };
    for other in Kind::ALL.iter().filter(|other| **other != kind).flat_map(|other| other.own()) {
        if section.has(other) && !kind.own().contains(other) {
            let belongs = Kind::ALL.iter().filter(|kind| kind.own().contains(other)).map(|kind| kind.word()).collect();
            section.refuse(other, Fault::OtherType { belongs, found: kind.word() });
        }
    }
    section.finish();
    settings
}

fn host(item: &Field<'_>, hosts: &mut BTreeMap<String, String>) -> Option<String> {
    let host = item.host()?;
    if let Some(first) = hosts.get(&host) {
        item.fault(Fault::DuplicateHost { host: Excerpt::new(&host), first: first.clone() });
        return None;
    }
    hosts.insert(host.clone(), item.path.clone());
    Some(host)
}
