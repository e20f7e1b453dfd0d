//! An open store with its repositories: what the daemon serves, and what a command works on when no daemon runs.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::accounts;
use super::build::{self, Built, Ground, Inputs, StartError};
use super::fetches::fetch_log;
use super::installs::{BuiltInstalls, installs};
use super::keys::Keys;
use super::works::UnderWay;
use crate::admin::commands::{Command, Outcome};
use crate::admin::protocol::{Job, Key, Purge, PurgeReport};
use crate::admin::{Failure, Operations};
use crate::auth::{Accounts, RateLimiter, ServerSecret};
use crate::cache::{Memory, Shared};
use crate::config::settings::{LogLevel, Settings};
use crate::config::{show, unreloadable_changes};
use crate::hex::name::PackageName;
use crate::hex::resource::ArtifactName;
use crate::http::dispatch::Live;
use crate::repository::asked::{Asked, AskedFor};
use crate::repository::enforcer::Enforcers;
use crate::repository::{
    Catalog, Directory, FetchLog, Installs, KeyRing, LocalRepository, RemoteRepository, Repository,
};
use crate::shutdown::Tasks;
use crate::state::State;
use crate::state::audit::{Action, By};
use crate::store::{Store, StoreLock};
use crate::tasks::report::Reporter;
use crate::tasks::warm;
use crate::telemetry::metrics::{Metrics, ReasonLabels};

/// How long fetches may go on after everything else has stopped.
const FETCHES_END: Duration = Duration::from_secs(10);

/// An open store with its repositories.
#[derive(Debug)]
pub struct Core {
    /// What caches share.
    pub shared: Shared,
    state: State,
    directory: Arc<Directory>,
    fetch_log: Arc<FetchLog>,
    together: Arc<Enforcers>,
    secret: ServerSecret,
    inputs: Inputs,
    configured: ArcSwap<Configured>,
    /// What clients ask for, where what it depends on is to be brought.
    asked: AskedFor,
    heard: parking_lot::Mutex<Option<mpsc::Receiver<Asked>>>,
    /// Works that exclude each other.
    pub(super) under_way: UnderWay,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    /// What the public listener is bound to, where there is one.
    listens: OnceLock<SocketAddr>,
    /// Told of a new snapshot.
    on_reload: parking_lot::Mutex<Option<OnReload>>,
    /// Itself, for the API of administrators: what answers requests does not keep it open.
    me: Weak<Self>,
}

/// Puts a new snapshot in the place of the old one.
pub(super) struct OnReload(pub(super) Box<Take>);

type Take = dyn Fn(Live, &Settings) -> Result<(), StartError> + Send + Sync;

impl std::fmt::Debug for OnReload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnReload")
    }
}

/// What follows from the settings.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) settings: Settings,
    pub(super) keys: Keys,
    ring: Arc<KeyRing>,
    pub(super) built: Vec<Built>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) installs: BuiltInstalls,
    limiter: Arc<RateLimiter>,
}

