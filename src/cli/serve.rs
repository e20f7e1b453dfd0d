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

/// Maximum number of threads for blocking work: files, hashes, signatures. Idle threads end after some seconds.
const BLOCKING_THREADS: usize = 64;

/// Number of threads that serve requests. One core stays free for blocking work and for the network code of the kernel.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).max(1)
}

async fn serve(settings: Settings, inputs: Inputs) -> Result<(), CommandError> {
    // Installed before any address is bound, so that no signal gets its default action.
    let mut signals = Signals::new()?;
    let (storage, default) = (settings.storage.path.clone(), settings.default_repository.to_string());
    let has_hexpms_key = default_uses_hexpm_key(&settings);
    let app = App::start(settings, inputs).await?;
    let addresses = app.addresses();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), listen = %addresses.listen, ops = %addresses.ops,
        storage = %storage.display(), "hexkeep is ready"
    );
    let public_url = app.core().public_url();
    tracing::info!("{}", client_instructions(has_hexpms_key, &default, &public_url));
    loop {
        tokio::select! {
            _ = signals.reload.recv() => {
                // The result is in the log.
                let _ = app.core().reload().await;
            }
            _ = signals.stop.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    tracing::info!("stopping: waiting for active requests");
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Whether clients verify the default repository with the key of hex.pm, which is built into them.
fn default_uses_hexpm_key(settings: &Settings) -> bool {
    let default = settings.repositories.get(&settings.default_repository);
    default.filter(|default| !default.is_signed_here()).and_then(|default| default.as_remote()).is_some_and(|remote| {
        let is_hexpms = |key: &PublicKey| *key == PublicKey::hexpm();
        !remote.public_keys.is_empty() && remote.public_keys.iter().all(is_hexpms)
    })
}

/// Instructions to configure clients for this server.
fn client_instructions(has_hexpms_key: bool, default: &str, url: &str) -> String {
    if has_hexpms_key {
        return format!("to use this server, set HEX_MIRROR_URL={url} for mix and HEX_CDN={url} for rebar3");
    }
    format!(
        "to use this server with mix, run: mix hex.repo set hexpm --url {url} --public-key FILE; with rebar3, set \
         HEX_CDN={url} and write the key as repo_public_key in rebar.config; to print the key, run: hexkeep public-key {default}"
    )
}

struct Signals {
    stop: Signal,
    interrupt: Signal,
    reload: Signal,
    /// Sent if a file would exceed the limit of the process (`ulimit -f`). The signal would end the process; with a
    /// handler, the write fails with an error instead.
    _file_too_large: Signal,
}

impl Signals {
    fn new() -> Result<Self, TerminalError> {
        let listen = |kind| signal(kind).map_err(TerminalError::System);
        Ok(Self {
            stop: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
            _file_too_large: listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }
}
