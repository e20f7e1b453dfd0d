//! A virtual repository of hex.pm's size, in the real program: `cargo bench --bench virtual`.
//!
//! Its members are a local repository of 300 packages and a remote one of 20,000 packages with ten releases each, whose
//! upstream runs here. Printed is what the virtual repository costs on top of its members: its indexes from nothing and
//! after one change, a package on first request, requests a second beside the member's own, and memory.
//! `HEXKEEP_BENCH_PACKAGES` is another number of packages. wrk is used where it is installed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement ends by panicking, prints what it has found, and makes its own files"
)]

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::{Dependency, Names, Package, Release, Timestamp, Versions, names, versions};
use hexkeep::trust::{PrivateKey, Signer};
use prost::Message;

#[path = "compare/process.rs"]
#[expect(dead_code, reason = "what other measurements need of it")]
mod process;
#[path = "../tests/it/support/tarballs.rs"]
mod tarballs;
#[path = "support/upstream.rs"]
#[expect(dead_code, reason = "what other measurements need of it")]
mod upstream;

use process::{Process, find};
use upstream::Upstream;

const KEY: &str = include_str!("../src/trust/testdata/test-only-key.pem");
const RELEASES: usize = 10;
const PRIVATE: usize = 300;
const CHANGES: usize = 20;
const FIRST_REQUESTS: usize = 400;

/// The upstream: every package has the same releases, but for those that have had more since.
struct Registry {
    signer: Signer,
    packages: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    more: HashMap<usize, usize>,
    names: Bytes,
    versions: Bytes,
}

fn name(place: usize) -> String {
    format!("package_{place:05}")
}

impl Registry {
    fn new(packages: usize) -> Self {
        let signer = Signer::new(&PrivateKey::from_pem(KEY).unwrap()).unwrap();
        let registry = Self { signer, packages, state: Mutex::default() };
        registry.seal_lists();
        registry
    }

    fn seal_lists(&self) {
        let mut state = self.state.lock().unwrap();
        let more = |place| state.more.get(&place).copied().unwrap_or_default();
        let named = (0..self.packages).map(|place| {
            let seconds = 1_767_225_600 + i64::try_from(more(place)).unwrap();
            names::Package { name: name(place), updated_at: Some(Timestamp { seconds, nanos: 0 }) }
        });
        let versioned = (0..self.packages).map(|place| versions::Package {
            name: name(place),
            versions: (0..RELEASES + more(place)).map(|minor| format!("1.{minor}.0")).collect(),
            ..versions::Package::default()
        });
        let names = Names { packages: named.collect(), repository: "hexpm".to_owned() };
        let versions = Versions { packages: versioned.collect(), repository: "hexpm".to_owned() };
        let seal = |payload: &[u8]| self.signer.seal(payload).unwrap().body().clone();
        let (names, versions) = (seal(&names.encode_to_vec()), seal(&versions.encode_to_vec()));
        state.names = names;
        state.versions = versions;
    }

    fn publish(&self, place: usize) {
        *self.state.lock().unwrap().more.entry(place).or_default() += 1;
        self.seal_lists();
    }

    fn package(&self, name: &str) -> Bytes {
        let place: usize = name.rsplit('_').next().unwrap().parse().unwrap();
        let more = self.state.lock().unwrap().more.get(&place).copied().unwrap_or_default();
        let releases = (0..RELEASES + more).map(|minor| {
            let version = format!("1.{minor}.0");
            let digest = Sha256::of(format!("{name}-{version}").as_bytes()).as_bytes().to_vec();
            let dependencies = (1..4).map(|step| Dependency {
                package: self::name((place + step) % self.packages),
                requirement: "~> 1.0".to_owned(),
                ..Dependency::default()
            });
            Release {
                version,
                inner_checksum: digest.clone(),
                outer_checksum: Some(digest),
                dependencies: dependencies.collect(),
                ..Release::default()
            }
        });
        let package = Package {
            name: name.to_owned(),
            repository: "hexpm".to_owned(),
            releases: releases.collect(),
            advisories: vec![],
        };
        self.signer.seal(&package.encode_to_vec()).unwrap().body().clone()
    }

    fn body(&self, path: &str) -> Option<Bytes> {
        match path {
            "/names" => Some(self.state.lock().unwrap().names.clone()),
            "/versions" => Some(self.state.lock().unwrap().versions.clone()),
            path => Some(self.package(path.strip_prefix("/packages/")?)),
        }
    }
}

