//! Packages of an upstream are looked up: by the reference library, and by mix with Hex; with its API, and without it.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{Client, Daemon, Mix, Registry, StaticUpstream, program, script};

/// What the upstream's API says of stopwatch: one release, and a sentence that no tarball has.
const STOPWATCH: &str = r#"{"name": "stopwatch", "repository": "hexpm", "html_url": "https://hex.pm/packages/stopwatch",
    "meta": {"description": "said by the API", "licenses": ["MIT"], "links": {"GitHub": "https://github.com/x/y"}},
    "configs": {"mix.exs": "{:stopwatch, \"~> 1.1\"}", "rebar.config": "", "erlang.mk": ""}, "retirements": {},
    "downloads": {"all": 7, "day": 1}, "latest_stable_version": "1.1.0+otp.25", "owners": [],
    "releases": [{"version": "1.1.0+otp.25", "has_docs": true, "inserted_at": "2020-09-13T12:26:40.000000Z",
                  "url": "https://hex.pm/api/packages/stopwatch/releases/1.1.0"}]}"#;

struct Stage {
    registry: Registry,
    upstream: StaticUpstream,
    daemon: Daemon,
    _folder: TempDir,
}

impl Stage {
    fn set(rebar3: &Path) -> Self {
        let folder = TempDir::with_prefix("hexkeep-api-").unwrap();
        let registry = Registry::build(rebar3, &folder.path().join("upstream"));
        let packages = registry.folder.join("api/packages");
        std::fs::create_dir_all(&packages).unwrap();
        std::fs::write(packages.join("stopwatch"), STOPWATCH).unwrap();
        let upstream = StaticUpstream::serve(&registry.folder);
        let key: String = registry.public_key().lines().map(|line| format!("      {line}\n")).collect();
        let url = upstream.url();
        let daemon = Daemon::start(&format!(
            "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }}\nstorage: {{ path: ./store }}\n\
             installs: {{ url: {url} }}\n\
             repositories:\n  hexpm:\n    type: remote\n    url: {url}\n    api_url: {url}/api\n    public_key: |\n{key}"
        ));
        Self { registry, upstream, daemon, _folder: folder }
    }

    fn api(&self) -> String {
        format!("{}/api", self.daemon.url())
    }
}

pub(crate) fn the_reference_library_looks_packages_up() {
    let (rebar3, escript) = (program("rebar3"), program("escript"));
    let mut stage = Stage::set(&rebar3);
    let ask = |stage: &Stage, package: &str, version: &str, missing: &str| {
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        Client::new(&escript, home.path())
            .args([script("mirrored_api.escript").as_os_str(), rebar3.as_os_str()])
            .args([stage.api().as_str(), package, version, "stop", missing])
            .succeed()
    };
    let checksum = |package: &str, version: &str| stage.registry.checksums(package, version).outer.clone();
    let (stopwatch, ledger) = (checksum("stopwatch", "1.1.0+otp.25"), checksum("job_ledger", "2.4.0"));

    // Of stopwatch the API says the package alone, of job_ledger nothing: the rest is the registry's.
    let said = ask(&stage, "stopwatch", "1.1.0+otp.25", "404");
    let expected =
        format!("package stopwatch said by the API 1.1.0+otp.25\nrelease 1.1.0+otp.25 {stopwatch}\nfound stopwatch\n");
    assert_eq!(said, expected);
    let said = ask(&stage, "job_ledger", "2.4.0", "404");
    assert!(said.starts_with("package job_ledger "), "{said}");
    assert!(said.contains(&format!("\nrelease 2.4.0 {ledger}\n")), "{said}");

    stage.upstream.switch_off();
    stage.daemon.restart();
    // That there is no such package is not known any more, and nobody can be asked.
    assert_eq!(ask(&stage, "stopwatch", "1.1.0+otp.25", "502"), expected);
}

pub(crate) fn mix_looks_packages_up() {
    let (rebar3, mix) = (program("rebar3"), Mix::installed());
    let mut stage = Stage::set(&rebar3);
    let look = |stage: &Stage| {
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        let hex =
            |args: &[&str]| mix.client(home.path(), home.path()).env("HEX_API_URL", stage.api()).args(args).succeed();
        let package = hex(&["hex.info", "stopwatch"]);
        assert!(package.contains("said by the API") && package.contains("1.1.0+otp.25"), "{package}");
        let release = hex(&["hex.info", "job_ledger", "2.4.0"]);
        assert!(release.contains("job_ledger") && release.contains("ini_reader"), "{release}");
        let package = hex(&["hex.info", "job_ledger"]);
        assert!(package.contains("2.4.0") && package.contains("job_ledger"), "{package}");
    };
    look(&stage);
    stage.upstream.switch_off();
    stage.daemon.restart();
    look(&stage);
}
