//! Explains why a repository answers as it does for a name. Only callers who may read all of it get an explanation.

mod report;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;

use self::report::HeldReport;
pub use self::report::{ConflictReport, ExplainQuestion, ExplainedAnswer, Explanation, MemberOutcome, MemberSays};

use super::claims::Claimant;
use super::listing::Kind;
use super::name_routing::{Claimants, NameRouting};
use super::package::{Merged, ViewPackage};
use super::view::View;
use super::{Member, Merge, VirtualRepository};
use crate::auth::ReadGrant;
use crate::cache::CacheError;
use crate::cache::registry::Confirmation;
use crate::hex::checksum::Sha256;
use crate::hex::index::{Index, Release};
use crate::hex::resource::RegistryResource;
use crate::hex::version;
use crate::repository::enforcer::PolicyStatements;
use crate::repository::{RepoError, Repository};
use crate::trust::VerifyError;

/// What is known about a name before each member is examined.
struct NameFindings {
    answer: Result<ViewPackage, RepoError>,
    claimants: Claimants,
    /// The members that are asked for the name; an error if it is unknown whether a private member claims it.
    routing: Result<NameRouting, RepoError>,
}

impl NameFindings {
    fn merged(&self) -> Option<&Merged> {
        self.answer.as_ref().ok().map(|found| &*found.merged)
    }

    fn claims(&self, member: usize) -> bool {
        matches!(self.claimants.of(member), Some(Claimant::Yes))
    }
}

impl Repository {
    /// Explains the answer for a package, or for one release of it.
    ///
    /// # Errors
    ///
    /// [`RepoError::Withheld`] for callers who may not read all of the repository: the explanation lists names and
    /// their owners.
    pub async fn explain(&self, grant: &ReadGrant, question: ExplainQuestion<'_>) -> Result<Explanation, RepoError> {
        if grant.repository() != self.key() || !grant.is_whole() {
            return Err(RepoError::Withheld);
        }
        Ok(match self {
            Self::Virtual(composed) => composed.explain(question).await,
            Self::Remote(_) | Self::Local(_) => self.explain_itself(question).await,
        })
    }

    /// Explains the answer of a repository that is not virtual.
    async fn explain_itself(&self, question: ExplainQuestion<'_>) -> Explanation {
        let key = self.key().to_string();
        let StatedPolicies { held, exempt } = policy_says(self, None, question).await.about(question);
        let (answer, failure, outcome, shown) = match versions(self, None, question).await {
            Ok(shown) if !shown.is_empty() => (ExplainedAnswer::Found, None, MemberOutcome::Answers, shown),
            Ok(_) if !held.is_empty() => (ExplainedAnswer::NotFound, None, MemberOutcome::Held, Vec::new()),
            Ok(_) | Err(RepoError::NotFound) => (ExplainedAnswer::NotFound, None, MemberOutcome::Absent, Vec::new()),
            Err(error) => (ExplainedAnswer::Failed, Some(error.to_string()), MemberOutcome::Failed, Vec::new()),
        };
        let why = match &failure {
            Some(failure) => failure.clone(),
            None => outcome.words(question).to_owned(),
        };
        Explanation {
            repository: key.clone(),
            package: question.name.to_string(),
            version: question.version.map(|version| version.as_str().to_owned()),
            answer,
            answered_by: if answer == ExplainedAnswer::Found { vec![key.clone()] } else { Vec::new() },
            failure,
            reserved: false,
            claimed_by: Vec::new(),
            members: vec![MemberSays {
                repository: key,
                private: None,
                outcome,
                why,
                shown,
                hidden: Vec::new(),
                held,
                exempt,
            }],
            conflicts: Vec::new(),
        }
    }
}

