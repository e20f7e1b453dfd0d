//! Parses the Elixir literals that occur in lock files: maps, tuples, lists, keywords, atoms, strings and numbers. Code
//! is rejected.
//!
//! `key: value` in a list becomes a tuple, as in Elixir. Strings are binaries; interpolation is rejected.

use crate::hex::limits;
use crate::hex::term::cursor::Cursor;
use crate::hex::term::{Term, TermError};

/// Parses `text`, which must contain exactly one term.
pub(super) fn parse(text: &str) -> Result<Term, TermError> {
    let mut parser = Parser { at: Cursor::new(text, limits::TERM_PARTS) };
    let term = parser.term(0)?;
    parser.space();
    if parser.at.rest().is_empty() { Ok(term) } else { Err(parser.at.fault("unexpected text after the end")) }
}

struct Parser<'a> {
    at: Cursor<'a>,
}

impl<'a> Parser<'a> {
    /// Skips spaces and comments.
    fn space(&mut self) {
        self.at.space(Some('#'), char::is_whitespace);
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        self.at.count(depth)?;
        self.space();
        if self.at.take("%{") {
            return self.map(depth);
        }
        if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| self.at.rest().starts_with(mark)) {
            return Err(self.at.fault("this is a merge conflict marker; resolve the conflict first"));
        }
        match self.at.peek() {
            Some('{') => {
                self.at.next();
                Ok(Term::Tuple(self.items('}', depth)?))
            }
            Some('[') => {
                self.at.next();
                Ok(Term::List(self.items(']', depth)?))
            }
            Some('"') => {
                self.at.next();
                Ok(Term::text(&self.quoted()?))
            }
            Some(':') => {
                self.at.next();
                let name = if self.at.take("\"") { self.quoted()? } else { self.word()?.to_owned() };
                Ok(Term::Atom(name.into()))
            }
            Some('-' | '0'..='9') => self.number(),
            Some(character) if character.is_ascii_alphabetic() || character == '_' => {
                // `true`, `nil`, and modules.
                Ok(Term::Atom(
                    self.at.while_(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '?' | '!')).into(),
                ))
            }
            _ => Err(self.at.fault("a string, an atom, a list, a tuple or a map is expected")),
        }
    }

    fn word(&mut self) -> Result<&'a str, TermError> {
        let word = self.at.while_(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '?' | '!'));
        if word.is_empty() { Err(self.at.fault("the name of an atom is expected")) } else { Ok(word) }
    }

    /// Parses a key `name:` or `"name":`; if there is none, the position does not change.
    fn key(&mut self) -> Result<Option<Term>, TermError> {
        self.space();
        let before = self.at.clone();
        let key = if self.at.take("\"") {
            self.quoted()?
        } else {
            self.at.while_(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '?' | '!')).to_owned()
        };
        // `:` belongs to the key only if a space follows: `a: :b` and `a::b` are different.
        if !key.is_empty()
            && self.at.rest().starts_with(':')
            && self.at.rest().chars().nth(1).is_none_or(char::is_whitespace)
        {
            self.at.next();
            return Ok(Some(Term::Atom(key.into())));
        }
        self.at = before;
        Ok(None)
    }

    /// Parses the items up to the closing bracket. The opening one has been read.
    fn items(&mut self, end: char, depth: usize) -> Result<Vec<Term>, TermError> {
        let mut items = Vec::new();
        loop {
            self.space();
            if self.at.peek() == Some(end) {
                self.at.next();
                return Ok(items);
            }
            let item = match self.key()? {
                Some(key) => Term::Tuple(vec![key, self.term(depth + 1)?]),
                None => self.term(depth + 1)?,
            };
            items.push(item);
            self.separator(end)?;
        }
    }

    fn map(&mut self, depth: usize) -> Result<Term, TermError> {
        let mut entries = Vec::new();
        loop {
            self.space();
            if self.at.take("}") {
                return Ok(Term::Map(entries));
            }
            let key = match self.key()? {
                Some(key) => key,
                None => {
                    let key = self.term(depth + 1)?;
                    self.space();
                    if !self.at.take("=>") {
                        return Err(self.at.fault("`:` or `=>` is missing after a key"));
                    }
                    key
                }
            };
            entries.push((key, self.term(depth + 1)?));
            self.separator('}')?;
        }
    }

    /// Reads a comma. The closing bracket `end` is also accepted, but not read.
    fn separator(&mut self, end: char) -> Result<(), TermError> {
        self.space();
        if self.at.take(",") || self.at.peek() == Some(end) {
            Ok(())
        } else {
            Err(self.at.fault("a comma or a closing bracket is missing"))
        }
    }

    /// Parses a string up to the closing quote. The opening one has been read.
    fn quoted(&mut self) -> Result<String, TermError> {
        let mut text = String::new();
        loop {
            match self.at.next() {
                None => return Err(self.at.fault("a closing quote is missing")),
                Some('"') => return Ok(text),
                Some('#') if self.at.peek() == Some('{') => {
                    return Err(self.at.fault("interpolation in strings is not supported"));
                }
                Some('\\') => match self.at.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('s') => text.push(' '),
                    Some(other @ ('"' | '\\' | '#' | '\'')) => text.push(other),
                    _ => return Err(self.at.fault("unknown escape sequence")),
                },
                Some(character) => text.push(character),
            }
        }
    }

    fn number(&mut self) -> Result<Term, TermError> {
        let sign = if self.at.take("-") { "-" } else { "" };
        let digits = self.at.while_(|c| c.is_ascii_digit() || c == '_').replace('_', "");
        format!("{sign}{digits}").parse().map(Term::Integer).map_err(|_| self.at.fault("a number is expected"))
    }
}
