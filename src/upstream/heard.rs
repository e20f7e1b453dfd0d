//! Whether an upstream has begun to answer: for those who must tell an upstream that is silent from one that is slow. May
//! import nothing of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether any answer to a request has begun. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<AtomicBool>);

impl Heard {
    /// Whether one has begun: its head has come.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl PartialEq for Heard {
    /// Whether both are told by the same request.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Heard {}
