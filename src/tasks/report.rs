//! What work that takes a while tells whoever has started it.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// One thing that is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// A line for the person who waits.
    Said(String),
}

/// How far something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Things that are done.
    pub done: u64,
    /// Things that there are, as far as that is known.
    pub total: u64,
    /// Bytes that have been brought.
    pub bytes: u64,
}

/// The way to whoever has started it, who may have gone.
#[derive(Clone, Debug)]
pub struct Reporter(mpsc::Sender<Event>);

/// So many events may wait to be heard.
const WAITING: usize = 64;

impl Reporter {
    /// A reporter and what hears it.
    pub fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Says how far it is; a listener that is slow misses some of these.
    pub fn progress(&self, progress: Progress) {
        let _ = self.0.try_send(Event::Progress(progress));
    }

    /// Says a line.
    pub async fn say(&self, line: impl Into<String>) {
        let _ = self.0.send(Event::Said(line.into())).await;
    }

    /// Whether whoever has started it has gone: nobody hears any more what comes of it.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }

    /// Says a line, from a thread that may block.
    pub fn say_blocking(&self, line: impl Into<String>) {
        let _ = self.0.blocking_send(Event::Said(line.into()));
    }
}

/// An error with the whole chain of its causes in one line.
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
