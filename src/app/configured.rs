//! The parts of the program that are built from the settings: repositories, accounts, keys and installers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::accounts;
use super::build::{self, BuildContext, BuiltRepository};
use super::error::StartError;
use super::installs::{BuiltInstalls, installs};
use crate::auth::{Accounts, RateLimiter, ServerSecret};
use crate::cache::SharedCaches;
use crate::client_setup::Endpoint;
use crate::config::settings::{AddressDetail, FetchLogSettings, RepositorySettings, Settings, SigningSettings};
use crate::hex::name::HEXPM;
use crate::http::dispatch::LiveState;
use crate::operations::Operations;
use crate::operations::setup::{Managed, MirrorSchedule, Setup};
use crate::operations::signing_keys::{KeyFile, SigningKeys};
use crate::repository::fetch_log::{Addresses, FetchLogOptions};
use crate::repository::{Catalog, Directory, FetchLog, KeyRing, LocalRepository};
use crate::shutdown;
use crate::size::ByteSize;

/// The parts of the program that are built from the settings.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) settings: Settings,
    keys: Arc<SigningKeys>,
    ring: Arc<KeyRing>,
    pub(super) built: Vec<BuiltRepository>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) installs: BuiltInstalls,
    limiter: Arc<RateLimiter>,
}

impl Configured {
    pub(super) fn live(
        &self,
        shared: &SharedCaches,
        fetch_log: &Arc<FetchLog>,
        operations: Weak<dyn Operations>,
        (public_url, upload_time): (String, Duration),
    ) -> Result<LiveState, StartError> {
        let repositories = self.built.iter().map(|built| built.repository.clone()).collect();
        Ok(LiveState {
            catalog: Arc::new(Catalog::new(repositories, &self.settings.default_repository)?),
            installs: Arc::clone(&self.installs.installs),
            keys: Arc::clone(&self.ring),
            accounts: Arc::clone(&self.accounts),
            limiter: Arc::clone(&self.limiter),
            fetch_log: Arc::clone(fetch_log),
            operations,
            clock: Arc::clone(&shared.clock),
            public_url: public_url.into(),
            trusted_proxies: self.settings.server.trusted_proxies.clone(),
            deadline: self.settings.server.deadline,
            upload_time,
            tasks: shared.tasks.clone(),
        })
    }

    /// Puts all repositories into the directory, so that they can find each other.
    pub(super) fn introduce(&self, directory: &Directory) {
        let repositories: Vec<_> = self.built.iter().map(|built| built.repository.clone()).collect();
        directory.set(&repositories, self.settings.default_repository.clone());
    }

    /// The setup for commands. `public_url` is the URL of the public listener.
    pub(super) fn setup(&self, public_url: String) -> Setup {
        let settings = &self.settings;
        Setup {
            repositories: self.built.iter().map(|built| managed(built, settings, &public_url)).collect(),
            default_repository: settings.default_repository.clone(),
            accounts: Arc::clone(&self.accounts),
            installs: Arc::clone(&self.installs.installs),
            signing_keys: Arc::clone(&self.keys),
            trusted_bundle_keys: settings.bundles.trusted_keys.clone(),
            cache_limit: settings.storage.cache_limit,
            deadline: settings.server.deadline,
            public_url,
        }
    }
}

fn managed(built: &BuiltRepository, settings: &Settings, public_url: &str) -> Managed {
    let remote = built.settings.as_remote();
    let mirror = remote.and_then(|remote| remote.mirror.as_ref()).map(|mirror| MirrorSchedule {
        every: mirror.schedule,
        packages: mirror.packages.set.clone(),
        latest: mirror.latest,
        docs: mirror.docs,
        connections: mirror.connections,
        rate: mirror.rate.map(ByteSize::bytes),
    });
    Managed {
        repository: built.repository.clone(),
        upstream_keys: remote.map(|remote| remote.public_keys.clone()).unwrap_or_default(),
        is_signed_here: built.settings.is_signed_here(),
        can_be_signed: built.signer.is_some(),
        mirror,
        endpoint: endpoint(&built.settings, settings, public_url),
    }
}

