//! What a configuration means: every value parsed, every default applied.
//!
//! Only `app` and `cli` read these types; the rooms below get the values they need as arguments.

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
    /// The repository served at `/`; a key of `repositories`.
    pub default_repository: RepoName,
    pub installs: InstallsSettings,
    pub auth: AuthSettings,
    pub bundles: BundleSettings,
    pub fetch_log: FetchLogSettings,
    pub policies: BTreeMap<PolicyName, Arc<Policy>>,
    pub repositories: BTreeMap<RepoName, RepositorySettings>,
}

/// `installs:` where installers of Hex, rebar3, Elixir and Erlang come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallsSettings {
    /// Absolute, without user info, without a trailing slash.
    pub url: String,
    /// How long a list counts as fresh.
    pub ttl: Duration,
    /// Keys of which one must have signed a list; empty: signatures are passed on as they are.
    pub public_keys: Vec<PublicKey>,
    pub proxy: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

/// `bundles:` whose bundles are imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleSettings {
    /// Keys that may have signed a bundle, beside this server's own.
    pub trusted_keys: Vec<Fingerprint>,
}

/// `fetch_log:` who was delivered what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLogSettings {
    /// How long a line is kept after its last request; zero: nothing is written down.
    pub retain: Duration,
    /// How much of an address is written down.
    pub addresses: AddressDetail,
}

choice! {
    /// How much of an address is written down.
    pub enum AddressDetail {
        /// All of it.
        Full = "full",
        /// The range that it is in.
        Prefix = "prefix",
        /// Nothing.
        Off = "off",
    }
}

/// `auth:` accounts and what protects them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    /// Whether anybody may make an account by `POST /api/users`.
    pub sign_up: bool,
    /// Whether user name and password are taken on the API.
    pub basic: bool,
    /// The second factor of OAuth tokens that write.
    pub totp: TotpMode,
    pub rate_limits: RateLimits,
}

choice! {
    pub enum TotpMode {
        /// Codes are not looked at.
        Off = "off",
        /// Asked of those who have set it up.
        Optional = "optional",
        /// Who writes with a token must have set it up.
        Required = "required",
    }
}

/// `auth.rate_limits:` all a minute; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// API requests of a user or organization.
    pub per_account: usize,
    /// API requests of an address without a credential.
    pub per_address: usize,
    /// Wrong credentials from an address, or for a user name.
    pub failed_logins: usize,
}

/// `server:` listeners and what holds for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    /// Scheme and authority under which clients reach `listen`; no trailing slash.
    pub public_url: String,
    pub tls: Option<TlsSettings>,
    pub trusted_proxies: Vec<IpNet>,
    pub max_connections: usize,
    /// From the request to the first byte of the answer.
    pub deadline: Duration,
}

impl ServerSettings {
    /// The public URL, once `listen` is bound to an address: where it has the free port 0, it gets the port that was found.
    pub fn public_url_at(&self, bound: SocketAddr) -> String {
        match self.public_url.strip_suffix(":0") {
            Some(host) => format!("{host}:{}", bound.port()),
            None => self.public_url.clone(),
        }
    }
}

/// `server.tls:` PEM files, absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `log:`
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

/// `storage:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageSettings {
    /// Absolute.
    pub path: PathBuf,
    pub cache_limit: ByteSize,
    pub memory_limit: ByteSize,
}

