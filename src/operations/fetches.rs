//! What the fetch log tells.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::commands::ReportBy;
use super::operator::Operator;
use super::outcome::{Text, count};
use super::{OperationError, Refusal};
use crate::clock::Timestamp;
use crate::display_text::shown;
use crate::hex::name::PackageName;
use crate::policy::decide::AllowedBy;
use crate::state::fetches::{Fetch, FetchOutcome as What, FetchTally};

/// Who was delivered a package or a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReport {
    /// The package.
    pub package: String,
    /// Deliveries, told together where they differ in nothing but time.
    pub deliveries: Vec<Delivery>,
    /// Whether deliveries are written down at all.
    pub is_written_down: bool,
}

/// Deliveries of a release to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Key of the repository that was asked.
    pub repository: String,
    /// Version.
    pub version: String,
    /// To whom.
    pub caller: FetchedBy,
    /// When, and how often.
    pub times: FetchTimes,
}

/// Who fetched something, with what, from where; each may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FetchedBy {
    /// `user:alice`, `org:acme`.
    pub actor: String,
    /// `key:NAME` (also of a token that the key was exchanged for), `password`, `token:ID`.
    pub credential: String,
    /// A range or an address.
    pub address: String,
}

/// When, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchTimes {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
}

/// What was asked for that a policy holds, or would hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldReport {
    /// In which order it is told.
    pub by: ReportBy,
    /// Requests, told together.
    pub groups: Vec<HeldGroup>,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests that would have been refused.
    pub would_be_refused: u64,
    /// Packages that this process has evaluated.
    pub evaluated: usize,
    /// Releases of them that are held.
    pub held: usize,
    /// Releases of them that a rule holds and something excuses.
    pub exempt: Vec<ExemptRelease>,
    /// How many of those there are for each reason, with the words of the reason.
    pub exempt_for: Vec<(String, usize)>,
}

/// Requests that are told together: by release and rule, or by caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGroup {
    /// What they have in common.
    pub of: HeldOf,
    /// Whether they were refused; else they would have been.
    pub is_held: bool,
    /// When, and how often.
    pub times: FetchTimes,
}

/// What requests that are told together have in common, and what they differ in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldOf {
    /// A release and the rule by which it is held.
    Release {
        /// Package.
        package: String,
        /// Version.
        version: String,
        /// The rule.
        rule: String,
        /// So many callers asked.
        callers: usize,
    },
    /// Somebody who asked.
    Caller {
        /// Who.
        caller: FetchedBy,
        /// `NAME VERSION` of what was asked for.
        releases: Vec<String>,
    },
}

/// A release that a rule holds and something excuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptRelease {
    /// Package.
    pub package: String,
    /// Version.
    pub version: String,
    /// By what it is excused, in words.
    pub because: String,
}

impl From<&Fetch> for FetchedBy {
    fn from(fetch: &Fetch) -> Self {
        let Fetch { actor, credential, address, .. } = fetch;
        Self { actor: actor.clone(), credential: credential.clone(), address: address.clone() }
    }
}

impl From<&FetchTally> for FetchTimes {
    fn from(FetchTally { first, last, count }: &FetchTally) -> Self {
        Self { first: *first, last: *last, count: *count }
    }
}

impl FetchTimes {
    /// These and others.
    fn and(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last), count: self.count + other.count }
    }

    fn columns(&self) -> String {
        let second = |at: Timestamp| Timestamp::from_secs(at.as_secs());
        format!("{}\t{}\t{}", second(self.first), second(self.last), self.count)
    }
}

impl FetchedBy {
    fn columns(&self) -> String {
        let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { shown(text) };
        [&self.actor, &self.credential, &self.address].map(|text| or_none(text)).join("\t")
    }
}

impl FetchReport {
    pub(super) fn text(&self) -> Text {
        let Self { package, deliveries, is_written_down } = self;
        let mut text = Text::lines(deliveries.iter().map(|Delivery { repository, version, caller, times }| {
            format!("{repository}\t{version}\t{}\t{}", caller.columns(), times.columns())
        }));
        match (deliveries.is_empty(), is_written_down) {
            (false, _) => {}
            (true, false) => text.remarks.push("nothing is written down: fetch_log.retain is 0s".to_owned()),
            (true, true) => {
                text.remarks.push(format!("nobody has fetched it from here, as far as is written down: {package}"));
            }
        }
        text
    }
}

impl HeldGroup {
    fn line(&self) -> String {
        let said = if self.is_held { "held" } else { "would be held" };
        let times = self.times.columns();
        match &self.of {
            HeldOf::Release { package, version, rule, callers } => {
                format!("{package}\t{version}\t{said}\t{rule}\t{times}\t{}", count(*callers, "caller", "callers"))
            }
            HeldOf::Caller { caller, releases } => {
                format!("{}\t{said}\t{times}\t{}", caller.columns(), releases.join(", "))
            }
        }
    }
}

