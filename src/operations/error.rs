//! Errors of commands and jobs, and who can correct them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::job_exclusion::JobConflict;
use super::signing_keys::SigningKeyError;
use crate::auth::{AuthError, ManageError};
use crate::cache::CacheError;
use crate::hex::checksum::ChecksumError;
use crate::hex::name::{NameError, PackageName};
use crate::hex::requirement::RequirementError;
use crate::hex::version::{ReleaseVersion, VersionError};
use crate::repository::RepoError;
use crate::repository::local::WriteError;
use crate::shutdown::TaskError;
use crate::state::{AccountError, StateError};
use crate::store::durable_files::RestoreError;
use crate::store::vault::VaultError;
use crate::store::{OpenError, StoreError};
use crate::tasks::backup::BackupError;
use crate::tasks::bundle::BundleError;
use crate::tasks::gc::GcError;
use crate::tasks::mirror::MirrorError;
use crate::tasks::mirror::tree::TreeError;
use crate::tasks::report::sentence;
use crate::tasks::verify_store::ScrubError;
use crate::trust::FingerprintError;

/// Who has to correct the cause of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The user: the command refers to something that does not exist, or is not possible in the current state.
    Order,
    /// An upstream: it does not answer, or its answer is not usable.
    Upstream,
    /// This server: its disk, its database, its keys, or a bug.
    Server,
}

