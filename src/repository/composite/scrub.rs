//! Proving again what is kept of a virtual repository's views.

use super::VirtualRepository;
use crate::cache::{CacheError, sealed};
use crate::hex::resource::{RegistryResource, Resource};
use crate::store::slots::Area;
use crate::trust::Origin;

impl VirtualRepository {
    /// Looks at each resource that was signed here, of every view, and says of each whether it is sound. With `repair` the
    /// others are removed, to be signed again when they are wanted. Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(String, bool)) -> Result<(), CacheError> {
        let store = &self.shared.store;
        let (slots, _) = store.slots_found(Area::Sealed).map_err(CacheError::internal)?;
        for slot in slots {
            // A view of a part has its scope behind a `+`, which no key has.
            let folder = slot.repository();
            if folder.split_once('+').map_or(folder, |(key, _)| key) != self.key().as_str() {
                continue;
            }
            let Some(resource) = parse(slot.path()) else { continue };
            let origin = Origin { repository: &self.options.identity.name, resource: &resource };
            let sound = sealed::is_sound(store, Some(&self.signer), &slot, &origin)?;
            if !sound && repair {
                store.slots.remove(&slot).map_err(CacheError::internal)?;
            }
            seen(slot.to_string(), sound);
        }
        Ok(())
    }
}

fn parse(path: &str) -> Option<RegistryResource> {
    match Resource::parse(&path.split('/').collect::<Vec<_>>()) {
        Ok(Resource::Registry(resource)) => Some(resource),
        _ => None,
    }
}
