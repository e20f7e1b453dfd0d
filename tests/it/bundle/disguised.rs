//! Two bundles with a key that is trusted: one brings a file as documentation, which nobody signs, and the other says that
//! this file is a tarball, or an installer.

use std::fs;

use hexkeep::hex::checksum::Sha256;
use serde_json::{Value, json};

use super::super::support::installs::{serve_signed, sha512};
use super::super::support::process::Home;
use super::super::support::registry::tarball;
use super::super::support::site::{Site, get};
use super::forged::Forgery;
use super::{create, import, site};

const LIST: &str = "/installs/hex-1.x.csv";
const INSTALLER: &str = "/installs/1.14.0/hex-2.0.6.ez";

/// A site with a release that is known by its inner checksum alone, an installer that a signed list names, and docs of two
/// releases; and a bundle of all of it, `build.bundle`.
async fn stocked() -> Site {
    let mut site = site().await;
    site.registry.package_mut("jason").releases.iter_mut().for_each(|release| release.outer_checksum = None);
    site.publish();
    site.upstream.serve("/docs/plug-1.16.1.tar.gz", &b"more docs"[..]);
    serve_signed(&site.upstream, LIST, &format!("2.0.6,{},1.14.0\n", sha512(b"the archive")));
    site.upstream.serve(INSTALLER, &b"the archive"[..]);
    let config = fs::read_to_string(site.home.path("hexkeep.yaml")).unwrap();
    site.home.write("hexkeep.yaml", &config.replace("installs: { ", "installs: { public_key: registry.pem, "));
    let daemon = site.home.serve();
    for path in [LIST, INSTALLER] {
        assert_eq!(get(&daemon, path).await.0, 200, "{path}");
    }
    assert_eq!(daemon.stop().0, Some(0));
    make(&site);
    site
}

fn make(site: &Site) {
    // The lock file knows outer checksums, which the index does not.
    let lock = "%{\"jason\": {:hex, :jason, \"1.4.4\"}, \"plug\": {:hex, :plug, \"1.16.1\"}}";
    site.home.write("mix.lock", lock);
    let _ = fs::remove_file(site.home.path("build.bundle"));
    create(&site.home, "build.bundle", &["--docs", "--installers"]);
}

/// Another home that trusts the forger's bundle key, and the registry's for its lists.
fn importing(site: &Site) -> Home {
    let other = site.another("");
    let config = fs::read_to_string(site.home.path("hexkeep.yaml")).unwrap();
    other.write(
        "hexkeep.yaml",
        &config.replace("public_key: registry.pem }", "public_key: registry.pem, network: offline }"),
    );
    other
}

fn trust() -> String {
    Forgery::signer().fingerprint().to_string()
}

/// What the manifest calls a part of a release.
fn named<'a>(manifest: &'a mut Value, kind: &str, name: &str) -> &'a mut Value {
    let all = manifest["repositories"][0][kind].as_array_mut().unwrap();
    all.iter_mut().find(|one| one["name"] == name).unwrap()
}

fn digest(value: &Value) -> Sha256 {
    Sha256::from_hex(value["sha256"].as_str().unwrap()).unwrap()
}

