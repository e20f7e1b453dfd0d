//! Which changes need a restart.

use super::settings::Settings;

/// The keys that differ between `old` and `new` and that a running server cannot take over, by their YAML paths.
///
/// Sockets and the store stay open for the life of the process; the memory tier, the connection limit and the log's
/// format are set up once. Everything else is swapped as a whole.
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
