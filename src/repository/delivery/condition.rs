//! The condition of a conditional request, which the HTTP layer has parsed. Pure functions.

use crate::hex::checksum::Sha256;

/// The files that a client has already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The digests in its `If-None-Match`. An entity tag that is not a digest matches no file.
    pub has: Vec<Sha256>,
    /// `If-None-Match: *`: the client has some file.
    pub has_any: bool,
}

impl Condition {
    /// No condition.
    pub const NONE: &'static Self = &Self { has: Vec::new(), has_any: false };

    /// Whether the client has this file, or sent `*`.
    pub(super) fn is_met_by(&self, digest: &Sha256) -> bool {
        self.has_any || self.names(digest)
    }

    /// Whether the client lists this file.
    pub(super) fn names(&self, digest: &Sha256) -> bool {
        self.has.contains(digest)
    }
}
