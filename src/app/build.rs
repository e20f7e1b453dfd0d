//! Builds the repositories from the settings.

mod composed;
mod local;
mod upstreams;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::error::StartError;
use crate::auth::AccessRules;
use crate::cache::SharedCaches;
use crate::cache::freshness::{FreshnessRules, UpstreamMode};
use crate::cache::memory::EntryOwner;
use crate::cache::registry::OnRemoved;
use crate::clock::{Clock, SystemClock};
use crate::config::settings::{
    self, ChecksumChanges, CommonSettings, LocalSettings, NamePatterns, NetworkMode, OnUpstreamDelete as OnDelete,
    RemoteSettings, RepositorySettings, Settings, SignatureMode,
};
use crate::hex::name::PolicyName;
use crate::http::listener::ListenerTimeouts;
use crate::operations::signing_keys::{SigningKeyError, SigningKeys};
use crate::policy::rules::Policy;
use crate::repository::changes::{Subscriber, Subscription};
use crate::repository::enforcer::{Enforcers, PolicyOptions};
use crate::repository::prefetch_queue::PrefetchQueue;
use crate::repository::remote::{MetadataMode, RemoteOptions};
use crate::repository::sealer::Sealer;
use crate::repository::{
    Changes, Directory, FetchLog, Identity, KeyRing, LocalRepository, NameRules, RemoteRepository, Repository, SignedBy,
};
use crate::state::State;
use crate::state::ledger::ChangeRule;
use crate::store::Store;
use crate::store::disk::{Disk, RealDisk};
use crate::telemetry::logging::Logging;
use crate::trust::Signer;

/// Dependencies on the environment, which tests replace.
#[derive(Clone)]
pub struct Inputs {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Timeouts of the public listener.
    pub patience: ListenerTimeouts,
    /// The log, so that a reload can change its level.
    pub logging: Option<Logging>,
    /// Reads the configuration again for a reload; `None`: a reload is not possible.
    pub reread: Option<Arc<Reread>>,
}

/// A function that reads the configuration again.
pub type Reread = dyn Fn() -> Result<Settings, crate::config::ConfigError> + Send + Sync;

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("clock", &self.clock).field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl Default for Inputs {
    /// The clock and disk of this machine, no log, no reload.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            disk: Arc::new(RealDisk),
            patience: ListenerTimeouts::default(),
            logging: None,
            reread: None,
        }
    }
}

/// A repository with the settings that it was built from. A reload keeps it if these settings have not changed.
#[derive(Clone, Debug)]
pub(super) struct BuiltRepository {
    pub(super) settings: RepositorySettings,
    /// The content of `ca_file` and `client_cert`, which may change under the same path.
    files: [Option<Vec<u8>>; 2],
    pub(super) deadline: std::time::Duration,
    policy: Option<Arc<Policy>>,
    /// Whether it is a private member of a virtual repository.
    is_private: bool,
    pub(super) signer: Option<Arc<Signer>>,
    pub(super) repository: Repository,
    /// Ends when the configuration no longer has the repository, or when the last active request to it ends.
    _subscription: Option<Arc<Subscription>>,
}

/// Shared parts that repositories are built with.
#[derive(Clone, Debug)]
pub(super) struct BuildContext {
    pub(super) shared: SharedCaches,
    pub(super) state: State,
    pub(super) directory: Arc<Directory>,
    pub(super) changes: Arc<Changes>,
    pub(super) fetch_log: Arc<FetchLog>,
    pub(super) together: Arc<Enforcers>,
    pub(super) asked: PrefetchQueue,
}

impl BuildContext {
    fn subscribe<S: Subscriber + 'static>(&self, subscriber: &Arc<S>) -> Arc<Subscription> {
        let subscriber: Weak<dyn Subscriber> = Arc::downgrade(subscriber) as _;
        Arc::new(self.changes.subscribe(subscriber))
    }

    fn sealer(&self, common: &CommonSettings, signer: Arc<Signer>) -> Sealer {
        Sealer::new(signer, self.shared.clone(), common.key.clone(), common.name.clone())
    }

    fn policed(&self, policy: Option<Arc<Policy>>) -> Option<PolicyOptions> {
        let (fetch_log, together) = (&self.fetch_log, &self.together);
        policy.map(|policy| PolicyOptions { policy, fetch_log: Arc::clone(fetch_log), together: Arc::clone(together) })
    }
}

