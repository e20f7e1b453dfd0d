//! The one decision: may this release be had now? May import `hex` and `policy`.
//!
//! Overrides come first, then each rule, as in Hex's own dependency policies; what holds may be excused by an exemption.
//! The same function answers for lists, tarballs and docs. It also says when its answer changes by itself, found by
//! asking it again at each moment at which anything that it looks at changes.

use std::sync::Arc;

use super::facts::{AdvisoryFacts, PackageFacts, ReleaseFacts};
use super::licence::WhereUnknown;
use super::overrides::{self, Effect, Override};
use super::rule::{Class, Rule};
use super::rules::{Grace, Rules};
use super::severity::Severity;
use crate::clock::Timestamp;
use crate::hex::version::ReleaseVersion;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// No rule holds it.
    Clean,
    /// An override allows it.
    Override,
    /// A waiver was given for it.
    Waived,
    /// A lock file that was registered pins it.
    Pinned,
    /// It was delivered before a rule held it.
    Delivered,
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
    /// When an advisory first held it after it was delivered.
    pub advisory_since: Option<Timestamp>,
    /// When its retirement first held it after it was delivered.
    pub retirement_since: Option<Timestamp>,
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

    /// The licences that the release states, once they have been read.
    fn licences(&self, release: &ReleaseFacts) -> Option<Arc<[Box<str>]>>;

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

    fn licences(&self, _: &ReleaseFacts) -> Option<Arc<[Box<str>]>> {
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

/// Whether a rule holds a release now, or would if nothing excused it.
pub fn is_restricted(
    package: &PackageFacts,
    release: &ReleaseFacts,
    rules: &Rules,
    known: &dyn Knowledge,
    now: Timestamp,
) -> bool {
    !Case::new(package, release, rules, known, now).restrictions(now).is_empty()
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
    let begins = |class: Class| match class {
        Class::Time => false,
        Class::Advisory => exemption.advisory_since.is_none(),
        Class::Retirement => exemption.retirement_since.is_none(),
    };
    case.restrictions(now).iter().map(Rule::class).filter(|class| begins(*class)).collect()
}

/// Everything that one decision looks at.
struct Case<'a> {
    package: &'a PackageFacts,
    release: &'a ReleaseFacts,
    rules: &'a Rules,
    known: &'a dyn Knowledge,
    now: Timestamp,
    exemption: Option<Exemption>,
    licences: Option<Arc<[Box<str>]>>,
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
        match overrides::winner(self.lasting(moment)) {
            Some(Override { effect: Effect::Deny, reason, .. }) => return Err(Rule::Denied(reason.clone())),
            Some(_) => return Ok(Because::Override),
            None => {}
        }
        if self.waivers.iter().any(|found| found.lasts(moment)) {
            return Ok(Because::Waived);
        }
        let mut because = Because::Clean;
        for rule in self.restrictions(moment) {
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
            }
        }
        if let Some(exemption) = &self.exemption {
            moments.extend(exemption.pinned.and_then(|pin| pin.until));
            let locked = &self.rules.locked;
            for (grace, since) in [
                (locked.time_rules, exemption.delivered),
                (locked.advisories, exemption.advisory_since),
                (locked.retirement, exemption.retirement_since),
            ] {
                if let Grace::For(time) = grace {
                    moments.push(since.unwrap_or(self.now).plus(time));
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

    /// The rules that hold the release at a moment, the gravest first.
    fn restrictions(&self, moment: Timestamp) -> Vec<Rule> {
        let rules =
            [self.advisory(moment), self.retirement(moment), self.licence(), self.freeze(), self.cooldown(moment)];
        rules.into_iter().flatten().collect()
    }

    fn advisory(&self, moment: Timestamp) -> Option<Rule> {
        let least = self.rules.advisory_min_severity?;
        let ignored = |advisory: &AdvisoryFacts| {
            self.ignores(moment, |effect| matches!(effect, Effect::IgnoreAdvisory(id) if advisory.is_called(id)))
        };
        let counted =
            self.package.advisories_of(self.release).filter(|found| found.severity >= least && !ignored(found));
        let worst = counted.max_by_key(|advisory| advisory.severity)?;
        Some(Rule::Advisory { id: worst.id.clone(), severity: worst.severity })
    }

    fn retirement(&self, moment: Timestamp) -> Option<Rule> {
        let reason = self.release.retired?.0?;
        let ignored = || self.ignores(moment, |effect| *effect == Effect::IgnoreRetirement(reason));
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
                    return Some(Rule::UnknownAge);
                }
                false
            }
        };
        frozen.then_some(Rule::Frozen(freeze))
    }

    fn cooldown(&self, moment: Timestamp) -> Option<Rule> {
        let cooldown = self.rules.cooldown.as_ref()?;
        if !self.in_cooldown(self.release, moment)
            || self.ignores(moment, |effect| *effect == Effect::IgnoreCooldown)
            || self.fixes_an_advisory(moment)
        {
            return None;
        }
        let dated = self.release.published_at.is_some();
        Some(if dated { Rule::Cooldown(cooldown.to_string().into()) } else { Rule::UnknownAge })
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

    /// Whether a project that may not have this release would get one instead that has an advisory which this has not.
    fn fixes_an_advisory(&self, moment: Timestamp) -> bool {
        if !self.rules.cooldown_exempt_security_fixes {
            return false;
        }
        let past = self.series().filter(|(sibling, _)| !self.in_cooldown(sibling, moment));
        let Some((instead, _)) = past.max_by(|(_, left), (_, right)| left.cmp_precedence(right)) else { return false };
        let least = self.rules.advisory_min_severity.unwrap_or(Severity::None);
        let ours: Vec<&str> = self.package.advisories_of(self.release).map(|advisory| &*advisory.id).collect();
        self.package.advisories_of(instead).any(|advisory| advisory.severity >= least && !ours.contains(&&*advisory.id))
    }

    /// The other releases of the same major version; below 1.0, of the same minor version.
    fn series(&self) -> impl Iterator<Item = (&'a ReleaseFacts, &'a ReleaseVersion)> {
        let numbers = self.release.version.as_ref().map(ReleaseVersion::numbers);
        let package: &'a PackageFacts = self.package;
        let others = package.releases.iter().filter_map(|other| Some((other, other.version.as_ref()?)));
        let text: &'a str = &self.release.text;
        others.filter(move |(other, version)| {
            let same = match (numbers, version.numbers()) {
                (Some([0, minor, _]), [0, its_minor, _]) => minor == its_minor,
                (Some([major, ..]), [its_major, ..]) => major == its_major,
                (None, _) => false,
            };
            same && *other.text != *text
        })
    }

    /// What excuses a rule at a moment.
    fn excuse(&self, rule: &Rule, moment: Timestamp) -> Option<Because> {
        let exemption = self.exemption.as_ref()?;
        if exemption.pinned.is_some_and(|pin| pin.until.is_none_or(|until| moment < until)) {
            return Some(Because::Pinned);
        }
        exemption.delivered?;
        if matches!(rule, Rule::Licence(_)) && !exemption.licences_known {
            return None;
        }
        let lasts = |grace: Grace, since: Option<Timestamp>| match grace {
            Grace::Keep => true,
            Grace::For(time) => moment < since.unwrap_or(self.now).plus(time),
            Grace::Hold => false,
        };
        let locked = &self.rules.locked;
        let excused = match rule.class() {
            Class::Time => lasts(locked.time_rules, exemption.delivered),
            Class::Advisory => lasts(locked.advisories, exemption.advisory_since),
            Class::Retirement => lasts(locked.retirement, exemption.retirement_since),
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
