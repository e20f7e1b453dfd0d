//! The audit log: who changed what, and security events.

use std::net::IpAddr;

use super::engine::{Executor, Row, sql};
use super::owner::Line;
use super::{DatabaseError, State, StateError};
use crate::clock::Timestamp;

/// The longest stored user agent, as on hex.pm.
const AGENT: usize = 255;

/// The actor of an action, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// `user:alice`, `org:acme`, or `console` for a command on this machine; `None` for the program itself.
    pub actor: Option<String>,
    /// The credential: `password`, `key:NAME` (also for a token that was exchanged for the key), `token:ID`.
    pub credential: Option<String>,
    /// The row id of the API key behind the credential: the key itself, or the key that was exchanged for the token.
    /// `None` for entries that were read from the log.
    pub key: Option<i64>,
    /// The address of the client.
    pub address: Option<IpAddr>,
    /// The `User-Agent` of the client.
    pub agent: Option<String>,
}

impl Actor {
    /// The actor of a command on this machine.
    pub fn console() -> Self {
        Self { actor: Some("console".to_owned()), ..Self::default() }
    }
}

/// The action of an entry. The words are stored, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The upstream changed the checksum of a release, and the change was accepted.
    ChecksumChanged,
    /// The upstream changed the checksum of a release, and the change was refused.
    ChecksumRefused,
    /// The upstream removed a package.
    PackageRemoved,
    /// The upstream's index of a package lost releases.
    ReleasesRemoved,
    /// An upstream index was older than the last one.
    RolledBack,
    /// An administrator purged cached entries.
    Purged,
    /// A user was created.
    UserCreate,
    /// A user's data were changed.
    UserUpdate,
    /// A user was deactivated.
    UserDeactivate,
    /// A user was reactivated.
    UserActivate,
    /// A password was set.
    PasswordUpdate,
    /// A second factor was enabled.
    SecurityUpdate,
    /// A second factor was disabled.
    SecurityDisable,
    /// A recovery code was used.
    SecurityRecovery,
    /// A key was created.
    KeyGenerate,
    /// A key was revoked.
    KeyRemove,
    /// An organization was created.
    OrganizationCreate,
    /// A user became a member of an organization.
    MemberAdd,
    /// A user is no longer a member of an organization.
    MemberRemove,
    /// A member of an organization got another role.
    MemberRole,
    /// A client was granted access by OAuth.
    SessionCreate,
    /// A session of a client was ended.
    SessionRevoke,
    /// Too many attempts with wrong credentials: further attempts are refused without a check.
    AuthFailed,
    /// A release was published or replaced.
    ReleasePublish,
    /// A release was reverted by its publisher.
    ReleaseRevert,
    /// A release was removed by an administrator.
    ReleaseRemove,
    /// A release was restored from its files.
    ReleaseRestore,
    /// A removed version can be published again.
    TombstoneClear,
    /// A repository gave up its claim to a name.
    NameForget,
    /// A release was retired.
    ReleaseRetire,
    /// The retirement of a release was removed.
    ReleaseUnretire,
    /// Documentation was published.
    DocsPublish,
    /// Documentation was removed.
    DocsRevert,
    /// An owner was added to a package.
    OwnerAdd,
    /// An owner's level was changed.
    OwnerUpdate,
    /// A package was transferred to one new owner.
    OwnerTransfer,
    /// An owner was removed from a package.
    OwnerRemove,
    /// Read access was granted.
    GrantAdd,
    /// A grant of read access was removed.
    GrantRemove,
    /// A release was requested that a policy holds.
    PolicyDenied,
    /// A release was delivered that a policy would hold if it were enforced.
    PolicyWouldDeny,
    /// Releases in lock files were pinned.
    PolicyPin,
    /// Pins were removed.
    PolicyUnpin,
    /// A bundle was imported.
    BundleImport,
    /// A policy was waived for some releases.
    PolicyWaive,
    /// A waiver was withdrawn before its end.
    PolicyWithdraw,
}

