//! Downloads a file once for many readers: one task writes, all clients read behind it.
//!
//! A fill fetches a file into a spool and reports its progress. Every client reads the spool at its own pace, so a slow
//! client slows down no other, and a client that disconnects cancels nothing. The last bytes are held back until the
//! digest has matched: no client can receive a complete file that does not match its signed index.

mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use super::SharedCaches;
use super::error::{CacheError, Untrusted};
use super::status::BypassReason;
use super::validators::Validators;
use crate::hex::checksum::{Sha256, Sha512};
use crate::store::StoredFile;
use crate::store::read_at::ReadAt;
use crate::store::spool::{NotStored, Spool};
use crate::upstream::{
    AnswerBegun, Fetched, RangeFrom, Redirects, Upstream, UpstreamBody, UpstreamError, UpstreamRequest,
};

/// How many bytes are collected before they are hashed and written, with one call of the blocking pool.
const WRITE_BYTES: usize = 256 * 1024;

/// How often a broken transfer is resumed.
const RESUMES: u32 = 2;

/// The checksums that a file must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedFile {
    /// SHA-256 of the whole file.
    Outer(Sha256),
    /// SHA-256 of the tarball's inner files: old releases have only this one.
    Inner(Sha256),
    /// Both: the index got the outer checksum later than the inner one, or has only one of them now.
    Both {
        /// SHA-256 of the whole file.
        outer: Sha256,
        /// SHA-256 of the tarball's inner files.
        inner: Sha256,
    },
    /// SHA-512 of the whole file, as the lists of installers have it.
    Sha512(Sha512),
    /// No checksum is known: docs.
    Anything,
}

impl ExpectedFile {
    /// The key of the record that says under which SHA-256 the file is stored; `None` if the checksum is that SHA-256
    /// itself.
    pub(super) fn record_key(&self) -> Option<String> {
        match self {
            Self::Inner(digest) | Self::Both { inner: digest, .. } => Some(digest.to_string()),
            Self::Sha512(digest) => Some(digest.to_string()),
            Self::Outer(_) | Self::Anything => None,
        }
    }

    /// The SHA-256 of the whole file, if it is known before the file is fetched.
    pub fn outer(&self) -> Option<Sha256> {
        match self {
            Self::Outer(outer) | Self::Both { outer, .. } => Some(*outer),
            Self::Inner(_) | Self::Sha512(_) | Self::Anything => None,
        }
    }
}

/// The progress of a fill.
#[derive(Clone, Debug)]
pub enum FillState {
    /// The upstream has not answered yet.
    Starting,
    /// Bytes are arriving.
    Writing {
        /// Where they are.
        content: Arc<dyn ReadAt>,
        /// The length of the file, if the upstream has sent it.
        length: Option<u64>,
        /// How many can be read now.
        written: u64,
        /// Why it will not be stored, if that is known already.
        bypass: Option<BypassReason>,
    },
    /// The file is complete and verified.
    Done(FilledFile),
    /// The fill has failed.
    Failed(CacheError),
}

/// A file that was fetched and verified.
#[derive(Clone, Debug)]
pub struct FilledFile {
    /// Where its bytes are, stored or not.
    pub content: Arc<dyn ReadAt>,
    /// How many.
    pub length: u64,
    /// SHA-256 of all of them.
    pub digest: Sha256,
    /// Why it was not stored, if so.
    pub bypass: Option<BypassReason>,
}

impl FilledFile {
    /// The file as a stored file, for reading.
    pub fn stored(&self) -> StoredFile {
        StoredFile { content: Arc::clone(&self.content), length: self.length }
    }
}

impl From<NotStored> for BypassReason {
    fn from(reason: NotStored) -> Self {
        match reason {
            NotStored::NoRoom => Self::NoRoom,
            NotStored::DiskFull => Self::DiskFull,
        }
    }
}

/// Called if the digest is not the expected one: does the index list this digest now?
pub type DigestRecheck = Box<dyn FnOnce(Sha256) -> BoxFuture<'static, bool> + Send + Sync>;

