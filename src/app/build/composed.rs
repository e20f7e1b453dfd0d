//! Builds virtual repositories from their members.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::GlobSet;

use super::{BuildContext, BuiltRepository, identity, names, policy};
use crate::app::error::StartError;
use crate::auth::{AccessRules, MemberRules};
use crate::config::settings::{
    MergeMode, NamePatterns, OnMemberFailure, RepositorySettings, Settings, VirtualSettings,
};
use crate::hex::name::RepoName;
use crate::policy::rules::{Policy, ReleaseRules};
use crate::repository::composite::{Member, Merge, MergeRules, OnFailure, VirtualOptions};
use crate::repository::{NameRules, Repository, VirtualRepository};
use crate::trust::Signer;

/// The repositories in an order in which members come before the virtual repositories that contain them.
pub(super) fn members_first(settings: &Settings) -> Vec<&RepositorySettings> {
    let mut ordered: Vec<&RepositorySettings> = Vec::new();
    let mut left: Vec<&RepositorySettings> = settings.repositories.values().collect();
    loop {
        let is_there = |key: &RepoName| ordered.iter().any(|one| one.key() == key);
        let ready = |one: &&RepositorySettings| {
            one.as_virtual().is_none_or(|one| one.members.iter().all(|member| is_there(&member.repository)))
        };
        let (next, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(ready);
        // The configuration was checked: every member exists, and there are no cycles.
        if next.is_empty() {
            return ordered;
        }
        ordered.extend(next);
        left = rest;
    }
}

/// Whether all members of a virtual repository were kept unchanged in `built`.
pub(super) fn has_same_members(held: &BuiltRepository, built: &[BuiltRepository]) -> bool {
    let Repository::Virtual(composed) = &held.repository else { return true };
    composed.members().iter().all(|member| built.iter().any(|one| one.repository.is(&member.repository)))
}

/// Whether a repository is a private member of a virtual repository, directly or through other virtual repositories. A
/// repository that is not a member is private if it needs credentials to read.
pub(super) fn is_private(settings: &Settings, key: &RepoName) -> bool {
    fn holds(settings: &Settings, holder: &RepoName, key: &RepoName) -> bool {
        let members = settings.repositories.get(holder).and_then(RepositorySettings::as_virtual);
        let mut members = members.iter().flat_map(|one| &one.members);
        holder == key || members.any(|member| holds(settings, &member.repository, key))
    }
    let virtuals = settings.repositories.values().filter_map(RepositorySettings::as_virtual);
    let mut members = virtuals.flat_map(|one| &one.members);
    let is_member = members.clone().any(|member| member.repository == *key);
    if !is_member {
        return settings.repositories.get(key).is_some_and(|one| !one.common().anonymous_read);
    }
    members.any(|member| member.private && holds(settings, &member.repository, key))
}

/// Builds a virtual repository with members in `built`.
pub(super) fn build(
    settings: &Settings,
    composed: &VirtualSettings,
    signer: Option<Arc<Signer>>,
    ground: &BuildContext,
    built: &[BuiltRepository],
) -> Result<BuiltRepository, StartError> {
    let find = |key: &RepoName| built.iter().find(|one| one.settings.key() == key).map(|one| &one.repository);
    let members: Vec<Member> = composed
        .members
        .iter()
        .filter_map(|member| {
            Some(Member {
                repository: find(&member.repository)?.clone(),
                names: names(&member.include, &member.exclude),
                private: member.private,
            })
        })
        .collect();
    let rules = |member: &Member| MemberRules {
        rules: member.repository.access().clone(),
        granted: composed.grants_read.contains(member.repository.key()),
    };
    let listed = |patterns: &NamePatterns| NameRules {
        include: patterns.set.clone(),
        exclude: GlobSet::empty(),
        everything: false,
    };
    let held_by = policy(settings, composed.policy.as_ref());
    let held_by = held_by.map(|policy| Arc::new(rules_by_source(settings, composed, &policy)));
    let options = VirtualOptions {
        identity: identity(
            &composed.common,
            AccessRules::of_members(
                composed.common.key.clone(),
                composed.common.anonymous_read,
                members.iter().map(rules).collect(),
            ),
        ),
        rules: MergeRules {
            merge: match composed.merge {
                MergeMode::Package => Merge::Package,
                MergeMode::Release => Merge::Release,
            },
            merge_across: listed(&composed.merge_across),
            reserve: listed(&composed.reserve),
            reserve_patterns: composed.reserve.patterns.clone(),
            allow_shadow: listed(&composed.allow_shadow),
            on_failure: match composed.on_member_failure {
                OnMemberFailure::Fail => OnFailure::Fail,
                OnMemberFailure::Skip => OnFailure::Skip,
            },
        },
        policy: ground.policed(held_by),
        deploy_to: composed.deploy_to.as_ref().and_then(|key| find(key)?.as_local().map(Arc::clone)),
        members,
    };
    let signing = signer.clone().ok_or_else(|| StartError::NoKey(composed.common.key.to_string()))?;
    let sealer = ground.sealer(&composed.common, signing);
    let repository = Arc::new(VirtualRepository::new(options, ground.shared.clone(), ground.state.clone(), sealer));
    Ok(BuiltRepository {
        is_private: is_private(settings, &composed.common.key),
        settings: RepositorySettings::Virtual(Box::new(composed.clone())),
        policy: policy(settings, composed.policy.as_ref()),
        files: [None, None],
        deadline: settings.server.deadline,
        signer,
        _subscription: Some(ground.subscribe(&repository)),
        repository: Repository::Virtual(repository),
    })
}

/// Converts a policy so that it has rules only for repositories that are not virtual. Rules for a virtual repository
/// apply to all its members without rules of their own.
fn rules_by_source(settings: &Settings, composed: &VirtualSettings, policy: &Policy) -> Policy {
    fn add(
        settings: &Settings,
        composed: &VirtualSettings,
        from: &Policy,
        above: Option<&ReleaseRules>,
        policy: &mut Policy,
    ) {
        for member in &composed.members {
            let rules = from.repositories.get(&member.repository).or(above);
            match (settings.repositories.get(&member.repository).and_then(RepositorySettings::as_virtual), rules) {
                (Some(below), rules) => add(settings, below, from, rules, policy),
                (None, Some(rules)) => {
                    policy.repositories.entry(member.repository.clone()).or_insert_with(|| rules.clone());
                }
                (None, None) => {}
            }
        }
    }
    let mut found = Policy { repositories: BTreeMap::new(), ..policy.clone() };
    add(settings, composed, policy, None, &mut found);
    found
}
