//! Signed registry resources, ready to be sent to clients.

use std::sync::Arc;

use bytes::Bytes;

use crate::hex::checksum::Sha256;

/// A signed registry resource and its ETag. Cheap to clone.
///
/// Only [`Verified::pass_through`](super::Verified::pass_through) and [`Signer::seal`](super::Signer::seal) create it.
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

    /// The gzip bytes. They are sent unchanged, without a `Content-Encoding` header.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// SHA-256 of the body.
    pub fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// The strong entity tag, quotes included. It is the digest of the body, so it is the same on every replica.
    pub fn etag(&self) -> &str {
        &self.etag
    }
}
