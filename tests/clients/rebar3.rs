//! rebar3 resolves, fetches and compiles a project through the daemon.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{Client, Mode, Stage, originals, program};

/// What the project asks for, and what comes of it: (package, version) of the whole tree.
const OWN: [(&str, &str); 2] = [("job_ledger", "~> 2.4"), ("stopwatch", "1.1.0+otp.25")];
const OWN_TREE: [(&str, &str); 4] =
    [("ini_reader", "0.3.1"), ("job_ledger", "2.4.0"), ("stopwatch", "1.1.0+otp.25"), ("trace_sink", "0.1.0")];
/// Original packages that Debian's rebar3 compiles without any plugin.
const ORIGINAL: [(&str, &str); 2] = [("ranch", "1.7.1"), ("telemetry", "1.3.0")];

pub(crate) fn rebar3_builds_with_the_upstreams_signatures() {
    let rebar3 = program("rebar3");
    cold_warm_and_alone(&rebar3, Stage::set(&rebar3, Mode::Upstream));
}

pub(crate) fn rebar3_builds_with_our_signatures() {
    let rebar3 = program("rebar3");
    let stage = Stage::set(&rebar3, Mode::Own);
    // The client does verify: with the upstream's key, what we signed is refused.
    let refused = Project::new(&stage.registry.public_key()).rebar3(&rebar3, &stage, "compile").run();
    assert!(!refused.status.success(), "rebar3 took a signature it has no key for:\n{}", refused.text);
    cold_warm_and_alone(&rebar3, stage);
}

pub(crate) fn rebar3_builds_from_a_lock_file_after_a_prefetch() {
    let rebar3 = program("rebar3");
    let stage = Stage::set(&rebar3, Mode::Upstream);
    let locked = Project::new(&stage.key());
    locked.rebar3(&rebar3, &stage, "compile").succeed();
    let lock = locked.dir.path().join("rebar.lock");

    // Another daemon, which has never been asked for anything.
    let mut stage = Stage::set(&rebar3, Mode::Upstream);
    let said = stage.daemon.hexkeep(&["prefetch", "--lock", lock.to_str().unwrap()], "");
    assert!(
        said.contains(&format!("0 releases were already in the cache, {} were downloaded", tree().len())),
        "{said}"
    );
    stage.upstream.switch_off();
    let project = Project::new(&stage.key());
    std::fs::copy(&lock, project.dir.path().join("rebar.lock")).unwrap();
    let said = project.rebar3(&rebar3, &stage, "compile").succeed();
    for (name, _) in tree() {
        assert!(said.contains(&format!("Compiling {name}\n")), "{name} was not compiled:\n{said}");
    }
    // What the lock does not name was not fetched.
    let calls: usize = stage.upstream.tarball_calls().values().sum();
    assert_eq!(calls, tree().len());
}

pub(crate) fn rebar3_builds_from_a_lock_file_after_a_bundle_was_imported() {
    let rebar3 = program("rebar3");
    let mut stage = Stage::set(&rebar3, Mode::Upstream);
    let locked = Project::new(&stage.key());
    locked.rebar3(&rebar3, &stage, "compile").succeed();
    let lock = locked.dir.path().join("rebar.lock");
    stage.carry_over(&lock);
    let project = Project::new(&stage.key());
    std::fs::copy(&lock, project.dir.path().join("rebar.lock")).unwrap();
    let said = project.rebar3(&rebar3, &stage, "compile").succeed();
    for (name, _) in tree() {
        assert!(said.contains(&format!("Compiling {name}\n")), "{name} was not compiled:\n{said}");
    }
    let after = std::fs::read_to_string(project.dir.path().join("rebar.lock")).unwrap();
    assert_eq!(after, std::fs::read_to_string(&lock).unwrap(), "a lock file stays as it is");
}

/// Each run has a client that knows nothing yet.
fn cold_warm_and_alone(rebar3: &Path, mut stage: Stage) {
    let tree = tree();
    build(rebar3, &stage);
    let calls = stage.upstream.tarball_calls();
    let expected = tree.iter().map(|(name, version)| (format!("{name}-{version}.tar"), 1)).collect();
    assert_eq!(calls, expected, "a cold build fetches each tarball once");

    build(rebar3, &stage);
    assert_eq!(stage.upstream.tarball_calls(), calls, "a warm build asks the upstream for no tarball");

    stage.upstream.switch_off();
    build(rebar3, &stage);
    stage.daemon.restart();
    build(rebar3, &stage);
}

fn build(rebar3: &Path, stage: &Stage) {
    let project = Project::new(&stage.key());
    let said = project.rebar3(rebar3, stage, "compile").succeed();
    let lock = std::fs::read_to_string(project.dir.path().join("rebar.lock")).unwrap();
    for (name, version) in tree() {
        assert!(said.contains(&format!("Fetching {name} v{version}\n")), "{name} {version} was not fetched:\n{said}");
        assert!(said.contains(&format!("Compiling {name}\n")), "{name} was not compiled:\n{said}");
        let app = project.dir.path().join(format!("_build/default/lib/{name}/ebin/{name}.app"));
        assert!(app.is_file(), "{} is missing:\n{said}", app.display());
        let sums = stage.registry.checksums(name, version);
        for sum in [&sums.inner, &sums.outer] {
            let entry = format!("{{<<\"{name}\">>, <<\"{}\">>}}", sum.to_uppercase());
            assert!(lock.contains(&entry), "rebar.lock lacks {entry}:\n{lock}");
        }
    }
}

fn tree() -> Vec<(&'static str, &'static str)> {
    let mut tree = OWN_TREE.to_vec();
    if originals().is_some() {
        tree.extend(ORIGINAL);
    }
    tree
}

/// A fresh project with a fresh home.
struct Project {
    dir: TempDir,
    home: TempDir,
}

impl Project {
    fn new(key: &str) -> Self {
        let dir = TempDir::with_prefix("hexkeep-rebar3-").unwrap();
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        let mut asked = OWN.to_vec();
        if originals().is_some() {
            asked.extend(ORIGINAL);
        }
        let asked: Vec<_> = asked.iter().map(|(name, version)| format!("{{{name}, \"{version}\"}}")).collect();
        let config = format!(
            "{{deps, [{}]}}.\n{{hex, [{{repos, [#{{name => <<\"hexpm\">>, repo_public_key => <<\"{key}\">>}}]}}]}}.\n",
            asked.join(", ")
        );
        let app = "{application, shop, [{description, \"a shop\"}, {vsn, \"1.0.0\"}, {registered, []},\n \
                   {applications, [kernel, stdlib, job_ledger]}, {modules, []}]}.\n";
        std::fs::write(dir.path().join("rebar.config"), config).unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src/shop.app.src"), app).unwrap();
        Self { dir, home }
    }

    fn rebar3(&self, rebar3: &Path, stage: &Stage, task: &str) -> Client {
        Client::new(rebar3, self.home.path())
            .env("REBAR_CACHE_DIR", self.home.path().join("cache"))
            .env("HEX_CDN", stage.daemon.url())
            .dir(self.dir.path())
            .args([task])
    }
}
