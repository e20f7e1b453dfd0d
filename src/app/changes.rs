//! Describes the changes of a reload.

use std::sync::Arc;

use super::configured::Configured;
use crate::policy::decide::AllowedBy;

/// A sentence for each change.
pub(super) fn changes(before: &Configured, after: &Configured) -> Vec<String> {
    let mut changes = Vec::new();
    for built in &after.built {
        let key = built.settings.key();
        match before.built.iter().find(|old| old.settings.key() == key) {
            None => changes.push(format!("repository `{key}` was added")),
            Some(old) if !old.repository.is(&built.repository) => {
                changes.push(format!("repository `{key}` has changed"));
            }
            Some(_) => {}
        }
    }
    for old in &before.built {
        if !after.built.iter().any(|built| built.settings.key() == old.settings.key()) {
            changes.push(format!("repository `{}` was removed", old.settings.key()));
        }
    }
    if before.settings.default_repository != after.settings.default_repository {
        changes.push(format!("the default repository is now `{}`", after.settings.default_repository));
    }
    if before.settings.log.level != after.settings.log.level {
        changes.push("log.level has changed".to_owned());
    }
    if before.settings.storage.cache_limit != after.settings.storage.cache_limit {
        changes.push("storage.cache_limit has changed".to_owned());
    }
    if !Arc::ptr_eq(&before.installs.installs, &after.installs.installs) {
        changes.push("installs has changed".to_owned());
    }
    if before.settings.auth != after.settings.auth {
        changes.push("auth has changed".to_owned());
    }
    if before.settings.fetch_log != after.settings.fetch_log {
        changes.push("fetch_log has changed".to_owned());
    }
    if before.settings.server != after.settings.server {
        changes.push("server settings have changed".to_owned());
    }
    changes
}

/// For each policy whose mode is now `enforce`, logs the numbers of its evaluation before the reload.
pub(super) fn log_enforced(before: &Configured, after: &Configured) {
    for built in &after.built {
        let Some(enforcer) = built.repository.enforcer().filter(|one| one.is_enforced()) else { continue };
        let key = built.repository.key();
        let older = before.built.iter().find(|built| built.repository.key() == key);
        let older = older.and_then(|built| built.repository.enforcer());
        if older.is_some_and(|one| one.is_enforced()) {
            continue;
        }
        let standing = older.map(|one| one.standing()).unwrap_or_default();
        tracing::info!(
            view = %key,
            policy = %enforcer.name(),
            packages = standing.packages,
            held = standing.held,
            exempt = standing.count(AllowedBy::Delivered),
            pinned = standing.count(AllowedBy::Pinned),
            waived = standing.count(AllowedBy::Waived),
            overridden = standing.count(AllowedBy::Override),
            "the policy is now enforced; the numbers are from its evaluation before this change"
        );
    }
}
