//! A place in a text, for readers of grammars: looks one character ahead and counts lines.

use super::TermError;
use crate::hex::limits;

/// What is still to be read of a text, its line, and how many terms were read before it, of how many.
#[derive(Clone, Debug)]
pub(in crate::hex) struct Cursor<'a> {
    rest: &'a str,
    line: usize,
    parts: usize,
    max: usize,
}

impl<'a> Cursor<'a> {
    /// Before the first character of a text that has at most `max` terms.
    pub(in crate::hex) fn new(text: &'a str, max: usize) -> Self {
        Self { rest: text, line: 1, parts: 0, max }
    }

    /// What is still to be read.
    pub(in crate::hex) fn rest(&self) -> &'a str {
        self.rest
    }

    /// What is wrong here.
    pub(in crate::hex) fn fault(&self, what: &'static str) -> TermError {
        TermError::Syntax { line: self.line, what }
    }

    /// The next character, which stays.
    pub(in crate::hex) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// The next character.
    pub(in crate::hex) fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = self.rest.get(character.len_utf8()..).unwrap_or_default();
        self.line += usize::from(character == '\n');
        Some(character)
    }

    /// Goes behind `text`, which has no end of a line, if it comes next.
    pub(in crate::hex) fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Goes behind spaces, and behind comments: from `comment` to the end of the line.
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

    /// All characters that come next and fit; an end of a line never does.
    pub(in crate::hex) fn while_(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        taken
    }

    /// The next `length` bytes, where they are whole characters.
    pub(in crate::hex) fn bytes(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// One more term, `depth` levels down.
    pub(in crate::hex) fn count(&mut self, depth: usize) -> Result<(), TermError> {
        if depth > limits::TERM_DEPTH {
            return Err(TermError::TooDeep { max: limits::TERM_DEPTH });
        }
        self.parts += 1;
        if self.parts > self.max { Err(TermError::TooMany { max: self.max }) } else { Ok(()) }
    }
}
