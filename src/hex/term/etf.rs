//! Reads and writes the external term format of `term_to_binary` (Erlang's ERTS User's Guide, "External Term Format").

mod fields;
mod reader;

use self::reader::{Reader, Token};
use super::{Term, TermError, codes};

pub use fields::Fields;

const VERSION: u8 = 131;
const COMPRESSED: u8 = 80;
const NEW_FLOAT: u8 = 70;
const SMALL_INTEGER: u8 = 97;
const INTEGER: u8 = 98;
const FLOAT: u8 = 99;
const ATOM: u8 = 100;
const SMALL_TUPLE: u8 = 104;
const LARGE_TUPLE: u8 = 105;
const NIL: u8 = 106;
const STRING: u8 = 107;
const LIST: u8 = 108;
const BINARY: u8 = 109;
const SMALL_BIG: u8 = 110;
const LARGE_BIG: u8 = 111;
const SMALL_ATOM: u8 = 115;
const MAP: u8 = 116;
const ATOM_UTF8: u8 = 118;
const SMALL_ATOM_UTF8: u8 = 119;

/// Reads a term. `bytes` must contain nothing else.
pub fn decode(bytes: &[u8]) -> Result<Term, TermError> {
    let mut reader = Reader::new(bytes)?;
    let term = term(&mut reader)?;
    reader.end()?;
    Ok(term)
}

