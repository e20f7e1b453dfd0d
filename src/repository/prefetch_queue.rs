//! What clients have asked remote repositories for, on its way to whoever brings what that depends on.
//!
//! Telling it never waits and never fails a request: what there is no room for is counted and forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::remote::RemoteRepository;
use crate::clock::{Clock, Timestamp};
use crate::hex::limits;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::version::ReleaseVersion;
use crate::telemetry::metrics::{Metrics, ReasonLabels};

/// What was told is not told again for so long: the dependencies of a package seldom change, and the releases that a
/// client asks for have each other as dependencies.
const AGAIN: Duration = Duration::from_secs(3600);

/// Something that was asked for.
#[derive(Clone, Debug)]
pub struct PrefetchRequest {
    /// Of whom.
    pub repository: Arc<RemoteRepository>,
    /// Which package.
    pub package: PackageName,
    /// The release whose tarball it was; `None`: it was the package's index.
    pub version: Option<ReleaseVersion>,
}

type Told = (RepoName, PackageName, Option<ReleaseVersion>);

impl PrefetchRequest {
    fn key(&self) -> Told {
        (self.repository.key().clone(), self.package.clone(), self.version.clone())
    }
}

/// Where it is told. Clones are one.
#[derive(Clone, Debug)]
pub struct PrefetchQueue {
    sender: mpsc::Sender<PrefetchRequest>,
    told: moka::sync::Cache<Told, Timestamp>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl PrefetchQueue {
    /// A place to tell, and what hears it.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<PrefetchRequest>) {
        let (sender, receiver) = mpsc::channel(limits::ASKED);
        (Self { sender, told: moka::sync::Cache::new(limits::ASKED_KNOWN), clock, metrics }, receiver)
    }

    /// Tells what was asked for, unless that was told lately. Returns at once.
    pub(super) fn tell(&self, asked: PrefetchRequest) {
        if !self.is_first(&asked) {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(asked)) = self.sender.try_send(asked) {
            self.forget(&asked);
            self.count(&asked, "dropped");
        }
    }

    /// Whether this was not told lately. From now on it was.
    pub fn is_first(&self, asked: &PrefetchRequest) -> bool {
        let (key, now) = (asked.key(), self.clock.now());
        let lately = self.told.get(&key).is_some_and(|at| now.is_within(AGAIN, at));
        if !lately {
            self.told.insert(key, now);
        }
        !lately
    }

    /// It came to nothing: the next who asks for it tells it again.
    pub fn forget(&self, asked: &PrefetchRequest) {
        self.told.invalidate(&asked.key());
    }

    /// Counts what came of it.
    pub fn count(&self, asked: &PrefetchRequest, outcome: &'static str) {
        let labels = ReasonLabels { repository: asked.repository.key().as_str().into(), reason: outcome };
        self.metrics.warmed.get_or_create(&labels).inc();
    }
}