/// Whether any repository is signed with the keys of this server.
fn signs(settings: &Settings) -> bool {
    settings.repositories.values().any(RepositorySettings::is_signed_here)
}

/// All signing keys, if a repository needs one. Resources are signed with inactive keys only on request. Blocks.
pub(super) fn key_ring(settings: &Settings, keys: &SigningKeys, store: &Store) -> Result<KeyRing, SigningKeyError> {
    Ok(KeyRing::new(if signs(settings) { keys.all(store)? } else { Vec::new() }))
}

/// Builds the repositories of `settings`. Unchanged repositories of `before` are kept. Blocks.
pub(super) fn repositories(
    settings: &Settings,
    keys: &SigningKeys,
    ground: &BuildContext,
    before: &[BuiltRepository],
) -> Result<Vec<BuiltRepository>, StartError> {
    // Any repository can be served as an organization of one that this server signs, and is then signed by this server.
    let signer = if signs(settings) { Some(keys.active(&ground.shared.store)?) } else { None };
    let mut built: Vec<BuiltRepository> = Vec::new();
    for repository in composed::members_first(settings) {
        let signer = signer.clone();
        let files = match repository {
            RepositorySettings::Remote(remote) => [read(remote, &remote.ca_file)?, read(remote, &remote.client_cert)?],
            RepositorySettings::Local(_) | RepositorySettings::Virtual(_) => [None, None],
        };
        let fingerprint = |signer: &Option<Arc<Signer>>| signer.as_ref().map(|s| s.fingerprint().clone());
        let same = before.iter().find(|held| {
            held.settings == *repository
                && held.policy == policy(settings, repository.policy())
                && held.is_private == composed::is_private(settings, repository.key())
                && held.files == files
                && held.deadline == settings.server.deadline
                && fingerprint(&held.signer) == fingerprint(&signer)
                && composed::has_same_members(held, &built)
        });
        let one = match (same, repository) {
            (Some(held), _) => held.clone(),
            (None, RepositorySettings::Remote(remote)) => build(settings, remote, files, signer, ground)?,
            (None, RepositorySettings::Local(local)) => build_local(settings, local, signer, ground)?,
            (None, RepositorySettings::Virtual(composed)) => {
                composed::build(settings, composed, signer, ground, &built)?
            }
        };
        built.push(one);
    }
    Ok(built)
}

fn build(
    settings: &Settings,
    remote: &RemoteSettings,
    files: [Option<Vec<u8>>; 2],
    signer: Option<Arc<Signer>>,
    ground: &BuildContext,
) -> Result<BuiltRepository, StartError> {
    // Numbers are never reused, so that a new repository never reads memory entries of an old one.
    static OWNERS: AtomicU64 = AtomicU64::new(0);
    let owner = EntryOwner(OWNERS.fetch_add(1, Ordering::Relaxed));
    let (shared, state) = (ground.shared.clone(), ground.state.clone());
    let upstream = crate::upstream::build(&upstreams::upstream_options(remote, &files), Arc::clone(&shared.clock))
        .map_err(|source| StartError::Upstream { key: remote.common.key.to_string(), source })?;
    let mut options = remote_options(settings, remote, signer.clone(), ground);
    let is_private = options.is_private;
    options.advisories = upstreams::advisories(remote, &files, ground)?;
    if let Some(url) = &remote.api_url {
        let api =
            crate::upstream::build(&upstreams::api_options(remote, url, &files), Arc::clone(&ground.shared.clock))
                .map_err(|source| StartError::Upstream { key: remote.common.key.to_string(), source })?;
        options.api = Some((url.clone(), api));
    }
    let (directory, changes) = (Arc::clone(&ground.directory), Arc::clone(&ground.changes));
    let repository = RemoteRepository::new(options, owner, shared, state, upstream, directory, changes)
        .ok_or_else(|| StartError::NoKey(remote.common.key.to_string()))?;
    let repository = Arc::new(repository);
    Ok(BuiltRepository {
        is_private,
        settings: RepositorySettings::Remote(Box::new(remote.clone())),
        policy: policy(settings, remote.policy.as_ref()),
        files,
        deadline: settings.server.deadline,
        signer,
        _subscription: Some(ground.subscribe(&repository)),
        repository: Repository::Remote(repository),
    })
}

