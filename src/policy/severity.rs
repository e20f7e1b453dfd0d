//! How severe an advisory is. May import `choice`.

use crate::choice::Choice;

/// The severity of an advisory, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    None,
    Low,
    Medium,
    High,
    Critical,
    /// None that is known, or none given. It counts as more severe than any, as for Hex: what cannot be judged must not
    /// slip below a threshold.
    Unknown,
}

impl Severity {
    /// The severities that a rule can name, with the words for them.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("critical", Self::Critical),
    ];

    /// The value of a field `severity` of the registry.
    pub fn from_wire(number: Option<u64>) -> Self {
        let known = number.and_then(|number| usize::try_from(number).ok()).and_then(|number| Self::WORDS.get(number));
        known.map_or(Self::Unknown, |(_, severity)| *severity)
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, severity)| *severity == self).map_or("unknown", |(word, _)| word)
    }
}

/// The severities that a rule can name.
impl Choice for Severity {
    const ALL: &'static [Self] = &[Self::None, Self::Low, Self::Medium, Self::High, Self::Critical];

    fn word(self) -> &'static str {
        self.as_str()
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
        assert_eq!(Severity::High.as_str(), "high");
        assert_eq!(Severity::Unknown.as_str(), "unknown");
    }
}
