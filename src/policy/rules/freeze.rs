//! The rule `freeze_after`: holds releases that were published after a given time.

use super::key::{RuleKey, RuleParseError, RuleValue};
use super::{ReleaseCase, ReleaseRules, Rule, RuleInput, RuleQuery, WhereUnknown, age};
use crate::clock::Timestamp;
use crate::policy::class::Class;
use crate::policy::date_time;
use crate::policy::reason::Reason;
use crate::policy::release_facts::ListedFacts;

/// `freeze_after`
pub(super) const KEY: RuleKey = RuleKey {
    name: "freeze_after",
    written: RuleValue::Text {
        read: |rules, text| {
            rules.freeze_after = Some(date_time::parse(text).ok_or(RuleParseError::Text(date_time::EXPECTED))?);
            Ok(())
        },
        print: |rules| rules.freeze_after.map(|at| at.to_string()),
    },
    may_be_null: true,
    check: RuleKey::ANY,
};

/// Holds a release that was published after the configured time.
#[derive(Debug)]
pub(super) struct Freeze;

impl Rule for Freeze {
    fn class(&self) -> Class {
        Class::Freeze
    }

    fn is_set(&self, rules: &ReleaseRules) -> bool {
        rules.freeze_after.is_some()
    }

    fn needs(&self) -> &'static [RuleInput] {
        &[RuleInput::ProvenAge]
    }

    fn judge(&self, case: &ReleaseCase<'_>, _: RuleQuery) -> Option<Reason> {
        let freeze = case.rules.freeze_after?;
        match case.release.published_at {
            Some(published) => {
                (published > freeze).then(|| Reason::new("freeze", format!("was published after {freeze}")))
            }
            None => {
                let proven = case.known.proven_since(case.release).is_some_and(|since| since <= freeze);
                (!proven && case.rules.unknown_published_at == WhereUnknown::Hold).then(age::unknown)
            }
        }
    }

    fn is_certainly_allowed(&self, rules: &ReleaseRules, listed: &ListedFacts, _: Timestamp) -> bool {
        let (freeze, updated) = (rules.freeze_after, listed.updated_at);
        freeze.zip(updated).is_some_and(|(freeze, updated)| updated <= freeze)
    }
}
