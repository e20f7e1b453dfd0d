//! The gate of a remote repository: compares each new index with the checksum ledger, reports what the upstream has
//! removed, and selects the records for payloads with our signature.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::RwLock;

use super::changes::Event;
use super::sealer::{Scope, Sealer};
use super::{Changes, NameRules};
use crate::cache::artifacts::ArtifactCache;
use crate::cache::docs::DocsCache;
use crate::cache::error::{CacheError, Internal};
use crate::cache::fill::ExpectedFile;
use crate::cache::gate::{Admission, Gate, RefusedReleases, ReleaseId, UpstreamLoss};
use crate::cache::payload::Payload;
use crate::cache::registry::OnRemoved;
use crate::clock::Clock;
use crate::hex::index::{Index, PackageIndex, remarks};
use crate::hex::name::RepoName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::splice;
use crate::hex::wire::WireError;
use crate::policy::merge::Bulk;
use crate::shutdown;
use crate::state::State;
use crate::state::audit::Action;
use crate::state::claims;
use crate::state::ledger::{ChangeRule, FileRequirement, KnownChecksums};
use crate::telemetry::metrics::{Metrics, ReasonLabels};

/// The gate of one remote repository.
#[derive(Debug)]
pub(super) struct LedgerGate {
    pub(super) key: RepoName,
    pub(super) names: NameRules,
    pub(super) rule: ChangeRule,
    pub(super) on_delete: OnRemoved,
    pub(super) state: State,
    pub(super) artifacts: Arc<ArtifactCache>,
    pub(super) docs: Arc<DocsCache>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// Whether a view has the repository as a private member: then it keeps the claim to every name that it has had.
    pub(super) is_private: bool,
    /// Notifies others of changes.
    pub(super) changes: Arc<Changes>,
    /// Signs the payloads that are served with our signature.
    pub(super) sealer: Option<Sealer>,
    /// Every release that is refused now, for views of the whole repository. Read from the ledger when it is first
    /// needed.
    pub(super) refused: RwLock<KnownRefusals>,
}

/// The refused releases in the ledger, and how often they have changed: a list that was read before a change is not
/// stored after it.
#[derive(Debug, Default)]
pub(super) struct KnownRefusals {
    changes: u64,
    list: Option<RefusedReleases>,
}

/// The checksums that a file must have according to the ledger.
pub(super) fn expected(demand: FileRequirement) -> ExpectedFile {
    match demand {
        FileRequirement::Outer(outer) => ExpectedFile::Outer(outer),
        FileRequirement::Inner(inner) => ExpectedFile::Inner(inner),
        FileRequirement::Both { outer, inner } => ExpectedFile::Both { outer, inner },
    }
}

fn failed(error: crate::state::StateError) -> Internal {
    Internal::Gate(Box::new(error))
}

impl LedgerGate {
    async fn admit_package(&self, index: &PackageIndex, payload: &[u8]) -> Result<Admission, Internal> {
        let now = self.clock.now();
        let remarks = remarks(payload).map_err(|error| Internal::Gate(Box::new(error)))?;
        let recorded = self.state.record(self.key.as_str(), index, &remarks, self.rule, now).await;
        let (findings, written) = recorded.map_err(failed)?;
        if let Err(error) = written {
            // A full disk must not prevent an answer: the index was compared with what had been written before.
            tracing::error!(
                repository = %self.key, package = &*index.name, error = &error as &dyn std::error::Error,
                "the checksum ledger could not be written"
            );
        }
        self.claim([&*index.name]).await;
        for version in &findings.changed {
            self.say(Action::ChecksumChanged, "checksum_changed", &index.name, version).await;
        }
        for version in &findings.newly_refused {
            self.say(Action::ChecksumRefused, "checksum_refused", &index.name, version).await;
        }
        for version in &findings.restored {
            tracing::info!(repository = %self.key, package = %index.name, version, "upstream restored the published checksum");
        }
        if [&findings.newly_refused, &findings.changed, &findings.restored].iter().any(|list| !list.is_empty()) {
            let mut known = self.refused.write();
            known.changes += 1;
            known.list = None;
        }
        let package = &index.name;
        let refused = findings.refused.into_iter().map(|version| ReleaseId { package: package.clone(), version });
        let demands = findings.demands.into_iter().map(|(version, demand)| (version, expected(demand)));
        Ok(Admission { refused: refused.collect(), expected_files: demands.collect() })
    }

