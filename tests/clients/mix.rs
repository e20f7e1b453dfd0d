//! mix with Hex resolves and fetches whole Phoenix trees through the daemon, and compiles the heart of one.

use std::collections::BTreeSet;

use tempfile::TempDir;

use crate::support::{Client, Mix, Mode, Stage, program};

/// A Phoenix 1.5 API as its generator wrote it in 2020; three dependencies are held to what its lock file says, because
/// the registry also has the newer releases of the other tree.
const PHOENIX_1_5: Tree = Tree {
    dependencies: r#"{:phoenix, "~> 1.5.3"}, {:phoenix_ecto, "~> 4.1"}, {:ecto_sql, "~> 3.4"}, {:postgrex, ">= 0.0.0"},
      {:phoenix_live_dashboard, "~> 0.2.0"}, {:telemetry_metrics, "~> 0.4"}, {:telemetry_poller, "~> 0.4"},
      {:gettext, "0.18.0"}, {:jason, "1.2.1"}, {:plug_cowboy, "~> 2.0"}, {:phoenix_pubsub, "2.0.0"}"#,
    locked: &[
        "connection 1.0.4",
        "cowboy 2.7.0",
        "cowlib 2.8.0",
        "db_connection 2.2.2",
        "decimal 1.8.1",
        "ecto 3.4.4",
        "ecto_sql 3.4.4",
        "gettext 0.18.0",
        "jason 1.2.1",
        "mime 1.3.1",
        "phoenix 1.5.3",
        "phoenix_ecto 4.1.0",
        "phoenix_html 2.14.2",
        "phoenix_live_dashboard 0.2.5",
        "phoenix_live_view 0.13.2",
        "phoenix_pubsub 2.0.0",
        "plug 1.10.1",
        "plug_cowboy 2.2.2",
        "plug_crypto 1.1.2",
        "postgrex 0.15.4",
        "ranch 1.7.1",
        "telemetry 0.4.1",
        "telemetry_metrics 0.5.0",
        "telemetry_poller 0.5.0",
    ],
    // Enough to see that what was unpacked is whole: Elixir with mix, Erlang with rebar3.
    compiled: &["jason", "telemetry", "mime", "plug_crypto", "plug"],
};

/// A Phoenix 1.7 application without a database. Its packages want a newer Elixir than Debian's, so it is not compiled.
const PHOENIX_1_7: Tree = Tree {
    dependencies: r#"{:phoenix, "~> 1.7.18"}, {:phoenix_html, "~> 4.1"}, {:phoenix_live_reload, "~> 1.2", only: :dev},
      {:phoenix_live_view, "~> 1.0.0"}, {:floki, ">= 0.30.0", only: :test}, {:phoenix_live_dashboard, "~> 0.8.3"},
      {:esbuild, "~> 0.8"}, {:tailwind, "~> 0.2"}, {:swoosh, "~> 1.5"}, {:finch, "~> 0.13"},
      {:telemetry_metrics, "~> 1.0"}, {:telemetry_poller, "~> 1.0"}, {:gettext, "~> 0.26"}, {:jason, "~> 1.2"},
      {:dns_cluster, "~> 0.1.1"}, {:bandit, "~> 1.5"}"#,
    locked: &[
        "bandit 1.6.5",
        "castore 1.0.11",
        "dns_cluster 0.1.3",
        "esbuild 0.8.2",
        "expo 1.1.0",
        "file_system 1.1.0",
        "finch 0.19.0",
        "floki 0.37.0",
        "gettext 0.26.2",
        "hpax 1.0.2",
        "jason 1.4.4",
        "mime 2.0.6",
        "mint 1.6.2",
        "nimble_options 1.1.1",
        "nimble_pool 1.1.0",
        "phoenix 1.7.18",
        "phoenix_html 4.2.0",
        "phoenix_live_dashboard 0.8.6",
        "phoenix_live_reload 1.5.3",
        "phoenix_live_view 1.0.2",
        "phoenix_pubsub 2.1.3",
        "phoenix_template 1.0.4",
        "plug 1.16.1",
        "plug_crypto 2.1.0",
        "swoosh 1.17.6",
        "tailwind 0.2.4",
        "telemetry 1.3.0",
        "telemetry_metrics 1.0.0",
        "telemetry_poller 1.1.0",
        "thousand_island 1.3.9",
        "websock 0.5.3",
        "websock_adapter 0.5.8",
    ],
    compiled: &[],
};

