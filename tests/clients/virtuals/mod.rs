//! Real clients and outside judges before a virtual repository: private packages that need each other and public ones, from
//! one address with one key.

pub(crate) mod judges;
pub(crate) mod mix;
pub(crate) mod rebar3;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Company, Registry, StaticUpstream};

/// What a build of `acme_ledger` takes: packages of `acme`, of its partner, and public ones.
const TREE: [(&str, &str); 6] = [
    ("acme_core", "1.0.0"),
    ("acme_ledger", "1.2.0"),
    ("ini_reader", "0.3.1"),
    ("job_ledger", "2.4.0"),
    ("partner_feed", "3.1.0"),
    ("stopwatch", "1.1.0"),
];

/// A company whose default repository `hexpm` unites `acme`, which is its own, `partner`, and what is public. Somebody
/// has put newer packages into the public registry, under names of the first two.
struct Union {
    company: Company,
    partner: StaticUpstream,
    upstream: StaticUpstream,
    public: Registry,
    partners: Registry,
    /// Lines of the configuration without the signing keys.
    settings: String,
    dir: TempDir,
}

impl Union {
    fn new(rebar3: &Path) -> Self {
        let dir = TempDir::with_prefix("hexkeep-union-").unwrap();
        let public = Registry::of(rebar3, &dir.path().join("upstream"), "attacked");
        let partners = Registry::of(rebar3, &dir.path().join("partner"), "partner");
        let (upstream, partner) = (StaticUpstream::serve(&public.folder), StaticUpstream::serve(&partners.folder));
        let settings =
            settings(&[("upstream", "hexpm", &upstream, &public), ("partner", "partner", &partner, &partners)]);
        let company = Company::with(&with_keys(&settings, "k1", &["k1"]), &["acme"]);
        Self { company, partner, upstream, public, partners, settings, dir }
    }

    /// Publishes the packages of `acme` through the virtual repository; what is said of them.
    fn publish(&self, rebar3: &Path) -> Registry {
        let private = Registry::of(rebar3, &self.dir.path().join("acme"), "acme");
        let key = self.company.key("wilma");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (name, version) in private.releases.keys() {
            let tarball = std::fs::read(private.folder.join(format!("tarballs/{name}-{version}.tar"))).unwrap();
            let (status, text) = runtime.block_on(async {
                let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
                let request = client.post(format!("{}/api/publish", self.company.url()));
                let request = request.header("authorization", &key).header("content-type", "application/octet-stream");
                let answer = request.header("user-agent", "test").body(tarball).send().await.unwrap();
                (answer.status(), answer.text().await.unwrap())
            });
            assert_eq!(status, 201, "{name} {version}: {text}");
        }
        private
    }

    /// The key of a job that builds: it reads what is `acme`'s.
    fn readers_key(&self) -> String {
        let args = ["key", "create", "ci", "--org", "acme", "--permission", "repository:acme"];
        self.company.daemon.hexkeep(&args, "").trim().to_owned()
    }

    fn switch_off(&mut self) {
        self.partner.switch_off();
        self.upstream.switch_off();
    }

    /// Starts again with more keys, of which one signs.
    fn restart_signing_with(&mut self, active: &str, keys: &[&str]) {
        let config = with_keys(&self.settings, active, keys);
        self.company.daemon.restart_with(&config);
    }

    /// The public key of that name, as a file.
    fn key_file(&self, id: &str) -> std::path::PathBuf {
        let file = self.dir.path().join(format!("{id}.pem"));
        std::fs::write(&file, self.company.daemon.hexkeep(&["public-key", "hexpm", "--id", id], "")).unwrap();
        file
    }

    /// How often tarballs were asked for at either upstream, by file name.
    fn tarball_calls(&self) -> Vec<(String, usize)> {
        self.upstream.tarball_calls().into_iter().chain(self.partner.tarball_calls()).collect()
    }
}

/// Once for each of these releases.
fn once_each(releases: &[&str]) -> Vec<(String, usize)> {
    releases.iter().map(|release| (format!("{release}.tar"), 1)).collect()
}

fn with_keys(settings: &str, active: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|id| format!("{{ id: {id} }}")).collect();
    format!("signing: {{ keys: [{}], active: {active} }}\n{settings}", keys.join(", "))
}

/// Fresh for a second only: what is served later was revalidated, or is stale because the upstreams are gone.
fn settings(remotes: &[(&str, &str, &StaticUpstream, &Registry)]) -> String {
    let remotes: String = remotes
        .iter()
        .map(|(key, name, upstream, registry)| {
            let pem: String = registry.public_key().lines().map(|line| format!("      {line}\n")).collect();
            format!(
                "  {key}:\n    type: remote\n    name: {name}\n    url: {}\n    network: fallback\n    \
                 metadata_ttl: 1s\n    stale_while_revalidate: 1s\n    public_key: |\n{pem}",
                upstream.url()
            )
        })
        .collect();
    format!(
        "server: {{ listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }}\nstorage: {{ path: ./store }}\n\
         installs: {{ url: http://127.0.0.1:9 }}\ndefault_repository: hexpm\nrepositories:\n{remotes}  \
         acme: {{ type: local }}\n  hexpm:\n    type: virtual\n    members:\n      - acme\n      \
         - {{ repository: partner, include: [\"partner_*\"], private: true }}\n      - upstream\n    \
         reserve: [\"acme_*\"]\n    deploy_to: acme\n"
    )
}