/// `signing:` server-wide keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSettings {
    /// At least one.
    pub keys: Vec<SigningKeySettings>,
    /// The id of the key that signs; one of `keys`.
    pub active: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeySettings {
    /// `^[a-z0-9][a-z0-9_-]{0,31}$`
    pub id: String,
    /// Absolute; `None`: generated at first need, mode 0600, under the storage path as `keys/ID.pem`.
    pub file: Option<PathBuf>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositorySettings {
    /// An upstream behind a cache.
    Remote(Box<RemoteSettings>),
    /// Packages that are published here.
    Local(Box<LocalSettings>),
    /// Several repositories as one.
    Virtual(Box<VirtualSettings>),
}

impl RepositorySettings {
    /// What it has whatever its type is.
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

    /// The settings of what unites others, where it is that.
    pub fn as_virtual(&self) -> Option<&VirtualSettings> {
        match self {
            Self::Virtual(composed) => Some(composed),
            Self::Remote(_) | Self::Local(_) => None,
        }
    }

    /// The upstream's settings, where there is one.
    pub fn as_remote(&self) -> Option<&RemoteSettings> {
        match self {
            Self::Remote(remote) => Some(remote),
            Self::Local(_) | Self::Virtual(_) => None,
        }
    }

    /// The policy that holds here.
    pub fn policy(&self) -> Option<&PolicyName> {
        match self {
            Self::Remote(remote) => remote.policy.as_ref(),
            Self::Local(_) => None,
            Self::Virtual(composed) => composed.policy.as_ref(),
        }
    }

    /// Whether its resources are signed with the server's own key at its own addresses.
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

/// What a repository of any type has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonSettings {
    pub key: RepoName,
    /// The repository name inside signed payloads.
    pub name: RepoName,
    /// Lower-case host names that serve it at their root.
    pub hosts: Vec<String>,
    /// Whether it answers at its own address, and not only through virtual repositories.
    pub direct: bool,
    pub include: NamePatterns,
    pub exclude: NamePatterns,
    pub anonymous_read: bool,
}

/// A repository of type local.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    pub common: CommonSettings,
    /// The organization whose members have rights here.
    pub organization: String,
    pub mutability: Mutability,
    pub dependency_check: DependencyCheck,
    /// Keys of the repositories that dependencies may live in; `None`: any.
    pub allowed_dependency_repositories: Option<Vec<RepoName>>,
    /// What packages call a repository → its key.
    pub dependency_aliases: BTreeMap<String, RepoName>,
    /// Whether packages may be published that are not there yet.
    pub allow_new_packages: bool,
    /// The virtual repository in whose order dependencies are looked for.
    pub publish_view: Option<RepoName>,
    pub publish: Publishers,
    pub changes: Changers,
}

choice! {
    /// Who may publish a package that is not there yet.
    pub enum Publishers {
        Members = "members",
        Users = "users",
    }
}

choice! {
    /// Who may change a package that is there.
    pub enum Changers {
        Members = "members",
        Owners = "owners",
    }
}

/// A repository of type virtual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualSettings {
    pub common: CommonSettings,
    /// In order of priority; at least one.
    pub members: Vec<MemberSettings>,
    pub merge: MergeMode,
    /// Names whose releases are united across the guard.
    pub merge_across: NamePatterns,
    /// Names that only private members may answer.
    pub reserve: NamePatterns,
    /// Names that may be published first though a public member has them.
    pub allow_shadow: NamePatterns,
    /// Members that whoever may read this repository may read through it.
    pub grants_read: Vec<RepoName>,
    pub on_member_failure: OnMemberFailure,
    /// The local member that takes what is published here.
    pub deploy_to: Option<RepoName>,
    /// Name of the policy that holds here, for what its members have.
    pub policy: Option<PolicyName>,
}

/// `advisories:` of a remote repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisorySettings {
    /// A dump in the format of OSV.
    pub osv: OsvSource,
}

/// Where a dump of advisories is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OsvSource {
    /// A file, and what is in it.
    File { path: PathBuf, dump: Arc<AdvisoryDump> },
    /// Where it is fetched: the URL up to its last slash, and what stands behind it.
    Url { base: String, file: String },
}

/// A member of a virtual repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    pub repository: RepoName,
    pub include: NamePatterns,
    pub exclude: NamePatterns,
    /// Whether its names are answered by no public member.
    pub private: bool,
}

