//! Parsing of request bodies (except uploads): reads a body within the limits of its route, then deserializes it. No
//! other code reads these bodies.
//!
//! ```text
//! Content-Length → bytes, within limits of size, rate and time → a walk that counts values and depth → the route's type
//! ```
//!
//! Bodies are JSON, Erlang terms or HTML forms. None of them is parsed into a tree, so fields that the type does not
//! use cost no memory.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Body;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyDataStream;
use serde::de::value::{Error as FormError, MapDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::body_rate::BodyRate;
use super::error::ApiError;
use super::format::media_type;
use crate::hex::limits::{self, BodyLimit};
use crate::hex::term::etf;

/// The fields of a route's body, and the size limit of that body. Unknown fields are ignored.
pub(super) trait Fields: DeserializeOwned {
    /// The largest body.
    const LIMIT: BodyLimit = limits::SMALL_BODY;
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Json,
    Erlang,
    Form,
}

impl Writing {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match media_type(content_type).as_str() {
            "" | "application/json" | "application/vnd.hex+json" => Ok(Self::Json),
            "application/vnd.hex+erlang" => Ok(Self::Erlang),
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            _ => Err(ApiError::UnsupportedMediaType),
        }
    }

    /// Deserializes all of `bytes`. The error is the text of the format's parser.
    fn read<'de, S: DeserializeSeed<'de>>(self, bytes: &'de [u8], seed: S) -> Result<S::Value, String> {
        match self {
            Self::Json => {
                let mut json = serde_json::Deserializer::from_slice(bytes);
                let read = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
                read.map_err(|error| without_place(&error.to_string()))
            }
            Self::Erlang => {
                let read = etf::Fields::new(bytes).and_then(|mut fields| {
                    let value = seed.deserialize(&mut fields)?;
                    fields.end().map(|()| value)
                });
                read.map_err(|error| error.to_string())
            }
            Self::Form => {
                let pairs = form_urlencoded::parse(bytes).map(|(name, value)| (name, FormText(value)));
                seed.deserialize(MapDeserializer::<_, FormError>::new(pairs)).map_err(|error| error.to_string())
            }
        }
    }
}

/// A stored text must not contain NUL: PostgreSQL rejects it.
pub(super) const NUL: &str = "the character NUL (U+0000), which is not allowed in text: remove it";

/// Removes the position from a parser's error: it does not help a user whose program wrote the body.
fn without_place(text: &str) -> String {
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Reads a whole body. A body whose announced length is over the limit is refused before it is read. The rest of a
/// refused body is not read.
pub(super) async fn collect(body: &mut Body, headers: &HeaderMap, limit: &BodyLimit) -> Result<BytesMut, ApiError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit.bytes) {
        return Err(ApiError::TooLarge { most: limit.bytes });
    }
    let mut pieces = BodyRate::SMALL.hold(BodyDataStream::new(body));
    // The announced length is within the limit of the route.
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or_default());
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if bytes.len() + piece.len() > limit.bytes {
            return Err(ApiError::TooLarge { most: limit.bytes });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Deserializes a body with `seed`. An empty body, a list or a scalar is treated as an object without fields.
pub(super) fn decode<S, T>(headers: &HeaderMap, bytes: &[u8], limit: &BodyLimit, seed: S) -> Result<T, ApiError>
where
    S: for<'de> DeserializeSeed<'de, Value = T>,
{
    let mut writing = Writing::Json;
    let mut fields = bytes;
    if !bytes.is_empty() {
        writing = Writing::of(headers)?;
        let mut shape = Shape { limit, parts: 0, depth: 0, is_map: false, is_over: false, has_nul: false };
        writing.read(bytes, &mut shape).map_err(|error| match writing {
            _ if shape.is_over => ApiError::BadRequest(format!(
                "the body has more than {} values or more than {} levels of nesting",
                limit.parts, limit.depth
            )),
            _ if shape.has_nul => ApiError::Unprocessable(format!("the body contains {NUL}")),
            Writing::Json => ApiError::bad_request("the body is not JSON"),
            Writing::Erlang | Writing::Form => ApiError::BadRequest(error),
        })?;
        if !shape.is_map {
            (writing, fields) = (Writing::Json, &[]);
        }
    }
    let fields = if fields.is_empty() { b"{}" } else { fields };
    writing.read(fields, seed).map_err(ApiError::Unprocessable)
}

/// Parses a submitted HTML form; the error is the status and the text of the answer.
pub async fn form<T: DeserializeOwned>(body: Body, headers: &HeaderMap) -> Result<T, (StatusCode, String)> {
    let refused = |error: ApiError| (error.status(), error.to_string());
    let mut body = body;
    let bytes = collect(&mut body, headers, &limits::SMALL_BODY).await.map_err(refused)?;
    decode(headers, &bytes, &limits::SMALL_BODY, PhantomData).map_err(refused)
}

/// Checks the size, the depth and the texts of a body without storing it.
#[derive(Debug)]
struct Shape<'a> {
    limit: &'a BodyLimit,
    parts: usize,
    depth: usize,
    /// Whether the body is a map.
    is_map: bool,
    /// Whether the body has too many values or levels.
    is_over: bool,
    /// Whether a text in the body contains NUL.
    has_nul: bool,
}

