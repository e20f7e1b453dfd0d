//! Bundles that are not what they say: one sentence each, and nothing of them is taken.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hexkeep::hex::checksum::Sha256;
use hexkeep::trust::{PrivateKey, Signer};
use serde_json::{Value, json};

use super::super::support::disk::FaultyDisk;
use super::super::support::hub::{Hub, Wishes};
use super::super::support::process::Home;
use super::super::support::registry::{TEST_KEY, TestRegistry};
use super::super::support::site::Site;
use super::{BundleFile, OFFLINE, create, files, import, key, site, stored};

/// A bundle that is taken apart and put together by somebody who has a bundle key that is trusted.
pub(super) struct Forgery {
    pub(super) manifest: Value,
    objects: Vec<BundleFile>,
}

impl Forgery {
    pub(super) fn of(site: &Site) -> Self {
        let mut files = files(&site.home.path("build.bundle"));
        let objects = files.split_off(2);
        Self { manifest: serde_json::from_slice(&files[0].1).unwrap(), objects }
    }

    pub(super) fn signer() -> Signer {
        Signer::new(&PrivateKey::from_pem(TEST_KEY).unwrap()).unwrap()
    }

    /// Puts another file in the place of one, and says so in the manifest.
    pub(super) fn replace(&mut self, old: &Sha256, new: &[u8]) {
        let (old, digest) = (old.to_string(), Sha256::of(new).to_string());
        let text = self.manifest.to_string().replace(&old, &digest);
        self.manifest = serde_json::from_str(&text).unwrap();
        for object in self.manifest["objects"].as_array_mut().unwrap() {
            if object["sha256"] == json!(digest) {
                object["size"] = json!(new.len());
            }
        }
        for (name, bytes) in &mut self.objects {
            if name.ends_with(&old) {
                (*name, *bytes) = (format!("objects/{digest}"), new.to_vec());
            }
        }
    }

    /// Takes a file out of the bundle, whatever speaks of it.
    pub(super) fn remove(&mut self, digest: &Sha256) {
        let digest = digest.to_string();
        self.manifest["objects"].as_array_mut().unwrap().retain(|object| object["sha256"] != json!(digest));
        self.objects.retain(|(name, _)| !name.ends_with(&digest));
    }

    pub(super) fn write(&self, home: &Home) {
        let text = serde_json::to_vec(&self.manifest).unwrap();
        let signer = Self::signer();
        let signature = signer.sign(&[b"hexkeep-bundle 1\n", &text[..]].concat()).unwrap();
        let signed = json!({"key": signer.public_key().to_spki_pem(), "signature": STANDARD.encode(signature)});
        let head =
            [("hexkeep-bundle.json".to_owned(), text), ("hexkeep-bundle.sig".to_owned(), signed.to_string().into())];
        fs::write(home.path("build.bundle"), archive(head.iter().chain(&self.objects))).unwrap();
    }
}

fn archive<'a>(files: impl IntoIterator<Item = &'a BundleFile>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Any name: the library refuses those that lead out of a folder.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