impl Configured {
    fn live(
        &self,
        shared: &Shared,
        fetch_log: &Arc<FetchLog>,
        operations: Weak<dyn Operations>,
        (public_url, upload_time): (String, Duration),
    ) -> Result<Live, StartError> {
        let repositories = self.built.iter().map(|built| built.repository.clone()).collect();
        Ok(Live {
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

    /// Tells local repositories of their neighbours.
    fn introduce(&self, directory: &Directory) {
        let repositories = self.built.iter().map(|built| built.repository.clone()).collect();
        directory.set(repositories, self.settings.default_repository.clone());
    }

    fn repository(&self, key: &str) -> Result<&Built, Failure> {
        self.built.iter().find(|built| built.settings.key().as_str() == key).ok_or_else(|| {
            let known: Vec<&str> = self.built.iter().map(|built| built.settings.key().as_str()).collect();
            Failure(format!("there is no repository `{key}`; configured are: {}", known.join(", ")))
        })
    }
}

impl Core {
    /// Opens the store that `lock` is for.
    pub async fn open(settings: Settings, lock: StoreLock, inputs: Inputs) -> Result<Arc<Self>, StartError> {
        let metrics = Arc::new(Metrics::new());
        let (disk, clock) = (Arc::clone(&inputs.disk), Arc::clone(&inputs.clock));
        let (limit, counted) = (settings.storage.cache_limit.as_limit(), Arc::clone(&metrics));
        let opened = tokio::task::spawn_blocking(move || Store::open(lock, limit, disk, clock, &counted));
        let store = Arc::new(opened.await.map_err(|_| StartError::Task)??);
        let state = State::open(store.root()).await?;
        let shared = Shared {
            store,
            memory: Memory::new(settings.storage.memory_limit.as_limit()),
            clock: Arc::clone(&inputs.clock),
            tasks: Tasks::new(),
            metrics,
        };
        let opened = Arc::clone(&shared.store);
        let secret = tokio::task::spawn_blocking(move || accounts::secret(&opened));
        let secret = secret.await.map_err(|_| StartError::Task)??;
        let directory = Arc::new(Directory::default());
        let (counted, clock) = (Arc::clone(&shared.metrics), Arc::clone(&shared.clock));
        let log = FetchLog::new(fetch_log(&settings.fetch_log), state.clone(), clock, counted);
        let (asked, heard) = AskedFor::new(Arc::clone(&shared.clock), Arc::clone(&shared.metrics));
        let ground = Ground {
            asked: asked.clone(),
            shared: shared.clone(),
            state: state.clone(),
            directory: Arc::clone(&directory),
            fetch_log: Arc::new(log),
            together: Arc::default(),
        };
        let (log, together) = (Arc::clone(&ground.fetch_log), Arc::clone(&ground.together));
        let configured = configure(settings, ground, secret.clone(), None).await?;
        configured.introduce(&directory);
        for local in configured.built.iter().filter_map(|built| built.repository.as_local()) {
            local.catch_up().await;
        }
        let core = Arc::new_cyclic(|me| Self {
            shared,
            state,
            directory,
            fetch_log: log,
            together,
            secret,
            inputs,
            configured: ArcSwap::from_pointee(configured),
            asked,
            heard: parking_lot::Mutex::new(Some(heard)),
            under_way: UnderWay::default(),
            reloading: tokio::sync::Mutex::default(),
            listens: OnceLock::new(),
            on_reload: parking_lot::Mutex::default(),
            me: Weak::clone(me),
        });
        accounts::tell_taken_names(&core.accounts(), &core.repositories()).await;
        // Before files are counted: nothing is evicted until then.
        if let Err(failure) = core.keep_pinned().await {
            tracing::error!(%failure, "what lock files pin is not known: it may be evicted");
        }
        Ok(core)
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.configured.load().settings.clone()
    }

    /// What the public listener, which is bound to `bound`, answers by.
    pub(super) fn live(&self, bound: SocketAddr) -> Result<Live, StartError> {
        self.listens.get_or_init(|| bound);
        self.live_by(&self.configured.load())
    }

    fn live_by(&self, configured: &Configured) -> Result<Live, StartError> {
        let server = (self.public_url_by(&configured.settings), self.inputs.patience.upload);
        configured.live(&self.shared, &self.fetch_log, self.operations(), server)
    }

    fn public_url_by(&self, settings: &Settings) -> String {
        let server = &settings.server;
        self.listens.get().map_or_else(|| server.public_url.clone(), |bound| server.public_url_at(*bound))
    }

    /// Scheme and authority under which clients reach the public listener.
    pub fn public_url(&self) -> String {
        self.public_url_by(&self.configured.load().settings)
    }

    /// Itself, for what goes on when whoever has ordered it has gone.
    pub(super) fn me(&self) -> Result<Arc<Self>, Failure> {
        self.me.upgrade().ok_or_else(|| Failure("the store is being closed".to_owned()))
    }

    fn operations(&self) -> Weak<dyn Operations> {
        Weak::<Self>::clone(&self.me)
    }

    /// The accounts.
    pub fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.configured.load().accounts)
    }

    /// A repository by its key.
    pub(super) fn repository(&self, key: &str) -> Result<Repository, Failure> {
        Ok(self.configured.load().repository(key)?.repository.clone())
    }

    /// A remote repository by its key.
    pub(super) fn remote(&self, key: &str) -> Result<Arc<RemoteRepository>, Failure> {
        let found = self.repository(key)?;
        found.as_remote().map(Arc::clone).ok_or_else(|| Failure(format!("`{key}` has no upstream to mirror")))
    }

    /// A local repository by its key.
    pub(super) fn local(&self, key: &str) -> Result<Arc<LocalRepository>, Failure> {
        let configured = self.configured.load();
        let built = configured.repository(key)?;
        built
            .repository
            .as_local()
            .map(Arc::clone)
            .ok_or_else(|| Failure(format!("`{key}` is not a local repository: what it has is published elsewhere")))
    }

    /// The repositories.
    pub fn repositories(&self) -> Vec<Repository> {
        self.configured.load().built.iter().map(|built| built.repository.clone()).collect()
    }

    /// Those of type remote.
    pub fn remotes(&self) -> Vec<Arc<RemoteRepository>> {
        self.repositories().iter().filter_map(|repository| repository.as_remote().map(Arc::clone)).collect()
    }

    /// The installers.
    pub fn installs(&self) -> Arc<Installs> {
        Arc::clone(&self.configured.load().installs.installs)
    }

    /// The durable state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What repositories tell each other by.
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Who was delivered what.
    pub(super) fn fetch_log(&self) -> Arc<FetchLog> {
        Arc::clone(&self.fetch_log)
    }

    /// Brings what the things that clients ask for depend on, until `tasks` are told to stop.
    pub(super) async fn keep_warm(self: Arc<Self>, tasks: Tasks) {
        let Some(heard) = self.heard.lock().take() else { return };
        let asked = self.asked.clone();
        drop(self);
        warm::run(heard, asked, tasks).await;
    }

    pub(super) fn tell_reloads(&self, on_reload: OnReload) {
        *self.on_reload.lock() = Some(on_reload);
    }

    /// Lets fetches end, then closes index and database.
    pub async fn close(&self) {
        let left = self.shared.tasks.finish(FETCHES_END).await;
        if left > 0 {
            tracing::warn!(left, "fetches were abandoned; what they had is removed at the next start");
        }
        let store = Arc::clone(&self.shared.store);
        let flushed = tokio::task::spawn_blocking(move || store.index.flush()).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "the cache index was not flushed");
        }
        if let Err(error) = self.accounts().write_last_uses().await {
            tracing::warn!(%error, "when keys were used last was not written down");
        }
        if let Err(error) = self.fetch_log.write().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the end of the fetch log was not written");
        }
        self.directory.clear();
        self.state.close().await;
    }

    async fn try_reload(&self) -> Result<Vec<String>, Failure> {
        let _one = self.reloading.lock().await;
        let reread = self.inputs.reread.clone();
        let reread = reread.ok_or_else(|| Failure("this process has no configuration to read again".to_owned()))?;
        let settings = tokio::task::spawn_blocking(move || reread())
            .await
            .map_err(|_| Failure("the configuration could not be read".to_owned()))?
            .map_err(|error| Failure(error.to_string()))?;
        let before = self.configured.load_full();
        let fixed = unreloadable_changes(&before.settings, &settings);
        if !fixed.is_empty() {
            return Err(Failure(format!(
                "these keys cannot be changed while hexkeep runs, restart it: {}",
                fixed.join(", ")
            )));
        }
        let (shared, state) = (self.shared.clone(), self.state.clone());
        let directory = Arc::clone(&self.directory);
        let (log, together) = (Arc::clone(&self.fetch_log), Arc::clone(&self.together));
        let ground = Ground { shared, state, directory, fetch_log: log, together, asked: self.asked.clone() };
        let after = configure(settings, ground, self.secret.clone(), Some(Arc::clone(&before)))
            .await
            .map_err(|error| Failure::of(&error))?;
        let live = self.live_by(&after).map_err(|error| Failure::of(&error))?;
        if let Some(on_reload) = &*self.on_reload.lock() {
            (on_reload.0)(live, &after.settings).map_err(|error| Failure::of(&error))?;
        }
        let (store, limit) = (Arc::clone(&self.shared.store), after.settings.storage.cache_limit);
        if limit != before.settings.storage.cache_limit {
            let _ = tokio::task::spawn_blocking(move || store.set_limit(limit.as_limit())).await;
        }
        if let Some(logging) = &self.inputs.logging {
            logging.set_level(level(after.settings.log.level));
        }
        self.fetch_log.set(fetch_log(&after.settings.fetch_log));
        let changes = super::changes::changes(&before, &after);
        super::policies::tell_enforced(&before, &after);
        after.introduce(&self.directory);
        self.configured.store(Arc::new(after));
        accounts::tell_taken_names(&self.accounts(), &self.repositories()).await;
        Ok(changes)
    }

    async fn try_purge(&self, purge: Purge, by: &By) -> Result<PurgeReport, Failure> {
        let Some(key) = &purge.repository else { return self.purge_installs(by).await };
        let configured = self.configured.load_full();
        let repository = configured.repository(key)?.repository.clone();
        let repository = match repository {
            Repository::Remote(repository) => repository,
            Repository::Local(_) => {
                return Err(Failure(format!(
                    "`{key}` is a local repository: what it holds is no cache. To remove a release for good: hexkeep release remove"
                )));
            }
            Repository::Virtual(composed) => {
                let members = composed.members().iter().map(|member| member.repository.key().to_string());
                return Err(Failure(format!(
                    "`{key}` is a virtual repository and caches nothing of its own; purge its members: {}",
                    members.collect::<Vec<_>>().join(", ")
                )));
            }
        };
        let package: Option<PackageName> = match &purge.package {
            Some(name) => Some(name.parse().map_err(|error| Failure::of(&error))?),
            None => None,
        };
        let release = match (&package, &purge.version) {
            (_, None) => None,
            (Some(package), Some(version)) => {
                let version = version.parse().map_err(|error| Failure::of(&error))?;
                Some(ArtifactName { package: package.clone(), version })
            }
            (None, Some(_)) => return Err(Failure("a version needs a package".to_owned())),
        };
        let purged = repository.purge(package.as_ref(), release.as_ref()).await;
        let purged = purged.map_err(|error| Failure::of(&error))?;
        let detail = format!(
            "{} resources, {} tarballs and {} docs were removed",
            purged.resources, purged.tarballs, purged.docs
        );
        let subject = (key.as_str(), purge.package.as_deref(), purge.version.as_deref());
        let audited = self.state.audit_by(self.shared.clock.now(), Action::Purged, subject, &detail, by).await;
        audited.map_err(|error| Failure::of(&error))?;
        tracing::info!(repository = key, package = purge.package, version = purge.version, "{detail}");
        Ok(PurgeReport {
            resources: purged.resources,
            tarballs: purged.tarballs,
            docs: purged.docs,
            ..PurgeReport::default()
        })
    }

    async fn purge_installs(&self, by: &By) -> Result<PurgeReport, Failure> {
        let purged = self.installs().purge().await.map_err(|error| Failure::of(&error))?;
        let detail = format!("{} lists and {} files of installers were removed", purged.lists, purged.files);
        let (at, subject) = (self.shared.clock.now(), ("installs", None, None));
        let audited = self.state.audit_by(at, Action::Purged, subject, &detail, by).await;
        audited.map_err(|error| Failure::of(&error))?;
        tracing::info!("{detail}");
        Ok(PurgeReport { lists: purged.lists, installers: purged.files, ..PurgeReport::default() })
    }

    async fn keys_of(&self, repository: String) -> Result<Vec<Key>, Failure> {
        let configured = self.configured.load_full();
        let built = configured.repository(&repository)?;
        let upstream = built.settings.as_remote().map(|remote| remote.public_keys.as_slice()).unwrap_or_default();
        let upstream = upstream.iter().map(|key| Key {
            id: "upstream".to_owned(),
            pem: key.to_spki_pem().to_owned(),
            fingerprint: key.fingerprint().to_string(),
        });
        let upstream: Vec<Key> = upstream.collect();
        // At /repos/KEY a repository is an organization of the default one, and has its signature.
        let default = configured.repository(configured.settings.default_repository.as_str())?;
        let ours_first = built.settings.is_signed_here() || default.settings.is_signed_here();
        let never_upstream = built.settings.is_signed_here();
        if built.signer.is_none() {
            return Ok(upstream);
        }
        let own = self.own_keys(Arc::clone(&configured)).await?;
        Ok(match (ours_first, never_upstream) {
            (_, true) => own,
            (true, false) => own.into_iter().chain(upstream).collect(),
            (false, false) => upstream.into_iter().chain(own).collect(),
        })
    }

    async fn own_keys(&self, configured: Arc<Configured>) -> Result<Vec<Key>, Failure> {
        let store = Arc::clone(&self.shared.store);
        let signers = tokio::task::spawn_blocking(move || configured.keys.all(&store))
            .await
            .map_err(|_| Failure("the keys could not be read".to_owned()))?
            .map_err(|error| Failure::of(&error))?;
        let key = |(id, signer): (String, Arc<crate::trust::Signer>)| Key {
            id,
            pem: signer.public_key().to_spki_pem().to_owned(),
            fingerprint: signer.fingerprint().to_string(),
        };
        Ok(signers.into_iter().map(key).collect())
    }
}

