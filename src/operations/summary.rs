//! Shortens a long list of sentences: keeps the first few, and counts all.

use serde::{Deserialize, Serialize};

/// A list of sentences of which only the first few are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstOf {
    first: Vec<String>,
    count: usize,
}

impl FirstOf {
    /// Number of sentences that are kept.
    const FIRST: usize = 20;

    /// Adds a sentence.
    pub(super) fn add(&mut self, sentence: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < Self::FIRST {
            self.first.push(sentence());
        }
    }

    /// Whether no sentence was added.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The kept sentences, and a line with the total if some were not kept. `what` completes this line after the
    /// number.
    pub(super) fn sentences(&self, what: &str) -> Vec<String> {
        let mut sentences = self.first.clone();
        if self.count > self.first.len() {
            sentences.push(format!("in total, {} {what}", self.count));
        }
        sentences
    }
}
