//! Parses terms written as text, such as the consecutive `{Key, Value}.` of `metadata.config`.
//!
//! It supports the syntax that rebar3, Mix and Gleam write and that Erlang's `file:consult` reads, without code and
//! operators. The text is UTF-8, or Latin-1 if it is not valid UTF-8. Hex clients use a different reader for packages,
//! which supports less syntax and reads some of it differently: [`plain`] accepts only text that both read alike.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::{Term, TermError};
use crate::hex::limits;

/// Parses all terms in `bytes`; each ends with a full stop.
pub fn parse(bytes: &[u8]) -> Result<Vec<Term>, TermError> {
    terms(bytes, false, limits::TERM_PARTS)
}

/// The same for the metadata of packages: rejects comments, characters (`$a`), numbers with bases or exponents, and
/// escapes that Erlang and Hex clients read differently.
pub fn plain(bytes: &[u8]) -> Result<Vec<Term>, TermError> {
    terms(bytes, true, limits::METADATA_PARTS)
}

fn terms(bytes: &[u8], plain: bool, max: usize) -> Result<Vec<Term>, TermError> {
    let text: Cow<'_, str> = match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let unmarked = text.strip_prefix('\u{feff}').filter(|_| !plain).unwrap_or(&text);
    let mut parser = Parser { at: Cursor::new(unmarked, max), plain };
    let mut terms = Vec::new();
    loop {
        parser.space();
        if parser.at.rest().is_empty() {
            return Ok(terms);
        }
        terms.push(parser.term(0)?);
        parser.expect('.', "a full stop is missing")?;
    }
}

struct Parser<'a> {
    at: Cursor<'a>,
    plain: bool,
}