fn build_local(
    settings: &Settings,
    local: &LocalSettings,
    signer: Option<Arc<Signer>>,
    ground: &BuildContext,
) -> Result<BuiltRepository, StartError> {
    let signing = signer.clone().ok_or_else(|| StartError::NoKey(local.common.key.to_string()))?;
    let sealer = ground.sealer(&local.common, signing);
    let (directory, changes) = (Arc::clone(&ground.directory), Arc::clone(&ground.changes));
    let (shared, state) = (ground.shared.clone(), ground.state.clone());
    let repository = LocalRepository::new(local::options(local), shared, state, sealer, directory, changes);
    Ok(BuiltRepository {
        is_private: composed::is_private(settings, &local.common.key),
        settings: RepositorySettings::Local(Box::new(local.clone())),
        policy: None,
        files: [None, None],
        deadline: settings.server.deadline,
        signer,
        _subscription: None,
        repository: Repository::Local(Arc::new(repository)),
    })
}

fn identity(common: &CommonSettings, access: AccessRules) -> Identity {
    Identity {
        key: common.key.clone(),
        name: common.name.clone(),
        hosts: common.hosts.clone(),
        direct: common.direct,
        access,
        names: names(&common.include, &common.exclude),
    }
}

/// The policy with this name in `settings`.
fn policy(settings: &Settings, name: Option<&PolicyName>) -> Option<Arc<Policy>> {
    name.and_then(|name| settings.policies.get(name)).map(Arc::clone)
}

fn names(include: &NamePatterns, exclude: &NamePatterns) -> NameRules {
    let everything = include.patterns == ["*"] && exclude.patterns.is_empty();
    NameRules { include: include.set.clone(), exclude: exclude.set.clone(), everything }
}

fn read(remote: &RemoteSettings, path: &Option<PathBuf>) -> Result<Option<Vec<u8>>, StartError> {
    let Some(path) = path else { return Ok(None) };
    let content = fs::read(path);
    content.map(Some).map_err(|source| StartError::Read {
        key: remote.common.key.to_string(),
        path: path.clone(),
        source,
    })
}

fn remote_options(
    settings: &Settings,
    remote: &RemoteSettings,
    signer: Option<Arc<Signer>>,
    ground: &BuildContext,
) -> RemoteOptions {
    RemoteOptions {
        policy: ground.policed(policy(settings, remote.policy.as_ref())),
        asked: (remote.prefetch == settings::PrefetchMode::Closure).then(|| ground.asked.clone()),
        advisories: None,
        metadata: match remote.metadata {
            settings::MetadataMode::Lazy => MetadataMode::Lazy,
            settings::MetadataMode::Full => MetadataMode::Full,
        },
        mirrored: remote.mirror.is_some(),
        is_private: composed::is_private(settings, &remote.common.key),
        identity: identity(
            &remote.common,
            AccessRules::new(remote.common.key.clone(), None, remote.common.anonymous_read),
        ),
        url: remote.url.clone(),
        public_keys: remote.public_keys.clone(),
        signature: match remote.signature {
            SignatureMode::Upstream => SignedBy::Upstream,
            SignatureMode::Own => SignedBy::Own,
        },
        sealer: signer.map(|signer| ground.sealer(&remote.common, signer)),
        rules: FreshnessRules {
            ttl: remote.metadata_ttl,
            stale_while_revalidate: remote.stale_while_revalidate,
            max_stale: remote.max_stale,
            network: match remote.network {
                NetworkMode::Strict => UpstreamMode::Strict,
                NetworkMode::Fallback => UpstreamMode::Fallback,
                NetworkMode::Offline => UpstreamMode::Offline,
            },
        },
        missing_ttl: remote.missing_ttl,
        docs_ttl: remote.docs_ttl,
        deadline: settings.server.deadline,
        checksum_changes: match remote.checksum_changes {
            ChecksumChanges::Window => ChangeRule::Window,
            ChecksumChanges::Allow => ChangeRule::Allow,
            ChecksumChanges::Refuse => ChangeRule::Refuse,
        },
        on_delete: match remote.on_upstream_delete {
            OnDelete::Hide => OnRemoved::Hide,
            OnDelete::Keep => OnRemoved::Keep,
            OnDelete::Purge => OnRemoved::Purge,
        },
        api: None,
    }
}
