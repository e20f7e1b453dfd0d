//! Removes entries from the cache.

use serde::{Deserialize, Serialize};

use super::operator::Operator;
use super::{OperationError, Refusal};
use crate::hex::name::PackageName;
use crate::hex::resource::ArtifactName;
use crate::repository::Repository;
use crate::state::audit::{Action, Actor};

/// Which entries to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// Key of the repository; without it, installers are removed.
    pub repository: Option<String>,
    /// Only this package; without it, everything in the repository.
    pub package: Option<String>,
    /// Only this version of the package.
    pub version: Option<String>,
}

/// Number of removed entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Registry resources.
    pub resources: usize,
    /// Tarballs.
    pub tarballs: usize,
    /// Docs.
    pub docs: usize,
    /// Installer lists.
    pub lists: usize,
    /// Installers.
    pub installers: usize,
}

impl Operator {
    /// Removes entries from the cache.
    pub async fn purge(&self, purge: Purge, by: &Actor) -> Result<PurgeReport, OperationError> {
        let Some(key) = &purge.repository else { return self.purge_installs(by).await };
        let repository = match self.repository(key)? {
            Repository::Remote(repository) => repository,
            Repository::Local(_) => return Err(Refusal::PurgeOfLocal(key.clone()).into()),
            Repository::Virtual(composed) => {
                let members = composed.members().iter().map(|member| member.repository.key().to_string());
                return Err(Refusal::PurgeOfVirtual { repository: key.clone(), members: members.collect() }.into());
            }
        };
        let package: Option<PackageName> =
            purge.package.as_deref().map(str::parse).transpose().map_err(Refusal::from)?;
        let release = match (&package, &purge.version) {
            (_, None) => None,
            (Some(package), Some(version)) => {
                let version = version.parse().map_err(Refusal::from)?;
                Some(ArtifactName { package: package.clone(), version })
            }
            (None, Some(_)) => return Err(Refusal::VersionWithoutPackage.into()),
        };
        let purged = repository.purge(package.as_ref(), release.as_ref()).await?;
        let detail = format!(
            "removed {} registry resources, {} tarballs and {} docs",
            purged.resources, purged.tarballs, purged.docs
        );
        let subject = (key.as_str(), purge.package.as_deref(), purge.version.as_deref());
        self.state.audit_by(self.shared.clock.now(), Action::Purged, subject, &detail, by).await?;
        tracing::info!(repository = key, package = purge.package, version = purge.version, "{detail}");
        Ok(PurgeReport {
            resources: purged.resources,
            tarballs: purged.tarballs,
            docs: purged.docs,
            ..PurgeReport::default()
        })
    }

    async fn purge_installs(&self, by: &Actor) -> Result<PurgeReport, OperationError> {
        let purged = self.installs().purge().await?;
        let detail = format!("removed {} installer lists and {} installers", purged.lists, purged.files);
        let (at, subject) = (self.shared.clock.now(), ("installs", None, None));
        self.state.audit_by(at, Action::Purged, subject, &detail, by).await?;
        tracing::info!("{detail}");
        Ok(PurgeReport { lists: purged.lists, installers: purged.files, ..PurgeReport::default() })
    }
}
