//! Decides whether a policy allows clients to download a release now.
//!
//! Overrides come first, then each rule, as in Hex's own dependency policies. An exemption (a waiver, a pin, an earlier
//! delivery) excuses a rule that holds the release. Indexes, tarballs and docs use the same function. A decision also
//! contains the time at which it changes by itself, such as the end of a cooldown: the function evaluates the rules
//! again at each time at which one of its inputs changes.

use super::class::Class;
use super::decision_inputs::DecisionInputs;
use super::overrides::{self, Effect, Override};
use super::reason::Reason;
use super::release_facts::{PackageFacts, ReleaseFacts};
use super::rules::{Grace, ReleaseCase, ReleaseRules, Rule, RuleQuery};
use crate::choice::Choice as _;
use crate::clock::Timestamp;

/// The decision about one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Clients may download it.
    Allowed {
        because: AllowedBy,
        /// When the policy starts to hold it by itself, if it does.
        until: Option<Timestamp>,
    },
    /// The policy holds it.
    Held {
        reason: Reason,
        /// When the policy stops holding it by itself, if it does.
        until: Option<Timestamp>,
    },
}

/// Why the policy allows a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowedBy {
    /// No rule holds it.
    Clean,
    /// A rule holds it, but an override allows it.
    Override,
    /// A rule holds it, but a waiver covers it.
    Waived,
    /// A rule holds it, but a registered lock file pins it.
    Pinned,
    /// A rule holds it, but a client downloaded it before the rule did.
    Delivered,
}

impl AllowedBy {
    /// The words that follow `is` in a sentence about the release: `exempt because delivered`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Clean => "allowed",
            Self::Override => "exempt because of an override",
            Self::Waived => "exempt because waived",
            Self::Pinned => "exempt because pinned",
            Self::Delivered => "exempt because delivered",
        }
    }
}

/// Decides about one release of a package.
pub fn decide(
    package: &PackageFacts,
    release: &ReleaseFacts,
    rules: &ReleaseRules,
    known: &dyn DecisionInputs,
    now: Timestamp,
) -> Decision {
    let case = ReleaseCase::new(package, release, rules, known, now);
    let verdict = decide_at(&case, now);
    let until = change_times(&case).into_iter().find(|moment| decide_at(&case, *moment).is_ok() != verdict.is_ok());
    match verdict {
        Ok(because) => Decision::Allowed { because, until },
        Err(reason) => Decision::Held { reason, until },
    }
}

/// The classes of rules that hold a delivered release now for the first time. Their grace periods begin now.
pub fn first_held(
    package: &PackageFacts,
    release: &ReleaseFacts,
    rules: &ReleaseRules,
    known: &dyn DecisionInputs,
    now: Timestamp,
) -> Vec<Class> {
    let case = ReleaseCase::new(package, release, rules, known, now);
    let Some(exemption) = case.exemption.as_ref().filter(|exemption| exemption.delivered.is_some()) else {
        return Vec::new();
    };
    let question = RuleQuery { moment: now, heeds_overrides: true };
    let mut begins: Vec<Class> = Vec::new();
    for (rule, _) in restrictions(&case, question).filter(|(_, reason)| reason.is_decided()) {
        let class = rule.class();
        if exemption.held_since.get(class).is_none() && !begins.contains(&class) {
            begins.push(class);
        }
    }
    begins
}

/// The decision at `moment`, which must not be earlier than `case.now`.
fn decide_at(case: &ReleaseCase<'_>, moment: Timestamp) -> Result<AllowedBy, Reason> {
    // Overrides are left out here: a release is clean only if the rules allow it without them.
    let is_clean = || restrictions(case, RuleQuery { moment, heeds_overrides: false }).next().is_none();
    match overrides::effective_override(case.active_overrides(moment)) {
        Some(Override { effect: Effect::Deny, reason, .. }) => return Err(Reason::denied(reason.as_deref())),
        Some(_) => return Ok(if is_clean() { AllowedBy::Clean } else { AllowedBy::Override }),
        None => {}
    }
    let mut restrictions = restrictions(case, RuleQuery { moment, heeds_overrides: true }).peekable();
    if restrictions.peek().is_some() && case.waivers.iter().any(|found| found.is_active(moment)) {
        return Ok(AllowedBy::Waived);
    }
    let has_ignored = case.active_overrides(moment).any(|found| !found.is_final());
    let mut because = if has_ignored && !is_clean() { AllowedBy::Override } else { AllowedBy::Clean };
    for (rule, reason) in restrictions {
        because = match excuse(case, rule, &reason, moment) {
            Some(excuse) => excuse,
            None => return Err(reason),
        };
    }
    Ok(because)
}

/// The rules that hold the release, the most severe first.
fn restrictions(case: &ReleaseCase<'_>, question: RuleQuery) -> impl Iterator<Item = (&'static dyn Rule, Reason)> {
    case.rules.configured().filter_map(move |rule| Some((rule, rule.judge(case, question)?)))
}

/// The exemption that excuses the release from `rule` at `moment`, if there is one.
fn excuse(case: &ReleaseCase<'_>, rule: &dyn Rule, reason: &Reason, moment: Timestamp) -> Option<AllowedBy> {
    let exemption = case.exemption.as_ref()?;
    if exemption.pinned.is_some_and(|pin| pin.until.is_none_or(|until| moment < until)) {
        return Some(AllowedBy::Pinned);
    }
    exemption.delivered?;
    if !reason.is_decided() || !rule.could_decide_at(exemption) {
        return None;
    }
    let excused = match case.rules.locked.get(rule.class()) {
        Grace::Keep => true,
        Grace::For(time) => moment < exemption.held_since.get(rule.class()).unwrap_or(case.now).plus(*time),
        Grace::Hold => false,
    };
    excused.then_some(AllowedBy::Delivered)
}

/// Each later time at which the decision can change, in ascending order.
fn change_times(case: &ReleaseCase<'_>) -> Vec<Timestamp> {
    let exceptions = case.overrides.iter().chain(&case.waivers);
    let mut moments: Vec<Timestamp> = exceptions.filter_map(|found| found.until).collect();
    for rule in case.rules.configured() {
        rule.add_change_times(case, &mut moments);
    }
    if let Some(exemption) = &case.exemption {
        moments.extend(exemption.pinned.and_then(|pin| pin.until));
        for class in Class::ALL {
            if let Grace::For(time) = case.rules.locked.get(*class) {
                moments.push(exemption.held_since.get(*class).unwrap_or(case.now).plus(*time));
            }
        }
    }
    moments.retain(|moment| *moment > case.now);
    moments.sort_unstable();
    moments
}

#[cfg(test)]
mod tests;
