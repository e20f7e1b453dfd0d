//! Reads a repository of type virtual.
//!
//! Its defaults depend on its members, so it is read in two steps: its keys first, and its settings after those of its
//! members.

use std::collections::{BTreeMap, BTreeSet};

use super::patterns::{everything, included, nothing, patterns};
use crate::config::fault::Fault;
use crate::config::fields::{Field, Section};
use crate::config::problem::Excerpt;
use crate::config::settings::{
    CommonSettings, MemberSettings, MergeMode, NamePatterns, OnMemberFailure, RepositorySettings, VirtualSettings,
};
use crate::config::tree::Value;
use crate::hex::name::{PolicyName, RepoName};

/// Keys of this type that not all types have.
pub(super) const OWN: &[&str] = &[
    "members",
    "merge",
    "merge_across",
    "reserve",
    "allow_shadow",
    "grants_read",
    "on_member_failure",
    "deploy_to",
    "policy",
];

type Found = BTreeMap<RepoName, RepositorySettings>;

/// The key of another repository, with its place in the configuration.
type Named<'t> = (RepoName, Field<'t>);

/// The keys of a virtual repository, before its defaults are computed.
#[derive(Debug)]
pub(super) struct Unresolved<'t> {
    common: CommonSettings,
    anonymous_read: Option<bool>,
    members: Vec<Member<'t>>,
    merge: MergeMode,
    merge_across: NamePatterns,
    reserve: NamePatterns,
    allow_shadow: NamePatterns,
    grants_read: Vec<Named<'t>>,
    on_member_failure: OnMemberFailure,
    deploy_to: Option<Named<'t>>,
    policy: Option<PolicyName>,
}

#[derive(Debug)]
struct Member<'t> {
    repository: RepoName,
    include: NamePatterns,
    exclude: NamePatterns,
    private: Option<bool>,
    field: Field<'t>,
}

/// Reads a repository whose common keys have been read.
pub(super) fn read<'t>(section: &mut Section<'t>, common: CommonSettings) -> Unresolved<'t> {
    let mut names = |key| section.get(key, nothing(), patterns);
    let (reserve, merge_across, allow_shadow) = (names("reserve"), names("merge_across"), names("allow_shadow"));
    let members = section.require("members", Fault::NoMembers, |field| {
        if field.is_empty_list() {
            field.fault(Fault::NoMembers);
        }
        field.list(member)
    });
    let merge = section.get("merge", MergeMode::Package, Field::choice);
    if merge == MergeMode::Package && !merge_across.is_empty() {
        section.fault("merge_across", Fault::MergeAcross);
    }
    let named = |field: &Field<'t>| Some((field.repo_name()?, field.clone()));
    Unresolved {
        common,
        anonymous_read: section.field("anonymous_read").and_then(|field| field.boolean()),
        members: members.unwrap_or_default(),
        merge,
        merge_across,
        reserve,
        allow_shadow,
        grants_read: section.get("grants_read", Vec::new(), |field| field.list(named)),
        on_member_failure: section.get("on_member_failure", OnMemberFailure::Fail, Field::choice),
        deploy_to: section.optional("deploy_to", named),
        policy: section.optional("policy", |field| field.check(field.text()?.parse().map_err(Fault::Name))),
    }
}

/// Reads a member: the key of a repository, or a table with more settings.
fn member<'t>(field: &Field<'t>) -> Option<Member<'t>> {
    if matches!(field.node.value, Value::Scalar { .. }) {
        let repository = field.repo_name()?;
        let (include, exclude) = (everything(), nothing());
        return Some(Member { repository, include, exclude, private: None, field: field.clone() });
    }
    let mut section = field.table()?;
    let repository = section.require("repository", Fault::MissingMember, Field::repo_name);
    let include = section.get("include", everything(), included);
    let exclude = section.get("exclude", nothing(), patterns);
    let private = section.field("private").and_then(|field| field.boolean());
    section.finish();
    Some(Member { repository: repository?, include, exclude, private, field: field.clone() })
}

