//! The content of an explanation, which is also its JSON format.

use serde::Serialize;

use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::repository::RequestContext;
use crate::shutdown::Tasks;

/// The question that an explanation answers.
#[derive(Clone, Copy, Debug)]
pub struct ExplainQuestion<'a> {
    /// The package.
    pub name: &'a PackageName,
    /// The release, if the question is about a single one.
    pub version: Option<&'a ReleaseVersion>,
    /// The deadline and the client of the request.
    pub context: RequestContext,
    /// The tasks in which lists are decoded.
    pub tasks: &'a Tasks,
}

impl ExplainQuestion<'_> {
    /// Whether the question is about this version.
    pub(super) fn is_about(&self, version: &str) -> bool {
        self.version.is_none_or(|wanted| wanted.as_str() == version)
    }
}

/// The answer of a repository for a package or one of its releases, and the part of each member in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Key of the repository.
    pub repository: String,
    /// The package.
    pub package: String,
    /// The release, if the question was about one.
    pub version: Option<String>,
    /// The answer.
    pub answer: ExplainedAnswer,
    /// Keys of the members whose releases are shown, in order of priority.
    pub answered_by: Vec<String>,
    /// The error, if there is no answer.
    pub failure: Option<String>,
    /// Whether the name is in `reserve`.
    pub reserved: bool,
    /// Keys of the members that claim the name.
    pub claimed_by: Vec<String>,
    /// Each member, in order of priority; a repository without members has one entry for itself.
    pub members: Vec<MemberSays>,
    /// Releases that are hidden because another member has the same version.
    pub conflicts: Vec<ConflictReport>,
}

/// The kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedAnswer {
    /// The package or release was found.
    Found,
    /// It does not exist.
    NotFound,
    /// An error.
    Failed,
}

/// The part of a member in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberSays {
    /// Key of the member.
    pub repository: String,
    /// Whether its names are private here; omitted for a repository without members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    /// What happened to its releases.
    pub outcome: MemberOutcome,
    /// The same in words.
    pub why: String,
    /// Its versions that are shown, ascending.
    pub shown: Vec<String>,
    /// Its versions that are hidden, ascending. Members that are not asked have none here, because their versions are
    /// unknown.
    pub hidden: Vec<String>,
    /// Its versions that are held by policy, with the reason: by the member's own policy, or that of the repository in
    /// question.
    pub held: Vec<HeldReport>,
    /// Its versions that are exempt from such a policy, with the reason: delivered, pinned, waived or overridden.
    /// Omitted if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<HeldReport>,
}

/// A release that is held by policy, or exempt from a rule that would hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldReport {
    /// The version.
    pub version: String,
    /// The policy, the rule and the end of the hold; or the exemption.
    pub why: String,
}

/// What happened to a member's releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberOutcome {
    /// They are shown.
    Answers,
    /// It is not asked: a private member claims the name.
    Claimed,
    /// It is not asked: the name is reserved.
    Reserved,
    /// It is not asked: it is unknown whether a private member claims the name.
    Unheard,
    /// `include` or `exclude` rule the name out.
    Excluded,
    /// A member of higher priority answers, or owns the version.
    Behind,
    /// A member of higher priority has another release of the same version.
    Conflict,
    /// They are held by policy.
    Held,
    /// It does not have the package or release.
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
