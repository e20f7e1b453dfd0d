//! Fetches a list and its signature from the upstream, and checks that they match. A fetch runs detached; there is only
//! one at a time for each list.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::time::Instant;

use super::stored;
use super::{INSTALLS, ListCache, ListSnapshot, labels};
use crate::cache::error::{CacheError, Untrusted};
use crate::cache::read_through::FetchedEntry as Outcome;
use crate::cache::validators::Validators;
use crate::hex::checksum::{Hasher, Sha256};
use crate::hex::installs::List;
use crate::hex::limits;
use crate::trust::{PublicKey, is_signed};
use crate::upstream::{Fetched, Redirects, UpstreamRequest};

/// If only one half of a pair changed, an outdated HTTP cache is assumed for this long; after that, the upstream has
/// changed its key.
const DOUBT: Duration = Duration::from_secs(60 * 60);

/// Fetches the snapshot of `list`; counts and logs the outcome.
pub(super) async fn run(
    cache: Arc<ListCache>,
    list: List,
    held: Option<Arc<ListSnapshot>>,
    past_caches: bool,
) -> Result<Outcome<Arc<ListSnapshot>>, CacheError> {
    let outcome = attempt(&cache, &list, held, past_caches).await;
    let requests = &cache.shared.metrics.upstream_requests;
    match &outcome {
        Ok(fetched) => {
            requests.get_or_create(&labels(if fetched.unchanged { "not_modified" } else { "body" })).inc();
        }
        Err(error) => {
            let chain = error as &dyn std::error::Error;
            match error {
                CacheError::Missing => {
                    requests.get_or_create(&labels("missing")).inc();
                }
                CacheError::Untrusted(untrusted) => {
                    cache.shared.metrics.untrusted.get_or_create(&labels(untrusted.reason())).inc();
                    tracing::error!(
                        repository = INSTALLS, path = %list, error = chain,
                        "a list of installers failed verification: the last good list and signature stay in use"
                    );
                }
                CacheError::Upstream(upstream) => {
                    requests.get_or_create(&labels(upstream.reason())).inc();
                    tracing::warn!(repository = INSTALLS, path = %list, error = chain, "a list could not be fetched");
                }
                _ => tracing::warn!(repository = INSTALLS, path = %list, error = chain, "a list could not be fetched"),
            }
        }
    }
    outcome
}

/// A list and its signature as they were fetched.
struct ListPair {
    list: Bytes,
    signature: Option<Bytes>,
    of_list: Validators,
    of_signature: Validators,
}

async fn attempt(
    cache: &Arc<ListCache>,
    list: &List,
    held: Option<Arc<ListSnapshot>>,
    past_caches: bool,
) -> Result<Outcome<Arc<ListSnapshot>>, CacheError> {
    let deadline = Instant::now() + cache.options.deadline;
    let before = held.as_ref().filter(|held| *held.origin == *cache.options.origin);
    let pair = fetch(cache, list, before, past_caches, deadline).await?;
    let pair = match judge(cache, list, before, &pair) {
        Ok(()) => pair,
        Err(error) if past_caches => return Err(error),
        // An HTTP cache on the way may have sent one outdated half.
        Err(error) => {
            tracing::info!(repository = INSTALLS, path = %list, %error, "a list is fetched again, bypassing HTTP caches");
            let pair = fetch(cache, list, None, true, deadline).await?;
            judge(cache, list, before, &pair)?;
            pair
        }
    };
    cache.doubted.lock().remove(list);
    let unchanged = held.as_ref().is_some_and(|held| held.list == pair.list && held.signature == pair.signature);
    let snapshot = Arc::new(ListSnapshot {
        list: pair.list,
        signature: pair.signature,
        confirmed_at: cache.shared.clock.now(),
        origin: cache.options.origin.as_str().into(),
        of_list: pair.of_list,
        of_signature: pair.of_signature,
    });
    let (writing, kept, name) = (Arc::clone(cache), Arc::clone(&snapshot), list.clone());
    let bypass = cache.shared.blocking(move |store| stored::write(&writing, store, &name, &kept, unchanged)).await?;
    cache.held.insert(list.clone(), Arc::clone(&snapshot));
    Ok(Outcome { entry: snapshot, unchanged, bypass })
}

/// Fetches the list and its signature, and then the list again to see that it has not changed meanwhile.
async fn fetch(
    cache: &ListCache,
    list: &List,
    before: Option<&Arc<ListSnapshot>>,
    past_caches: bool,
    deadline: Instant,
) -> Result<ListPair, CacheError> {
    let is_proven = list.is_signed() && !cache.options.public_keys.is_empty();
    let how = (is_proven, past_caches);
    let known = before.map(|before| (&before.list, &before.of_list));
    let text = ask(cache, list.path(), limits::INSTALLS_LIST, known, how, deadline).await?;
    let Some((text, of_list)) = text else { return Err(CacheError::Missing) };
    if !list.is_signed() {
        return Ok(ListPair { list: text, signature: None, of_list, of_signature: Validators::default() });
    }
    let known = before.and_then(|before| Some((before.signature.as_ref()?, &before.of_signature)));
    let signature = list.signature_path();
    let signature = ask(cache, signature, limits::INSTALLS_SIGNATURE, known, how, deadline).await?;
    let (signature, of_signature) = signature.unzip();
    let pair = ListPair { list: text, signature, of_list, of_signature: of_signature.unwrap_or_default() };
    if before.is_some_and(|before| before.list == pair.list && before.signature == pair.signature) {
        return Ok(pair);
    }
    let known = Some((&pair.list, &pair.of_list));
    let again = ask(cache, list.path(), limits::INSTALLS_LIST, known, how, deadline).await?;
    match again {
        Some((again, _)) if again == pair.list => Ok(pair),
        _ => Err(snapshot("the list changed while its signature was being fetched")),
    }
}