impl Action {
    /// The stored word of the action.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChecksumChanged => "upstream.checksum_changed",
            Self::ChecksumRefused => "upstream.checksum_refused",
            Self::PackageRemoved => "upstream.package_removed",
            Self::ReleasesRemoved => "upstream.releases_removed",
            Self::RolledBack => "upstream.rolled_back",
            Self::Purged => "cache.purged",
            Self::UserCreate => "user.create",
            Self::UserUpdate => "user.update",
            Self::UserDeactivate => "user.deactivate",
            Self::UserActivate => "user.activate",
            Self::PasswordUpdate => "password.update",
            Self::SecurityUpdate => "security.update",
            Self::SecurityDisable => "security.disable",
            Self::SecurityRecovery => "security.recovery_code_use",
            Self::KeyGenerate => "key.generate",
            Self::KeyRemove => "key.remove",
            Self::OrganizationCreate => "organization.create",
            Self::MemberAdd => "organization.member.add",
            Self::MemberRemove => "organization.member.remove",
            Self::MemberRole => "organization.member.role",
            Self::SessionCreate => "session.create",
            Self::SessionRevoke => "session.revoke",
            Self::AuthFailed => "auth.failed",
            Self::ReleasePublish => "release.publish",
            Self::ReleaseRevert => "release.revert",
            Self::ReleaseRemove => "release.remove",
            Self::ReleaseRestore => "release.restore",
            Self::TombstoneClear => "tombstone.clear",
            Self::NameForget => "name.forget",
            Self::ReleaseRetire => "release.retire",
            Self::ReleaseUnretire => "release.unretire",
            Self::DocsPublish => "docs.publish",
            Self::DocsRevert => "docs.revert",
            Self::OwnerAdd => "owner.add",
            Self::OwnerUpdate => "owner.update",
            Self::OwnerTransfer => "owner.transfer",
            Self::OwnerRemove => "owner.remove",
            Self::GrantAdd => "grant.add",
            Self::GrantRemove => "grant.remove",
            Self::PolicyDenied => "policy.denied",
            Self::PolicyWouldDeny => "policy.would_deny",
            Self::PolicyPin => "policy.pin",
            Self::PolicyUnpin => "policy.unpin",
            Self::BundleImport => "bundle.import",
            Self::PolicyWaive => "policy.waive",
            Self::PolicyWithdraw => "policy.withdraw",
        }
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The time of the action.
    pub at: Timestamp,
    /// The stored word of the action.
    pub action: String,
    /// The repository key; empty for entries about accounts.
    pub repository: String,
    /// The account that the entry is about, if any: `user:alice`, `org:acme`.
    pub subject: Option<String>,
    /// The package that the entry is about, if any.
    pub package: Option<String>,
    /// The version that the entry is about, if any.
    pub version: Option<String>,
    /// The details in words.
    pub detail: String,
    /// The actor.
    pub by: Actor,
}

/// The columns of an [`Entry`], in the order in which [`entry`] reads them.
const COLUMNS: &str = "at, action, repository, package, version, detail, actor, credential, address, agent, subject";

impl State {
    /// Adds an entry for an action of the program itself.
    pub async fn audit(
        &self,
        at: Timestamp,
        action: Action,
        subject: (&str, Option<&str>, Option<&str>),
        detail: &str,
    ) -> Result<(), StateError> {
        self.audit_by(at, action, subject, detail, &Actor::default()).await
    }

    /// Adds an entry to the audit log.
    pub async fn audit_by(
        &self,
        at: Timestamp,
        action: Action,
        subject: (&str, Option<&str>, Option<&str>),
        detail: &str,
        by: &Actor,
    ) -> Result<(), StateError> {
        let _one = self.writer.lock().await;
        let inserted = insert(&self.pool, at, action, subject, detail, by).await;
        inserted.map_err(StateError::query("write the audit log"))
    }

    /// The newest entries about a repository, newest first.
    pub async fn audit_log(&self, repository: &str, limit: u32) -> Result<Vec<Entry>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM audit WHERE repository = $1 ORDER BY id DESC LIMIT $2");
        let rows = sql(query)
            .bind(repository)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::query("read the audit log"))?;
        rows.iter().map(entry).collect::<Result<_, DatabaseError>>().map_err(StateError::query("read the audit log"))
    }
}

/// The number of entries per page.
pub const PAGE: u32 = 100;

