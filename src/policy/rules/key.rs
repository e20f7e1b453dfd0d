//! Keys of the rules in a configuration: how what is written there is read, and how it is printed.
//!
//! A reader gets plain texts and truth values; who hands them out knows the file and says where it is wrong.

use super::ReleaseRules;
use crate::choice::Choice;

/// A key.
#[derive(Debug)]
pub struct RuleKey {
    pub name: &'static str,
    pub written: RuleValue,
    /// Whether null may be written, which says nothing.
    pub may_be_null: bool,
    /// What is wrong with what it stands for, once all keys have been read: a sentence that says what to do.
    pub check: fn(&ReleaseRules) -> Option<&'static str>,
}

/// What is written under a key.
#[derive(Debug)]
pub enum RuleValue {
    /// A word or another text.
    Text { read: fn(&mut ReleaseRules, &str) -> Result<(), RuleParseError>, print: fn(&ReleaseRules) -> Option<String> },
    /// A list of them, of which each is read.
    Texts { read: fn(&mut ReleaseRules, &str) -> Result<(), RuleParseError>, print: fn(&ReleaseRules) -> Vec<String> },
    /// `true` or `false`.
    Flag { read: fn(&mut ReleaseRules, bool), print: fn(&ReleaseRules) -> bool },
    /// A table of keys, which begins with its defaults.
    Table { begin: fn(&mut ReleaseRules), keys: &'static [RuleKey], is_written: fn(&ReleaseRules) -> bool },
}

/// Why a text cannot be read: a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleParseError {
    /// The sentence.
    Sentence(&'static str),
    /// The sentence behind the text, which it begins with.
    Text(&'static str),
    /// It is none of these words.
    Choice(Vec<&'static str>),
}

impl RuleKey {
    /// What is fine whatever it stands for.
    pub const ANY: fn(&ReleaseRules) -> Option<&'static str> = |_| None;
}

/// Reads a word.
pub(super) fn choose<T: Choice>(word: &str) -> Result<T, RuleParseError> {
    T::from_word(word).ok_or_else(|| RuleParseError::Choice(T::words()))
}
