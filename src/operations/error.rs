//! Why an order or a work is not carried out, in sentences for whoever gave it, and who is to blame.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::job_exclusion::JobConflict;
use super::signing_keys::SigningKeyError;
use crate::choice::Choice as _;
use crate::client_setup::{Client, Role};
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
use crate::store::durable::RestoreError;
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

/// Who has to do something before an order can be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Whoever gave it: it names what is not there, or wants what cannot be done as things are.
    Order,
    /// An upstream: it gives no answer, or one that cannot be used.
    Upstream,
    /// This server: its disk, its database, its keys, or a fault of the program.
    Server,
}

/// Why an order or a work is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// It cannot be done as it was ordered.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An account cannot be changed like this, or the accounts cannot be read.
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
    /// A store cannot be made from a backup.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A key of this server cannot be used.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// A repository does not answer.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// A local repository was not changed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What is cached cannot be looked at.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A collection was not finished.
    #[error(transparent)]
    Collect(#[from] GcError),
    /// A scrub was not finished.
    #[error(transparent)]
    Scrub(#[from] ScrubError),
    /// A mirror could not be run.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A folder could not be written from a mirror.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A bundle cannot be made, proven or taken in.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The same, while files that go into it were evicted.
    #[error("{}; files were evicted: storage.cache_limit is too small", .0.sentence())]
    Evicted(Box<OperationError>),
    /// A backup cannot be written or read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A file that the order names cannot be opened.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder that the order names cannot be listed.
    #[error(transparent)]
    Folder(io::Error),
    /// Something has no JSON form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The configuration is not read again, or cannot be shown; why.
    #[error(transparent)]
    Configuration(Box<dyn std::error::Error + Send + Sync>),
    /// A task gave no answer.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Why an order cannot be carried out as it was given.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No repository has this key.
    #[error("there is no repository `{key}`; configured are: {}", .known.join(", "))]
    NoRepository { key: String, known: Vec<String> },
    /// No repository has this key, and the audit log has no line about one.
    #[error("there is no repository `{0}`, and nothing is written down of it")]
    NothingWritten(String),
    /// A right to read names a repository that is not configured.
    #[error("there is no repository `{0}`")]
    UnknownRepository(String),
    /// A lock file names a repository that is not configured.
    #[error("there is no repository `{0}`; --repo says which one stands for it")]
    NothingStandsFor(String),
    /// It is not of type remote.
    #[error("`{0}` has no upstream to mirror")]
    NoUpstream(String),
    /// It is not of type local.
    #[error("`{0}` is not a local repository: what it has is published elsewhere")]
    NotLocal(String),
    /// What lock files name is taken from repositories that clients read.
    #[error("{0}: name one of these")]
    NotDirect(Through),
    /// A folder would hold what a policy holds.
    #[error("a policy holds for `{0}`, and a folder cannot hold back what the policy holds: leave --to out")]
    FolderOfPoliced(String),
    /// A folder would hold what is held above.
    #[error("{0}, and a folder cannot hold back what is held there: leave --to out")]
    FolderOfIndirect(Through),
    /// A local repository is no cache.
    #[error(
        "`{0}` is a local repository: what it holds is no cache. To remove a release for good: hexkeep release remove"
    )]
    PurgeOfLocal(String),
    /// A virtual repository has no cache.
    #[error("`{repository}` is a virtual repository and caches nothing of its own; purge its members: {}", .members.join(", "))]
    PurgeOfVirtual { repository: String, members: Vec<String> },
    /// It is none of the clients that have a recipe.
    #[error("there are no lines for the client \"{0}\": use one of {words}", words = Client::words().join(", "))]
    UnknownClient(String),
    /// It is none of the roles.
    #[error("there is no role \"{0}\": use one of {words}", words = Role::words().join(", "))]
    UnknownRole(String),
    /// It is no version of a client.
    #[error("\"{0}\" is not a version of a client: write its first two numbers, such as 2.4")]
    ClientVersion(String),
    /// Clients cannot reach it.
    #[error("\"{0}\" does not answer at an address of its own: give a virtual repository that it is a member of")]
    NoAddress(String),
    /// No resource of it is signed with a key that clients could be given.
    #[error("\"{0}\" has no public key")]
    NotSigned(String),
    /// A version of what?
    #[error("a version needs a package")]
    VersionWithoutPackage,
    /// It is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It is no version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// It is no requirement.
    #[error(transparent)]
    Requirement(#[from] RequirementError),
    /// It is no checksum.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// It is no pattern of names.
    #[error("`{pattern}` is no pattern: {}", .why.kind())]
    Pattern { pattern: String, why: globset::Error },
    /// Patterns that cannot be used together.
    #[error(transparent)]
    Patterns(#[from] globset::Error),
    /// No user has this name.
    #[error("there is no user `{0}`")]
    NoUser(String),
    /// No organization has this name.
    #[error("there is no organization `{0}`")]
    NoOrganization(String),
    /// The owner has no key of this name.
    #[error("{account} has no key `{key}`")]
    NoKey { account: String, key: String },
    /// The name of a user or an organization that is to be made.
    #[error("`{0}` is taken: a user or an organization has this name already")]
    NameTaken(String),
    /// An address that is to be a user's.
    #[error("another user has the e-mail address {0}")]
    EmailTaken(String),
    /// The server keeps one administrator who is let in.
    #[error("{0} is the last active administrator: make another user an administrator first")]
    LastAdministrator(String),
    /// An organization keeps one administrator.
    #[error("{user} is the last administrator of {organization}: make another member one first")]
    LastAdmin { user: String, organization: String },
    /// An organization keeps one member.
    #[error("{user} is the last member of {organization}: add another one first")]
    LastMember { user: String, organization: String },
    /// A membership that is to end.
    #[error("{user} is not a member of {organization}")]
    NotMember { user: String, organization: String },
    /// A right to read that is to be taken away.
    #[error("{account} has no such right: `hexkeep grant list` shows all")]
    NoGrant { account: String },
    /// It is no role.
    #[error("`{0}` is no role; write read, write or admin")]
    NoRole(String),
    /// It is no permission; why.
    #[error("`{word}`: {why}")]
    Permission { word: String, why: String },
    /// A local repository has no such release, or no such package.
    #[error("{repository} has no {}", named(.package, .version.as_ref()))]
    NoRelease { repository: String, package: PackageName, version: Option<ReleaseVersion> },
    /// A version that was not reverted.
    #[error("{package} {version} of {repository} was not reverted: there is nothing to be allowed again")]
    NotReverted { repository: String, package: PackageName, version: ReleaseVersion },
    /// A virtual repository claims no name.
    #[error("{0} is a virtual repository; a name is given back by the member that has had it")]
    NameOfVirtual(String),
    /// The name is not claimed.
    #[error("{repository} has never had {name}, or it was given back")]
    Unclaimed { repository: String, name: String },
    /// The name is in use.
    #[error("{repository} still has releases of {package}: while it has, the name is not given back")]
    StillHere { repository: String, package: String },
    /// Whether the name is in use cannot be found out.
    #[error(
        "it cannot be known whether {repository} still has {package}: its list of names is not here, and the upstream does \
         not give it; try again when the upstream answers"
    )]
    NotKnown { repository: String, package: String },
    /// The name of a policy is in use.
    #[error("{repository} still has {policy}: while it has, the name is not given back")]
    PolicyStillHere { repository: String, policy: String },
    /// No policy holds there.
    #[error("no policy holds for `{0}`; name one with its key `policy`")]
    NoPolicy(String),
    /// A repository does not have what a policy is asked about.
    #[error("`{repository}` does not have {package}{}", .version.as_ref().map(|one| format!(" {one}")).unwrap_or_default())]
    NotThere { repository: String, package: PackageName, version: Option<String> },
    /// It is past, or no time.
    #[error("`{0}` is no time to come; write 2026-11-01T12:00:00Z or a date, which means its end")]
    NotToCome(String),
    /// A requirement that no version meets.
    #[error("`{0}` matches no version")]
    MatchesNothing(String),
    /// No such waiver is in force.
    #[error("`{repository}` has no waiver {number} in force")]
    NoWaiver { repository: String, number: i64 },
    /// A reason that does not fit into a line of the audit log.
    #[error("a reason is one line of at most {most} characters")]
    Reason { most: usize },
    /// A collection without a rule would remove everything.
    #[error("say what is to be kept: --keep-latest N, --unused-for TIME, or both")]
    KeepWhat,
    /// A collection by a time that is not known so exactly.
    #[error("when a file was used last is known to an hour: --unused-for is 1h at least")]
    UnusedTooShort,
    /// Something else is under way.
    #[error(transparent)]
    Busy(#[from] JobConflict),
    /// What was given with `--trust` is no fingerprint.
    #[error("--trust: {0}")]
    Trust(FingerprintError),
    /// It names no file.
    #[error("{} is no name of a file", .0.display())]
    NoFileName(PathBuf),
    /// Nothing is overwritten.
    #[error("{} is there already; name a new file", .0.display())]
    FileIsThere(PathBuf),
    /// A restore into a store that is open.
    #[error("a daemon or a command uses the store in {}; stop it first", .0.display())]
    StoreInUse(PathBuf),
    /// An import of something else than a folder.
    #[error("{} is no folder; a single tarball is published with `curl -T` (docs/CLIENTS.md)", .0.display())]
    NoFolder(PathBuf),
    /// A folder without tarballs.
    #[error("there are no tarballs in {}", .0.display())]
    NoTarballs(PathBuf),
    /// A folder of repositories without this one.
    #[error("{} has no `{key}`; give the folder of the repository that is meant: {}", .folder.display(), .names.join(", "))]
    NotInFolder { folder: PathBuf, key: String, names: Vec<String> },
}

/// A repository that is not read directly, and the virtual ones through which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// Its key.
    pub key: String,
    /// Keys of the virtual repositories.
    pub above: Vec<String>,
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, above } = self;
        match above.as_slice() {
            [] => write!(f, "`{key}` is not read directly (`direct: false`)"),
            above => write!(f, "`{key}` is read through `{}` alone", above.join("`, `")),
        }
    }
}

fn named(package: &PackageName, version: Option<&ReleaseVersion>) -> String {
    version.map_or_else(|| format!("package {package}"), |version| format!("{package} {version}"))
}

impl OperationError {
    /// The whole chain of causes in one line.
    pub fn sentence(&self) -> String {
        sentence(self)
    }

    /// Who has to do something.
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
