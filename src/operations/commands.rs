//! What an administrator orders about accounts, local repositories and policies, from the terminal or over the API.

mod flat;

pub use flat::{Named, named};

use serde::{Deserialize, Serialize};

use super::locked_releases::LockedReleases;

/// An order. As JSON it is an object with its name (`user-add`), which holds its fields: the families of orders are not seen
/// there. What may be left out is so in docs/OPERATIONS.md, too. A field that an order does not have is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// About users.
    User(UserCommand),
    /// About API keys.
    Key(KeyCommand),
    /// About organizations.
    Organization(OrganizationCommand),
    /// About rights to read.
    Grant(GrantCommand),
    /// About releases of local repositories, and names of packages.
    Release(ReleaseCommand),
    /// About what a policy holds.
    Policy(PolicyCommand),
    /// About what is here and was done; it changes nothing.
    Inspect(InspectCommand),
}

impl Command {
    /// Whether it only tells of what a store has, so that a new store could tell nothing. Orders that may ask an upstream
    /// are not among them.
    pub fn tells_of_the_store(&self) -> bool {
        match self {
            Self::User(order) => matches!(order, UserCommand::List),
            Self::Key(order) => matches!(order, KeyCommand::List { .. }),
            Self::Organization(order) => matches!(order, OrganizationCommand::List),
            Self::Grant(order) => matches!(order, GrantCommand::List),
            Self::Policy(order) => matches!(order, PolicyCommand::Waivers { .. } | PolicyCommand::Report { .. }),
            Self::Inspect(order) => !matches!(order, InspectCommand::Explain { .. }),
            Self::Release(_) => false,
        }
    }
}

/// An order about users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum UserCommand {
    /// Make a user.
    #[serde(rename = "user-add")]
    Add {
        name: String,
        email: Option<String>,
        full_name: Option<String>,
        password: Option<String>,
        #[serde(default)]
        admin: bool,
    },
    /// Confirm the e-mail address that a user gave at sign-up, or set another one.
    #[serde(rename = "user-email")]
    Email { name: String, email: Option<String> },
    /// List all users.
    #[serde(rename = "user-list")]
    List,
    /// Set a password; `None` takes it away.
    #[serde(rename = "user-password")]
    Password { name: String, password: Option<String> },
    /// Shut a user out, or let them in again.
    #[serde(rename = "user-active")]
    Active { name: String, active: bool },
    /// Make a user an administrator, or take that away.
    #[serde(rename = "user-admin")]
    Admin { name: String, admin: bool },
    /// Begin with a second factor of a user: its secret is the answer, and it is off until it is confirmed.
    #[serde(rename = "user-totp")]
    Totp { name: String },
    /// Turn the second factor on by a code of it: recovery codes are the answer.
    #[serde(rename = "user-totp-confirm")]
    TotpConfirm { name: String, code: String },
    /// Turn a second factor off, for who has lost it.
    #[serde(rename = "user-totp-off")]
    TotpOff { name: String },
}

/// An order about API keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum KeyCommand {
    /// Make a key of a user or an organization; permissions are written `DOMAIN` or `DOMAIN:RESOURCE`.
    #[serde(rename = "key-create")]
    Create { owner: Account, name: String, permissions: Vec<String>, days: Option<u64> },
    /// List the keys of a user or an organization.
    #[serde(rename = "key-list")]
    List { owner: Account },
    /// Revoke a key.
    #[serde(rename = "key-revoke")]
    Revoke { owner: Account, name: String },
}

/// An order about organizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum OrganizationCommand {
    /// Make an organization.
    #[serde(rename = "org-add")]
    Add { name: String, admin: Option<String> },
    /// List all organizations and their members.
    #[serde(rename = "org-list")]
    List,
    /// Make a user a member, or change the role.
    #[serde(rename = "org-member")]
    Member { organization: String, user: String, role: String },
    /// End a membership.
    #[serde(rename = "org-remove-member")]
    RemoveMember { organization: String, user: String },
}

/// An order about rights to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum GrantCommand {
    /// Let somebody read a repository, or the packages of it that match.
    #[serde(rename = "grant-add")]
    Add {
        owner: Account,
        repository: String,
        #[serde(default = "everything")]
        pattern: String,
    },
    /// Take that away.
    #[serde(rename = "grant-remove")]
    Remove {
        owner: Account,
        repository: String,
        #[serde(default = "everything")]
        pattern: String,
    },
    /// List all such rights.
    #[serde(rename = "grant-list")]
    List,
}

/// An order about releases of local repositories, and names of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ReleaseCommand {
    /// Remove releases of a local repository for good.
    #[serde(rename = "release-remove")]
    Remove { repository: String, package: String, version: Option<String>, reason: String },
    /// Let a version that was reverted be published again with other content.
    #[serde(rename = "release-allow")]
    Allow { repository: String, package: String, version: String },
    /// Give a name back of which a repository has no release any more: others may answer for it.
    #[serde(rename = "release-forget")]
    Forget { repository: String, package: String },
    /// Make the database of a local repository anew from its files.
    #[serde(rename = "reindex")]
    Reindex { repository: String },
}

/// An order about what a policy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PolicyCommand {
    /// Keep the releases that lock files name to be had, whatever a policy says later.
    #[serde(rename = "pin")]
    Pin { repository: String, releases: LockedReleases, until: Option<String>, reason: String },
    /// Take pins back.
    #[serde(rename = "unpin")]
    Unpin { repository: String, releases: LockedReleases },
    /// Let releases pass a policy until then, unless it denies them.
    #[serde(rename = "policy-waive")]
    Waive { repository: String, package: String, requirement: Option<String>, until: String, reason: String },
    /// The waivers in force.
    #[serde(rename = "policy-waivers")]
    Waivers { repository: String },
    /// End a waiver before its time.
    #[serde(rename = "policy-withdraw")]
    Withdraw { repository: String, number: i64 },
    /// What a policy says of a package or a release, and why.
    #[serde(rename = "policy-why")]
    Why { repository: String, package: String, version: Option<String> },
    /// What a policy says of the releases that lock files name.
    #[serde(rename = "policy-test")]
    Test { repository: String, releases: LockedReleases },
    /// What was asked for that a policy holds, or would hold.
    #[serde(rename = "policy-report")]
    Report {
        repository: String,
        #[serde(default)]
        by: ReportBy,
    },
}

/// An order that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum InspectCommand {
    /// Say which member of a repository answers a name, and why; `json`: not in lines for people.
    #[serde(rename = "explain")]
    Explain {
        repository: String,
        package: String,
        version: Option<String>,
        #[serde(default)]
        json: bool,
    },
    /// The lines that make a client work with a repository; `client`, `role` and `client_version` as the command line takes them.
    #[serde(rename = "client-setup")]
    ClientSetup {
        client: String,
        repository: String,
        user: Option<String>,
        role: Option<String>,
        client_version: Option<String>,
        #[serde(default)]
        json: bool,
    },
    /// How much room a repository takes, or all of them, and how often it was of use.
    #[serde(rename = "stats")]
    Stats { repository: Option<String> },
    /// Who was delivered a package, or one release of it.
    #[serde(rename = "who-has")]
    WhoHas { package: String, version: Option<String>, repository: Option<String> },
    /// The newest lines of the audit log about a repository or an account.
    #[serde(rename = "audit")]
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