    /// Claims names if they are private. If a claim cannot be written, it lasts until the process ends.
    async fn claim<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        if !self.is_private {
            return;
        }
        if let Err(error) = self.state.claim(self.key.as_str(), names, self.clock.now()).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(repository = %self.key, error, "claimed names could not be written");
        }
    }

    /// Claims all names in a list.
    async fn claim_listed(&self, payload: &[u8]) {
        if !self.is_private {
            return;
        }
        let payload = payload.to_vec();
        // This takes some milliseconds for a large list.
        let split = shutdown::blocking(move || {
            let names = Bulk::split(&payload).map(|bulk| bulk.entries.into_keys().map(Box::from).collect());
            names.unwrap_or_default()
        });
        let names: Vec<Box<str>> = split.await.unwrap_or_default();
        self.claim(names.iter().map(AsRef::as_ref)).await;
    }

    async fn say(&self, action: Action, reason: &'static str, package: &str, version: &str) {
        let labels = ReasonLabels { repository: self.key.as_str().into(), reason };
        self.metrics.upstream_changes.get_or_create(&labels).inc();
        let detail = match action {
            Action::ChecksumRefused => {
                "upstream changed the checksum of a published release: the changed file is refused"
            }
            _ => "upstream changed the checksum of a release, which this repository's rules allow",
        };
        tracing::error!(repository = %self.key, package, version, "{detail}");
        let subject = (self.key.as_str(), Some(package), Some(version));
        self.audit(action, subject, detail).await;
    }

    /// Writes an audit entry. If this fails, the entry is only in the log.
    async fn audit(&self, action: Action, subject: (&str, Option<&str>, Option<&str>), detail: &str) {
        if let Err(error) = self.state.audit(self.clock.now(), action, subject, detail).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(repository = %self.key, error, "the audit log could not be written");
        }
    }

    async fn all_refused(&self) -> Result<RefusedReleases, Internal> {
        let changes = {
            let known = self.refused.read();
            if let Some(refused) = &known.list {
                return Ok(refused.clone());
            }
            known.changes
        };
        let refused: RefusedReleases = self
            .state
            .refused(self.key.as_str())
            .await
            .map_err(failed)?
            .into_iter()
            .map(|(package, version)| ReleaseId { package: package.into(), version: version.into() })
            .collect();
        let mut known = self.refused.write();
        if known.changes == changes {
            known.list = Some(refused.clone());
        }
        Ok(refused)
    }

    /// Removes the tarballs and docs of releases that the upstream has removed, if this is configured.
    async fn purge(&self, index: &PackageIndex, versions: &[&str]) -> Result<(), Internal> {
        if self.on_delete != OnRemoved::Purge {
            return Ok(());
        }
        let gone = index.releases.iter().filter(|release| versions.contains(&&*release.version));
        let gone: Vec<_> = gone
            .map(|release| {
                let file = format!("{}-{}.tar", index.name, release.version);
                let expected = KnownChecksums::of(release).demand(Some(release)).map(expected);
                (expected, ArtifactName::parse_tarball(&file).ok())
            })
            .collect();
        let (artifacts, docs) = (Arc::clone(&self.artifacts), Arc::clone(&self.docs));
        let purged = shutdown::blocking(move || {
            for (expected, name) in &gone {
                if let Some(expected) = expected {
                    artifacts.purge(expected)?;
                }
                if let Some(name) = name {
                    docs.purge(name)?;
                }
            }
            Ok::<_, CacheError>(())
        });
        purged.await?.map_err(|error| Internal::Gate(Box::new(error)))
    }

    async fn report(&self, resource: &RegistryResource, loss: UpstreamLoss<'_>) -> Result<(), Internal> {
        let name = match resource {
            RegistryResource::Package(name) => Some(name.as_str()),
            RegistryResource::Names | RegistryResource::Versions | RegistryResource::Policy(_) => None,
        };
        let (action, detail) = match &loss {
            UpstreamLoss::Removed { .. }
                if matches!(resource, RegistryResource::Names | RegistryResource::Versions) =>
            {
                (
                    Action::PackageRemoved,
                    format!("upstream does not have {resource} any more: the last good copy is kept"),
                )
            }
            UpstreamLoss::Removed { .. } => (Action::PackageRemoved, format!("upstream removed {resource}")),
            UpstreamLoss::Releases { versions, .. } => {
                (Action::ReleasesRemoved, format!("upstream removed releases from {resource}: {}", versions.join(", ")))
            }
            UpstreamLoss::RolledBack { detail } => (Action::RolledBack, detail.clone()),
        };
        tracing::error!(repository = %self.key, %resource, "{detail}");
        self.audit(action, (self.key.as_str(), name, None), &detail).await;
        match loss {
            UpstreamLoss::Removed { last: Some(Index::Package(index)) } => {
                let all: Vec<&str> = index.releases.iter().map(|release| &*release.version).collect();
                self.purge(index, &all).await
            }
            UpstreamLoss::Releases { versions, before: Index::Package(index) } => {
                let lost: Vec<&str> = versions.iter().map(|version| &**version).collect();
                self.purge(index, &lost).await
            }
            UpstreamLoss::Removed { .. } | UpstreamLoss::Releases { .. } | UpstreamLoss::RolledBack { .. } => Ok(()),
        }
    }
}

impl Gate for LedgerGate {
    fn admit<'a>(
        &'a self,
        _resource: &'a RegistryResource,
        index: &'a Index,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<Admission, Internal>> {
        Box::pin(async move {
            match index {
                Index::Package(index) => self.admit_package(index, payload).await,
                Index::Versions(_) => Ok(self.all_refused().await?.into()),
                Index::Names(_) => {
                    self.claim_listed(payload).await;
                    Ok(Admission::default())
                }
                Index::Policy(policy) => {
                    self.claim([&*claims::of_policy(&policy.name)]).await;
                    Ok(Admission::default())
                }
            }
        })
    }

    fn refused(&self) -> BoxFuture<'_, Result<RefusedReleases, Internal>> {
        Box::pin(self.all_refused())
    }

    fn on_upstream_loss<'a>(
        &'a self,
        resource: &'a RegistryResource,
        loss: UpstreamLoss<'a>,
    ) -> BoxFuture<'a, Result<(), Internal>> {
        Box::pin(self.report(resource, loss))
    }

    fn on_replaced(&self, resource: &RegistryResource) {
        let (repository, resource) = (self.key.clone(), resource.clone());
        self.changes.announce(Event::ResourceReplaced { repository, resource });
    }

    fn sign<'a>(&'a self, resource: &'a RegistryResource, shown: &'a Payload) -> BoxFuture<'a, Result<(), CacheError>> {
        Box::pin(async move {
            match &self.sealer {
                Some(sealer) => sealer.signed(resource, Scope::Whole, shown).await.map(drop),
                None => Ok(()),
            }
        })
    }

    fn edit_for_clients<'a>(
        &self,
        resource: &RegistryResource,
        payload: &'a [u8],
        refused: &RefusedReleases,
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
