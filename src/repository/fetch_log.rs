//! The fetch log: which callers downloaded which release, and who requested releases that are held by policy (interface
//! §6).
//!
//! Requests are counted in memory and written every few seconds, so that no request waits for this. A crash loses the
//! counts since the last write.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::{Mutex, RwLock};

use crate::auth::Caller;
use crate::clock::{Clock, Timestamp};
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::state::fetches::{Fetch, FetchOutcome, FetchTally};
use crate::state::{State, StateError};
use crate::telemetry::metrics::Metrics;

/// Maximum number of lines that are counted between two writes; further ones are dropped.
const LINES: usize = 100_000;

/// How much of an address is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// The whole address.
    Full,
    /// The network of the address: /24, or /48 for IPv6.
    Prefix,
    /// Nothing.
    Off,
}

/// What is recorded, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLogOptions {
    /// How long a line is kept after its last request; zero: nothing is recorded.
    pub retain: Duration,
    pub addresses: Addresses,
}

/// The fetch log.
#[derive(Debug)]
pub struct FetchLog {
    options: RwLock<FetchLogOptions>,
    counted: Mutex<HashMap<Fetch, FetchTally>>,
    state: State,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl FetchLog {
    /// A log with nothing in memory.
    pub fn new(options: FetchLogOptions, state: State, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { options: RwLock::new(options), counted: Mutex::default(), state, clock, metrics }
    }

    /// Changes the options.
    pub fn set(&self, options: FetchLogOptions) {
        *self.options.write() = options;
    }

    /// Whether anything is recorded.
    pub fn is_written_down(&self) -> bool {
        !self.options.read().retain.is_zero()
    }

    /// Counts the delivery of a release.
    pub fn delivered(&self, repository: &RepoName, release: &ArtifactName, caller: &Caller, client: Option<IpAddr>) {
        self.count(repository, release, (FetchOutcome::Delivered, ""), caller, client);
    }

    /// Counts a request for a release that a policy holds by `rule`, or would hold.
    pub fn held(
        &self,
        repository: &RepoName,
        release: &ArtifactName,
        held: (FetchOutcome, &'static str),
        caller: &Caller,
        client: Option<IpAddr>,
    ) {
        self.count(repository, release, held, caller, client);
    }

    fn count(
        &self,
        repository: &RepoName,
        release: &ArtifactName,
        (outcome, rule): (FetchOutcome, &'static str),
        caller: &Caller,
        client: Option<IpAddr>,
    ) {
        let FetchLogOptions { retain, addresses } = *self.options.read();
        if retain.is_zero() {
            return;
        }
        let by = caller.principal().map(|principal| principal.by()).unwrap_or_default();
        let fetch = Fetch {
            repository: repository.to_string(),
            package: release.package.to_string(),
            version: release.version.to_string(),
            outcome,
            rule: rule.to_owned(),
            actor: by.actor.unwrap_or_default(),
            credential: by.credential.unwrap_or_default(),
            address: client.map(|client| addresses.shown(client)).unwrap_or_default(),
        };
        let now = self.clock.now();
        let mut counted = self.counted.lock();
        let is_full = counted.len() >= LINES;
        match counted.entry(fetch) {
            Entry::Occupied(mut known) => {
                let tally = known.get_mut();
                (tally.last, tally.count) = (tally.last.max(now), tally.count.saturating_add(1));
            }
            Entry::Vacant(new) if !is_full => {
                new.insert(FetchTally { first: now, last: now, count: 1 });
            }
            Entry::Vacant(_) => {
                self.metrics.fetch_log_dropped.inc();
            }
        }
    }

    /// Writes the counts. If this fails, they are lost.
    pub async fn write(&self) -> Result<(), StateError> {
        let counted: Vec<(Fetch, FetchTally)> = std::mem::take(&mut *self.counted.lock()).into_iter().collect();
        if counted.is_empty() { Ok(()) } else { self.state.add_fetches(&counted).await }
    }

    /// Removes the lines that are older than the retention time.
    pub async fn clean(&self) -> Result<(), StateError> {
        let retain = self.options.read().retain;
        self.state.forget_fetches(self.oldest(retain)).await
    }

    fn oldest(&self, retain: Duration) -> Timestamp {
        let retain = u64::try_from(retain.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(self.clock.now().as_millis().saturating_sub(retain))
    }

    /// The callers that downloaded a package, or one release of it, from one repository or from all; the newest first.
    pub async fn who_has(
        &self,
        repository: Option<&str>,
        package: &str,
        version: Option<&str>,
    ) -> Result<Vec<(Fetch, FetchTally)>, StateError> {
        self.write().await?;
        let found = self.state.fetches_of(repository, package, version).await?;
        Ok(self.kept(found))
    }

    /// The callers that requested releases of a repository that its policy holds, or would hold; the newest first.
    pub async fn held_of(&self, repository: &str) -> Result<Vec<(Fetch, FetchTally)>, StateError> {
        self.write().await?;
        let found = self.state.held_fetches(repository).await?;
        Ok(self.kept(found))
    }

    /// Leaves out old lines that have not been removed yet.
    fn kept(&self, mut found: Vec<(Fetch, FetchTally)>) -> Vec<(Fetch, FetchTally)> {
        let oldest = self.oldest(self.options.read().retain);
        found.retain(|(_, tally)| tally.last >= oldest);
        found
    }
}

impl Addresses {
    fn shown(self, address: IpAddr) -> String {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 24 } else { 48 };
        match self {
            Self::Full => address.to_string(),
            Self::Prefix => IpNet::new(address, bits).map(|net| net.trunc().to_string()).unwrap_or_default(),
            Self::Off => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_of_an_address_as_is_wanted() {
        for (address, prefix) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3::9", "2001:db8:1::/48"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(Addresses::Prefix.shown(address), prefix);
            assert_eq!(Addresses::Full.shown(address), address.to_canonical().to_string());
            assert_eq!(Addresses::Off.shown(address), "");
        }
    }
}
