//! What `hexkeep client-setup` prints is followed to the letter by real clients, which then fetch a package.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Client, Company, Daemon, Mix, Mode, Stage, program};
use crate::tarballs::{archive, gzip, pack};

pub(crate) fn rebar3_follows_the_recipe_of_a_mirror() {
    let rebar3 = program("rebar3");
    for mode in [Mode::Upstream, Mode::Own] {
        let stage = Stage::set(&rebar3, mode);
        let follower = Follower::new();
        follower.project("rebar.config", "{deps, [{job_ledger, \"~> 2.4\"}]}.\n");
        follower.follow(&stage.daemon, &["rebar3", "hexpm"], "");
        let said = follower.run("rebar3 compile");
        assert!(said.contains("Fetching job_ledger v2.4.0"), "{said}");
    }
}

pub(crate) fn rebar3_follows_the_recipe_of_a_private_repository() {
    let company = Company::open();
    import(&company.daemon, "acme");
    let key = company.key("rita");
    for role in ["developer", "ci"] {
        let follower = Follower::new();
        follower.project("rebar.config", "{deps, [{acme_core, \"1.0.0\"}]}.\n");
        let steps = follower.follow(&company.daemon, &["rebar3", "acme", "--role", role, "--user", "rita"], &key);
        assert!(steps.iter().any(|title| title.starts_with("Publish a package")), "{steps:?}");
        let said = follower.run("rebar3 get-deps");
        assert!(said.contains("Fetching acme_core v1.0.0"), "{said}");
    }
}

pub(crate) fn mix_follows_the_recipe_of_a_mirror() {
    let rebar3 = program("rebar3");
    for mode in [Mode::Upstream, Mode::Own] {
        for role in ["developer", "ci"] {
            let stage = Stage::set(&rebar3, mode);
            let follower = Follower::new();
            follower.depends("{:job_ledger, \"~> 2.4\"}");
            follower.follow(&stage.daemon, &["mix", "hexpm", "--role", role], "");
            assert!(follower.said().contains("job_ledger 2.4.0"), "{}", follower.said());
        }
    }
}

pub(crate) fn mix_follows_the_recipe_of_an_organization() {
    let company = Company::open();
    import(&company.daemon, "acme");
    let key = company.daemon.hexkeep(&["key", "create", "ci", "--org", "acme", "--permission", "repository:acme"], "");
    let follower = Follower::new();
    follower.depends("{:acme_core, \"~> 1.0\", organization: \"acme\"}");
    let steps = follower.follow(&company.daemon, &["mix", "acme", "--role", "ci"], key.trim());
    assert!(steps.contains(&"Use the key of the organization.".to_owned()), "{steps:?}");
    let said = follower.run("mix deps.get");
    assert!(said.contains("acme_core 1.0.0"), "{said}");
}