impl Shape<'_> {
    fn part<E: Error>(&mut self) -> Result<(), E> {
        self.parts += 1;
        self.within(self.parts <= self.limit.parts)
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        self.within(self.depth <= self.limit.depth)
    }

    /// Checks a text or a field name: NUL cannot be stored.
    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        self.has_nul |= text.contains('\0');
        if self.has_nul { Err(E::custom("a text contains NUL")) } else { self.part() }
    }

    fn within<E: Error>(&mut self, within: bool) -> Result<(), E> {
        self.is_over |= !within;
        if within { Ok(()) } else { Err(E::custom("over the limit")) }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.part()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.part()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.part()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.part()
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.part()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.part()?;
        self.enter()?;
        while items.next_element_seed(&mut *self)?.is_some() {}
        self.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        self.is_map |= self.parts == 0;
        self.part()?;
        self.enter()?;
        while pairs.next_key_seed(&mut *self)?.is_some() {
            pairs.next_value_seed(&mut *self)?;
        }
        self.depth -= 1;
        Ok(())
    }
}

/// The value of a form field, which also deserializes into `Option`.
struct FormText<'a>(std::borrow::Cow<'a, str>);

impl<'de> IntoDeserializer<'de, FormError> for FormText<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for FormText<'de> {
    type Error = FormError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        IntoDeserializer::<FormError>::into_deserializer(self.0).deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormError> {
        IntoDeserializer::<FormError>::into_deserializer(self.0).deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;
    use crate::hex::term::from_json;

    const LIMIT: BodyLimit = BodyLimit { bytes: 1000, parts: 10, depth: 3 };

    fn with<T: DeserializeOwned>(content_type: &str, body: &[u8]) -> Result<T, ApiError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap())]);
        decode(&headers, body, &LIMIT, PhantomData)
    }

    #[test]
    fn bodies_of_every_type() {
        let expected = json!({"name": "a b"});
        assert_eq!(with::<Value>("application/json", br#"{"name": "a b"}"#).unwrap(), expected);
        assert_eq!(with::<Value>("application/x-www-form-urlencoded", b"name=a+b").unwrap(), expected);
        let erlang = etf::encode(&from_json(&expected));
        assert_eq!(with::<Value>("application/vnd.hex+erlang", &erlang).unwrap(), expected);
        // A body that is not a map has no fields.
        for body in ["[1]", "7", "", "[{\"name\": 1}]"] {
            assert_eq!(with::<Value>("application/json", body.as_bytes()).unwrap(), json!({}), "{body}");
        }
        for (content_type, body) in [("application/json", &b"{"[..]), ("application/vnd.hex+erlang", b"\x83P")] {
            assert!(matches!(with::<Value>(content_type, body), Err(ApiError::BadRequest(_))), "{content_type}");
        }
        assert!(matches!(with::<Value>("image/png", b"x"), Err(ApiError::UnsupportedMediaType)));
    }

    #[test]
    fn parts_and_depth_are_limited_in_every_type() {
        for (value, fits) in [
            (json!({"a": [1, 2, 3, 4, 5, 6, 7]}), true),
            (json!({"a": [1, 2, 3, 4, 5, 6, 7, 8]}), false),
            (json!({"a": [[1]]}), true),
            (json!({"a": [[[1]]]}), false),
            (json!({"a": {"b": {"c": {}}}}), false),
        ] {
            let erlang = etf::encode(&from_json(&value));
            for (content_type, body) in
                [("application/json", value.to_string().into_bytes()), ("application/vnd.hex+erlang", erlang)]
            {
                assert_eq!(with::<Value>(content_type, &body).is_ok(), fits, "{content_type} {value}");
            }
        }
        let form = |pairs| with::<Value>("application/x-www-form-urlencoded", "a=1&".repeat(pairs).as_bytes());
        assert!(form(4).is_ok() && form(5).is_err());
    }

    #[tokio::test]
    async fn a_body_over_its_limit_is_not_read() {
        let announced = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(1001))]);
        let mut unread = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let refused = ApiError::TooLarge { most: 1000 };
        assert_eq!(collect(&mut unread, &announced, &LIMIT).await, Err(refused.clone()));
        // A body of unknown length is refused when it exceeds the limit.
        let pieces =
            futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[0; 100])));
        let mut endless = Body::from_stream(pieces);
        assert_eq!(collect(&mut endless, &HeaderMap::new(), &LIMIT).await, Err(refused));
        assert!(BodyDataStream::new(endless).next().await.is_some(), "the rest of the body is not read");
        let whole = collect(&mut Body::from(vec![0; 1000]), &HeaderMap::new(), &LIMIT).await.unwrap();
        assert_eq!(whole.len(), 1000);
    }
}
