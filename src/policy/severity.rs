//! How severe an advisory is.

use crate::choice::{Choice as _, choice};

choice! {
    /// The severity of an advisory, in ascending order.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum Severity {
        None = "none",
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
        ;
        /// None that is known, or none given. It counts as more severe than any, as for Hex: what cannot be judged must not
        /// slip below a threshold.
        Unknown = "unknown",
    }
}

impl Severity {
    /// The value of a field `severity` of the registry.
    pub fn from_wire(number: Option<u64>) -> Self {
        // They are listed in the order of their numbers.
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
