//! The rule `retirement_reasons`: holds retired releases.

use super::key::{RuleKey, RuleValue, choose};
use super::{ReleaseCase, ReleaseRules, Rule, RuleInput, RuleQuery};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::message;
use crate::policy::class::Class;
use crate::policy::overrides::Effect;
use crate::policy::reason::Reason;
use crate::policy::release_facts::ListedFacts;

/// `retirement_reasons`
pub(super) const KEY: RuleKey = RuleKey {
    name: "retirement_reasons",
    written: RuleValue::Texts {
        read: |rules, word| {
            rules.retirement_reasons.insert(choose(word)?);
            Ok(())
        },
        print: |rules| rules.retirement_reasons.iter().map(|reason| reason.word().to_owned()).collect(),
    },
    may_be_null: false,
    check: RuleKey::ANY,
};

/// Holds a release that is retired for one of the configured reasons.
#[derive(Debug)]
pub(super) struct Retirements;

impl Rule for Retirements {
    fn class(&self) -> Class {
        Class::Retirement
    }

    fn is_set(&self, rules: &ReleaseRules) -> bool {
        !rules.retirement_reasons.is_empty()
    }

    fn needs(&self) -> &'static [RuleInput] {
        &[RuleInput::Remarks]
    }

    fn judge(&self, case: &ReleaseCase<'_>, question: RuleQuery) -> Option<Reason> {
        let reason = case.release.retired?.0?;
        let ignored = || case.ignores(question, |effect| *effect == Effect::IgnoreRetirement(reason));
        (case.rules.retirement_reasons.contains(&reason) && !ignored())
            .then(|| Reason::new("retirement", format!("is retired ({})", reason.word())))
    }

    fn is_certainly_allowed(&self, _: &ReleaseRules, listed: &ListedFacts, _: Timestamp) -> bool {
        !listed.has_retired
    }

    fn publish(&self, rules: &ReleaseRules, restriction: &mut message::Restriction) {
        let reasons = rules.retirement_reasons.iter().map(|reason| reason.on_the_wire().into());
        restriction.retirement_reasons = reasons.collect();
    }

    fn useless_override(&self, rules: &ReleaseRules, effect: &Effect) -> Option<&'static str> {
        matches!(effect, Effect::IgnoreRetirement(reason) if !rules.retirement_reasons.contains(reason))
            .then_some("this reason is not in `retirement_reasons`, so it holds no release")
    }
}
