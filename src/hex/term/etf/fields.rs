//! A serde deserializer for the external term format. It reads into typed structures without building a
//! [`Term`](crate::hex::term::Term), so unknown fields cost no memory.
//!
//! `nil`, `null` and `undefined` are null, `true` and `false` are booleans. Other atoms, binaries, and integers of more
//! than 64 bits are strings. Lists are sequences, and maps with text keys are maps. Tuples are rejected, and texts must
//! be UTF-8.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{CowStrDeserializer, MapAccessDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::reader::{Reader, Token};
use crate::hex::term::TermError;

impl Error for TermError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Fields(message.to_string().into())
    }
}

/// Deserializes a term.
#[derive(Debug)]
pub struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    /// Starts at the beginning of `bytes`, which contain one term.
    pub fn new(bytes: &'a [u8]) -> Result<Self, TermError> {
        Reader::new(bytes).map(Self)
    }

    /// Checks that there are no bytes after the term.
    pub fn end(&self) -> Result<(), TermError> {
        self.0.end()
    }

    /// Whether the next term is null.
    fn is_nothing(&self) -> Result<bool, TermError> {
        let mut ahead = self.0;
        Ok(matches!(ahead.token()?, Token::Atom(text) if nothing(&text)))
    }
}

fn nothing(atom: &str) -> bool {
    matches!(atom, "nil" | "null" | "undefined")
}

fn text(bytes: &[u8]) -> Result<&str, TermError> {
    std::str::from_utf8(bytes).map_err(|_| TermError::NotUtf8)
}

impl<'de> Deserializer<'de> for &mut Fields<'de> {
    type Error = TermError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        match self.0.token()? {
            Token::Atom(atom) => match &*atom {
                atom if nothing(atom) => visitor.visit_unit(),
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                atom => visitor.visit_str(atom),
            },
            Token::Integer(number) => match u64::try_from(number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(number),
            },
            Token::Big(digits) => visitor.visit_str(&digits),
            Token::Float(number) => visitor.visit_f64(number),
            Token::Binary(bytes) => visitor.visit_borrowed_str(text(bytes)?),
            Token::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            Token::List(left) => {
                let value = self.all(left, |items| visitor.visit_seq(items))?;
                self.0.tail()?;
                Ok(value)
            }
            Token::Tuple(_) => Err(TermError::Tuple),
            Token::Map(left) => self.all(left, |pairs| visitor.visit_map(pairs)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TermError> {
        if self.is_nothing()? { self.deserialize_any(visitor) } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TermError> {
        visitor.visit_newtype_struct(self)
    }

    /// A variant is a text, or a map with one pair.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TermError> {
        match self.0.token()? {
            Token::Atom(atom) => visitor.visit_enum(key(atom)),
            Token::Binary(bytes) => visitor.visit_enum(key(text(bytes)?.into())),
            Token::Map(left) => self.all(left, |pairs| visitor.visit_enum(MapAccessDeserializer::new(pairs))),
            _ => Err(TermError::Fields("expected a text, or a map of one pair".into())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

fn key(text: Cow<'_, str>) -> CowStrDeserializer<'_, TermError> {
    text.into_deserializer()
}

impl<'de> Fields<'de> {
    /// Reads `left` items or pairs. It is an error if `read` leaves some of them.
    fn all<T>(
        &mut self,
        left: usize,
        read: impl FnOnce(&mut Items<'_, 'de>) -> Result<T, TermError>,
    ) -> Result<T, TermError> {
        self.0.enter();
        let mut items = Items { of: self, left };
        let value = read(&mut items)?;
        match items.left {
            0 => self.0.leave(),
            more => return Err(TermError::Fields(format!("{more} parts too many").into())),
        }
        Ok(value)
    }
}

/// The remaining items of a list or pairs of a map. No memory is allocated by the announced length.
struct Items<'f, 'de> {
    of: &'f mut Fields<'de>,
    left: usize,
}

impl Items<'_, '_> {
    fn take(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = TermError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TermError> {
        if self.take() { seed.deserialize(&mut *self.of).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = TermError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TermError> {
        if !self.take() {
            return Ok(None);
        }
        match self.of.0.token()? {
            Token::Atom(atom) => seed.deserialize(key(atom)).map(Some),
            Token::Binary(bytes) => seed.deserialize(key(text(bytes)?.into())).map(Some),
            _ => Err(TermError::Key),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TermError> {
        seed.deserialize(&mut *self.of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::hex::term::etf::{decode, encode};
    use crate::hex::term::{from_json, to_json};

    fn read<T: Deserialize<'static>>(bytes: Vec<u8>) -> Result<T, TermError> {
        let mut fields = Fields::new(bytes.leak())?;
        let value = T::deserialize(&mut fields)?;
        fields.end().map(|()| value)
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300f64..1e300).prop_map(Value::from),
            "[a-zé]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                proptest::collection::vec(("[a-z]{1,4}", inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Owner {
        Nobody,
        User(String),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Typed {
        name: String,
        reason: Option<String>,
        #[serde(default)]
        numbers: Vec<u32>,
        owners: Vec<Owner>,
    }

    #[test]
    fn fields_are_read_and_others_passed_over() {
        let value = json!({
            "name": "a", "reason": null, "numbers": [1, 2, 300], "more": {"deep": [[["x"]]]},
            "owners": ["nobody", {"user": "joe"}],
        });
        let typed: Typed = read(encode(&from_json(&value))).unwrap();
        let owners = vec![Owner::Nobody, Owner::User("joe".to_owned())];
        assert_eq!(typed, Typed { name: "a".to_owned(), reason: None, numbers: vec![1, 2, 300], owners });
        // A text from the client, which Erlang writes as a list of bytes.
        assert_eq!(read::<Vec<u32>>(vec![131, 107, 0, 2, 104, 105]), Ok(vec![104, 105]));
    }

    #[test]
    fn what_is_refused() {
        for (bytes, error) in [
            (vec![131, 104, 1, 97, 5], TermError::Tuple),
            (vec![131, 109, 0, 0, 0, 1, 255], TermError::NotUtf8),
            (vec![131, 116, 0, 0, 0, 1, 97, 1, 97, 1], TermError::Key),
            (vec![131, 108, 0, 0, 0, 1, 97, 1, 97, 2], TermError::Kind(108)),
            (vec![131, 108, 255, 255, 255, 255, 106], TermError::Truncated),
            (vec![131, 106, 106], TermError::Trailing),
        ] {
            assert_eq!(read::<Value>(bytes.clone()), Err(error), "{bytes:?}");
        }
        assert!(matches!(read::<Typed>(encode(&from_json(&json!({"name": 1})))), Err(TermError::Fields(_))));
        assert!(matches!(read::<(u8,)>(encode(&from_json(&json!([1, 300])))), Err(TermError::Fields(_))));
    }

    proptest! {
        /// The result is the same as through a `Term`.
        #[test]
        fn values_are_what_their_terms_are(value in json_value()) {
            let bytes = encode(&from_json(&value));
            prop_assert_eq!(read::<Value>(bytes.clone()).unwrap(), to_json(decode(&bytes).unwrap()).unwrap());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&[131], bytes.as_slice()].concat();
            let by_term = decode(&bytes).and_then(to_json);
            prop_assert_eq!(read::<Value>(bytes).is_ok(), by_term.is_ok());
        }
    }
}
