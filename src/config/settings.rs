//! The settings of a configuration, with all values parsed and all defaults applied.
//!
//! Only `app` and `cli` use these types. Other rooms get the values that they need as arguments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use ipnet::IpNet;

use crate::choice::choice;
use crate::hex::name::{PolicyName, RepoName};
use crate::policy::osv::AdvisoryDump;
use crate::policy::rules::Policy;
use crate::secret::Secret;
use crate::size::ByteSize;
use crate::trust::{Fingerprint, PublicKey};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub server: ServerSettings,
    pub log: LogSettings,
    pub storage: StorageSettings,
    pub signing: SigningSettings,
    /// The repository that is served at `/`; a key of `repositories`.
    pub default_repository: RepoName,
    pub installs: InstallsSettings,
    pub auth: AuthSettings,
    pub bundles: BundleSettings,
    pub fetch_log: FetchLogSettings,
    pub policies: BTreeMap<PolicyName, Arc<Policy>>,
    pub repositories: BTreeMap<RepoName, RepositorySettings>,
}

/// `installs:` the source of installers of Hex, rebar3, Elixir and Erlang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallsSettings {
    /// Base URL, without user info and trailing slash.
    pub url: String,
    /// Time for which a list is fresh.
    pub ttl: Duration,
    /// Keys that verify a list; empty: signatures are passed on without verification.
    pub public_keys: Vec<PublicKey>,
    pub proxy: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

/// `bundles:` trusted keys for bundles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleSettings {
    /// Keys whose bundles can be imported, in addition to the key of this server.
    pub trusted_keys: Vec<Fingerprint>,
}

/// `fetch_log:` the log of downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLogSettings {
    /// Time for which an entry is kept after its last request; zero: the log is disabled.
    pub retain: Duration,
    /// How much of an IP address is logged.
    pub addresses: AddressDetail,
}

choice! {
    /// How much of an IP address is logged.
    pub enum AddressDetail {
        /// The whole address.
        Full = "full",
        /// The range of the address.
        Prefix = "prefix",
        /// Nothing.
        Off = "off",
    }
}

/// `auth:` accounts and their protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    /// Whether anybody can create an account with `POST /api/users`.
    pub sign_up: bool,
    /// Whether the API accepts user name and password.
    pub basic: bool,
    /// Whether OAuth tokens with write access need a second factor.
    pub totp: TotpMode,
    pub rate_limits: RateLimits,
}

choice! {
    pub enum TotpMode {
        /// Codes are ignored.
        Off = "off",
        /// Required for users who have set it up.
        Optional = "optional",
        /// Required for all users who write with a token.
        Required = "required",
    }
}

/// `auth.rate_limits:` numbers per minute; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// API requests of a user or organization.
    pub per_account: usize,
    /// API requests without a credential from an IP address.
    pub per_address: usize,
    /// Wrong credentials from an IP address, or for a user name.
    pub failed_logins: usize,
}

/// `server:` listeners and their common settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    /// URL at which clients reach `listen`, without trailing slash.
    pub public_url: String,
    pub tls: Option<TlsSettings>,
    pub trusted_proxies: Vec<IpNet>,
    pub max_connections: usize,
    /// Time limit from the request to the first byte of the response.
    pub deadline: Duration,
}

impl ServerSettings {
    /// The public URL after `listen` was bound to an address: port 0 is replaced by the actual port.
    pub fn public_url_at(&self, bound: SocketAddr) -> String {
        match self.public_url.strip_suffix(":0") {
            Some(host) => format!("{host}:{}", bound.port()),
            None => self.public_url.clone(),
        }
    }
}

/// `server.tls:` absolute paths of PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `log:` the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: LogLevel,
}

choice! {
    pub enum LogFormat {
        Text = "text",
        Json = "json",
    }
}

choice! {
    pub enum LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

/// `storage:` the store and the limits of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageSettings {
    /// Absolute path.
    pub path: PathBuf,
    pub cache_limit: ByteSize,
    pub memory_limit: ByteSize,
}

