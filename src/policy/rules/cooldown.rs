//! The rule `cooldown`: holds releases until they reach a minimum age. Ages are written in Hex's own grammar, such as
//! `7d`.

mod fixes;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::key::{RuleKey, RuleParseError, RuleValue};
use super::{ReleaseCase, ReleaseRules, Rule, RuleInput, RuleQuery, WhereUnknown, age};
use crate::clock::Timestamp;
use crate::hex::message;
use crate::policy::class::Class;
use crate::policy::overrides::Effect;
use crate::policy::reason::Reason;
use crate::policy::release_facts::{ListedFacts, ReleaseFacts};

/// `cooldown`
pub(super) const KEY: RuleKey = RuleKey {
    name: "cooldown",
    written: RuleValue::Text {
        read: |rules, text| {
            rules.cooldown = Some(text.parse().map_err(|CooldownError| RuleParseError::Sentence(EXPECTED))?);
            Ok(())
        },
        print: |rules| rules.cooldown.as_ref().map(ToString::to_string),
    },
    may_be_null: true,
    check: RuleKey::ANY,
};

/// `cooldown_exempt_security_fixes`
pub(super) const KEY_OF_SECURITY_FIXES: RuleKey = RuleKey {
    name: "cooldown_exempt_security_fixes",
    written: RuleValue::Flag {
        read: |rules, wanted| rules.cooldown_exempt_security_fixes = wanted,
        print: |rules| rules.cooldown_exempt_security_fixes,
    },
    may_be_null: false,
    check: |rules| {
        (rules.cooldown().is_none() && rules.cooldown_exempt_security_fixes)
            .then_some("this has no effect without `cooldown`; remove it")
    },
};

/// Holds a release that is younger than the cooldown, unless it is exempt as a security fix.
#[derive(Debug)]
pub(super) struct MinimumAge;

impl Rule for MinimumAge {
    fn class(&self) -> Class {
        Class::Cooldown
    }

    fn is_set(&self, rules: &ReleaseRules) -> bool {
        rules.cooldown().is_some()
    }

    fn needs(&self) -> &'static [RuleInput] {
        &[RuleInput::ProvenAge]
    }

    fn judge(&self, case: &ReleaseCase<'_>, question: RuleQuery) -> Option<Reason> {
        let cooldown = case.rules.cooldown.as_ref()?;
        if !is_too_young(case, case.release, question.moment)
            || case.ignores(question, |effect| *effect == Effect::IgnoreCooldown)
            || fixes::fixes_advisory(case, question.moment)
        {
            return None;
        }
        Some(match case.release.published_at {
            Some(_) => Reason::new("cooldown", format!("was published less than {cooldown} ago")),
            None => age::unknown(),
        })
    }

    fn add_change_times(&self, case: &ReleaseCase<'_>, moments: &mut Vec<Timestamp>) {
        let Some(cooldown) = case.rules.cooldown() else { return };
        let ends = |release: &ReleaseFacts| age::known_since(case, release).map(|since| whole(since).plus(cooldown));
        moments.extend(ends(case.release));
        if case.rules.cooldown_exempt_security_fixes && is_too_young(case, case.release, case.now) {
            moments.extend(fixes::series(case).filter_map(|(sibling, _)| ends(sibling)));
            moments.extend(fixes::ignored_advisories(case).filter_map(|found| found.until));
        }
    }

    fn is_certainly_allowed(&self, rules: &ReleaseRules, listed: &ListedFacts, now: Timestamp) -> bool {
        let (cooldown, updated) = (rules.cooldown(), listed.updated_at);
        cooldown.zip(updated).is_some_and(|(cooldown, updated)| updated.plus(cooldown) <= now)
    }

    fn publish(&self, rules: &ReleaseRules, restriction: &mut message::Restriction) {
        restriction.cooldown = rules.cooldown.as_ref().map(ToString::to_string);
    }

    fn useless_override(&self, rules: &ReleaseRules, effect: &Effect) -> Option<&'static str> {
        (*effect == Effect::IgnoreCooldown && !self.is_set(rules))
            .then_some("`cooldown` is not set, so no cooldown holds a release")
    }
}

/// Whether a release has not reached the minimum age at `moment`.
fn is_too_young(case: &ReleaseCase<'_>, release: &ReleaseFacts, moment: Timestamp) -> bool {
    let Some(cooldown) = case.rules.cooldown() else { return false };
    let old_enough = |since: Timestamp| whole(since).plus(cooldown) <= moment;
    match (release.published_at, case.rules.unknown_published_at) {
        (Some(published), _) => !old_enough(published),
        (None, WhereUnknown::Allow) => false,
        (None, WhereUnknown::Hold) => !case.known.proven_since(release).is_some_and(old_enough),
    }
}

/// Rounds down to whole seconds, as registries and clients do.
fn whole(moment: Timestamp) -> Timestamp {
    Timestamp::from_secs(moment.as_secs())
}

const DAY: u64 = 86_400;

/// The longest cooldown that is accepted: a hundred years of 365 days.
const MOST_DAYS: u64 = 36_500;

/// A minimum age: `0`, `Nd` (days), `Nw` (weeks) or `Nmo` (months of 30 days). Prints as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cooldown {
    text: Box<str>,
    days: u64,
}

/// The error message for an invalid cooldown.
const EXPECTED: &str =
    "expected 0, or a number of days, weeks or months (of 30 days), such as 7d, 2w or 1mo; at most 100 years";

/// The text is not a valid cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{EXPECTED}")]
pub struct CooldownError;

/// Prints a time in whole days, such as `7d`.
pub fn print_days(time: Duration) -> String {
    format!("{}d", time.as_secs() / DAY)
}

impl Cooldown {
    /// The minimum age as a duration.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.days * DAY)
    }

    /// Whether it is zero, which turns the rule off.
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
