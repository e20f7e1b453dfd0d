//! What has changed in repositories, told to those that have made something of it.
//!
//! Whoever changes something announces it once it is in force, and goes on when every subscriber has been told. Looking
//! something up in another repository is [`Directory`](super::Directory)'s.

use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A package of a local repository is another one now, or its name is somebody else's.
    PackageChanged {
        /// The repository's key.
        repository: RepoName,
        /// The package.
        package: PackageName,
    },
    /// A remote repository serves something else of a resource.
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
    /// 1 for the first event of this process, and one more for each that follows.
    pub number: u64,
    /// What has changed.
    pub event: Event,
}

/// Is told of each change.
pub trait Subscriber: Send + Sync + fmt::Debug {
    /// Takes notice of a change. The next one waits until this returns: longer work belongs to a task. A subscriber
    /// announces nothing before it returns.
    fn notice(self: Arc<Self>, change: &Change);
}

/// Tells subscribers of changes: each of them of every change, in the order of the numbers.
#[derive(Debug, Default)]
pub struct Changes {
    /// Held while subscribers are told, so that none of them sees a later change first.
    told: Mutex<DeliveredEvent>,
}

#[derive(Debug, Default)]
struct DeliveredEvent {
    /// The number of the newest change.
    newest: u64,
    /// The number of the newest subscription.
    subscribed: u64,
    /// In the order in which they subscribed. Weak: a subscriber may hold these `Changes`, to announce its own.
    subscribers: Vec<(u64, Weak<dyn Subscriber>)>,
}

/// While it is held, its subscriber is told of changes.
#[derive(Debug)]
pub struct Subscription {
    number: u64,
    changes: Arc<Changes>,
}

impl Changes {
    /// Tells `subscriber` of all changes from now on, until the subscription is dropped or the subscriber is gone.
    pub fn subscribe(self: &Arc<Self>, subscriber: Weak<dyn Subscriber>) -> Subscription {
        let mut told = self.told.lock();
        told.subscribed += 1;
        let number = told.subscribed;
        told.subscribers.push((number, subscriber));
        Subscription { number, changes: Arc::clone(self) }
    }

    /// Gives an event the next number, and returns it when every subscriber has been told.
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