impl HeldReport {
    pub(super) fn text(&self) -> Text {
        let mut text = Text::lines(self.groups.iter().map(HeldGroup::line));
        let (refused, would) = (self.refused, self.would_be_refused);
        let were = if refused == 1 { "was" } else { "were" };
        let requests = count(refused, "request", "requests");
        text.remarks.push(format!("{requests} {were} refused, and {would} would have been"));
        if self.by == ReportBy::Package {
            text.lines.extend(
                self.exempt
                    .iter()
                    .map(|ExemptRelease { package, version, because }| format!("{package}\t{version}\t{because}")),
            );
        }
        if !self.exempt.is_empty() {
            let exempt: String = self.exempt_for.iter().map(|(why, count)| format!("; {count} {why}")).collect();
            let (packages, held) = (self.evaluated, self.held);
            text.remarks.push(format!("of {packages} packages that were evaluated {held} releases are held{exempt}"));
        }
        text
    }
}

impl Operator {
    /// Who was delivered a package or a release.
    pub(super) async fn who_has(
        &self,
        repository: Option<&str>,
        package: String,
        version: Option<&str>,
    ) -> Result<FetchReport, OperationError> {
        if let Some(key) = repository {
            self.repository(key)?;
        }
        let name: PackageName = package.parse().map_err(Refusal::from)?;
        let found = self.fetch_log.who_has(repository, name.as_str(), version).await?;
        let deliveries = found.iter().map(|(fetch, tally)| Delivery {
            repository: fetch.repository.clone(),
            version: fetch.version.clone(),
            caller: fetch.into(),
            times: tally.into(),
        });
        let is_written_down = self.fetch_log.is_written_down();
        Ok(FetchReport { package, deliveries: deliveries.collect(), is_written_down })
    }

    /// What was asked for that the policy of a repository holds, or would hold.
    pub(super) async fn policy_report(&self, key: &str, by: ReportBy) -> Result<HeldReport, OperationError> {
        let (_, enforcer) = self.policed(key)?;
        let found = self.fetch_log.held_of(key).await?;
        let groups = match by {
            ReportBy::Package => by_release(&found),
            ReportBy::Caller => by_caller(&found),
        };
        let requests: u64 = found.iter().map(|(_, tally)| tally.count).sum();
        let would = found.iter().filter(|(fetch, _)| fetch.outcome == What::WouldHold);
        let would_be_refused: u64 = would.map(|(_, tally)| tally.count).sum();
        // What a rule holds and something excuses, of the packages that this process has evaluated.
        let standing = enforcer.standing();
        let exempt = standing.exempt.iter().map(|(package, version, why)| ExemptRelease {
            package: package.to_string(),
            version: version.to_string(),
            because: why.words().to_owned(),
        });
        let reasons = [AllowedBy::Delivered, AllowedBy::Pinned, AllowedBy::Waived, AllowedBy::Override];
        Ok(HeldReport {
            by,
            groups,
            refused: requests - would_be_refused,
            would_be_refused,
            evaluated: standing.packages,
            held: standing.held,
            exempt: exempt.collect(),
            exempt_for: reasons.map(|why| (why.words().to_owned(), standing.count(why))).into(),
        })
    }
}

/// Requests for one release under one rule together.
fn by_release(found: &[(Fetch, FetchTally)]) -> Vec<HeldGroup> {
    let key = |fetch: &Fetch| {
        let Fetch { package, version, rule, outcome, .. } = fetch;
        (package.clone(), version.clone(), *outcome == What::WouldHold, rule.clone())
    };
    let mut groups = Vec::new();
    for ((package, version, would, rule), (callers, times)) in together(found, key, |fetch| FetchedBy::from(fetch)) {
        let of = HeldOf::Release { package, version, rule, callers: callers.len() };
        groups.push(HeldGroup { of, is_held: !would, times });
    }
    groups
}

/// Requests of one caller together.
fn by_caller(found: &[(Fetch, FetchTally)]) -> Vec<HeldGroup> {
    let key = |fetch: &Fetch| (FetchedBy::from(fetch), fetch.outcome == What::WouldHold);
    let release = |fetch: &Fetch| format!("{} {}", fetch.package, fetch.version);
    let mut groups = Vec::new();
    for ((caller, would), (releases, times)) in together(found, key, release) {
        let of = HeldOf::Caller { caller, releases: releases.into_iter().collect() };
        groups.push(HeldGroup { of, is_held: !would, times });
    }
    groups
}

/// What has the same `key` together: its members, and when.
fn together<K: Ord, M: Ord>(
    found: &[(Fetch, FetchTally)],
    key: impl Fn(&Fetch) -> K,
    member: impl Fn(&Fetch) -> M,
) -> BTreeMap<K, (BTreeSet<M>, FetchTimes)> {
    let mut groups: BTreeMap<K, (BTreeSet<M>, FetchTimes)> = BTreeMap::new();
    for (fetch, tally) in found {
        let times = FetchTimes::from(tally);
        let group = groups.entry(key(fetch));
        let group = group.and_modify(|group| group.1 = group.1.and(times)).or_insert_with(|| (BTreeSet::new(), times));
        group.0.insert(member(fetch));
    }
    groups
}
