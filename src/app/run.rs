//! The daemon: starts the listeners and background tasks, and stops them in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::build::Inputs;
use super::configured::write_owed_sidecars;
use super::core::{Core, OnReload};
use super::error::StartError;
use crate::admin::ops::{Health, OpsListener};
use crate::admin::server::{AdminSocket, SOCKET};
use crate::config::settings::{Settings, as_limit};
use crate::http::Site;
use crate::http::listener::Listener;
use crate::http::tls;
use crate::operations::Operations;
use crate::repository::Repository;
use crate::shutdown::Tasks;
use crate::store::StoreLock;
use crate::telemetry::metrics::RepositoryLabels;
use crate::upstream::UpstreamState;

/// Time limit for active responses at a stop.
const BODIES_END: Duration = Duration::from_secs(30);

/// Interval at which the last use of keys and the fetch log are saved.
const USES_EVERY: Duration = Duration::from_secs(10);

/// Number of such intervals between two removals of expired tokens and old log lines: four removals a day.
const PURGE_EVERY: u64 = 6 * 360;

/// Number of such intervals between two attempts to write sidecars that are owed: one attempt a minute.
const OWED_EVERY: u64 = 6;

/// File in the storage path with the bound addresses. With port 0, this is the only way to find the port.
pub const ADDRESSES: &str = "addresses.json";

/// Addresses of the listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// `server.listen`
    pub listen: SocketAddr,
    /// `server.ops_listen`
    pub ops: SocketAddr,
}

/// A running daemon.
#[derive(Debug)]
pub struct App {
    core: Arc<Core>,
    addresses: Addresses,
    ready: Arc<AtomicBool>,
    /// Tasks of the public listener.
    public: Tasks,
    /// Tasks of the ops listener and the administration socket. They stop after the public listener, so that monitoring
    /// can observe a stop.
    private: Tasks,
}

/// The state that the ops listener reports.
#[derive(Debug)]
struct State {
    core: Arc<Core>,
    ready: Arc<AtomicBool>,
}

impl Health for State {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn metrics(&self) -> String {
        let metrics = &self.core.shared.metrics;
        metrics.cache_bytes.set(i64::try_from(self.core.shared.store.stored_bytes()).unwrap_or(i64::MAX));
        for repository in self.core.remotes() {
            let labels = RepositoryLabels { repository: repository.key().as_str().into() };
            let up = repository.upstream().state() == UpstreamState::Online;
            metrics.upstream_up.get_or_create(&labels).set(i64::from(up));
        }
        let labels = RepositoryLabels { repository: "installs".into() };
        let up = self.core.installs().upstream().state() == UpstreamState::Online;
        metrics.upstream_up.get_or_create(&labels).set(i64::from(up));
        metrics.render()
    }
}

impl App {
    /// Starts a daemon: locks the store and binds all addresses before it serves requests.
    pub async fn start(settings: Settings, inputs: Inputs) -> Result<Self, StartError> {
        let lock = StoreLock::take(&settings.storage.path)?;
        let tls = Arc::new(ArcSwapOption::from(server_tls(&settings)?));
        let socket = bind(settings.server.listen).await?;
        let ops_socket = bind(settings.server.ops_listen).await?;
        let max_connections = as_limit(settings.server.max_connections);
        let (logging, patience) = (inputs.logging.clone(), inputs.patience);
        let bound = |source| StartError::Bind { address: "a bound socket".to_owned(), source };
        let listens = socket.local_addr().map_err(bound)?;
        let core = Core::open(settings, lock, inputs).await?;
        let site = Arc::new(Site::new(core.live(listens)?, Arc::clone(&core.shared.metrics), logging));
        let swap = (Arc::clone(&site), Arc::clone(&tls));
        core.tell_reloads(OnReload(Box::new(move |live, settings| {
            let (site, tls) = &swap;
            tls.store(server_tls(settings)?);
            site.live.store(Arc::new(live));
            Ok(())
        })));
        let ready = Arc::new(AtomicBool::new(false));
        let listener = Listener::new(socket, site, tls, max_connections, patience);
        let health = State { core: Arc::clone(&core), ready: Arc::clone(&ready) };
        let ops = OpsListener::new(ops_socket, Arc::new(health));
        let path = core.shared.store.root().join(SOCKET);
        let operations: Arc<dyn Operations> = Arc::clone(&core) as _;
        let admin = AdminSocket::bind(&path, operations)
            .map_err(|source| StartError::Bind { address: path.display().to_string(), source })?;
        let addresses = Addresses { listen: listens, ops: ops.address().map_err(bound)? };

        let (public, private) = (Tasks::new(), Tasks::new());
        private.spawn(ops.run(private.clone()));
        private.spawn(admin.run(private.clone()));
        public.spawn(listener.run(public.clone()));
        let app = Self { core, addresses, ready, public, private };
        app.count_files();
        app.save_state_periodically();
        app.keep_mirrors();
        app.private.spawn(Arc::clone(&app.core).keep_evaluated(app.private.clone()));
        app.private.spawn(Arc::clone(&app.core).prefetch_requested_dependencies(app.private.clone()));
        app.private.spawn(Arc::clone(&app.core).keep_advisories(app.private.clone()));
        app.publish_addresses();
        app.ready.store(true, Ordering::Release);
        Ok(app)
    }

