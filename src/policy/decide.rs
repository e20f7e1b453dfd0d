//! The one decision: may this release be had now? May import `hex` and `policy`.
//!
//! Overrides come first, then each rule, as in Hex's own dependency policies; what holds may be excused by an exemption.
//! The same function answers for lists, tarballs and docs. It also says when its answer changes by itself, found by
//! asking it again at each moment at which anything that it looks at changes.

mod fixes;

use std::sync::Arc;

use super::facts::{AdvisoryFacts, PackageFacts, ReleaseFacts};
use super::licence::{Licences, WhereUnknown};
use super::overrides::{self, Effect, Override};
use super::rule::{ByClass, Class, Rule};
use super::rules::{Grace, Rules};
use crate::clock::Timestamp;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be had.
    Allowed {
        because: Because,
        /// When that ends by itself.
        until: Option<Timestamp>,
    },
    /// It may not.
    Held {
        rule: Rule,
        /// When that ends by itself.
        until: Option<Timestamp>,
    },
}

/// Why a release may be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// No rule holds it.
    Clean,
    /// A rule holds it, and an override allows it.
    Override,
    /// A rule holds it, and a waiver was given for it.
    Waived,
    /// A rule holds it, and a lock file that was registered pins it.
    Pinned,
    /// A rule holds it, and it was delivered before that.
    Delivered,
}

impl Because {
    /// How it is said of a release: `exempt because delivered`.
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

/// What a view owes to lock files for one release, with the checksum that it had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemption {
    /// When it was first delivered.
    pub delivered: Option<Timestamp>,
    /// Whether its licences had been read and allowed at a delivery. What was delivered before that has not been decided
    /// by the rules for licences, and they may still hold it.
    pub licences_known: bool,
    /// A lock file pins it.
    pub pinned: Option<Pinned>,
    /// When a rule of each class first held it after it was delivered.
    pub held_since: HeldSince,
}

/// When rules first held a release.
pub type HeldSince = ByClass<Option<Timestamp>>;

impl Default for HeldSince {
    /// Never.
    fn default() -> Self {
        Self { cooldown: None, freeze: None, licences: None, advisories: None, retirement: None }
    }
}

/// A pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// When it ends; `None`: never.
    pub until: Option<Timestamp>,
}

/// What is known of releases beside what their index says.
pub trait Knowledge {
    /// What is owed to lock files.
    fn exemption(&self, release: &ReleaseFacts) -> Option<Exemption>;

    /// A moment at which the release is proven to have existed, for releases without a date.
    fn proven_since(&self, release: &ReleaseFacts) -> Option<Timestamp>;

    /// What the release states as its licences, once that has been read.
    fn licences(&self, release: &ReleaseFacts) -> Option<Arc<Licences>>;

    /// Exceptions that were given beside the policy: what they are about is allowed unless an override denies it.
    fn waivers(&self) -> &[Override];
}

/// Nothing is known.
impl Knowledge for () {
    fn exemption(&self, _: &ReleaseFacts) -> Option<Exemption> {
        None
    }

    fn proven_since(&self, _: &ReleaseFacts) -> Option<Timestamp> {
        None
    }

    fn licences(&self, _: &ReleaseFacts) -> Option<Arc<Licences>> {
        None
    }

    fn waivers(&self) -> &[Override] {
        &[]
    }
}

/// Decides about one release of a package.
pub fn decide(
    package: &PackageFacts,
    release: &ReleaseFacts,
    rules: &Rules,
    known: &dyn Knowledge,
    now: Timestamp,
) -> Decision {
    let case = Case::new(package, release, rules, known, now);
    let verdict = case.at(now);
    let until = case.moments().into_iter().find(|moment| case.at(*moment).is_ok() != verdict.is_ok());
    match verdict {
        Ok(because) => Decision::Allowed { because, until },
        Err(rule) => Decision::Held { rule, until },
    }
}

