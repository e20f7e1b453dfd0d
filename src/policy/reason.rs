//! The reason why a policy holds a release, as a word for metrics and as a sentence for people.

use std::borrow::Cow;
use std::fmt;

/// The reason why a policy holds a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    word: &'static str,
    sentence: Cow<'static, str>,
    is_decided: bool,
}

impl Reason {
    /// `word` is its label in metrics and records. `sentence` is the predicate of a sentence whose subject is the
    /// release, such as `is retired (security)`.
    pub fn new(word: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { word, sentence: sentence.into(), is_decided: true }
    }

    /// The reason of a rule that lacks the facts to decide, and therefore holds the release.
    pub fn undecided(word: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { is_decided: false, ..Self::new(word, sentence) }
    }

    /// The reason of an override that denies the release; `why` is the text that the override gives.
    pub fn denied(why: Option<&str>) -> Self {
        Self::new("deny", why.map_or(Cow::Borrowed("is denied"), |why| format!("is denied ({why})").into()))
    }

    /// The label in metrics and records.
    pub fn word(&self) -> &'static str {
        self.word
    }

    /// Whether the rule had the facts to decide. If not, an earlier delivery of the release does not excuse it: the
    /// rule could not allow it then either.
    pub fn is_decided(&self) -> bool {
        self.is_decided
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
