//! The rule that holds what is retired.

use super::key::{Key, Written, choose};
use super::{Case, Need, Question, Rule, Rules};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::message;
use crate::policy::class::Class;
use crate::policy::facts::ListedFacts;
use crate::policy::overrides::Effect;
use crate::policy::reason::Reason;

/// `retirement_reasons`
pub(super) const KEY: Key = Key {
    name: "retirement_reasons",
    written: Written::Texts {
        read: |rules, word| {
            rules.retirement_reasons.insert(choose(word)?);
            Ok(())
        },
        print: |rules| rules.retirement_reasons.iter().map(|reason| reason.word().to_owned()).collect(),
    },
    may_be_null: false,
    check: Key::ANY,
};

/// A release that is retired for one of some reasons is held.
#[derive(Debug)]
pub(super) struct Retirements;

impl Rule for Retirements {
    fn class(&self) -> Class {
        Class::Retirement
    }

    fn is_set(&self, rules: &Rules) -> bool {
        !rules.retirement_reasons.is_empty()
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Remarks]
    }

    fn judge(&self, case: &Case<'_>, question: Question) -> Option<Reason> {
        let reason = case.release.retired?.0?;
        let ignored = || case.ignores(question, |effect| *effect == Effect::IgnoreRetirement(reason));
        (case.rules.retirement_reasons.contains(&reason) && !ignored())
            .then(|| Reason::new("retirement", format!("is retired ({})", reason.word())))
    }

    fn is_beyond_doubt(&self, _: &Rules, listed: &ListedFacts, _: Timestamp) -> bool {
        !listed.has_retired
    }

    fn publish(&self, rules: &Rules, restriction: &mut message::Restriction) {
        let reasons = rules.retirement_reasons.iter().map(|reason| reason.on_the_wire().into());
        restriction.retirement_reasons = reasons.collect();
    }

    fn is_ignored_in_vain(&self, rules: &Rules, effect: &Effect) -> Option<&'static str> {
        matches!(effect, Effect::IgnoreRetirement(reason) if !rules.retirement_reasons.contains(reason))
            .then_some("`retirement_reasons` does not have this reason, so it holds nothing")
    }
}
