//! Builds the installers from the settings.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::error::StartError;
use crate::cache::SharedCaches;
use crate::cache::freshness::UpstreamMode;
use crate::config::settings::{InstallsSettings, NetworkMode, RepositorySettings, Settings};
use crate::repository::Installs;
use crate::repository::installs::InstallsOptions;
use crate::upstream::UpstreamOptions;

/// Time after which a missing or invalid file is requested again.
const MISSING_TTL: Duration = Duration::from_secs(60);

/// The installers with the settings that they were built from.
#[derive(Clone, Debug)]
pub(super) struct BuiltInstalls {
    from: (InstallsSettings, UpstreamMode, Duration, Option<Vec<u8>>),
    pub(super) installs: Arc<Installs>,
}

/// Builds the installers of `settings`, or keeps those of `before` if nothing has changed for them.
pub(super) fn installs(
    settings: &Settings,
    shared: &SharedCaches,
    before: Option<&BuiltInstalls>,
) -> Result<BuiltInstalls, StartError> {
    let wanted = &settings.installs;
    let read = |path: &std::path::PathBuf| {
        fs::read(path).map_err(|source| StartError::InstallsFile { path: path.clone(), source })
    };
    let ca_file = wanted.ca_file.as_ref().map(read).transpose()?;
    let from = (wanted.clone(), network(settings), settings.server.deadline, ca_file.clone());
    if let Some(before) = before.filter(|before| before.from == from) {
        return Ok(before.clone());
    }
    let upstream = UpstreamOptions { proxy: wanted.proxy.clone(), ca_file, ..UpstreamOptions::new(&wanted.url) };
    let upstream = crate::upstream::build(&upstream, Arc::clone(&shared.clock)).map_err(StartError::Installs)?;
    let options = InstallsOptions {
        url: wanted.url.clone(),
        ttl: wanted.ttl,
        network: network(settings),
        public_keys: wanted.public_keys.clone(),
        missing_ttl: MISSING_TTL,
        deadline: settings.server.deadline,
    };
    Ok(BuiltInstalls { from, installs: Arc::new(Installs::new(options, shared.clone(), upstream)) })
}

/// If all remote repositories are offline, installers are offline, too.
fn network(settings: &Settings) -> UpstreamMode {
    let mut remotes = settings.repositories.values().filter_map(RepositorySettings::as_remote).peekable();
    let offline = remotes.peek().is_some() && remotes.all(|remote| remote.network == NetworkMode::Offline);
    if offline { UpstreamMode::Offline } else { UpstreamMode::Fallback }
}
