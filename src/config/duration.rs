//! Prints durations in the format in which people write them. The crate humantime reads them.

use std::time::Duration;

/// Units from large to small, in nanoseconds. Each has the same length in humantime.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Prints a duration in the largest unit of which it is a multiple: `30d`, `90s`, `1500ms`.
///
/// The format of humantime itself would print 90 days in months and hours.
pub(super) fn print(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let unit = UNITS.iter().find(|(_, length)| nanos.is_multiple_of(*length));
    let (name, length) = unit.copied().unwrap_or(("ns", 1));
    format!("{}{name}", nanos / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_largest_unit_that_divides() {
        for text in ["0s", "60ms", "1500us", "11s", "90s", "5m", "1h", "30d", "90d", "3650d", "7ns"] {
            assert_eq!(print(humantime::parse_duration(text).unwrap()), text);
        }
        assert_eq!(print(Duration::from_secs(60)), "1m");
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos in 0..u64::MAX) {
            let duration = Duration::from_nanos(nanos);
            proptest::prop_assert_eq!(humantime::parse_duration(&print(duration)), Ok(duration));
        }
    }
}