/// One that mix can only add beside hexpm: the default repository has another signature.
pub(crate) fn mix_follows_the_recipe_of_a_repository_of_its_own() {
    let config = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nstorage: { path: ./store }\n\
                  installs: { url: http://127.0.0.1:9 }\ndefault_repository: hexpm\nrepositories:\n  \
                  hexpm: { type: remote, url: 'https://repo.hex.pm', network: offline }\n  \
                  acme: { type: local }\n";
    let company = Company::with(config, &["acme"]);
    import(&company.daemon, "acme");
    let key = company.daemon.hexkeep(&["key", "create", "ci", "--org", "acme", "--permission", "repository:acme"], "");
    for role in ["developer", "ci"] {
        let follower = Follower::new();
        follower.depends("{:acme_core, \"~> 1.0\", repo: \"acme\"}");
        follower.follow(&company.daemon, &["mix", "acme", "--role", role], key.trim());
        let said = follower.run("mix deps.get");
        assert!(said.contains("acme_core 1.0.0"), "{said}");
    }
}

/// Publishes `acme_core` 1.0.0 to a local repository.
fn import(daemon: &Daemon, repository: &str) {
    let folder = TempDir::with_prefix("hexkeep-tarballs-").unwrap();
    let metadata = "{<<\"name\">>,<<\"acme_core\">>}.\n{<<\"version\">>,<<\"1.0.0\">>}.\n{<<\"app\">>,<<\"acme_core\">>}.\n\
                    {<<\"description\">>,<<\"What everything needs\">>}.\n{<<\"licenses\">>,[<<\"MIT\">>]}.\n\
                    {<<\"build_tools\">>,[<<\"rebar3\">>]}.\n{<<\"requirements\">>,[]}.\n\
                    {<<\"files\">>,[<<\"src/acme_core.app.src\">>]}.\n";
    let app = b"{application, acme_core, [{vsn, \"1.0.0\"}, {applications, [kernel, stdlib]}]}.\n";
    let (tarball, _) = pack(metadata.as_bytes(), &gzip(&archive(&[("src/acme_core.app.src", app)])));
    std::fs::write(folder.path().join("acme_core-1.0.0.tar"), &tarball).unwrap();
    daemon.hexkeep(&["import", repository, folder.path().to_str().unwrap()], "");
}

/// Somebody who does what the lines say, in a home and a project of their own.
struct Follower {
    home: TempDir,
    dir: TempDir,
    script: std::cell::RefCell<String>,
    said: std::cell::RefCell<String>,
}

impl Follower {
    fn new() -> Self {
        let new = |prefix| TempDir::with_prefix(prefix).unwrap();
        let (home, dir) = (new("hexkeep-home-"), new("hexkeep-project-"));
        Self { home, dir, script: String::new().into(), said: String::new().into() }
    }

    fn project(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    fn depends(&self, dependency: &str) {
        let project = format!(
            "defmodule Shop.MixProject do\n  use Mix.Project\n  def project, do: [app: :shop, version: \"1.0.0\", deps: [{dependency}]]\nend\n"
        );
        self.project("mix.exs", &project);
    }

    /// Does each step that needs no page and publishes nothing; the titles of all.
    fn follow(&self, daemon: &Daemon, args: &[&str], key: &str) -> Vec<String> {
        let printed = daemon.hexkeep(&[&["client-setup"], args, &["--json"]].concat(), "");
        let recipe: Value = serde_json::from_str(&printed).unwrap();
        let steps = recipe["steps"].as_array().unwrap();
        let title = |step: &Value| step["title"].as_str().unwrap().to_owned();
        for step in steps {
            if title(step).starts_with("Publish") || title(step).starts_with("Log in") {
                continue;
            }
            if let Some(file) = step["file"].as_object() {
                self.write(file["path"].as_str().unwrap(), file["text"].as_str().unwrap(), key);
            }
            for command in step["commands"].as_array().into_iter().flatten() {
                let command = command.as_str().unwrap();
                self.command(&command.replace("=KEY", &format!("={key}")).replace(" KEY", &format!(" {key}")));
            }
        }
        steps.iter().map(title).collect()
    }

    /// Adds `text` to a file of the project or of the home. What the lines say of `mix.exs` the project says already.
    fn write(&self, path: &str, text: &str, key: &str) {
        if path == "mix.exs" {
            let project = std::fs::read_to_string(self.dir.path().join(path)).unwrap();
            let option = text.rsplit(", ").next().unwrap().trim_end_matches('}');
            assert!(project.contains(option), "{text} against {project}");
            return;
        }
        let path: PathBuf = match path.strip_prefix("~/") {
            Some(path) => self.home.path().join(path),
            None => self.dir.path().join(path),
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let text = text.replace("<<\"KEY\">>", &format!("<<\"{key}\">>"));
        std::fs::write(path, before + &text + "\n").unwrap();
    }

    /// Commands are lines of one shell: what one exports holds for the next.
    fn command(&self, command: &str) {
        if command.starts_with("export ") {
            self.script.borrow_mut().push_str(&format!("{command}\n"));
            return;
        }
        let said = self.run(command);
        self.said.borrow_mut().push_str(&said);
    }

    fn said(&self) -> String {
        self.said.borrow().clone()
    }

    fn run(&self, command: &str) -> String {
        let script = format!("{}{command}", self.script.borrow());
        let client = match Mix::find() {
            Ok(mix) => mix.shell(self.home.path(), self.dir.path()),
            Err(_) => Client::new(Path::new("/bin/sh"), self.home.path()).dir(self.dir.path()),
        };
        let client = client.env("REBAR_CACHE_DIR", self.home.path().join("cache"));
        client.args(["-eu", "-c", &script]).succeed()
    }
}
