//! A flag that tells whether an upstream has begun to answer. It distinguishes an upstream that gives no answer from a
//! slow one. This module must not import other modules of the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an answer to any attempt of a request has begun. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct AnswerBegun(Arc<AtomicBool>);

impl AnswerBegun {
    /// Whether the head of an answer has arrived.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl PartialEq for AnswerBegun {
    /// Whether both belong to the same request.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AnswerBegun {}
