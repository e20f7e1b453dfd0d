//! What a request makes its answer depend on, read by the edge. Pure.

use crate::hex::checksum::Sha256;

/// What a client says it has of a file, and which bytes it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The files that it has, by the digests in its `If-None-Match`. A tag that is no digest is of no file.
    pub has: Vec<Sha256>,
    /// `If-None-Match: *`: it has some file, and does not say which.
    pub has_any: bool,
    /// The first byte that it wants, of a `Range` that is to be honoured.
    pub first: Option<FirstByte>,
}

/// Where a range of bytes begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstByte {
    /// Counted from zero. A range of no bytes begins behind every file.
    pub at: u64,
    /// Of this file alone, by its entity tag; of another one the whole is wanted.
    pub only_of: Option<Box<[u8]>>,
}

impl Condition {
    /// No condition.
    pub const NONE: &'static Self = &Self { has: Vec::new(), has_any: false, first: None };

    /// Whether the client has this file, or says of any that it has it.
    pub(super) fn is_met_by(&self, digest: &Sha256) -> bool {
        self.has_any || self.names(digest)
    }

    /// Whether the client names this file.
    pub(super) fn names(&self, digest: &Sha256) -> bool {
        self.has.contains(digest)
    }

    /// Whether there are bytes to answer with, of a whole file of this length.
    pub(super) fn wants_bytes_of(&self, digest: &Sha256, length: u64) -> bool {
        self.first.as_ref().is_none_or(|first| {
            let is_other = |tag: &[u8]| tag != format!("\"{digest}\"").as_bytes();
            first.at < length || first.only_of.as_deref().is_some_and(is_other)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_behind_the_file_wants_no_bytes() {
        let (file, other) = (Sha256::of(b"file"), Sha256::of(b"other"));
        let from = |at: u64, of: Option<&Sha256>| Condition {
            first: Some(FirstByte { at, only_of: of.map(|of| format!("\"{of}\"").into_bytes().into()) }),
            ..Condition::default()
        };
        assert!(Condition::NONE.wants_bytes_of(&file, 0));
        assert!(from(9, None).wants_bytes_of(&file, 10));
        assert!(!from(10, None).wants_bytes_of(&file, 10));
        assert!(!from(u64::MAX, Some(&file)).wants_bytes_of(&file, 10));
        assert!(from(u64::MAX, Some(&other)).wants_bytes_of(&file, 10), "of another file the whole is wanted");
    }
}
