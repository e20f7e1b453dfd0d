//! An open store with its repositories. The daemon serves it; a command uses it directly when no daemon runs.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::accounts;
use super::build::{BuildContext, Inputs};
use super::configured::{Configured, configure, fetch_log};
use super::error::StartError;
use crate::auth::{Accounts, ServerSecret};
use crate::cache::{Memory, SharedCaches};
use crate::config::settings::{LogLevel, Settings};
use crate::config::show;
use crate::http::dispatch::LiveState;
use crate::operations::commands::Command;
use crate::operations::jobs::Job;
use crate::operations::operator::Operator;
use crate::operations::outcome::CommandOutcome;
use crate::operations::public_keys::Key;
use crate::operations::purge::{Purge, PurgeReport};
use crate::operations::{OperationError, Operations};
use crate::repository::enforcer::Enforcers;
use crate::repository::prefetch_queue::{PrefetchQueue, PrefetchRequest};
use crate::repository::{Changes, Directory, FetchLog, Installs, RemoteRepository, Repository};
use crate::shutdown::{self, Tasks};
use crate::state::State;
use crate::state::audit::Actor;
use crate::store::{Store, StoreLock};
use crate::tasks::prefetch_closure;
use crate::tasks::report::Reporter;
use crate::telemetry::metrics::Metrics;

/// Time limit for active downloads after everything else has stopped.
const FETCHES_END: Duration = Duration::from_secs(10);

/// An open store with its repositories.
#[derive(Debug)]
pub struct Core {
    /// Shared parts of all caches.
    pub shared: SharedCaches,
    pub(super) state: State,
    pub(super) directory: Arc<Directory>,
    pub(super) changes: Arc<Changes>,
    pub(super) fetch_log: Arc<FetchLog>,
    pub(super) together: Arc<Enforcers>,
    pub(super) secret: ServerSecret,
    pub(super) inputs: Inputs,
    pub(super) configured: ArcSwap<Configured>,
    /// Requests of clients whose dependencies are prefetched.
    pub(super) asked: PrefetchQueue,
    heard: parking_lot::Mutex<Option<mpsc::Receiver<PrefetchRequest>>>,
    /// Executes commands and jobs.
    pub(super) operator: Operator,
    /// Ensures that only one reload runs at a time.
    pub(super) reloading: tokio::sync::Mutex<()>,
    /// Address of the public listener, if there is one.
    listens: OnceLock<SocketAddr>,
    /// Called with the new state after a reload.
    pub(super) on_reload: parking_lot::Mutex<Option<OnReload>>,
    /// A weak reference to itself for the administrative API, so that request handlers do not keep the store open.
    me: Weak<Self>,
}

/// A function that replaces the state of the public listener.
pub(super) struct OnReload(pub(super) Box<Take>);

type Take = dyn Fn(LiveState, &Settings) -> Result<(), StartError> + Send + Sync;

impl std::fmt::Debug for OnReload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnReload")
    }
}

impl Core {
    /// Opens the store of `lock`.
    pub async fn open(settings: Settings, lock: StoreLock, inputs: Inputs) -> Result<Arc<Self>, StartError> {
        let metrics = Arc::new(Metrics::new());
        let (disk, clock) = (Arc::clone(&inputs.disk), Arc::clone(&inputs.clock));
        let (limit, counted) = (settings.storage.cache_limit.as_limit(), Arc::clone(&metrics));
        let opened = shutdown::blocking(move || Store::open(lock, limit, disk, clock, &counted));
        let store = Arc::new(opened.await??);
        let state = State::open(store.root()).await?;
        let shared = SharedCaches {
            store,
            memory: Memory::new(settings.storage.memory_limit.as_limit()),
            clock: Arc::clone(&inputs.clock),
            tasks: Tasks::new(),
            metrics,
        };
        let opened = Arc::clone(&shared.store);
        let secret = shutdown::blocking(move || accounts::secret(&opened));
        let secret = secret.await??;
        let (directory, changes) = (Arc::new(Directory::default()), Arc::new(Changes::default()));
        let (counted, clock) = (Arc::clone(&shared.metrics), Arc::clone(&shared.clock));
        let log = FetchLog::new(fetch_log(&settings.fetch_log), state.clone(), clock, counted);
        let (asked, heard) = PrefetchQueue::new(Arc::clone(&shared.clock), Arc::clone(&shared.metrics));
        let ground = BuildContext {
            asked: asked.clone(),
            shared: shared.clone(),
            state: state.clone(),
            directory: Arc::clone(&directory),
            changes: Arc::clone(&changes),
            fetch_log: Arc::new(log),
            together: Arc::default(),
        };
        let (log, together) = (Arc::clone(&ground.fetch_log), Arc::clone(&ground.together));
        let configured = configure(settings, ground, secret.clone(), None).await?;
        configured.introduce(&directory);
        let setup = configured.setup(configured.settings.server.public_url.clone());
        let operator = Operator::new(shared.clone(), state.clone(), Arc::clone(&log), setup);
        let core = Arc::new_cyclic(|me| Self {
            shared,
            state,
            directory,
            changes,
            fetch_log: log,
            together,
            secret,
            inputs,
            configured: ArcSwap::from_pointee(configured),
            asked,
            heard: parking_lot::Mutex::new(Some(heard)),
            operator,
            reloading: tokio::sync::Mutex::default(),
            listens: OnceLock::new(),
            on_reload: parking_lot::Mutex::default(),
            me: Weak::clone(me),
        });
        accounts::warn_about_name_conflicts(&core.accounts(), &core.repositories()).await;
        // Done before files are counted, because eviction starts only after that.
        if let Err(error) = core.operator.protect_pinned().await {
            let failure = error.sentence();
            tracing::error!(%failure, "cannot read the pins: pinned files may be evicted");
        }
        Ok(core)
    }

