//! JSON and Erlang terms, in both directions (server-api §1.4). Imports `hex` terms.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::hex::term;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/json`
    Json,
    /// `application/vnd.hex+erlang`: the external term format.
    Erlang,
    /// `application/vnd.hex+elixir`: an Elixir literal; for answers alone.
    Elixir,
}

impl Format {
    /// What the client wants: `_format` in the query, else the first of `Accept` that is known, else JSON.
    pub(super) fn wanted(headers: &HeaderMap, query: Option<&str>) -> Result<Self, ApiError> {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        if let Some((_, name)) = pairs.into_iter().find(|(key, _)| key == "_format") {
            return match &*name {
                "json" => Ok(Self::Json),
                "erlang" => Ok(Self::Erlang),
                "elixir" => Ok(Self::Elixir),
                _ => Err(ApiError::NotAcceptable),
            };
        }
        let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut ranges = accept.iter().flat_map(|value| value.split(',')).map(media_type).peekable();
        if ranges.peek().is_none() {
            return Ok(Self::Json);
        }
        ranges.find_map(|range| Self::of(&range)).ok_or(ApiError::NotAcceptable)
    }

    fn of(range: &str) -> Option<Self> {
        match range {
            // An empty header asks for nothing in particular.
            "" | "*/*" | "application/*" | "application/json" | "application/vnd.hex+json" => Some(Self::Json),
            "application/vnd.hex+erlang" => Some(Self::Erlang),
            "application/vnd.hex+elixir" => Some(Self::Elixir),
            _ => None,
        }
    }

    /// The value of `Content-Type`. Clients look for the exact words of the Erlang one.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Erlang => "application/vnd.hex+erlang; charset=utf-8",
            Self::Elixir => "application/vnd.hex+elixir; charset=utf-8",
        })
    }

    /// Writes `value`.
    pub(super) fn encode(self, value: &Value) -> Bytes {
        match self {
            Self::Json => value.to_string().into(),
            Self::Erlang => term::etf::encode(&term::from_json(value)).into(),
            Self::Elixir => term::elixir(value).into(),
        }
    }
}

/// Reads the body of a request as a map. No body is an empty map; a list or a scalar is the value of `_json`, as hex.pm
/// has it, so it names none of the fields that are looked for.
pub(super) fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let value = match media_type(content_type).as_str() {
        "application/vnd.hex+erlang" => {
            let term = term::etf::decode(body).map_err(|error| ApiError::bad_request(&error.to_string()))?;
            term::to_json(term).map_err(|error| ApiError::bad_request(&error.to_string()))?
        }
        "application/x-www-form-urlencoded" => form(body),
        "" | "application/json" | "application/vnd.hex+json" => serde_json::from_slice(body)
            .map_err(|_| ApiError::bad_request("the body is not JSON, or is nested too deeply"))?,
        _ => return Err(ApiError::UnsupportedMediaType),
    };
    Ok(match value {
        Value::Object(map) => map,
        other => Map::from_iter([("_json".to_owned(), other)]),
    })
}

fn form(body: &[u8]) -> Value {
    let pairs = form_urlencoded::parse(body);
    Value::Object(pairs.map(|(key, value)| (key.into_owned(), Value::String(value.into_owned()))).collect())
}

/// The type alone, in lower case.
fn media_type(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str, query: &str) -> Result<Format, ApiError> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
        Format::wanted(&headers, Some(query))
    }

    #[test]
    fn what_a_client_wants() {
        for (accept, query, format) in [
            ("application/vnd.hex+erlang", "", Some(Format::Erlang)),
            ("application/vnd.hex+elixir;q=1", "", Some(Format::Elixir)),
            ("text/html, application/json", "", Some(Format::Json)),
            ("*/*", "", Some(Format::Json)),
            ("", "", Some(Format::Json)),
            ("text/html", "", None),
            ("text/html", "_format=erlang", Some(Format::Erlang)),
            ("*/*", "_format=xml", None),
        ] {
            assert_eq!(wanted(accept, query).ok(), format, "{accept} {query}");
        }
        assert_eq!(Format::wanted(&HeaderMap::new(), None).ok(), Some(Format::Json));
    }

    #[test]
    fn bodies_of_every_type() {
        let with = |content_type: &str, body: &[u8]| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap())]);
            decode(&headers, body)
        };
        let expected = Map::from_iter([("name".to_owned(), Value::from("a b"))]);
        assert_eq!(with("application/json", br#"{"name": "a b"}"#).unwrap(), expected);
        assert_eq!(with("application/x-www-form-urlencoded", b"name=a+b").unwrap(), expected);
        let erlang = Format::Erlang.encode(&Value::Object(expected.clone()));
        assert_eq!(with("application/vnd.hex+erlang", &erlang).unwrap(), expected);
        assert_eq!(with("application/json", b"[1]").unwrap().keys().collect::<Vec<_>>(), ["_json"]);
        assert_eq!(with("application/json", b"").unwrap(), Map::new());
        assert!(matches!(with("application/json", b"{"), Err(ApiError::BadRequest(_))));
        assert!(matches!(with("application/vnd.hex+erlang", b"\x83P"), Err(ApiError::BadRequest(_))));
        assert!(matches!(with("image/png", b"x"), Err(ApiError::UnsupportedMediaType)));
    }
}