/// Why a command or a job failed.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The command is not possible.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An account cannot be changed, or the accounts cannot be read.
    #[error(transparent)]
    Account(#[from] ManageError),
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of a local repository cannot be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A store cannot be restored from a backup.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A signing key of this server cannot be used.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// A repository returned an error.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// A local repository was not changed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The cache cannot be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A garbage collection failed.
    #[error(transparent)]
    Collect(#[from] GcError),
    /// The verification of the store failed.
    #[error(transparent)]
    Scrub(#[from] ScrubError),
    /// A mirror run failed.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The mirrored files could not be written to a folder.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A bundle cannot be created, verified or imported.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A bundle cannot be created, probably because the cache evicted its files.
    #[error("{}; files were evicted from the cache during the command: increase storage.cache_limit", .0.sentence())]
    Evicted(Box<OperationError>),
    /// A backup cannot be written or read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file of the command cannot be opened.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A folder of the command cannot be listed.
    #[error(transparent)]
    Folder(io::Error),
    /// A result cannot be converted to JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The configuration cannot be reloaded or shown.
    #[error(transparent)]
    Configuration(Box<dyn std::error::Error + Send + Sync>),
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Why a command is not possible.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No repository has this key.
    #[error("there is no repository `{key}`; the configured repositories are: {}", .known.join(", "))]
    NoRepository { key: String, known: Vec<String> },
    /// No repository has this key, and the audit log has no line about it.
    #[error("there is no repository `{0}`, and the audit log has no entry about it")]
    NoAuditEntries(String),
    /// A grant is for a repository that is not configured.
    #[error("there is no repository `{0}`")]
    UnknownRepository(String),
    /// A lock file refers to a repository that is not configured.
    #[error("there is no repository `{0}`; use --repo to select the repository for these packages")]
    UnknownLockRepository(String),
    /// The repository is not of type remote.
    #[error("`{0}` has no upstream to mirror")]
    NoUpstream(String),
    /// The repository is not of type local.
    #[error("`{0}` is not a local repository; this command works only with local repositories")]
    NotLocal(String),
    /// The repository is not served to clients directly.
    #[error("{0}; use that virtual repository instead")]
    NotDirect(IndirectRepository),
    /// A folder would contain releases that a policy holds.
    #[error(
        "cannot write a folder: `{0}` has a policy, and a folder would contain releases that the policy holds; run the command without --to"
    )]
    FolderOfPoliced(String),
    /// A folder would contain releases that virtual repositories hold.
    #[error(
        "cannot write a folder: {0}, and a folder would contain releases that are held there; run the command without --to"
    )]
    FolderOfIndirect(IndirectRepository),
    /// A purge of a local repository, which is not a cache.
    #[error("`{0}` is a local repository, not a cache; to remove a release permanently, use `hexkeep release remove`")]
    PurgeOfLocal(String),
    /// A purge of a virtual repository, which has no cache.
    #[error("`{repository}` is a virtual repository and has no cache; purge its members instead: {}", .members.join(", "))]
    PurgeOfVirtual { repository: String, members: Vec<String> },
    /// Not one of the words that are possible.
    #[error("there is no {what} \"{word}\": use one of {}", .words.join(", "))]
    UnknownWord { what: &'static str, word: String, words: Vec<&'static str> },
    /// Not a version of a client.
    #[error("\"{0}\" is not a version of a client: write its first two numbers, such as 2.4")]
    ClientVersion(String),
    /// Clients cannot reach the repository.
    #[error("\"{0}\" has no address of its own: specify a virtual repository that it is a member of")]
    NoAddress(String),
    /// The repository has no public key that clients could be given.
    #[error("\"{0}\" has no public key")]
    NotSigned(String),
    /// A version without a package.
    #[error("a version requires a package: add the name of the package")]
    VersionWithoutPackage,
    /// Not a package name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not a version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Not a version requirement.
    #[error(transparent)]
    Requirement(#[from] RequirementError),
    /// Not a checksum.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// Not a pattern of package names.
    #[error("`{pattern}` is not a valid pattern: {}", .why.kind())]
    Pattern { pattern: String, why: globset::Error },
    /// The patterns cannot be combined.
    #[error(transparent)]
    Patterns(#[from] globset::Error),
    /// No user has this name.
    #[error("there is no user `{0}`")]
    NoUser(String),
    /// No organization has this name.
    #[error("there is no organization `{0}`")]
    NoOrganization(String),
    /// The owner has no key of this name.
    #[error("`{account}` has no key `{key}`")]
    NoKey { account: String, key: String },
    /// The name of the new user or organization is in use.
    #[error("the name `{0}` is already in use by a user or an organization")]
    NameTaken(String),
    /// The e-mail address of the user is in use.
    #[error("the e-mail address {0} is already in use by another user")]
    EmailTaken(String),
    /// The server needs at least one active administrator.
    #[error("`{0}` is the last active administrator; promote another user first")]
    LastAdministrator(String),
    /// An organization needs at least one administrator.
    #[error("`{user}` is the last administrator of `{organization}`; give another member the role `admin` first")]
    LastAdmin { user: String, organization: String },
    /// An organization needs at least one member.
    #[error("`{user}` is the last member of `{organization}`; add another member first")]
    LastMember { user: String, organization: String },
    /// The membership to remove does not exist.
    #[error("`{user}` is not a member of `{organization}`")]
    NotMember { user: String, organization: String },
    /// The grant to revoke does not exist.
    #[error("`{account}` has no such grant; `hexkeep grant list` shows all grants")]
    NoGrant { account: String },
    /// Not a role.
    #[error("`{0}` is not a role; write `read`, `write` or `admin`")]
    NoRole(String),
    /// Not a permission, and why.
    #[error("`{word}`: {why}")]
    Permission { word: String, why: String },
    /// A local repository has no such release, or no such package.
    #[error("`{repository}` has no {}", named(.package, .version.as_ref()))]
    NoRelease { repository: String, package: PackageName, version: Option<ReleaseVersion> },
    /// The version was not reverted.
    #[error("{package} {version} of `{repository}` was not reverted; only a reverted version can be allowed again")]
    NotReverted { repository: String, package: PackageName, version: ReleaseVersion },
    /// A virtual repository has no claims.
    #[error("`{0}` is a virtual repository and claims no names; use the member that had the package")]
    NameOfVirtual(String),
    /// The repository does not claim the name.
    #[error("`{repository}` does not claim {name}: it never had the package, or the claim was removed")]
    Unclaimed { repository: String, name: String },
    /// The name is in use.
    #[error("`{repository}` still has releases of {package}; the claim can be removed only when it has none")]
    StillHere { repository: String, package: String },
    /// It is unknown whether the name is in use.
    #[error(
        "it is unknown whether `{repository}` still has {package}: its list of names is not in the cache, and the upstream \
         does not answer; try again when the upstream is available"
    )]
    NotKnown { repository: String, package: String },
    /// The name of a policy is in use.
    #[error("`{repository}` still has {policy}; the claim can be removed only when the policy is gone")]
    PolicyStillHere { repository: String, policy: String },
    /// The repository has no policy.
    #[error("`{0}` has no policy; set one with the key `policy` of the repository in the configuration")]
    NoPolicy(String),
    /// The repository does not have the package or release.
    #[error("`{repository}` does not have {package}{}", .version.as_ref().map(|one| format!(" {one}")).unwrap_or_default())]
    NotThere { repository: String, package: PackageName, version: Option<String> },
    /// Not a time, or not in the future.
    #[error(
        "`{0}` is not a time in the future; write a time such as 2026-11-01T12:00:00Z, or a date, which means the end of that day"
    )]
    NotInFuture(String),
    /// A requirement that no version can meet.
    #[error("`{0}` matches no version")]
    MatchesNothing(String),
    /// No active waiver has this number.
    #[error("`{repository}` has no active waiver {number}")]
    NoWaiver { repository: String, number: i64 },
    /// A reason that does not fit in a line of the audit log.
    #[error("write a reason of one line, with at most {most} characters")]
    Reason { most: usize },
    /// A garbage collection without a rule would remove everything.
    #[error("no rule for files to keep; add --keep-latest N, --unused-for TIME, or both")]
    NoRetentionRule,
    /// A garbage collection with a time that is shorter than the recorded precision.
    #[error("--unused-for is too short: the last use of a file is recorded to the hour; write 1h or more")]
    UnusedTooShort,
    /// Another job is running.
    #[error(transparent)]
    Busy(#[from] JobConflict),
    /// The value of `--trust` is not a fingerprint.
    #[error("--trust: {0}")]
    Trust(FingerprintError),
    /// The path has no file name.
    #[error("{} is not the path of a file", .0.display())]
    NoFileName(PathBuf),
    /// The file exists, and is not overwritten.
    #[error("{} already exists; choose a new file", .0.display())]
    FileIsThere(PathBuf),
    /// A restore into a store that is open.
    #[error("a daemon or a command uses the store in {}; stop it first", .0.display())]
    StoreInUse(PathBuf),
    /// An import from a path that is not a folder.
    #[error("{} is not a folder; to publish a single tarball, use `curl -T` (see docs/CLIENTS.md)", .0.display())]
    NoFolder(PathBuf),
    /// A folder without tarballs.
    #[error("there are no tarballs in {}", .0.display())]
    NoTarballs(PathBuf),
    /// The folder contains several repositories, but not this one.
    #[error("{} has no folder `{key}`; choose the folder of one repository: {}", .folder.display(), .names.join(", "))]
    NotInFolder { folder: PathBuf, key: String, names: Vec<String> },
}

