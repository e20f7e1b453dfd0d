//! Fetches one registry resource from the upstream.
//!
//! A fetch runs detached; there is only one at a time for each resource. If something has disappeared (a package,
//! releases, or an index goes back in time), the resource is fetched again past HTTP caches before the loss is
//! accepted.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::stored_resource::{self, Freshness};
use super::{OnRemoved, RegistryCache};
use crate::cache::error::{CacheError, Internal};
use crate::cache::gate::UpstreamLoss;
use crate::cache::read_through::FetchedEntry as Refreshed;
use crate::cache::ready_resource::{ListRegression, ReadyResource};
use crate::cache::record::RegistryRecord;
use crate::cache::status::BypassReason;
use crate::cache::validators::Validators;
use crate::hex::checksum::Sha256;
use crate::hex::index::Index;
use crate::hex::limits;
use crate::hex::resource::RegistryResource;
use crate::store::slots::Area;
use crate::telemetry::metrics::RepositoryLabels;
use crate::trust::Verified;
use crate::upstream::{AnswerBegun, Fetched, Redirects, UpstreamRequest};

/// The verified answer of the upstream.
pub(super) enum UpstreamAnswer {
    Unchanged,
    Missing,
    Body { verified: Box<Verified>, bytes: Bytes, validators: Validators },
}

/// Fetches `resource`; reports the outcome to the gate, the metrics and the log.
pub(super) async fn run(
    cache: Arc<RegistryCache>,
    resource: RegistryResource,
    present: Option<Arc<ReadyResource>>,
    past_caches: bool,
    heard: AnswerBegun,
) -> Result<Refreshed<Arc<ReadyResource>>, CacheError> {
    let outcome = attempt(&cache, &resource, present.as_ref(), past_caches, &heard).await;
    match &outcome {
        Ok(refreshed) if refreshed.unchanged => {}
        Ok(_) => cache.gate.on_replaced(&resource),
        Err(error) => {
            if matches!(error, CacheError::Missing) && present.is_some() {
                cache.gate.on_replaced(&resource);
            }
            report(&cache, &resource, error);
        }
    }
    outcome
}

async fn attempt(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    present: Option<&Arc<ReadyResource>>,
    past_caches: bool,
    heard: &AnswerBegun,
) -> Result<Refreshed<Arc<ReadyResource>>, CacheError> {
    let deadline = Instant::now() + cache.options.deadline;
    let validators = present.map(|present| present.validators.clone()).unwrap_or_default();
    let known = present.is_some();
    let mut answer = ask(cache, resource, validators, known, past_caches, deadline, heard).await?;
    let mut loss = detect_loss(present, &answer);
    if loss.is_some() && !past_caches {
        answer = ask(cache, resource, Validators::default(), known, true, deadline, heard).await?;
        loss = detect_loss(present, &answer);
    }
    let (present, unchanged, bypass) = match (answer, present) {
        (UpstreamAnswer::Unchanged, Some(present)) => (confirm(cache, resource, present).await?, true, None),
        // `ask` accepts "unchanged" only if it sent validators, which come from a present resource.
        (UpstreamAnswer::Unchanged, None) => return Err(CacheError::internal(Internal::UnexpectedNotModified)),
        (UpstreamAnswer::Missing, None) => return Err(CacheError::Missing),
        (UpstreamAnswer::Missing, Some(present)) => {
            // A resource that was gone before has not changed. Reporting a change would make its watchers fetch it
            // again and again.
            let was_gone = present.removed_at.is_some();
            (removed(cache, resource, present).await?, was_gone, None)
        }
        (UpstreamAnswer::Body { verified, bytes, validators }, before) => {
            if let (Some(loss), Some(before)) = (loss, before) {
                report_loss(cache, resource, loss, &before.index).await?;
            }
            let (present, bypass) = replace(cache, resource, *verified, bytes, validators).await?;
            (present, false, bypass)
        }
    };
    cache.shared.memory.put_resource(cache.owner, resource, &present);
    Ok(Refreshed { entry: present, unchanged, bypass })
}

