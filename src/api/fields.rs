//! Field types for request bodies that clients write in more than one way, and the error for a field of the wrong type.
//!
//! A value of the wrong type is kept as such ([`TextField::Other`]) until a handler reads the field. Then the client
//! gets a validation error with the name of the field. Otherwise a client could take an ignored field for accepted.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::ApiError;

/// A field that must be a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum TextField {
    /// The field is missing or null.
    #[default]
    Missing,
    /// A string, which may be empty.
    Is(String),
    /// The value is not a string.
    Other,
}

impl TextField {
    /// The string in the field `name`. An empty string counts as missing.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self {
            Self::Other => Err(ApiError::invalid(name, "must be a string")),
            _ => Ok(self.if_text()),
        }
    }

    /// The string, if the field contains one that is not empty.
    pub(super) fn if_text(&self) -> Option<&str> {
        match self {
            Self::Is(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// A flag, set by `true` or the string `"true"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlagField(pub(super) bool);

/// A field that must be a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ListField<T> {
    /// The field is missing or null.
    #[default]
    Missing,
    /// A list.
    Is(Vec<T>),
    /// The value is not a list.
    Other,
}

/// A list item that must be a map; `None` if it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TableItem<T>(pub(super) Option<T>);

/// Conversions from each type of value to a field. By default a value is of the wrong type.
trait Kinds<'de>: Sized {
    fn other() -> Self;

    fn nothing() -> Self {
        Self::other()
    }

    fn flag(_: bool) -> Self {
        Self::other()
    }

    fn text(_: &str) -> Self {
        Self::other()
    }

    fn list<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::other())
    }

    fn map<A: MapAccess<'de>>(mut pairs: A) -> Result<Self, A::Error> {
        while pairs.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::other())
    }
}

impl Kinds<'_> for TextField {
    fn other() -> Self {
        Self::Other
    }

    fn nothing() -> Self {
        Self::Missing
    }

    fn text(text: &str) -> Self {
        Self::Is(text.to_owned())
    }
}

impl Kinds<'_> for FlagField {
    fn other() -> Self {
        Self(false)
    }

    fn flag(flag: bool) -> Self {
        Self(flag)
    }

    fn text(text: &str) -> Self {
        Self(text == "true")
    }
}

impl<'de, T: Deserialize<'de>> Kinds<'de> for ListField<T> {
    fn other() -> Self {
        Self::Other
    }

    fn nothing() -> Self {
        Self::Missing
    }

    fn list<A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Self::Is(list))
    }
}

impl<'de, T: Deserialize<'de>> Kinds<'de> for TableItem<T> {
    fn other() -> Self {
        Self(None)
    }

    fn map<A: MapAccess<'de>>(pairs: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(pairs)).map(|table| Self(Some(table)))
    }
}

struct Anything<T>(PhantomData<T>);

impl<'de, T: Kinds<'de>> Visitor<'de> for Anything<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<T, E> {
        Ok(T::flag(flag))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::nothing())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<T, A::Error> {
        T::list(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<T, A::Error> {
        T::map(pairs)
    }
}

impl<'de> Deserialize<'de> for TextField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything(PhantomData))
    }
}

impl<'de> Deserialize<'de> for FlagField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ListField<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TableItem<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Fields {
        text: TextField,
        flag: FlagField,
        list: ListField<TableItem<Inner>>,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Inner {
        text: TextField,
    }

    #[test]
    fn each_field_is_of_its_kind_or_known_to_be_of_another() {
        let read = |value| serde_json::from_value::<Fields>(value).unwrap();
        assert_eq!(read(json!({"text": null, "list": null, "more": [{}]})), Fields::default());
        let inner = |text| TableItem(Some(Inner { text }));
        let seen = read(json!({"text": "a", "flag": true, "list": [{"text": "b"}, 7, {"text": [1]}]}));
        let list = ListField::Is(vec![inner(TextField::Is("b".to_owned())), TableItem(None), inner(TextField::Other)]);
        assert_eq!(seen, Fields { text: TextField::Is("a".to_owned()), flag: FlagField(true), list });
        for other in [json!(7), json!(-1), json!(1.5), json!({"a": [1]}), json!([[1]]), json!(true)] {
            let seen = read(json!({"text": other}));
            assert_eq!(seen.text, TextField::Other, "{other}");
            assert!(seen.text.get("text").is_err() && seen.text.if_text().is_none());
            assert_eq!(read(json!({"flag": other})).flag, FlagField(other == json!(true)));
        }
        assert_eq!(read(json!({"list": "a"})).list, ListField::Other);
        assert_eq!(read(json!({"flag": "true"})).flag, FlagField(true));
        assert_eq!(read(json!({"text": ""})).text.get("text"), Ok(None));
    }
}
