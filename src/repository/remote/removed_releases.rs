//! Releases that have disappeared from an upstream's index. The ledger has their checksums and the last data of their
//! index.

use std::collections::HashMap;
use std::sync::Arc;

use super::RemoteRepository;
use super::policy::read_facts;
use crate::auth::ReadGrant;
use crate::cache::error::Internal;
use crate::cache::registry::OnRemoved;
use crate::cache::{CacheError, CacheStatus};
use crate::hex::checksum::Sha256;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::policy::release_facts::{PackageFacts, ReleaseFacts};
use crate::repository::delivery::{Judged, Located, ReleaseHome};
use crate::repository::enforcer::{AgeProofs, Enforcer, JudgedPackage};
use crate::repository::ledger_gate;
use crate::repository::{CacheLifetime, RepoError, RequestContext, Served};
use crate::state::ledger::LedgerRecord;

impl RemoteRepository {
    /// Locates a release that the upstream's index no longer lists, for a repository that may still show it. With
    /// `may_keep` this includes a release that this repository keeps (`on_upstream_delete: keep`), not only one that is
    /// exempt for lock files. A purged release is gone.
    pub(in crate::repository) async fn locate_removed(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        above: &[Arc<Enforcer>],
        may_keep: bool,
        context: RequestContext,
    ) -> Result<Option<Served<Located>>, RepoError> {
        self.check_readable(grant, name)?;
        let resource = RegistryResource::Package(name.package.clone());
        match self.resource(&resource, context.deadline).await {
            Ok(served) if self.listed(&served.value, name)?.is_some() => return Ok(None),
            Ok(_) | Err(RepoError::NotFound) => {}
            Err(error) => return Err(error),
        }
        let removed = self.removed(name, above, may_keep).await?;
        Ok(removed.map(|located| Served::at_once(located, CacheStatus::Hit)))
    }

    /// A release that has disappeared from the upstream's index, evaluated by the last data of that index, if it is
    /// kept or exempt for lock files.
    pub(super) async fn removed(
        self: &Arc<Self>,
        name: &ArtifactName,
        above: &[Arc<Enforcer>],
        may_keep: bool,
    ) -> Result<Option<Located>, RepoError> {
        if self.options.on_delete == OnRemoved::Purge {
            return Ok(None);
        }
        let ledger = self.state.ledger(self.key().as_str(), name.package.as_str()).await;
        let ledger =
            ledger.map_err(|error| RepoError::Internal(CacheError::internal(Internal::Gate(Box::new(error)))))?;
        let Some(record) = ledger.get(name.version.as_str()) else { return Ok(None) };
        let known = &record.known;
        let expected = known.demand(None).map(ledger_gate::expected);
        let Some((expected, checksum)) = expected.zip(known.outer.or(known.inner)) else { return Ok(None) };
        let policies: Vec<&Arc<Enforcer>> = above.iter().chain(self.enforcer()).collect();
        let mut is_owed = may_keep && self.options.on_delete == OnRemoved::Keep;
        for enforcer in &policies {
            is_owed |= enforcer.is_exempt(self.key(), name, &checksum).await?;
        }
        if !is_owed {
            return Ok(None);
        }
        let mut judged = Vec::new();
        for enforcer in policies.into_iter().filter(|one| one.rules(self.key()).is_some()) {
            judged.push(self.judge_removed(enforcer, name, record, &checksum).await?);
        }
        let (home, checksum, keep) = (ReleaseHome::Remote(Arc::clone(self)), Some(checksum), CacheLifetime::Revalidate);
        Ok(Some(Located { home, expected, checksum, keep, judged }))
    }

    async fn judge_removed(
        &self,
        enforcer: &Arc<Enforcer>,
        name: &ArtifactName,
        record: &LedgerRecord,
        checksum: &Sha256,
    ) -> Result<Judged, RepoError> {
        let version: Box<str> = name.version.as_str().into();
        let mut unknown = None;
        let facts = match &record.remark {
            Some(remark) => {
                let (remark, dump) = (remark.clone(), self.advisories());
                let resource = RegistryResource::Package(name.package.clone());
                self.shared.blocking(move |_| read_facts(&remark, resource, dump.as_deref())).await??
            }
            None => {
                // It was removed before the data of its index was recorded.
                let is_asked = enforcer.asks_what_an_index_says(self.key());
                if is_asked && !enforcer.is_exempt(self.key(), name, checksum).await? {
                    unknown = Some("the upstream has removed it, and its entry in the index is not known any more");
                }
                let release = ReleaseFacts {
                    text: version.clone(),
                    version: Some(name.version.clone()),
                    outer: record.known.outer,
                    inner: record.known.inner,
                    published_at: record.published_at,
                    retired: None,
                    advisories: Vec::new(),
                };
                let name = name.package.as_str().into();
                PackageFacts { name, releases: vec![release], advisories: Vec::new() }
            }
        };
        // The last change of its package proves nothing about a release that is no longer in it.
        let proofs = AgeProofs::seen(HashMap::from([(version, record.first_seen)]));
        let (source, package) = (self.key(), &name.package);
        let generation = enforcer.generation(source, package);
        let subject = JudgedPackage { source, package, digest: *checksum, confirmed_at: enforcer.now(), generation };
        let judgement = enforcer.judge_alone(subject, facts, proofs).await?;
        Ok(Judged { enforcer: Arc::clone(enforcer), judgement, unknown })
    }
}
