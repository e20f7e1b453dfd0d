//! Reads a repository of type local.

use std::collections::BTreeMap;

use crate::config::fault::Fault;
use crate::config::fields::{Field, Section};
use crate::config::problem::Excerpt;
use crate::config::settings::{Changers, CommonSettings, DependencyCheck, LocalSettings, Mutability, Publishers};
use crate::hex::name::RepoName;

/// Keys of this type that not all types have.
pub(super) const OWN: &[&str] = &[
    "organization",
    "mutability",
    "dependency_check",
    "allowed_dependency_repositories",
    "dependency_aliases",
    "allow_new_packages",
    "publish_view",
    "publish",
    "changes",
];

/// Reads a repository whose common keys have been read.
pub(super) fn local(section: &mut Section<'_>, mut common: CommonSettings) -> LocalSettings {
    common.anonymous_read = section.get("anonymous_read", false, Field::boolean);
    let organization = section.get("organization", common.key.to_string(), organization);
    LocalSettings {
        common,
        organization,
        mutability: section.get("mutability", Mutability::Window, Field::choice),
        dependency_check: section.get("dependency_check", DependencyCheck::Virtual, Field::choice),
        allowed_dependency_repositories: section
            .optional("allowed_dependency_repositories", |field| field.list(Field::repo_name)),
        dependency_aliases: section.get("dependency_aliases", BTreeMap::new(), aliases),
        allow_new_packages: section.get("allow_new_packages", true, Field::boolean),
        publish_view: section.optional("publish_view", Field::repo_name),
        publish: section.get("publish", Publishers::Members, Field::choice),
        changes: section.get("changes", Changers::Members, Field::choice),
    }
}

/// Reads the name of an organization. The default is the key of the repository, which may also contain a hyphen.
fn organization(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if RepoName::is_valid(text) {
        return Some(text.to_owned());
    }
    field.fault(Fault::Organization(Excerpt::new(text)));
    None
}

fn aliases(field: &Field<'_>) -> Option<BTreeMap<String, RepoName>> {
    let entries = field.entries()?;
    let read = |entry| {
        let child = field.child(entry);
        Some((entry.key.clone(), child.repo_name()?))
    };
    Some(entries.iter().filter_map(read).collect())
}
