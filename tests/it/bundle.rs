//! `hexkeep bundle`: what lock files name goes in one file to where there is no network, and nothing else gets in.

mod disguised;
mod forged;
mod old;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hexkeep::hex::message::Dependency;

use super::support::installs::{serve_signed, sha512};
use super::support::local::package;
use super::support::process::{Home, Said};
use super::support::site::{Site, get};

const RELEASES: [(&str, &str); 4] = [("jason", "1.0.0"), ("jason", "1.4.4"), ("plug", "1.16.1"), ("plug", "1.17.0")];

const OFFLINE: &str = ", network: offline";

/// Where bundles are made: a lock file names two releases, and one of them has docs.
async fn site() -> Site {
    let site = Site::with(&RELEASES, 100 * 1024, "").await;
    site.publish();
    site.upstream.serve("/docs/jason-1.4.4.tar.gz", &b"docs"[..]);
    site.lock("mix.lock", &[("jason", "1.4.4"), ("plug", "1.16.1")]);
    site
}

fn create(home: &Home, file: &str, more: &[&str]) -> Said {
    let said = home.run(&[&["bundle", "create", "--lock", "mix.lock", "-o", file], more].concat());
    assert_eq!(said.code, 0, "{said:?}");
    said
}

/// The fingerprint of a home's bundle key.
fn key(home: &Home) -> String {
    let said = home.run(&["bundle", "key"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    said.stdout.trim().to_owned()
}

fn import(to: &Home, from: &Home, file: &str, more: &[&str]) -> Said {
    let file = from.path(file);
    to.run(&[&["bundle", "import", file.to_str().unwrap()], more].concat())
}

/// Every cached file of a home.
fn stored(home: &Home) -> BTreeSet<String> {
    home.stored(&["blobs", "registry", "lists", "tmp"])
}

/// Name and content.
type BundleFile = (String, Vec<u8>);

/// The files of a bundle.
fn files(bundle: &Path) -> Vec<BundleFile> {
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        use std::io::Read as _;
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().to_vec()).unwrap(), bytes)
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bundle_brings_is_answered_without_any_upstream() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let site = site().await;
        let daemon = running.then(|| site.home.serve());
        let made = create(&site.home, "build.bundle", &["--docs"]);
        assert!(made.stdout.starts_with("wrote 2 releases, 1 docs and 0 installers to "), "{story}: {made:?}");
        assert!(made.stdout.contains("build.bundle: 7 files, "), "{story}: {made:?}");
        let fingerprint = key(&site.home);
        assert!(made.stderr.contains(&fingerprint), "{story}: {made:?}");
        drop(daemon);
        site.upstream.switch_off().await;

        let other = site.another(OFFLINE);
        let daemon = running.then(|| other.serve());
        let untrusted = import(&other, &site.home, "build.bundle", &[]);
        assert_eq!(untrusted.code, 1, "{story}: {untrusted:?}");
        let why = format!("signed with the key {fingerprint}, which is not trusted");
        assert!(untrusted.stderr.contains(&why), "{story}: {untrusted:?}");
        assert_eq!(stored(&other), BTreeSet::new(), "{story}");
        let trust = ["--trust", fingerprint.as_str()];
        let file = site.home.path("build.bundle");
        let verified = other.run(&["bundle", "verify", file.to_str().unwrap(), trust[0], trust[1]]);
        assert_eq!((verified.code, stored(&other)), (0, BTreeSet::new()), "{story}: {verified:?}");
        assert_eq!(verified.stdout, "verified 2 releases, 1 docs and 0 installers\n", "{story}");
        let imported = import(&other, &site.home, "build.bundle", &trust);
        assert_eq!(imported.code, 0, "{story}: {imported:?}");
        assert!(imported.stdout.starts_with("3 files were imported ("), "{story}: {imported:?}");
        let again = import(&other, &site.home, "build.bundle", &trust);
        let nothing = "0 files were imported (0 bytes), 3 were already in the store; 0 packages and 0 installer lists have changed\n";
        assert_eq!((again.code, again.stdout.as_str()), (0, nothing), "{story}: {again:?}");

        let daemon = daemon.unwrap_or_else(|| other.serve());
        assert_eq!(get(&daemon, "/packages/jason").await, (200, site.registry.package("jason")), "{story}");
        assert_eq!(get(&daemon, "/names").await, (200, site.registry.names()), "{story}");
        assert_eq!(get(&daemon, "/versions").await, (200, site.registry.versions()), "{story}");
        for name in ["jason-1.4.4", "plug-1.16.1"] {
            let tarball = site.registry.tarballs()[name].clone();
            assert_eq!(get(&daemon, &format!("/tarballs/{name}.tar")).await, (200, tarball), "{story}: {name}");
        }
        assert_eq!(get(&daemon, "/docs/jason-1.4.4.tar.gz").await, (200, "docs".into()), "{story}");
        // What is missing has a name, and there is a way to it.
        for (path, status) in [("/tarballs/jason-1.0.0.tar", 502), ("/packages/nobody", 404)] {
            let (found, text) = get(&daemon, path).await;
            let text = String::from_utf8(text.to_vec()).unwrap();
            assert_eq!(found, status, "{story}: {path}: {text}");
            let missing = format!("{} of hexpm is not cached", path.trim_start_matches('/'));
            assert!(text.contains(&missing), "{story}: {path}: {text}");
            assert!(text.contains("hexkeep bundle create") && text.contains("hexkeep prefetch"), "{story}: {text}");
        }
        assert_eq!(daemon.stop().0, Some(0));
        let audit = other.run(&["audit", "hexpm"]);
        assert!(audit.stdout.contains("bundle.import") && audit.stdout.contains(&fingerprint), "{story}: {audit:?}");
    }
}