/// `signing:` signing keys of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSettings {
    /// At least one key.
    pub keys: Vec<SigningKeySettings>,
    /// The id of the key that signs; one of `keys`.
    pub active: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeySettings {
    /// `^[a-z0-9][a-z0-9_-]{0,31}$`
    pub id: String,
    /// Absolute path; `None`: `keys/ID.pem` in the storage path, generated at first use with mode 0600.
    pub file: Option<PathBuf>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositorySettings {
    /// A cache of an upstream.
    Remote(Box<RemoteSettings>),
    /// Packages that are published on this server.
    Local(Box<LocalSettings>),
    /// Several repositories, merged into one.
    Virtual(Box<VirtualSettings>),
}

impl RepositorySettings {
    /// The settings that all types have.
    pub fn common(&self) -> &CommonSettings {
        match self {
            Self::Remote(remote) => &remote.common,
            Self::Local(local) => &local.common,
            Self::Virtual(composed) => &composed.common,
        }
    }

    pub(super) fn common_mut(&mut self) -> &mut CommonSettings {
        match self {
            Self::Remote(remote) => &mut remote.common,
            Self::Local(local) => &mut local.common,
            Self::Virtual(composed) => &mut composed.common,
        }
    }

    pub fn key(&self) -> &RepoName {
        &self.common().key
    }

    /// The settings of a virtual repository, if it is one.
    pub fn as_virtual(&self) -> Option<&VirtualSettings> {
        match self {
            Self::Virtual(composed) => Some(composed),
            Self::Remote(_) | Self::Local(_) => None,
        }
    }

    /// The settings of a remote repository, if it is one.
    pub fn as_remote(&self) -> Option<&RemoteSettings> {
        match self {
            Self::Remote(remote) => Some(remote),
            Self::Local(_) | Self::Virtual(_) => None,
        }
    }

    /// Name of its policy.
    pub fn policy(&self) -> Option<&PolicyName> {
        match self {
            Self::Remote(remote) => remote.policy.as_ref(),
            Self::Local(_) => None,
            Self::Virtual(composed) => composed.policy.as_ref(),
        }
    }

    /// Whether its resources are signed with the key of this server at its own addresses.
    pub fn is_signed_here(&self) -> bool {
        self.as_remote().is_none_or(|remote| remote.signature == SignatureMode::Own)
    }

    /// Whether its resources verify with the key that clients hold for `base`, at the address of an organization of `base`.
    pub fn verifies_like(&self, base: &Self) -> bool {
        match (base, self) {
            // Under a base that is signed here, everything is: signing keys belong to the server.
            _ if base.is_signed_here() => true,
            (Self::Remote(base), Self::Remote(remote)) if !self.is_signed_here() => {
                remote.public_keys.iter().any(|key| base.public_keys.contains(key))
            }
            _ => false,
        }
    }
}

/// Settings of repositories of all types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonSettings {
    pub key: RepoName,
    /// Name of the repository in signed payloads.
    pub name: RepoName,
    /// Host names, in lower case, at whose root it is served.
    pub hosts: Vec<String>,
    /// Whether it is served at its own address, not only through virtual repositories.
    pub direct: bool,
    pub include: NamePatterns,
    pub exclude: NamePatterns,
    pub anonymous_read: bool,
}

/// A repository of type local.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    pub common: CommonSettings,
    /// The organization whose members have access.
    pub organization: String,
    pub mutability: Mutability,
    pub dependency_check: DependencyCheck,
    /// Keys of the repositories that are allowed for dependencies; `None`: all.
    pub allowed_dependency_repositories: Option<Vec<RepoName>>,
    /// Names of repositories in packages, with their keys here.
    pub dependency_aliases: BTreeMap<String, RepoName>,
    /// Whether new packages can be published.
    pub allow_new_packages: bool,
    /// The virtual repository in which dependencies are searched.
    pub publish_view: Option<RepoName>,
    pub publish: Publishers,
    pub changes: Changers,
}

choice! {
    /// Who can publish a new package.
    pub enum Publishers {
        Members = "members",
        Users = "users",
    }
}

choice! {
    /// Who can change an existing package.
    pub enum Changers {
        Members = "members",
        Owners = "owners",
    }
}

/// A repository of type virtual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualSettings {
    pub common: CommonSettings,
    /// At least one member, in order of priority.
    pub members: Vec<MemberSettings>,
    pub merge: MergeMode,
    /// Names of packages whose releases are merged from private and public members.
    pub merge_across: NamePatterns,
    /// Names of packages that only private members can serve.
    pub reserve: NamePatterns,
    /// Names of new packages that can be published although a public member has a package of the same name.
    pub allow_shadow: NamePatterns,
    /// Members that all users with read access to this repository can read through it.
    pub grants_read: Vec<RepoName>,
    pub on_member_failure: OnMemberFailure,
    /// The local member to which packages are published.
    pub deploy_to: Option<RepoName>,
    /// Name of the policy for the releases of all members.
    pub policy: Option<PolicyName>,
}

/// `advisories:` of a remote repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisorySettings {
    /// An advisory dump in OSV format.
    pub osv: OsvSource,
}

/// Source of an advisory dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OsvSource {
    /// A file with its content.
    File { path: PathBuf, dump: Arc<AdvisoryDump> },
    /// A URL: the part before its last slash, and the file name.
    Url { base: String, file: String },
}

/// A member of a virtual repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    pub repository: RepoName,
    pub include: NamePatterns,
    pub exclude: NamePatterns,
    /// Whether public members must not serve packages with the same names.
    pub private: bool,
}

choice! {
    /// How packages that several members have are served.
    pub enum MergeMode {
        /// From the first member that has the package.
        Package = "package",
        /// From all members, release by release.
        Release = "release",
    }
}

