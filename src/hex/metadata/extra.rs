//! Reads `extra`: additional metadata of any structure.
//!
//! Clients write maps as lists of pairs, at every level, so a list of pairs is read as a map. An empty list could be
//! either; it is read as a map, as in Hex itself.

use serde_json::{Map, Value};

use crate::hex::limits;
use crate::hex::term::{Term, TermError, to_json};

/// Why `extra` is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExtraError {
    /// It is neither a map nor a list of pairs.
    #[error("expected type map")]
    NotMap,
    /// A part of it cannot be converted to JSON.
    #[error(transparent)]
    Term(#[from] TermError),
    /// It exceeds the size limit.
    #[error("has more than {max} bytes as JSON")]
    TooLarge { max: usize },
}

/// Reads the value of the key `extra`. Its depth was limited when the term was parsed.
pub(super) fn read(term: &Term) -> Result<Map<String, Value>, ExtraError> {
    let Value::Object(extra) = json(term)? else { return Err(ExtraError::NotMap) };
    let mut length = Length::default();
    // Writing to a counter does not fail.
    let is_written = serde_json::to_writer(&mut length, &extra).is_ok();
    if is_written && length.0 <= limits::EXTRA { Ok(extra) } else { Err(ExtraError::TooLarge { max: limits::EXTRA }) }
}

fn json(term: &Term) -> Result<Value, ExtraError> {
    Ok(match term {
        Term::Map(pairs) => {
            Value::Object(pairs.iter().map(|(key, value)| entry(key, value)).collect::<Result<_, _>>()?)
        }
        Term::List(items) => match items.iter().map(pair).collect::<Option<Vec<_>>>() {
            Some(pairs) => {
                Value::Object(pairs.into_iter().map(|(key, value)| entry(key, value)).collect::<Result<_, _>>()?)
            }
            None => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        },
        // An Erlang string is a list of numbers, one for each character.
        Term::Characters(text) if text.len() > limits::EXTRA => {
            return Err(ExtraError::TooLarge { max: limits::EXTRA });
        }
        Term::Characters(text) if text.is_empty() => Value::Object(Map::new()),
        other => to_json(other.clone())?,
    })
}

fn pair(term: &Term) -> Option<(&Term, &Term)> {
    match term {
        Term::Tuple(items) => match items.as_slice() {
            [key, value] => Some((key, value)),
            _ => None,
        },
        _ => None,
    }
}

/// A number as a key is converted to text, as in all JSON documents of Hex.
fn entry(key: &Term, value: &Term) -> Result<(String, Value), ExtraError> {
    let key = match key {
        Term::Integer(number) => number.to_string(),
        Term::Atom(text) => text.to_string(),
        Term::Binary(bytes) => String::from_utf8(bytes.clone()).map_err(|_| TermError::NotUtf8)?,
        _ => return Err(TermError::Key.into()),
    };
    Ok((key, json(value)?))
}

/// A writer that only counts bytes.
#[derive(Debug, Default)]
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::hex::metadata::pairs;

    fn of(text: &str) -> Result<Map<String, Value>, String> {
        let pairs = pairs(format!("{{<<\"extra\">>,{text}}}.").as_bytes()).map_err(|error| error.to_string())?;
        read(&pairs["extra"]).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_of_pairs_are_maps_at_every_level() {
        for (text, expected) in [
            (r#"[{<<"c">>,[{<<"d">>,<<"e">>}]}]"#, json!({"c": {"d": "e"}})),
            (r##"#{<<"c">> => #{<<"d">> => [{<<"e">>,1}]}}"##, json!({"c": {"d": {"e": 1}}})),
            (r#"[{<<"a">>,[[{<<"b">>,1}],[{<<"c">>,true}]]}]"#, json!({"a": [{"b": 1}, {"c": true}]})),
            (r#"[{<<"a">>,[[1,2],[<<"x">>]]}]"#, json!({"a": [[1, 2], ["x"]]})),
            (r#"[{<<"a">>,[]},{<<"b">>,[1,[]]}]"#, json!({"a": {}, "b": [1, {}]})),
            (r#"[{<<"a">>,undefined},{<<"b">>,1.5}]"#, json!({"a": null, "b": 1.5})),
            (r#"[{1,2},{true,3}]"#, json!({"1": 2, "true": 3})),
            (r#"[{<<"a">>,1},{<<"a">>,2}]"#, json!({"a": 2})),
            ("[]", json!({})),
        ] {
            assert_eq!(of(text).map(Value::Object), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for (text, why) in [
            ("7", "expected type map"),
            (r#"<<"a">>"#, "expected type map"),
            (r#"[<<"a">>]"#, "expected type map"),
            (r#"[{<<"a">>,{1}}]"#, "tuples are not supported here"),
            (r#"[{<<"a">>,[{<<"b">>,1},2]}]"#, "tuples are not supported here"),
            (r#"[{<<"a">>,<<255>>}]"#, "a text is not UTF-8"),
            ("[{1.5,1}]", "the key of a map is not a text"),
        ] {
            assert_eq!(of(text), Err(why.to_owned()), "{text}");
        }
        let deep = format!("[{{<<\"a\">>,{}1{}}}]", "[".repeat(70), "]".repeat(70));
        assert!(of(&deep).unwrap_err().contains("nested deeper than 64 levels"));
        let long = |bytes: usize| of(&format!("[{{<<\"a\">>,<<\"{}\">>}}]", "x".repeat(bytes)));
        let around = r#"{"a":""}"#.len();
        assert!(long(limits::EXTRA - around).is_ok());
        assert_eq!(long(limits::EXTRA - around + 1), Err(format!("has more than {} bytes as JSON", limits::EXTRA)));
    }

    /// A value as clients write it: with lists of pairs instead of maps.
    fn written(value: &Value) -> Term {
        match value {
            Value::Object(map) => {
                let pairs = map.iter().map(|(key, value)| Term::Tuple(vec![Term::text(key), written(value)]));
                Term::List(pairs.collect())
            }
            Value::Array(items) => Term::List(items.iter().map(written).collect()),
            Value::Null => Term::Atom("undefined".into()),
            other => crate::hex::term::from_json(other),
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-zé]{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..5).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{0,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_an_author_adds_comes_back(map in proptest::collection::btree_map("[a-z]{0,6}", values(), 0..5)) {
            let value = Value::Object(map.into_iter().collect());
            prop_assert_eq!(read(&written(&value)).map(Value::Object), Ok(value));
        }
    }
}
