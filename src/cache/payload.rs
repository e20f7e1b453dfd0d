//! What a registry resource says, on its way to whoever asks: stages hand it on, and it is signed once, last.

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

/// The bytes that a signature is made over, and their digest. Clones are handles to the same.
///
/// The bytes are held in one form alone: as they are, or within an envelope where there is one. What was signed is
/// answered from memory, without another signature, digest or decompression.
#[derive(Clone)]
pub struct Payload(Arc<Inner>);

struct Inner {
    digest: Sha256,
    form: RwLock<Form>,
    /// Held by whoever signs it.
    signing: tokio::sync::Mutex<()>,
}

enum Form {
    /// The bytes.
    Plain(Bytes),
    /// An envelope that was verified, under a signature that is not sent.
    Verified(Bytes),
    /// What is sent.
    Signed(SignedResource),
}

impl Payload {
    fn of(digest: Sha256, form: Form) -> Self {
        Self(Arc::new(Inner { digest, form: RwLock::new(form), signing: tokio::sync::Mutex::default() }))
    }

    /// What was made here and is not signed. Takes a digest: some milliseconds for a list of hex.pm's size.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Sha256::of(&bytes), Form::Plain(bytes))
    }

    /// What an upstream has signed, to be sent under another signature. `digest` is that of its payload.
    pub(super) fn verified(verified: &Verified, digest: Sha256) -> Self {
        Self::of(digest, Form::Verified(verified.gzip().clone()))
    }

    /// What an upstream has signed, to be sent as it came. `digest` is that of its payload.
    pub(super) fn passed_through(verified: &Verified, digest: Sha256) -> Self {
        Self::of(digest, Form::Signed(verified.pass_through()))
    }

    /// What is left of it after an edit of its bytes: itself where they have not changed.
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

    /// The bytes, where they are at hand.
    pub fn plain(&self) -> Option<Bytes> {
        match &*self.0.form.read() {
            Form::Plain(bytes) => Some(bytes.clone()),
            Form::Verified(_) | Form::Signed(_) => None,
        }
    }

    /// The bytes. Blocks for a moment where they are in an envelope.
    pub fn bytes(&self) -> Result<Bytes, CacheError> {
        let envelope = match &*self.0.form.read() {
            Form::Plain(bytes) => return Ok(bytes.clone()),
            Form::Verified(envelope) => envelope.clone(),
            Form::Signed(signed) => signed.body().clone(),
        };
        Ok(Envelope::open(envelope, limits::BULK_PAYLOAD).map_err(CacheError::untrusted)?.payload)
    }

    /// What is sent, where it has been signed.
    pub fn signed(&self) -> Option<SignedResource> {
        match &*self.0.form.read() {
            Form::Signed(signed) => Some(signed.clone()),
            Form::Plain(_) | Form::Verified(_) => None,
        }
    }

    /// Whether it has been signed.
    pub fn is_signed(&self) -> bool {
        matches!(&*self.0.form.read(), Form::Signed(_))
    }

    /// What is sent; signed by `sign` where nobody has signed it. Whoever asks meanwhile waits for this signature.
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

    /// How many bytes of memory it takes now.
    pub fn held(&self) -> usize {
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
