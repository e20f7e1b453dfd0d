//! The queue of packages that clients have requested, for the prefetcher, which fetches their dependencies.
//!
//! Adding to the queue never waits, and never fails a request: if there is no room, the entry is counted and dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::remote::RemoteRepository;
use crate::clock::{Clock, Timestamp};
use crate::hex::limits;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::version::ReleaseVersion;
use crate::telemetry::metrics::{Metrics, ReasonLabels};

/// An entry is not added again within this time: the dependencies of a package seldom change, and the releases that a
/// client requests depend on each other.
const AGAIN: Duration = Duration::from_secs(3600);

/// A request of a client.
#[derive(Clone, Debug)]
pub struct PrefetchRequest {
    /// The repository.
    pub repository: Arc<RemoteRepository>,
    /// The package.
    pub package: PackageName,
    /// The release whose tarball was requested; `None`: the package's index was.
    pub version: Option<ReleaseVersion>,
}

type Told = (RepoName, PackageName, Option<ReleaseVersion>);

impl PrefetchRequest {
    fn key(&self) -> Told {
        (self.repository.key().clone(), self.package.clone(), self.version.clone())
    }
}

/// The sending side of the queue. Clones share the queue.
#[derive(Clone, Debug)]
pub struct PrefetchQueue {
    sender: mpsc::Sender<PrefetchRequest>,
    told: moka::sync::Cache<Told, Timestamp>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl PrefetchQueue {
    /// Creates a queue: its sending and its receiving side.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<PrefetchRequest>) {
        let (sender, receiver) = mpsc::channel(limits::PREFETCH_QUEUE);
        (Self { sender, told: moka::sync::Cache::new(limits::ASKED_KNOWN), clock, metrics }, receiver)
    }

    /// Adds a request, unless it was added recently. Returns at once.
    pub(super) fn tell(&self, asked: PrefetchRequest) {
        if !self.is_first(&asked) {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(asked)) = self.sender.try_send(asked) {
            self.forget(&asked);
            self.count(&asked, "dropped");
        }
    }

    /// Whether this request was not added recently; marks it as added.
    pub fn is_first(&self, asked: &PrefetchRequest) -> bool {
        let (key, now) = (asked.key(), self.clock.now());
        let lately = self.told.get(&key).is_some_and(|at| now.is_within(AGAIN, at));
        if !lately {
            self.told.insert(key, now);
        }
        !lately
    }

    /// Removes the mark after a failure: the next request of this kind is added again.
    pub fn forget(&self, asked: &PrefetchRequest) {
        self.told.invalidate(&asked.key());
    }

    /// Counts the outcome of a request.
    pub fn count(&self, asked: &PrefetchRequest, outcome: &'static str) {
        let labels = ReasonLabels { repository: asked.repository.key().as_str().into(), reason: outcome };
        self.metrics.warmed.get_or_create(&labels).inc();
    }
}
