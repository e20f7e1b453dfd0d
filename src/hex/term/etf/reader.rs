//! Reads the external term format token by token, without copying. The callers build terms or typed values from the
//! tokens.

use std::borrow::Cow;

use super::{
    ATOM, ATOM_UTF8, BINARY, COMPRESSED, FLOAT, INTEGER, LARGE_BIG, LARGE_TUPLE, LIST, MAP, NEW_FLOAT, NIL, SMALL_ATOM,
    SMALL_ATOM_UTF8, SMALL_BIG, SMALL_INTEGER, SMALL_TUPLE, STRING, VERSION,
};
use crate::hex::limits;
use crate::hex::term::TermError;

/// Length of a float in the old text format.
const FLOAT_TEXT: usize = 31;

/// The beginning of a term.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Atom(Cow<'a, str>),
    Integer(i64),
    /// The decimal digits of an integer of more than 64 bits.
    Big(Box<str>),
    Float(f64),
    Binary(&'a [u8]),
    /// A list of integers of one byte each, including the empty list.
    Bytes(&'a [u8]),
    /// A list of this many terms. The terms follow, then the [tail](Reader::tail).
    List(usize),
    /// A tuple of this many terms, which follow.
    Tuple(usize),
    /// A map of this many pairs of terms, which follow.
    Map(usize),
}

/// A position in a term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    parts: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Starts before the first token of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, TermError> {
        let mut reader = Self { rest: bytes, parts: 0, depth: 0 };
        match (reader.byte()?, reader.rest.first()) {
            (VERSION, Some(&COMPRESSED)) => Err(TermError::Compressed),
            (VERSION, _) => Ok(reader),
            _ => Err(TermError::Version),
        }
    }

    /// Checks that no bytes are left.
    pub(super) fn end(&self) -> Result<(), TermError> {
        if self.rest.is_empty() { Ok(()) } else { Err(TermError::Trailing) }
    }

    /// Enters the list, tuple or map whose token was read last.
    pub(super) fn enter(&mut self) {
        self.depth += 1;
    }

    /// Leaves it, after all its terms have been read.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Reads the tail of a proper list.
    pub(super) fn tail(&mut self) -> Result<(), TermError> {
        if self.byte()? == NIL { Ok(()) } else { Err(TermError::Kind(LIST)) }
    }

    /// Reads the next token.
    pub(super) fn token(&mut self) -> Result<Token<'a>, TermError> {
        if self.depth > limits::TERM_DEPTH {
            return Err(TermError::TooDeep { max: limits::TERM_DEPTH });
        }
        self.parts += 1;
        if self.parts > limits::TERM_PARTS {
            return Err(TermError::TooMany { max: limits::TERM_PARTS });
        }
        match self.byte()? {
            SMALL_INTEGER => Ok(Token::Integer(i64::from(self.byte()?))),
            INTEGER => Ok(Token::Integer(i64::from(i32::from_be_bytes(self.array()?)))),
            NEW_FLOAT => finite(f64::from_be_bytes(self.array()?)),
            FLOAT => {
                let text = self.take(FLOAT_TEXT)?;
                let text = std::str::from_utf8(text).map_err(|_| TermError::Number)?;
                finite(text.trim_end_matches('\0').trim().parse().map_err(|_| TermError::Number)?)
            }
            ATOM => {
                let length = self.short()?;
                self.latin1(length)
            }
            SMALL_ATOM => {
                let length = usize::from(self.byte()?);
                self.latin1(length)
            }
            ATOM_UTF8 => {
                let length = self.short()?;
                self.utf8(length)
            }
            SMALL_ATOM_UTF8 => {
                let length = usize::from(self.byte()?);
                self.utf8(length)
            }
            SMALL_TUPLE => Ok(Token::Tuple(usize::from(self.byte()?))),
            LARGE_TUPLE => Ok(Token::Tuple(self.long()?)),
            NIL => Ok(Token::Bytes(&[])),
            STRING => {
                let length = self.short()?;
                self.parts = self.parts.saturating_add(length);
                Ok(Token::Bytes(self.take(length)?))
            }
            LIST => Ok(Token::List(self.long()?)),
            BINARY => {
                let length = self.long()?;
                Ok(Token::Binary(self.take(length)?))
            }
            SMALL_BIG => {
                let length = usize::from(self.byte()?);
                self.big(length)
            }
            LARGE_BIG => {
                let length = self.long()?;
                self.big(length)
            }
            MAP => Ok(Token::Map(self.long()?)),
            kind => Err(TermError::Kind(kind)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], TermError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TermError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TermError> {
        self.take(N)?.try_into().map_err(|_| TermError::Truncated)
    }

    fn byte(&mut self) -> Result<u8, TermError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn short(&mut self) -> Result<usize, TermError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn long(&mut self) -> Result<usize, TermError> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| TermError::Truncated)
    }

    fn latin1(&mut self, length: usize) -> Result<Token<'a>, TermError> {
        Ok(Token::Atom(self.take(length)?.iter().map(|byte| char::from(*byte)).collect()))
    }

    fn utf8(&mut self, length: usize) -> Result<Token<'a>, TermError> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| TermError::NotUtf8)?;
        Ok(Token::Atom(text.into()))
    }

    fn big(&mut self, length: usize) -> Result<Token<'a>, TermError> {
        if length > limits::TERM_BIG {
            return Err(TermError::Number);
        }
        let negative = self.byte()? != 0;
        let digits = decimal(self.take(length)?);
        let text = if negative && digits != "0" { format!("-{digits}") } else { digits };
        Ok(text.parse().map_or_else(|_| Token::Big(text.into()), Token::Integer))
    }
}

fn finite<'a>(number: f64) -> Result<Token<'a>, TermError> {
    if number.is_finite() { Ok(Token::Float(number)) } else { Err(TermError::Number) }
}

/// Converts a little-endian number to decimal digits.
fn decimal(little_endian: &[u8]) -> String {
    const BASE: u64 = 1_000_000_000;
    // Groups of nine decimal digits, the least significant first.
    let mut groups: Vec<u64> = vec![0];
    for byte in little_endian.iter().rev() {
        let mut carry = u64::from(*byte);
        for group in &mut groups {
            let value = *group * 256 + carry;
            *group = value % BASE;
            carry = value / BASE;
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let mut text = String::new();
    for (at, group) in groups.iter().rev().enumerate() {
        text.push_str(&if at == 0 { group.to_string() } else { format!("{group:09}") });
    }
    text
}