/// The classes whose rules hold a delivered release now for the first time: from now on its grace runs.
pub fn first_held(
    package: &PackageFacts,
    release: &ReleaseFacts,
    rules: &Rules,
    known: &dyn Knowledge,
    now: Timestamp,
) -> Vec<Class> {
    let case = Case::new(package, release, rules, known, now);
    let Some(exemption) = case.exemption.as_ref().filter(|exemption| exemption.delivered.is_some()) else {
        return Vec::new();
    };
    let mut begins: Vec<Class> = Vec::new();
    for class in case.restrictions(now, true).iter().filter_map(Rule::class) {
        if exemption.held_since.of(class).is_none() && !begins.contains(&class) {
            begins.push(class);
        }
    }
    begins
}

/// Everything that one decision looks at.
struct Case<'a> {
    package: &'a PackageFacts,
    release: &'a ReleaseFacts,
    rules: &'a Rules,
    known: &'a dyn Knowledge,
    now: Timestamp,
    exemption: Option<Exemption>,
    licences: Option<Arc<Licences>>,
    /// The overrides about this release, whether they have ended or not.
    overrides: Vec<&'a Override>,
    /// The waivers about it, in the same way.
    waivers: Vec<&'a Override>,
}

impl<'a> Case<'a> {
    fn new(
        package: &'a PackageFacts,
        release: &'a ReleaseFacts,
        rules: &'a Rules,
        known: &'a dyn Knowledge,
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
            licences: rules.licences.as_ref().and_then(|_| known.licences(release)),
            overrides: rules.overrides.iter().filter(|found| found.is_about(&package.name, version)).collect(),
            waivers: known.waivers().iter().filter(|found| found.is_about(&package.name, version)).collect(),
        }
    }

    /// The answer at a moment, which lies not before now.
    fn at(&self, moment: Timestamp) -> Result<Because, Rule> {
        let restrictions = self.restrictions(moment, true);
        // What an override passes over, the rules have not allowed by themselves.
        let is_clean = || self.restrictions(moment, false).is_empty();
        match overrides::winner(self.lasting(moment)) {
            Some(Override { effect: Effect::Deny, reason, .. }) => return Err(Rule::Denied(reason.clone())),
            Some(_) => return Ok(if is_clean() { Because::Clean } else { Because::Override }),
            None => {}
        }
        if !restrictions.is_empty() && self.waivers.iter().any(|found| found.lasts(moment)) {
            return Ok(Because::Waived);
        }
        let has_ignored = self.lasting(moment).any(|found| !found.is_final());
        let mut because = if has_ignored && !is_clean() { Because::Override } else { Because::Clean };
        for rule in restrictions {
            because = match self.excuse(&rule, moment) {
                Some(excuse) => excuse,
                None => return Err(rule),
            };
        }
        Ok(because)
    }

    /// Every moment from now on at which the answer can change, in order.
    fn moments(&self) -> Vec<Timestamp> {
        let exceptions = self.overrides.iter().chain(&self.waivers);
        let mut moments: Vec<Timestamp> = exceptions.filter_map(|found| found.until).collect();
        if let Some(cooldown) = self.rules.cooldown() {
            moments.extend(self.born(self.release).map(|born| whole(born).plus(cooldown)));
            if self.rules.cooldown_exempt_security_fixes && self.in_cooldown(self.release, self.now) {
                let series = self.series().filter_map(|(sibling, _)| self.born(sibling));
                moments.extend(series.map(|born| whole(born).plus(cooldown)));
                moments.extend(self.ignored_advisories().filter_map(|found| found.until));
            }
        }
        if let Some(exemption) = &self.exemption {
            moments.extend(exemption.pinned.and_then(|pin| pin.until));
            for class in Class::ALL {
                if let Grace::For(time) = self.rules.locked.of(class) {
                    moments.push(exemption.held_since.of(class).unwrap_or(self.now).plus(*time));
                }
            }
        }
        moments.retain(|moment| *moment > self.now);
        moments.sort_unstable();
        moments
    }

    /// Overrides that have not ended at a moment.
    fn lasting(&self, moment: Timestamp) -> impl Iterator<Item = &'a Override> {
        self.overrides.iter().copied().filter(move |found| found.lasts(moment))
    }

    fn ignores(&self, moment: Timestamp, what: impl Fn(&Effect) -> bool) -> bool {
        self.lasting(moment).any(|found| what(&found.effect))
    }

    /// The rules that hold the release at a moment, the gravest first; also those that overrides pass over where
    /// `heeding` overrides is not wanted.
    fn restrictions(&self, moment: Timestamp, heeding: bool) -> Vec<Rule> {
        let rules = [
            self.advisory(moment, heeding),
            self.retirement(moment, heeding),
            self.licence(),
            self.freeze(),
            self.cooldown(moment, heeding),
        ];
        rules.into_iter().flatten().collect()
    }

    fn advisory(&self, moment: Timestamp, heeding: bool) -> Option<Rule> {
        let least = self.rules.advisory_min_severity?;
        let ignored = |advisory: &AdvisoryFacts| {
            heeding
                && self.ignores(moment, |effect| matches!(effect, Effect::IgnoreAdvisory(id) if advisory.is_called(id)))
        };
        let counted =
            self.package.advisories_of(self.release).filter(|found| found.severity >= least && !ignored(found));
        let worst = counted.max_by_key(|advisory| advisory.severity)?;
        Some(Rule::Advisory { id: worst.id.clone(), severity: worst.severity })
    }

    fn retirement(&self, moment: Timestamp, heeding: bool) -> Option<Rule> {
        let reason = self.release.retired?.0?;
        let ignored = || heeding && self.ignores(moment, |effect| *effect == Effect::IgnoreRetirement(reason));
        (self.rules.retirement_reasons.contains(&reason) && !ignored()).then_some(Rule::Retirement(reason))
    }

    fn licence(&self) -> Option<Rule> {
        let stated = self.licences.as_ref()?;
        self.rules.licences.as_ref()?.judge(stated).map(Rule::Licence)
    }

    fn freeze(&self) -> Option<Rule> {
        let freeze = self.rules.freeze_after?;
        let frozen = match self.release.published_at {
            Some(published) => published > freeze,
            None => {
                let proven = self.known.proven_since(self.release).is_some_and(|since| since <= freeze);
                if !proven && self.rules.unknown_published_at == WhereUnknown::Hold {
                    return Some(Rule::UnknownAge(Class::Freeze));
                }
                false
            }
        };
        frozen.then_some(Rule::Frozen(freeze))
    }

    fn cooldown(&self, moment: Timestamp, heeding: bool) -> Option<Rule> {
        let cooldown = self.rules.cooldown.as_ref()?;
        if !self.in_cooldown(self.release, moment)
            || (heeding && self.ignores(moment, |effect| *effect == Effect::IgnoreCooldown))
            || self.fixes_an_advisory(moment)
        {
            return None;
        }
        let dated = self.release.published_at.is_some();
        Some(if dated { Rule::Cooldown(cooldown.to_string().into()) } else { Rule::UnknownAge(Class::Cooldown) })
    }

    /// When a release is known to have existed.
    fn born(&self, release: &ReleaseFacts) -> Option<Timestamp> {
        release.published_at.or_else(|| self.known.proven_since(release))
    }

    fn in_cooldown(&self, release: &ReleaseFacts, moment: Timestamp) -> bool {
        let Some(cooldown) = self.rules.cooldown() else { return false };
        let old_enough = |born: Timestamp| whole(born).plus(cooldown) <= moment;
        match (release.published_at, self.rules.unknown_published_at) {
            (Some(published), _) => !old_enough(published),
            (None, WhereUnknown::Allow) => false,
            (None, WhereUnknown::Hold) => !self.known.proven_since(release).is_some_and(old_enough),
        }
    }

    /// What excuses a rule at a moment.
    fn excuse(&self, rule: &Rule, moment: Timestamp) -> Option<Because> {
        let exemption = self.exemption.as_ref()?;
        if exemption.pinned.is_some_and(|pin| pin.until.is_none_or(|until| moment < until)) {
            return Some(Because::Pinned);
        }
        exemption.delivered?;
        let class = rule.class()?;
        if class == Class::Licence && !exemption.licences_known {
            return None;
        }
        let excused = match self.rules.locked.of(class) {
            Grace::Keep => true,
            Grace::For(time) => moment < exemption.held_since.of(class).unwrap_or(self.now).plus(*time),
            Grace::Hold => false,
        };
        excused.then_some(Because::Delivered)
    }
}

/// Registries and clients count whole seconds.
fn whole(moment: Timestamp) -> Timestamp {
    Timestamp::from_secs(moment.as_secs())
}

#[cfg(test)]
mod tests;
