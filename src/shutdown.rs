//! Who runs, and how they are told to stop.
//!
//! Nobody spawns bare: a task belongs to a [`Tasks`], which can wait for all of its tasks and ask them to stop.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why a task gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It panicked.
    #[error("a part of hexkeep crashed (a panic) because of a bug; the log says where")]
    Panicked,
    /// It was given up before it had ended.
    #[error("hexkeep stopped before this was done")]
    Stopped,
}

impl From<JoinError> for TaskError {
    fn from(error: JoinError) -> Self {
        if error.is_panic() { Self::Panicked } else { Self::Stopped }
    }
}

/// Runs blocking `work` (files, hashing, RSA) on the blocking pool, and waits for it. It runs to its end even if nobody
/// waits for it any more.
///
/// # Errors
/// [`TaskError`], where it gave no answer.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TaskError> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// A group of tasks that stop together. Clones are handles to the same group.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` as a member of this group. It is not cancelled by [`Tasks::stop`] unless it listens to
    /// [`Tasks::stopping`].
    #[expect(clippy::disallowed_methods, reason = "this is the tracked spawn that everybody else uses")]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tracker.track_future(future))
    }

    /// Runs blocking `work` (files, hashing, RSA) as a member of this group.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// The same, and waits for what comes of it.
    ///
    /// # Errors
    /// [`TaskError`], where nothing does.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, TaskError> {
        Ok(self.spawn_blocking(work).await?)
    }

    /// Asks the members to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Resolves when the members have been asked to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Waits until every member has ended, at most `within`; says how many are left.
    pub async fn finish(&self, within: Duration) -> usize {
        self.tracker.close();
        // Tasks that still run after the time-out are counted, and end with the process.
        let _ = tokio::time::timeout(within, self.tracker.wait()).await;
        self.tracker.len()
    }

    /// How many members are running.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether nobody is running.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_for_members_and_counts_the_rest() {
        let tasks = Tasks::new();
        let listener = tasks.clone();
        tasks.spawn(async move { listener.stopping().await });
        assert_eq!(tasks.finish(Duration::from_millis(1)).await, 1, "it was not asked to stop yet");
        tasks.stop();
        assert_eq!(tasks.finish(Duration::from_secs(10)).await, 0);
    }

    #[tokio::test]
    async fn a_task_that_panicked_was_not_stopped() {
        let tasks = Tasks::new();
        let panicked = tasks.spawn_blocking(|| panic!("a bug")).await.unwrap_err();
        assert_eq!(TaskError::from(panicked), TaskError::Panicked);
        assert_eq!(blocking(|| -> () { panic!("a bug") }).await, Err(TaskError::Panicked));
        assert_eq!((blocking(|| 1).await, tasks.blocking(|| 2).await), (Ok(1), Ok(2)));
        let stopped = tasks.spawn(std::future::pending::<()>());
        stopped.abort();
        assert_eq!(TaskError::from(stopped.await.unwrap_err()), TaskError::Stopped);
    }
}