fn term(reader: &mut Reader<'_>) -> Result<Term, TermError> {
    Ok(match reader.token()? {
        Token::Atom(text) => Term::Atom(text.into()),
        Token::Integer(number) => Term::Integer(number),
        Token::Big(digits) => Term::Big(digits),
        Token::Float(number) => Term::Float(number),
        Token::Binary(bytes) => Term::Binary(bytes.to_vec()),
        Token::Bytes(bytes) => Term::Characters(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Token::List(length) => {
            let items = terms(reader, length)?;
            reader.tail()?;
            Term::List(items)
        }
        Token::Tuple(length) => Term::Tuple(terms(reader, length)?),
        Token::Map(length) => {
            let mut pairs = Vec::new();
            reader.enter();
            for _ in 0..length {
                pairs.push((term(reader)?, term(reader)?));
            }
            reader.leave();
            Term::Map(pairs)
        }
    })
}

/// Reads `length` terms. Memory is allocated as they are read, not by the announced length.
fn terms(reader: &mut Reader<'_>, length: usize) -> Result<Vec<Term>, TermError> {
    let mut items = Vec::new();
    reader.enter();
    for _ in 0..length {
        items.push(term(reader)?);
    }
    reader.leave();
    Ok(items)
}

/// Converts a decimal number to bytes, the least significant first.
fn little_endian(digits: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        let mut carry = u16::from(digit - b'0');
        for byte in &mut bytes {
            let value = u16::from(*byte) * 10 + carry;
            let [high, low] = value.to_be_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        if let Some(low) = carry.to_be_bytes().last().filter(|_| carry > 0) {
            bytes.push(*low);
        }
    }
    bytes
}

/// Writes a term. Lengths beyond those of the format are cut off, but no term of this program is that long.
pub fn encode(term: &Term) -> Vec<u8> {
    let mut out = vec![VERSION];
    write(term, &mut out);
    out
}

fn write(term: &Term, out: &mut Vec<u8>) {
    match term {
        Term::Atom(text) => {
            if let Ok(small) = u8::try_from(text.len()) {
                out.extend_from_slice(&[SMALL_ATOM_UTF8, small]);
            } else {
                out.push(ATOM_UTF8);
                out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            }
            out.extend_from_slice(text.as_bytes().get(..usize::from(u16::MAX)).unwrap_or(text.as_bytes()));
        }
        Term::Integer(number) => write_integer(*number, out),
        Term::Big(digits) => write_big(digits.starts_with('-'), &little_endian(digits), out),
        Term::Float(number) => {
            out.push(NEW_FLOAT);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Term::Binary(bytes) => {
            out.push(BINARY);
            length(bytes.len(), out);
            out.extend_from_slice(bytes);
        }
        Term::List(items) if items.is_empty() => out.push(NIL),
        Term::List(items) => {
            out.push(LIST);
            length(items.len(), out);
            items.iter().for_each(|item| write(item, out));
            out.push(NIL);
        }
        Term::Characters(text) if text.is_empty() => out.push(NIL),
        Term::Characters(text) => {
            out.push(LIST);
            length(text.chars().count(), out);
            codes(text).for_each(|code| write_integer(code, out));
            out.push(NIL);
        }
        Term::Tuple(items) => {
            match u8::try_from(items.len()) {
                Ok(small) => out.extend_from_slice(&[SMALL_TUPLE, small]),
                Err(_) => {
                    out.push(LARGE_TUPLE);
                    length(items.len(), out);
                }
            }
            items.iter().for_each(|item| write(item, out));
        }
        Term::Map(pairs) => {
            out.push(MAP);
            length(pairs.len(), out);
            for (key, value) in pairs {
                write(key, out);
                write(value, out);
            }
        }
    }
}

fn length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn write_integer(number: i64, out: &mut Vec<u8>) {
    if let Ok(small) = u8::try_from(number) {
        out.extend_from_slice(&[SMALL_INTEGER, small]);
    } else if let Ok(number) = i32::try_from(number) {
        out.push(INTEGER);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        let magnitude = number.unsigned_abs().to_le_bytes();
        let used = magnitude.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        write_big(number < 0, magnitude.get(..used).unwrap_or_default(), out);
    }
}

fn write_big(negative: bool, bytes: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(bytes.len()) {
        Ok(small) => out.extend_from_slice(&[SMALL_BIG, small]),
        Err(_) => {
            out.push(LARGE_BIG);
            length(bytes.len(), out);
        }
    }
    out.push(u8::from(negative));
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex::limits;

    fn any_term() -> impl Strategy<Value = Term> {
        let leaf = prop_oneof![
            "[a-z_@é]{1,12}".prop_map(|text| Term::Atom(text.into())),
            "é{120,140}".prop_map(|text| Term::Atom(text.into())),
            any::<i64>().prop_map(Term::Integer),
            (-1e300f64..1e300).prop_map(Term::Float),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Term::Binary),
            "-?[1-9][0-9]{19,60}".prop_map(|digits| Term::Big(digits.into())),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Term::List),
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Term::Tuple),
                proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(Term::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(term in any_term()) {
            prop_assert_eq!(decode(&encode(&term)), Ok(term));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode(&[&[VERSION], bytes.as_slice()].concat());
        }

        #[test]
        fn a_cut_term_is_none(term in any_term(), cut in 1usize..50) {
            let bytes = encode(&term);
            let end = bytes.len().saturating_sub(cut);
            prop_assert!(decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn what_erlang_writes() {
        for (bytes, term) in [
            (&[131, 107, 0, 2, 104, 105][..], Term::List(vec![Term::Integer(104), Term::Integer(105)])),
            (&[131, 100, 0, 3, b'n', b'i', b'l'], Term::Atom("nil".into())),
            (&[131, 110, 8, 0, 0, 0, 0, 0, 0, 0, 0, 128], Term::Big("9223372036854775808".into())),
            (&[131, 110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 128], Term::Integer(i64::MIN)),
            (&[131, 98, 255, 255, 255, 255], Term::Integer(-1)),
            (&[131, 104, 1, 97, 5], Term::Tuple(vec![Term::Integer(5)])),
        ] {
            assert_eq!(decode(bytes).unwrap(), term, "{bytes:?}");
        }
        assert_eq!(encode(&Term::Big("9223372036854775808".into())), [131, 110, 8, 0, 0, 0, 0, 0, 0, 0, 0, 128]);
    }

    #[test]
    fn what_is_refused() {
        let deep = [&[VERSION][..], &[108, 0, 0, 0, 1].repeat(200), &[106]].concat();
        for (bytes, error) in [
            (&[][..], TermError::Truncated),
            (&[130, 106], TermError::Version),
            (&[131, 80, 0, 0, 0, 9, 120], TermError::Compressed),
            (&[131, 106, 106], TermError::Trailing),
            (&[131, 109, 255, 255, 255, 255, 1], TermError::Truncated),
            (&[131, 108, 255, 255, 255, 255, 106], TermError::Truncated),
            (&[131, 70, 127, 240, 0, 0, 0, 0, 0, 0], TermError::Number),
            (&[131, 103, 0], TermError::Kind(103)),
            (&[131, 77, 0], TermError::Kind(77)),
            (&[131, 108, 0, 0, 0, 1, 97, 1, 97, 2], TermError::Kind(LIST)),
            (&deep, TermError::TooDeep { max: limits::TERM_DEPTH }),
        ] {
            assert_eq!(decode(bytes), Err(error), "{bytes:?}");
        }
        let huge = [&[131, 111, 0, 16, 0, 0, 0][..], &vec![1; 1 << 20]].concat();
        assert_eq!(decode(&huge), Err(TermError::Number));
    }
}
