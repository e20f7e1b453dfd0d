//! Exports lists of installers to a bundle, and imports them from a bundle of another server.
//!
//! A bundle contains each list as it is stored: list and signature in one file. If `installs.public_key` is configured,
//! imported lists are verified with it; otherwise the signature of the bundle has to suffice.

use bytes::Bytes;

use super::{ListCache, ListSnapshot, fetch, stored};
use crate::cache::error::{CacheError, Untrusted};
use crate::cache::freshness::UpstreamMode;
use crate::cache::status::BypassReason;
use crate::cache::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::installs::List;

/// A stored list.
#[derive(Clone, Debug)]
pub struct BundledList {
    /// Its name.
    pub list: List,
    /// The stored file: list and signature.
    pub file: Bytes,
    /// The text of the list.
    pub text: Bytes,
}

impl ListCache {
    /// Every undamaged list, sorted by name. Blocks.
    pub fn all(&self) -> Result<Vec<BundledList>, CacheError> {
        let mut all = stored::files(self)?;
        all.sort_by(|one, other| one.list.cmp(&other.list));
        Ok(all)
    }

    /// Verifies and decodes a list file from another server.
    pub fn open(&self, list: &List, file: Bytes) -> Result<BundledList, CacheError> {
        let damaged =
            || CacheError::untrusted(Untrusted::Snapshot("it is not a list in hexkeep's storage format".into()));
        let (text, signature) = stored::decode(&file).ok_or_else(damaged)?;
        fetch::is_signed_soundly(list, &text, signature.as_deref(), &self.options.public_keys)?;
        Ok(BundledList { list: list.clone(), file, text })
    }

    /// Stores a list from another server. A list from the upstream stays, unless this server is offline. Returns the
    /// reason if there was no room. Blocks.
    pub fn import(&self, list: &List, file: Bytes) -> Result<Option<BypassReason>, CacheError> {
        let carried = self.open(list, file)?;
        let store = &self.shared.store;
        let held = stored::read(self, store, list)?;
        if held.is_some_and(|held| held.list == carried.text || self.options.rules.network != UpstreamMode::Offline) {
            return Ok(None);
        }
        let signature = stored::decode(&carried.file).and_then(|(_, signature)| signature);
        let snapshot = ListSnapshot {
            list: carried.text,
            signature,
            // Not fresh: the upstream is asked before it is served, unless this server is offline.
            confirmed_at: Timestamp::default(),
            origin: "".into(),
            of_list: Validators::default(),
            of_signature: Validators::default(),
        };
        let bypass = stored::write(self, store, list, &snapshot, false);
        self.through.forget(list);
        self.held.invalidate(list);
        Ok(bypass)
    }
}
