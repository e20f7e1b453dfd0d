//! The time of each key's last use: recorded in memory and written periodically, so that requests do not wait for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use super::accounts::Accounts;
use crate::clock::Timestamp;
use crate::state::StateError;
use crate::state::keys::LastUse;

/// The shortest time between two records of one key.
const EVERY: Duration = Duration::from_secs(5 * 60);

/// The longest user agent that is stored.
const AGENT: usize = 255;

#[derive(Debug, Default)]
pub(super) struct LastUses {
    keys: Mutex<HashMap<i64, Noted>>,
}

#[derive(Debug)]
struct Noted {
    at: Timestamp,
    unwritten: Option<LastUse>,
}

impl LastUses {
    /// Records a time that is already in the database.
    pub(super) fn was_used(&self, key: i64, at: Timestamp) {
        self.keys.lock().entry(key).or_insert(Noted { at, unwritten: None });
    }

    pub(super) fn note(&self, key: i64, now: Timestamp, address: IpAddr, agent: Option<&str>) {
        let mut keys = self.keys.lock();
        if keys.get(&key).is_some_and(|noted| now.is_within(EVERY, noted.at)) {
            return;
        }
        let agent = agent.map(|agent| agent.chars().take(AGENT).collect());
        let unwritten = Some(LastUse { at: now, address: Some(address), agent });
        keys.insert(key, Noted { at: now, unwritten });
    }

    /// Returns the records to write, and removes old ones.
    fn take(&self, now: Timestamp) -> Vec<(i64, LastUse)> {
        let mut keys = self.keys.lock();
        let unwritten = keys.iter_mut().filter_map(|(key, noted)| Some((*key, noted.unwritten.take()?))).collect();
        keys.retain(|_, noted| now.is_within(EVERY, noted.at));
        unwritten
    }
}

impl Accounts {
    /// Writes the times of last use. Called periodically and at shutdown; a crash loses the records of some minutes.
    pub async fn write_last_uses(&self) -> Result<(), StateError> {
        let uses = self.uses.take(self.clock.now());
        if uses.is_empty() { Ok(()) } else { self.state.keys_used(&uses).await }
    }
}
