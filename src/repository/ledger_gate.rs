//! What a remote repository says to indexes that arrive: the checksum ledger, reports of what upstream took away, and
//! which records its own signature leaves out.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::RwLock;

use super::remote::{NameRules, OnUpstreamDelete};
use crate::cache::docs::DocsCache;
use crate::cache::error::Internal;
use crate::cache::gate::{Gate, Loss, Refused, ReleaseId};
use crate::clock::Clock;
use crate::hex::index::{Index, PackageIndex};
use crate::hex::name::RepoName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::splice;
use crate::hex::wire::WireError;
use crate::state::State;
use crate::state::audit::Action;
use crate::state::ledger::ChangeRule;
use crate::store::slots::{Area, Slot};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::{Metrics, ReasonLabels};

/// The gate of one remote repository.
#[derive(Debug)]
pub(super) struct LedgerGate {
    pub(super) key: RepoName,
    pub(super) names: NameRules,
    pub(super) rule: ChangeRule,
    pub(super) on_delete: OnUpstreamDelete,
    pub(super) state: State,
    pub(super) store: Arc<Store>,
    pub(super) docs: Arc<DocsCache>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// Every release that is refused now, for views of the whole repository. Read from the ledger at first need.
    pub(super) refused: RwLock<Option<Refused>>,
}

/// What upstream has removed of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone<'a> {
    Package,
    Releases(&'a [Box<str>]),
}

fn failed(error: crate::state::StateError) -> Internal {
    Internal::Gate(Box::new(error))
}

impl LedgerGate {
    async fn admit_package(&self, index: &PackageIndex) -> Result<Refused, Internal> {
        let now = self.clock.now();
        let findings = self.state.record(self.key.as_str(), index, self.rule, now).await.map_err(failed)?;
        for version in &findings.changed {
            self.say(Action::ChecksumChanged, "checksum_changed", &index.name, version).await?;
        }
        for version in &findings.newly_refused {
            self.say(Action::ChecksumRefused, "checksum_refused", &index.name, version).await?;
        }
        for version in &findings.restored {
            tracing::info!(repository = %self.key, package = %index.name, version, "upstream took back a refused checksum");
        }
        if [&findings.newly_refused, &findings.changed, &findings.restored].iter().any(|list| !list.is_empty()) {
            *self.refused.write() = None;
        }
        let package = &index.name;
        Ok(findings.refused.into_iter().map(|version| ReleaseId { package: package.clone(), version }).collect())
    }

    async fn say(&self, action: Action, reason: &'static str, package: &str, version: &str) -> Result<(), Internal> {
        let labels = ReasonLabels { repository: self.key.as_str().into(), reason };
        self.metrics.upstream_changes.get_or_create(&labels).inc();
        let detail = match action {
            Action::ChecksumRefused => "upstream changed the checksum of a published release: it is refused",
            _ => "upstream changed the checksum of a release within the time allowed for it",
        };
        tracing::error!(repository = %self.key, package, version, "{detail}");
        let subject = (self.key.as_str(), Some(package), Some(version));
        self.state.audit(self.clock.now(), action, subject, detail).await.map_err(failed)
    }

    async fn all_refused(&self) -> Result<Refused, Internal> {
        if let Some(refused) = &*self.refused.read() {
            return Ok(refused.clone());
        }
        let refused: Refused = self
            .state
            .refused(self.key.as_str())
            .await
            .map_err(failed)?
            .into_iter()
            .map(|(package, version)| ReleaseId { package: package.into(), version: version.into() })
            .collect();
        *self.refused.write() = Some(refused.clone());
        Ok(refused)
    }