    /// The addresses of the listeners.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The store and its repositories.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Stops the daemon: reports "not ready", accepts no new connections, waits a limited time for active responses and
    /// downloads, and flushes all data.
    pub async fn stop(self) {
        self.ready.store(false, Ordering::Release);
        self.public.stop();
        let left = self.public.finish(BODIES_END).await;
        if left > 0 {
            tracing::warn!(
                left,
                "connections were closed before their responses were complete: the time limit for a stop was reached"
            );
        }
        self.private.stop();
        self.private.finish(Duration::from_secs(1)).await;
        if let Err(error) = self.core.shared.store.remove_own(ADDRESSES) {
            tracing::warn!(%error, "cannot remove the file with the listen addresses");
        }
        self.core.close().await;
    }

    /// Saves the last use of keys and the fetch log, removes expired entries, and writes sidecars that are owed.
    fn save_state_periodically(&self) {
        // A weak reference, so that a slow write does not keep the store open at a stop.
        let (core, tasks) = (Arc::downgrade(&self.core), self.private.clone());
        self.private.spawn(async move {
            let mut ticks = tokio::time::interval(USES_EVERY);
            let mut count: u64 = 0;
            loop {
                tokio::select! {
                    () = tasks.stopping() => break,
                    _ = ticks.tick() => {}
                }
                let Some((accounts, fetches)) = core.upgrade().map(|core| (core.accounts(), core.fetch_log())) else {
                    break;
                };
                let mut failed = accounts.write_last_uses().await.err().or(fetches.write().await.err());
                if count.is_multiple_of(PURGE_EVERY) {
                    failed = failed.or(accounts.purge().await.err()).or(fetches.clean().await.err());
                }
                if count.is_multiple_of(OWED_EVERY) {
                    let repositories = core.upgrade().map(|core| core.repositories()).unwrap_or_default();
                    for local in repositories.iter().filter_map(Repository::as_local) {
                        write_owed_sidecars(local).await;
                    }
                }
                if let Some(error) = failed {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "cannot save the last use of keys or the fetch log, or remove expired entries"
                    );
                }
                count += 1;
            }
        });
    }

    /// Runs the mirrors of the configuration by their schedules.
    fn keep_mirrors(&self) {
        let (operator, tasks) = (self.core.operator.clone(), self.private.clone());
        self.private.spawn(async move { operator.run_scheduled_mirrors(tasks).await });
    }

    /// Counts the cached files in the background, because this can take long for a large store.
    fn count_files(&self) {
        let store = Arc::clone(&self.core.shared.store);
        self.core.shared.tasks.spawn_blocking(move || {
            if let Err(error) = store.count() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot count the cached files: eviction is disabled"
                );
            }
        });
    }

    /// Writes the addresses to a file. If this fails, the daemon runs anyway: a read-only disk can still be served.
    fn publish_addresses(&self) {
        let store = &self.core.shared.store;
        let bytes = serde_json::to_vec(&self.addresses).unwrap_or_default();
        if let Err(error) = store.write_own(ADDRESSES, &bytes) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot write the file with the listen addresses"
            );
            // A file of an earlier run would contain wrong addresses.
            let _ = store.remove_own(ADDRESSES);
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address: address.to_string(), source })
}

fn server_tls(settings: &Settings) -> Result<Option<Arc<rustls::ServerConfig>>, StartError> {
    match &settings.server.tls {
        None => Ok(None),
        Some(files) => Ok(Some(tls::load(&files.cert, &files.key)?)),
    }
}
