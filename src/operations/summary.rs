//! What is said of some of many things: the first few in full, and how many there are.

use serde::{Deserialize, Serialize};

/// Sentences about some of many things, of which the first few are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstOf {
    first: Vec<String>,
    count: usize,
}

impl FirstOf {
    /// So many are said in full.
    const FIRST: usize = 20;

    /// One more.
    pub(super) fn add(&mut self, sentence: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < Self::FIRST {
            self.first.push(sentence());
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All that is said. `what` becomes of all of them.
    pub(super) fn sentences(&self, what: &str) -> Vec<String> {
        let mut sentences = self.first.clone();
        if self.count > self.first.len() {
            sentences.push(format!("in all, {} {what}", self.count));
        }
        sentences
    }
}