fn main() {
    let packages = std::env::var("HEXKEEP_BENCH_PACKAGES").map_or(20_000, |text| text.parse().unwrap());
    let registry = Arc::new(Registry::new(packages));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let serving = Arc::clone(&registry);
    let upstream = runtime.block_on(Upstream::start(move |path| serving.body(path))).address;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("key.pem"), registry.signer.public_key().to_spki_pem()).unwrap();
    let config = format!(
        "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }}\nstorage: {{ path: data }}\n\
         default_repository: hexpm\nrepositories:\n  \
         upstream: {{ type: remote, name: hexpm, url: \"http://{upstream}\", public_key: key.pem, metadata_ttl: 1s, \
         stale_while_revalidate: 0s }}\n  acme: {{ type: local }}\n  \
         hexpm: {{ type: virtual, members: [acme, upstream], deploy_to: acme }}\n"
    );
    std::fs::write(home.path().join("hexkeep.yaml"), config).unwrap();
    hexkeep(home.path(), &["user", "add", "root", "--admin"]);
    hexkeep(home.path(), &["org", "add", "acme"]);
    let key = ["key", "create", "bench", "--user", "root", "--permission", "api", "--permission", "repositories"];
    let key = hexkeep(home.path(), &key);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hexkeep"));
    command.args(["serve", "--config", "hexkeep.yaml"]).current_dir(home.path());
    let mut daemon = Process::start(command, &home.path().join("hexkeep.log"));
    let url = daemon.wait_until(|| {
        let addresses = std::fs::read(home.path().join("data/addresses.json")).ok()?;
        let addresses: serde_json::Value = serde_json::from_slice(&addresses).ok()?;
        Some(format!("http://{}", addresses.get("listen")?.as_str()?))
    });
    println!("{packages} packages, {} releases, {PRIVATE} private packages", packages * RELEASES);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let site = Site { client, url, key: key.trim().to_owned() };
    runtime.block_on(async {
        site.private_packages().await;
        site.indexes(&registry).await;
        site.packages().await;
    });
    say("memory at most so far", daemon.memory(true) as f64 / 1024.0 / 1024.0, "MiB");
    for (what, path) in [
        ("a package of the member at its own address", "/repos/upstream/packages/package_00007"),
        ("the same of the virtual repository", "/packages/package_00007"),
        ("a private package of the virtual repository", "/packages/acme_00007"),
        ("`versions` of the member at its own address", "/repos/upstream/versions"),
        ("`versions` of the virtual repository", "/versions"),
    ] {
        match find("wrk") {
            Some(wrk) => say(what, load(&wrk, &format!("{}{path}", site.url), &site.key), "a second"),
            None => println!("{what}: wrk is not installed"),
        }
    }
    say("memory at most", daemon.memory(true) as f64 / 1024.0 / 1024.0, "MiB");
}

struct Site {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Site {
    async fn publish(&self, name: &str, version: &str) -> Duration {
        let metadata = format!(
            "{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"app\">>,<<\"{name}\">>}}.\n\
             {{<<\"description\">>,<<\"Does things\">>}}.\n{{<<\"files\">>,[<<\"mix.exs\">>]}}.\n"
        );
        let contents = tarballs::gzip(&tarballs::archive(&[("mix.exs", b"x")]));
        let tarball = tarballs::pack(metadata.as_bytes(), &contents).0;
        let began = Instant::now();
        let request = self.client.post(format!("{}/api/publish", self.url)).header("authorization", &self.key);
        let response = request.header("user-agent", "bench").body(tarball).send().await.unwrap();
        assert_eq!(response.status(), 201, "{name} {version}");
        response.bytes().await.unwrap();
        began.elapsed()
    }

    /// What a GET takes, and its entity tag.
    async fn get(&self, path: &str) -> (Duration, String) {
        let began = Instant::now();
        let request = self.client.get(format!("{}{path}", self.url)).header("authorization", &self.key);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let etag = response.headers().get("etag").unwrap().to_str().unwrap().to_owned();
        response.bytes().await.unwrap();
        (began.elapsed(), etag)
    }

    async fn both(&self, base: &str) -> (Duration, [String; 2]) {
        let (names, first) = self.get(&format!("{base}/names")).await;
        let (versions, second) = self.get(&format!("{base}/versions")).await;
        (names + versions, [first, second])
    }

    async fn private_packages(&self) {
        for place in 0..PRIVATE {
            self.publish(&format!("acme_{place:05}"), "1.0.0").await;
        }
    }

    async fn indexes(&self, registry: &Registry) {
        say("both indexes of the member, first", ms(self.both("/repos/upstream").await.0), "ms");
        let (took, mut tags) = self.both("").await;
        say("merged and signed from nothing", ms(took), "ms");

        let (mut publishes, mut after) = (Vec::new(), Vec::new());
        for round in 0..CHANGES {
            publishes.push(self.publish(&format!("acme_{:05}", round * 7), "1.1.0").await);
            let (took, now) = self.both("").await;
            assert!(now[0] != tags[0] && now[1] != tags[1], "a publish is seen at once");
            tags = now;
            after.push(took);
        }
        say("a publish to the private member, median", median(publishes), "ms");
        say("both indexes asked for right after it, median", median(after), "ms");

        let mut after = Vec::new();
        for round in 0..CHANGES {
            registry.publish(round * 997 % registry.packages);
            // Until what the member has is no longer fresh.
            tokio::time::sleep(Duration::from_millis(1100)).await;
            self.both("/repos/upstream").await;
            let (took, now) = self.both("").await;
            assert!(now[0] != tags[0] && now[1] != tags[1], "what the member has is seen");
            tags = now;
            after.push(took);
        }
        say("both indexes right after the member has fetched a change, median", median(after), "ms");
    }

    async fn packages(&self) {
        let (mut first, mut again, mut member) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..FIRST_REQUESTS {
            let path = format!("/packages/{}", name(place * 13));
            member.push(self.get(&format!("/repos/upstream{path}")).await.0);
            first.push(self.get(&path).await.0);
            again.push(self.get(&path).await.0);
        }
        say("a package of the member, first, median", median(member), "ms");
        let mut sorted = first.clone();
        sorted.sort();
        say("the same of the virtual repository after it, first, median", median(first), "ms");
        say("  the slowest of a hundred", ms(*sorted.get(sorted.len() * 99 / 100).unwrap()), "ms");
        say("  again, median", median(again), "ms");
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    ms(*times.get(times.len() / 2).unwrap())
}

fn say(what: &str, value: f64, unit: &str) {
    println!("{what:<68} {value:>9.1} {unit}");
}

/// Requests a second.
fn load(wrk: &Path, url: &str, key: &str) -> f64 {
    let output = Command::new(wrk).args(["-t1", "-c16", "-d3s", "-H", &format!("authorization: {key}"), url]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("wrk failed: {text}"))
}

/// Runs a command at rest; what it printed.
fn hexkeep(home: &Path, args: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hexkeep"))
        .args(args)
        .args(["--config", "hexkeep.yaml"])
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().expect("piped").write_all(b"correct horse").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}
