//! The access log: one line for each request, written directly to the buffer of the log.
//!
//! There can be tens of thousands of these lines per second. `tracing` events would cost more time than an answer from
//! memory, so this module formats the lines itself, in the same text and JSON formats as all other lines.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::logging::{Format, Logging};
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// The fields of an access line. `-` means that there is no value.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'a> {
    /// Id of the request, as in the header `x-request-id`.
    pub request_id: u64,
    /// IP address of the client.
    pub client: IpAddr,
    /// HTTP method.
    pub method: &'a str,
    /// Path as the client sent it, shortened if it is long.
    pub path: &'a str,
    /// Repository key.
    pub repository: &'a str,
    /// Package.
    pub package: &'a str,
    /// Version.
    pub version: &'a str,
    /// HTTP status; 499 if the client disconnected before the response.
    pub status: u16,
    /// Cache status.
    pub cache: &'static str,
    /// Reason of the cache status, if any.
    pub reason: &'static str,
    /// Time spent waiting for the upstream, in milliseconds.
    pub upstream_ms: u64,
    /// Time from the request to the end of the response body, in milliseconds.
    pub ms: u64,
    /// Number of body bytes that were passed to the connection.
    pub bytes: u64,
    /// `ok`, `client_left` or `cut`.
    pub outcome: &'static str,
}

/// The formatted date and time of the current second, cached until the second ends.
#[derive(Debug, Default)]
pub(super) struct Second {
    at: u64,
    text: String,
}

impl Second {
    /// Writes the time to `line`, as `2026-11-22T05:23:03.492Z`.
    fn write(&mut self, now: Timestamp, line: &mut Vec<u8>) {
        if self.at != now.as_secs() || self.text.is_empty() {
            self.at = now.as_secs();
            self.text.clear();
            let _ = write!(self.text, "{now}");
            // Remove the final Z, because the milliseconds come before it.
            self.text.pop();
        }
        line.extend_from_slice(self.text.as_bytes());
        let millis = now.as_millis() % 1000;
        line.push(b'.');
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            line.push(b'0' + u8::try_from(digit).unwrap_or_default());
        }
        line.push(b'Z');
    }
}

impl Logging {
    /// Writes the access line of a request, at level info.
    pub fn access(&self, access: &AccessLine<'_>) {
        if self.writes_access() {
            let now = SystemClock.now();
            self.append(|format, line, second| compose(format, line, second, now, access));
        }
    }
}

/// The name of a field with its punctuation, so that both are copied at once.
struct Name {
    text: &'static str,
    json: &'static str,
}

macro_rules! name {
    ($name:literal) => {
        Name { text: concat!(" ", $name, "="), json: concat!(",\"", $name, "\":") }
    };
}

fn compose(format: Format, line: &mut Vec<u8>, second: &mut Second, now: Timestamp, access: &AccessLine<'_>) {
    let json = format == Format::Json;
    let mut fields = Fields { line, json };
    if json {
        fields.raw("{\"timestamp\":\"");
        second.write(now, fields.line);
        fields.raw("\",\"level\":\"INFO\",\"target\":\"hexkeep::access\"");
    } else {
        second.write(now, fields.line);
        fields.raw("  INFO hexkeep::access:");
    }
    fields.id(&name!("request_id"), access.request_id);
    fields.address(&name!("client"), access.client);
    fields.text(&name!("method"), access.method);
    fields.text(&name!("path"), access.path);
    fields.text(&name!("repository"), access.repository);
    fields.text(&name!("package"), access.package);
    fields.text(&name!("version"), access.version);
    fields.number(&name!("status"), u64::from(access.status));
    fields.word(&name!("cache"), access.cache);
    fields.word(&name!("reason"), access.reason);
    fields.number(&name!("upstream_ms"), access.upstream_ms);
    fields.number(&name!("ms"), access.ms);
    fields.number(&name!("bytes"), access.bytes);
    fields.word(&name!("outcome"), access.outcome);
    fields.raw(if json { "}\n" } else { "\n" });
}

struct Fields<'a> {
    line: &'a mut Vec<u8>,
    json: bool,
}

