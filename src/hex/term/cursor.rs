//! A position in a text, for parsers: looks one character ahead, and counts lines and terms.

use super::TermError;
use crate::hex::limits;

/// The unread rest of a text, the current line, and the number of terms so far with its limit.
#[derive(Clone, Debug)]
pub(in crate::hex) struct Cursor<'a> {
    rest: &'a str,
    line: usize,
    parts: usize,
    max: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of a text, which may have at most `max` terms.
    pub(in crate::hex) fn new(text: &'a str, max: usize) -> Self {
        Self { rest: text, line: 1, parts: 0, max }
    }

    /// The unread rest of the text.
    pub(in crate::hex) fn rest(&self) -> &'a str {
        self.rest
    }

    /// A syntax error at this position.
    pub(in crate::hex) fn fault(&self, what: &'static str) -> TermError {
        TermError::Syntax { line: self.line, what }
    }

    /// The next character, without reading it.
    pub(in crate::hex) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Reads the next character.
    pub(in crate::hex) fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = self.rest.get(character.len_utf8()..).unwrap_or_default();
        self.line += usize::from(character == '\n');
        Some(character)
    }

    /// Skips `text` if it comes next, and returns whether it did. `text` must not contain a line break.
    pub(in crate::hex) fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Skips spaces, and comments from the character `comment` to the end of the line.
    pub(in crate::hex) fn space(&mut self, comment: Option<char>, is_space: impl Fn(char) -> bool) {
        while let Some(character) = self.peek() {
            if Some(character) == comment {
                while self.peek().is_some_and(|character| character != '\n') {
                    self.next();
                }
            } else if is_space(character) {
                self.next();
            } else {
                break;
            }
        }
    }

    /// Reads all next characters that `fits` accepts. It must not accept line breaks.
    pub(in crate::hex) fn while_(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        taken
    }

    /// Reads the next `length` bytes; `None` if they are not whole characters.
    pub(in crate::hex) fn bytes(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Counts one more term at this depth, and checks the limits.
    pub(in crate::hex) fn count(&mut self, depth: usize) -> Result<(), TermError> {
        if depth > limits::TERM_DEPTH {
            return Err(TermError::TooDeep { max: limits::TERM_DEPTH });
        }
        self.parts += 1;
        if self.parts > self.max { Err(TermError::TooMany { max: self.max }) } else { Ok(()) }
    }
}
