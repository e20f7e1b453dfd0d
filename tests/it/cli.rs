//! Every command, as a user types it: against a running daemon, and on a store at rest.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::CommandFactory as _;
use hexkeep::cli::Cli;
use hexkeep::hex::checksum::Sha256;
use hexkeep::trust::{PrivateKey, PublicKey};
use rustix::process::Signal;

use super::support::hub::eventually;
use super::support::local::package;
use super::support::process::{Daemon, Home, Said, said};
use super::support::registry::TestRegistry;
use super::support::upstream::ScriptedUpstream;

/// An upstream with two packages of two releases each, and a home whose `hexpm` is its remote.
struct Site {
    upstream: ScriptedUpstream,
    registry: TestRegistry,
    home: Home,
    client: reqwest::Client,
}

impl Site {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With more settings for the repository: `, signature: own`.
    async fn with(more: &str) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let mut registry = TestRegistry::new("hexpm");
        for package in ["jason", "plug"] {
            for version in ["1.0.0", "2.0.0"] {
                registry.add(package, version);
            }
        }
        registry.publish(&upstream);
        upstream.serve("/docs/jason-1.0.0.tar.gz", &b"docs"[..]);
        let home = Home::remote(&upstream.url(), &registry.public_key(), more);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { upstream, registry, home, client }
    }

    async fn get(&self, daemon: &Daemon, path: &str) -> (u16, Bytes) {
        let response = self.client.get(format!("{}{path}", daemon.url())).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    }

    /// Everything that the upstream has, fetched through the daemon.
    async fn fetch_all(&self, daemon: &Daemon) {
        for path in [
            "/names",
            "/packages/jason",
            "/packages/plug",
            "/tarballs/jason-1.0.0.tar",
            "/tarballs/jason-2.0.0.tar",
            "/tarballs/plug-1.0.0.tar",
            "/docs/jason-1.0.0.tar.gz",
        ] {
            assert_eq!(self.get(daemon, path).await.0, 200, "{path}");
        }
    }

    fn calls(&self, path: &str) -> usize {
        self.upstream.calls_to(path).len()
    }

    fn reconfigure(&self, more: &str) {
        self.home.write("hexkeep.yaml", &Home::config(&self.upstream.url(), more));
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn help_reads_well() {
    let home = Home::new("");
    let mut pages = home.run_with(&["--help"], &[]).stdout;
    let commands = Cli::command();
    for command in commands.get_subcommands().map(clap::Command::get_name) {
        let long = home.run_with(&[command, "--help"], &[]);
        assert_eq!((long.code, long.stderr.as_str()), (0, ""), "{command}");
        pages.push_str(&format!("\n--- {command}\n{}", long.stdout));
        assert!(long.stdout.lines().all(|line| line.chars().count() <= 100), "{command}: {}", long.stdout);
    }
    insta::assert_snapshot!("help", pages);
    let version = home.run_with(&["--version"], &[]);
    assert_eq!(version, said(0, concat!("hexkeep ", env!("CARGO_PKG_VERSION"), "\n"), ""));
    for wrong in [&[][..], &["no-such-command"], &["purge"], &["purge", "a", "b", "c", "d"], &["serve", "--no-such"]] {
        let refused = home.run_with(wrong, &[]);
        assert!(refused.code != 0 && !refused.stderr.is_empty(), "{wrong:?}: {refused:?}");
    }
    assert!(!home.data().exists() && !home.path("hexkeep-data").exists(), "asking for help leaves nothing behind");
}

#[test]
fn a_good_configuration_is_called_good() {
    let home = Home::new("");
    let good = "the configuration is valid: 1 repository, default repository `hexpm`\n";
    for args in
        [&["check-config"][..], &["check-config", "hexkeep.yaml"], &["--config", "hexkeep.yaml", "check-config"]]
    {
        assert_eq!(home.run_with(args, &[]), said(0, good, ""), "{args:?}");
    }
    assert!(!home.path("hexkeep-data").exists(), "a check leaves nothing behind");
}

#[test]
fn a_bad_configuration_is_refused_with_every_problem_at_once() {
    let home = Home::new(
        "server:\n  listen: nowhere\n  deadlin: 5s\nstorage:\n  cache_limit: lots\nrepositories:\n  hexpm:\n    \
         type: remote\n    url: https://repo.hex.pm\n    metadata_ttl: soon\n",
    );
    for args in [
        &["check-config", "hexkeep.yaml"][..],
        &["--config", "hexkeep.yaml", "serve"],
        &["--config", "hexkeep.yaml", "show-config"],
        &["--config", "hexkeep.yaml", "purge", "hexpm"],
        &["--config", "hexkeep.yaml", "public-key", "hexpm"],
        &["--config", "hexkeep.yaml", "reload"],
        &["--config", "hexkeep.yaml", "verify-store"],
    ] {
        let refused = home.run_with(args, &[]);
        assert_eq!((refused.code, refused.stdout.as_str()), (64, ""), "{args:?}");
        let places: Vec<&str> = refused.stderr.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(
            places,
            ["hexkeep.yaml:2:11", "hexkeep.yaml:3:3", "hexkeep.yaml:5:16", "hexkeep.yaml:10:19"],
            "{args:?}: {}",
            refused.stderr
        );
        for path in ["server.listen", "deadlin", "storage.cache_limit", "repositories.hexpm.metadata_ttl"] {
            assert!(refused.stderr.contains(path), "{path}: {}", refused.stderr);
        }
    }
    assert!(!home.path("hexkeep-data").exists(), "nothing was begun");
    let missing = home.run_with(&["check-config", "no-such-file.yaml"], &[]);
    assert_eq!(missing.code, 64);
    assert!(missing.stderr.starts_with("no-such-file.yaml: "), "{}", missing.stderr);
}

#[test]
fn serve_refuses_a_bad_configuration_before_it_binds_a_port() {
    // The port is taken: whoever tries to bind it fails in another way.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let server = format!("server: {{ listen: \"{listen}\", ops_listen: 127.0.0.1:0 }}\n");
    let home = Home::new(&format!("{server}storage: {{ path: data }}\nnonsense: 1\n"));
    let refused = home.run(&["serve"]);
    assert_eq!(refused.code, 64, "{}", refused.stderr);
    assert!(refused.stderr.contains("hexkeep.yaml:3:1: nonsense"), "{}", refused.stderr);
    assert!(!home.data().exists());

    home.write("hexkeep.yaml", &format!("{server}storage: {{ path: data }}\n"));
    let failed = home.run(&["serve"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains(&format!("cannot listen on {listen}")), "{}", failed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn show_config_redacts_secrets_and_loads_back() {
    let site = Site::new().await;
    site.home.write("secret", "Bearer s3cr3t\n");
    site.reconfigure(", credentials: { file: secret }, proxy: \"http://user:s3cr3t@127.0.0.1:9\", metadata_ttl: 7s");
    let shown = site.home.run(&["show-config"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    assert!(!shown.stdout.contains("s3cr3t"), "{}", shown.stdout);
    assert!(shown.stdout.contains("metadata_ttl: 7s") && shown.stdout.contains("redacted"), "{}", shown.stdout);
    assert!(shown.stdout.contains(site.home.path("secret").to_str().unwrap()), "{}", shown.stdout);
    assert!(!site.home.data().exists(), "to look at a configuration makes no store");

    site.home.write("shown.yaml", &shown.stdout);
    let again = site.home.run_with(&["--config", "shown.yaml", "show-config"], &[]);
    assert_eq!((again.code, &again.stdout), (0, &shown.stdout), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn show_config_asks_the_daemon_what_is_in_force() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    site.reconfigure(", metadata_ttl: 7s");
    let shown = site.home.run(&["show-config"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("metadata_ttl: 1m"), "what the daemon has, not what the file says: {}", shown.stdout);
    assert_eq!(site.home.run(&["reload"]).code, 0);
    assert!(site.home.run(&["show-config"]).stdout.contains("metadata_ttl: 7s"));
    assert_eq!(daemon.stop().0, Some(0));
}

/// One PEM on standard output, its fingerprint on standard error.
fn one_key(said: &Said) -> PublicKey {
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stdout.matches("-----BEGIN ").count(), 1, "{}", said.stdout);
    assert!(said.stdout.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{}", said.stdout);
    assert!(said.stdout.ends_with("-----END PUBLIC KEY-----\n"), "{}", said.stdout);
    let key = PublicKey::from_pem(&said.stdout).unwrap();
    assert_eq!(said.stderr, format!("{}\n", key.fingerprint()));
    assert!(said.stderr.starts_with("SHA256:") && said.stderr.len() == "SHA256:\n".len() + 43, "{}", said.stderr);
    key
}

#[test]
fn keygen_makes_a_key_that_its_owner_alone_can_read() {
    let home = Home::new("");
    let made = home.run_with(&["keygen", "key.pem"], &[]);
    let printed = one_key(&made);
    let file = home.path("key.pem");
    assert_eq!(mode(&file), 0o600);
    let pem = fs::read_to_string(&file).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
    assert_eq!(*PrivateKey::from_pem(&pem).unwrap().public(), printed);

    let again = home.run_with(&["keygen", "key.pem"], &[]);
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert!(again.stderr.contains("key.pem"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), pem, "it may be somebody's only copy");
    for bits in ["1024", "0", "16384", "many"] {
        let refused = home.run_with(&["keygen", "other.pem", "--bits", bits], &[]);
        assert!(refused.code != 0 && refused.stdout.is_empty(), "{bits}: {refused:?}");
    }
    assert!(!home.path("other.pem").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn public_key_prints_what_clients_verify_with() {
    let site = Site::new().await;
    let theirs = PublicKey::from_pem(&site.registry.public_key()).unwrap();
    assert_eq!(one_key(&site.home.run(&["public-key", "hexpm"])), theirs, "at rest");
    let daemon = site.home.serve();
    assert_eq!(one_key(&site.home.run(&["public-key", "hexpm"])), theirs, "running");
    assert_eq!(site.home.run(&["public-key", "hexpm"]).stdout.as_bytes(), site.get(&daemon, "/public_key").await.1);
    let listed = site.home.run(&["public-key", "hexpm", "--list"]);
    assert_eq!(listed, said(0, &format!("upstream\t{}\tactive\n", theirs.fingerprint()), ""));
    let mut daemon = Some(daemon);
    for at in ["running", "at rest"] {
        let unknown = site.home.run(&["public-key", "nobody"]);
        assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""), "{at}");
        assert_eq!(
            unknown.stderr, "hexkeep: there is no repository `nobody`; the configured repositories are: hexpm\n",
            "{at}"
        );
        if let Some(daemon) = daemon.take() {
            assert_eq!(daemon.stop().0, Some(0));
        }
    }
    assert_eq!(site.upstream.calls_to("/public_key").len(), 0, "a key is configured, never fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_ours_is_made_once_and_listed_by_its_id() {
    let site = Site::with(", signature: own").await;
    let made = site.home.run_with(&["keygen", "old.pem"], &[]);
    let old = one_key(&made);
    let config = Home::config(&site.upstream.url(), ", signature: own");
    let signing = "signing: { keys: [ { id: k1 }, { id: old, file: old.pem } ], active: k1 }\n";
    site.home.write("hexkeep.yaml", &format!("{signing}{config}"));
    let first = site.home.run(&["public-key", "hexpm"]);
    let own = one_key(&first);
    let file = site.home.data().join("keys/k1.pem");
    assert_eq!(mode(&file), 0o600);
    assert_ne!(own, old);
    let daemon = site.home.serve();
    assert_eq!(site.home.run(&["public-key", "hexpm"]).stdout, first.stdout, "the same, running");
    assert_eq!(site.get(&daemon, "/public_key").await.1, first.stdout.as_bytes());
    let list = format!("k1\t{}\tactive\nold\t{}\n", own.fingerprint(), old.fingerprint());
    assert_eq!(site.home.run(&["public-key", "hexpm", "--list"]), said(0, &list, ""));
    assert_eq!(one_key(&site.home.run(&["public-key", "hexpm", "--id", "old"])), old);
    let unknown = site.home.run(&["public-key", "hexpm", "--id", "k9"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""));
    assert!(unknown.stderr.contains("--list"), "{}", unknown.stderr);
    assert!(site.home.run(&["public-key", "hexpm", "--id", "k1", "--list"]).code != 0, "one or the other");
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(site.home.run(&["public-key", "hexpm", "--list"]), said(0, &list, ""), "at rest");
}

fn removed(resources: usize, tarballs: usize, docs: usize) -> Said {
    let text = format!(
        "removed {resources} registry resources, {tarballs} tarballs and {docs} docs; they are downloaded again at the \
         next request\n"
    );
    said(0, &text, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_makes_a_running_daemon_fetch_again() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    site.fetch_all(&daemon).await;
    site.fetch_all(&daemon).await;
    assert_eq!((site.calls("/packages/jason"), site.calls("/tarballs/jason-1.0.0.tar")), (1, 1));

    assert_eq!(site.home.run(&["purge", "hexpm", "jason", "1.0.0"]), removed(1, 1, 1));
    site.fetch_all(&daemon).await;
    assert_eq!((site.calls("/packages/jason"), site.calls("/packages/plug"), site.calls("/names")), (2, 1, 1));
    assert_eq!((site.calls("/tarballs/jason-1.0.0.tar"), site.calls("/tarballs/jason-2.0.0.tar")), (2, 1));
    assert_eq!(site.calls("/docs/jason-1.0.0.tar.gz"), 2);

    assert_eq!(site.home.run(&["purge", "hexpm", "jason"]), removed(1, 2, 1));
    site.fetch_all(&daemon).await;
    assert_eq!((site.calls("/tarballs/jason-1.0.0.tar"), site.calls("/tarballs/jason-2.0.0.tar")), (3, 2));
    assert_eq!((site.calls("/tarballs/plug-1.0.0.tar"), site.calls("/packages/plug")), (1, 1));

    assert_eq!(site.home.run(&["purge", "hexpm"]), removed(3, 3, 1));
    site.fetch_all(&daemon).await;
    assert_eq!((site.calls("/names"), site.calls("/packages/plug"), site.calls("/tarballs/plug-1.0.0.tar")), (2, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_forgets_what_was_missing() {
    let mut site = Site::new().await;
    let daemon = site.home.serve();
    assert_eq!(site.get(&daemon, "/packages/late").await.0, 404);
    assert_eq!(site.get(&daemon, "/docs/jason-2.0.0.tar.gz").await.0, 404);
    site.registry.add("late", "1.0.0");
    site.registry.publish(&site.upstream);
    site.upstream.serve("/docs/jason-2.0.0.tar.gz", &b"docs"[..]);
    assert_eq!(site.get(&daemon, "/packages/late").await.0, 404, "remembered");
    assert_eq!(site.home.run(&["purge", "hexpm", "late"]).code, 0);
    assert_eq!(site.get(&daemon, "/packages/late").await.0, 200);
    assert_eq!(site.home.run(&["purge", "hexpm", "jason", "2.0.0"]).code, 0);
    assert_eq!(site.get(&daemon, "/docs/jason-2.0.0.tar.gz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_works_on_a_store_at_rest() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    site.fetch_all(&daemon).await;
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(site.home.run(&["purge", "hexpm", "jason", "2.0.0"]), removed(1, 1, 0));
    assert_eq!(site.home.run(&["purge", "hexpm", "plug"]), removed(1, 1, 0));
    let daemon = site.home.serve();
    site.fetch_all(&daemon).await;
    assert_eq!((site.calls("/packages/jason"), site.calls("/packages/plug"), site.calls("/names")), (2, 2, 1));
    assert_eq!((site.calls("/tarballs/jason-2.0.0.tar"), site.calls("/tarballs/jason-1.0.0.tar")), (2, 1));
    assert_eq!(site.calls("/tarballs/plug-1.0.0.tar"), 2);
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(site.home.run(&["purge", "hexpm"]), removed(3, 3, 1));
    assert_eq!(site.home.run(&["purge", "hexpm"]), removed(0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_says_what_it_does_not_understand() {
    let site = Site::new().await;
    let mut daemon = Some(site.home.serve());
    for at in ["running", "at rest"] {
        for (args, word) in [
            (&["purge", "nobody"][..], "no repository `nobody`; the configured repositories are: hexpm"),
            (&["purge", "hexpm", "Not-A-Name"], "package name"),
            (&["purge", "hexpm", "jason", "one"], "version"),
        ] {
            let refused = site.home.run(args);
            assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{at} {args:?}");
            assert!(
                refused.stderr.starts_with("hexkeep: ") && refused.stderr.contains(word),
                "{at}: {}",
                refused.stderr
            );
        }
        if let Some(daemon) = daemon.take() {
            assert_eq!(daemon.stop().0, Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_takes_a_change() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    assert_eq!(site.home.run(&["reload"]), said(0, "the configuration has not changed\n", ""));
    assert_eq!(site.get(&daemon, "/repos/acme/public_key").await.0, 404);
    let acme =
        format!("  acme: {{ type: remote, url: \"{}/repos/acme\", public_key: registry.pem }}\n", site.upstream.url());
    let config = Home::config(&site.upstream.url(), ", exclude: [jas*]");
    site.home.write("hexkeep.yaml", &format!("{config}{acme}").replace("format: json", "format: json, level: warn"));
    let reloaded = site.home.run(&["reload"]);
    assert_eq!((reloaded.code, reloaded.stderr.as_str()), (0, ""));
    let changes = "repository `acme` was added\nrepository `hexpm` has changed\nlog.level has changed\n";
    assert_eq!(reloaded.stdout, changes);
    assert_eq!(site.get(&daemon, "/repos/acme/public_key").await.0, 200);
    assert_eq!(site.get(&daemon, "/packages/jason").await.0, 404, "excluded from now on");
    assert_eq!(site.get(&daemon, "/packages/plug").await.0, 200);
    site.reconfigure("");
    let back = site.home.run(&["reload"]);
    assert!(back.stdout.contains("repository `acme` was removed"), "{back:?}");
    assert_eq!(site.get(&daemon, "/repos/acme/public_key").await.0, 404);
    assert_eq!(site.get(&daemon, "/packages/jason").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_cannot_be_keeps_the_old_configuration() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    site.reconfigure(", metadata_ttl: soon");
    let refused = site.home.run(&["reload"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (64, ""));
    assert!(refused.stderr.starts_with("hexkeep.yaml:6:"), "{}", refused.stderr);
    let good = Home::config(&site.upstream.url(), ", exclude: [jason]");
    for (from, to, key) in [
        ("listen: 127.0.0.1:0, ops", "listen: 127.0.0.1:1, ops", "server.listen"),
        ("ops_listen: 127.0.0.1:0", "ops_listen: 127.0.0.1:1", "server.ops_listen"),
        ("path: data", "path: data, memory_limit: 1MiB", "storage.memory_limit"),
        ("format: json", "format: text", "log.format"),
    ] {
        let config = good.replace(from, to);
        assert_ne!(config, good, "{from}");
        site.home.write("hexkeep.yaml", &config);
        let refused = site.home.run(&["reload"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{key}");
        assert!(refused.stderr.contains(key) && refused.stderr.contains("restart"), "{key}: {}", refused.stderr);
    }
    assert_eq!(site.get(&daemon, "/packages/jason").await.0, 200, "the old one is in force, whole");
    site.home.write("hexkeep.yaml", &good);
    assert_eq!(site.home.run(&["reload"]).code, 0);
    assert_eq!(site.get(&daemon, "/packages/jason").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_is_a_reload() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    site.reconfigure(", exclude: [jason]");
    daemon.signal(Signal::HUP);
    eventually("the change is taken", async || site.get(&daemon, "/packages/jason").await.0 == 404).await;
    site.home.write("hexkeep.yaml", "nonsense: true\n");
    daemon.signal(Signal::HUP);
    daemon.await_log("the old configuration stays active");
    assert!(daemon.log().contains("hexkeep.yaml:1:1: nonsense"), "{}", daemon.log());
    assert_eq!(site.get(&daemon, "/packages/plug").await.0, 200);
    site.home.write("hexkeep.yaml", &Home::config(&site.upstream.url(), "").replace("path: data", "path: elsewhere"));
    daemon.signal(Signal::HUP);
    daemon.await_log("storage.path");
    let refused = site.home.run(&["reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("elsewhere") && refused.stderr.contains("storage.path was changed"), "{refused:?}");
    assert!(!site.home.path("elsewhere").exists());
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_without_a_daemon_says_so() {
    let site = Site::new().await;
    let refused = site.home.run(&["reload"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.starts_with("hexkeep: no daemon uses the store in "), "{}", refused.stderr);
    assert!(!site.home.data().exists(), "nothing to be made for that");
    // A daemon that was killed leaves its socket behind.
    let daemon = site.home.serve();
    drop(daemon);
    assert!(site.home.data().join("admin.sock").exists());
    let refused = site.home.run(&["reload"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.starts_with("hexkeep: no daemon uses the store in "), "{}", refused.stderr);
}

/// Changes one byte of every file below a folder of the store; says how many there were.
fn damage(folder: &Path) -> usize {
    let mut damaged = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    damaged
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_store_proves_repairs_and_says_by_its_code_what_it_found() {
    for running in [true, false] {
        let site = Site::new().await;
        let mut daemon = Some(site.home.serve());
        site.fetch_all(daemon.as_ref().unwrap()).await;
        if !running {
            assert_eq!(daemon.take().unwrap().stop().0, Some(0));
        }
        let sound = "3 registry resources and 4 files are valid; 0 damaged, 0 unexpected, 0 removed\n";
        assert_eq!(site.home.run(&["verify-store"]), said(0, sound, ""), "running: {running}");

        assert_eq!(damage(&site.home.data().join("blobs")), 4);
        assert_eq!(damage(&site.home.data().join("registry")), 3);
        let found = site.home.run(&["verify-store"]);
        assert_eq!(found.code, 1, "running: {running}: {found:?}");
        assert!(found.stdout.starts_with("0 registry resources and 0 files are valid; 7 damaged"), "{}", found.stdout);
        assert!(found.stdout.contains(" 0 removed"), "it only looked: {}", found.stdout);
        assert_eq!(found.stderr.matches("damaged: ").count(), 7, "{}", found.stderr);
        assert!(found.stderr.contains("damaged: hexpm/packages/jason") && found.stderr.contains("--repair"));

        let repaired = site.home.run(&["verify-store", "--repair"]);
        assert_eq!(repaired.code, 0, "running: {running}: {repaired:?}");
        assert!(repaired.stdout.contains("7 damaged, 0 unexpected, 7 removed"), "{}", repaired.stdout);
        let empty = "0 registry resources and 0 files are valid; 0 damaged, 0 unexpected, 0 removed\n";
        assert_eq!(site.home.run(&["verify-store"]), said(0, empty, ""), "running: {running}");

        let daemon = daemon.unwrap_or_else(|| site.home.serve());
        site.fetch_all(&daemon).await;
        assert_eq!(daemon.stop().0, Some(0));
        assert_eq!(site.home.run(&["verify-store"]), said(0, sound, ""), "running: {running}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_store_looks_at_what_was_signed_here() {
    let site = Site::with(", signature: own").await;
    let daemon = site.home.serve();
    site.fetch_all(&daemon).await;
    let sound = "6 registry resources and 4 files are valid; 0 damaged, 0 unexpected, 0 removed\n";
    assert_eq!(site.home.run(&["verify-store"]), said(0, sound, ""));
    assert_eq!(damage(&site.home.data().join("sealed")), 3);
    let found = site.home.run(&["verify-store"]);
    assert_eq!(found.code, 1, "{found:?}");
    assert!(found.stdout.starts_with("3 registry resources and 4 files are valid; 3 damaged"), "{found:?}");
    assert!(found.stderr.contains("damaged: sealed/hexpm/packages/jason\n"), "{found:?}");
    let repaired = site.home.run(&["verify-store", "--repair"]);
    assert!(repaired.code == 0 && repaired.stdout.contains("3 damaged, 0 unexpected, 3 removed"), "{repaired:?}");
    // A signature of a key that is no longer the one is not damage: it is not used, and made anew.
    assert_eq!(daemon.stop().0, Some(0));
    let daemon = site.home.serve();
    site.fetch_all(&daemon).await;
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(site.home.run_with(&["keygen", "other.pem"], &[]).code, 0);
    let signing = "signing: { keys: [{ id: k2, file: other.pem }], active: k2 }\n";
    let config = Home::config(&site.upstream.url(), ", signature: own");
    site.home.write("hexkeep.yaml", &format!("{signing}{config}"));
    assert_eq!(site.home.run(&["verify-store"]), said(0, sound, ""));
}

#[test]
fn verify_store_names_what_has_no_other_copy() {
    let home = Home::new(
        "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nlog: { format: json }\nstorage: { path: data }\n\
         default_repository: acme\nrepositories: { acme: { type: local } }\n",
    );
    fs::create_dir(home.path("tarballs")).unwrap();
    for version in ["1.0.0", "2.0.0"] {
        fs::write(home.path(&format!("tarballs/core-{version}.tar")), package("core", version, "")).unwrap();
    }
    let imported = home.run(&["import", "acme", "tarballs"]);
    assert_eq!(imported.code, 0, "{imported:?}");
    let sound = "0 registry resources and 2 files are valid; 0 damaged, 0 unexpected, 0 removed\n";
    assert_eq!(home.run(&["verify-store"]), said(0, sound, ""));

    let digest = Sha256::of(&package("core", "1.0.0", "")).to_string();
    let (damaged, missing) = (home.data().join("local/blobs").join(digest.split_at(2).0).join(&digest), "core-2.0.0");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[700] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let digest = Sha256::of(&package("core", "2.0.0", "")).to_string();
    fs::remove_file(home.data().join("local/blobs").join(digest.split_at(2).0).join(&digest)).unwrap();
    for args in [&["verify-store"][..], &["verify-store", "--repair"]] {
        let found = home.run(args);
        assert_eq!(found.code, 1, "{found:?}");
        assert!(found.stdout.contains("0 files are valid; 2 damaged, 0 unexpected, 0 removed"), "{found:?}");
        for line in [
            "damaged: acme/tarballs/core-1.0.0.tar\n",
            missing,
            "restore local/blobs in the storage path from a backup",
        ] {
            assert!(found.stderr.contains(line), "{found:?}");
        }
    }
    assert_eq!(fs::read(&damaged).unwrap(), bytes, "it may be all that is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_store_finds_what_has_no_business_in_the_store() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    site.fetch_all(&daemon).await;
    let stranger = site.home.data().join("blobs/README");
    fs::write(&stranger, "what is this?").unwrap();
    let found = site.home.run(&["verify-store"]);
    assert_eq!(found.code, 1, "{found:?}");
    assert!(found.stderr.contains("blobs/README"), "{}", found.stderr);
    assert!(stranger.exists());
    assert_eq!(site.home.run(&["verify-store", "--repair"]).code, 0);
    assert!(!stranger.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_the_file_and_overrides_its_keys() {
    let site = Site::new().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let env = [
        ("HEXKEEP_CONFIG", "hexkeep.yaml"),
        ("HEXKEEP_SERVER__LISTEN", listen.as_str()),
        ("HEXKEEP_REPOSITORIES__HEXPM__METADATA_TTL", "7s"),
        ("HEXKEEP_TEST_ANYTHING", "is no override"),
        ("HEXKEEP_NONSENSE", "is none either"),
    ];
    let shown = site.home.run_with(&["show-config"], &env);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains(&listen) && shown.stdout.contains("metadata_ttl: 7s"), "{}", shown.stdout);
    let daemon = site.home.serve_with(&["serve"], &env);
    assert_eq!(daemon.listen().to_string(), listen);
    assert_eq!(site.get(&daemon, "/packages/jason").await.0, 200);
    assert_eq!(daemon.stop().0, Some(0));
    // The command line goes first.
    let other =
        site.home.run_with(&["--config", "hexkeep.yaml", "check-config"], &[("HEXKEEP_CONFIG", "nowhere.yaml")]);
    assert_eq!(other.code, 0, "{}", other.stderr);
    for (name, value) in
        [("HEXKEEP_SERVER__LISTN", "x"), ("HEXKEEP_SERVER__LISTEN", "nowhere"), ("HEXKEEP_server__listen", "x")]
    {
        let refused = site.home.run_with(&["--config", "hexkeep.yaml", "serve"], &[(name, value)]);
        assert_eq!(refused.code, 64, "{name}: {}", refused.stderr);
        assert!(refused.stderr.contains(&format!("environment variable {name}: ")), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_signal_is_no_failure_and_leaves_no_traces_of_the_run() {
    let site = Site::new().await;
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = site.home.serve();
        let (addresses, socket) = (site.home.data().join("addresses.json"), site.home.data().join("admin.sock"));
        assert!(addresses.exists() && fs::metadata(&socket).unwrap().file_type().is_socket());
        daemon.signal(signal);
        let (code, log) = daemon.wait();
        assert_eq!(code, Some(0), "{signal:?}: {log}");
        assert!(log.contains("\"stopped\""), "{log}");
        assert!(!addresses.exists() && !socket.exists(), "{signal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_store_is_refused() {
    let site = Site::new().await;
    let daemon = site.home.serve();
    let second = site.home.run(&["serve"]);
    assert_eq!((second.code, second.stdout.as_str()), (1, ""));
    assert!(second.stderr.contains("is in use by another hexkeep process"), "{}", second.stderr);
    assert_eq!(site.get(&daemon, "/packages/jason").await.0, 200);
    assert_eq!(site.home.run(&["reload"]).code, 0, "and its socket is still the first one's");
}

/// Every file and folder in `folder` that others than its owner may use; below a closed folder all is closed.
fn open_to_others(folder: &Path) -> Vec<String> {
    let paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(paths.len() > 8, "{paths:?}");
    paths
        .iter()
        .filter(|path| mode(path) & 0o077 != 0)
        .map(|path| format!("{} {:o}", path.display(), mode(path)))
        .collect()
}

/// Keys, a database, and packages that a credential paid for. A folder that was there may be wider than ours would be,
/// so what is in it has to hold by itself; what is in a closed folder is closed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_for_the_daemons_own_user() {
    for existing in [None, Some(0o755)] {
        let site = Site::with(", signature: own").await;
        if let Some(permissions) = existing {
            fs::create_dir(site.home.data()).unwrap();
            fs::set_permissions(site.home.data(), fs::Permissions::from_mode(permissions)).unwrap();
        }
        let daemon = site.home.serve();
        site.fetch_all(&daemon).await;
        assert_eq!(mode(&site.home.data()), existing.unwrap_or(0o700));
        assert_eq!(mode(&site.home.data().join("admin.sock")), 0o600);
        assert_eq!(mode(&site.home.data().join("keys/k1.pem")), 0o600);
        assert_eq!(mode(&site.home.data().join("state.sqlite")), 0o600);
        assert_eq!(open_to_others(&site.home.data()), Vec::<String>::new(), "{existing:?}");
        assert_eq!(daemon.stop().0, Some(0));
        assert_eq!(open_to_others(&site.home.data()), Vec::<String>::new(), "{existing:?}, stopped");
    }
}
