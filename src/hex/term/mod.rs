//! Erlang terms: what `metadata.config` is made of, and what Hex clients speak on the API.
//!
//! Only data: atoms, numbers, binaries, lists, tuples, maps. No references, no functions, no processes. Everything is
//! bounded in depth and by its input: no length that a message announces is believed before the bytes are there.

pub(in crate::hex) mod cursor;
pub mod etf;
mod json;
pub mod text;

pub use json::{elixir, from_json, to_json};

/// A term. A list of characters may be written in two ways, which are equal.
#[derive(Clone, Debug)]
pub enum Term {
    /// An atom, by its text.
    Atom(Box<str>),
    /// An integer of 64 bits.
    Integer(i64),
    /// A larger integer, in decimal digits with an optional minus sign.
    Big(Box<str>),
    /// A float; never NaN or infinite.
    Float(f64),
    /// A binary; a string, where it is UTF-8.
    Binary(Vec<u8>),
    /// A proper list.
    List(Vec<Self>),
    /// A proper list of integers, each the code of a character: what Erlang writes as a string. It takes as much room as
    /// its text.
    Characters(Box<str>),
    /// A tuple.
    Tuple(Vec<Self>),
    /// A map, in the order in which it was written.
    Map(Vec<(Self, Self)>),
}

/// Why bytes are not a term that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// It ends too early.
    #[error("the term ends too early")]
    Truncated,
    /// Bytes behind the term.
    #[error("there is something behind the term")]
    Trailing,
    /// Nested too deeply.
    #[error("the term is nested deeper than {max} levels")]
    TooDeep { max: usize },
    /// Too many parts.
    #[error("the term has more than {max} parts")]
    TooMany { max: usize },
    /// A compressed term: its size is not what it seems.
    #[error("compressed terms are not taken")]
    Compressed,
    /// Not the version byte of the external term format.
    #[error("this is not the external term format")]
    Version,
    /// A kind of term that is no data.
    #[error("terms of kind {0} are not taken")]
    Kind(u8),
    /// A number that cannot be represented.
    #[error("a number is out of range")]
    Number,
    /// Text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A map key that is no text.
    #[error("the key of a map is not a text")]
    Key,
    /// A tuple where only JSON's kinds are taken.
    #[error("tuples are not taken here")]
    Tuple,
    /// The text is not a term; where.
    #[error("illegal term in line {line}: {what}")]
    Syntax { line: usize, what: &'static str },
    /// An atom that no package has.
    #[error("illegal atom {0}")]
    Atom(Box<str>),
    /// The fields of a map are not those that are asked for; which, and why.
    #[error("{0}")]
    Fields(Box<str>),
}

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Atom(one), Self::Atom(other)) | (Self::Big(one), Self::Big(other)) => one == other,
            (Self::Integer(one), Self::Integer(other)) => one == other,
            (Self::Float(one), Self::Float(other)) => one == other,
            (Self::Binary(one), Self::Binary(other)) => one == other,
            (Self::List(one), Self::List(other)) | (Self::Tuple(one), Self::Tuple(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => one == other,
            (Self::Characters(one), Self::Characters(other)) => one == other,
            (Self::Characters(text), Self::List(items)) | (Self::List(items), Self::Characters(text)) => {
                codes(text).eq(items.iter().map(|item| if let Self::Integer(code) = item { *code } else { -1 }))
            }
            _ => false,
        }
    }
}

/// The integers that a list of characters has.
pub(in crate::hex) fn codes(text: &str) -> impl Iterator<Item = i64> {
    text.chars().map(|character| i64::from(u32::from(character)))
}

impl Term {
    /// A binary of a text.
    pub fn text(text: &str) -> Self {
        Self::Binary(text.as_bytes().to_vec())
    }

    /// The text of a binary, where it is one and UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}
