//! Terms as text: the consecutive `{Key, Value}.` of `metadata.config`.
//!
//! What rebar3, mix and gleam write, and what Erlang's `file:consult` reads of it: no code, no operators. The text is
//! UTF-8, or Latin-1 where it is not. The reader that Hex clients have for packages knows less than that, and reads some of
//! it in another way: [`plain`] takes what means the same to both.

use super::{Term, TermError};
use crate::hex::limits;

/// Reads every term of `bytes`, each ended by a full stop.
pub fn parse(bytes: &[u8]) -> Result<Vec<Term>, TermError> {
    terms(bytes, false)
}

/// The same for what a package says of itself: without comments, characters (`$a`), bases, exponents, and what escapes may
/// mean in two ways.
pub fn plain(bytes: &[u8]) -> Result<Vec<Term>, TermError> {
    terms(bytes, true)
}

fn terms(bytes: &[u8], plain: bool) -> Result<Vec<Term>, TermError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let unmarked = text.strip_prefix('\u{feff}').filter(|_| !plain).unwrap_or(&text);
    let mut parser = Parser { rest: unmarked, line: 1, parts: 0, plain };
    let mut terms = Vec::new();
    loop {
        parser.space();
        if parser.rest.is_empty() {
            return Ok(terms);
        }
        terms.push(parser.term(0)?);
        parser.expect('.', "a full stop is missing")?;
    }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    parts: usize,
    plain: bool,
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
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char, what: &'static str) -> Result<(), TermError> {
        self.space();
        if self.peek() == Some(wanted) {
            self.next();
            Ok(())
        } else {
            Err(self.fault(what))
        }
    }

    fn is_space(&self, character: char) -> bool {
        if self.plain { character <= ' ' } else { character.is_whitespace() }
    }

    /// Spaces and comments.
    fn space(&mut self) {
        while let Some(character) = self.peek() {
            if character == '%' && !self.plain {
                while self.peek().is_some_and(|character| character != '\n') {
                    self.next();
                }
            } else if self.is_space(character) {
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

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        if depth > limits::TERM_DEPTH {
            return Err(TermError::TooDeep { max: limits::TERM_DEPTH });
        }
        self.parts += 1;
        if self.parts > limits::TERM_PARTS {
            return Err(TermError::TooMany { max: limits::TERM_PARTS });
        }
        self.space();
        if self.take("<<") {
            return self.binary();
        }
        if self.take("#{") {
            return self.map(depth);
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
                let text = self.strings()?;
                self.parts = self.parts.saturating_add(text.len());
                Ok(Term::List(text.chars().map(|c| Term::Integer(i64::from(u32::from(c)))).collect()))
            }
            Some('\'') => {
                self.next();
                Ok(Term::Atom(self.quoted('\'')?.into()))
            }
            Some('-' | '+' | '0'..='9') => self.number(),
            Some('$') if !self.plain => {
                self.next();
                let character = self.next().ok_or_else(|| self.fault("a character is missing"))?;
                let character = if character == '\\' { self.escape()? } else { character };
                Ok(Term::Integer(i64::from(u32::from(character))))
            }
            Some(character) if character.is_lowercase() => {
                Ok(Term::Atom(self.while_(|c| c.is_alphanumeric() || c == '_' || c == '@').into()))
            }
            _ => Err(self.fault("this begins no term")),
        }
    }

    fn items(&mut self, end: char, depth: usize) -> Result<Vec<Term>, TermError> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(end) {
            self.next();
            return Ok(items);
        }
        loop {
            items.push(self.term(depth + 1)?);
            self.space();
            match self.next() {
                Some(',') => {}
                Some(character) if character == end => return Ok(items),
                _ => return Err(self.fault("a comma or a closing bracket is missing")),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Term, TermError> {
        let mut pairs = Vec::new();
        self.space();
        if self.take("}") {
            return Ok(Term::Map(pairs));
        }
        loop {
            let key = self.term(depth + 1)?;
            self.space();
            if !self.take("=>") {
                return Err(self.fault("`=>` is missing"));
            }
            pairs.push((key, self.term(depth + 1)?));
            self.space();
            match self.next() {
                Some(',') => {}
                Some('}') => return Ok(Term::Map(pairs)),
                _ => return Err(self.fault("a comma or a closing bracket is missing")),
            }
        }
    }

    /// Behind `<<`: texts and bytes. A text without `/utf8` has one byte for each character.
    fn binary(&mut self) -> Result<Term, TermError> {
        let mut bytes = Vec::new();
        self.space();
        if self.take(">>") {
            return Ok(Term::Binary(bytes));
        }
        loop {
            self.space();
            if self.peek() == Some('"') {
                self.next();
                let text = self.strings()?;
                if self.take("/utf8") {
                    bytes.extend_from_slice(text.as_bytes());
                } else {
                    for character in text.chars() {
                        let byte = u8::try_from(u32::from(character));
                        bytes.push(byte.map_err(|_| self.fault("a text without /utf8 has a character beyond 255"))?);
                    }
                }
            } else {
                let Term::Integer(number) = self.number()? else { return Err(self.fault("a byte is expected")) };
                bytes.push(u8::try_from(number).map_err(|_| self.fault("a byte is expected"))?);
            }
            self.space();
            if self.take(">>") {
                return Ok(Term::Binary(bytes));
            }
            self.expect(',', "`>>` is missing")?;
        }
    }

    /// Behind an opening quote: strings that follow each other are one, as in Erlang.
    fn strings(&mut self) -> Result<String, TermError> {
        let mut text = self.quoted('"')?;
        loop {
            self.space();
            if !self.take("\"") {
                return Ok(text);
            }
            text.push_str(&self.quoted('"')?);
        }
    }

    /// Behind the opening quote, to the closing one. To the reader of Hex clients a quote behind a backslash never is the
    /// closing one, not even where that backslash belongs to another one before it: such a text is read in two ways.
    fn quoted(&mut self, quote: char) -> Result<String, TermError> {
        let mut text = String::new();
        let mut behind_backslash = false;
        loop {
            match self.next() {
                None => return Err(self.fault("a closing quote is missing")),
                Some(character) if character == quote && behind_backslash && self.plain => {
                    return Err(self.fault("a text must not end with a backslash"));
                }
                Some(character) if character == quote => return Ok(text),
                Some('\\') => {
                    behind_backslash = self.peek() == Some('\\');
                    text.push(self.escape()?);
                }
                Some(character) => {
                    behind_backslash = false;
                    text.push(character);
                }
            }
        }
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Result<char, TermError> {
        let fault = self.fault("this escape is not known");
        let character = self.next().ok_or_else(|| fault.clone())?;
        if self.plain && matches!(character, 'x' | '^' | '0'..='7') {
            return Err(self.fault("this escape is not read by all clients"));
        }
        Ok(match character {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'd' => '\u{7f}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            's' => ' ',
            'v' => '\u{b}',
            'x' => {
                let digits = if self.take("{") {
                    let digits = self.while_(|c| c.is_ascii_hexdigit());
                    if !self.take("}") {
                        return Err(fault);
                    }
                    digits
                } else {
                    let (digits, rest) = self.rest.split_at_checked(2).ok_or_else(|| fault.clone())?;
                    self.rest = rest;
                    digits
                };
                u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or(fault)?
            }
            '0'..='7' => {
                let mut code = u32::from(character) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.next();
                }
                char::from_u32(code).ok_or(fault)?
            }
            other => other,
        })
    }

    fn number(&mut self) -> Result<Term, TermError> {
        let negative = self.take("-");
        if !negative {
            let _plus = self.take("+");
        }
        let digits = self.while_(|c| c.is_ascii_digit());
        let sign = if negative { "-" } else { "" };
        if digits.is_empty() {
            return Err(self.fault("a number is expected"));
        }
        if !self.plain && self.take("#") {
            let base = digits.parse().ok().filter(|base| (2..=36).contains(base));
            let base = base.ok_or_else(|| self.fault("this is no base of a number"))?;
            let digits = self.while_(|c| c.is_ascii_alphanumeric());
            let number = i64::from_str_radix(&format!("{sign}{digits}"), base);
            return number.map(Term::Integer).map_err(|_| TermError::Number);
        }
        let mut after = self.rest.chars();
        if after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()) {
            self.next();
            let mut text = format!("{sign}{digits}.{}", self.while_(|c| c.is_ascii_digit()));
            if !self.plain && matches!(self.peek(), Some('e' | 'E')) {
                self.next();
                text.push('e');
                text.push_str(self.while_(|c| c.is_ascii_digit() || c == '-' || c == '+'));
            }
            let number: f64 = text.parse().map_err(|_| TermError::Number)?;
            return if number.is_finite() { Ok(Term::Float(number)) } else { Err(TermError::Number) };
        }
        if digits.len() > limits::TERM_BIG {
            return Err(TermError::Number);
        }
        let text = format!("{sign}{digits}");
        Ok(text.parse().map_or_else(|_| Term::Big(text.into()), Term::Integer))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Term {
        let mut terms = parse(format!("{text}.").as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(terms.len(), 1, "{text}");
        terms.remove(0)
    }

    #[test]
    fn every_kind_of_term() {
        for (text, term) in [
            ("<<\"name\">>", Term::text("name")),
            ("<<\"é\"/utf8>>", Term::text("é")),
            ("<<\"é\">>", Term::Binary(vec![0xe9])),
            ("<<1, 2,255>>", Term::Binary(vec![1, 2, 255])),
            ("<<>>", Term::Binary(vec![])),
            ("<<\"a \"\n  \"b\" /utf8, 1>>", Term::Binary(b"a b\x01".to_vec())),
            ("<<\"a\\\"b\\x{41}\\n\\101\">>", Term::text("a\"bA\nA")),
            ("true", Term::Atom("true".into())),
            ("'Elixir.Foo'", Term::Atom("Elixir.Foo".into())),
            ("-5", Term::Integer(-5)),
            ("16#ff", Term::Integer(255)),
            ("1.5e3", Term::Float(1500.0)),
            ("$a", Term::Integer(97)),
            ("\"hi\"", Term::List(vec![Term::Integer(104), Term::Integer(105)])),
            ("[]", Term::List(vec![])),
            ("{a , % comment }\n b}", Term::Tuple(vec![Term::Atom("a".into()), Term::Atom("b".into())])),
            ("#{a => 1}", Term::Map(vec![(Term::Atom("a".into()), Term::Integer(1))])),
            ("99999999999999999999", Term::Big("99999999999999999999".into())),
        ] {
            assert_eq!(one(text), term, "{text}");
        }
    }

    #[test]
    fn a_package_is_read_as_clients_read_it() {
        for text in [
            "% a comment\na.",
            "$a.",
            "16#ff.",
            "1.5e3.",
            "\u{feff}a.",
            "{a,\u{a0}b}.",
            r#"<<"a\\">>."#,
            r"'a\\'.",
            r#""\x41"."#,
            r#""\101"."#,
            r#""\^a"."#,
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
            assert!(matches!(plain(text.as_bytes()), Err(TermError::Syntax { .. })), "{text}");
        }
        let text = r#"{<<"a \\ \"b\" \n é"/utf8>>, [1, -2.5, true], #{<<"k">> => <<1,2>>}}."#;
        assert_eq!(plain(text.as_bytes()), parse(text.as_bytes()));
    }

    #[test]
    fn latin1_is_read_where_it_is_not_utf8() {
        assert_eq!(parse(b"<<\"\xe9\">>.").unwrap(), [Term::Binary(vec![0xe9])]);
    }

    #[test]
    fn what_is_no_term_is_said_with_its_line() {
        for text in
            ["{a", "{a,}.", "\n\n<<\"a.", "a", "<<256>>.", "<<\"€\">>.", "\"\\x{110000}\".", "fun() -> ok end.", "A."]
        {
            assert!(matches!(parse(text.as_bytes()), Err(TermError::Syntax { .. })), "{text}");
        }
        assert!(matches!(parse(b"a.\n\n]."), Err(TermError::Syntax { line: 3, .. })));
        let deep = "[".repeat(500);
        assert_eq!(parse(deep.as_bytes()), Err(TermError::TooDeep { max: limits::TERM_DEPTH }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), text in "[\\[\\]{}<>\"'.,#a-z0-9$\\\\ -]{0,60}") {
            let _ = parse(&bytes);
            if let Ok(terms) = plain(text.as_bytes()) {
                prop_assert_eq!(Ok(terms), parse(text.as_bytes()));
            }
        }
    }
}
