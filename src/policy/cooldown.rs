//! How old a release must be: Hex's own grammar. May import nothing of ours.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const DAY: u64 = 86_400;

/// The longest that may be written: a hundred years of 365 days.
const MOST_DAYS: u64 = 36_500;

/// `0`, `Nd`, `Nw` (seven days) or `Nmo` (thirty days), kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cooldown {
    text: Box<str>,
    days: u64,
}

/// The text is no cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a number of days, weeks or months of 30 days is expected, such as 7d, 2w or 1mo, or 0; at most a hundred years"
)]
pub struct CooldownError;

/// A time in whole days, in the words of the grammar.
pub fn print_days(time: Duration) -> String {
    format!("{}d", time.as_secs() / DAY)
}

impl Cooldown {
    /// As a length of time.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.days * DAY)
    }

    /// Whether it is no time at all.
    pub fn is_zero(&self) -> bool {
        self.days == 0
    }
}

impl FromStr for Cooldown {
    type Err = CooldownError;

    fn from_str(text: &str) -> Result<Self, CooldownError> {
        let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end).ok_or(CooldownError)?;
        let days_each = match (number, unit) {
            ("0", "") => 0,
            (_, "d") => 1,
            (_, "w") => 7,
            (_, "mo") => 30,
            _ => return Err(CooldownError),
        };
        let number: u64 = number.parse().map_err(|_| CooldownError)?;
        let days = number.checked_mul(days_each).filter(|days| *days <= MOST_DAYS).ok_or(CooldownError)?;
        Ok(Self { text: text.into(), days })
    }
}

impl fmt::Display for Cooldown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexs_grammar() {
        for (text, days) in [("0", 0), ("0d", 0), ("1d", 1), ("7d", 7), ("2w", 14), ("1mo", 30), ("36500d", 36_500)] {
            let cooldown: Cooldown = text.parse().unwrap();
            assert_eq!(cooldown.duration(), Duration::from_secs(days * 86_400), "{text}");
            assert_eq!(cooldown.to_string(), text);
            assert_eq!(cooldown.is_zero(), days == 0);
        }
        for text in
            ["", "d", "7", "+5d", "-5d", "5 d", "5h", "5m", "1.5d", "5D", "36501d", "99999999999999999999d", "7d ", "é"]
        {
            assert!(text.parse::<Cooldown>().is_err(), "{text:?}");
        }
    }
}
