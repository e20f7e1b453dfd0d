//! What is left of signed resources when what is held is left out: filtered and signed once for all who ask.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Enforcer, Judgement};
use crate::cache::CacheError;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::policy::bulk;
use crate::policy::filter::earlier;
use crate::repository::error::RepoError;
use crate::trust::{SignedResource, Signer};

/// Packages of which something is left out, signed.
const VIEWS: u64 = 10_000;

/// What was made of signed resources.
#[derive(Debug)]
pub(super) struct Made {
    views: moka::sync::Cache<(RepoName, PackageName), Arc<View>>,
    lists: RwLock<HashMap<RepoName, Arc<Lists>>>,
    /// One makes lists.
    making_lists: tokio::sync::Mutex<()>,
}

/// A package without what is held.
#[derive(Debug)]
struct View {
    judgement: Arc<Judgement>,
    signed: Result<SignedResource, CacheError>,
}

/// `names` and `versions` with what is known to be allowed.
#[derive(Debug)]
pub struct Lists {
    made_from: [Sha256; 2],
    made_at: Timestamp,
    /// When something in them may be held.
    until: Option<Timestamp>,
    /// `names`
    pub names: SignedResource,
    /// `versions`
    pub versions: SignedResource,
}

impl Made {
    pub(super) fn new() -> Self {
        Self {
            views: moka::sync::Cache::new(VIEWS),
            lists: RwLock::default(),
            making_lists: tokio::sync::Mutex::default(),
        }
    }
}

impl Enforcer {
    /// A package without what is held, until its judgement changes. `whole` is signed by us.
    pub async fn without_held(
        &self,
        source: &RepoName,
        name: &PackageName,
        judgement: Arc<Judgement>,
        whole: SignedResource,
        signer: &Arc<Signer>,
    ) -> Result<SignedResource, RepoError> {
        if judgement.evaluation.held.is_empty() {
            return Ok(whole);
        }
        let key = (source.clone(), name.clone());
        let is_this = |view: &Arc<View>| Arc::ptr_eq(&view.judgement, &judgement);
        if let Some(view) = self.made.views.get(&key).filter(is_this) {
            return Ok(view.signed.clone()?);
        }
        let (views, signer) = (self.made.views.clone(), Arc::clone(signer));
        let make = move || {
            let resource = RegistryResource::Package(key.1.clone());
            let is_other = |view: &Arc<View>| !Arc::ptr_eq(&view.judgement, &judgement);
            let sealed = || {
                let payload = payload(whole.body().clone(), &resource)?;
                let filtered = judgement.evaluation.filter(&payload).map_err(CacheError::untrusted)?;
                signer.seal(&filtered).map_err(CacheError::internal)
            };
            let init = || Arc::new(View { judgement: Arc::clone(&judgement), signed: sealed() });
            views.entry(key).or_insert_with_if(init, is_other).into_value()
        };
        let view = self.shared.blocking(move |_| make()).await?;
        Ok(view.signed.clone()?)
    }

    /// A repository's `names` and `versions` with what is known to be allowed; made again when they are others, and
    /// otherwise after `ttl`. Both are signed by us.
    pub async fn lists(
        &self,
        source: &RepoName,
        names: SignedResource,
        versions: SignedResource,
        ttl: Duration,
        signer: &Arc<Signer>,
    ) -> Result<Arc<Lists>, RepoError> {
        let Some(rules) = self.rules(source).cloned() else { return Err(RepoError::NotFound) };
        let made_from = [*names.digest(), *versions.digest()];
        let _one = self.made.making_lists.lock().await;
        let now = self.shared.clock.now();
        let is_fresh = |lists: &Arc<Lists>| {
            lists.made_from == made_from
                && now.since(lists.made_at) < ttl
                && lists.until.is_none_or(|until| now < until)
        };
        let made = self.made.lists.read().get(source).cloned();
        if let Some(lists) = made.filter(is_fresh) {
            return Ok(lists);
        }
        let (evaluated, signer) = (self.evaluated(source), Arc::clone(signer));
        let make = move || {
            let name_list = payload(names.body().clone(), &RegistryResource::Names)?;
            let version_list = payload(versions.body().clone(), &RegistryResource::Versions)?;
            let shown = bulk::shown(&name_list, &version_list, &rules, &evaluated, now);
            let shown = shown.map_err(CacheError::untrusted)?;
            let seal = |whole: &SignedResource, payload: Cow<'_, [u8]>| match payload {
                Cow::Borrowed(_) => Ok(whole.clone()),
                Cow::Owned(less) => signer.seal(&less).map_err(CacheError::internal),
            };
            let changes = evaluated.values().filter_map(|found| found.next_change).filter(|change| *change > now);
            Ok::<_, CacheError>(Lists {
                made_from,
                made_at: now,
                until: changes.fold(None, |until, change| earlier(until, Some(change))),
                names: seal(&names, shown.names(&name_list).map_err(CacheError::untrusted)?)?,
                versions: seal(&versions, shown.versions(&version_list).map_err(CacheError::untrusted)?)?,
            })
        };
        let lists = Arc::new(self.shared.blocking(move |_| make()).await??);
        self.made.lists.write().insert(source.clone(), Arc::clone(&lists));
        Ok(lists)
    }
}

/// What is inside bytes that were verified or signed here. Blocks.
pub(in crate::repository) fn payload(body: Bytes, resource: &RegistryResource) -> Result<Bytes, CacheError> {
    let envelope = Envelope::open(body, resource.max_payload()).map_err(CacheError::untrusted)?;
    Ok(envelope.payload)
}
