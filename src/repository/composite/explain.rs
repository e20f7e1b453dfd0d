//! Why a repository answers a name as it does: for those who may see all of it.

mod words;

use std::sync::Arc;

use futures_util::future::join_all;
use serde::Serialize;

use super::listing::Kind;
use super::package::{Found, Merged, payload};
use super::view::View;
use super::{Member, VirtualRepository};
use crate::cache::{CacheError, error::Internal};
use crate::hex::index::Index;
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::hex::version::{self, ReleaseVersion};
use crate::repository::{Context, RepoError, Repository};
use crate::shutdown::Tasks;
use crate::trust::VerifyError;

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The package.
    pub name: &'a PackageName,
    /// A release of it, where only that one is asked about.
    pub version: Option<&'a ReleaseVersion>,
    /// Until when, and for whom.
    pub context: Context,
    /// Where lists are taken apart.
    pub tasks: &'a Tasks,
}

impl Question<'_> {
    fn is_about(&self, version: &str) -> bool {
        self.version.is_none_or(|wanted| wanted.as_str() == version)
    }
}

/// What a repository answers for a package or one release of it, and what its members have to do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Key of the repository.
    pub repository: String,
    /// The package.
    pub package: String,
    /// The release, where one was asked about.
    pub version: Option<String>,
    /// What is answered.
    pub answer: Answer,
    /// Keys of the members whose releases are shown, in order of priority.
    pub answered_by: Vec<String>,
    /// What failed, where nothing can be answered.
    pub failure: Option<String>,
    /// Whether `reserve` names the package.
    pub reserved: bool,
    /// Keys of the members that claim the name.
    pub claimed_by: Vec<String>,
    /// Each member, in order of priority; of a repository without members itself alone.
    pub members: Vec<MemberSays>,
    /// Releases that are not shown, since another member's of the same version is.
    pub conflicts: Vec<ConflictSays>,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What was asked about.
    Found,
    /// That there is no such thing.
    NotFound,
    /// An error.
    Failed,
}

/// What a member has to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberSays {
    /// Key of the member.
    pub repository: String,
    /// Whether its names are private here; left out of a repository without members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    /// What became of what it has.
    pub outcome: Outcome,
    /// The same as words for people.
    pub why: String,
    /// Its versions that are shown, ascending.
    pub shown: Vec<String>,
    /// Its versions that are not, ascending. What the guard keeps out is not asked for, so its versions are not known.
    pub hidden: Vec<String>,
    /// Why a policy holds versions of it back: the member's own, or that of the repository that is asked.
    pub held: Vec<HeldSays>,
}

/// A policy holds a release back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldSays {
    /// The version.
    pub version: String,
    /// By which policy and rule, and until when.
    pub why: String,
}

/// What became of what a member has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is shown.
    Answers,
    /// It is not heard: a private member claims the name.
    Claimed,
    /// It is not heard: the name is reserved.
    Reserved,
    /// It is not heard: a private member cannot say which names are its own.
    Unheard,
    /// `include` or `exclude` leave the name out.
    Excluded,
    /// A member of higher priority answers.
    Behind,
    /// A member of higher priority has another release of the same version.
    Conflict,
    /// A policy holds it back.
    Held,
    /// It has nothing.
    Absent,
    /// It failed.
    Failed,
}

/// Two members have different releases of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConflictSays {
    /// The version.
    pub version: String,
    /// Key of the member whose release is shown.
    pub shown: String,
    /// Key of the member whose release is not.
    pub hidden: String,
}

/// What was found out about a name before members are looked at one by one.
struct Findings {
    answer: Result<Found, RepoError>,
    /// Of each member whether it claims the name; `None`: that cannot be told.
    claimants: Option<Vec<bool>>,
}

impl Findings {
    fn merged(&self) -> Option<&Merged> {
        self.answer.as_ref().ok().map(|found| &*found.merged)
    }

    fn claims(&self, member: usize) -> bool {
        self.claimants.as_ref().is_some_and(|claimants| claimants.get(member) == Some(&true))
    }

    fn is_claimed(&self) -> bool {
        self.claimants.as_ref().is_some_and(|claimants| claimants.contains(&true))
    }
}