/// Fetches one text; `None` if the upstream does not have it.
async fn ask(
    cache: &ListCache,
    path: String,
    most: usize,
    known: Option<(&Bytes, &Validators)>,
    (is_proven, past_caches): (bool, bool),
    deadline: Instant,
) -> Result<Option<(Bytes, Validators)>, CacheError> {
    let validators = known.filter(|_| !past_caches).map(|(_, validators)| validators.clone()).unwrap_or_default();
    let request = UpstreamRequest {
        etag: validators.etag,
        last_modified: validators.last_modified,
        refresh: past_caches,
        // With a key, both halves are verified together, so redirects to other hosts are safe.
        redirects: if is_proven { Redirects::ToPublic } else { Redirects::WithinOrigin },
        ..UpstreamRequest::get(path, most as u64)
    };
    match cache.upstream.fetch(request, deadline).await.map_err(CacheError::upstream)? {
        Fetched::NotModified => Ok(known.map(|(text, validators)| (text.clone(), validators.clone()))),
        Fetched::Missing { .. } => Ok(None),
        Fetched::Body(body) => {
            let validators = Validators { etag: body.etag.clone(), last_modified: body.last_modified.clone() };
            let bytes = body.read_to_end().await.map_err(CacheError::upstream)?;
            Ok(Some((bytes, validators)))
        }
    }
}

/// Checks that a pair may be served.
fn judge(
    cache: &ListCache,
    list: &List,
    before: Option<&Arc<ListSnapshot>>,
    pair: &ListPair,
) -> Result<(), CacheError> {
    let keys = &cache.options.public_keys;
    is_signed_soundly(list, &pair.list, pair.signature.as_deref(), keys)?;
    let Some(text) = pair.signature.as_ref().filter(|_| list.is_signed()) else {
        let had_one = list.is_signed() && before.is_some_and(|before| before.signature.is_some());
        return if had_one { Err(snapshot("it has no signature")) } else { Ok(()) };
    };
    if !keys.is_empty() {
        return Ok(());
    }
    let Some((old, old_signature)) = before.and_then(|before| Some((&before.list, before.signature.as_ref()?))) else {
        return Ok(());
    };
    if (*old == pair.list) == (*old_signature == *text) || is_unchanged_for_an_hour(cache, list, pair) {
        return Ok(());
    }
    Err(snapshot(if *old == pair.list {
        "its signature changed, but the list did not"
    } else {
        "the list changed, but its signature did not"
    }))
}

/// Checks that a text is a list of this kind, and that its signature, if it needs one, was made by one of `keys`.
/// Without keys any well-formed signature is accepted.
pub(super) fn is_signed_soundly(
    list: &List,
    text: &[u8],
    signature: Option<&[u8]>,
    keys: &[PublicKey],
) -> Result<(), CacheError> {
    if !list.has_entries(text) {
        return Err(snapshot("the answer is not a list of this kind"));
    }
    if !list.is_signed() {
        return Ok(());
    }
    let Some(signature) = signature else {
        return if keys.is_empty() { Ok(()) } else { Err(snapshot("it has no signature")) };
    };
    let signature = decode(signature)
        .ok_or_else(|| snapshot("its signature is not valid base64, or its length is not plausible"))?;
    if keys.is_empty() || is_signed(text, &signature, keys) {
        return Ok(());
    }
    Err(snapshot("its signature does not match any key in installs.public_key"))
}

/// Whether the upstream has had exactly this pair for an hour.
fn is_unchanged_for_an_hour(cache: &ListCache, list: &List, pair: &ListPair) -> bool {
    let mut hasher = Hasher::new();
    hasher.update(Sha256::of(&pair.list).as_bytes());
    hasher.update(pair.signature.as_deref().unwrap_or_default());
    let digest = hasher.finish();
    let now = cache.shared.clock.now();
    let mut doubted = cache.doubted.lock();
    let (seen, since) = doubted.entry(list.clone()).or_insert((digest, now));
    if *seen != digest || now.is_before(*since) {
        (*seen, *since) = (digest, now);
    }
    now.since(*since) >= DOUBT
}

/// The bytes of a signature: base64 in lines, as `openssl base64` writes it.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(text).ok()?;
    (limits::RSA_MIN_BITS / 8..=limits::SIGNATURE).contains(&bytes.len()).then_some(bytes)
}

fn snapshot(why: &str) -> CacheError {
    CacheError::untrusted(Untrusted::Snapshot(why.into()))
}