impl State {
    /// A page of the actions of an account and of the actions on it, newest first. `account` is `user:alice` or
    /// `org:acme`; pages are counted from 1.
    pub async fn audit_of_account(&self, account: &str, page: u32) -> Result<Vec<Entry>, StateError> {
        self.audit_page("subject = $3 OR actor = $3", &[account], page).await
    }

    /// A page of the actions on a repository, newest first.
    pub async fn audit_of_repository(&self, repository: &str, page: u32) -> Result<Vec<Entry>, StateError> {
        self.audit_page("repository = $3", &[repository], page).await
    }

    /// A page of all actions, newest first.
    pub async fn audit_of_everything(&self, page: u32) -> Result<Vec<Entry>, StateError> {
        self.audit_page("1 = 1", &[], page).await
    }

    /// A page of the actions on a package, newest first.
    pub async fn audit_of_package(&self, repository: &str, package: &str, page: u32) -> Result<Vec<Entry>, StateError> {
        self.audit_page("repository = $3 AND package = $4", &[repository, package], page).await
    }

    /// The placeholders of `condition` start at `$3`.
    async fn audit_page(&self, condition: &str, values: &[&str], page: u32) -> Result<Vec<Entry>, StateError> {
        let query = format!("SELECT {COLUMNS} FROM audit WHERE {condition} ORDER BY id DESC LIMIT $1 OFFSET $2");
        let query = sql(query).bind(PAGE).bind(i64::from(page.saturating_sub(1)) * i64::from(PAGE));
        let query = values.iter().fold(query, |query, value| query.bind(*value));
        let rows = query.fetch_all(&self.pool).await.map_err(StateError::query("read the audit log"))?;
        rows.iter().map(entry).collect::<Result<_, DatabaseError>>().map_err(StateError::query("read the audit log"))
    }
}

/// Adds an entry about an account; see [`insert`].
pub(super) async fn insert_account(
    on: impl Into<Executor<'_>>,
    at: Timestamp,
    (action, subject, detail): Line<'_>,
    by: &Actor,
) -> Result<(), DatabaseError> {
    add(on, at, action, (Some(subject), "", None, None), detail, by).await
}

/// Adds an entry in a transaction, so that the action and its entry are written together or not at all.
pub(super) async fn insert(
    on: impl Into<Executor<'_>>,
    at: Timestamp,
    action: Action,
    (repository, package, version): (&str, Option<&str>, Option<&str>),
    detail: &str,
    by: &Actor,
) -> Result<(), DatabaseError> {
    add(on, at, action, (None, repository, package, version), detail, by).await
}

async fn add(
    on: impl Into<Executor<'_>>,
    at: Timestamp,
    action: Action,
    (subject, repository, package, version): (Option<&str>, &str, Option<&str>, Option<&str>),
    detail: &str,
    by: &Actor,
) -> Result<(), DatabaseError> {
    sql(
        "INSERT INTO audit (at, action, repository, package, version, detail, actor, credential, address, agent, subject) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(sql_time(at))
    .bind(action.as_str())
    .bind(repository)
    .bind(package)
    .bind(version)
    .bind(detail)
    .bind(by.actor.as_deref())
    .bind(by.credential.as_deref())
    .bind(by.address.map(|address| address.to_string()))
    .bind(by.agent.as_deref().map(|agent| agent.chars().take(AGENT).collect::<String>()))
    .bind(subject)
    .execute(on)
    .await
    .map(drop)
}

fn entry(row: &Row) -> Result<Entry, DatabaseError> {
    Ok(Entry {
        at: from_sql_time(row.try_get(0)?),
        action: row.try_get(1)?,
        repository: row.try_get(2)?,
        package: row.try_get(3)?,
        version: row.try_get(4)?,
        detail: row.try_get(5)?,
        by: Actor {
            actor: row.try_get(6)?,
            credential: row.try_get(7)?,
            key: None,
            address: row.try_get::<Option<String>>(8)?.and_then(|text| text.parse().ok()),
            agent: row.try_get(9)?,
        },
        subject: row.try_get(10)?,
    })
}

/// SQL integers are signed.
pub(super) fn sql_time(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_sql_time(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}
