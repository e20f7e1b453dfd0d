//! Reports from the fetch log: who downloaded a release, and which requests a policy held.

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

/// The result of `who-has`: downloads of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReport {
    /// Name of the package.
    pub package: String,
    /// Downloads; those that differ only in time are one entry.
    pub deliveries: Vec<Delivery>,
    /// Whether the fetch log is enabled.
    pub is_written_down: bool,
}

/// Downloads of a release by one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Key of the requested repository.
    pub repository: String,
    /// Version of the release.
    pub version: String,
    /// The client.
    pub caller: FetchedBy,
    /// First time, last time and count.
    pub times: FetchTimes,
}

/// A client of the fetch log. Each field may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FetchedBy {
    /// Account: `user:alice` or `org:acme`.
    pub actor: String,
    /// Credential: `key:NAME` (also for a token from this key), `password` or `token:ID`.
    pub credential: String,
    /// IP address or address range.
    pub address: String,
}

/// First time, last time and count of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchTimes {
    /// Time of the first request.
    pub first: Timestamp,
    /// Time of the last request.
    pub last: Timestamp,
    /// Number of requests.
    pub count: u64,
}

/// The result of `policy report`: requests that a policy held, or would have held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldReport {
    /// How requests are grouped.
    pub by: ReportBy,
    /// Requests in groups.
    pub groups: Vec<HeldGroup>,
    /// Number of requests that were refused.
    pub refused: u64,
    /// Number of requests that would have been refused in mode `enforce`.
    pub would_be_refused: u64,
    /// Number of packages that this process has evaluated.
    pub evaluated: usize,
    /// Number of held releases of these packages.
    pub held: usize,
    /// Releases of these packages that a rule would hold but that are exempt.
    pub exempt: Vec<ExemptRelease>,
    /// Number of exempt releases for each reason.
    pub exempt_for: Vec<(String, usize)>,
}

/// A group of requests: by release and rule, or by client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGroup {
    /// What the requests have in common.
    pub of: HeldOf,
    /// Whether the requests were refused; if not, they would have been refused in mode `enforce`.
    pub is_held: bool,
    /// First time, last time and count.
    pub times: FetchTimes,
}

/// What the requests of a group have in common, and in what they differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeldOf {
    /// A release and the rule that holds it.
    Release {
        /// Name of the package.
        package: String,
        /// Version of the release.
        version: String,
        /// The rule.
        rule: String,
        /// Number of clients.
        callers: usize,
    },
    /// A client.
    Caller {
        /// The client.
        caller: FetchedBy,
        /// Requested releases as `NAME VERSION`.
        releases: Vec<String>,
    },
}

/// A release that a rule would hold but that is exempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptRelease {
    /// Name of the package.
    pub package: String,
    /// Version of the release.
    pub version: String,
    /// Reason of the exemption.
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
    /// The sum of two sets of requests.
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
            (true, false) => text.remarks.push("the fetch log is disabled: fetch_log.retain is 0s".to_owned()),
            (true, true) => {
                text.remarks.push(format!("the fetch log has no download of {package}"));
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
        text.remarks.push(format!("{requests} {were} refused, and {would} would have been refused in mode `enforce`"));
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
            text.remarks.push(format!("{packages} packages were evaluated; {held} of their releases are held{exempt}"));
        }
        text
    }
}

impl Operator {
    /// Lists the downloads of a package or a release.
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

    /// Lists requests that the policy of a repository held, or would have held.
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
        // Exempt releases of the packages that this process has evaluated.
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

/// Groups requests by release and rule.
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

/// Groups requests by client.
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

/// Groups fetches by `key`. Each group has the set of its `member` values and its times.
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
