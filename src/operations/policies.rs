//! Orders about policies, carried out on an open store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use super::commands::Outcome;
use super::locked::{Locked, LockedReleases};
use super::operator::Operator;
use crate::auth::{is_plain, shown};
use crate::clock::Timestamp;
use crate::hex::name::PackageName;
use crate::hex::requirement::Requirement;
use crate::hex::resource::ArtifactName;
use crate::hex::version::ReleaseVersion;
use crate::policy::decide::{Because, Decision};
use crate::policy::moment;
use crate::repository::enforcer::Enforcer;
use crate::repository::{RepoError, Repository};
use crate::state::audit::By;
use crate::state::exemptions::LockedRelease;
use crate::state::waivers::Waiver;

/// How long an upstream is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest reason, in characters: what Hex takes as a comment.
const REASON: usize = 500;

/// A repository and the policy that holds for it.
type Policed = (Repository, Arc<Enforcer>);

impl Operator {
    pub(super) fn policed(&self, key: &str) -> Result<Policed, Failure> {
        let repository = self.repository(key)?;
        let enforcer = repository.enforcer().map(Arc::clone);
        enforcer
            .map(|enforcer| (repository, enforcer))
            .ok_or_else(|| Failure(format!("no policy holds for `{key}`; name one with its key `policy`")))
    }

    pub(super) async fn pin(
        &self,
        key: &str,
        releases: &LockedReleases,
        until: Option<&str>,
        reason: &str,
        by: &By,
    ) -> Result<Outcome, Failure> {
        let (_, enforcer) = self.policed(key)?;
        check_reason(reason)?;
        let until = until.map(|text| self.time_to_come(text)).transpose()?;
        let mut remarks = Remarks::default();
        for Locked { package, version, .. } in releases.iter().filter(|release| release.checksum().is_none()) {
            remarks.add(|| format!("{package} {version} is not pinned: the lock file has no checksum of it"));
        }
        let with_checksum = releases.iter().filter_map(|release| Some((release, release.checksum()?)));
        let pins: Vec<LockedRelease<'_>> = with_checksum
            .map(|(Locked { package, version, .. }, checksum)| LockedRelease { package, version, checksum })
            .collect();
        let (remarks, failed) = remarks.end("releases are not pinned");
        enforcer.pin(&pins, until, reason, by).await.map_err(|error| Failure::of(&error))?;
        let line = format!("{} releases are pinned for `{key}`", pins.len());
        Ok(Outcome { lines: vec![line], remarks, failed })
    }

    fn time_to_come(&self, text: &str) -> Result<Timestamp, Failure> {
        moment::parse(text).filter(|until| *until > self.shared.clock.now()).ok_or_else(|| {
            Failure(format!("`{text}` is no time to come; write 2026-11-01T12:00:00Z or a date, which means its end"))
        })
    }

    /// `releases`: a package, and a requirement where not all releases of it are meant.
    pub(super) async fn waive(
        &self,
        key: &str,
        (package, requirement): (&str, Option<&str>),
        until: &str,
        reason: &str,
        by: &By,
    ) -> Result<Outcome, Failure> {
        let (_, enforcer) = self.policed(key)?;
        check_reason(reason)?;
        let package: PackageName = package.parse().map_err(|error| Failure::of(&error))?;
        let until = self.time_to_come(until)?;
        let requirement = match requirement {
            None => None,
            Some(text) => {
                let requirement = Requirement::with_unequal(text).map_err(|error| Failure::of(&error))?;
                let can_match = Some(requirement).filter(Requirement::can_match);
                Some(can_match.ok_or_else(|| Failure(format!("`{text}` matches no version")))?)
            }
        };
        let number = enforcer.waive(&package, requirement.as_ref(), until, reason, by).await;
        let number = number.map_err(|error| Failure::of(&error))?;
        let releases = requirement.map(|one| format!(" {}", one.as_str())).unwrap_or_default();
        let remark =
            format!("{package}{releases} is waived for `{key}` until {until}; what the policy denies stays held");
        Ok(Outcome { remarks: vec![remark], ..Outcome::line(number.to_string()) })
    }

    /// Number, package, requirement, end, who gave it and why.
    pub(super) async fn waivers(&self, key: &str) -> Result<Outcome, Failure> {
        let (_, enforcer) = self.policed(key)?;
        let found = enforcer.given_waivers().await.map_err(|error| Failure::of(&error))?;
        let line = |waiver: &Waiver| {
            let Waiver { id, package, requirement, until, reason, given_by, .. } = waiver;
            let (requirement, by) = (requirement.as_deref().unwrap_or("-"), given_by.as_deref().unwrap_or("-"));
            let reason = shown(reason);
            format!("{id}\t{package}\t{requirement}\t{until}\t{by}\t{reason}")
        };
        Ok(Outcome { lines: found.iter().map(line).collect(), ..Outcome::default() })
    }

    pub(super) async fn withdraw(&self, key: &str, number: i64, by: &By) -> Result<Outcome, Failure> {
        let (_, enforcer) = self.policed(key)?;
        match enforcer.withdraw(number, by).await.map_err(|error| Failure::of(&error))? {
            true => Ok(Outcome::remark(format!("waiver {number} of `{key}` is withdrawn"))),
            false => Err(Failure(format!("`{key}` has no waiver {number} in force"))),
        }
    }