/// Sends one request to the upstream, reads the answer to its end and verifies it.
pub(super) async fn ask(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    validators: Validators,
    known: bool,
    past_caches: bool,
    deadline: Instant,
    heard: &AnswerBegun,
) -> Result<UpstreamAnswer, CacheError> {
    let request = UpstreamRequest {
        query: None,
        path: resource.path(),
        etag: validators.etag,
        last_modified: validators.last_modified,
        range_from: None,
        resumes: false,
        refresh: past_caches,
        // Redirects are safe, because the answer has to be signed.
        redirects: Redirects::ToPublic,
        max_body: limits::ENVELOPE as u64,
        heard: heard.clone(),
    };
    let fetched = cache.upstream.fetch(request, deadline).await;
    count(cache, &fetched);
    let body = match fetched.map_err(CacheError::upstream)? {
        Fetched::NotModified => return Ok(UpstreamAnswer::Unchanged),
        Fetched::Missing { status: 403 } if known => return Err(CacheError::Forbidden),
        Fetched::Missing { .. } => return Ok(UpstreamAnswer::Missing),
        Fetched::Body(body) => body,
    };
    let validators = Validators { etag: body.etag.clone(), last_modified: body.last_modified.clone() };
    let bytes = body.read_to_end().await.map_err(CacheError::upstream)?;
    let labels = RepositoryLabels { repository: cache.word() };
    cache.shared.metrics.upstream_bytes.get_or_create(&labels).inc_by(bytes.len() as u64);
    let verified = {
        let (cache, resource, bytes) = (Arc::clone(cache), resource.clone(), bytes.clone());
        let shared = cache.shared.clone();
        shared
            .blocking(move |_| stored_resource::prove(&cache, &resource, bytes))
            .await?
            .map_err(CacheError::untrusted)?
    };
    Ok(UpstreamAnswer::Body { verified: Box::new(verified), bytes, validators })
}

fn count(cache: &RegistryCache, fetched: &Result<Fetched, crate::upstream::UpstreamError>) {
    let outcome = match fetched {
        Ok(Fetched::NotModified) => "not_modified",
        Ok(Fetched::Missing { .. }) => "missing",
        Ok(Fetched::Body(_)) => "body",
        Err(error) => error.reason(),
    };
    cache.shared.metrics.upstream_requests.get_or_create(&cache.reason_labels(outcome)).inc();
}

/// The releases or the package that have disappeared in an answer, compared to the present resource.
fn detect_loss(present: Option<&Arc<ReadyResource>>, answer: &UpstreamAnswer) -> Option<Taken> {
    let present = present?;
    match answer {
        UpstreamAnswer::Unchanged => None,
        UpstreamAnswer::Missing if present.removed_at.is_some() => None,
        UpstreamAnswer::Missing => Some(Taken::All),
        UpstreamAnswer::Body { verified, .. } => present.regress(verified.index()).map(Taken::Part),
    }
}

pub(super) enum Taken {
    All,
    Part(ListRegression),
}

/// Updates the resource after the upstream has answered that it is unchanged.
async fn confirm(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    present: &Arc<ReadyResource>,
) -> Result<Arc<ReadyResource>, CacheError> {
    let present = Arc::new(ReadyResource {
        confirmed_at: cache.shared.clock.now(),
        removed_at: None,
        carried: None,
        ..ReadyResource::clone(present)
    });
    write_record(cache, resource, &present).await?;
    // The releases left out of our signed payload may have changed since it was made: then it is rebuilt from the disk.
    if cache.options.own && *resource == RegistryResource::Versions {
        let refused = cache.gate.refused().await.map_err(CacheError::internal)?;
        if refused != *present.refused
            && let Some(anew) = stored_resource::load(Arc::clone(cache), resource.clone()).await?
        {
            return Ok(anew);
        }
    }
    Ok(present)
}

/// Handles a resource that the upstream has removed.
async fn removed(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    present: &Arc<ReadyResource>,
) -> Result<Arc<ReadyResource>, CacheError> {
    let now = cache.shared.clock.now();
    if present.removed_at.is_none() {
        let labels = cache.reason_labels("removed");
        cache.shared.metrics.upstream_changes.get_or_create(&labels).inc();
        let loss = UpstreamLoss::Removed { last: Some(&present.index) };
        cache.gate.on_upstream_loss(resource, loss).await.map_err(CacheError::internal)?;
    }
    let gone = ReadyResource { removed_at: present.removed_at.or(Some(now)), ..ReadyResource::clone(present) };
    if is_list(resource) {
        // This answer is not signed, so the last list keeps its age.
        let gone = Arc::new(gone);
        write_record(cache, resource, &gone).await?;
        cache.shared.memory.put_resource(cache.owner, resource, &gone);
        return Err(CacheError::NoList);
    }
    let gone = Arc::new(ReadyResource { confirmed_at: now, ..gone });
    match cache.on_removed(resource) {
        OnRemoved::Keep => {
            write_record(cache, resource, &gone).await?;
            return Ok(gone);
        }
        OnRemoved::Hide => write_record(cache, resource, &gone).await?,
        OnRemoved::Purge => {
            let (cache, resource) = (Arc::clone(cache), resource.clone());
            let shared = cache.shared.clone();
            shared.blocking(move |_| stored_resource::purge(&cache, Some(&resource))).await??;
        }
    }
    cache.shared.memory.remove_resource(cache.owner, resource);
    Err(CacheError::Missing)
}

