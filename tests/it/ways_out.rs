//! A folder that a mirror writes and a bundle are ways out for bytes: nothing that fails its proof takes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::trust::{PrivateKey, Signer};

use super::support::process::Said;
use super::support::registry::tarball;
use super::support::site::Site;

/// Whether an index names the outer checksum, and the inner one.
type Sums = (bool, bool);

const TARBALL: &str = "/tarballs/jason-1.4.4.tar";

async fn site() -> Site {
    let settings = ", metadata_ttl: 0s, stale_while_revalidate: 0s, missing_ttl: 0s, checksum_changes: refuse";
    let site = Site::with(&[("jason", "1.4.4"), ("plug", "1.16.1")], 100 * 1024, settings).await;
    site.publish();
    let lock = "%{\"jason\": {:hex, :jason, \"1.4.4\"}, \"plug\": {:hex, :plug, \"1.16.1\"}}";
    site.home.write("mix.lock", lock);
    site
}

fn evil() -> (Bytes, Sha256) {
    tarball("jason", "1.4.4", 100 * 1024, 7)
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(at) = folders.pop() {
        let Ok(entries) = fs::read_dir(at) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn mirror(site: &Site) -> Said {
    site.run(&["mirror", "hexpm", "--to", "tree"], &[])
}

/// No file in the folder has these bytes, and no bundle is made that does.
fn take_it_out_nowhere(site: &Site, bytes: &[u8], story: &str) {
    let said = mirror(site);
    let tree = files(&site.home.path("tree"));
    assert!(tree.values().all(|file| file != bytes), "{story}: {said:?}");
    let file = site.home.path("build.bundle");
    let _ = fs::remove_file(&file);
    let made = site.run(&["bundle", "create", "--lock", "mix.lock", "-o", "build.bundle"], &[]);
    let bundle = fs::read(&file).unwrap_or_default();
    let has_it = bundle.windows(bytes.len()).any(|window| window == bytes);
    assert!(!has_it, "{story}: {made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_its_index_says_goes_nowhere() {
    for was_here in [false, true] {
        let site = site().await;
        if was_here {
            assert_eq!(mirror(&site).code, 0);
            fs::remove_file(site.blob("jason", "1.4.4")).unwrap();
            fs::remove_dir_all(site.home.path("tree")).unwrap();
        }
        let (bytes, _) = evil();
        site.upstream.serve(TARBALL, bytes.clone());
        take_it_out_nowhere(&site, &bytes, &format!("here before: {was_here}"));
        // Nor does one that was changed where it is stored.
        site.upstream.serve(TARBALL, site.registry.tarballs()["jason-1.4.4"].clone());
        assert_eq!(site.run(&["mirror", "hexpm"], &[]).code, 0);
        fs::write(site.blob("jason", "1.4.4"), &bytes).unwrap();
        take_it_out_nowhere(&site, &bytes, "changed in the store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_does_not_verify_goes_nowhere() {
    let site = site().await;
    assert_eq!(mirror(&site).code, 0);
    let before = files(&site.home.path("tree"));
    let other = Signer::new(&PrivateKey::generate(2048).unwrap()).unwrap();
    for (path, payload) in [("/packages/jason", "packages/jason"), ("/names", "names"), ("/versions", "versions")] {
        let envelope = hexkeep::hex::envelope::Envelope::open(before[payload].clone().into(), 1 << 24).unwrap();
        let forged = other.seal(&envelope.payload).unwrap().body().clone();
        site.upstream.serve(path, forged.clone());
        take_it_out_nowhere(&site, &forged, path);
        assert_eq!(files(&site.home.path("tree")), before, "{path}: what was there is there");
        site.publish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_checksum_changed_goes_nowhere() {
    let (bytes, inner) = evil();
    let outer = Sha256::of(&bytes);
    let cases: [(Sums, Sums); 4] = [
        ((true, true), (true, true)),
        ((false, true), (true, false)),
        ((true, false), (false, true)),
        // The outer checksum of another file beside the inner one that is known.
        ((false, true), (true, true)),
    ];
    for (before, after) in cases {
        let story = format!("{before:?} {after:?}");
        let mut site = site().await;
        let (good_inner, good_outer) = site.checksums("jason", "1.4.4");
        let name = |site: &mut Site, outer: Option<Sha256>, inner: Option<Sha256>| {
            let release = &mut site.registry.package_mut("jason").releases[0];
            release.outer_checksum = outer.map(|digest| digest.as_bytes().to_vec());
            release.inner_checksum = inner.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
            site.publish();
        };
        name(&mut site, before.0.then_some(good_outer), before.1.then_some(good_inner));
        assert_eq!(mirror(&site).code, 0, "{story}");
        let good = site.registry.tarballs()["jason-1.4.4"].clone();
        assert_eq!(files(&site.home.path("tree"))["tarballs/jason-1.4.4.tar"], good, "{story}");

        site.registry.add_bytes("jason", "1.4.4", bytes.clone(), inner);
        let kept_inner = if before == (false, true) && after == (true, true) { good_inner } else { inner };
        name(&mut site, after.0.then_some(outer), after.1.then_some(kept_inner));
        take_it_out_nowhere(&site, &bytes, &story);
        // From an empty folder, too.
        fs::remove_dir_all(site.home.path("tree")).unwrap();
        take_it_out_nowhere(&site, &bytes, &story);
    }
}