/// A project's dependencies and what its lock file holds.
struct Tree {
    dependencies: &'static str,
    locked: &'static [&'static str],
    compiled: &'static [&'static str],
}

pub(crate) fn mix_gets_a_phoenix_1_5_tree_with_the_upstreams_signatures() {
    cold_warm_and_alone(&PHOENIX_1_5, Mode::Upstream);
}

pub(crate) fn mix_gets_a_phoenix_1_5_tree_with_our_signatures() {
    cold_warm_and_alone(&PHOENIX_1_5, Mode::Own);
}

pub(crate) fn mix_gets_a_phoenix_1_7_tree_with_the_upstreams_signatures() {
    cold_warm_and_alone(&PHOENIX_1_7, Mode::Upstream);
}

pub(crate) fn mix_gets_a_phoenix_1_7_tree_with_our_signatures() {
    cold_warm_and_alone(&PHOENIX_1_7, Mode::Own);
}

pub(crate) fn mix_builds_from_a_lock_file_after_a_prefetch_and_after_a_bundle_was_imported() {
    let (rebar3, mix) = (program("rebar3"), Mix::installed());
    let tree = &PHOENIX_1_5;
    let stage = Stage::set(&rebar3, Mode::Upstream);
    let locked = Project::new(&mix, &stage, tree, None);
    locked.gets_all_of(tree);
    let (lock, file) = (locked.lock(), locked.dir.path().join("mix.lock"));
    let builds = |stage: &Stage| {
        let project = Project::new(&mix, stage, tree, Some(&lock));
        project.gets_all_of(tree);
        assert_eq!(project.lock(), lock, "a lock file stays as it is");
        project.mix(["deps.compile"].iter().chain(tree.compiled)).succeed();
        project
    };

    // Daemons that have never been asked for anything.
    let mut stage = Stage::set(&rebar3, Mode::Upstream);
    stage.daemon.hexkeep(&["prefetch", "--lock", file.to_str().unwrap()], "");
    stage.upstream.switch_off();
    builds(&stage);
    let mut stage = Stage::set(&rebar3, Mode::Upstream);
    stage.carry_over(&file);
    builds(&stage);
    // What is not there has a name, and there is a way to it.
    let more = Tree { dependencies: "{:bandit, \"~> 1.5\"}", locked: &[], compiled: &[] };
    let refused = Project::new(&mix, &stage, &more, None).mix(["deps.get"]).run();
    assert!(!refused.status.success(), "{}", refused.text);
    for words in ["packages/bandit of hexpm is not cached", "hexkeep prefetch --lock FILE", "hexkeep bundle import"] {
        assert!(refused.text.contains(words), "{words}:\n{}", refused.text);
    }
}

