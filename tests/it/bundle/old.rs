//! Releases of the first years of Hex, whose index has only the checksum over the parts of their tarball, and docs and
//! installers beside them: all the way through a bundle.

use hexkeep::hex::checksum::Sha256;
use serde_json::json;

use super::super::support::installs::{serve_signed, sha512, sign};
use super::super::support::process::Daemon;
use super::super::support::registry::tarball;
use super::super::support::site::{Site, get};
use super::forged::{Forgery, refused};
use super::{OFFLINE, RELEASES, create, import, key};

/// The site of the other tests, whose jason 1.0.0 has no outer checksum; a lock file of that time names it.
async fn old_site() -> Site {
    let mut site = Site::with(&RELEASES, 100 * 1024, "").await;
    let inner = site.checksums("jason", "1.0.0").0;
    site.registry.package_mut("jason").releases[0].outer_checksum = None;
    site.publish();
    site.upstream.serve("/docs/jason-1.0.0.tar.gz", &b"old docs"[..]);
    site.home.write(
        "mix.lock",
        &format!(
            "%{{\"jason\": {{:hex, :jason, \"1.0.0\", \"{inner}\", [:mix], []}},\n\
             \"plug\": {{:hex, :plug, \"1.16.1\"}}}}\n"
        ),
    );
    site
}

async fn is_served(site: &Site, daemon: &Daemon) {
    for name in ["jason-1.0.0", "plug-1.16.1"] {
        let tarball = site.registry.tarballs()[name].clone();
        assert_eq!(get(daemon, &format!("/tarballs/{name}.tar")).await, (200, tarball), "{name}");
    }
    assert_eq!(get(daemon, "/packages/jason").await, (200, site.registry.package("jason")));
    assert_eq!(get(daemon, "/docs/jason-1.0.0.tar.gz").await, (200, "old docs".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_release_its_docs_and_installers_go_all_the_way() {
    for running in [true, false] {
        let story = format!("running: {running}");
        let site = old_site().await;
        // As Elixir up to 1.18 asks for Hex and rebar3, and as Elixir 1.19 does.
        let signed = format!("2.0.6,{},1.14.0\n", sha512(b"hex"));
        let rebar = format!("3.22.1,{},1.14.0\n", sha512(b"rebar3"));
        let unsigned = format!("2.2.2,{},1.19.0,28\n", sha512(b"hex for otp 28"));
        serve_signed(&site.upstream, "/installs/hex-1.x.csv", &signed);
        serve_signed(&site.upstream, "/installs/rebar3-1.x.csv", &rebar);
        site.upstream.serve("/installs/hex.csv", unsigned.clone());
        site.upstream.serve("/installs/1.14.0/hex-2.0.6.ez", &b"hex"[..]);
        site.upstream.serve("/installs/1.14.0/rebar3-3.22.1", &b"rebar3"[..]);
        site.upstream.serve("/installs/1.19.0/hex-2.2.2-otp-28.ez", &b"hex for otp 28"[..]);
        let installers = [
            ("/installs/hex-1.x.csv", signed.clone().into_bytes()),
            ("/installs/hex-1.x.csv.signed", sign(&signed).into_bytes()),
            ("/installs/rebar3-1.x.csv", rebar.clone().into_bytes()),
            ("/installs/rebar3-1.x.csv.signed", sign(&rebar).into_bytes()),
            ("/installs/hex.csv", unsigned.into_bytes()),
            ("/installs/1.14.0/hex-2.0.6.ez", b"hex".to_vec()),
            ("/installs/1.14.0/rebar3-3.22.1", b"rebar3".to_vec()),
            ("/installs/1.19.0/hex-2.2.2-otp-28.ez", b"hex for otp 28".to_vec()),
        ];
        let daemon = site.home.serve();
        for (path, bytes) in &installers {
            assert_eq!(get(&daemon, path).await, (200, bytes.clone().into()), "{story}: {path}");
        }
        let daemon = running.then_some(daemon);
        let made = create(&site.home, "build.bundle", &["--docs", "--installers"]);
        assert!(made.stdout.starts_with("wrote 2 releases, 1 docs and 3 installers to "), "{story}: {made:?}");
        drop(daemon);
        site.upstream.switch_off().await;

        let other = site.another(OFFLINE);
        let trust = ["--trust", &key(&site.home)];
        let daemon = running.then(|| other.serve());
        let imported = import(&other, &site.home, "build.bundle", &trust);
        assert_eq!(imported.code, 0, "{story}: {imported:?}");
        let daemon = daemon.unwrap_or_else(|| other.serve());
        is_served(&site, &daemon).await;
        for (path, bytes) in &installers {
            assert_eq!(get(&daemon, path).await, (200, bytes.clone().into()), "{story}: {path}");
        }
        assert_eq!(daemon.stop().0, Some(0));
        assert_eq!(other.run(&["verify-store"]).code, 0, "{story}");
        // What was taken in is known by its inner checksum, so it stays where its package is kept.
        let kept = other.run(&["gc", "--keep-latest", "9"]);
        assert!(kept.stdout.starts_with("0 files (0 bytes) were removed; 6 ("), "{story}: {kept:?}");
        let daemon = other.serve();
        is_served(&site, &daemon).await;
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_release_goes_with_a_delta() {
    let site = old_site().await;
    site.home.write("plug.lock", "%{\"plug\": {:hex, :plug, \"1.16.1\"}}\n");
    let first = site.home.run(&["bundle", "create", "--lock", "plug.lock", "-o", "first.bundle"]);
    assert_eq!(first.code, 0, "{first:?}");
    create(&site.home, "second.bundle", &["--docs", "--since", "first.bundle"]);
    create(&site.home, "third.bundle", &["--docs", "--since", "second.bundle"]);
    site.upstream.switch_off().await;
    let other = site.another(OFFLINE);
    let trust = ["--trust", &key(&site.home)];
    for file in ["first.bundle", "second.bundle", "third.bundle"] {
        let imported = import(&other, &site.home, file, &trust);
        assert_eq!(imported.code, 0, "{file}: {imported:?}");
    }
    let daemon = other.serve();
    is_served(&site, &daemon).await;
    assert_eq!(daemon.stop().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tarball_in_the_place_of_an_old_one_is_refused() {
    let site = old_site().await;
    create(&site.home, "build.bundle", &["--docs"]);
    let trust = Forgery::signer().fingerprint().to_string();
    let sound = Sha256::of(&site.registry.tarballs()["jason-1.0.0"]);
    let (wrong, inner) = tarball("jason", "1.0.0", 100 * 1024, 1);

    let mut forgery = Forgery::of(&site);
    forgery.replace(&sound, &wrong);
    forgery.write(&site.home);
    let said = refused(&site, &trust);
    assert!(said.contains("the bundle is damaged: tarballs/jason-1.0.0.tar does not match the manifest"), "{said}");

    // A manifest that says so, too: the index has the last word.
    for inner in [json!(inner.to_string()), json!(null)] {
        let mut forgery = Forgery::of_sound(&site);
        forgery.replace(&sound, &wrong);
        for one in forgery.manifest["repositories"][0]["tarballs"].as_array_mut().unwrap() {
            if one["name"] == "jason-1.0.0" {
                one["inner"] = inner.clone();
            }
        }
        forgery.write(&site.home);
        let said = refused(&site, &trust);
        assert!(
            said.contains("tarballs/jason-1.0.0.tar in the bundle does not match its signed index"),
            "{inner}: {said}"
        );
    }
}
