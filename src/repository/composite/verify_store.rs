//! Proving again what is kept of a virtual repository's views.

use super::VirtualRepository;
use crate::cache::CacheError;
use crate::repository::{Identity, sealer};

impl VirtualRepository {
    /// Looks at each resource that was signed here, of every view, and says of each whether it is sound. With `repair` the
    /// others are removed, to be signed again when they are wanted. Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(String, bool)) -> Result<(), CacheError> {
        let Identity { key, name, .. } = self.identity();
        sealer::scrub(&self.shared.store, (key, name), Some(&self.sealer), repair, seen)
    }
}
