//! Reads and prints the dates and times that people write in configurations and commands.

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

/// The end of the error message about a text that [`parse`] rejects; the message begins with the text.
pub const EXPECTED: &str =
    "is not a date or a time in UTC; write 2026-11-01T12:00:00Z, or 2026-11-01 for the end of that day";

/// Reads a time in UTC (RFC 3339), or a date, which means the end of that day; in whole seconds. `None` if the text is
/// neither, or the time is before 1970.
pub fn parse(text: &str) -> Option<Timestamp> {
    let of = |text: &str| humantime::parse_rfc3339(text).ok().filter(|time| *time >= UNIX_EPOCH).map(Timestamp::from);
    let found = of(text).or_else(|| of(&format!("{text}T00:00:00Z")).map(|midnight| midnight.plus(DAY)))?;
    Some(Timestamp::from_secs(found.as_secs()))
}

/// Reads a time as RFC 3339 defines it, in UTC or with an offset (`2026-11-01T12:00:00-05:00`); in whole seconds. `None`
/// if the text is no such time, or the time is before 1970.
pub fn parse_with_offset(text: &str) -> Option<Timestamp> {
    let (local, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
            (local, offset_in_seconds(offset)?)
        }
    };
    if !local.ends_with(|last: char| last.is_ascii_digit()) {
        return None;
    }
    let utc = humantime::parse_rfc3339(&format!("{}Z", local.to_ascii_uppercase())).ok()?;
    let seconds = utc.duration_since(UNIX_EPOCH).ok()?.as_secs();
    seconds.checked_sub_signed(offset).map(Timestamp::from_secs)
}

/// Reads an offset from UTC: `+05:30`, `-05:00`.
fn offset_in_seconds(offset: &str) -> Option<i64> {
    let (sign, rest) = match offset.as_bytes().first()? {
        b'+' => (1, offset.strip_prefix('+')?),
        b'-' => (-1, offset.strip_prefix('-')?),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str, below: i64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| is_number && *number < below)
    };
    Some(sign * (number(hours, 24)? * 3600 + number(minutes, 60)? * 60))
}

/// Prints the time at which something ends: `the end of 2026-11-01 (UTC)` if it is the end of a day, else the time
/// itself.
pub fn print_end(end: Timestamp) -> String {
    let seconds = end.as_secs();
    match seconds.checked_sub(DAY.as_secs()).filter(|_| seconds.is_multiple_of(DAY.as_secs())) {
        Some(midnight) => {
            let day = Timestamp::from_secs(midnight).to_string();
            format!("the end of {} (UTC)", day.split('T').next().unwrap_or_default())
        }
        None => end.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_day_is_called_by_the_day() {
        for (written, expected) in [
            ("2027-01-01", "the end of 2027-01-01 (UTC)"),
            ("2027-01-02T00:00:00Z", "the end of 2027-01-01 (UTC)"),
            ("2027-01-01T12:00:00Z", "2027-01-01T12:00:00Z"),
        ] {
            assert_eq!(print_end(parse(written).unwrap()), expected);
        }
    }

    #[test]
    fn a_time_may_have_an_offset() {
        for (written, expected) in [
            ("2026-11-01T12:00:00Z", "2026-11-01T12:00:00Z"),
            ("2026-11-01t12:00:00z", "2026-11-01T12:00:00Z"),
            ("2026-11-01T12:00:00.999Z", "2026-11-01T12:00:00Z"),
            ("2026-11-01T12:00:00+00:00", "2026-11-01T12:00:00Z"),
            ("2026-11-01T12:00:00-00:00", "2026-11-01T12:00:00Z"),
            ("2026-11-01T12:00:00-05:00", "2026-11-01T17:00:00Z"),
            ("2026-11-01T02:00:00.5+05:30", "2026-10-31T20:30:00Z"),
            ("1970-01-01T00:00:00-01:00", "1970-01-01T01:00:00Z"),
        ] {
            assert_eq!(parse_with_offset(written).map(|time| time.to_string()).as_deref(), Some(expected), "{written}");
        }
        for text in [
            "",
            "Z",
            "soon",
            "2026-11-01",
            "2026-11-01T12:00:00",
            "2026-11-01T12:00:00+5:00",
            "2026-11-01T12:00:00+0500",
            "2026-11-01T12:00:00+24:00",
            "2026-11-01T12:00:00+05:60",
            "2026-11-01T12:00:00++5:00",
            "2026-11-01T12:00:00Z+05:00",
            "2026-11-01T12:00:00ZZ",
            "2026-02-30T12:00:00Z",
            "1970-01-01T00:00:00+01:00",
            "2026-11-01T12:00:0é-05:00",
        ] {
            assert_eq!(parse_with_offset(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_means_its_end() {
        assert_eq!(parse("2026-11-01").unwrap().to_string(), "2026-11-02T00:00:00Z");
        assert_eq!(parse("2026-11-01T12:00:00.9Z").unwrap().to_string(), "2026-11-01T12:00:00Z");
        for text in
            ["", "tomorrow", "2026-02-30", "2026-13-01", "1969-12-31", "2026-11-01T25:00:00Z", "2026-11-01 12:00:00"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
