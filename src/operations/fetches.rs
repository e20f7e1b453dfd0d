//! What the fetch log tells.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::{Outcome, ReportBy};
use super::operator::Operator;
use super::{Failure, failure};
use crate::auth::shown;
use crate::hex::name::PackageName;
use crate::policy::decide::Because;
use crate::state::fetches::{Fetch, Outcome as What, Tally};

impl Operator {
    /// Who was delivered a package or a release: repository, version, who, with what, from where, first, last, how often.
    pub(super) async fn who_has(
        &self,
        repository: Option<&str>,
        package: &str,
        version: Option<&str>,
    ) -> Result<Outcome, Failure> {
        if let Some(key) = repository {
            self.repository(key)?;
        }
        let package: PackageName = package.parse().map_err(failure)?;
        let found = self.fetch_log.who_has(repository, package.as_str(), version).await.map_err(failure)?;
        let lines = found.iter().map(|(fetch, tally)| {
            let Fetch { repository, version, .. } = fetch;
            format!("{repository}\t{version}\t{}\t{}", who(fetch), times(tally))
        });
        let remarks = match (found.is_empty(), self.setup().fetches_kept.is_zero()) {
            (true, true) => vec!["nothing is written down: fetch_log.retain is 0s".to_owned()],
            (true, false) => vec![format!("nobody has fetched it from here, as far as is written down: {package}")],
            (false, _) => Vec::new(),
        };
        Ok(Outcome { lines: lines.collect(), remarks, failed: false })
    }

    /// What was asked for that the policy of a repository holds, or would hold.
    pub(super) async fn policy_report(&self, key: &str, by: ReportBy) -> Result<Outcome, Failure> {
        let (_, enforcer) = self.policed(key)?;
        let found = self.fetch_log.held_of(key).await.map_err(failure)?;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (fetch, tally) in &found {
            let Fetch { package, version, rule, outcome, .. } = fetch;
            let said = if *outcome == What::WouldHold { "would be held" } else { "held" };
            let release = format!("{package} {version}");
            let (group, member) = match by {
                ReportBy::Package => (format!("{package}\t{version}\t{said}\t{rule}"), who(fetch)),
                ReportBy::Caller => (format!("{}\t{said}", who(fetch)), release),
            };
            groups.entry(group).or_default().add(member, tally);
        }
        let mut lines: Vec<String> = groups
            .iter()
            .map(|(key, group)| match by {
                ReportBy::Package => format!("{key}\t{}\t{} callers", times(&group.tally), group.members.len()),
                ReportBy::Caller => {
                    let members: Vec<&str> = group.members.iter().map(String::as_str).collect();
                    format!("{key}\t{}\t{}", times(&group.tally), members.join(", "))
                }
            })
            .collect();
        let requests: u64 = found.iter().map(|(_, tally)| tally.count).sum();
        let would = found.iter().filter(|(fetch, _)| fetch.outcome == What::WouldHold);
        let would: u64 = would.map(|(_, tally)| tally.count).sum();
        let mut remarks = vec![format!("{} requests were refused, and {would} would have been", requests - would)];
        // What a rule holds and something excuses, of the packages that this process has evaluated.
        let standing = enforcer.standing();
        if by == ReportBy::Package {
            let exempt = standing.exempt.iter();
            lines.extend(exempt.map(|(package, version, why)| format!("{package}\t{version}\t{}", why.words())));
        }
        if !standing.exempt.is_empty() {
            let exempt = [Because::Delivered, Because::Pinned, Because::Waived, Because::Override];
            let exempt: String =
                exempt.iter().map(|why| format!("; {} {}", standing.count(*why), why.words())).collect();
            let (packages, held) = (standing.packages, standing.held);
            remarks.push(format!("of {packages} packages that were evaluated {held} releases are held{exempt}"));
        }
        Ok(Outcome { lines, remarks, failed: false })
    }
}

/// Requests that are told together.
#[derive(Debug)]
struct Group {
    tally: Tally,
    members: BTreeSet<String>,
}

impl Default for Group {
    fn default() -> Self {
        let (first, last) = (crate::clock::Timestamp::from_millis(u64::MAX), crate::clock::Timestamp::from_millis(0));
        Self { tally: Tally { first, last, count: 0 }, members: BTreeSet::new() }
    }
}

impl Group {
    fn add(&mut self, member: String, tally: &Tally) {
        self.tally.first = self.tally.first.min(tally.first);
        self.tally.last = self.tally.last.max(tally.last);
        self.tally.count += tally.count;
        self.members.insert(member);
    }
}

/// Who, with what, from where.
fn who(fetch: &Fetch) -> String {
    let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { shown(text) };
    [&fetch.actor, &fetch.credential, &fetch.address].map(|text| or_none(text)).join("\t")
}

fn times(tally: &Tally) -> String {
    let Tally { first, last, count } = tally;
    let first = crate::clock::Timestamp::from_secs(first.as_secs());
    let last = crate::clock::Timestamp::from_secs(last.as_secs());
    format!("{first}\t{last}\t{count}")
}
