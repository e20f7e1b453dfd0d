//! The content of a registry resource on its way to a client. Several stages may edit it; it is signed once, at the
//! end.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::error::CacheError;
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::limits;
use crate::trust::{SignedResource, Verified};

/// The bytes that a signature covers, and their digest. Clones share the data.
///
/// The bytes are held in one form only: plain, or in an envelope if there is one. A signed payload is served from
/// memory, without another signature, digest or decompression.
#[derive(Clone)]
pub struct Payload(Arc<Inner>);

struct Inner {
    digest: Sha256,
    form: RwLock<Form>,
    /// Locked while the payload is being signed.
    signing: tokio::sync::Mutex<()>,
}

enum Form {
    /// The bytes.
    Plain(Bytes),
    /// A verified envelope. Its signature is not sent.
    Verified(Bytes),
    /// The signed resource that is sent.
    Signed(SignedResource),
}

impl Payload {
    fn of(digest: Sha256, form: Form) -> Self {
        Self(Arc::new(Inner { digest, form: RwLock::new(form), signing: tokio::sync::Mutex::default() }))
    }

    /// A new payload that is not signed. Computes a digest: some milliseconds for a list of hex.pm's size.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Sha256::of(&bytes), Form::Plain(bytes))
    }

    /// A payload that an upstream has signed, to be sent with another signature. `digest` is that of the payload.
    pub(super) fn verified(verified: &Verified, digest: Sha256) -> Self {
        Self::of(digest, Form::Verified(verified.gzip().clone()))
    }

    /// A payload that an upstream has signed, to be sent unchanged. `digest` is that of the payload.
    pub(super) fn passed_through(verified: &Verified, digest: Sha256) -> Self {
        Self::of(digest, Form::Signed(verified.pass_through()))
    }

    /// The payload after an edit of its bytes; the same payload if they have not changed.
    pub fn edited(&self, bytes: Cow<'_, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(_) => self.clone(),
            Cow::Owned(bytes) => Self::new(bytes),
        }
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> &Sha256 {
        &self.0.digest
    }

    /// The bytes, if they are not in an envelope.
    pub fn plain(&self) -> Option<Bytes> {
        match &*self.0.form.read() {
            Form::Plain(bytes) => Some(bytes.clone()),
            Form::Verified(_) | Form::Signed(_) => None,
        }
    }

    /// The bytes. Blocks briefly if they are in an envelope.
    pub fn bytes(&self) -> Result<Bytes, CacheError> {
        let envelope = match &*self.0.form.read() {
            Form::Plain(bytes) => return Ok(bytes.clone()),
            Form::Verified(envelope) => envelope.clone(),
            Form::Signed(signed) => signed.body().clone(),
        };
        Ok(Envelope::open(envelope, limits::BULK_PAYLOAD).map_err(CacheError::untrusted)?.payload)
    }

    /// The signed resource, if the payload has been signed.
    pub fn signed(&self) -> Option<SignedResource> {
        match &*self.0.form.read() {
            Form::Signed(signed) => Some(signed.clone()),
            Form::Plain(_) | Form::Verified(_) => None,
        }
    }

    /// Whether the payload has been signed.
    pub fn is_signed(&self) -> bool {
        matches!(&*self.0.form.read(), Form::Signed(_))
    }

    /// The signed resource. If the payload is not signed yet, `sign` signs it; concurrent callers wait for this one
    /// signature.
    pub async fn signed_once(
        &self,
        sign: impl AsyncFnOnce() -> Result<SignedResource, CacheError>,
    ) -> Result<SignedResource, CacheError> {
        let _one = self.0.signing.lock().await;
        if let Some(signed) = self.signed() {
            return Ok(signed);
        }
        let signed = sign().await?;
        *self.0.form.write() = Form::Signed(signed.clone());
        Ok(signed)
    }

    /// How many bytes of memory the payload uses now.
    pub fn memory_bytes(&self) -> usize {
        match &*self.0.form.read() {
            Form::Plain(bytes) | Form::Verified(bytes) => bytes.len(),
            Form::Signed(signed) => signed.body().len(),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({})", self.0.digest)
    }
}
