//! The input of the rules: one release, and all facts that a decision about it needs.

use super::ReleaseRules;
use crate::clock::Timestamp;
use crate::policy::decision_inputs::{DecisionInputs, LockExemption};
use crate::policy::overrides::{Effect, Override};
use crate::policy::release_facts::{PackageFacts, ReleaseFacts};

/// One release, and all facts that a decision about it needs.
pub struct ReleaseCase<'a> {
    pub package: &'a PackageFacts,
    pub release: &'a ReleaseFacts,
    pub rules: &'a ReleaseRules,
    pub known: &'a dyn DecisionInputs,
    /// The time of the decision. No [`RuleQuery`] has an earlier one.
    pub now: Timestamp,
    /// The exemptions of the release for lock files.
    pub exemption: Option<LockExemption>,
    /// The overrides for this release, expired ones included.
    pub overrides: Vec<&'a Override>,
    /// The waivers for this release, expired ones included.
    pub waivers: Vec<&'a Override>,
}

/// The conditions under which a rule is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct RuleQuery {
    /// The time for which the rule decides.
    pub moment: Timestamp,
    /// Whether overrides that ignore single rules take effect.
    pub heeds_overrides: bool,
}

impl<'a> ReleaseCase<'a> {
    /// Collects the facts about one release of a package.
    pub fn new(
        package: &'a PackageFacts,
        release: &'a ReleaseFacts,
        rules: &'a ReleaseRules,
        known: &'a dyn DecisionInputs,
        now: Timestamp,
    ) -> Self {
        let version = release.version.as_ref();
        Self {
            package,
            release,
            rules,
            known,
            now,
            exemption: known.exemption(release),
            overrides: rules.overrides.iter().filter(|found| found.applies_to(&package.name, version)).collect(),
            waivers: known.waivers().iter().filter(|found| found.applies_to(&package.name, version)).collect(),
        }
    }

    /// The overrides that have not expired at `moment`.
    pub fn active_overrides(&self, moment: Timestamp) -> impl Iterator<Item = &'a Override> {
        self.overrides.iter().copied().filter(move |found| found.is_active(moment))
    }

    /// Whether an active override with an effect that `what` accepts makes this rule ignore the release.
    pub fn ignores(&self, question: RuleQuery, what: impl Fn(&Effect) -> bool) -> bool {
        question.heeds_overrides && self.active_overrides(question.moment).any(|found| what(&found.effect))
    }
}

impl std::fmt::Debug for ReleaseCase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { package, release, now, .. } = self;
        write!(f, "{} {} at {now}", package.name, release.text)
    }
}