impl VirtualRepository {
    /// Explains the answer of a virtual repository. Public members that are kept out are not asked for the name; their
    /// lists are used instead.
    async fn explain(self: &Arc<Self>, question: ExplainQuestion<'_>) -> Explanation {
        let (name, context) = (question.name, question.context);
        let view = View::whole(self);
        let answer = self.package(&view, name, context).await.map(|served| served.value);
        let claimants = self.claimants(name, context).await;
        let routing = self.route_name_with(name, &claimants);
        let findings = NameFindings { answer, claimants, routing };
        let asked = self.members().iter().enumerate();
        let asked = asked.map(|(at, member)| self.member_says(&view, at, member, &findings, question));
        let members = join_all(asked).await;
        let key = |at: usize| self.members().get(at).map(|one| one.repository.key().to_string()).unwrap_or_default();
        let answered = members.iter().filter(|member| member.outcome == MemberOutcome::Answers);
        let answered_by: Vec<String> = answered.map(|member| member.repository.clone()).collect();
        let (answer, failure) = match &findings.answer {
            Ok(found) if found.merged.shown().any(|version| question.is_about(version)) => {
                (ExplainedAnswer::Found, None)
            }
            Ok(_) | Err(RepoError::NotFound) => (ExplainedAnswer::NotFound, None),
            Err(error) => (ExplainedAnswer::Failed, Some(error.to_string())),
        };
        let conflicts = match self.options.rules.merge {
            Merge::Release => {
                let merged = findings.merged().map(|merged| merged.conflicts.as_slice()).unwrap_or_default().iter();
                let merged = merged.filter(|conflict| question.is_about(&conflict.version));
                merged.map(|one| (one.version.to_string(), one.winner, one.loser)).collect()
            }
            Merge::Package => self.behind_with_others(&view, &findings, &members, question).await,
        };
        let conflicts = conflicts.into_iter().map(|(version, winner, loser)| ConflictReport {
            version,
            shown: key(winner),
            hidden: key(loser),
        });
        Explanation {
            repository: self.key().to_string(),
            package: name.to_string(),
            version: question.version.map(|version| version.as_str().to_owned()),
            answer,
            answered_by,
            failure,
            reserved: self.options.rules.reserve.allows(name.as_str()),
            claimed_by: (0..self.members().len()).filter(|at| findings.claims(*at)).map(key).collect(),
            conflicts: conflicts.collect(),
            members,
        }
    }

    /// With `merge: package` the first member that has a package owns all of it. These are the versions of which
    /// another member has a different release, with the indexes of both members.
    async fn behind_with_others(
        &self,
        view: &View,
        findings: &NameFindings,
        members: &[MemberSays],
        question: ExplainQuestion<'_>,
    ) -> Vec<(String, usize, usize)> {
        let releases = async |at: usize| match self.members().get(at) {
            Some(member) => releases(&member.repository, view.below(at), question).await.unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let Some(winner) = findings.merged().and_then(|merged| merged.parts.first().copied()) else {
            return Vec::new();
        };
        let shown = releases(winner).await;
        let mut found = Vec::new();
        let behind = members.iter().enumerate().filter(|(_, member)| member.outcome == MemberOutcome::Behind);
        for (loser, _) in behind {
            let others = releases(loser).await.into_iter();
            let differ = others.filter(|(version, checksum)| shown.get(version).is_some_and(|one| one != checksum));
            found.extend(differ.map(|(version, _)| (version, winner, loser)));
        }
        found.sort_by_cached_key(|(version, _, loser)| (*loser, version::order(version)));
        found
    }

    async fn member_says(
        &self,
        view: &View,
        at: usize,
        member: &Member,
        findings: &NameFindings,
        question: ExplainQuestion<'_>,
    ) -> MemberSays {
        let says = |outcome: MemberOutcome, why: String| MemberSays {
            repository: member.repository.key().to_string(),
            private: Some(member.private || findings.claims(at)),
            outcome,
            why,
            shown: Vec::new(),
            hidden: Vec::new(),
            held: Vec::new(),
            exempt: Vec::new(),
        };
        let name = question.name.as_str();
        if !self.options.identity.names.allows(name) || !member.names.allows(name) {
            return says(MemberOutcome::Excluded, MemberOutcome::Excluded.words(question).to_owned());
        }
        if let Some(Claimant::Failed(error)) = findings.claimants.of(at) {
            return says(MemberOutcome::Failed, error.to_string());
        }
        let kept_out = kept_out(at, member, findings);
        if let Some(MemberOutcome::Absent) = kept_out {
            let is_silent =
                matches!(findings.claimants.claims.list_confirmation(at), Some(Confirmation::UpstreamUnreachable(_)));
            return says(MemberOutcome::Absent, text::without(is_silent, question));
        }
        if let Some(outcome) = kept_out {
            let listed = self.listing(at, Kind::Names, view.below(at), question.context).await;
            let listed = match listed {
                Ok(served) if served.value.0.has(name) => "lists it, but",
                Ok(_) | Err(RepoError::NotFound) => "does not list it, and",
                Err(_) => "has no list available, and",
            };
            return says(outcome, format!("{listed} {}", outcome.words(question)));
        }
        let has = match versions(&member.repository, view.below(at), question).await {
            Ok(has) => has,
            Err(RepoError::NotFound) if findings.claims(at) => {
                return says(
                    MemberOutcome::Absent,
                    text::claimed(findings.claimants.claims.unlisted_claim_since(at, name)),
                );
            }
            Err(RepoError::NotFound) => Vec::new(),
            Err(error) => return says(MemberOutcome::Failed, error.to_string()),
        };
        let owned = |version: &String| findings.merged().is_some_and(|merged| merged.shows(version, at));
        let lost = |version: &String| {
            let conflicts = findings.merged().map(|merged| merged.conflicts.as_slice()).unwrap_or_default();
            conflicts.iter().any(|conflict| conflict.loser == at && *conflict.version == **version)
        };
        let mut said = policy_says(&member.repository, view.below(at), question).await;
        if let Ok(found) = &findings.answer {
            said.add(self.policy_says(found, at, question.name));
        }
        let StatedPolicies { held, exempt } = said.about(question);
        let is_held = |version: &String| held.iter().any(|held| held.version == *version);
        let (shown, hidden): (Vec<_>, Vec<_>) = has.into_iter().partition(owned);
        let outcome = match (&findings.answer, shown.is_empty(), hidden.is_empty()) {
            (_, false, _) => MemberOutcome::Answers,
            (_, true, true) if !held.is_empty() => MemberOutcome::Held,
            (_, true, true) => MemberOutcome::Absent,
            (Ok(_), true, false) if hidden.iter().all(is_held) => MemberOutcome::Held,
            (Err(_), true, false) => MemberOutcome::Unheard,
            (Ok(_), true, false) if hidden.iter().all(lost) => MemberOutcome::Conflict,
            (Ok(_), true, false) => MemberOutcome::Behind,
        };
        MemberSays { shown, hidden, held, exempt, ..says(outcome, outcome.words(question).to_owned()) }
    }
}

/// Why a member is not asked for the name; `None` if it is asked.
fn kept_out(at: usize, member: &Member, findings: &NameFindings) -> Option<MemberOutcome> {
    match &findings.routing {
        Ok(routing) if routing.order.contains(&at) => None,
        Ok(routing) if routing.is_claimed() => Some(MemberOutcome::Claimed),
        Ok(_) if member.private => Some(MemberOutcome::Absent),
        Ok(_) => Some(MemberOutcome::Reserved),
        Err(_) if findings.claims(at) => None,
        Err(_) => Some(MemberOutcome::Unheard),
    }
}

/// The statements of policies about a package.
#[derive(Default)]
struct StatedPolicies {
    held: Vec<HeldReport>,
    exempt: Vec<HeldReport>,
}

impl StatedPolicies {
    fn add(&mut self, says: PolicyStatements) {
        self.held.extend(says.held.into_iter().map(HeldReport::from));
        self.exempt.extend(says.exempt.into_iter().map(HeldReport::from));
    }