choice! {
    /// Who answers for a package that several members have.
    pub enum MergeMode {
        /// The first that has it.
        Package = "package",
        /// All of them, release by release.
        Release = "release",
    }
}

choice! {
    /// What becomes of an answer when a public member fails.
    pub enum OnMemberFailure {
        /// There is none.
        Fail = "fail",
        /// It is given without that member.
        Skip = "skip",
    }
}

choice! {
    /// Whether a release may be replaced or reverted.
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
    /// Whether the packages that a release depends on must exist.
    pub enum DependencyCheck {
        /// Not looked at.
        Off = "off",
        /// Where they live in a local repository.
        Local = "local",
        /// Wherever they live, as far as that can be known.
        Virtual = "virtual",
    }
}

/// A repository of type remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    pub common: CommonSettings,
    /// Base URL without a trailing slash, `http` or `https`, without user-info.
    pub url: String,
    /// At least one.
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
    /// Requests to the upstream at one time.
    pub concurrency: usize,
    pub credentials: Option<CredentialSource>,
    /// The resolved value of `credentials`, sent verbatim as `Authorization`.
    pub credential: Option<Secret>,
    /// Proxy URL (http, https, socks5); may carry user-info, therefore secret.
    pub proxy: Option<Secret>,
    pub ca_file: Option<PathBuf>,
    /// A PEM file with certificate chain and private key.
    pub client_cert: Option<PathBuf>,
    pub checksum_changes: ChecksumChanges,
    pub on_upstream_delete: OnUpstreamDelete,
    /// The upstream's HTTP API, where it has one.
    pub api_url: Option<String>,
    /// Whether, as a member of a virtual repository, its names are answered by no public member.
    pub private: bool,
    /// Name of the policy that holds here.
    pub policy: Option<PolicyName>,
    /// Advisories that are added to those of its index.
    pub advisories: Option<AdvisorySettings>,
    /// What of its releases is read before anybody asks, where a policy looks at it.
    pub metadata: MetadataMode,
    /// What is fetched because something else was asked for.
    pub prefetch: PrefetchMode,
    /// `None`: only what is asked for is fetched.
    pub mirror: Option<MirrorSettings>,
}

/// `repositories.KEY.mirror:` what the daemon fetches by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSettings {
    /// From the end of a run to the beginning of the next.
    pub schedule: Duration,
    pub packages: NamePatterns,
    /// So many of the newest releases of each package; `None`: all.
    pub latest: Option<usize>,
    pub docs: bool,
    /// Requests under way at one time.
    pub connections: usize,
    /// Bytes a second; `None`: as fast as it goes.
    pub rate: Option<ByteSize>,
}

/// Globs as written, and compiled.
#[derive(Clone, Debug)]
pub struct NamePatterns {
    pub patterns: Vec<String>,
    pub set: GlobSet,
}

impl NamePatterns {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

impl PartialEq for NamePatterns {
    /// The compiled set follows from the patterns.
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for NamePatterns {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// Name of an environment variable.
    Env(String),
    /// Absolute path; the content is trimmed.
    File(PathBuf),
}

choice! {
    pub enum SignatureMode {
        /// Upstream's bytes and signature, untouched.
        Upstream = "upstream",
        /// Signed again with the server's own key.
        Own = "own",
    }
}

choice! {
    pub enum NetworkMode {
        /// Never a stale answer: what is past its time must be confirmed by the upstream.
        Strict = "strict",
        /// Stale answers while the upstream fails, up to `max_stale`.
        Fallback = "fallback",
        /// The upstream is never asked.
        Offline = "offline",
    }
}

choice! {
    pub enum PrefetchMode {
        /// Nothing.
        Off = "off",
        /// What it depends on, and what that depends on.
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
        /// Indexes; licences at the first download.
        Lazy = "lazy",
        /// Licences, too.
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

/// What a configured number is as a limit: zero is none.
pub fn as_limit(number: usize) -> usize {
    if number == 0 { usize::MAX } else { number }
}
