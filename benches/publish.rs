//! Publishing to a local repository: how many releases a second, how long until one is visible, and what an index of
//! 20,000 packages costs when one is added. `cargo bench --bench publish`.
//!
//! The daemon runs in this process, its clients speak HTTP to it. The numbers depend on the disk: each publish is on it,
//! and in the database, before it is answered.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, prints, and needs neither files nor tasks that survive it"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hexkeep::app::{App, Inputs};
use hexkeep::config::{self, Source};
use reqwest::Client;
use tempfile::TempDir;

#[path = "support/administrator.rs"]
mod administrator;
#[path = "../tests/it/support/tarballs.rs"]
mod tarballs;

/// Publishes that are measured one after the other.
const ROUNDS: usize = 200;

/// Publishers at a time.
const CROWD: usize = 16;

/// Packages of the large index.
const PACKAGES: usize = 20_000;

struct Site {
    app: App,
    client: Client,
    url: String,
    key: String,
    _folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hexkeep.yaml");
        let text = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nstorage: { path: data }\n\
                    default_repository: acme\nrepositories: { acme: { type: local, dependency_check: off } }\n";
        std::fs::write(&file, text).unwrap();
        let settings = config::load(Source::File(file), [], "/".as_ref()).unwrap().settings;
        let inputs = Inputs::default();
        let app = App::start(settings, inputs).await.unwrap();
        let key = administrator::key(app.core()).await;
        let url = format!("http://{}", app.addresses().listen);
        Self { app, client: Client::builder().no_proxy().build().unwrap(), url, key, _folder: folder }
    }

    async fn publish(&self, name: &str, version: &str) -> Duration {
        let tarball = package(name, version);
        let began = Instant::now();
        let request = self.client.post(format!("{}/api/publish", self.url)).header("authorization", &self.key);
        let response = request.header("user-agent", "bench").body(tarball).send().await.unwrap();
        assert_eq!(response.status(), 201);
        response.bytes().await.unwrap();
        began.elapsed()
    }

    async fn get(&self, path: &str) -> (u16, Bytes) {
        let request = self.client.get(format!("{}{path}", self.url)).header("authorization", &self.key);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    }
}

/// A tarball of about 30 KiB.
fn package(name: &str, version: &str) -> Bytes {
    let metadata = format!(
        "{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"app\">>,<<\"{name}\">>}}.\n\
         {{<<\"description\">>,<<\"Does things\">>}}.\n{{<<\"files\">>,[<<\"mix.exs\">>]}}.\n"
    );
    let mut noise = vec![0; 28 * 1024];
    fastrand::fill(&mut noise);
    tarballs::pack(metadata.as_bytes(), &tarballs::gzip(&tarballs::archive(&[("mix.exs", &noise)]))).0
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).unwrap().as_secs_f64() * 1000.0
}

fn say(what: &str, value: f64, unit: &str) {
    println!("{what:<64} {value:>9.1} {unit}");
}

async fn one_after_the_other(site: &Site) {
    let mut times = Vec::new();
    let began = Instant::now();
    for round in 0..ROUNDS {
        times.push(site.publish(&format!("alone_{round}"), "1.0.0").await);
    }
    say("one publisher, new packages", ROUNDS as f64 / began.elapsed().as_secs_f64(), "a second");
    say("  answered after, median", median(times), "ms");
}

async fn at_the_same_time(site: &Arc<Site>, what: &str, name: fn(usize, usize) -> (String, String)) {
    let began = Instant::now();
    let publishers: Vec<_> = (0..CROWD)
        .map(|publisher| {
            let site = Arc::clone(site);
            tokio::spawn(async move {
                let mut times = Vec::new();
                for round in 0..ROUNDS / CROWD {
                    let (name, version) = name(publisher, round);
                    times.push(site.publish(&name, &version).await);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for publisher in publishers {
        times.extend(publisher.await.unwrap());
    }
    say(what, times.len() as f64 / began.elapsed().as_secs_f64(), "a second");
    say("  answered after, median", median(times), "ms");
}

/// From sending a release to having read it in all three indexes and fetched it.
async fn until_visible(site: &Site) {
    let mut times = Vec::new();
    for round in 0..50 {
        let name = format!("seen_{round}");
        let began = Instant::now();
        site.publish(&name, "1.0.0").await;
        for path in ["/names", "/versions", &format!("/packages/{name}"), &format!("/tarballs/{name}-1.0.0.tar")] {
            assert_eq!(site.get(path).await.0, 200, "{path}");
        }
        times.push(began.elapsed());
    }
    say("from publish to all indexes and the tarball read, median", median(times), "ms");
}

/// Packages that are there already, written into the database alone.
async fn fill(site: &Site) {
    use hexkeep::hex::checksum::Sha256;
    use hexkeep::repository::local::ReleaseMetadata;
    use hexkeep::state::audit::Actor;
    use hexkeep::state::package_snapshot::PackageSnapshot;
    use hexkeep::state::releases::NewRelease;
    let state = site.app.core().state();
    let about = ReleaseMetadata::default();
    for number in 0..PACKAGES {
        let name = format!("filler_{number:05}");
        let digest = Sha256::of(name.as_bytes());
        let release = NewRelease {
            inner: &digest,
            outer: &digest,
            size: 1,
            about: &about,
            requirements: &[],
            publisher: Some("root"),
        };
        let now = hexkeep::clock::Timestamp::from_secs(1_700_000_000);
        let anything = |_: &PackageSnapshot| Ok::<_, std::convert::Infallible>(());
        let Ok(()) =
            state.publish(now, ("acme", &name, Some("1.0.0")), &release, &Actor::default(), anything).await.unwrap();
    }
}

#[tokio::main]
async fn main() {
    // `cargo test` runs benchmarks, too, to see that they build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let site = Arc::new(Site::start().await);
    site.publish("warm", "1.0.0").await;
    one_after_the_other(&site).await;
    at_the_same_time(&site, "16 publishers, packages of their own", |publisher, round| {
        (format!("crowd_{publisher}_{round}"), "1.0.0".to_owned())
    })
    .await;
    at_the_same_time(&site, "16 publishers, one package", |publisher, round| {
        ("contended".to_owned(), format!("{publisher}.{round}.0"))
    })
    .await;
    until_visible(&site).await;

    let site = Site::start().await;
    let began = Instant::now();
    fill(&site).await;
    println!("{PACKAGES} packages written in {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    assert_eq!(site.get("/names").await.0, 200);
    say("20,000 packages: first index after a start", began.elapsed().as_secs_f64() * 1000.0, "ms");
    // Two repositories by turns, so that what the disk and the machine do in the meantime is done to both.
    let small = Site::start().await;
    small.publish("warm", "1.0.0").await;
    let (mut large, mut alone) = (Vec::new(), Vec::new());
    for round in 0..100 {
        large.push(site.publish(&format!("new_{round}"), "1.0.0").await);
        alone.push(small.publish(&format!("new_{round}"), "1.0.0").await);
    }
    let most = |times: &[Duration]| times.iter().max().unwrap().as_secs_f64() * 1000.0;
    say("20,000 packages: one publish, indexes made again, most", most(&large), "ms");
    say("a repository of few packages: one publish, most", most(&alone), "ms");
    let (large, alone) = (median(large), median(alone));
    say("20,000 packages: one publish, indexes made again, median", large, "ms");
    say("a repository of few packages: one publish, median", alone, "ms");
    say("20,000 packages: what they add to a publish, median", large - alone, "ms");
}
