//! Default values of the configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::size::ByteSize;

pub(super) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);
pub(super) const OPS_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4001);
pub(super) const MAX_CONNECTIONS: usize = 10_000;
/// Less than the 15 s that clients wait for a request.
pub(super) const DEADLINE: Duration = Duration::from_secs(11);
pub(super) const STORAGE_PATH: &str = "hexkeep-data";
pub(super) const CACHE_LIMIT: ByteSize = ByteSize::new(50 << 30);
pub(super) const MEMORY_LIMIT: ByteSize = ByteSize::new(128 << 20);
pub(super) const SIGNING_KEY: &str = "k1";
pub(super) const DEFAULT_REPOSITORY: &str = "hexpm";
/// URL of the installers of hex.pm.
pub(super) const INSTALLS_URL: &str = "https://builds.hex.pm";
pub(super) const INSTALLS_TTL: Duration = Duration::from_secs(15 * 60);
/// URL of the API of hex.pm.
pub(super) const HEXPM_API: &str = "https://hex.pm/api";
/// Default of the section `repositories`.
pub(super) const REPOSITORIES: &str = "hexpm: { type: remote, url: \"https://repo.hex.pm\" }";
pub(super) const INCLUDE: &str = "*";
pub(super) const METADATA_TTL: Duration = Duration::from_secs(60);
pub(super) const STALE_WHILE_REVALIDATE: Duration = Duration::from_secs(5 * 60);
pub(super) const MAX_STALE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(super) const MISSING_TTL: Duration = Duration::from_secs(60);
pub(super) const DOCS_TTL: Duration = Duration::from_secs(60 * 60);
pub(super) const ASSUMED_OFFLINE: Duration = Duration::from_secs(30);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const CONCURRENCY: usize = 32;
/// Two more than the connections of a browser to one server.
pub(super) const MIRROR_CONNECTIONS: usize = 8;
/// API requests per minute, the same as on hex.pm.
pub(super) const RATE_PER_ACCOUNT: usize = 500;
pub(super) const RATE_PER_ADDRESS: usize = 100;
/// Wrong credentials per minute.
pub(super) const FAILED_LOGINS: usize = 10;
pub(super) const FETCH_LOG_RETAIN: Duration = Duration::from_secs(90 * 24 * 3600);
