//! The rule `advisory_min_severity`: holds releases that have a security advisory.

use super::key::{RuleKey, RuleValue, choose};
use super::{ReleaseCase, ReleaseRules, Rule, RuleInput, RuleQuery};
use crate::choice::Choice as _;
use crate::clock::Timestamp;
use crate::hex::message;
use crate::policy::class::Class;
use crate::policy::overrides::Effect;
use crate::policy::reason::Reason;
use crate::policy::release_facts::{AdvisoryFacts, ListedFacts};
use crate::policy::severity::Severity;

/// `advisory_min_severity`
pub(super) const KEY: RuleKey = RuleKey {
    name: "advisory_min_severity",
    written: RuleValue::Text {
        read: |rules, word| choose(word).map(|least| rules.advisory_min_severity = Some(least)),
        print: |rules| rules.advisory_min_severity.map(|least| least.word().to_owned()),
    },
    may_be_null: true,
    check: RuleKey::ANY,
};

/// Holds a release that has an advisory of at least the configured severity. The reason shows the most severe one.
#[derive(Debug)]
pub(super) struct Advisories;

impl Rule for Advisories {
    fn class(&self) -> Class {
        Class::Advisory
    }

    fn is_set(&self, rules: &ReleaseRules) -> bool {
        rules.advisory_min_severity.is_some()
    }

    fn needs(&self) -> &'static [RuleInput] {
        &[RuleInput::Remarks]
    }

    fn judge(&self, case: &ReleaseCase<'_>, question: RuleQuery) -> Option<Reason> {
        let least = case.rules.advisory_min_severity?;
        let ignored = |advisory: &AdvisoryFacts| {
            case.ignores(question, |effect| matches!(effect, Effect::IgnoreAdvisory(id) if advisory.is_called(id)))
        };
        let counted =
            case.package.advisories_of(case.release).filter(|found| found.severity >= least && !ignored(found));
        let worst = counted.max_by_key(|advisory| advisory.severity)?;
        let (id, severity) = (&worst.id, worst.severity.word());
        Some(Reason::new("advisory", format!("has the security advisory {id} (severity {severity})")))
    }

    fn is_certainly_allowed(&self, _: &ReleaseRules, listed: &ListedFacts, _: Timestamp) -> bool {
        !listed.has_advisories
    }

    fn publish(&self, rules: &ReleaseRules, restriction: &mut message::Restriction) {
        let severity = |severity: Severity| match severity {
            Severity::None => message::Severity::None,
            Severity::Low => message::Severity::Low,
            Severity::Medium => message::Severity::Medium,
            Severity::High => message::Severity::High,
            // Hex has no number for `unknown`, which counts as more severe than all others.
            Severity::Critical | Severity::Unknown => message::Severity::Critical,
        };
        restriction.advisory_min_severity = rules.advisory_min_severity.map(|least| severity(least).into());
    }

    fn useless_override(&self, rules: &ReleaseRules, effect: &Effect) -> Option<&'static str> {
        (matches!(effect, Effect::IgnoreAdvisory(_)) && !self.is_set(rules))
            .then_some("`advisory_min_severity` is not set, so no advisory holds a release")
    }
}
