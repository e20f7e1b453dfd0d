//! The configuration keys of rules: how their values are read, checked and printed.
//!
//! A rule gets plain strings and booleans. The caller, which parses the file, adds the position to error messages.

use super::ReleaseRules;
use crate::choice::Choice;

/// The configuration key of a rule.
#[derive(Debug)]
pub struct RuleKey {
    pub name: &'static str,
    pub written: RuleValue,
    /// Whether `null` is accepted, which leaves the rule unset.
    pub may_be_null: bool,
    /// Checks the value after all keys have been read. Returns an error message that says what to do.
    pub check: fn(&ReleaseRules) -> Option<&'static str>,
}

/// The type of the value of a key, and the functions that read and print it.
#[derive(Debug)]
pub enum RuleValue {
    /// A string.
    Text { read: fn(&mut ReleaseRules, &str) -> Result<(), RuleParseError>, print: fn(&ReleaseRules) -> Option<String> },
    /// A list of strings; `read` is called for each.
    Texts { read: fn(&mut ReleaseRules, &str) -> Result<(), RuleParseError>, print: fn(&ReleaseRules) -> Vec<String> },
    /// `true` or `false`.
    Flag { read: fn(&mut ReleaseRules, bool), print: fn(&ReleaseRules) -> bool },
    /// A table of further keys; `begin` sets its defaults.
    Table { begin: fn(&mut ReleaseRules), keys: &'static [RuleKey], is_written: fn(&ReleaseRules) -> bool },
}

/// Why the value of a key is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleParseError {
    /// The whole error message.
    Sentence(&'static str),
    /// The end of the error message, which begins with the invalid text.
    Text(&'static str),
    /// The value is not one of these words.
    Choice(Vec<&'static str>),
}

impl RuleKey {
    /// The `check` of a key that accepts every value.
    pub const ANY: fn(&ReleaseRules) -> Option<&'static str> = |_| None;
}

/// Reads one word of an enumeration.
pub(super) fn choose<T: Choice>(word: &str) -> Result<T, RuleParseError> {
    T::from_word(word).ok_or_else(|| RuleParseError::Choice(T::words()))
}
