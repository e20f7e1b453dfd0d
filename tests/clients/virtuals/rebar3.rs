//! rebar3 builds what a virtual repository unites.

use std::path::Path;

use tempfile::TempDir;

use super::{TREE, Union, once_each};
use crate::support::{Client, Ran, program};

pub(crate) fn rebar3_builds_private_and_public_packages_from_one_address() {
    let rebar3 = program("rebar3");
    let mut union = Union::new(&rebar3);
    let private = union.publish(&rebar3);
    let key = union.readers_key();
    let build = |union: &Union| {
        let project = Project::new(&union.company.public_key(), &key);
        let said = project.compile(&rebar3, &union.company.url()).expect_success();
        let lock = std::fs::read_to_string(project.dir.path().join("rebar.lock")).unwrap();
        for (name, version) in TREE {
            assert!(said.contains(&format!("Fetching {name} v{version}\n")), "{name} {version}:\n{said}");
            let app = project.dir.path().join(format!("_build/default/lib/{name}/ebin/{name}.app"));
            assert!(app.is_file(), "{} is missing:\n{said}", app.display());
            let registries = [&private, &union.partners, &union.public];
            let known = registries.iter().find_map(|one| one.releases.get(&(name.to_owned(), version.to_owned())));
            let entry = format!("{{<<\"{name}\">>, <<\"{}\">>}}", known.unwrap().outer.to_uppercase());
            assert!(lock.contains(&entry), "rebar.lock lacks {entry}:\n{lock}");
        }
        assert!(!said.contains("99.0.0"), "somebody else's package under a private name:\n{said}");
    };
    build(&union);
    // rebar3 takes what is optional as well.
    let fetched = ["ini_reader-0.3.1", "job_ledger-2.4.0", "stopwatch-1.1.0", "trace_sink-0.1.0", "partner_feed-3.1.0"];
    assert_eq!(union.tarball_calls(), once_each(&fetched), "a cold build fetches each tarball once");

    union.switch_off();
    build(&union);
    union.company.daemon.restart();
    build(&union);

    let lost = Project::new(&union.company.public_key(), "").compile(&rebar3, &union.company.url());
    assert!(!lost.status.success(), "a job that lost its key got what is private:\n{}", lost.text);
}

pub(crate) fn rebar3_verifies_with_an_old_key_at_its_address() {
    let rebar3 = program("rebar3");
    let mut union = Union::new(&rebar3);
    union.publish(&rebar3);
    let (key, old) = (union.readers_key(), union.company.public_key());
    let compile = |public_key: &str, url: &str| Project::new(public_key, &key).compile(&rebar3, url);
    compile(&old, &union.company.url()).expect_success();

    union.restart_signing_with("k2", &["k1", "k2"]);
    let new = std::fs::read_to_string(union.key_file("k2")).unwrap();
    assert_ne!(old.trim(), new.trim());
    assert_eq!(std::fs::read_to_string(union.key_file("k1")).unwrap().trim(), old.trim());
    let url = union.company.url();
    for (public_key, base) in [(&new, url.clone()), (&old, format!("{url}/keys/k1")), (&new, format!("{url}/keys/k2"))]
    {
        compile(public_key, &base).expect_success();
    }
    for (public_key, base) in [(&old, url.clone()), (&new, format!("{url}/keys/k1"))] {
        let refused = compile(public_key, &base);
        assert!(!refused.status.success(), "rebar3 took a signature of another key at {base}:\n{}", refused.text);
    }

    union.restart_signing_with("k2", &["k2"]);
    let gone = compile(&old, &format!("{}/keys/k1", union.company.url()));
    assert!(!gone.status.success(), "a key that was taken away still signs:\n{}", gone.text);
}

impl Ran {
    fn expect_success(self) -> String {
        assert!(self.status.success(), "it ended with {}:\n{}", self.status, self.text);
        self.text
    }
}

/// A fresh project with a fresh home, which has a key for the only repository.
struct Project {
    dir: TempDir,
    home: TempDir,
}

impl Project {
    fn new(public_key: &str, key: &str) -> Self {
        let dir = TempDir::with_prefix("hexkeep-rebar3-").unwrap();
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        // Whatever is newest under a private name is asked for.
        let config = format!(
            "{{deps, [{{acme_ledger, \"~> 1.0\"}}, {{acme_core, \">= 1.0.0\"}}, {{stopwatch, \"1.1.0\"}}]}}.\n\
             {{hex, [{{repos, [#{{name => <<\"hexpm\">>, repo_public_key => <<\"{public_key}\">>}}]}}]}}.\n"
        );
        let app = "{application, shop, [{description, \"a shop\"}, {vsn, \"1.0.0\"}, {registered, []},\n \
                   {applications, [kernel, stdlib, acme_ledger]}, {modules, []}]}.\n";
        std::fs::write(dir.path().join("rebar.config"), config).unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src/shop.app.src"), app).unwrap();
        if !key.is_empty() {
            let settings = home.path().join(".config/rebar3");
            std::fs::create_dir_all(&settings).unwrap();
            let secret = format!("%% coding: utf-8\n#{{<<\"hexpm\">> => #{{repo_key => <<\"{key}\">>}}}}.\n");
            std::fs::write(settings.join("hex.config"), secret).unwrap();
        }
        Self { dir, home }
    }

    fn compile(&self, rebar3: &Path, url: &str) -> Ran {
        Client::new(rebar3, self.home.path())
            .env("REBAR_CACHE_DIR", self.home.path().join("cache"))
            .env("HEX_CDN", url)
            .dir(self.dir.path())
            .args(["compile"])
            .run()
    }
}
