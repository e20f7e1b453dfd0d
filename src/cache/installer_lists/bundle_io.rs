//! Lists that go to another server in a bundle, and come from one.
//!
//! They travel as they are stored, list and signature in one file. Where `installs.public_key` says who signs them they
//! are proven by it; else whoever has signed the bundle vouches for them.

use bytes::Bytes;

use super::{ListCache, ListSnapshot, fetch, stored};
use crate::cache::error::{CacheError, Untrusted};
use crate::cache::freshness::UpstreamMode;
use crate::cache::status::BypassReason;
use crate::cache::validators::Validators;
use crate::clock::Timestamp;
use crate::hex::installs::List;

/// A list that is here.
#[derive(Clone, Debug)]
pub struct BundledList {
    /// Which.
    pub list: List,
    /// As it is stored: list and signature.
    pub file: Bytes,
    /// What it lists.
    pub text: Bytes,
}

impl ListCache {
    /// Every list that is here and sound, by name. Blocks.
    pub fn all(&self) -> Result<Vec<BundledList>, CacheError> {
        let mut all = stored::files(self)?;
        all.sort_by(|one, other| one.list.cmp(&other.list));
        Ok(all)
    }

    /// What a file that came from another server lists, where it is sound.
    pub fn open(&self, list: &List, file: Bytes) -> Result<BundledList, CacheError> {
        let damaged = || CacheError::untrusted(Untrusted::Snapshot("it is not a list as hexkeep stores it".into()));
        let (text, signature) = stored::decode(&file).ok_or_else(damaged)?;
        fetch::is_signed_soundly(list, &text, signature.as_deref(), &self.options.public_keys)?;
        Ok(BundledList { list: list.clone(), file, text })
    }

    /// Takes in a list that came from another server, unless the upstream has given one and can be asked for more. Says
    /// why not where there was no room. Blocks.
    pub fn take_in(&self, list: &List, file: Bytes) -> Result<Option<BypassReason>, CacheError> {
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
            // The upstream is asked before it is served, if it can be.
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