/// The input of a fill.
pub struct FillContext {
    /// Path below the upstream's base.
    pub path: String,
    /// Validators, for docs.
    pub validators: Validators,
    /// The expected checksums.
    pub expected: ExpectedFile,
    /// Whether there is a copy already: then 403 means that access is denied, not that the file does not exist.
    pub known: bool,
    /// Longer bodies are refused.
    pub max_body: u64,
    /// How long until the upstream's answer begins.
    pub deadline: Duration,
    /// Called if the digest does not match.
    pub recheck: DigestRecheck,
    /// Where to fetch.
    pub upstream: Arc<dyn Upstream>,
    /// Where to store it.
    pub shared: SharedCaches,
}

impl fmt::Debug for FillContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filling").field("path", &self.path).field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// The outcome of a fill; `None` only if the upstream answered that nothing has changed.
pub type FillOutcome = Result<Option<(FilledFile, Validators)>, CacheError>;

/// Runs a fill to its end, and reports its progress to `state`.
pub async fn run(filling: FillContext, state: watch::Sender<FillState>) -> FillOutcome {
    filling.shared.metrics.fills.inc();
    let metrics = Arc::clone(&filling.shared.metrics);
    let outcome = fill(filling, &state).await;
    metrics.fills.dec();
    match &outcome {
        Ok(Some((filled, _))) => state.send_replace(FillState::Done(filled.clone())),
        Ok(None) => state.send_replace(FillState::Failed(CacheError::Missing)),
        Err(error) => state.send_replace(FillState::Failed(error.clone())),
    };
    outcome
}

async fn fill(filling: FillContext, state: &watch::Sender<FillState>) -> FillOutcome {
    let deadline = Instant::now() + filling.deadline;
    let body = match filling.fetch(None, false, deadline).await? {
        Fetched::NotModified => return Ok(None),
        Fetched::Missing { .. } => return Err(CacheError::Missing),
        Fetched::Body(body) => body,
    };
    let validators = Validators { etag: body.etag.clone(), last_modified: body.last_modified.clone() };
    let length = body.length;
    let mut spool = filling.shared.blocking(move |store| store.blobs.begin(length)).await?;
    let progress = FillProgress { state, content: spool.content(), length };
    progress.tell(&spool);
    let mut resumes = 0;
    let mut transfer = Ok(body);
    loop {
        let outcome = match transfer {
            Ok(body) => {
                let (back, outcome) = drain(&filling.shared, spool, body, &progress).await?;
                spool = back;
                outcome
            }
            Err(error) => Err(error),
        };
        let Err(error) = outcome else { break };
        resumes += 1;
        if resumes > RESUMES || !error.is_retryable() {
            return Err(CacheError::upstream(error));
        }
        tracing::info!(path = filling.path, written = spool.written(), %error, "a download was interrupted: resuming it");
        let deadline = Instant::now() + filling.deadline;
        (spool, transfer) = resume(&filling, spool, &validators, deadline).await?;
    }
    let not_stored = spool.not_stored();
    let finished = filling.shared.blocking(move |_| spool.finish()).await?;
    let filled = verify::verify_and_store(filling, finished, not_stored).await?;
    Ok(Some((filled, validators)))
}

impl FillContext {
    async fn fetch(
        &self,
        range_from: Option<RangeFrom>,
        resumes: bool,
        deadline: Instant,
    ) -> Result<Fetched, CacheError> {
        let request = UpstreamRequest {
            query: None,
            path: self.path.clone(),
            etag: self.validators.etag.clone().filter(|_| range_from.is_none()),
            last_modified: self.validators.last_modified.clone().filter(|_| range_from.is_none()),
            range_from,
            resumes,
            refresh: false,
            redirects: match self.expected {
                ExpectedFile::Anything => Redirects::WithinOrigin,
                ExpectedFile::Outer(_)
                | ExpectedFile::Inner(_)
                | ExpectedFile::Both { .. }
                | ExpectedFile::Sha512(_) => Redirects::ToPublic,
            },
            max_body: self.max_body,
            heard: AnswerBegun::default(),
        };
        match self.upstream.fetch(request, deadline).await.map_err(CacheError::upstream)? {
            Fetched::Missing { status: 403 } if self.known => Err(CacheError::Forbidden),
            fetched => Ok(fetched),
        }
    }
}

#[derive(Debug)]
struct FillProgress<'a> {
    state: &'a watch::Sender<FillState>,
    content: Arc<dyn ReadAt>,
    length: Option<u64>,
}

