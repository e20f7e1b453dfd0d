//! What a request makes its answer depend on, read by the edge. Pure.

use crate::hex::checksum::Sha256;

/// What a client says it has of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The files that it has, by the digests in its `If-None-Match`. A tag that is no digest is of no file.
    pub has: Vec<Sha256>,
    /// `If-None-Match: *`: it has some file, and does not say which.
    pub has_any: bool,
}

impl Condition {
    /// No condition.
    pub const NONE: &'static Self = &Self { has: Vec::new(), has_any: false };

    /// Whether the client has this file, or says of any that it has it.
    pub(super) fn is_met_by(&self, digest: &Sha256) -> bool {
        self.has_any || self.names(digest)
    }

    /// Whether the client names this file.
    pub(super) fn names(&self, digest: &Sha256) -> bool {
        self.has.contains(digest)
    }
}
