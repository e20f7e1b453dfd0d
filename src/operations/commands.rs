//! What an administrator orders about accounts, local repositories and policies, from the terminal or over the API.

use serde::{Deserialize, Serialize};

use super::locked::LockedReleases;

/// An order. The sentences that come back are for whoever gave it. As JSON it is an object with its name
/// (`user-add`), which holds its fields; what may be left out is so in docs/OPERATIONS.md, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Make a user.
    UserAdd {
        name: String,
        email: Option<String>,
        full_name: Option<String>,
        password: Option<String>,
        #[serde(default)]
        admin: bool,
    },
    /// Confirm the e-mail address that a user gave at sign-up, or set another one.
    UserEmail { name: String, email: Option<String> },
    /// List all users.
    UserList,
    /// Set a password; `None` takes it away.
    UserPassword { name: String, password: Option<String> },
    /// Shut a user out, or let them in again.
    UserActive { name: String, active: bool },
    /// Make a user an administrator, or take that away.
    UserAdmin { name: String, admin: bool },
    /// Begin with a second factor of a user: its secret is the answer, and it is off until it is confirmed.
    UserTotp { name: String },
    /// Turn the second factor on by a code of it: recovery codes are the answer.
    UserTotpConfirm { name: String, code: String },
    /// Turn a second factor off, for who has lost it.
    UserTotpOff { name: String },
    /// Make a key of a user or an organization; permissions are written `DOMAIN` or `DOMAIN:RESOURCE`.
    KeyCreate { owner: Account, name: String, permissions: Vec<String>, days: Option<u64> },
    /// List the keys of a user or an organization.
    KeyList { owner: Account },
    /// Revoke a key.
    KeyRevoke { owner: Account, name: String },
    /// Make an organization.
    OrgAdd { name: String, admin: Option<String> },
    /// List all organizations and their members.
    OrgList,
    /// Make a user a member, or change the role.
    OrgMember { organization: String, user: String, role: String },
    /// End a membership.
    OrgRemoveMember { organization: String, user: String },
    /// Let somebody read a repository, or the packages of it that match.
    GrantAdd {
        owner: Account,
        repository: String,
        #[serde(default = "everything")]
        pattern: String,
    },
    /// Take that away.
    GrantRemove {
        owner: Account,
        repository: String,
        #[serde(default = "everything")]
        pattern: String,
    },
    /// List all such rights.
    GrantList,
    /// Remove releases of a local repository for good.
    ReleaseRemove { repository: String, package: String, version: Option<String>, reason: String },
    /// Let a version that was reverted be published again with other content.
    ReleaseAllow { repository: String, package: String, version: String },
    /// Give a name back of which a repository has no release any more: others may answer for it.
    ReleaseForget { repository: String, package: String },
    /// Make the database of a local repository anew from its files.
    Reindex { repository: String },
    /// Say which member of a repository answers a name, and why; `json`: not in lines for people.
    Explain {
        repository: String,
        package: String,
        version: Option<String>,
        #[serde(default)]
        json: bool,
    },
    /// Keep the releases that lock files name to be had, whatever a policy says later.
    Pin { repository: String, releases: LockedReleases, until: Option<String>, reason: String },
    /// Take pins back.
    Unpin { repository: String, releases: LockedReleases },
    /// How much room a repository takes, or all of them, and how often it was of use.
    Stats { repository: Option<String> },
    /// Let releases pass a policy until then, unless it denies them.
    PolicyWaive { repository: String, package: String, requirement: Option<String>, until: String, reason: String },
    /// The waivers in force.
    PolicyWaivers { repository: String },
    /// End a waiver before its time.
    PolicyWithdraw { repository: String, number: i64 },
    /// What a policy says of a package or a release, and why.
    PolicyWhy { repository: String, package: String, version: Option<String> },
    /// What a policy says of the releases that lock files name.
    PolicyTest { repository: String, releases: LockedReleases },
    /// What was asked for that a policy holds, or would hold.
    PolicyReport {
        repository: String,
        #[serde(default)]
        by: ReportBy,
    },
    /// Who was delivered a package, or one release of it.
    WhoHas { package: String, version: Option<String>, repository: Option<String> },
    /// The newest lines of the audit log about a repository or an account.
    Audit {
        repository: Option<String>,
        account: Option<Account>,
        #[serde(default = "first")]
        page: u32,
    },
}

/// The pattern of all packages.
fn everything() -> String {
    "*".to_owned()
}

fn first() -> u32 {
    1
}

/// What a report has a line for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportBy {
    /// Each release.
    #[default]
    Package,
    /// Everybody who asked.
    Caller,
}

/// Whose something is. As JSON `{"user": NAME}` or `{"organization": NAME}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// A user's, by name.
    User(String),
    /// An organization's, by name.
    Organization(String),
}

/// What came of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was asked for, line by line.
    pub lines: Vec<String>,
    /// What else is to be said.
    pub remarks: Vec<String>,
    /// Whether a part of it failed, which the remarks say.
    pub failed: bool,
}

impl Outcome {
    /// One line.
    pub fn line(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], ..Self::default() }
    }

    /// One remark.
    pub fn remark(remark: impl Into<String>) -> Self {
        Self { remarks: vec![remark.into()], ..Self::default() }
    }
}
