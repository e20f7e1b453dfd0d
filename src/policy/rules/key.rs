//! Keys of the rules in a configuration: how what is written there is read, and how it is printed.
//!
//! A reader gets plain texts and truth values; who hands them out knows the file and says where it is wrong.

use super::Rules;
use crate::choice::Choice;

/// A key.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub written: Written,
    /// Whether null may be written, which says nothing.
    pub may_be_null: bool,
    /// What is wrong with what it stands for, once all keys have been read: a sentence that says what to do.
    pub check: fn(&Rules) -> Option<&'static str>,
}

/// What is written under a key.
#[derive(Debug)]
pub enum Written {
    /// A word or another text.
    Text { read: fn(&mut Rules, &str) -> Result<(), Misread>, print: fn(&Rules) -> Option<String> },
    /// A list of them, of which each is read.
    Texts { read: fn(&mut Rules, &str) -> Result<(), Misread>, print: fn(&Rules) -> Vec<String> },
    /// `true` or `false`.
    Flag { read: fn(&mut Rules, bool), print: fn(&Rules) -> bool },
    /// A table of keys, which begins with its defaults.
    Table { begin: fn(&mut Rules), keys: &'static [Key], is_written: fn(&Rules) -> bool },
}

/// Why a text cannot be read: a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// The sentence.
    Sentence(&'static str),
    /// The sentence behind the text, which it begins with.
    Text(&'static str),
    /// It is none of these words.
    Choice(Vec<&'static str>),
}

impl Key {
    /// What is fine whatever it stands for.
    pub const ANY: fn(&Rules) -> Option<&'static str> = |_| None;
}

/// Reads a word.
pub(super) fn choose<T: Choice>(word: &str) -> Result<T, Misread> {
    T::from_word(word).ok_or_else(|| Misread::Choice(T::words()))
}
