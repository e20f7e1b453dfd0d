//! Registry resources that may be sent.

use std::sync::Arc;

use bytes::Bytes;

use crate::hex::checksum::Sha256;

/// The bytes of a registry resource that somebody's key vouches for, and their ETag. Cheap to clone.
///
/// Made by [`Verified::pass_through`](super::Verified::pass_through) and [`Signer::seal`](super::Signer::seal) alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedResource {
    body: Bytes,
    digest: Sha256,
    etag: Arc<str>,
}

impl SignedResource {
    pub(super) fn new(body: Bytes) -> Self {
        let digest = Sha256::of(&body);
        Self { body, digest, etag: format!("\"{digest}\"").into() }
    }

    /// The gzip bytes, to be sent as they are and without a content encoding.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// SHA-256 of the body.
    pub fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// The strong entity tag, quotes included: the digest of the body, so it is the same on every replica.
    pub fn etag(&self) -> &str {
        &self.etag
    }
}
