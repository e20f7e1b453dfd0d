//! Explains the decisions of policies on packages and lock files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::commands::PolicyCommand;
use super::locked_releases::LockedReleases;
use super::operator::Operator;
use super::outcome::{CommandOutcome, Text, count};
use super::summary::FirstOf;
use super::{OperationError, Refusal};
use crate::hex::name::PackageName;
use crate::hex::resource::ArtifactName;
use crate::hex::version::ReleaseVersion;
use crate::policy::decide::{AllowedBy, Decision};
use crate::repository::enforcer::{Enforcer, ReleaseDecision};
use crate::repository::{RepoError, Repository};
use crate::state::audit::Actor;

/// Time limit for the upstream.
const PATIENCE: Duration = Duration::from_secs(30);

/// A repository and the enforcer of its policy.
type PolicedRepository = (Repository, Arc<Enforcer>);

/// The decision of a policy on each release of a package, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyExplanation(pub Vec<String>);

/// The result of a test of lock files against a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTestReport {
    /// A sentence for each release that is held, exempt, or allowed only until its licences are known.
    pub said: Vec<String>,
    /// Number of held releases.
    pub held: usize,
    /// Number of releases in the lock files.
    pub releases: usize,
    /// Number of exempt releases for each reason.
    pub exempt: Vec<(String, usize)>,
    /// Sentences about releases that could not be checked.
    pub not_judged: FirstOf,
}

impl PolicyExplanation {
    pub(super) fn text(&self) -> Text {
        Text::lines(self.0.iter().cloned())
    }
}

impl PolicyTestReport {
    pub(super) fn text(&self) -> Text {
        let Self { said, held, releases, exempt, not_judged } = self;
        let mut remarks = not_judged.sentences("releases could not be checked");
        let exempt: String = exempt.iter().map(|(words, count)| format!("; {count} {words}")).collect();
        let are = if *releases == 1 { "is" } else { "are" };
        remarks.push(format!("{held} of {} {are} held{exempt}", count(*releases, "release", "releases")));
        Text { lines: said.clone(), remarks, failed: *held > 0 || !not_judged.is_empty() }
    }
}

impl Operator {
    pub(super) async fn run_policy_command(
        &self,
        command: PolicyCommand,
        by: &Actor,
    ) -> Result<CommandOutcome, OperationError> {
        Ok(match command {
            PolicyCommand::Pin { repository, releases, until, reason } => {
                self.pin(repository, &releases, until.as_deref(), &reason, by).await?.into()
            }
            PolicyCommand::Unpin { repository, releases } => self.unpin(repository, &releases, by).await?.into(),
            PolicyCommand::Waive { repository, package, requirement, until, reason } => {
                self.waive(repository, (&package, requirement.as_deref()), &until, &reason, by).await?.into()
            }
            PolicyCommand::Waivers { repository } => self.waivers(&repository).await?.into(),
            PolicyCommand::Withdraw { repository, number } => self.withdraw(repository, number, by).await?.into(),
            PolicyCommand::Why { repository, package, version } => {
                self.policy_why(&repository, &package, version.as_deref()).await?.into()
            }
            PolicyCommand::Test { repository, releases } => self.policy_test(&repository, &releases).await?.into(),
            PolicyCommand::Report { repository, by } => self.policy_report(&repository, by).await?.into(),
        })
    }

    /// The repository with this key and its policy.
    pub(super) fn policed(&self, key: &str) -> Result<PolicedRepository, Refusal> {
        let repository = self.repository(key)?;
        let enforcer = repository.enforcer().map(Arc::clone);
        enforcer.map(|enforcer| (repository, enforcer)).ok_or_else(|| Refusal::NoPolicy(key.to_owned()))
    }

