//! What is left of signed resources when what is held is left out: filtered and signed once for all who ask.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::time::Instant;

use super::evaluated::end;
use super::{Enforcer, Judgement};
use crate::cache::CacheError;
use crate::cache::flights::Flights;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::policy::bulk;
use crate::repository::error::RepoError;
use crate::shutdown::Tasks;
use crate::trust::{SignedResource, Signer};

/// Packages of which something is left out, signed.
const VIEWS: u64 = 10_000;

/// Lists of a repository that are being made: of what, after how many things were evaluated and taken out of them.
type Making = (RepoName, [Sha256; 2], [u64; 2]);

/// What was made of signed resources.
#[derive(Debug)]
pub(super) struct Made {
    views: moka::sync::Cache<(RepoName, PackageName), Arc<View>>,
    lists: Arc<RwLock<HashMap<RepoName, Arc<Lists>>>>,
    making: Flights<Making, Result<Arc<Lists>, CacheError>>,
}

/// A package without what is held.
#[derive(Debug)]
struct View {
    judgement: Arc<Judgement>,
    signed: Result<SignedResource, CacheError>,
}

/// `names` and `versions` of a repository with all that it has, signed by us.
#[derive(Clone, Debug)]
pub struct Whole {
    /// `names`
    pub names: SignedResource,
    /// `versions`
    pub versions: SignedResource,
    /// After this they are looked at again, though they are the same.
    pub ttl: Duration,
}

/// Whether somebody waits for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A request, which takes older ones in which nothing is held, as long as new ones are being made.
    No(Instant),
    /// Nobody: they are made to be there for requests.
    Until(Instant),
}

/// `names` and `versions` with what is known to be allowed.
#[derive(Debug)]
pub struct Lists {
    made_from: [Sha256; 2],
    made_at: Timestamp,
    /// What had been evaluated by then.
    noted: u64,
    /// What had been taken out of lists by then.
    taken: u64,
    /// When something in them may be held.
    until: Option<Timestamp>,
    /// Packages that are listed without having been evaluated.
    whole: HashSet<Box<str>>,
    /// `names`
    pub names: SignedResource,
    /// `versions`
    pub versions: SignedResource,
}

impl Made {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { views: moka::sync::Cache::new(VIEWS), lists: Arc::default(), making: Flights::new(tasks) }
    }
}

impl Lists {
    /// Whether nothing in them is held by now.
    fn is_sound(&self, taken: u64, now: Timestamp) -> bool {
        self.taken == taken && self.until.is_none_or(|until| now < until)
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

    /// A repository's `names` and `versions` with what is known to be allowed; made again when they are others, when
    /// something in them may be held, and otherwise after their time. Both are signed by us.
    pub async fn lists(
        &self,
        source: &RepoName,
        whole: Whole,
        wait: Wait,
        signer: &Arc<Signer>,
    ) -> Result<Arc<Lists>, RepoError> {
        let Some(rules) = self.rules(source).cloned() else { return Err(RepoError::NotFound) };
        let made_from = [*whole.names.digest(), *whole.versions.digest()];
        let (noted, taken) = (self.evaluations.noted(), self.evaluations.taken());
        let now = self.shared.clock.now();
        let made = self.made.lists.read().get(source).cloned().filter(|lists| lists.is_sound(taken, now));
        let is_current = |lists: &&Arc<Lists>| {
            lists.made_from == made_from
                && now.is_within(whole.ttl, lists.made_at)
                && (matches!(wait, Wait::No(_)) || lists.noted == noted)
        };
        if let Some(lists) = made.as_ref().filter(is_current) {
            return Ok(Arc::clone(lists));
        }
        let ticket = self.made.making.join((source.clone(), made_from, [noted, taken]), || {
            let (evaluated, signer, shared) = (self.evaluations.of(source), Arc::clone(signer), self.shared.clone());
            let (all, source) = (Arc::clone(&self.made.lists), source.clone());
            async move {
                let make = move || {
                    let name_list = payload(whole.names.body().clone(), &RegistryResource::Names)?;
                    let version_list = payload(whole.versions.body().clone(), &RegistryResource::Versions)?;
                    let shown = bulk::shown(&name_list, &version_list, &rules, &evaluated, now);
                    let shown = shown.map_err(CacheError::untrusted)?;
                    let seal = |whole: &SignedResource, payload: Cow<'_, [u8]>| match payload {
                        Cow::Borrowed(_) => Ok(whole.clone()),
                        Cow::Owned(less) => signer.seal(&less).map_err(CacheError::internal),
                    };
                    Ok::<_, CacheError>(Lists {
                        made_from,
                        made_at: now,
                        noted,
                        taken,
                        until: end(&evaluated, now),
                        whole: shown.whole().map(Into::into).collect(),
                        names: seal(&whole.names, shown.names(&name_list).map_err(CacheError::untrusted)?)?,
                        versions: seal(&whole.versions, shown.versions(&version_list).map_err(CacheError::untrusted)?)?,
                    })
                };
                let lists = Arc::new(shared.blocking(move |_| make()).await??);
                all.write().insert(source, Arc::clone(&lists));
                Ok(lists)
            }
        });
        match (wait, made) {
            (Wait::No(_), Some(older)) => Ok(older),
            (Wait::No(deadline) | Wait::Until(deadline), _) => {
                Ok(ticket.wait(deadline).await.map_err(CacheError::from)??)
            }
        }
    }

    /// Whether a package is listed as it is, without having been evaluated.
    pub(super) fn lists_whole(&self, source: &RepoName, package: &str) -> bool {
        self.made.lists.read().get(source).is_some_and(|lists| lists.whole.contains(package))
    }

    /// Whether lists of a repository have been made, and so somebody has asked for them.
    pub fn has_lists(&self, source: &RepoName) -> bool {
        self.made.lists.read().contains_key(source)
    }
}

/// What is inside bytes that were verified or signed here. Blocks.
pub(in crate::repository) fn payload(body: Bytes, resource: &RegistryResource) -> Result<Bytes, CacheError> {
    let envelope = Envelope::open(body, resource.max_payload()).map_err(CacheError::untrusted)?;
    Ok(envelope.payload)
}
