//! Why a release is held, and how that is said.

use std::borrow::Cow;
use std::fmt;

/// Why a release is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    word: &'static str,
    sentence: Cow<'static, str>,
    is_decided: bool,
}

impl Reason {
    /// `word` stands for it in metrics and records; `sentence` is what is wrong with the release, as the end of a sentence
    /// that begins with it: `is retired (security)`.
    pub fn new(word: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { word, sentence: sentence.into(), is_decided: true }
    }

    /// A rule cannot be decided, and so it holds the release.
    pub fn undecided(word: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { is_decided: false, ..Self::new(word, sentence) }
    }

    /// An override denies it, with a reason of its own.
    pub fn denied(why: Option<&str>) -> Self {
        Self::new("deny", why.map_or(Cow::Borrowed("is denied"), |why| format!("is denied ({why})").into()))
    }

    /// The word for it in metrics and records.
    pub fn word(&self) -> &'static str {
        self.word
    }

    /// Whether the rule was decided. What cannot be decided was not allowed at a delivery either.
    pub fn is_decided(&self) -> bool {
        self.is_decided
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