impl Repository {
    /// Explains the answer for a package, or for one release of it. It says which names there are and who has them, so
    /// it is for callers who may read all of the repository.
    pub async fn explain(&self, question: Question<'_>) -> Explanation {
        if let Self::Virtual(composed) = self {
            return composed.explain(question).await;
        }
        let key = self.key().to_string();
        let mut held = policy_says(self, None, question).await;
        held.retain(|held| question.is_about(&held.version));
        let (answer, failure, outcome, shown) = match versions(self, None, question).await {
            Ok(shown) if !shown.is_empty() => (Answer::Found, None, Outcome::Answers, shown),
            Ok(_) if !held.is_empty() => (Answer::NotFound, None, Outcome::Held, Vec::new()),
            Ok(_) | Err(RepoError::NotFound) => (Answer::NotFound, None, Outcome::Absent, Vec::new()),
            Err(error) => (Answer::Failed, Some(error.to_string()), Outcome::Failed, Vec::new()),
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
            answered_by: if answer == Answer::Found { vec![key.clone()] } else { Vec::new() },
            failure,
            reserved: false,
            claimed_by: Vec::new(),
            members: vec![MemberSays { repository: key, private: None, outcome, why, shown, hidden: Vec::new(), held }],
            conflicts: Vec::new(),
        }
    }
}