/// What an importing server says of the site's bundle, of which it takes nothing.
pub(super) fn refused(site: &Site, trust: &str) -> String {
    let other = site.another(OFFLINE);
    let said = import(&other, &site.home, "build.bundle", &["--trust", trust]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{said:?}");
    assert_eq!(stored(&other), BTreeSet::new(), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "one sentence: {said:?}");
    said.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_key_does_not_make_packages() {
    let site = site().await;
    create(&site.home, "build.bundle", &["--docs"]);
    let trust = Forgery::signer().fingerprint().to_string();
    let index = Sha256::of(&site.registry.package("jason"));
    let tarball = site.checksums("jason", "1.4.4").1;

    let mut other = TestRegistry::new("hexpm");
    other.add("jason", "1.4.4");
    let mut foreign = other.package("jason").to_vec();
    foreign.reverse();
    let mut forgery = Forgery::of(&site);
    forgery.replace(&index, &foreign);
    forgery.write(&site.home);
    let said = refused(&site, &trust);
    assert!(said.contains("cannot verify packages/jason in the bundle"), "{said}");

    // Signed by the upstream, of another package.
    let mut forgery = Forgery::of_sound(&site);
    other.add("plug", "9.9.9");
    forgery.replace(&index, &other.package("plug"));
    forgery.write(&site.home);
    let said = refused(&site, &trust);
    assert!(said.contains("cannot verify packages/jason in the bundle"), "{said}");
    assert!(said.contains("the signed payload is about \"plug\""), "{said}");

    let mut forgery = Forgery::of_sound(&site);
    forgery.replace(&tarball, b"another tarball");
    forgery.write(&site.home);
    let said = refused(&site, &trust);
    assert!(said.contains("tarballs/jason-1.4.4.tar in the bundle does not match its signed index or list"), "{said}");

    // Docs of a release that is not.
    let mut forgery = Forgery::of_sound(&site);
    forgery.manifest["repositories"][0]["docs"][0]["name"] = json!("jason-9.9.9");
    forgery.write(&site.home);
    let said = refused(&site, &trust);
    assert!(said.contains("docs/jason-9.9.9.tar.gz in the bundle does not match its signed index or list"), "{said}");

    // An installer that no list names.
    let mut forgery = Forgery::of_sound(&site);
    forgery.manifest["installers"] = json!([{"sha256": Sha256::of(b"docs").to_string(), "sha512": null}]);
    forgery.write(&site.home);
    let said = refused(&site, &trust);
    assert!(said.contains("the installer "), "{said}");
}

impl Forgery {
    /// Of a bundle that is made anew.
    pub(super) fn of_sound(site: &Site) -> Self {
        fs::remove_file(site.home.path("build.bundle")).unwrap();
        create(&site.home, "build.bundle", &["--docs"]);
        Self::of(site)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_cut_or_out_of_place_is_refused() {
    let site = site().await;
    create(&site.home, "build.bundle", &["--docs"]);
    let trust = key(&site.home);
    let sound = fs::read(site.home.path("build.bundle")).unwrap();
    let parts = files(&site.home.path("build.bundle"));
    let write = |bytes: &[u8]| fs::write(site.home.path("build.bundle"), bytes).unwrap();

    for cut in [0, 100] {
        write(&sound[..cut]);
        assert!(refused(&site, &trust).contains("the file is not a bundle of hexkeep"), "{cut}");
    }
    for cut in [512, 700, 8 * 1024, 100 * 1024, sound.len() - 4096] {
        write(&sound[..cut]);
        assert!(refused(&site, &trust).contains("the bundle is incomplete"), "{cut}");
    }
    // Any byte of the manifest, of its signature, of a file.
    for (at, sentence) in [
        (512 + 20, "the signature of the bundle is invalid"),
        (sound.len() - 100 * 1024, "does not match the manifest"),
        (150 * 1024, "does not match the manifest"),
    ] {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        write(&changed);
        let said = refused(&site, &trust);
        assert!(said.contains(sentence), "{at}: {said}");
    }
    let rearranged = |change: &dyn Fn(&mut Vec<BundleFile>)| {
        let mut parts = parts.clone();
        change(&mut parts);
        write(&archive(&parts));
        refused(&site, &trust)
    };
    let more = ("../../hexkeep.yaml".to_owned(), b"x".to_vec());
    for at in [2, parts.len()] {
        let said = rearranged(&|parts| parts.insert(at, more.clone()));
        assert!(said.contains("its manifest does not list the file `../../hexkeep.yaml` at this position"), "{said}");
    }
    let said = rearranged(&|parts| parts[2].0 = "/etc/passwd".to_owned());
    assert!(said.contains("its manifest does not list the file `/etc/passwd` at this position"), "{said}");
    let said = rearranged(&|parts| parts.swap(2, 3));
    assert!(said.contains("its manifest does not list the file `objects/"), "{said}");
    let said = rearranged(&|parts| drop(parts.remove(2)));
    assert!(said.contains("its manifest does not list the file `objects/"), "{said}");
    let said = rearranged(&|parts| parts[2].1.push(0));
    assert!(said.contains("does not match the manifest"), "{said}");
    // A link in the place of a file.
    let mut linked = sound.clone();
    let place = linked.windows(8).position(|bytes| bytes == b"objects/").unwrap();
    linked[place + 156] = b'2';
    let sum: u32 = linked[place..place + 512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    linked[place + 148..place + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    write(&linked);
    let said = refused(&site, &trust);
    assert!(said.contains("its manifest does not list the file `objects/"), "{said}");
    write(b"hello");
    assert!(refused(&site, &trust).contains("the file is not a bundle of hexkeep"));
    fs::remove_file(site.home.path("build.bundle")).unwrap();
    assert!(refused(&site, &trust).contains("build.bundle: No such file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_format_and_an_unknown_one_are_named() {
    let site = site().await;
    create(&site.home, "build.bundle", &["--docs"]);
    let trust = Forgery::signer().fingerprint().to_string();
    let mut forgery = Forgery::of(&site);
    forgery.manifest["format"] = json!(2);
    forgery.write(&site.home);
    assert!(refused(&site, &trust).contains("the bundle has the format 2, which this version does not support"));
    let mut forgery = Forgery::of_sound(&site);
    forgery.manifest["repositories"][0]["resources"][0]["name"] = json!("../../../x");
    forgery.write(&site.home);
    assert!(refused(&site, &trust).contains("it contains the invalid name `../../../x`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_nothing_by_halves() {
    let site = site().await;
    create(&site.home, "build.bundle", &["--docs"]);
    let trust = key(&site.home);
    let bundle = site.home.path("build.bundle");
    let hub = Hub::with(Wishes { repository: "network: offline".into(), ..Wishes::default() }).await;
    let command = async |file: &str| hub.command(&["bundle", "import", file, "--trust", &trust]).await;
    // The key that this server would sign with is there before.
    assert_eq!(hub.command(&["bundle", "key"]).await.0, 0);
    for room in [0, 50 * 1024, 150 * 1024] {
        FaultyDisk::fill_up_after(&hub.disk, room);
        let (code, stdout, stderr) = command(bundle.to_str().unwrap()).await;
        assert_eq!((code, stdout.as_str()), (1, ""), "{room}: {stderr}");
        assert!(stderr.starts_with("hexkeep: cannot store a file ("), "{room}: {stderr}");
        assert!(!hub.files().iter().any(|file| file.starts_with("registry/")), "{room}: nothing is listed");
        assert!(!hub.files().iter().any(|file| file.starts_with("tmp/")), "{room}: {:?}", hub.files());
    }
    hub.disk.heal();
    let (code, stdout, stderr) = command(bundle.to_str().unwrap()).await;
    assert_eq!((code, stdout.contains("; 2 packages")), (0, true), "{stdout}{stderr}");
    assert_eq!(hub.get("/packages/jason").await.body, site.registry.package("jason"));
    assert_eq!(hub.get("/tarballs/jason-1.4.4.tar").await.status, 200);

    // Making one is no different.
    let (lock, to) = (site.home.path("mix.lock"), site.home.path("full.bundle"));
    let create = ["bundle", "create", "--lock", lock.to_str().unwrap(), "-o", to.to_str().unwrap()];
    hub.disk.fill_up_after(120 * 1024);
    let (code, _, stderr) = hub.command(&create).await;
    assert!(code == 1 && stderr.contains("cannot read or write the bundle"), "{stderr}");
    assert!(!to.exists());
    hub.disk.heal();
    let (code, _, stderr) = hub.command(&create).await;
    assert_eq!(code, 0, "{stderr}");
}