/// Whether mix can know it as an organization of the default repository, by the name and the key that it expects of one.
fn is_organization(repository: &RepositorySettings, settings: &Settings) -> bool {
    let common = repository.common();
    let default = settings.repositories.get(&settings.default_repository);
    common.direct
        && common.name == common.key
        && default.is_some_and(|default| {
            default.key() != repository.key()
                && default.common().name.as_str() == HEXPM
                && repository.verifies_like(default)
        })
}

/// What clients have to know of a repository.
fn endpoint(repository: &RepositorySettings, settings: &Settings, public_url: &str) -> Endpoint {
    let common = repository.common();
    let deploys = repository.as_virtual().is_some_and(|view| view.deploy_to.is_some());
    Endpoint {
        key: common.key.to_string(),
        name: common.name.to_string(),
        server: public_url.trim_end_matches('/').to_owned(),
        host: common.hosts.first().cloned(),
        is_default: common.key == settings.default_repository,
        is_organization: is_organization(repository, settings),
        is_open: common.anonymous_read,
        is_published_to: deploys || matches!(repository, RepositorySettings::Local(_)),
    }
}

/// The signing keys of this server.
fn signing_keys(settings: &SigningSettings) -> SigningKeys {
    let files = settings.keys.iter().map(|key| KeyFile { id: key.id.clone(), path: key.file.clone() });
    SigningKeys::new(files.collect(), settings.active.clone())
}

/// The options of the fetch log.
pub(super) fn fetch_log(settings: &FetchLogSettings) -> FetchLogOptions {
    FetchLogOptions {
        retain: settings.retain,
        addresses: match settings.addresses {
            AddressDetail::Full => Addresses::Full,
            AddressDetail::Prefix => Addresses::Prefix,
            AddressDetail::Off => Addresses::Off,
        },
    }
}

/// Builds all parts from `settings`. Unchanged parts of `before` are kept.
pub(super) async fn configure(
    settings: Settings,
    ground: BuildContext,
    secret: ServerSecret,
    before: Option<Arc<Configured>>,
) -> Result<Configured, StartError> {
    let handle = tokio::runtime::Handle::current();
    let configured = shutdown::blocking(move || {
        // HTTP clients need the runtime.
        let _entered = handle.enter();
        let keys = Arc::new(signing_keys(&settings.signing));
        let kept = before.as_ref().map(|before| before.built.as_slice()).unwrap_or_default();
        let built = build::repositories(&settings, &keys, &ground, kept)?;
        let installs = installs(&settings, &ground.shared, before.as_ref().map(|before| &before.installs))?;
        // Rate limiters keep their counts while their limits stay the same.
        let same = before.as_ref().filter(|before| before.settings.auth == settings.auth);
        let accounts = same.map(|before| Arc::clone(&before.accounts)).unwrap_or_else(|| {
            accounts::accounts(&settings.auth, ground.state.clone(), secret, Arc::clone(&ground.shared.clock))
        });
        let limiter = same.map(|before| Arc::clone(&before.limiter));
        let limiter = limiter.unwrap_or_else(|| Arc::new(RateLimiter::new(accounts::rates(&settings.auth))));
        let ring = Arc::new(build::key_ring(&settings, &keys, &ground.shared.store)?);
        Ok::<_, StartError>(Configured { settings, keys, ring, built, accounts, installs, limiter })
    })
    .await??;
    for local in configured.built.iter().filter_map(|built| built.repository.as_local()) {
        local.compare_with_files().await?;
        write_owed_sidecars(local).await;
    }
    Ok(configured)
}

/// Writes the sidecars of a repository that are owed.
pub(super) async fn write_owed_sidecars(local: &LocalRepository) {
    if let Err(error) = local.write_owed_sidecars().await {
        tracing::error!(
            repository = %local.key(), error = &error as &dyn std::error::Error,
            "cannot write the pending files beside tarballs"
        );
    }
}
