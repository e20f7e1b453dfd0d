//! How far a long command is, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::say;
use crate::admin::protocol::Event;

/// A bar that moves with the events of a command.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(super) fn show(&self, event: Event) {
        match event {
            Event::Total(total) => self.bar.set_length(total),
            Event::Done(done) => self.bar.set_position(done),
            Event::Damaged(subject) => self.bar.suspend(|| say(&format!("damaged: {subject}"))),
        }
    }

    /// Shows what comes until there is no more.
    pub(super) async fn watch(&self, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            self.show(event);
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
