//! One release before the rules: everything that a decision about it looks at.

use super::ReleaseRules;
use crate::clock::Timestamp;
use crate::policy::decision_inputs::{DecisionInputs, LockExemption};
use crate::policy::overrides::{Effect, Override};
use crate::policy::release_facts::{PackageFacts, ReleaseFacts};

/// Everything that one decision looks at.
pub struct ReleaseCase<'a> {
    pub package: &'a PackageFacts,
    pub release: &'a ReleaseFacts,
    pub rules: &'a ReleaseRules,
    pub known: &'a dyn DecisionInputs,
    /// When it is decided; no question is about an earlier moment.
    pub now: Timestamp,
    /// What is owed to lock files.
    pub exemption: Option<LockExemption>,
    /// The overrides about this release, whether they have ended or not.
    pub overrides: Vec<&'a Override>,
    /// The waivers about it, in the same way.
    pub waivers: Vec<&'a Override>,
}

/// What a rule is asked about a case.
#[derive(Clone, Copy, Debug)]
pub struct RuleQuery {
    /// Whether it holds the release at this moment.
    pub moment: Timestamp,
    /// Whether the overrides count that pass over single rules.
    pub heeds_overrides: bool,
}

impl<'a> ReleaseCase<'a> {
    /// One release of a package, now.
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
            overrides: rules.overrides.iter().filter(|found| found.is_about(&package.name, version)).collect(),
            waivers: known.waivers().iter().filter(|found| found.is_about(&package.name, version)).collect(),
        }
    }

    /// Overrides that have not ended at a moment.
    pub fn lasting(&self, moment: Timestamp) -> impl Iterator<Item = &'a Override> {
        self.overrides.iter().copied().filter(move |found| found.lasts(moment))
    }

    /// Whether an override passes over a rule in this way, where overrides count.
    pub fn ignores(&self, question: RuleQuery, what: impl Fn(&Effect) -> bool) -> bool {
        question.heeds_overrides && self.lasting(question.moment).any(|found| what(&found.effect))
    }
}

impl std::fmt::Debug for ReleaseCase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { package, release, now, .. } = self;
        write!(f, "{} {} at {now}", package.name, release.text)
    }
}
