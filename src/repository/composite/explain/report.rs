//! What an explanation says: the shape of its JSON.

use serde::Serialize;

use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::repository::RequestContext;
use crate::shutdown::Tasks;

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct ExplainQuestion<'a> {
    /// The package.
    pub name: &'a PackageName,
    /// A release of it, where only that one is asked about.
    pub version: Option<&'a ReleaseVersion>,
    /// Until when, and for whom.
    pub context: RequestContext,
    /// Where lists are taken apart.
    pub tasks: &'a Tasks,
}

impl ExplainQuestion<'_> {
    /// Whether it is about a version.
    pub(super) fn is_about(&self, version: &str) -> bool {
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
    pub answer: ExplainedAnswer,
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
    pub conflicts: Vec<ConflictReport>,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedAnswer {
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
    pub outcome: MemberOutcome,
    /// The same as words for people.
    pub why: String,
    /// Its versions that are shown, ascending.
    pub shown: Vec<String>,
    /// Its versions that are not, ascending. What the guard keeps out is not asked for, so its versions are not known.
    pub hidden: Vec<String>,
    /// Why a policy holds versions of it back: the member's own, or that of the repository that is asked.
    pub held: Vec<HeldReport>,
    /// Why versions of it are exempt from such a policy: delivered, pinned, waived or by an override. Left out where none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<HeldReport>,
}

/// A policy holds a release back, or does not, though a rule may hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldReport {
    /// The version.
    pub version: String,
    /// By which policy and rule, and until when; or by which exemption.
    pub why: String,
}

/// What became of what a member has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberOutcome {
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
    /// A member of higher priority comes first: it answers, or the version belongs to it.
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
pub struct ConflictReport {
    /// The version.
    pub version: String,
    /// Key of the member whose release is shown.
    pub shown: String,
    /// Key of the member whose release is not.
    pub hidden: String,
}

impl From<(Box<str>, String)> for HeldReport {
    fn from((version, why): (Box<str>, String)) -> Self {
        Self { version: version.into(), why }
    }
}
