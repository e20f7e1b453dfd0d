//! Terms, uploads and payloads against Erlang itself and the reference library that rebar3 carries.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hexkeep::clock::Timestamp;
use hexkeep::hex::build::{self, DependencyEntry, ReleaseEntry, RetirementReason};
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::term::{etf, text};
use hexkeep::hex::upload;

use crate::support::{Client, program, script};

pub(crate) fn erlang_and_we_mean_the_same() {
    let rebar3 = program("rebar3");
    let dir = tempfile::TempDir::with_prefix("hexkeep-terms-").unwrap();
    let packages = run("write", &rebar3, dir.path());

    let terms = with_extension(dir.path(), "etf");
    assert!(terms.len() > 30, "{}", terms.len());
    for file in terms {
        let from_etf = etf::decode(&fs::read(&file).unwrap()).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let text = fs::read(file.with_extension("text")).unwrap();
        let from_text = text::parse(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        fs::write(file.with_extension("from_etf"), etf::encode(&from_etf)).unwrap();
        fs::write(file.with_extension("from_text"), etf::encode(&from_text[0])).unwrap();
    }

    for line in packages.lines() {
        let [file, name, version, inner] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let package = upload::package(File::open(dir.path().join(file)).unwrap());
        let package = package.unwrap_or_else(|error| panic!("{file}: {error}"));
        let found = (package.metadata.name.as_str(), package.metadata.version.as_str(), package.inner.to_string());
        assert_eq!(found, (name, version, inner.to_owned()));
    }
    assert_eq!(packages.lines().count(), 3);

    write_payloads(dir.path());
    assert_eq!(run("judge", &rebar3, dir.path()).trim(), "agreed");
}

fn run(what: &str, rebar3: &Path, folder: &Path) -> String {
    let escript = program("escript");
    let home = tempfile::TempDir::new().unwrap();
    Client::new(&escript, home.path())
        .args([script("terms.escript").as_os_str(), what.as_ref(), rebar3.as_os_str(), folder.as_os_str()])
        .succeed()
}

fn with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|found| found == extension)).collect()
}

/// What `judge` in `terms.escript` expects.
fn write_payloads(folder: &Path) {
    let (inner, outer) = (Sha256::from_bytes([1; 32]), Sha256::from_bytes([2; 32]));
    let published_at = Timestamp::from_millis(1_700_000_000_123);
    let bar = DependencyEntry {
        package: "bar",
        requirement: ">= 0.1.0",
        optional: true,
        app: "other",
        repository: Some("hexpm"),
    };
    let log = DependencyEntry { package: "log", requirement: "~> 1.0", optional: false, app: "log", repository: None };
    let release = |version, dependencies, retired| ReleaseEntry {
        version,
        inner: &inner,
        outer: &outer,
        dependencies,
        retired,
        published_at,
    };
    let releases = [
        release("1.0.0", vec![bar, log], Some((RetirementReason::Security, Some("é")))),
        release("1.1.0", vec![], None),
    ];
    let names = build::names_entry("foo", published_at);
    let versions = build::versions_entry("foo", ["1.0.0", "1.1.0"], vec![0]);
    for (file, payload) in [
        ("package.pb", build::package("acme", "foo", &releases)),
        ("names.pb", build::index("acme", [names.as_slice()])),
        ("versions.pb", build::index("acme", [versions.as_slice()])),
    ] {
        fs::write(folder.join(file), payload).unwrap();
    }
}
