//! Builds the options of a local repository from its settings.

use super::identity;
use crate::auth::{AccessRules, ChangedBy, PublishedBy};
use crate::config::settings::{self, LocalSettings};
use crate::repository::local::{DependencyCheck, LocalOptions, Mutability};

pub(super) fn options(local: &LocalSettings) -> LocalOptions {
    LocalOptions {
        identity: identity(
            &local.common,
            AccessRules::new(local.common.key.clone(), Some(&local.organization), local.common.anonymous_read)
                .written_by(
                    match local.publish {
                        settings::Publishers::Members => PublishedBy::Members,
                        settings::Publishers::Users => PublishedBy::Users,
                    },
                    match local.changes {
                        settings::Changers::Members => ChangedBy::Members,
                        settings::Changers::Owners => ChangedBy::Owners,
                    },
                ),
        ),
        mutability: match local.mutability {
            settings::Mutability::Immutable => Mutability::Immutable,
            settings::Mutability::Window => Mutability::Window,
            settings::Mutability::Always => Mutability::Always,
        },
        dependency_check: match local.dependency_check {
            settings::DependencyCheck::Off => DependencyCheck::Off,
            settings::DependencyCheck::Local => DependencyCheck::Local,
            settings::DependencyCheck::Virtual => DependencyCheck::Everywhere,
        },
        allowed_dependency_repositories: local.allowed_dependency_repositories.clone(),
        dependency_aliases: local.dependency_aliases.clone(),
        allow_new_packages: local.allow_new_packages,
        publish_view: local.publish_view.clone(),
    }
}
