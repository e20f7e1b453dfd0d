//! From settings to how an upstream is reached.

use crate::config::settings::RemoteSettings;
use crate::hex::limits;
use crate::upstream::{USER_AGENT, UpstreamOptions};

pub(super) fn upstream_options(
    remote: &RemoteSettings,
    [ca_file, client_cert]: &[Option<Vec<u8>>; 2],
) -> UpstreamOptions {
    UpstreamOptions {
        url: remote.url.clone(),
        connect_timeout: remote.connect_timeout,
        read_timeout: remote.read_timeout,
        concurrency: remote.concurrency,
        assumed_offline: remote.assumed_offline,
        credentials: remote.credential.clone(),
        proxy: remote.proxy.clone(),
        ca_file: ca_file.clone(),
        client_cert: client_cert.clone(),
        user_agent: USER_AGENT.to_owned(),
        per_minute: None,
    }
}

/// Reached like the repository, but by nobody in particular, and within the limits of hex.pm.
pub(super) fn api_options(remote: &RemoteSettings, url: &str, files: &[Option<Vec<u8>>; 2]) -> UpstreamOptions {
    UpstreamOptions {
        url: url.to_owned(),
        concurrency: remote.concurrency.min(limits::UPSTREAM_API_CONCURRENCY),
        credentials: None,
        client_cert: None,
        per_minute: Some(limits::UPSTREAM_API_PER_MINUTE),
        ..upstream_options(remote, files)
    }
}
