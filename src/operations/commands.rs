//! Commands of administrators about accounts, local repositories and policies, from the terminal or over the API.

mod json_commands;

pub use json_commands::{Named, named};

use serde::{Deserialize, Serialize};

use super::locked_releases::LockedReleases;

/// A command. As JSON it is an object with one key, the name of the command (`user-add`), whose value contains the
/// fields. The enum variants below are not visible in JSON. docs/OPERATIONS.md lists which fields are optional. An
/// unknown field is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// About users.
    User(UserCommand),
    /// About API keys.
    Key(KeyCommand),
    /// About organizations.
    Organization(OrganizationCommand),
    /// About grants of read access.
    Grant(GrantCommand),
    /// About releases of local repositories, and claims to package names.
    Release(ReleaseCommand),
    /// About policies, pins and waivers.
    Policy(PolicyCommand),
    /// Read-only queries.
    Inspect(InspectCommand),
}

impl Command {
    /// Whether the command only reads data of the store, so that its result is always empty on a new store. Commands
    /// that may send requests to an upstream do not count.
    pub fn reads_only_the_store(&self) -> bool {
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

/// A command about users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum UserCommand {
    /// Create a user.
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
    /// Set a password; `None` removes it.
    #[serde(rename = "user-password")]
    Password { name: String, password: Option<String> },
    /// Activate or deactivate a user.
    #[serde(rename = "user-active")]
    Active { name: String, active: bool },
    /// Grant or remove administrator rights.
    #[serde(rename = "user-admin")]
    Admin { name: String, admin: bool },
    /// Start the setup of a second factor: returns its secret; it is off until it is confirmed.
    #[serde(rename = "user-totp")]
    Totp { name: String },
    /// Confirm the second factor with a code: turns it on and returns recovery codes.
    #[serde(rename = "user-totp-confirm")]
    TotpConfirm { name: String, code: String },
    /// Turn off the second factor of a user.
    #[serde(rename = "user-totp-off")]
    TotpOff { name: String },
}

/// A command about API keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum KeyCommand {
    /// Create a key for a user or an organization. A permission has the form `DOMAIN` or `DOMAIN:RESOURCE`.
    #[serde(rename = "key-create")]
    Create { owner: Account, name: String, permissions: Vec<String>, days: Option<u64> },
    /// List the keys of a user or an organization.
    #[serde(rename = "key-list")]
    List { owner: Account },
    /// Revoke a key and all keys that were created with it.
    #[serde(rename = "key-revoke")]
    Revoke { owner: Account, name: String },
}

/// A command about organizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum OrganizationCommand {
    /// Create an organization.
    #[serde(rename = "org-add")]
    Add { name: String, admin: Option<String> },
    /// List all organizations and their members.
    #[serde(rename = "org-list")]
    List,
    /// Add a member, or change the role of a member.
    #[serde(rename = "org-member")]
    Member { organization: String, user: String, role: String },
    /// Remove a member.
    #[serde(rename = "org-remove-member")]
    RemoveMember { organization: String, user: String },
}

/// A command about grants of read access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum GrantCommand {
    /// Grant read access to a repository, or to the packages of it that match a pattern.
    #[serde(rename = "grant-add")]
    Add {
        owner: Account,
        repository: String,
        #[serde(default = "everything")]
        pattern: String,
    },
    /// Revoke a grant.
    #[serde(rename = "grant-remove")]
    Remove {
        owner: Account,
        repository: String,
        #[serde(default = "everything")]
        pattern: String,
    },
    /// List all grants.
    #[serde(rename = "grant-list")]
    List,
}

/// A command about releases of local repositories, and claims to package names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ReleaseCommand {
    /// Permanently remove releases of a local repository.
    #[serde(rename = "release-remove")]
    Remove { repository: String, package: String, version: Option<String>, reason: String },
    /// Allow a reverted version to be published again with different content.
    #[serde(rename = "release-allow")]
    Allow { repository: String, package: String, version: String },
    /// Remove the claim of a repository to a package name, so that other repositories can serve the name.
    #[serde(rename = "release-forget")]
    Forget { repository: String, package: String },
    /// Rebuild the database of a local repository from its files.
    #[serde(rename = "reindex")]
    Reindex { repository: String },
}

/// A command about policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PolicyCommand {
    /// Protect the releases in lock files from policy changes.
    #[serde(rename = "pin")]
    Pin { repository: String, releases: LockedReleases, until: Option<String>, reason: String },
    /// Remove pins.
    #[serde(rename = "unpin")]
    Unpin { repository: String, releases: LockedReleases },
    /// Exempt releases from a policy until a given time, except from its deny rules.
    #[serde(rename = "policy-waive")]
    Waive { repository: String, package: String, requirement: Option<String>, until: String, reason: String },
    /// List active waivers.
    #[serde(rename = "policy-waivers")]
    Waivers { repository: String },
    /// End a waiver before it expires.
    #[serde(rename = "policy-withdraw")]
    Withdraw { repository: String, number: i64 },
    /// Explain which releases of a package a policy holds, and why.
    #[serde(rename = "policy-why")]
    Why { repository: String, package: String, version: Option<String> },
    /// Report which releases in lock files a policy holds.
    #[serde(rename = "policy-test")]
    Test { repository: String, releases: LockedReleases },
    /// Report requested releases that a policy holds, or would hold in mode `enforce`.
    #[serde(rename = "policy-report")]
    Report {
        repository: String,
        #[serde(default)]
        by: ReportBy,
    },
}

/// A read-only command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum InspectCommand {
    /// Explain which repository serves a package, and why; with `json` as JSON instead of text.
    #[serde(rename = "explain")]
    Explain {
        repository: String,
        package: String,
        version: Option<String>,
        #[serde(default)]
        json: bool,
    },
    /// Print the lines that make a client work with a repository. `client`, `role` and `client_version` have the values of
    /// the command line.
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
    /// Show disk usage and cache hit rates of one repository or all.
    #[serde(rename = "stats")]
    Stats { repository: Option<String> },
    /// Show who downloaded a package, or one release of it.
    #[serde(rename = "who-has")]
    WhoHas { package: String, version: Option<String>, repository: Option<String> },
    /// Show the newest lines of the audit log, or those about a repository or an account.
    #[serde(rename = "audit")]
    Audit {
        repository: Option<String>,
        account: Option<Account>,
        #[serde(default = "first")]
        page: u32,
    },
}

/// The pattern that matches all packages.
fn everything() -> String {
    "*".to_owned()
}

fn first() -> u32 {
    1
}

/// How a report groups requests into lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportBy {
    /// One line for each release.
    #[default]
    Package,
    /// One line for each client.
    Caller,
}

/// An account that owns a key or a grant. As JSON `{"user": NAME}` or `{"organization": NAME}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// The user of this name.
    User(String),
    /// The organization of this name.
    Organization(String),
}