choice! {
    /// What happens when a public member fails.
    pub enum OnMemberFailure {
        /// The request fails.
        Fail = "fail",
        /// The response is built without this member.
        Skip = "skip",
    }
}

choice! {
    /// When a release can be replaced or reverted.
    pub enum Mutability {
        /// Never.
        Immutable = "immutable",
        /// Within 1 h of the release or 24 h of the package's first release.
        Window = "window",
        /// At any time.
        Always = "always",
    }
}

choice! {
    /// Whether the dependencies of a release must exist.
    pub enum DependencyCheck {
        /// Not checked.
        Off = "off",
        /// Checked if they are in a local repository.
        Local = "local",
        /// Checked in all repositories, as far as possible.
        Virtual = "virtual",
    }
}

/// A repository of type remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    pub common: CommonSettings,
    /// Base URL with `http` or `https`, without user info and trailing slash.
    pub url: String,
    /// At least one key.
    pub public_keys: Vec<PublicKey>,
    pub signature: SignatureMode,
    pub network: NetworkMode,
    pub metadata_ttl: Duration,
    pub stale_while_revalidate: Duration,
    pub max_stale: Duration,
    pub missing_ttl: Duration,
    pub docs_ttl: Duration,
    pub assumed_offline: Duration,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    /// Maximum number of concurrent requests to the upstream.
    pub concurrency: usize,
    pub credentials: Option<CredentialSource>,
    /// The value from the source in `credentials`, sent unchanged as the header `Authorization`.
    pub credential: Option<Secret>,
    /// Proxy URL (http, https, socks5). It is a secret, because it may contain user info.
    pub proxy: Option<Secret>,
    pub ca_file: Option<PathBuf>,
    /// A PEM file with certificate chain and private key.
    pub client_cert: Option<PathBuf>,
    pub checksum_changes: ChecksumChanges,
    pub on_upstream_delete: OnUpstreamDelete,
    /// URL of the HTTP API of the upstream, if it has one.
    pub api_url: Option<String>,
    /// Whether, in a virtual repository, public members must not serve packages with the same names.
    pub private: bool,
    /// Name of the policy.
    pub policy: Option<PolicyName>,
    /// Advisories in addition to those of its index.
    pub advisories: Option<AdvisorySettings>,
    /// Which data of releases is read in the background, for policies.
    pub metadata: MetadataMode,
    /// What is downloaded in the background after a request.
    pub prefetch: PrefetchMode,
    /// `None`: only requested files are downloaded.
    pub mirror: Option<MirrorSettings>,
}

/// `repositories.KEY.mirror:` files that the daemon downloads by a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSettings {
    /// Time from the end of a run to the start of the next.
    pub schedule: Duration,
    pub packages: NamePatterns,
    /// Number of newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    pub docs: bool,
    /// Maximum number of concurrent requests.
    pub connections: usize,
    /// Maximum rate in bytes per second; `None`: no limit.
    pub rate: Option<ByteSize>,
}

/// Glob patterns, as text and compiled.
#[derive(Clone, Debug)]
pub struct NamePatterns {
    pub patterns: Vec<String>,
    pub set: GlobSet,
}

impl NamePatterns {
    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

impl PartialEq for NamePatterns {
    /// Compares only the patterns, because they determine the compiled set.
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for NamePatterns {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// Name of an environment variable.
    Env(String),
    /// Absolute path of a file; white space around its content is ignored.
    File(PathBuf),
}

choice! {
    pub enum SignatureMode {
        /// The unchanged resources and signatures of the upstream.
        Upstream = "upstream",
        /// Signed again with the key of this server.
        Own = "own",
    }
}

choice! {
    pub enum NetworkMode {
        /// Never serve stale resources: after their time, the upstream must confirm them.
        Strict = "strict",
        /// Serve stale resources while the upstream fails, up to `max_stale`.
        Fallback = "fallback",
        /// Never send requests to the upstream.
        Offline = "offline",
    }
}

choice! {
    pub enum PrefetchMode {
        /// Nothing.
        Off = "off",
        /// All direct and indirect dependencies.
        Closure = "closure",
    }
}

choice! {
    pub enum ChecksumChanges {
        /// Allowed within 1 h of the release or 24 h of the package's first release.
        Window = "window",
        Allow = "allow",
        Refuse = "refuse",
    }
}

choice! {
    pub enum MetadataMode {
        /// Only indexes; licences are read at the first download.
        Lazy = "lazy",
        /// Indexes and licences.
        Full = "full",
    }
}

choice! {
    pub enum OnUpstreamDelete {
        Hide = "hide",
        Keep = "keep",
        Purge = "purge",
    }
}

/// Converts a configured limit: zero is no limit.
pub fn as_limit(number: usize) -> usize {
    if number == 0 { usize::MAX } else { number }
}