/// The level of the log as its own room names it.
pub fn level(level: LogLevel) -> tracing_subscriber::filter::LevelFilter {
    use tracing_subscriber::filter::LevelFilter;
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

async fn configure(
    settings: Settings,
    ground: Ground,
    secret: ServerSecret,
    before: Option<Arc<Configured>>,
) -> Result<Configured, StartError> {
    let handle = tokio::runtime::Handle::current();
    let (configured, found) = tokio::task::spawn_blocking(move || {
        // Clients of upstreams attach themselves to the runtime.
        let _entered = handle.enter();
        let keys = Keys::new(settings.signing.clone());
        let kept = before.as_ref().map(|before| before.built.as_slice()).unwrap_or_default();
        let built = build::repositories(&settings, &keys, &ground, kept)?;
        let installs = installs(&settings, &ground.shared, before.as_ref().map(|before| &before.installs))?;
        // What is counted goes on being counted while its limits are the same.
        let same = before.as_ref().filter(|before| before.settings.auth == settings.auth);
        let accounts = same.map(|before| Arc::clone(&before.accounts)).unwrap_or_else(|| {
            accounts::accounts(&settings.auth, ground.state.clone(), secret, Arc::clone(&ground.shared.clock))
        });
        let limiter = same.map(|before| Arc::clone(&before.limiter));
        let limiter = limiter.unwrap_or_else(|| Arc::new(RateLimiter::new(accounts::rates(&settings.auth))));
        let ring = Arc::new(build::key_ring(&settings, &keys, &ground.shared.store)?);
        let locals = built.iter().filter_map(|built| built.repository.as_local());
        let found = locals.map(|local| Ok((Arc::clone(local), local.names_in_files()?)));
        let found = found.collect::<Result<Vec<_>, StartError>>()?;
        Ok::<_, StartError>((Configured { settings, keys, ring, built, accounts, installs, limiter }, found))
    })
    .await
    .map_err(|_| StartError::Task)??;
    for (local, names) in found {
        local.claim_found(names).await?;
    }
    Ok(configured)
}

impl Operations for Core {
    fn purge(&self, purge: Purge, by: By) -> BoxFuture<'_, Result<PurgeReport, Failure>> {
        Box::pin(async move { self.try_purge(purge, &by).await })
    }

    fn public_keys(&self, repository: String) -> BoxFuture<'_, Result<Vec<Key>, Failure>> {
        Box::pin(self.keys_of(repository))
    }

    fn work(&self, job: Job, report: Reporter) -> BoxFuture<'_, Result<Outcome, Failure>> {
        Box::pin(self.do_work(job, report))
    }

    fn administer(&self, command: Command, by: By) -> BoxFuture<'_, Result<Outcome, Failure>> {
        Box::pin(self.carry_out(command, by))
    }

    fn show_config(&self) -> BoxFuture<'_, Result<String, Failure>> {
        Box::pin(async { show(&self.configured.load().settings).map_err(|error| Failure::of(&error)) })
    }

    fn reload(&self) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        Box::pin(async {
            let outcome = self.try_reload().await;
            let reason = if outcome.is_ok() { "taken" } else { "refused" };
            let metrics = &self.shared.metrics;
            metrics.reloads.get_or_create(&ReasonLabels { repository: "-".into(), reason }).inc();
            metrics.config_current.set(if outcome.is_ok() { 1.0 } else { 0.0 });
            match &outcome {
                Ok(changes) if changes.is_empty() => {
                    tracing::info!("the configuration was read again: nothing has changed")
                }
                Ok(changes) => tracing::info!(changes = changes.join("; "), "the configuration was read again"),
                Err(failure) => {
                    tracing::error!(%failure, "the new configuration is refused: the old one stays in force")
                }
            }
            outcome
        })
    }
}