/// A repository that is not served directly, and the virtual repositories that serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndirectRepository {
    /// Key of the repository.
    pub key: String,
    /// Keys of the virtual repositories.
    pub above: Vec<String>,
}

impl fmt::Display for IndirectRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, above } = self;
        match above.as_slice() {
            [] => write!(f, "`{key}` is not served directly (`direct: false`)"),
            above => write!(f, "`{key}` is served only through `{}`", above.join("`, `")),
        }
    }
}

fn named(package: &PackageName, version: Option<&ReleaseVersion>) -> String {
    version.map_or_else(|| format!("package {package}"), |version| format!("{package} {version}"))
}

impl OperationError {
    /// The error and its causes in one line.
    pub fn sentence(&self) -> String {
        sentence(self)
    }

    /// Who has to correct the cause.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Refused(_) | Self::File { .. } | Self::Folder(_) | Self::Configuration(_) => Blame::Order,
            Self::Account(error) => of_account(error),
            Self::Repository(error) => of_repository(error),
            Self::Write(WriteError::Failed(_)) => Blame::Server,
            Self::Write(_) => Blame::Order,
            Self::Mirror(MirrorError::Bulk { source, .. } | MirrorError::Here(source)) => of_repository(source),
            Self::Mirror(MirrorError::NoBulk(_)) => Blame::Upstream,
            Self::Tree(TreeError::Nothing(_)) => Blame::Order,
            Self::Tree(TreeError::Here(source)) => of_repository(source),
            Self::Bundle(error) => of_bundle(error),
            Self::Evicted(_) => Blame::Server,
            Self::Backup(BackupError::Store(_) | BackupError::Io(_)) => Blame::Server,
            Self::Backup(_) | Self::Open(OpenError::InUse(_)) | Self::Restore(RestoreError::NotEmpty(_)) => {
                Blame::Order
            }
            Self::State(_)
            | Self::Store(_)
            | Self::Vault(_)
            | Self::Open(_)
            | Self::Restore(RestoreError::Disk(_))
            | Self::Key(_)
            | Self::Cache(_)
            | Self::Collect(_)
            | Self::Scrub(_)
            | Self::Tree(_)
            | Self::Json(_)
            | Self::Task(_) => Blame::Server,
        }
    }
}

fn of_account(error: &ManageError) -> Blame {
    match error {
        ManageError::Account(AccountError::State(_))
        | ManageError::Password(AuthError::State(_) | AuthError::Machine)
        | ManageError::Files(_)
        | ManageError::Random(_) => Blame::Server,
        _ => Blame::Order,
    }
}

fn of_repository(error: &RepoError) -> Blame {
    match error {
        RepoError::Untrusted(_) | RepoError::Upstream(_) | RepoError::Timeout(_) => Blame::Upstream,
        RepoError::Internal(_) | RepoError::State(_) | RepoError::Local(_) => Blame::Server,
        _ => Blame::Order,
    }
}

fn of_bundle(error: &BundleError) -> Blame {
    match error {
        BundleError::Io(_)
        | BundleError::Store(_)
        | BundleError::Vault(_)
        | BundleError::Task(_)
        | BundleError::Sign(_)
        | BundleError::Gone(_) => Blame::Server,
        BundleError::Gather { source, .. } => of_repository(source),
        _ => Blame::Order,
    }
}