/// Whether this resource lists what exists. Only such a list can say that something does not exist.
pub(super) fn is_list(resource: &RegistryResource) -> bool {
    matches!(resource, RegistryResource::Names | RegistryResource::Versions)
}

async fn write_record(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    present: &Arc<ReadyResource>,
) -> Result<(), CacheError> {
    let key = cache.slot(Area::Registry, resource)?.record_key();
    let record = record(cache, present);
    cache.shared.blocking(move |store| stored_resource::put_record(store, &key, &record)).await
}

fn record(cache: &RegistryCache, present: &ReadyResource) -> RegistryRecord {
    RegistryRecord {
        digest: present.source.to_string(),
        confirmed_at: present.confirmed_at,
        origin: cache.options.origin.clone(),
        etag: present.validators.etag.clone(),
        last_modified: present.validators.last_modified.clone(),
        removed_at: present.removed_at,
        carried: present.carried,
    }
}

pub(super) async fn report_loss(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    loss: Taken,
    before: &Index,
) -> Result<(), CacheError> {
    let (word, loss) = match loss {
        Taken::All => ("removed", UpstreamLoss::Removed { last: Some(before) }),
        Taken::Part(ListRegression::Releases(versions)) => {
            ("releases_removed", UpstreamLoss::Releases { versions, before })
        }
        Taken::Part(ListRegression::RolledBack(detail)) => ("rolled_back", UpstreamLoss::RolledBack { detail }),
    };
    cache.shared.metrics.upstream_changes.get_or_create(&cache.reason_labels(word)).inc();
    cache.gate.on_upstream_loss(resource, loss).await.map_err(CacheError::internal)
}

/// Accepts a new verified resource from the upstream: passes it through the gate, stores it and serves it.
pub(super) async fn replace(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    verified: Verified,
    bytes: Bytes,
    validators: Validators,
) -> Result<(Arc<ReadyResource>, Option<BypassReason>), CacheError> {
    let fresh = Freshness { confirmed_at: cache.shared.clock.now(), removed_at: None, validators, carried: None };
    put(cache, resource, verified, bytes, fresh).await
}

/// Passes a verified resource through the gate, stores it, and builds the payloads for clients.
pub(super) async fn put(
    cache: &Arc<RegistryCache>,
    resource: &RegistryResource,
    verified: Verified,
    bytes: Bytes,
    fresh: Freshness,
) -> Result<(Arc<ReadyResource>, Option<BypassReason>), CacheError> {
    debug_assert_eq!(Sha256::of(&bytes), Sha256::of(verified.gzip()));
    let present = stored_resource::finish(cache, resource, verified, fresh).await?;
    let record = record(cache, &present);
    let bypass = {
        let (cache, resource) = (Arc::clone(cache), resource.clone());
        let shared = cache.shared.clone();
        shared.blocking(move |store| stored_resource::store(&cache, store, &resource, &bytes, &record)).await??
    };
    if bypass.is_some() {
        // Without a file the validators are not used: the answer "unchanged" would never bring the file.
        let unkept = ReadyResource { validators: Validators::default(), ..ReadyResource::clone(&present) };
        return Ok((Arc::new(unkept), bypass));
    }
    Ok((present, bypass))
}

/// Counts and logs a failure for the operator. The HTTP layer answers the client.
fn report(cache: &RegistryCache, resource: &RegistryResource, error: &CacheError) {
    let chain = error as &dyn std::error::Error;
    match error {
        CacheError::Untrusted(untrusted) => {
            cache.shared.metrics.untrusted.get_or_create(&cache.reason_labels(untrusted.reason())).inc();
            tracing::error!(
                repository = %cache.options.key, %resource, reason = untrusted.reason(), error = chain,
                "the upstream's answer failed verification: it is neither stored nor served"
            );
        }
        CacheError::Upstream(_) | CacheError::NoOutcome(_) | CacheError::Forbidden | CacheError::NoList => {
            tracing::warn!(repository = %cache.options.key, %resource, error = chain, "the upstream failed");
        }
        CacheError::Internal(_) => {
            tracing::error!(repository = %cache.options.key, %resource, error = chain, "a resource could not be served");
        }
        CacheError::Missing | CacheError::MissingListed | CacheError::Offline | CacheError::Replaced => {}
    }
}
