//! mix publishes to a virtual repository and builds what it unites, after one line of setting up.

use std::path::Path;

use tempfile::TempDir;

use super::{TREE, Union, once_each};
use crate::support::{Client, Mix, program};

pub(crate) fn mix_builds_private_and_public_packages_from_one_address() {
    let (rebar3, mix) = (program("rebar3"), Mix::installed());
    let mut union = Union::new(&rebar3);
    let publisher = union.company.key("wilma");
    for library in [CORE, LEDGER] {
        let said = publish(&mix, &union, &publisher, library);
        assert!(said.contains("Package published to "), "{said}");
    }
    let key = union.readers_key();
    let project = Project::new(&mix, &union, "", &union.company.key_file, &key);
    builds(&project);
    let fetched = ["ini_reader-0.3.1", "job_ledger-2.4.0", "stopwatch-1.1.0", "partner_feed-3.1.0"];
    assert_eq!(union.tarball_calls(), once_each(&fetched), "a cold build fetches each tarball once");
    let lock = project.lock();

    union.switch_off();
    let project = Project::new(&mix, &union, "", &union.company.key_file, &key);
    builds(&project);
    assert_eq!(project.lock(), lock);
    union.company.daemon.restart();
    let project = Project::new(&mix, &union, "", &union.company.key_file, &key);
    builds(&project);
    assert_eq!(project.lock(), lock, "without the upstreams, the same resolution");

    // The old key is good at its address.
    union.restart_signing_with("k2", &["k1", "k2"]);
    let (old, new) = (union.company.key_file.clone(), union.key_file("k2"));
    for (at, public_key, taken) in [("/keys/k1", &old, true), ("", &new, true), ("", &old, false)] {
        let project = Project::new(&mix, &union, at, public_key, &key);
        let ran = project.mix(&["deps.get"]).run();
        assert_eq!(ran.status.success(), taken, "{}", ran.text);
    }
}

fn builds(project: &Project<'_>) {
    let said = project.mix(&["deps.get"]).succeed();
    let lock = project.lock();
    for (name, version) in TREE {
        assert!(said.contains(&format!("* Getting {name} (Hex package)\n")), "{name}:\n{said}");
        assert!(lock.contains(&format!("{{:hex, :{name}, \"{version}\", ")), "{name} {version}:\n{lock}");
    }
    assert!(!said.contains("99.0.0"), "somebody else's package under a private name:\n{said}");
    let said = project.mix(&["compile"]).succeed();
    for (name, _) in TREE {
        let app = project.dir.path().join(format!("_build/dev/lib/{name}/ebin/{name}.app"));
        assert!(app.is_file(), "{name} was not compiled:\n{said}");
    }
}

/// Name, version, dependencies and code of a library.
type Library = (&'static str, &'static str, &'static str, &'static str);

const CORE: Library = (
    "acme_core",
    "1.0.0",
    "{:stopwatch, \"~> 1.0\"}",
    "defmodule AcmeCore do\n  def now, do: :stopwatch.elapsed()\nend\n",
);
const LEDGER: Library = (
    "acme_ledger",
    "1.2.0",
    "{:acme_core, \"~> 1.0\"}, {:job_ledger, \"~> 2.4\"}, {:partner_feed, \"~> 3.0\"}",
    "defmodule AcmeLedger do\n  def book(text), do: {AcmeCore.now(), :partner_feed.read(), :job_ledger.book(text)}\nend\n",
);

fn publish(mix: &Mix, union: &Union, key: &str, (name, version, dependencies, code): Library) -> String {
    let project = Project::empty(mix, union);
    let text = format!(
        "defmodule {}.MixProject do\n  use Mix.Project\n  def project, do: [app: :{name}, version: \"{version}\", \
         description: \"What acme has\", package: [licenses: [\"Apache-2.0\"], links: %{{}}], deps: [{dependencies}]]\n  \
         def application, do: []\nend\n",
        if name == "acme_core" { "AcmeCore" } else { "AcmeLedger" }
    );
    std::fs::write(project.dir.path().join("mix.exs"), text).unwrap();
    std::fs::create_dir(project.dir.path().join("lib")).unwrap();
    std::fs::write(project.dir.path().join(format!("lib/{name}.ex")), code).unwrap();
    project.set("", &union.company.key_file, key);
    project.mix(&["deps.get"]).succeed();
    project.mix(&["hex.publish", "package", "--yes"]).env("HEX_API_KEY", key).succeed()
}

/// A project in a fresh folder with a fresh home.
struct Project<'a> {
    mix: &'a Mix,
    url: String,
    dir: TempDir,
    home: TempDir,
}

impl<'a> Project<'a> {
    fn empty(mix: &'a Mix, union: &Union) -> Self {
        let dir = TempDir::with_prefix("hexkeep-mix-").unwrap();
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        Self { mix, url: union.company.url(), dir, home }
    }

    /// One that needs packages of everybody's, and says of none where it is from.
    fn new(mix: &'a Mix, union: &Union, at: &str, public_key: &Path, key: &str) -> Self {
        let project = Self::empty(mix, union);
        let text = "defmodule Shop.MixProject do\n  use Mix.Project\n  def project, do: [app: :shop, version: \"0.1.0\", \
                    deps: [{:acme_ledger, \"~> 1.0\"}, {:acme_core, \">= 1.0.0\"}, {:stopwatch, \"1.1.0\"}]]\n  \
                    def application, do: []\nend\n";
        std::fs::write(project.dir.path().join("mix.exs"), text).unwrap();
        project.set(at, public_key, key);
        project
    }

    /// The line of the manual.
    fn set(&self, at: &str, public_key: &Path, key: &str) {
        let (url, exchange) = (format!("{}{at}", self.url), format!("{}/api", self.url));
        let public_key = public_key.to_str().unwrap();
        self.mix(&[
            "hex.repo",
            "set",
            "hexpm",
            "--url",
            &url,
            "--public-key",
            public_key,
            "--auth-key",
            key,
            "--oauth-exchange-url",
            &exchange,
        ])
        .succeed();
    }

    fn mix(&self, args: &[&str]) -> Client {
        self.mix.client(self.home.path(), self.dir.path()).env("HEX_API_URL", format!("{}/api", self.url)).args(args)
    }

    fn lock(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("mix.lock")).unwrap()
    }
}
