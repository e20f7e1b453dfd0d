//! The severity of security advisories.

use crate::choice::{Choice as _, choice};

choice! {
    /// The severity of an advisory. The variants are in ascending order.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Severity {
        None = "none",
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
        ;
        /// No severity is given, or an unknown one. It counts as the most severe, as in Hex, so that such an advisory
        /// never falls below a threshold.
        Unknown = "unknown",
    }
}

impl Severity {
    /// Converts the number in a `severity` field of a registry resource.
    pub fn from_wire(number: Option<u64>) -> Self {
        // `ALL` lists the variants in the order of their numbers.
        let known = number.and_then(|number| usize::try_from(number).ok()).and_then(|number| Self::ALL.get(number));
        known.copied().unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_the_most_severe() {
        assert_eq!(Severity::from_wire(Some(0)), Severity::None);
        assert_eq!(Severity::from_wire(Some(4)), Severity::Critical);
        for number in [None, Some(5), Some(u64::MAX)] {
            assert_eq!(Severity::from_wire(number), Severity::Unknown);
            assert!(Severity::from_wire(number) > Severity::Critical);
        }
        assert_eq!(Severity::High.word(), "high");
        assert_eq!(Severity::Unknown.word(), "unknown");
    }
}
