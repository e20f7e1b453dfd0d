//! What the tests share: the client to run, the upstream behind the daemon, the daemon, the registry they speak of.

mod client;
mod company;
mod daemon;
mod mix;
mod registry;
mod upstream;

pub(crate) use client::{Client, Ran, on_path, program};
pub(crate) use company::Company;
pub(crate) use daemon::{Daemon, Mode};
pub(crate) use mix::Mix;
pub(crate) use registry::{Registry, originals, script};
pub(crate) use upstream::StaticUpstream;

use tempfile::TempDir;

/// A signed upstream and the daemon in front of it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) registry: Registry,
    pub(crate) upstream: StaticUpstream,
    pub(crate) daemon: Daemon,
    /// The key a client needs for this mode, as a file.
    pub(crate) key_file: std::path::PathBuf,
    dir: TempDir,
}

impl Stage {
    /// `rebar3`: the client whose reference library signs the registry.
    pub(crate) fn set(rebar3: &std::path::Path, mode: Mode) -> Self {
        let dir = TempDir::with_prefix("hexkeep-clients-").unwrap();
        let registry = Registry::build(rebar3, &dir.path().join("upstream"));
        let upstream = StaticUpstream::serve(&registry.folder);
        let upstream_key = registry.public_key();
        let daemon = Daemon::start(&config(&upstream.url(), &upstream_key, mode));
        let key = daemon.public_key("hexpm");
        match mode {
            Mode::Upstream => assert_eq!(key.trim(), upstream_key.trim(), "a pass-through has the upstream's key"),
            Mode::Own => assert_ne!(key.trim(), upstream_key.trim(), "what we sign needs our own key"),
        }
        let key_file = dir.path().join("key.pem");
        std::fs::write(&key_file, key).unwrap();
        Self { registry, upstream, daemon, key_file, dir }
    }

    /// Puts a daemon on the stage that has never been asked for anything, without an upstream, and gives it what `lock`
    /// names in a bundle of the other one.
    pub(crate) fn carry_over(&mut self, lock: &std::path::Path) {
        let bundle = self.dir.path().join("build.bundle");
        let (lock, bundle) = (lock.to_str().unwrap(), bundle.to_str().unwrap());
        self.daemon.hexkeep(&["bundle", "create", "--lock", lock, "-o", bundle], "");
        let key = self.daemon.hexkeep(&["bundle", "key"], "");
        self.upstream.switch_off();
        let config = config(&self.upstream.url(), &self.registry.public_key(), Mode::Upstream);
        self.daemon = Daemon::start(&config.replace("network: fallback", "network: offline"));
        self.daemon.hexkeep(&["bundle", "import", bundle, "--trust", key.trim()], "");
    }

    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(&self.key_file).unwrap()
    }
}

/// Fresh for a second only: what is served later was revalidated, or is stale because the upstream is gone.
fn config(url: &str, key: &str, mode: Mode) -> String {
    let key: String = key.lines().map(|line| format!("      {line}\n")).collect();
    let signature = match mode {
        Mode::Upstream => "upstream",
        Mode::Own => "own",
    };
    format!(
        "server:\n  listen: 127.0.0.1:0\n  ops_listen: 127.0.0.1:0\n\
         storage:\n  path: ./store\n\
         installs: {{ url: {url} }}\n\
         default_repository: hexpm\n\
         repositories:\n  hexpm:\n    type: remote\n    url: {url}\n    public_key: |\n{key}\
         \x20   signature: {signature}\n    network: fallback\n    metadata_ttl: 1s\n    stale_while_revalidate: 1s\n"
    )
}