impl Fields<'_> {
    fn raw(&mut self, text: &str) {
        self.line.extend_from_slice(text.as_bytes());
    }

    fn name(&mut self, name: &Name) {
        self.raw(if self.json { name.json } else { name.text });
    }

    fn number(&mut self, name: &Name, mut number: u64) {
        self.name(name);
        let mut digits = [0_u8; 20];
        let mut count = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            count += 1;
            if number == 0 {
                break;
            }
        }
        self.line.extend_from_slice(digits.get(20 - count..).unwrap_or_default());
    }

    fn id(&mut self, name: &Name, id: u64) {
        self.name(name);
        self.quote();
        let mut digits = [0_u8; 16];
        // This cannot fail: eight bytes are sixteen digits.
        let _ = hex::encode_to_slice(id.to_be_bytes(), &mut digits);
        self.line.extend_from_slice(&digits);
        self.quote();
    }

    fn address(&mut self, name: &Name, address: IpAddr) {
        self.name(name);
        self.quote();
        match address {
            IpAddr::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        self.line.push(b'.');
                    }
                    if octet >= 100 {
                        self.line.push(b'0' + octet / 100);
                    }
                    if octet >= 10 {
                        self.line.push(b'0' + octet / 10 % 10);
                    }
                    self.line.push(b'0' + octet % 10);
                }
            }
            IpAddr::V6(address) => self.raw(&address.to_string()),
        }
        self.quote();
    }

    /// Writes a quotation mark in JSON. In text, only values with special characters are quoted.
    fn quote(&mut self) {
        if self.json {
            self.line.push(b'"');
        }
    }

    /// Writes a fixed word of the program, which needs no escapes.
    fn word(&mut self, name: &Name, word: &'static str) {
        self.name(name);
        self.quote();
        self.raw(word);
        self.quote();
    }

    /// Writes text from a client. It is escaped in both formats, so that it cannot end its field or its line.
    fn text(&mut self, name: &Name, text: &str) {
        self.name(name);
        let is_plain = |byte: u8| (b'!'..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
        // `fold` instead of `all`: an early exit would need a branch for each byte.
        if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.quote();
            self.raw(text);
            self.quote();
        } else {
            // Both formats use JSON strings. Every string can be converted to JSON.
            self.line.extend_from_slice(&serde_json::to_vec(text).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: AccessLine<'static> = AccessLine {
        request_id: 0xabc,
        client: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)),
        method: "GET",
        path: "/packages/jason",
        repository: "hexpm",
        package: "jason",
        version: "-",
        status: 200,
        cache: "hit",
        reason: "-",
        upstream_ms: 0,
        ms: 1234,
        bytes: u64::MAX,
        outcome: "ok",
    };

    fn line(format: Format, access: &AccessLine<'_>) -> String {
        let mut line = Vec::new();
        let now = Timestamp::from_millis(1_700_000_000_007);
        compose(format, &mut line, &mut Second::default(), now, access);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn text_looks_like_the_other_lines() {
        assert_eq!(
            line(Format::Text, &LINE),
            "2023-11-14T22:13:20.007Z  INFO hexkeep::access: request_id=0000000000000abc client=192.0.2.10 method=GET \
             path=/packages/jason repository=hexpm package=jason version=- status=200 cache=hit reason=- upstream_ms=0 \
             ms=1234 bytes=18446744073709551615 outcome=ok\n"
        );
    }

    #[test]
    fn json_is_json_whatever_the_path() {
        for path in ["/a\"b", "/a\\b", "/a\nb", "/é", "/plain"] {
            let text = line(Format::Json, &AccessLine { path, ..LINE });
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["path"], path);
            assert_eq!(value["client"], "192.0.2.10");
            assert_eq!(value["ms"], 1234);
            assert_eq!(value["timestamp"], "2023-11-14T22:13:20.007Z");
        }
    }

    #[test]
    fn a_path_cannot_begin_a_line_of_its_own() {
        let text = line(Format::Text, &AccessLine { path: "/x\n2023 forged", ..LINE });
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn the_second_is_made_anew_when_it_has_passed() {
        let mut second = Second::default();
        let mut out = Vec::new();
        for millis in [999, 1000, 1001, 60_000] {
            second.write(Timestamp::from_millis(millis), &mut out);
            out.push(b' ');
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1970-01-01T00:00:00.999Z 1970-01-01T00:00:01.000Z 1970-01-01T00:00:01.001Z 1970-01-01T00:01:00.000Z "
        );
    }
}