/// Puts a bundle in the place of the site's that has `tarball` and `installer` as the docs of two releases.
fn bring_as_docs(site: &Site, tarball: &[u8], installer: &[u8]) {
    let mut forgery = Forgery::of(site);
    for (name, bytes) in [("jason-1.4.4", tarball), ("plug-1.16.1", installer)] {
        let old = digest(named(&mut forgery.manifest, "docs", name));
        forgery.replace(&old, bytes);
    }
    forgery.write(&site.home);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_bundle_has_brought_is_proven_as_what_it_is_called_now() {
    let site = stocked().await;
    let (evil, _) = tarball("jason", "1.4.4", 100 * 1024, 7);
    let installer = b"an evil archive";
    for disguise in ["tarball", "installer", "both", "of another length"] {
        let other = importing(&site);
        make(&site);
        bring_as_docs(&site, &evil, installer);
        let first = import(&other, &site.home, "build.bundle", &["--trust", &trust()]);
        assert_eq!(first.code, 0, "{disguise}: docs are the bundle key's to vouch for: {first:?}");

        make(&site);
        let mut forgery = Forgery::of(&site);
        let (name, bytes) = ("jason-1.4.4", &evil[..]);
        if matches!(disguise, "tarball" | "both" | "of another length") {
            let old = digest(named(&mut forgery.manifest, "tarballs", name));
            let size = if disguise == "of another length" { bytes.len() + 1 } else { bytes.len() };
            forgery.elsewhere(&old, &Sha256::of(bytes), size);
        }
        if matches!(disguise, "installer" | "both") {
            let old = digest(&forgery.manifest["installers"][0]);
            forgery.elsewhere(&old, &Sha256::of(installer), installer.len());
        }
        forgery.write(&site.home);
        for command in ["verify", "import"] {
            let file = site.home.path("build.bundle");
            let second = other.run(&["bundle", command, file.to_str().unwrap(), "--trust", &trust()]);
            assert_eq!((second.code, second.stdout.as_str()), (1, ""), "{disguise}: {command}: {second:?}");
            let why = "imported from an earlier bundle, does not match this bundle";
            assert!(second.stderr.contains(why), "{disguise}: {command}: {second:?}");
        }
        // The first bundle had the true ones, and they are served on.
        let daemon = other.serve();
        let jason = site.registry.tarballs()["jason-1.4.4"].clone();
        assert_eq!(get(&daemon, "/tarballs/jason-1.4.4.tar").await, (200, jason), "{disguise}");
        assert_eq!(get(&daemon, INSTALLER).await, (200, "the archive".into()), "{disguise}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_elsewhere_and_is_what_it_is_called_is_taken() {
    let site = stocked().await;
    let other = importing(&site);
    let trusted = trust();
    let trust = ["--trust", trusted.as_str()];
    let forgery = Forgery::of(&site);
    forgery.write(&site.home);
    assert_eq!(import(&other, &site.home, "build.bundle", &trust).code, 0);
    // All files of it are in the store already.
    make(&site);
    let mut forgery = Forgery::of(&site);
    let jason = digest(named(&mut forgery.manifest, "tarballs", "jason-1.4.4"));
    let installer = digest(&forgery.manifest["installers"][0]);
    let length = site.registry.tarballs()["jason-1.4.4"].len();
    forgery.elsewhere(&jason, &jason, length);
    forgery.elsewhere(&installer, &installer, b"the archive".len());
    forgery.write(&site.home);
    let second = import(&other, &site.home, "build.bundle", &trust);
    assert_eq!(second.code, 0, "{second:?}");

    // One of them is damaged on the disk since: it is missing, and not what the name says.
    let hex = jason.to_string();
    let blob = other.data().join("blobs").join(hex.get(..2).unwrap()).join(&hex);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let third = import(&other, &site.home, "build.bundle", &trust);
    assert!(third.code == 1 && third.stderr.contains("1 files of it are missing"), "{third:?}");
}

impl Forgery {
    /// Says that a file which is called `old` is `digest`, and that an earlier bundle has brought it.
    fn elsewhere(&mut self, old: &Sha256, digest: &Sha256, size: usize) {
        self.remove(old);
        self.replace(old, b"");
        let nothing = Sha256::of(b"").to_string();
        let text = self.manifest.to_string().replace(&nothing, &digest.to_string());
        self.manifest = serde_json::from_str(&text).unwrap();
        self.manifest["since"] = json!(Sha256::of(b"an earlier one").to_string());
        let elsewhere = self.manifest["elsewhere"].as_array_mut().unwrap();
        elsewhere.push(json!({"sha256": digest.to_string(), "size": size}));
    }
}
