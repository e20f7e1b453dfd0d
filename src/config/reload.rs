//! Finds changes of the configuration that need a restart.

use super::settings::Settings;

/// The YAML paths of keys that differ between `old` and `new` and that a reload cannot change.
///
/// Sockets and the store stay open until the process ends; the memory cache, the connection limit and the log format
/// are set up once. Everything else is replaced as a whole.
pub fn unreloadable_changes(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let differs = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.ops_listen", old.server.ops_listen != new.server.ops_listen),
        ("server.max_connections", old.server.max_connections != new.server.max_connections),
        ("log.format", old.log.format != new.log.format),
        ("storage.path", old.storage.path != new.storage.path),
        ("storage.memory_limit", old.storage.memory_limit != new.storage.memory_limit),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}
