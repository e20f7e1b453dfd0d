//! Progress reports of jobs to the client that started them.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Progress of the job.
    Progress(Progress),
    /// A line of text for the user.
    Said(String),
}

/// Progress of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of completed items.
    pub done: u64,
    /// Number of all items, as far as it is known.
    pub total: u64,
    /// Number of transferred bytes.
    pub bytes: u64,
}

/// Sends reports to the client that started a job. The client may have disconnected.
#[derive(Clone, Debug)]
pub struct Reporter(mpsc::Sender<Event>);

/// Maximum number of reports in the queue.
const WAITING: usize = 64;

impl Reporter {
    /// Creates a reporter and its receiver.
    pub fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Reports progress. A slow receiver misses some of these reports.
    pub fn progress(&self, progress: Progress) {
        let _ = self.0.try_send(Event::Progress(progress));
    }

    /// Sends a line of text.
    pub async fn say(&self, line: impl Into<String>) {
        let _ = self.0.send(Event::Said(line.into())).await;
    }

    /// Whether the client has disconnected, so that the result would be lost.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a line of text, from a thread that may block.
    pub fn say_blocking(&self, line: impl Into<String>) {
        let _ = self.0.blocking_send(Event::Said(line.into()));
    }
}

/// An error and its causes in one line.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
