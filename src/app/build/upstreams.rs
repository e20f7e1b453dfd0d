//! Builds the options of connections to upstreams from the settings.

use std::sync::Arc;

use super::BuildContext;
use crate::app::error::StartError;
use crate::cache::downloaded_file::{DumpFile, DumpOptions};
use crate::config::settings::{OsvSource, RemoteSettings, as_limit};
use crate::hex::limits;
use crate::repository::remote::AdvisoryFeed;
use crate::upstream::{USER_AGENT, UpstreamOptions};

pub(super) fn upstream_options(
    remote: &RemoteSettings,
    [ca_file, client_cert]: &[Option<Vec<u8>>; 2],
) -> UpstreamOptions {
    UpstreamOptions {
        url: remote.url.clone(),
        connect_timeout: remote.connect_timeout,
        read_timeout: remote.read_timeout,
        concurrency: as_limit(remote.concurrency),
        assumed_offline: remote.assumed_offline,
        credentials: remote.credential.clone(),
        proxy: remote.proxy.clone(),
        ca_file: ca_file.clone(),
        client_cert: client_cert.clone(),
        user_agent: USER_AGENT.to_owned(),
        per_minute: None,
    }
}

/// Options for the API of an upstream: the same as for its repository, but without credentials, and within the rate
/// limits of hex.pm.
pub(super) fn api_options(remote: &RemoteSettings, url: &str, files: &[Option<Vec<u8>>; 2]) -> UpstreamOptions {
    UpstreamOptions {
        url: url.to_owned(),
        concurrency: as_limit(remote.concurrency).min(limits::UPSTREAM_API_CONCURRENCY),
        credentials: None,
        client_cert: None,
        per_minute: Some(limits::UPSTREAM_API_PER_MINUTE),
        ..upstream_options(remote, files)
    }
}

/// The advisories of a dump, in addition to those of the index. A dump with a URL is downloaded with the same options
/// as the repository, but without credentials. Blocks.
pub(super) fn advisories(
    remote: &RemoteSettings,
    files: &[Option<Vec<u8>>; 2],
    ground: &BuildContext,
) -> Result<Option<AdvisoryFeed>, StartError> {
    let key = &remote.common.key;
    let (base, file) = match remote.advisories.as_ref().map(|found| &found.osv) {
        None => return Ok(None),
        Some(OsvSource::File { dump, .. }) => {
            let (dump, shared, together) = (Arc::clone(dump), ground.shared.clone(), Arc::clone(&ground.together));
            return Ok(Some(AdvisoryFeed::fixed(key.clone(), dump, shared, together)));
        }
        Some(OsvSource::Url { base, file }) => (base, file),
    };
    let options =
        UpstreamOptions { url: base.clone(), credentials: None, client_cert: None, ..upstream_options(remote, files) };
    let shared = ground.shared.clone();
    let upstream = crate::upstream::build(&options, Arc::clone(&shared.clock))
        .map_err(|source| StartError::Upstream { key: key.to_string(), source })?;
    let options = DumpOptions {
        key: key.to_string(),
        name: "osv",
        origin: base.clone(),
        path: file.clone(),
        most: limits::OSV_DUMP,
    };
    let dump = DumpFile::new(options, shared.clone(), upstream);
    Ok(Some(AdvisoryFeed::fetched(key.clone(), dump, shared, Arc::clone(&ground.together))))
}