    pub(super) async fn policy_why(&self, key: &str, package: &str, version: Option<&str>) -> Result<Outcome, Failure> {
        let (repository, enforcer) = self.policed(key)?;
        let package: PackageName = package.parse().map_err(|error| Failure::of(&error))?;
        let decisions = self.decisions(&repository, &package).await?;
        let wanted = decisions.iter().filter(|(text, _)| version.is_none_or(|version| version == &**text));
        let lines: Vec<String> =
            wanted.filter_map(|(text, decision)| describe(&enforcer, &package, text, decision)).collect();
        if lines.is_empty() {
            let version = version.map(|version| format!(" {version}")).unwrap_or_default();
            return Err(Failure(format!("`{key}` does not have {package}{version}")));
        }
        Ok(Outcome { lines, ..Outcome::default() })
    }

    pub(super) async fn policy_test(&self, key: &str, releases: &LockedReleases) -> Result<Outcome, Failure> {
        let (repository, enforcer) = self.policed(key)?;
        let wanted: BTreeSet<(&str, &str)> =
            releases.iter().map(|release| (release.package, release.version)).collect();
        let (mut lines, mut remarks, mut held) = (Vec::new(), Remarks::default(), 0);
        let mut exempt: BTreeMap<&str, usize> = BTreeMap::new();
        for (package, version) in &wanted {
            let package: PackageName = package.parse().map_err(|error| Failure::of(&error))?;
            let decisions = match self.decisions(&repository, &package).await {
                Ok(decisions) => decisions,
                Err(failure) => {
                    remarks.add(|| format!("{package} {version} was not looked at: {failure}"));
                    continue;
                }
            };
            match decisions.iter().find(|(text, _)| &**text == *version) {
                None => remarks.add(|| format!("{package} {version} is not in `{key}`")),
                Some((_, Decision::Allowed { because: Because::Clean, .. })) => {}
                Some((text, allowed @ Decision::Allowed { because, .. })) => {
                    *exempt.entry(because.words()).or_default() += 1;
                    lines.extend(describe(&enforcer, &package, text, allowed));
                }
                Some((text, decision)) => {
                    held += 1;
                    let said = describe(&enforcer, &package, text, decision).unwrap_or_default();
                    lines.push(format!("{said}; {}", instead(&decisions, version)));
                }
            }
        }
        let (mut remarks, is_incomplete) = remarks.end("releases were not judged");
        let failed = held > 0 || is_incomplete;
        let exempt: String = exempt.iter().map(|(words, count)| format!("; {count} {words}")).collect();
        remarks.push(format!("{held} of {} releases are held{exempt}", wanted.len()));
        Ok(Outcome { lines, failed, remarks })
    }

    async fn decisions(
        &self,
        repository: &Repository,
        package: &PackageName,
    ) -> Result<Vec<(Box<str>, Decision)>, Failure> {
        let decisions = repository.explain_policy(package, Instant::now() + PATIENCE).await;
        decisions.map_err(|error| match error {
            RepoError::NotFound => Failure(format!("`{}` does not have {package}", repository.key())),
            error => Failure::of(&error),
        })
    }
}

/// What could not be done with some of many releases: the first few, and how many there are.
#[derive(Debug, Default)]
struct Remarks {
    first: Vec<String>,
    count: usize,
}

impl Remarks {
    /// So many are said in full.
    const FIRST: usize = 20;

    fn add(&mut self, remark: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < Self::FIRST {
            self.first.push(remark());
        }
    }

    /// All that is said, and whether there is anything. `what` becomes of all of them.
    fn end(mut self, what: &str) -> (Vec<String>, bool) {
        if self.count > self.first.len() {
            self.first.push(format!("in all, {} {what}", self.count));
        }
        (self.first, self.count > 0)
    }
}

/// A reason stands in the audit log, on one line.
fn check_reason(reason: &str) -> Result<(), Failure> {
    let is_fine = !reason.trim().is_empty() && is_plain(reason) && reason.chars().count() <= REASON;
    is_fine.then_some(()).ok_or_else(|| Failure(format!("a reason is one line of at most {REASON} characters")))
}

fn describe(enforcer: &Enforcer, package: &PackageName, text: &str, decision: &Decision) -> Option<String> {
    let version = text.parse().ok()?;
    Some(enforcer.describe(&ArtifactName { package: package.clone(), version }, decision))
}

/// The newest release that a project could take in the place of `version`: of the same series if there is one.
fn instead(decisions: &[(Box<str>, Decision)], version: &str) -> String {
    let series = |version: &ReleaseVersion| match version.numbers() {
        [0, minor, _] => (0, minor),
        [major, ..] => (major, 0),
    };
    let wanted = version.parse::<ReleaseVersion>().ok();
    let allowed = decisions.iter().filter(|(_, decision)| matches!(decision, Decision::Allowed { .. }));
    let allowed: Vec<ReleaseVersion> = allowed.filter_map(|(text, _)| text.parse().ok()).collect();
    let stable = |version: &&ReleaseVersion| !version.is_pre_release();
    let same = allowed.iter().filter(stable).filter(|found| wanted.as_ref().map(series) == Some(series(found))).max();
    match same.or_else(|| allowed.iter().filter(stable).max()).or_else(|| allowed.iter().max()) {
        Some(found) => format!("the newest release to take instead is {found}"),
        None => "there is no release to take instead".to_owned(),
    }
}