impl VirtualRepository {
    /// The same of a virtual repository. Public members that the guard keeps out are looked up in their lists, and not
    /// asked for the name.
    async fn explain(self: &Arc<Self>, question: Question<'_>) -> Explanation {
        let (name, context) = (question.name, question.context);
        let view = View::whole(self);
        let answer = self.package(&view, name, context).await.map(|served| served.value);
        let claimants = match self.claims(context).await {
            Ok(claims) => self.claimants(name, &claims, context).await.ok(),
            Err(_) => None,
        };
        let findings = Findings { answer, claimants };
        let asked = self.members().iter().enumerate();
        let asked = asked.map(|(at, member)| self.member_says(&view, at, member, &findings, question));
        let members = join_all(asked).await;
        let key = |at: usize| self.members().get(at).map(|one| one.repository.key().to_string()).unwrap_or_default();
        let answered = members.iter().filter(|member| member.outcome == Outcome::Answers);
        let answered_by: Vec<String> = answered.map(|member| member.repository.clone()).collect();
        let (answer, failure) = match &findings.answer {
            Ok(found) if found.merged.shown().any(|version| question.is_about(version)) => (Answer::Found, None),
            Ok(_) | Err(RepoError::NotFound) => (Answer::NotFound, None),
            Err(error) => (Answer::Failed, Some(error.to_string())),
        };
        let conflicts = findings.merged().map(|merged| merged.conflicts.as_slice()).unwrap_or_default().iter();
        let conflicts =
            conflicts.filter(|conflict| question.is_about(&conflict.version)).map(|conflict| ConflictSays {
                version: conflict.version.to_string(),
                shown: key(conflict.winner),
                hidden: key(conflict.loser),
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

    async fn member_says(
        &self,
        view: &View,
        at: usize,
        member: &Member,
        findings: &Findings,
        question: Question<'_>,
    ) -> MemberSays {
        let says = |outcome: Outcome, why: String| MemberSays {
            repository: member.repository.key().to_string(),
            private: Some(member.private || findings.claims(at)),
            outcome,
            why,
            shown: Vec::new(),
            hidden: Vec::new(),
            held: Vec::new(),
        };
        let name = question.name.as_str();
        if !self.options.names.allows(name) || !member.names.allows(name) {
            return says(Outcome::Excluded, Outcome::Excluded.words(question).to_owned());
        }
        if let Some(outcome) = self.kept_out(at, member, findings, name) {
            let listed = self.listing(at, Kind::Names, view.below(at), question.context).await;
            let listed = match listed {
                Ok(served) if served.value.0.has(name) => "lists it, and",
                Ok(_) | Err(RepoError::NotFound) => "does not list it, and",
                Err(_) => "cannot tell whether it lists it, and",
            };
            return says(outcome, format!("{listed} {}", outcome.words(question)));
        }
        let has = match versions(&member.repository, view.below(at), question).await {
            Ok(has) => has,
            Err(RepoError::NotFound) if findings.claims(at) => {
                return says(Outcome::Absent, "claims the name, and has nothing of it to show".to_owned());
            }
            Err(RepoError::NotFound) => Vec::new(),
            Err(error) => return says(Outcome::Failed, error.to_string()),
        };
        let owned = |version: &String| findings.merged().is_some_and(|merged| merged.shows(version, at));
        let lost = |version: &String| {
            let conflicts = findings.merged().map(|merged| merged.conflicts.as_slice()).unwrap_or_default();
            conflicts.iter().any(|conflict| conflict.loser == at && *conflict.version == **version)
        };
        let mut held = policy_says(&member.repository, view.below(at), question).await;
        if let Ok(found) = &findings.answer {
            held.extend(self.held_of(found, at, question.name).into_iter().map(HeldSays::from));
        }
        held.retain(|held| question.is_about(&held.version));
        let is_held = |version: &String| held.iter().any(|held| held.version == *version);
        let (shown, hidden): (Vec<_>, Vec<_>) = has.into_iter().partition(owned);
        let outcome = match (&findings.answer, shown.is_empty(), hidden.is_empty()) {
            (_, false, _) => Outcome::Answers,
            (_, true, true) if !held.is_empty() => Outcome::Held,
            (_, true, true) => Outcome::Absent,
            (Ok(_), true, false) if hidden.iter().all(is_held) => Outcome::Held,
            (Err(_), true, false) => Outcome::Unheard,
            (Ok(_), true, false) if hidden.iter().all(lost) => Outcome::Conflict,
            (Ok(_), true, false) => Outcome::Behind,
        };
        MemberSays { shown, hidden, held, ..says(outcome, outcome.words(question).to_owned()) }
    }

    /// Why the guard does not hear a public member, where it does not.
    fn kept_out(&self, at: usize, member: &Member, findings: &Findings, name: &str) -> Option<Outcome> {
        // A private member that does not claim the name has nothing to be kept out.
        if member.private || findings.claims(at) {
            return None;
        }
        match &findings.claimants {
            None => Some(Outcome::Unheard),
            Some(claimants) if self.options.rules.order(name, claimants).contains(&at) => None,
            Some(_) if findings.is_claimed() => Some(Outcome::Claimed),
            Some(_) => Some(Outcome::Reserved),
        }
    }
}

/// What a repository's own policy holds back of a package.
async fn policy_says(repository: &Repository, below: Option<&View>, question: Question<'_>) -> Vec<HeldSays> {
    let (name, context) = (question.name, question.context);
    let held: Vec<(Box<str>, String)> = match (repository, below) {
        (Repository::Virtual(composed), Some(view)) => match composed.package(view, name, context).await {
            Ok(served) => {
                let members = 0..composed.members().len();
                members.flat_map(|at| composed.held_of(&served.value, at, name)).collect()
            }
            Err(_) => Vec::new(),
        },
        (Repository::Remote(remote), _) => remote.held_of(name, context.deadline).await.unwrap_or_default(),
        (Repository::Virtual(_) | Repository::Local(_), _) => Vec::new(),
    };
    let mut held: Vec<HeldSays> = held.into_iter().map(HeldSays::from).collect();
    held.sort_by_cached_key(|held| version::order(&held.version));
    held
}

impl From<(Box<str>, String)> for HeldSays {
    fn from((version, why): (Box<str>, String)) -> Self {
        Self { version: version.into(), why }
    }
}

/// The versions that a repository has of what is asked about, ascending; whoever asks.
async fn versions(
    repository: &Repository,
    below: Option<&View>,
    question: Question<'_>,
) -> Result<Vec<String>, RepoError> {
    let resource = RegistryResource::Package(question.name.clone());
    let signed = repository.whole(&resource, below, question.context).await?.value.0;
    let decoded = question.tasks.spawn_blocking(move || {
        let index = Index::decode(&resource, &payload(&signed, &resource)?)
            .map_err(|source| CacheError::untrusted(VerifyError::Schema { resource, source }))?;
        let releases = index.as_package().map(|package| package.releases.as_slice()).unwrap_or_default();
        Ok::<_, CacheError>(releases.iter().map(|release| release.version.to_string()).collect::<Vec<String>>())
    });
    let mut versions = decoded.await.map_err(|_| CacheError::internal(Internal::Task))??;
    versions.retain(|version| question.is_about(version));
    versions.sort_by_cached_key(|version| version::order(version));
    Ok(versions)
}
