//! `hexkeep serve`

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CommandError, TerminalError, load};
use crate::app::core::level;
use crate::app::{App, Inputs};
use crate::config::settings::{LogFormat, Settings};
use crate::config::{Loaded, Source};
use crate::operations::Operations as _;
use crate::telemetry::logging::{Format, Logging};
use crate::trust::PublicKey;

pub(super) fn run(source: Source) -> Result<(), CommandError> {
    let Loaded { settings, advice } = load(source.clone())?;
    let format = match settings.log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let logging = Logging::start(format, level(settings.log.level)).map_err(TerminalError::from)?;
    for sentence in &advice {
        tracing::warn!("{sentence}");
    }
    let reread = move || load(source.clone()).map(|loaded| loaded.settings);
    let inputs = Inputs { logging: Some(logging.clone()), reread: Some(Arc::new(reread)), ..Inputs::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(TerminalError::System)?;
    let outcome = runtime.block_on(serve(settings, inputs));
    runtime.shutdown_background();
    logging.flush();
    outcome
}

/// Threads for what blocks: files, hashing, signatures. Idle ones end by themselves.
const BLOCKING_THREADS: usize = 64;

/// Threads that serve. One core is left to what blocks: hashing, signatures, disk, and the kernel's side of the network.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).max(1)
}

async fn serve(settings: Settings, inputs: Inputs) -> Result<(), CommandError> {
    // Before anything is bound, so that no signal is met by its default.
    let mut signals = Signals::new()?;
    let (storage, default) = (settings.storage.path.clone(), settings.default_repository.to_string());
    let has_hexpms_key = passes_hexpms_signature(&settings);
    let app = App::start(settings, inputs).await?;
    let addresses = app.addresses();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), listen = %addresses.listen, ops = %addresses.ops,
        storage = %storage.display(), "hexkeep is ready"
    );
    let public_url = app.core().public_url();
    tracing::info!("{}", pointing(has_hexpms_key, &default, &public_url));
    loop {
        tokio::select! {
            _ = signals.reload.recv() => {
                // What came of it is in the log.
                let _ = app.core().reload().await;
            }
            _ = signals.stop.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    tracing::info!("stopping: finishing what is under way");
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Whether clients verify what the default repository hands out with the key of hex.pm, which they have.
fn passes_hexpms_signature(settings: &Settings) -> bool {
    let default = settings.repositories.get(&settings.default_repository);
    default.filter(|default| !default.is_signed_here()).and_then(|default| default.as_remote()).is_some_and(|remote| {
        let is_hexpms = |key: &PublicKey| *key == PublicKey::hexpm();
        !remote.public_keys.is_empty() && remote.public_keys.iter().all(is_hexpms)
    })
}

/// How clients are pointed at this server.
fn pointing(has_hexpms_key: bool, default: &str, url: &str) -> String {
    if has_hexpms_key {
        return format!("point mix at it with HEX_MIRROR_URL={url}, rebar3 with HEX_CDN={url}");
    }
    format!(
        "point mix at it with mix hex.repo set hexpm --url {url} --public-key FILE, rebar3 with HEX_CDN={url} and the key as \
         repo_public_key in rebar.config; hexkeep public-key {default} prints the key"
    )
}

struct Signals {
    stop: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> Result<Self, TerminalError> {
        let listen = |kind| signal(kind).map_err(TerminalError::System);
        Ok(Self {
            stop: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
        })
    }
}