    /// Removes the files of what upstream has removed: tarballs, docs, and the index of a whole package.
    async fn purge(&self, resource: &RegistryResource, index: &PackageIndex, gone: Gone<'_>) -> Result<(), Internal> {
        if self.on_delete != OnUpstreamDelete::Purge {
            return Ok(());
        }
        let is_gone = |version: &str| match gone {
            Gone::Package => true,
            Gone::Releases(versions) => versions.iter().any(|gone| **gone == *version),
        };
        let releases = index.releases.iter().filter(|release| is_gone(&release.version));
        let digests: Vec<_> = releases.clone().filter_map(|release| release.outer).collect();
        let named = releases.map(|release| format!("{}-{}.tar.gz", index.name, release.version));
        // A version that is none has no address, and so no docs.
        let docs: Vec<_> = named.filter_map(|file| ArtifactName::parse_docs(&file).ok()).collect();
        let areas: &[Area] = if gone == Gone::Package { &[Area::Registry, Area::Sealed] } else { &[] };
        let place = |area: &Area| Slot::new(*area, self.key.as_str(), &resource.path()).ok();
        let slots: Vec<_> = areas.iter().filter_map(place).collect();
        let (store, cached_docs) = (Arc::clone(&self.store), Arc::clone(&self.docs));
        let removed = tokio::task::spawn_blocking(move || {
            digests.iter().try_for_each(|digest| store.blobs.remove(digest).map(drop))?;
            slots.iter().try_for_each(|slot| store.slots.remove(slot).map(drop))?;
            Ok(docs.iter().try_for_each(|name| cached_docs.purge(name).map(drop)))
        });
        let removed: Result<_, StoreError> = removed.await.map_err(|_| Internal::Task)?;
        removed?.map_err(|error| Internal::Gate(Box::new(error)))
    }

    async fn report(&self, resource: &RegistryResource, loss: Loss<'_>) -> Result<(), Internal> {
        let now = self.clock.now();
        let name = match resource {
            RegistryResource::Package(name) => Some(name.as_str()),
            RegistryResource::Names | RegistryResource::Versions | RegistryResource::Policy(_) => None,
        };
        let (action, detail) = match &loss {
            Loss::Removed { .. } => (Action::PackageRemoved, format!("upstream removed {resource}")),
            Loss::Releases { versions, .. } => {
                (Action::ReleasesRemoved, format!("upstream's index of {resource} lost {}", versions.join(", ")))
            }
            Loss::RolledBack { detail } => (Action::RolledBack, detail.clone()),
        };
        tracing::error!(repository = %self.key, %resource, "{detail}");
        self.state.audit(now, action, (self.key.as_str(), name, None), &detail).await.map_err(failed)?;
        match loss {
            Loss::Removed { last: Some(Index::Package(index)) } => {
                self.purge(resource, index, Gone::Package).await
            }
            Loss::Releases { versions, before: Index::Package(index) } => {
                self.purge(resource, index, Gone::Releases(&versions)).await
            }
            Loss::Removed { .. } | Loss::Releases { .. } | Loss::RolledBack { .. } => Ok(()),
        }
    }
}

impl Gate for LedgerGate {
    fn admit<'a>(
        &'a self,
        _resource: &'a RegistryResource,
        index: &'a Index,
    ) -> BoxFuture<'a, Result<Refused, Internal>> {
        Box::pin(async move {
            match index {
                Index::Package(index) => self.admit_package(index).await,
                Index::Versions(_) => self.all_refused().await,
                Index::Names(_) | Index::Policy(_) => Ok(Refused::default()),
            }
        })
    }

    fn lost<'a>(&'a self, resource: &'a RegistryResource, loss: Loss<'a>) -> BoxFuture<'a, Result<(), Internal>> {
        Box::pin(self.report(resource, loss))
    }

    fn present<'a>(
        &self,
        resource: &RegistryResource,
        payload: &'a [u8],
        refused: &Refused,
    ) -> Result<Cow<'a, [u8]>, WireError> {
        let is_refused = |package: &str, version: &str| {
            refused.iter().any(|release| &*release.package == package && &*release.version == version)
        };
        match resource {
            RegistryResource::Policy(_) => Ok(Cow::Borrowed(payload)),
            RegistryResource::Package(_) if refused.is_empty() => Ok(Cow::Borrowed(payload)),
            RegistryResource::Package(name) => {
                splice::drop_releases_from_package(payload, &|version| is_refused(name.as_str(), version))
            }
            RegistryResource::Names | RegistryResource::Versions if self.names.allows_all() && refused.is_empty() => {
                Ok(Cow::Borrowed(payload))
            }
            RegistryResource::Names => splice::retain_packages(payload, &|name| self.names.allows(name)),
            RegistryResource::Versions => {
                let kept = splice::retain_packages(payload, &|name| self.names.allows(name))?;
                if refused.is_empty() {
                    return Ok(kept);
                }
                Ok(Cow::Owned(splice::drop_releases_from_versions(&kept, &is_refused)?.into_owned()))
            }
        }
    }
}