/// Each run has a client that knows nothing but the lock file of the first.
fn cold_warm_and_alone(tree: &Tree, mode: Mode) {
    let (rebar3, mix) = (program("rebar3"), Mix::installed());
    let mut stage = Stage::set(&rebar3, mode);

    let project = Project::new(&mix, &stage, tree, None);
    project.gets_all_of(tree);
    let lock = project.lock();
    project.holds_the_checksums_of(&stage, tree);
    if !tree.compiled.is_empty() {
        let said = project.mix(["deps.compile"].iter().chain(tree.compiled)).succeed();
        for name in tree.compiled {
            let app = project.dir.path().join(format!("_build/dev/lib/{name}/ebin/{name}.app"));
            assert!(app.is_file(), "{name} was not compiled:\n{said}");
        }
    }
    let calls = stage.upstream.tarball_calls();
    let expected = tree.locked.iter().map(|release| (format!("{}.tar", release.replace(' ', "-")), 1)).collect();
    assert_eq!(calls, expected, "a cold client makes the daemon fetch each tarball once");

    let again = |stage: &Stage| {
        let project = Project::new(&mix, stage, tree, Some(&lock));
        project.gets_all_of(tree);
        assert_eq!(project.lock(), lock, "a lock file stays as it is");
    };
    again(&stage);
    assert_eq!(stage.upstream.tarball_calls(), calls, "a warm daemon asks the upstream for no tarball");

    stage.upstream.switch_off();
    again(&stage);
    stage.daemon.restart();
    again(&stage);
    // Resolution from nothing needs more than the locked releases: the whole index of each package.
    let project = Project::new(&mix, &stage, tree, None);
    project.gets_all_of(tree);
    assert_eq!(project.lock(), lock, "without the upstream, the same resolution");
}

/// A fresh project with a fresh home in which Hex knows the key of this mode.
struct Project<'a> {
    mix: &'a Mix,
    url: String,
    dir: TempDir,
    home: TempDir,
}

impl<'a> Project<'a> {
    fn new(mix: &'a Mix, stage: &Stage, tree: &Tree, lock: Option<&str>) -> Self {
        let dir = TempDir::with_prefix("hexkeep-mix-").unwrap();
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        let project = format!(
            "defmodule Shop.MixProject do\n  use Mix.Project\n  def project, do: [app: :shop, version: \"0.1.0\", deps: deps()]\n  \
             def application, do: []\n  defp deps do\n    [{}]\n  end\nend\n",
            tree.dependencies
        );
        std::fs::write(dir.path().join("mix.exs"), project).unwrap();
        if let Some(lock) = lock {
            std::fs::write(dir.path().join("mix.lock"), lock).unwrap();
        }
        let project = Self { mix, url: stage.daemon.url(), dir, home };
        let key = stage.key_file.as_os_str();
        let set = ["hex.repo", "set", "hexpm", "--public-key"].map(AsRef::as_ref);
        project.mix(set.iter().copied().chain([key])).succeed();
        project
    }

    fn mix<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Client {
        self.mix.client(self.home.path(), self.dir.path()).env("HEX_MIRROR_URL", &self.url).args(args)
    }

    fn gets_all_of(&self, tree: &Tree) {
        let said = self.mix(["deps.get"]).succeed();
        for release in tree.locked {
            let name = release.split(' ').next().unwrap();
            assert!(said.contains(&format!("* Getting {name} (Hex package)\n")), "{name} was not fetched:\n{said}");
            assert!(self.dir.path().join("deps").join(name).is_dir(), "{name} was not unpacked:\n{said}");
        }
    }

    fn lock(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("mix.lock")).unwrap()
    }

    /// Each entry of the lock file is `"NAME": {:hex, :NAME, "VERSION", "INNER", …, "hexpm", "OUTER"},`.
    fn holds_the_checksums_of(&self, stage: &Stage, tree: &Tree) {
        let lock = self.lock();
        let mut seen = BTreeSet::new();
        for line in lock.lines().filter(|line| line.contains("{:hex, ")) {
            let quoted: Vec<_> = line.split('"').skip(1).step_by(2).collect();
            let [name, version, inner, .., repository, outer] = quoted[..] else { panic!("not an entry: {line}") };
            let sums = stage.registry.checksums(name, version);
            assert_eq!((inner, repository, outer), (sums.inner.as_str(), "hexpm", sums.outer.as_str()), "{line}");
            seen.insert(format!("{name} {version}"));
        }
        assert_eq!(seen, tree.locked.iter().map(|release| (*release).to_owned()).collect());
    }
}