impl FillProgress<'_> {
    fn tell(&self, spool: &Spool) {
        self.state.send_replace(FillState::Writing {
            content: Arc::clone(&self.content),
            length: self.length,
            written: spool.written(),
            bypass: spool.not_stored().map(BypassReason::from),
        });
    }
}

/// Moves a body into the spool until it ends or breaks.
async fn drain(
    shared: &SharedCaches,
    mut spool: Spool,
    mut body: UpstreamBody,
    progress: &FillProgress<'_>,
) -> Result<(Spool, Result<(), UpstreamError>), CacheError> {
    loop {
        let (gathered, end) = gather(&mut body).await;
        if !gathered.is_empty() {
            spool = append(shared, spool, gathered).await?;
            progress.tell(&spool);
        }
        match end {
            None => {}
            Some(outcome) => return Ok((spool, outcome)),
        }
    }
}

/// Waits for some bytes, and takes those that have arrived meanwhile. The second value says that the body has ended,
/// and how.
async fn gather(body: &mut UpstreamBody) -> (Bytes, Option<Result<(), UpstreamError>>) {
    let first = match body.chunk().await {
        Ok(Some(chunk)) => chunk,
        Ok(None) => return (Bytes::new(), Some(Ok(()))),
        Err(error) => return (Bytes::new(), Some(Err(error))),
    };
    let mut more: Option<BytesMut> = None;
    let mut length = first.len();
    while length < WRITE_BYTES {
        let Some(next) = body.chunk().now_or_never() else { break };
        match next {
            Ok(Some(chunk)) => {
                length += chunk.len();
                more.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&chunk);
            }
            Ok(None) => return (more.map_or(first, BytesMut::freeze), Some(Ok(()))),
            Err(error) => return (more.map_or(first, BytesMut::freeze), Some(Err(error))),
        }
    }
    (more.map_or(first, BytesMut::freeze), None)
}

async fn append(shared: &SharedCaches, mut spool: Spool, bytes: Bytes) -> Result<Spool, CacheError> {
    shared.blocking(move |_| spool.append(bytes).map(|()| spool)).await?.map_err(CacheError::internal)
}

/// Resumes a broken transfer: by range if the upstream has a strong validator; otherwise from the start, and the bytes
/// have to equal those that are stored already. The inner error says that this transfer broke, too.
async fn resume(
    filling: &FillContext,
    spool: Spool,
    validators: &Validators,
    deadline: Instant,
) -> Result<(Spool, Result<UpstreamBody, UpstreamError>), CacheError> {
    let strong = validators.etag.clone().filter(|etag| etag.starts_with('"'));
    let range = strong.filter(|_| spool.written() > 0).map(|etag| RangeFrom { offset: spool.written(), etag });
    let mut body = match filling.fetch(range, true, deadline).await? {
        Fetched::Body(body) => body,
        Fetched::NotModified | Fetched::Missing { .. } => return Err(CacheError::Missing),
    };
    if body.status == 206 {
        return Ok((spool, Ok(body)));
    }
    let mut offset = 0;
    while offset < spool.written() {
        let chunk = match body.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Err(CacheError::untrusted(Untrusted::ChangedDuringFetch)),
            Err(error) => return Ok((spool, Err(error))),
        };
        let content = spool.content();
        let known = (spool.written() - offset).min(chunk.len() as u64);
        let head = chunk.slice(..usize::try_from(known).unwrap_or(chunk.len()).min(chunk.len()));
        let at = offset;
        let same = filling.shared.blocking(move |_| begins_with(&*content, at, &head)).await?;
        if !same {
            return Err(CacheError::untrusted(Untrusted::ChangedDuringFetch));
        }
        offset += known;
        let rest = chunk.slice(usize::try_from(known).unwrap_or(chunk.len()).min(chunk.len())..);
        if !rest.is_empty() {
            let spool = append(&filling.shared, spool, rest).await?;
            return Ok((spool, Ok(body)));
        }
    }
    Ok((spool, Ok(body)))
}

fn begins_with(content: &dyn ReadAt, mut offset: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Ok(stored) = content.read(offset, bytes.len() as u64) else { return false };
        let Some(rest) = bytes.strip_prefix(&stored[..]) else { return false };
        offset += stored.len() as u64;
        bytes = rest;
    }
    true
}
