//! Notifies subscribers of changes in repositories, so that they can update what they derived from them.
//!
//! A change is announced after it has become effective; the call returns when every subscriber has been notified. To
//! look something up in another repository, use [`Directory`](super::Directory).

use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A package of a local repository has changed, or its name now belongs to another repository.
    PackageChanged {
        /// The repository's key.
        repository: RepoName,
        /// The package.
        package: PackageName,
    },
    /// A remote repository serves a new version of a resource.
    ResourceReplaced {
        /// The repository's key.
        repository: RepoName,
        /// The resource.
        resource: RegistryResource,
    },
}

/// An event with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The events of this process are numbered from 1 without gaps.
    pub number: u64,
    /// What has changed.
    pub event: Event,
}

/// Receives the changes.
pub trait Subscriber: Send + Sync + fmt::Debug {
    /// Handles a change. The next change waits until this returns, so longer work belongs in a task. A subscriber must
    /// not announce a change before this returns.
    fn notice(self: Arc<Self>, change: &Change);
}

/// Sends every change to every subscriber, in the order of the numbers.
#[derive(Debug, Default)]
pub struct Changes {
    /// Locked while subscribers are notified, so that none of them sees a later change first.
    told: Mutex<DeliveredEvent>,
}

#[derive(Debug, Default)]
struct DeliveredEvent {
    /// The number of the newest change.
    newest: u64,
    /// The number of the newest subscription.
    subscribed: u64,
    /// In the order of subscription. The references are weak because a subscriber may hold these `Changes` to announce
    /// its own.
    subscribers: Vec<(u64, Weak<dyn Subscriber>)>,
}

/// A subscription; it ends when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    number: u64,
    changes: Arc<Changes>,
}

impl Changes {
    /// Notifies `subscriber` of all changes from now on, until the subscription is dropped or the subscriber is gone.
    pub fn subscribe(self: &Arc<Self>, subscriber: Weak<dyn Subscriber>) -> Subscription {
        let mut told = self.told.lock();
        told.subscribed += 1;
        let number = told.subscribed;
        told.subscribers.push((number, subscriber));
        Subscription { number, changes: Arc::clone(self) }
    }

    /// Gives an event the next number, notifies every subscriber, and returns the number.
    pub fn announce(&self, event: Event) -> u64 {
        let mut told = self.told.lock();
        told.newest += 1;
        let change = Change { number: told.newest, event };
        for (_, subscriber) in &told.subscribers {
            if let Some(subscriber) = subscriber.upgrade() {
                subscriber.notice(&change);
            }
        }
        change.number
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.changes.told.lock().subscribers.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests;
