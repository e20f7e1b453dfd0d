//! The reference library publishes to a local repository, and a stock rebar3 builds with what came of it.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{Client, Company, program, script};

pub(crate) fn the_reference_library_publishes_and_rebar3_builds_with_it() {
    let rebar3 = program("rebar3");
    let company = Company::open();
    let said = publish(&rebar3, &company);
    let mut lines: Vec<&str> = said.lines().collect();
    let key = lines.pop().expect("the reader's key");
    assert!(key.starts_with("hkk_"), "{said}");
    // Three accounts, each with seven steps of its own, and what the publisher does; none was left out.
    assert_eq!(lines.len(), 21 + 49, "{said}");
    for (step, times) in
        [("publish 201", 4), ("retire 204", 1), ("owner transfer 204", 2), ("revert 204", 1), ("docs 201", 1)]
    {
        assert_eq!(lines.iter().filter(|line| **line == step).count(), times, "{step}:\n{said}");
    }

    let project = Project::new(&company, key);
    let said = project.rebar3(&rebar3, "compile").succeed();
    for (name, version) in [("ini_reader", "0.3.0"), ("stopwatch", "1.1.0")] {
        assert!(said.contains(&format!("Fetching {name} v{version}\n")), "{name} {version} was not fetched:\n{said}");
        let app = project.dir.path().join(format!("_build/default/lib/{name}/ebin/{name}.app"));
        assert!(app.is_file(), "{} is missing:\n{said}", app.display());
    }
    let wrong = Project::new(&company, "hkk_00000000000000000000000000000000");
    let refused = wrong.rebar3(&rebar3, "compile").run();
    assert!(!refused.status.success(), "rebar3 got private packages without a key:\n{}", refused.text);
}

fn publish(rebar3: &Path, company: &Company) -> String {
    let escript = program("escript");
    let home = TempDir::with_prefix("hexkeep-home-").unwrap();
    Client::new(&escript, home.path())
        .args([script("publish.escript").as_os_str(), rebar3.as_os_str()])
        .args([company.url(), "acme".to_owned()])
        .args([&company.key_file])
        .args(["wilma", "rita", "sam"].map(Company::account))
        .succeed()
}

/// A fresh project with a fresh home, which has a key for the repository `acme`.
struct Project {
    dir: TempDir,
    home: TempDir,
}

impl Project {
    fn new(company: &Company, key: &str) -> Self {
        let dir = TempDir::with_prefix("hexkeep-rebar3-").unwrap();
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        let config = format!(
            "{{deps, [{{ini_reader, \"~> 0.3\"}}, {{stopwatch, \"1.1.0\"}}]}}.\n\
             {{hex, [{{repos, replace, [#{{name => <<\"acme\">>, repo_url => <<\"{}/repos/acme\">>,\n\
             repo_public_key => <<\"{}\">>}}]}}]}}.\n",
            company.url(),
            company.public_key()
        );
        let app = "{application, shop, [{description, \"a shop\"}, {vsn, \"1.0.0\"}, {registered, []},\n \
                   {applications, [kernel, stdlib, ini_reader]}, {modules, []}]}.\n";
        std::fs::write(dir.path().join("rebar.config"), config).unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src/shop.app.src"), app).unwrap();
        let settings = home.path().join(".config/rebar3");
        std::fs::create_dir_all(&settings).unwrap();
        let secret = format!("%% coding: utf-8\n#{{<<\"acme\">> => #{{repo_key => <<\"{key}\">>}}}}.\n");
        std::fs::write(settings.join("hex.config"), secret).unwrap();
        Self { dir, home }
    }

    fn rebar3(&self, rebar3: &Path, task: &str) -> Client {
        Client::new(rebar3, self.home.path())
            .env("REBAR_CACHE_DIR", self.home.path().join("cache"))
            .dir(self.dir.path())
            .args([task])
    }
}