/// Who resolves asks for the index of what is optional, too, though no lock file names it.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_what_is_optional_comes_along() {
    for bundled in [true, false] {
        let mut site = site().await;
        for (package, version) in [("decimal", "1.0.0"), ("decimal", "2.0.0"), ("other", "1.0.0")] {
            site.registry.add(package, version);
        }
        let depends = |package: &str, repository: Option<&str>| Dependency {
            package: package.to_owned(),
            requirement: "~> 1.0".to_owned(),
            optional: Some(true),
            app: None,
            repository: repository.map(str::to_owned),
        };
        let needs = [depends("decimal", None), depends("nobody", None), depends("other", Some("acme"))];
        for release in &mut site.registry.package_mut("jason").releases {
            if release.version == "1.4.4" {
                release.dependencies = needs.to_vec();
            } else {
                release.dependencies = vec![depends("plug_crypto", None)];
            }
        }
        site.publish();
        let daemon = if bundled {
            create(&site.home, "build.bundle", &[]);
            let other = site.another(OFFLINE);
            let imported = import(&other, &site.home, "build.bundle", &["--trust", &key(&site.home)]);
            assert_eq!(imported.code, 0, "{imported:?}");
            site.upstream.switch_off().await;
            site.home = other;
            site.home.serve()
        } else {
            let said = site.home.run(&["prefetch", "--lock", "mix.lock"]);
            assert_eq!(said.code, 0, "{said:?}");
            site.upstream.switch_off().await;
            site.home.serve()
        };
        let index = (200, site.registry.package("decimal"));
        assert_eq!(get(&daemon, "/packages/decimal").await, index, "bundled: {bundled}");
        assert_eq!(site.calls("/tarballs/decimal-1.0.0.tar") + site.calls("/tarballs/decimal-2.0.0.tar"), 0);
        assert_eq!(site.calls("/packages/other") + site.calls("/packages/plug_crypto"), 0, "bundled: {bundled}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_same_releases_the_same_bytes_are_made() {
    let site = site().await;
    create(&site.home, "one.bundle", &["--docs"]);
    let daemon = site.home.serve();
    create(&site.home, "other.bundle", &["--docs"]);
    assert_eq!(daemon.stop().0, Some(0));
    let read = |name: &str| fs::read(site.home.path(name)).unwrap();
    assert_eq!(read("one.bundle"), read("other.bundle"));
    let key = site.home.data().join("keys/bundle.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600, "nobody else reads the key");
    let public = site.home.run(&["public-key", "hexpm", "--list"]);
    assert!(!public.stdout.contains(&self::key(&site.home)), "it signs bundles alone: {public:?}");
    let names: Vec<String> = files(&site.home.path("one.bundle")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[..2], ["hexkeep-bundle.json", "hexkeep-bundle.sig"]);
    assert!(names[2..].iter().all(|name| name.starts_with("objects/") && name.len() == 72), "{names:?}");
    let taken = site.home.run(&["bundle", "create", "--lock", "mix.lock", "-o", "one.bundle"]);
    assert!(taken.code == 1 && taken.stderr.contains("one.bundle already exists"), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_configuration_is_trusted() {
    let site = site().await;
    create(&site.home, "build.bundle", &[]);
    let other = site.another(OFFLINE);
    let config = Home::config(&site.upstream.url(), OFFLINE);
    let trusting = format!("{config}bundles: {{ trusted_keys: [\"{}\"] }}\n", key(&site.home));
    other.write("hexkeep.yaml", &trusting);
    let imported = import(&other, &site.home, "build.bundle", &[]);
    assert_eq!(imported.code, 0, "{imported:?}");
    let bad = import(&other, &site.home, "build.bundle", &["--trust", "SHA256:x"]);
    assert!(bad.code == 1 && bad.stderr.contains("--trust: a key fingerprint consists of"), "{bad:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_has_what_is_new_and_needs_the_other() {
    let mut site = site().await;
    create(&site.home, "first.bundle", &["--docs"]);
    site.registry.add_sized("jason", "2.0.0", 100 * 1024);
    site.publish();
    site.lock("mix.lock", &[("jason", "2.0.0"), ("jason", "1.4.4"), ("plug", "1.16.1")]);
    site.home.run(&["purge", "hexpm", "jason"]);
    let made = create(&site.home, "second.bundle", &["--docs", "--since", "first.bundle"]);
    assert!(made.stdout.contains("left out ") && made.stdout.contains("first.bundle\n"), "{made:?}");
    let size = |name: &str| fs::metadata(site.home.path(name)).unwrap().len();
    assert!(size("second.bundle") < size("first.bundle"), "one tarball instead of two");
    let verified = site.home.run(&["bundle", "verify", "second.bundle"]);
    assert!(
        verified.code == 0 && verified.stdout.contains("; 0 of them are missing from this store\n"),
        "{verified:?}"
    );
    let other = site.another(OFFLINE);
    let trust = ["--trust", &key(&site.home)];
    let alone = import(&other, &site.home, "second.bundle", &trust);
    assert!(alone.code == 1 && alone.stderr.contains("import the earlier bundle first"), "{alone:?}");
    assert_eq!(stored(&other), BTreeSet::new());
    assert_eq!(import(&other, &site.home, "first.bundle", &trust).code, 0);
    let both = import(&other, &site.home, "second.bundle", &trust);
    assert!(both.code == 0 && both.stdout.starts_with("1 file was imported ("), "{both:?}");
    // Who imports the first once more does not go back in time.
    let back = import(&other, &site.home, "first.bundle", &trust);
    assert!(
        back.code == 0 && back.stdout.contains("resources were not changed, because this store has newer ones"),
        "{back:?}"
    );
    site.upstream.switch_off().await;
    let daemon = other.serve();
    assert_eq!(get(&daemon, "/packages/jason").await, (200, site.registry.package("jason")));
    for name in ["jason-2.0.0", "jason-1.4.4", "plug-1.16.1"] {
        assert_eq!(get(&daemon, &format!("/tarballs/{name}.tar")).await.0, 200, "{name}");
    }
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_of_what_cannot_be_had() {
    let site = site().await;
    site.upstream.forget("/tarballs/plug-1.16.1.tar");
    let failed = site.home.run(&["bundle", "create", "--lock", "mix.lock", "-o", "build.bundle"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (1, ""), "{failed:?}");
    assert!(failed.stderr.contains("hexkeep: plug 1.16.1 of hexpm: "), "{failed:?}");
    assert!(failed.stderr.contains("hexkeep: no bundle was created"), "{failed:?}");
    assert!(!site.home.path("build.bundle").exists());
    site.home.write("mix.lock", "hello");
    let unknown = site.home.run(&["bundle", "create", "--lock", "mix.lock", "-o", "build.bundle"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("this is not a lock file"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn installers_come_along() {
    let site = site().await;
    let list = format!("2.0.6,{},1.14.0\n1.0.0,{},1.0.0\n", sha512(b"the archive"), sha512(b"not here"));
    serve_signed(&site.upstream, "/installs/hex-1.x.csv", &list);
    site.upstream.serve("/installs/1.14.0/hex-2.0.6.ez", &b"the archive"[..]);
    let daemon = site.home.serve();
    for path in ["/installs/hex-1.x.csv", "/installs/hex-1.x.csv.signed", "/installs/1.14.0/hex-2.0.6.ez"] {
        assert_eq!(get(&daemon, path).await.0, 200, "{path}");
    }
    let made = create(&site.home, "build.bundle", &["--installers"]);
    assert!(made.stdout.starts_with("wrote 2 releases, 0 docs and 1 installers to "), "{made:?}");
    assert_eq!(daemon.stop().0, Some(0));
    site.upstream.switch_off().await;
    let other = site.another(OFFLINE);
    let imported = import(&other, &site.home, "build.bundle", &["--trust", &key(&site.home)]);
    assert!(imported.code == 0 && imported.stdout.contains(" and 1 installer lists"), "{imported:?}");
    let daemon = other.serve();
    assert_eq!(get(&daemon, "/installs/hex-1.x.csv").await, (200, list.into()));
    assert_eq!(get(&daemon, "/installs/hex-1.x.csv.signed").await.0, 200);
    assert_eq!(get(&daemon, "/installs/1.14.0/hex-2.0.6.ez").await, (200, "the archive".into()));
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_virtual_repository() {
    let site = site().await;
    let server = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nlog: { format: json }\n\
                  storage: { path: data }\ndefault_repository: all\n";
    let url = site.upstream.url();
    let remote = |more: &str| {
        format!("  upstream: {{ type: remote, url: \"{url}\", name: hexpm, public_key: registry.pem{more} }}\n")
    };
    let view = "  all: { type: virtual, name: hexpm, anonymous_read: true, members: [acme, upstream] }\n";
    let config = format!("{server}repositories:\n  acme: {{ type: local }}\n{}{view}", remote(""));
    site.home.write("hexkeep.yaml", &config);
    fs::create_dir(site.home.path("tarballs")).unwrap();
    let core = package("core", "1.0.0", "");
    fs::write(site.home.path("tarballs/core-1.0.0.tar"), &core).unwrap();
    assert_eq!(site.home.run(&["import", "acme", "tarballs"]).code, 0);
    let lock = "%{\"core\": {:hex, :core, \"1.0.0\"}, \"jason\": {:hex, :jason, \"1.4.4\"}}";
    site.home.write("mix.lock", lock);
    let made = create(&site.home, "build.bundle", &[]);
    assert!(made.stdout.starts_with("wrote 2 releases, "), "{made:?}");
    let verified = site.home.run(&["bundle", "verify", "build.bundle"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let trust = ["--trust", &key(&site.home)];
    let acme = site.home.run(&["public-key", "acme"]).stdout;
    site.upstream.switch_off().await;

    // There, what is local here is remote, and nobody is asked.
    let other = site.another("");
    other.write("acme.pem", &acme);
    let offline = remote(OFFLINE);
    let there = format!(
        "{server}repositories:\n  acme: {{ type: remote, url: \"{url}\", public_key: acme.pem, private: true, \
         anonymous_read: true, network: offline }}\n{offline}{view}"
    );
    other.write("hexkeep.yaml", &there);
    let imported = import(&other, &site.home, "build.bundle", &trust);
    assert_eq!(imported.code, 0, "{imported:?}");
    let daemon = other.serve();
    assert_eq!(get(&daemon, "/tarballs/core-1.0.0.tar").await, (200, core));
    let jason = site.registry.tarballs()["jason-1.4.4"].clone();
    assert_eq!(get(&daemon, "/tarballs/jason-1.4.4.tar").await, (200, jason));
    assert_eq!(get(&daemon, "/packages/core").await.0, 200);
    assert_eq!(get(&daemon, "/packages/jason").await.0, 200);
    assert_eq!(get(&daemon, "/names").await.0, 200);
    let (status, text) = get(&daemon, "/packages/nobody").await;
    assert_eq!(status, 404);
    assert!(String::from_utf8_lossy(&text).contains("packages/nobody of upstream is not cached"), "{text:?}");
    assert_eq!(daemon.stop().0, Some(0));

    // A local repository publishes; it imports nothing.
    let local = site.another("");
    local.write("hexkeep.yaml", &config);
    let refused = import(&local, &site.home, "build.bundle", &trust);
    assert!(refused.code == 1, "{refused:?}");
    assert_eq!(stored(&local), BTreeSet::new());
    // Nor does a server that does not know the repository.
    let unknown = site.another("");
    let refused = import(&unknown, &site.home, "build.bundle", &trust);
    assert!(refused.stderr.contains("has packages of the repository `acme`"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_go_along() {
    let mut site = site().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (package, version) in RELEASES {
        site.registry.published(package, version, now);
    }
    site.publish();
    let policed = |more: &str| {
        let config = Home::config(&site.upstream.url(), &format!(", signature: own, policy: company{more}"));
        let rules = "cooldown: 90d, locked: { cooldown: keep }";
        format!("{config}policies:\n  company: {{ mode: enforce, repositories: {{ hexpm: {{ {rules} }} }} }}\n")
    };
    site.home.write("hexkeep.yaml", &policed(""));
    let held = site.home.run(&["bundle", "create", "--lock", "mix.lock", "-o", "build.bundle"]);
    assert!(held.code == 1 && held.stderr.contains("no bundle was created"), "{held:?}");
    let pinned = site.home.run(&["pin", "hexpm", "--lock", "mix.lock", "--reason", "a build"]);
    assert_eq!(pinned.code, 0, "{pinned:?}");
    // What is pinned and not in the bundle is nothing of the other side's.
    site.lock("more.lock", &[("jason", "1.0.0")]);
    assert_eq!(site.home.run(&["pin", "hexpm", "--lock", "more.lock", "--reason", "another build"]).code, 0);
    create(&site.home, "build.bundle", &[]);
    let trust = ["--trust", &key(&site.home)];
    // The repository may have another key there.
    let renamed = policed(OFFLINE)
        .replace("  hexpm: { type: remote", "  mirror: { type: remote, name: hexpm")
        .replace("repositories: { hexpm:", "repositories: { mirror:");
    for config in [policed(OFFLINE), format!("default_repository: mirror\n{renamed}")] {
        let other = site.another("");
        other.write("hexkeep.yaml", &config);
        let daemon = other.serve();
        let imported = import(&other, &site.home, "build.bundle", &trust);
        assert!(imported.code == 0, "{imported:?}");
        let kept = "2 releases are protected from policy changes, as on the server that created the bundle";
        assert!(imported.stdout.contains(kept), "{imported:?}");
        assert_eq!(get(&daemon, "/tarballs/jason-1.4.4.tar").await.0, 200, "it is pinned: {config}");
        assert_eq!(get(&daemon, "/tarballs/jason-1.0.0.tar").await.0, 403, "it is held: {config}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_goes_on() {
    let mut site = Site::with(&[], 0, "").await;
    let releases: Vec<(String, String)> = (0..40).map(|at| (format!("p{at:02}"), "1.0.0".to_owned())).collect();
    for (package, version) in &releases {
        site.registry.add_sized(package, version, 1024 * 1024);
    }
    site.publish();
    let named: Vec<(&str, &str)> =
        releases.iter().map(|(package, version)| (package.as_str(), version.as_str())).collect();
    site.lock("mix.lock", &named);
    create(&site.home, "build.bundle", &[]);
    let trust = ["--trust", &key(&site.home)];
    site.upstream.switch_off().await;
    let other = site.another(OFFLINE);
    let file = site.home.path("build.bundle");
    let importing = other.start(&["bundle", "import", file.to_str().unwrap(), trust[0], trust[1]]);
    // As soon as something of it is there.
    super::support::hub::eventually("a file has come", async || {
        stored(&other).iter().any(|path| path.starts_with("blobs/"))
    })
    .await;
    importing.kill();
    let lists = |home: &Home| stored(home).into_iter().filter(|path| path.starts_with("registry/")).count();
    let files = stored(&other).into_iter().filter(|path| path.starts_with("blobs/")).count();
    assert!(lists(&other) == 0 || files == releases.len(), "{files} files: nothing is listed before all are there");
    let resumed = import(&other, &site.home, "build.bundle", &trust);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert!(!resumed.stdout.contains(", 0 were already in the store;"), "what was there is passed over: {resumed:?}");
    assert_eq!(other.run(&["verify-store"]).code, 0);
    let daemon = other.serve();
    for (package, version) in &releases {
        assert_eq!(get(&daemon, &format!("/tarballs/{package}-{version}.tar")).await.0, 200, "{package}");
    }
    assert_eq!(daemon.stop().0, Some(0));
}
