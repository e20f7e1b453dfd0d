//! Verifies the stored resources of a virtual repository again.

use super::VirtualRepository;
use crate::cache::CacheError;
use crate::repository::{Identity, sealer};

impl VirtualRepository {
    /// Verifies every resource that was signed here, for all views, and reports to `seen` whether it is undamaged. With
    /// `repair` damaged ones are removed, and signed again when they are requested. Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(String, bool)) -> Result<(), CacheError> {
        let Identity { key, name, .. } = self.identity();
        sealer::scrub(&self.shared.store, (key, name), Some(&self.sealer), repair, seen)
    }
}