    async fn policy_why(
        &self,
        key: &str,
        package: &str,
        version: Option<&str>,
    ) -> Result<PolicyExplanation, OperationError> {
        let (repository, enforcer) = self.policed(key)?;
        let package: PackageName = package.parse().map_err(Refusal::from)?;
        let decisions = self.decisions(&repository, &package).await?;
        let wanted = decisions.iter().filter(|(text, _)| version.is_none_or(|version| version == &**text));
        let said: Vec<String> = wanted.filter_map(|(text, said)| describe(&enforcer, &package, text, said)).collect();
        if said.is_empty() {
            return Err(
                Refusal::NotThere { repository: key.to_owned(), package, version: version.map(str::to_owned) }.into()
            );
        }
        Ok(PolicyExplanation(said))
    }

    async fn policy_test(&self, key: &str, releases: &LockedReleases) -> Result<PolicyTestReport, OperationError> {
        let (repository, enforcer) = self.policed(key)?;
        let wanted: BTreeSet<(&str, &str)> =
            releases.iter().map(|release| (release.package, release.version)).collect();
        let (mut said, mut not_judged, mut held) = (Vec::new(), FirstOf::default(), 0);
        let mut exempt: BTreeMap<&str, usize> = BTreeMap::new();
        for (package, version) in &wanted {
            let package: PackageName = package.parse().map_err(Refusal::from)?;
            let decisions = match self.decisions(&repository, &package).await {
                Ok(decisions) => decisions,
                Err(error) => {
                    not_judged.add(|| format!("{package} {version} could not be checked: {}", error.sentence()));
                    continue;
                }
            };
            let Some((text, found)) = decisions.iter().find(|(text, _)| &**text == *version) else {
                not_judged.add(|| format!("{package} {version} is not in `{key}`"));
                continue;
            };
            let sentence = || describe(&enforcer, &package, text, found);
            match &found.decision {
                Decision::Allowed { because: AllowedBy::Clean, .. } => {
                    said.extend(found.is_provisional.then(sentence).flatten())
                }
                Decision::Allowed { because, .. } => {
                    *exempt.entry(because.words()).or_default() += 1;
                    said.extend(sentence());
                }
                Decision::Held { .. } => {
                    held += 1;
                    said.push(format!(
                        "{}; {}",
                        sentence().unwrap_or_default(),
                        suggest_alternative(&decisions, version)
                    ));
                }
            }
        }
        let exempt = exempt.into_iter().map(|(words, count)| (words.to_owned(), count)).collect();
        Ok(PolicyTestReport { said, held, releases: wanted.len(), exempt, not_judged })
    }

    async fn decisions(
        &self,
        repository: &Repository,
        package: &PackageName,
    ) -> Result<Vec<(Box<str>, ReleaseDecision)>, OperationError> {
        let decisions = repository.explain_policy(package, Instant::now() + PATIENCE).await;
        decisions.map_err(|error| match error {
            RepoError::NotFound => {
                let (repository, package) = (repository.key().to_string(), package.clone());
                Refusal::NotThere { repository, package, version: None }.into()
            }
            error => OperationError::from(error),
        })
    }
}

fn describe(enforcer: &Enforcer, package: &PackageName, text: &str, said: &ReleaseDecision) -> Option<String> {
    let version = text.parse().ok()?;
    Some(enforcer.describe(&ArtifactName { package: package.clone(), version }, said))
}

/// Suggests the newest allowed release to use instead of `version`, of the same series if possible.
fn suggest_alternative(decisions: &[(Box<str>, ReleaseDecision)], version: &str) -> String {
    let series = |version: &ReleaseVersion| match version.numbers() {
        [0, minor, _] => (0, minor),
        [major, ..] => (major, 0),
    };
    let wanted = version.parse::<ReleaseVersion>().ok();
    let allowed = decisions.iter().filter(|(_, said)| matches!(said.decision, Decision::Allowed { .. }));
    let allowed: Vec<ReleaseVersion> = allowed.filter_map(|(text, _)| text.parse().ok()).collect();
    let stable = |version: &&ReleaseVersion| !version.is_pre_release();
    let same = allowed.iter().filter(stable).filter(|found| wanted.as_ref().map(series) == Some(series(found))).max();
    match same.or_else(|| allowed.iter().filter(stable).max()).or_else(|| allowed.iter().max()) {
        Some(found) => format!("use {found} instead, the newest allowed release"),
        None => "no other release is allowed".to_owned(),
    }
}
