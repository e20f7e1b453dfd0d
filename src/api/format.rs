//! The formats of answers: JSON, Erlang terms and Elixir literals (server-api §1.4), and content negotiation.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::error::ApiError;
use crate::hex::term;

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/json`
    Json,
    /// `application/vnd.hex+erlang`: the external term format.
    Erlang,
    /// `application/vnd.hex+elixir`: an Elixir literal; for answers only.
    Elixir,
}

impl Format {
    /// The format that the client requests: `_format` in the query, else the first known type in `Accept`, else JSON.
    pub(super) fn wanted(headers: &HeaderMap, query: &str) -> Result<Self, ApiError> {
        let pairs = form_urlencoded::parse(query.as_bytes());
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
            // An empty header accepts every type.
            "" | "*/*" | "application/*" | "application/json" | "application/vnd.hex+json" => Some(Self::Json),
            "application/vnd.hex+erlang" => Some(Self::Erlang),
            "application/vnd.hex+elixir" => Some(Self::Elixir),
            _ => None,
        }
    }

    /// The value of `Content-Type`. Clients compare the one of Erlang terms byte for byte.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Erlang => "application/vnd.hex+erlang; charset=utf-8",
            Self::Elixir => "application/vnd.hex+elixir; charset=utf-8",
        })
    }

    /// Encodes `value`.
    pub(super) fn encode(self, value: &Value) -> Bytes {
        match self {
            Self::Json => value.to_string().into(),
            Self::Erlang => term::etf::encode(&term::from_json(value)).into(),
            Self::Elixir => term::elixir(value).into(),
        }
    }
}

/// The media type without its parameters, in lower case.
pub(super) fn media_type(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str, query: &str) -> Result<Format, ApiError> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
        Format::wanted(&headers, query)
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
        assert_eq!(Format::wanted(&HeaderMap::new(), "").ok(), Some(Format::Json));
    }
}