    /// The state for the public listener, which is bound to `bound`.
    pub fn live(&self, bound: SocketAddr) -> Result<LiveState, StartError> {
        self.listens.get_or_init(|| bound);
        let configured = self.configured.load();
        self.operator.replace_setup(configured.setup(self.public_url()));
        self.live_by(&configured)
    }

    pub(super) fn live_by(&self, configured: &Configured) -> Result<LiveState, StartError> {
        let server = (self.public_url_by(&configured.settings), self.inputs.patience.upload);
        configured.live(&self.shared, &self.fetch_log, self.operations(), server)
    }

    pub(super) fn public_url_by(&self, settings: &Settings) -> String {
        let server = &settings.server;
        self.listens.get().map_or_else(|| server.public_url.clone(), |bound| server.public_url_at(*bound))
    }

    /// URL at which clients reach the public listener.
    pub fn public_url(&self) -> String {
        self.public_url_by(&self.configured.load().settings)
    }

    fn operations(&self) -> Weak<dyn Operations> {
        Weak::<Self>::clone(&self.me)
    }

    /// The accounts of the active configuration.
    pub fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.configured.load().accounts)
    }

    /// All repositories.
    pub fn repositories(&self) -> Vec<Repository> {
        self.configured.load().built.iter().map(|built| built.repository.clone()).collect()
    }

    /// All repositories of type remote.
    pub fn remotes(&self) -> Vec<Arc<RemoteRepository>> {
        self.repositories().iter().filter_map(|repository| repository.as_remote().map(Arc::clone)).collect()
    }

    /// The installers of the active configuration.
    pub fn installs(&self) -> Arc<Installs> {
        Arc::clone(&self.configured.load().installs.installs)
    }

    /// The durable state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The fetch log.
    pub(super) fn fetch_log(&self) -> Arc<FetchLog> {
        Arc::clone(&self.fetch_log)
    }

    /// Prefetches the dependencies of requested releases, until `tasks` stop.
    pub(super) async fn prefetch_requested_dependencies(self: Arc<Self>, tasks: Tasks) {
        let Some(heard) = self.heard.lock().take() else { return };
        let asked = self.asked.clone();
        drop(self);
        prefetch_closure::run(heard, asked, tasks).await;
    }

    pub(super) fn tell_reloads(&self, on_reload: OnReload) {
        *self.on_reload.lock() = Some(on_reload);
    }

    /// Waits for active downloads, then closes the index and the database.
    pub async fn close(&self) {
        let left = self.shared.tasks.finish(FETCHES_END).await;
        if left > 0 {
            tracing::warn!(
                left,
                "active downloads were cancelled; their temporary files are removed at the next start"
            );
        }
        let store = Arc::clone(&self.shared.store);
        let flushed = shutdown::blocking(move || store.index.flush()).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "cannot write the cache index to disk");
        }
        if let Err(error) = self.accounts().write_last_uses().await {
            tracing::warn!(%error, "cannot save the last use of keys");
        }
        if let Err(error) = self.fetch_log.write().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot save the latest entries of the fetch log");
        }
        if let Err(error) = self.state.clear_written_sidecars().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "cannot record which files beside tarballs were written: they are compared with the database at the next start"
            );
        }
        self.state.close().await;
    }
}

/// Converts the configured log level for the logging library.
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

impl Operations for Core {
    fn purge(&self, purge: Purge, by: Actor) -> BoxFuture<'_, Result<PurgeReport, OperationError>> {
        Box::pin(async move { self.operator.purge(purge, &by).await })
    }

    fn public_keys(&self, repository: String) -> BoxFuture<'_, Result<Vec<Key>, OperationError>> {
        Box::pin(async move { self.operator.public_keys(&repository).await })
    }

    fn work(&self, job: Job, report: Reporter) -> BoxFuture<'_, Result<CommandOutcome, OperationError>> {
        Box::pin(self.operator.work(job, report))
    }

    fn administer(&self, command: Command, by: Actor) -> BoxFuture<'_, Result<CommandOutcome, OperationError>> {
        Box::pin(self.operator.administer(command, by))
    }

    fn show_config(&self) -> BoxFuture<'_, Result<String, OperationError>> {
        Box::pin(async {
            show(&self.configured.load().settings).map_err(|error| OperationError::Configuration(error.into()))
        })
    }

    fn reload(&self) -> BoxFuture<'_, Result<Vec<String>, OperationError>> {
        Box::pin(async { self.reread().await.map_err(|error| OperationError::Configuration(error.into())) })
    }
}
