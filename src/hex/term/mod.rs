//! Erlang terms: the format of `metadata.config`, and of the requests and answers between Hex clients and the API.
//!
//! Only data is supported: atoms, numbers, binaries, lists, tuples and maps; no references, functions or processes.
//! Depth and size are limited. Announced lengths are not trusted: memory is allocated only as the bytes are read.

pub(in crate::hex) mod cursor;
pub mod etf;
mod json;
pub mod text;

pub use json::{elixir, from_json, to_json};

/// A term. A list of characters has two representations, which are equal.
#[derive(Clone, Debug)]
pub enum Term {
    /// An atom.
    Atom(Box<str>),
    /// An integer of 64 bits.
    Integer(i64),
    /// A larger integer, as decimal digits with an optional minus sign.
    Big(Box<str>),
    /// A float; never NaN or infinite.
    Float(f64),
    /// A binary; an Elixir string if it is UTF-8.
    Binary(Vec<u8>),
    /// A proper list.
    List(Vec<Self>),
    /// A proper list of integers that are code points: an Erlang string. It takes only as much memory as its text.
    Characters(Box<str>),
    /// A tuple.
    Tuple(Vec<Self>),
    /// A map, in its written order.
    Map(Vec<(Self, Self)>),
}

/// Why a term is invalid or not supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// It ends too early.
    #[error("the term ends too early")]
    Truncated,
    /// There are bytes after the term.
    #[error("there are unexpected bytes after the term")]
    Trailing,
    /// The term is nested too deeply.
    #[error("the term is nested deeper than {max} levels")]
    TooDeep { max: usize },
    /// The term has too many parts.
    #[error("the term has more than {max} parts")]
    TooMany { max: usize },
    /// A compressed term, which could be very large.
    #[error("compressed terms are not supported")]
    Compressed,
    /// The first byte is not the version of the external term format.
    #[error("this is not in the external term format")]
    Version,
    /// A type of term that is not supported, such as a function.
    #[error("terms with tag {0} are not supported")]
    Kind(u8),
    /// A number that cannot be represented.
    #[error("a number is out of range")]
    Number,
    /// Text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// The key of a map is not a text.
    #[error("the key of a map is not a text")]
    Key,
    /// A tuple where only types of JSON are allowed.
    #[error("tuples are not supported here")]
    Tuple,
    /// A syntax error in the text of a term.
    #[error("illegal term in line {line}: {what}")]
    Syntax { line: usize, what: &'static str },
    /// An atom that is not allowed in metadata.
    #[error("illegal atom {0}")]
    Atom(Box<str>),
    /// A field of a map is invalid. Contains the error message.
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

/// The code points of a text, as integers.
pub(in crate::hex) fn codes(text: &str) -> impl Iterator<Item = i64> {
    text.chars().map(|character| i64::from(u32::from(character)))
}

impl Term {
    /// A binary with this text.
    pub fn text(text: &str) -> Self {
        Self::Binary(text.as_bytes().to_vec())
    }

    /// The text of a binary; `None` if this is not a binary or not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}