/// Computes the settings of all virtual repositories, members before the repositories that contain them. `known` are
/// the keys of all repositories, including those with problems.
pub(super) fn resolve(found: &mut Found, mut unresolved: Vec<Unresolved<'_>>, known: &BTreeSet<RepoName>) {
    for one in &unresolved {
        check_members(one, known);
    }
    while !unresolved.is_empty() {
        let waiting: BTreeSet<RepoName> = unresolved.iter().map(|one| one.common.key.clone()).collect();
        let is_ready = |one: &Unresolved<'_>| {
            one.members
                .iter()
                .all(|member| member.repository == one.common.key || !waiting.contains(&member.repository))
        };
        let (ready, rest): (Vec<_>, Vec<_>) = unresolved.into_iter().partition(is_ready);
        if ready.is_empty() {
            report_cycle(&rest, &waiting);
            return;
        }
        for one in ready {
            let settings = settings(one, found);
            found.insert(settings.common.key.clone(), RepositorySettings::Virtual(Box::new(settings)));
        }
        unresolved = rest;
    }
}

fn check_members(one: &Unresolved<'_>, known: &BTreeSet<RepoName>) {
    let mut first: BTreeMap<&RepoName, &str> = BTreeMap::new();
    for member in &one.members {
        let fault = if member.repository == one.common.key {
            Fault::SelfMember
        } else if !known.contains(&member.repository) {
            Fault::UnknownRepository(Excerpt::new(member.repository.as_str()))
        } else if let Some(path) = first.get(&member.repository) {
            let path = (*path).to_owned();
            Fault::DuplicateMember { member: Excerpt::new(member.repository.as_str()), first: path }
        } else {
            first.insert(&member.repository, &member.field.path);
            continue;
        };
        member.field.fault(fault);
    }
    for (name, field) in &one.grants_read {
        if !one.members.iter().any(|member| member.repository == *name) {
            field.fault(Fault::NotAMember(Excerpt::new(name.as_str())));
        }
    }
}

/// Reports a cycle. Every remaining repository has a remaining repository as a member, so following them leads to a
/// cycle.
fn report_cycle(rest: &[Unresolved<'_>], waiting: &BTreeSet<RepoName>) {
    let Some(mut one) = rest.first() else { return };
    let mut path: Vec<&RepoName> = Vec::new();
    loop {
        if let Some(start) = path.iter().position(|key| **key == one.common.key) {
            let mut ring: Vec<String> = path.iter().skip(start).map(ToString::to_string).collect();
            ring.push(one.common.key.to_string());
            let next = ring.get(1).cloned().unwrap_or_default();
            if let Some(member) = one.members.iter().find(|member| member.repository.as_str() == next) {
                member.field.fault(Fault::MemberCycle { path: ring });
            }
            return;
        }
        path.push(&one.common.key);
        let next = one.members.iter().find(|member| waiting.contains(&member.repository));
        let next = next.and_then(|member| rest.iter().find(|other| other.common.key == member.repository));
        let Some(next) = next else { return };
        one = next;
    }
}

fn settings(one: Unresolved<'_>, found: &Found) -> VirtualSettings {
    let Unresolved { common, members, .. } = one;
    let open = members.iter().all(|member| match found.get(&member.repository) {
        Some(RepositorySettings::Remote(remote)) => remote.credentials.is_none() && remote.common.anonymous_read,
        Some(RepositorySettings::Virtual(composed)) => composed.common.anonymous_read,
        Some(RepositorySettings::Local(_)) | None => false,
    });
    if let Some((name, field)) = &one.deploy_to {
        let is_local = matches!(found.get(name), Some(RepositorySettings::Local(_)));
        if !is_local || !members.iter().any(|member| member.repository == *name) {
            field.fault(Fault::DeployTo(Excerpt::new(name.as_str())));
        }
    }
    let private = |member: &Member<'_>| match found.get(&member.repository) {
        Some(RepositorySettings::Local(_)) => true,
        Some(RepositorySettings::Remote(remote)) => remote.private,
        // Private members of a virtual repository stay private in repositories that contain it.
        Some(RepositorySettings::Virtual(_)) | None => false,
    };
    let members: Vec<MemberSettings> = members
        .into_iter()
        .map(|member| MemberSettings {
            private: member.private.unwrap_or_else(|| private(&member)),
            repository: member.repository,
            include: member.include,
            exclude: member.exclude,
        })
        .collect();
    VirtualSettings {
        common: CommonSettings { anonymous_read: one.anonymous_read.unwrap_or(open), ..common },
        members,
        merge: one.merge,
        merge_across: one.merge_across,
        reserve: one.reserve,
        allow_shadow: one.allow_shadow,
        grants_read: one.grants_read.into_iter().map(|(name, _)| name).collect(),
        on_member_failure: one.on_member_failure,
        deploy_to: one.deploy_to.map(|(name, _)| name),
        policy: one.policy,
    }
}
