//! What holds where nothing is written.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::size::ByteSize;

pub(super) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);
pub(super) const OPS_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4001);
pub(super) const MAX_CONNECTIONS: usize = 10_000;
/// Clients give a whole request 15 s.
pub(super) const DEADLINE: Duration = Duration::from_secs(11);
pub(super) const STORAGE_PATH: &str = "hexkeep-data";
pub(super) const CACHE_LIMIT: ByteSize = ByteSize::new(50 << 30);
pub(super) const MEMORY_LIMIT: ByteSize = ByteSize::new(128 << 20);
pub(super) const SIGNING_KEY: &str = "k1";
pub(super) const DEFAULT_REPOSITORY: &str = "hexpm";
/// Where hex.pm has the installers.
pub(super) const INSTALLS_URL: &str = "https://builds.hex.pm";
pub(super) const INSTALLS_TTL: Duration = Duration::from_secs(15 * 60);
/// The API of hex.pm's public repository.
pub(super) const HEXPM_API: &str = "https://hex.pm/api";
/// `repositories` where there is none.
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
/// As many connections as a browser makes to one server, and two more.
pub(super) const MIRROR_CONNECTIONS: usize = 8;
/// API requests a minute, as hex.pm has it.
pub(super) const RATE_PER_ACCOUNT: usize = 500;
pub(super) const RATE_PER_ADDRESS: usize = 100;
/// Wrong credentials a minute.
pub(super) const FAILED_LOGINS: usize = 10;
pub(super) const FETCH_LOG_RETAIN: Duration = Duration::from_secs(90 * 24 * 3600);