impl Parser<'_> {
    fn expect(&mut self, wanted: char, what: &'static str) -> Result<(), TermError> {
        self.space();
        if self.at.peek() == Some(wanted) {
            self.at.next();
            Ok(())
        } else {
            Err(self.at.fault(what))
        }
    }

    /// Skips spaces and comments.
    fn space(&mut self) {
        if self.plain {
            self.at.space(None, |character| character <= ' ');
        } else {
            self.at.space(Some('%'), char::is_whitespace);
        }
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        self.at.count(depth)?;
        self.space();
        if self.at.take("<<") {
            return self.binary();
        }
        if self.at.take("#{") {
            return self.map(depth);
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
                Ok(Term::Characters(self.strings()?.into()))
            }
            Some('\'') => {
                self.at.next();
                Ok(Term::Atom(self.quoted('\'')?.into()))
            }
            Some('-' | '+' | '0'..='9') => self.number(),
            Some('$') if !self.plain => {
                self.at.next();
                let character = self.at.next().ok_or_else(|| self.at.fault("a character is missing"))?;
                let character = if character == '\\' { self.escape()? } else { character };
                Ok(Term::Integer(i64::from(u32::from(character))))
            }
            Some(character) if character.is_lowercase() => {
                Ok(Term::Atom(self.at.while_(|c| c.is_alphanumeric() || c == '_' || c == '@').into()))
            }
            _ => Err(self.at.fault("a term is expected")),
        }
    }

    fn items(&mut self, end: char, depth: usize) -> Result<Vec<Term>, TermError> {
        let mut items = Vec::new();
        self.space();
        if self.at.peek() == Some(end) {
            self.at.next();
            return Ok(items);
        }
        loop {
            items.push(self.term(depth + 1)?);
            self.space();
            match self.at.next() {
                Some(',') => {}
                Some(character) if character == end => {
                    // Frees unused capacity, because there can be many short lists.
                    items.shrink_to_fit();
                    return Ok(items);
                }
                _ => return Err(self.at.fault("a comma or a closing bracket is missing")),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Term, TermError> {
        let mut pairs = Vec::new();
        self.space();
        if self.at.take("}") {
            return Ok(Term::Map(pairs));
        }
        loop {
            let key = self.term(depth + 1)?;
            self.space();
            if !self.at.take("=>") {
                return Err(self.at.fault("`=>` is missing"));
            }
            pairs.push((key, self.term(depth + 1)?));
            self.space();
            match self.at.next() {
                Some(',') => {}
                Some('}') => return Ok(Term::Map(pairs)),
                _ => return Err(self.at.fault("a comma or a closing bracket is missing")),
            }
        }
    }

    /// Parses the texts and bytes after `<<`. A text without `/utf8` has one byte for each character.
    fn binary(&mut self) -> Result<Term, TermError> {
        let mut bytes = Vec::new();
        self.space();
        if self.at.take(">>") {
            return Ok(Term::Binary(bytes));
        }
        loop {
            self.space();
            if self.at.peek() == Some('"') {
                self.at.next();
                let text = self.strings()?;
                if self.at.take("/utf8") {
                    bytes.extend_from_slice(text.as_bytes());
                } else {
                    for character in text.chars() {
                        let byte = u8::try_from(u32::from(character));
                        bytes.push(byte.map_err(|_| self.at.fault("a text without /utf8 has a character beyond 255"))?);
                    }
                }
            } else {
                let Term::Integer(number) = self.number()? else { return Err(self.at.fault("a byte is expected")) };
                bytes.push(u8::try_from(number).map_err(|_| self.at.fault("a byte is expected"))?);
            }
            self.space();
            if self.at.take(">>") {
                return Ok(Term::Binary(bytes));
            }
            self.expect(',', "`>>` is missing")?;
        }
    }

    /// Parses a string after its opening quote. Consecutive strings are joined, as in Erlang.
    fn strings(&mut self) -> Result<String, TermError> {
        let mut text = self.quoted('"')?;
        loop {
            self.space();
            if !self.at.take("\"") {
                return Ok(text);
            }
            text.push_str(&self.quoted('"')?);
        }
    }

    /// Parses up to the closing quote, after the opening one. For the reader of Hex clients, a quote after `\` or `\^`
    /// never ends the text, not even if that backslash is itself escaped. [`plain`] rejects such text as ambiguous.
    fn quoted(&mut self, quote: char) -> Result<String, TermError> {
        let mut text = String::new();
        let begun = self.at.rest();
        loop {
            let raw = begun.len() - self.at.rest().len();
            match self.at.next() {
                None => return Err(self.at.fault("a closing quote is missing")),
                Some(character) if character == quote => {
                    let raw = begun.get(..raw).unwrap_or_default();
                    if self.plain && (raw.ends_with('\\') || raw.ends_with("\\^")) {
                        return Err(self.at.fault("not all clients read the end of this text in the same way"));
                    }
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(character) => text.push(character),
            }
        }
    }

    /// Parses an escape sequence after the backslash.
    fn escape(&mut self) -> Result<char, TermError> {
        let fault = self.at.fault("unknown escape sequence");
        let two_ways = self.at.fault("not all clients read this escape sequence in the same way");
        let character = self.at.next().ok_or_else(|| fault.clone())?;
        Ok(match character {
            // Hex clients drop such a character together with its backslash, and read `\x` as `x`.
            'x' | '\0'..=' ' if self.plain => return Err(two_ways),
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
                let digits = if self.at.take("{") {
                    let digits = self.at.while_(|c| c.is_ascii_hexdigit());
                    if !self.at.take("}") {
                        return Err(fault);
                    }
                    digits
                } else {
                    self.at.bytes(2).ok_or_else(|| fault.clone())?
                };
                u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or(fault)?
            }
            '0'..='7' => {
                let mut code = u32::from(character) - u32::from('0');
                for _ in 0..2 {
                    match self.at.peek().and_then(|c| c.to_digit(8)) {
                        Some(digit) => code = code * 8 + digit,
                        // Hex clients support only three digits.
                        None if self.plain => return Err(two_ways),
                        None => break,
                    }
                    self.at.next();
                }
                char::from_u32(code).ok_or(fault)?
            }
            '^' => match self.at.next() {
                Some(control @ ('@'..='[' | ']' | '_' | 'a'..='z')) => {
                    char::from_u32(u32::from(control) & 31).ok_or(fault)?
                }
                _ => return Err(two_ways),
            },
            other => other,
        })
    }

    fn number(&mut self) -> Result<Term, TermError> {
        let negative = self.at.take("-");
        if !negative {
            let _plus = self.at.take("+");
        }
        let digits = self.at.while_(|c| c.is_ascii_digit());
        let sign = if negative { "-" } else { "" };
        if digits.is_empty() {
            return Err(self.at.fault("a number is expected"));
        }
        if !self.plain && self.at.take("#") {
            let base = digits.parse().ok().filter(|base| (2..=36).contains(base));
            let base = base.ok_or_else(|| self.at.fault("the base of a number must be 2 to 36"))?;
            let digits = self.at.while_(|c| c.is_ascii_alphanumeric());
            let number = i64::from_str_radix(&format!("{sign}{digits}"), base);
            return number.map(Term::Integer).map_err(|_| TermError::Number);
        }
        let mut after = self.at.rest().chars();
        if after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()) {
            self.at.next();
            let mut text = format!("{sign}{digits}.{}", self.at.while_(|c| c.is_ascii_digit()));
            if !self.plain && matches!(self.at.peek(), Some('e' | 'E')) {
                self.at.next();
                text.push('e');
                text.push_str(self.at.while_(|c| c.is_ascii_digit() || c == '-' || c == '+'));
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
            r#""\1"."#,
            r#""\18"."#,
            r#""\ "."#,
            "\"\\\n\".",
            r#""a\\^"."#,
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
            assert!(matches!(plain(text.as_bytes()), Err(TermError::Syntax { .. })), "{text}");
        }
        let text = r#"{<<"a \\ \"b\" \n é"/utf8>>, [1, -2.5, true], #{<<"k">> => <<1,2>>}}."#;
        assert_eq!(plain(text.as_bytes()), parse(text.as_bytes()));
        let text = r#"[<<"\101GPL">>, "\^A\^z\^@\777\q\\^ "]."#;
        let codes = [1, 26, 0, 511, 113, 92, 94, 32].map(Term::Integer);
        let expected = Term::List(vec![Term::text("AGPL"), Term::List(codes.into())]);
        assert_eq!(plain(text.as_bytes()).unwrap(), [expected]);
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
