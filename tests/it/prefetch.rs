//! `hexkeep prefetch`: what a lock file names is there before anybody asks, or it is said what is not.

use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::message::Dependency;

use super::support::process::{Home, Said};
use super::support::registry::TestRegistry;
use super::support::site::{Site, get};
use super::support::upstream::Step;

const RELEASES: [(&str, &str); 5] =
    [("jason", "1.0.0"), ("jason", "1.4.4"), ("jason", "1.5.0-rc.1"), ("plug", "1.16.1"), ("plug", "0.9.0")];

/// A lock file that names two releases, in the home of a daemon.
async fn site(more: &str) -> Site {
    let site = Site::with(&RELEASES, 200 * 1024, more).await;
    site.publish();
    site.upstream.serve("/docs/jason-1.4.4.tar.gz", &b"docs"[..]);
    site.lock("mix.lock", &[("jason", "1.4.4"), ("plug", "1.16.1")]);
    site
}

fn prefetch(site: &Site, more: &[&str]) -> Said {
    site.run(&["prefetch", "--lock", "mix.lock"], more)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_prefetched_is_answered_without_the_upstream() {
    for running in [true, false] {
        let site = site("").await;
        let mut daemon = running.then(|| site.home.serve());
        let first = prefetch(&site, &["--docs"]);
        assert_eq!(first.code, 0, "running: {running}: {first:?}");
        assert!(first.stdout.starts_with("0 releases were already in the cache, 2 were downloaded ("), "{first:?}");
        assert!(first.stdout.ends_with(", 1 with documentation; 0 failed\n"), "{first:?}");
        assert_eq!(site.calls("/tarballs/jason-1.0.0.tar"), 0, "what nobody named is not fetched");
        let again = prefetch(&site, &["--docs"]);
        assert!(
            again.stdout.starts_with("2 releases were already in the cache, 0 were downloaded (0 bytes)"),
            "{again:?}"
        );
        assert_eq!((again.code, site.calls("/tarballs/jason-1.4.4.tar")), (0, 1), "running: {running}");
        site.upstream.switch_off().await;
        let daemon = daemon.take().unwrap_or_else(|| site.home.serve());
        for path in ["/packages/jason", "/packages/plug", "/docs/jason-1.4.4.tar.gz"] {
            assert_eq!(get(&daemon, path).await.0, 200, "running: {running}: {path}");
        }
        for (package, version) in [("jason", "1.4.4"), ("plug", "1.16.1")] {
            let (status, body) = get(&daemon, &format!("/tarballs/{package}-{version}.tar")).await;
            assert_eq!((status, Sha256::of(&body)), (200, site.checksums(package, version).1));
        }
        // What is prefetched while the upstream is down is there, too; what is not there is said.
        assert_eq!(prefetch(&site, &[]).code, 0, "running: {running}");
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_releases_come_along() {
    let site = site("").await;
    let said = prefetch(&site, &["--latest", "2"]);
    assert!(
        said.code == 0 && said.stdout.starts_with("0 releases were already in the cache, 4 were downloaded ("),
        "{said:?}"
    );
    for (path, calls) in [
        ("/tarballs/jason-1.5.0-rc.1.tar", 1),
        ("/tarballs/jason-1.4.4.tar", 1),
        ("/tarballs/jason-1.0.0.tar", 0),
        ("/tarballs/plug-0.9.0.tar", 1),
    ] {
        assert_eq!(site.calls(path), calls, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_listed_and_the_rest_is_there() {
    for running in [true, false] {
        let site = site("").await;
        let daemon = running.then(|| site.home.serve());
        let (inner, outer) = site.checksums("jason", "1.4.4");
        site.home.write(
            "mix.lock",
            &format!(
                "%{{\n\"jason\": {{:hex, :jason, \"1.4.4\", \"{outer}\", [], [], \"hexpm\", \"{outer}\"}},\n\
                 \"plug\": {{:hex, :plug, \"1.16.1\", nil, [], [], \"hexpm\", nil}},\n\
                 \"other\": {{:hex, :plug, \"0.9.0\", nil, [], [], \"elsewhere\", nil}},\n\
                 \"org\": {{:hex, :plug, \"0.9.0\", nil, [], [], \"hexpm:acme\", nil}},\n\
                 \"none\": {{:hex, :nobody, \"1.0.0\", nil, [], [], \"hexpm\", nil}},\n\
                 \"late\": {{:hex, :jason, \"9.0.0\", nil, [], [], \"hexpm\", nil}},\n\
                 \"git\": {{:git, \"https://x.test\", \"00\", []}},\n}}\n"
            ),
        );
        let said = prefetch(&site, &[]);
        assert_eq!(said.code, 1, "running: {running}: {said:?}");
        assert!(said.stdout.starts_with("0 releases were already in the cache, 1 was downloaded ("), "{said:?}");
        assert!(said.stdout.ends_with("; 5 failed\n"), "{said:?}");
        for sentence in [
            format!(
                "jason 1.4.4 of hexpm: the inner checksum in the lock file is {outer}, but in the registry it is {inner}\n"
            ),
            "plug 0.9.0: there is no repository `elsewhere`; use --repo to select the repository for these packages\n"
                .to_owned(),
            "plug 0.9.0: there is no repository `acme`; the configured repositories are: hexpm\n".to_owned(),
            "nobody 1.0.0 of hexpm: not found\n".to_owned(),
            "jason 9.0.0 of hexpm: not found\n".to_owned(),
        ] {
            assert!(said.stderr.contains(&format!("hexkeep: {sentence}")), "{sentence}: {}", said.stderr);
            assert_eq!(said.stderr.matches(&sentence).count(), 1, "it is said once: {}", said.stderr);
        }
        assert!(said.stderr.contains("mix.lock: skipped `git`: it is not a Hex package\n"), "{}", said.stderr);
        assert_eq!(site.calls("/tarballs/jason-1.4.4.tar"), 0, "what is not what the lock says is not fetched");
        assert_eq!(site.calls("/tarballs/plug-1.16.1.tar"), 1);
        // Whoever names the repository says that it stands for the other name.
        let named = prefetch(&site, &["--repo", "hexpm"]);
        assert!(!named.stderr.contains("elsewhere") && named.stdout.ends_with("; 4 failed\n"), "{named:?}");
        drop(daemon);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_lock_file_is_refused_before_anything_is_begun() {
    let site = site("").await;
    for (text, sentence) in [
        (
            "hello",
            "hexkeep: mix.lock: this is not a lock file; a mix.lock, a rebar.lock or a manifest.toml of Gleam is expected\n",
        ),
        (
            "%{\n\"a\": {:hex",
            "hexkeep: mix.lock: the mix.lock cannot be read: line 2: a comma or a closing bracket is missing\n",
        ),
    ] {
        site.home.write("mix.lock", text);
        let said = prefetch(&site, &[]);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (1, "", sentence));
    }
    let missing = site.home.run(&["prefetch", "--lock", "none.lock"]);
    assert!(missing.code == 1 && missing.stderr.starts_with("hexkeep: none.lock: "), "{missing:?}");
    assert!(site.home.run(&["prefetch"]).code == 2, "a lock file is needed");
    site.lock("mix.lock", &[("jason", "1.4.4")]);
    let unknown = prefetch(&site, &["--repo", "nobody"]);
    assert_eq!(unknown.stderr, "hexkeep: there is no repository `nobody`; the configured repositories are: hexpm\n");
    assert_eq!(site.upstream.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_upstream_asks_for_is_waited_out() {
    let site = site(", assumed_offline: 0s").await;
    site.upstream.script("/tarballs/jason-1.4.4.tar", [Step::too_many(Some("2"))]);
    let said = prefetch(&site, &[]);
    assert!(said.code == 0 && said.stdout.contains("2 were downloaded"), "{said:?}");
    assert_eq!(site.calls("/tarballs/jason-1.4.4.tar"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_no_success() {
    let site = site("").await;
    let config = Home::config(&site.upstream.url(), "").replace("path: data", "path: data, cache_limit: 1MiB");
    site.home.write("hexkeep.yaml", &config);
    let mut registry = TestRegistry::new("hexpm");
    registry.add_sized("jason", "1.4.4", 2 * 1024 * 1024);
    registry.publish(&site.upstream);
    site.home.write("mix.lock", "%{\"jason\": {:hex, :jason, \"1.4.4\"}}");
    let said = prefetch(&site, &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("jason 1.4.4 of hexpm: the file was downloaded but not stored"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_releases_depend_on_comes_along() {
    let mut site = site("").await;
    let releases = [
        ("telemetry", "0.4.3"),
        ("telemetry", "1.3.0"),
        ("telemetry", "2.0.0-rc.1"),
        ("mime", "2.0.6"),
        ("extra", "1.0.0"),
    ];
    for (package, version) in releases {
        site.registry.add(package, version);
    }
    let dependency = |package: &str, requirement: &str, optional: bool| Dependency {
        package: package.to_owned(),
        requirement: requirement.to_owned(),
        optional: Some(optional),
        app: None,
        repository: None,
    };
    let of = |site: &mut Site, package: &str, dependencies: Vec<Dependency>| {
        for release in &mut site.registry.package_mut(package).releases {
            release.dependencies = dependencies.clone();
        }
    };
    let needs = vec![dependency("telemetry", "~> 0.4 or ~> 1.0", false), dependency("extra", ">= 0.0.0", true)];
    of(&mut site, "plug", needs);
    of(&mut site, "telemetry", vec![dependency("mime", "~> 2.0", false), dependency("jason", "~> 1.4", false)]);
    of(&mut site, "mime", vec![dependency("nobody", "~> 1.0", false)]);
    site.publish();
    let said = prefetch(&site, &["--closure"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.starts_with("0 releases were already in the cache, 4 were downloaded ("), "{said:?}");
    assert!(said.stderr.contains("hexkeep: mime 2.0.6 of hexpm depends on nobody: not found\n"), "{said:?}");
    for (name, calls) in [
        ("telemetry-1.3.0", 1),
        ("telemetry-0.4.3", 0),
        ("telemetry-2.0.0-rc.1", 0),
        ("mime-2.0.6", 1),
        ("extra-1.0.0", 0),
        ("jason-1.4.4", 1),
        ("jason-1.5.0-rc.1", 0),
    ] {
        assert_eq!(site.calls(&format!("/tarballs/{name}.tar")), calls, "{name}");
    }
}
