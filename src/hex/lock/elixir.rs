//! Elixir's data as text, as far as a lock file has it: maps, tuples, lists, keywords, atoms, strings, numbers. No code.
//!
//! `key: value` in a list is the tuple that it stands for. Strings are binaries, and interpolation is refused.

use crate::hex::limits;
use crate::hex::term::{Term, TermError};

/// Reads the one term of `text`.
pub(super) fn parse(text: &str) -> Result<Term, TermError> {
    let mut parser = Parser { rest: text, line: 1, parts: 0 };
    let term = parser.term(0)?;
    parser.space();
    if parser.rest.is_empty() { Ok(term) } else { Err(parser.fault("there is something behind the end")) }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    parts: usize,
}

impl<'a> Parser<'a> {
    fn fault(&self, what: &'static str) -> TermError {
        TermError::Syntax { line: self.line, what }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = self.rest.get(character.len_utf8()..).unwrap_or_default();
        self.line += usize::from(character == '\n');
        Some(character)
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Spaces and comments.
    fn space(&mut self) {
        while let Some(character) = self.peek() {
            if character == '#' {
                while self.peek().is_some_and(|character| character != '\n') {
                    self.next();
                }
            } else if character.is_whitespace() {
                self.next();
            } else {
                break;
            }
        }
    }

    fn while_(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !fits(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        taken
    }

    /// One more part, `depth` levels down.
    fn count(&mut self, depth: usize) -> Result<(), TermError> {
        self.parts += 1;
        if depth > limits::TERM_DEPTH {
            return Err(TermError::TooDeep { max: limits::TERM_DEPTH });
        }
        if self.parts > limits::TERM_PARTS {
            return Err(TermError::TooMany { max: limits::TERM_PARTS });
        }
        Ok(())
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        self.count(depth)?;
        self.space();
        if self.take("%{") {
            return self.map(depth);
        }
        if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| self.rest.starts_with(mark)) {
            return Err(self.fault("this is the mark of a merge conflict; solve it first"));
        }
        match self.peek() {
            Some('{') => {
                self.next();
                Ok(Term::Tuple(self.items('}', depth)?))
            }
            Some('[') => {
                self.next();
                Ok(Term::List(self.items(']', depth)?))
            }
            Some('"') => {
                self.next();
                Ok(Term::text(&self.quoted()?))
            }
            Some(':') => {
                self.next();
                let name = if self.take("\"") { self.quoted()? } else { self.word()?.to_owned() };
                Ok(Term::Atom(name.into()))
            }
            Some('-' | '0'..='9') => self.number(),
            Some(character) if character.is_ascii_alphabetic() || character == '_' => {
                // `true`, `nil`, and modules.
                Ok(Term::Atom(self.while_(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '?' | '!')).into()))
            }
            _ => Err(self.fault("a string, an atom, a list, a tuple or a map is expected")),
        }
    }

    fn word(&mut self) -> Result<&'a str, TermError> {
        let word = self.while_(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '?' | '!'));
        if word.is_empty() { Err(self.fault("the name of an atom is expected")) } else { Ok(word) }
    }

    /// A key written `name:` or `"name":`; what is none is left where it is.
    fn key(&mut self) -> Result<Option<Term>, TermError> {
        self.space();
        let before = (self.rest, self.line);
        let key = if self.take("\"") {
            self.quoted()?
        } else {
            self.while_(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '?' | '!')).to_owned()
        };
        // `:` belongs to the key where a space follows it; `a: :b` and `a::b` are different things.
        if !key.is_empty() && self.rest.starts_with(':') && self.rest.chars().nth(1).is_none_or(char::is_whitespace) {
            self.next();
            return Ok(Some(Term::Atom(key.into())));
        }
        (self.rest, self.line) = before;
        Ok(None)
    }

    /// What stands between brackets, the opening one being read.
    fn items(&mut self, end: char, depth: usize) -> Result<Vec<Term>, TermError> {
        let mut items = Vec::new();
        loop {
            self.space();
            if self.peek() == Some(end) {
                self.next();
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
            if self.take("}") {
                return Ok(Term::Map(entries));
            }
            let key = match self.key()? {
                Some(key) => key,
                None => {
                    let key = self.term(depth + 1)?;
                    self.space();
                    if !self.take("=>") {
                        return Err(self.fault("`:` or `=>` is missing behind a key"));
                    }
                    key
                }
            };
            entries.push((key, self.term(depth + 1)?));
            self.separator('}')?;
        }
    }

    /// A comma, or the end, which is left.
    fn separator(&mut self, end: char) -> Result<(), TermError> {
        self.space();
        if self.take(",") || self.peek() == Some(end) {
            Ok(())
        } else {
            Err(self.fault("a comma or a closing bracket is missing"))
        }
    }

    /// Behind the opening quote, to the closing one.
    fn quoted(&mut self) -> Result<String, TermError> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(self.fault("a closing quote is missing")),
                Some('"') => return Ok(text),
                Some('#') if self.peek() == Some('{') => return Err(self.fault("code in a string is not taken")),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('s') => text.push(' '),
                    Some(other @ ('"' | '\\' | '#' | '\'')) => text.push(other),
                    _ => return Err(self.fault("this escape is not known")),
                },
                Some(character) => text.push(character),
            }
        }
    }

    fn number(&mut self) -> Result<Term, TermError> {
        let sign = if self.take("-") { "-" } else { "" };
        let digits = self.while_(|c| c.is_ascii_digit() || c == '_').replace('_', "");
        format!("{sign}{digits}").parse().map(Term::Integer).map_err(|_| self.fault("a number is expected"))
    }
}