    /// The statements about the versions in question, sorted by version.
    fn about(mut self, question: ExplainQuestion<'_>) -> Self {
        for list in [&mut self.held, &mut self.exempt] {
            list.retain(|one| question.is_about(&one.version));
            list.sort_by_cached_key(|one| version::order(&one.version));
        }
        self
    }
}

/// The statements of a repository's own policy about a package.
async fn policy_says(repository: &Repository, below: Option<&View>, question: ExplainQuestion<'_>) -> StatedPolicies {
    let (name, context) = (question.name, question.context);
    let mut said = StatedPolicies::default();
    match (repository, below) {
        (Repository::Virtual(composed), Some(view)) => {
            if let Ok(served) = composed.package(view, name, context).await {
                (0..composed.members().len()).for_each(|at| said.add(composed.policy_says(&served.value, at, name)));
            }
        }
        (Repository::Remote(remote), _) => {
            said.add(remote.policy_says(name, context.deadline).await.unwrap_or_default());
        }
        (Repository::Virtual(_) | Repository::Local(_), _) => {}
    }
    said
}

/// The versions in question that a repository has, sorted, independent of the caller.
async fn versions(
    repository: &Repository,
    below: Option<&View>,
    question: ExplainQuestion<'_>,
) -> Result<Vec<String>, RepoError> {
    let mut versions: Vec<String> = releases(repository, below, question).await?.into_keys().collect();
    versions.sort_by_cached_key(|version| version::order(version));
    Ok(versions)
}

/// The versions in question that a repository has, with the checksum of each.
async fn releases(
    repository: &Repository,
    below: Option<&View>,
    question: ExplainQuestion<'_>,
) -> Result<BTreeMap<String, Option<Sha256>>, RepoError> {
    let resource = RegistryResource::Package(question.name.clone());
    let whole = repository.whole(&resource, below, question.context).await?.value.0;
    let decoded = question.tasks.blocking(move || {
        let index = Index::decode(&resource, &whole.bytes()?)
            .map_err(|source| CacheError::untrusted(VerifyError::Schema { resource, source }))?;
        let releases = index.as_package().map(|package| package.releases.as_slice()).unwrap_or_default();
        // Old registries have only the inner checksum.
        let checksum = |release: &Release| release.outer.or(release.inner);
        let releases = releases.iter().map(|release| (release.version.to_string(), checksum(release)));
        Ok::<_, CacheError>(releases.collect::<BTreeMap<String, Option<Sha256>>>())
    });
    let mut releases = decoded.await.map_err(CacheError::from)??;
    releases.retain(|version, _| question.is_about(version));
    Ok(releases)
}
