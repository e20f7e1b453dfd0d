//! Single flight: concurrent callers that want the same resource share one fetch.
//!
//! The fetch runs detached, as a tracked task: a client that disconnects cancels nothing. Every caller, the first
//! included, waits with its own deadline, and all get the same outcome, error or not. If a fetch ends without an
//! outcome (it panicked, or the process is stopping), its callers get [`NoOutcome::Abandoned`].

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::shutdown::Tasks;
use crate::upstream::AnswerBegun;

/// Why a caller gets no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOutcome {
    /// The caller's deadline has passed; the fetch continues.
    #[error("the upstream did not answer in time")]
    Deadline,
    /// The caller's deadline has passed, and the upstream has begun to answer; the fetch continues.
    #[error("the upstream began to answer but did not finish in time")]
    Unfinished,
    /// The fetch ended without an outcome.
    #[error("the fetch was abandoned")]
    Abandoned,
}

type Receiver<V> = watch::Receiver<Option<V>>;

/// A running fetch: its outcome, and whether the upstream has begun to answer.
#[derive(Clone, Debug)]
struct UnderWay<V> {
    outcome: Receiver<V>,
    heard: AnswerBegun,
}

/// The running fetches, by key.
#[derive(Debug)]
pub struct Flights<K, V> {
    under_way: Arc<Mutex<HashMap<K, UnderWay<V>>>>,
    tasks: Tasks,
}

/// A caller's place among those that wait for an outcome.
#[derive(Debug)]
pub struct Ticket<V> {
    led: bool,
    of: UnderWay<V>,
}

/// Removes the fetch from the map when its task ends, however it ends.
struct Permit<K: Eq + Hash, V> {
    key: K,
    under_way: Arc<Mutex<HashMap<K, UnderWay<V>>>>,
}

impl<K: Eq + Hash, V> Drop for Permit<K, V> {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.key);
    }
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Starts with no fetches; they will run as tasks of `tasks`.
    pub fn new(tasks: Tasks) -> Self {
        Self { under_way: Arc::default(), tasks }
    }

    /// Joins the running fetch for `key`, or starts `fetch`.
    pub fn join<F>(&self, key: K, fetch: impl FnOnce() -> F) -> Ticket<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.join_heard(key, |_| fetch())
    }

    /// Like [`Flights::join`], but the fetch also reports whether the upstream has begun to answer.
    pub fn join_heard<F>(&self, key: K, fetch: impl FnOnce(AnswerBegun) -> F) -> Ticket<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way.lock();
        if let Some(of) = under_way.get(&key) {
            return Ticket { led: false, of: of.clone() };
        }
        let (sender, outcome) = watch::channel(None);
        let of = UnderWay { outcome, heard: AnswerBegun::default() };
        under_way.insert(key.clone(), of.clone());
        drop(under_way);
        let permit = Permit { key, under_way: Arc::clone(&self.under_way) };
        let fetch = fetch(of.heard.clone());
        self.tasks.spawn(async move {
            let outcome = fetch.await;
            // Removed from the map before the outcome is sent: a caller that comes later starts a new fetch and finds
            // the entry in the cache.
            drop(permit);
            let _ = sender.send(Some(outcome));
        });
        Ticket { led: true, of }
    }

    /// Whether the upstream has begun to answer the running fetch for `key`; `None` if none is running.
    pub fn has_begun(&self, key: &K) -> Option<bool> {
        self.under_way.lock().get(key).map(|of| of.heard.is_set())
    }
}

impl<V: Clone> Ticket<V> {
    /// Whether this caller started the fetch.
    pub fn led(&self) -> bool {
        self.led
    }

    /// Waits for the outcome until `deadline`. Cancel safe.
    pub async fn wait(mut self, deadline: Instant) -> Result<V, NoOutcome> {
        match tokio::time::timeout_at(deadline, self.of.outcome.wait_for(Option::is_some)).await {
            Err(_) if self.of.heard.is_set() => Err(NoOutcome::Unfinished),
            Err(_) => Err(NoOutcome::Deadline),
            Ok(Err(_)) => Err(NoOutcome::Abandoned),
            Ok(Ok(outcome)) => outcome.clone().ok_or(NoOutcome::Abandoned),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn fifty_waiters_get_the_error_of_one_fetch() {
        let flights: Flights<&str, Result<(), Arc<str>>> = Flights::new(Tasks::new());
        let fetches = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Notify::new());
        let tickets: Vec<_> = (0..50)
            .map(|_| {
                let (fetches, gate) = (Arc::clone(&fetches), Arc::clone(&gate));
                flights.join("jason", || async move {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Err(Arc::from("refused"))
                })
            })
            .collect();
        assert_eq!(tickets.iter().filter(|ticket| ticket.led()).count(), 1);
        gate.notify_one();
        for ticket in tickets {
            assert_eq!(ticket.wait(soon()).await, Ok(Err(Arc::from("refused"))));
        }
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_fetch_that_panics_wakes_its_waiters_and_frees_the_key() {
        let flights: Flights<&str, u8> = Flights::new(Tasks::new());
        let first = flights.join("jason", || async { panic!("a bug") });
        let second = flights.join("jason", || async { 1 });
        assert!(!second.led());
        assert_eq!(first.wait(soon()).await, Err(NoOutcome::Abandoned));
        assert_eq!(second.wait(soon()).await, Err(NoOutcome::Abandoned));
        assert_eq!(flights.join("jason", || async { 2 }).wait(soon()).await, Ok(2));
    }

    #[tokio::test]
    async fn whoever_stops_waiting_cancels_nothing() {
        let flights: Flights<&str, u8> = Flights::new(Tasks::new());
        let gate = Arc::new(Notify::new());
        let inner = Arc::clone(&gate);
        let impatient = flights.join("jason", || async move {
            inner.notified().await;
            7
        });
        assert_eq!(impatient.wait(Instant::now()).await, Err(NoOutcome::Deadline));
        let patient = flights.join("jason", || async { 8 });
        gate.notify_one();
        assert_eq!(patient.wait(soon()).await, Ok(7));
    }
}
