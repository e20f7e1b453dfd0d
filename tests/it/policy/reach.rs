//! What a policy or a `reserve` of a virtual repository holds, its members hold at every address and by every way.

use hexkeep::hex::checksum::Sha256;

use super::super::support::local::package as local_package;
use super::*;

const POLICY: &str = "policies:\n  company: { mode: enforce, repositories: { upstream: { cooldown: 7d }, \
                      acme: { overrides: [{ deny: acme_core, requirement: \"0.2.0\" }] } } }\n";

/// `hexpm` is made of `below`, which is made of `acme` and `upstream`; `how` is what `hexpm` says more, `written` what
/// `upstream` says more.
fn nested(how: &str, written: &str) -> Wishes {
    let instead = vec![
        format!(
            "upstream: {{ type: remote, name: hexpm, url: \"{{url}}\", public_key: \"{{key}}\", signature: own, \
             metadata_ttl: 30d{written} }}"
        ),
        "acme: { type: local, anonymous_read: true }".to_owned(),
        "below: { type: virtual, members: [acme, upstream], anonymous_read: true }".to_owned(),
        format!("hexpm: {{ type: virtual, members: [below], anonymous_read: true, {how} }}"),
    ];
    let top = if how.contains("policy") { POLICY.to_owned() } else { String::new() };
    Wishes { instead, top, ..Wishes::default() }
}

/// Every way to read `jason` of a repository under its own name.
fn ways(key: &str) -> Vec<String> {
    let addresses = [format!("/repos/{key}"), format!("/repos/hexpm:{key}"), format!("/keys/k1/repos/{key}")];
    let read = [INDEX, NEW, OLD, "/names", "/versions", "/docs/jason-1.1.0.tar.gz", "/public_key", "/policies/company"];
    let told = [
        "/packages/jason",
        "/packages/jason/releases/1.1.0",
        "/packages/jason/releases/1.0.0",
        "/packages/jason/releases/1.1.0/docs",
        "/packages/jason/owners",
        "/packages/jason/audit-logs",
        "/packages?search=jason",
        "/packages",
        "/explain/jason",
        "/explain/jason/1.1.0",
    ];
    let read = addresses.iter().flat_map(|base| read.iter().map(move |path| format!("{base}{path}")));
    let apis = [format!("/api/repos/{key}"), format!("/repos/{key}/api")];
    let told = apis.iter().flat_map(|base| told.iter().map(move |path| format!("{base}{path}")));
    read.chain(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_at_any_depth_hold_what_is_held_above() {
    for how in ["policy: company", "reserve: [\"jason\"]"] {
        let hub = start(nested(how, "")).await;
        let root = hub.user("root", true).await;
        for key in ["upstream", "below"] {
            for path in ways(key) {
                for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
                    let answer = hub.send(method, &path, &[MIX]).await;
                    assert_eq!(answer.status, 404, "{path}, {how}: {}", answer.text());
                }
                let credential = [MIX, ("authorization", root.as_str())];
                assert_eq!(hub.get_with(&path, &credential).await.status, 404, "{path}, {how}, an administrator");
            }
        }
        assert!(hub.upstream.calls_to(INDEX).is_empty(), "nobody has asked by a way that is open, {how}");
        // Nor is it found from outside by a search over everything.
        let found = hub.get_with("/api/packages?search=jason", &[MIX, ("accept", "application/json")]).await;
        assert!(!found.text().contains("1.1.0"), "{how}: {}", found.text());
        assert_eq!(hub.get(NEW).await.status, if how.starts_with("policy") { 403 } else { 404 }, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_do_not_take_out_what_is_held_above() {
    for how in ["policy: company", "reserve: [\"jason\"]"] {
        let hub = start(nested(how, "")).await;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let release = hub.registry.package_ref("jason").releases.iter().find(|one| one.version == "1.1.0").unwrap();
        let (inner, outer) = (hex(&release.inner_checksum), hex(release.outer_checksum.as_ref().unwrap()));
        let lock = format!(
            "%{{\n  \"jason\": {{:hex, :jason, \"1.1.0\", \"{inner}\", [:mix], [], \"hexpm\", \"{outer}\"}},\n}}\n"
        );
        std::fs::write(path("mix.lock"), lock).unwrap();
        let (lock, tree, bundle) = (path("mix.lock"), path("tree"), path("build.bundle"));
        let orders: [&[&str]; 4] = [
            &["mirror", "upstream", "--to", &tree],
            &["prefetch", "--lock", &lock, "--repo", "upstream"],
            &["prefetch", "--lock", &lock, "--repo", "below"],
            &["bundle", "create", "--lock", &lock, "--repo", "upstream", "-o", &bundle],
        ];
        for order in orders {
            let (code, said, error) = hub.command(order).await;
            assert_eq!(code, 1, "{order:?}, {how}: {said}{error}");
            assert!(error.contains("is served only through `hexpm`"), "{order:?}, {how}: {error}");
        }
        // The one that may be named holds it.
        let (code, said, error) = hub.command(&["prefetch", "--lock", &lock]).await;
        assert_eq!(code, 1, "{how}: {said}{error}");
        assert!(!std::path::Path::new(&tree).exists() && !std::path::Path::new(&bundle).exists());
        assert!(hub.upstream.calls_to(NEW).is_empty(), "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_be_direct_opts_out() {
    let hub = start(nested("policy: company", ", direct: true")).await;
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree").to_str().unwrap().to_owned();
    for path in ["/repos/upstream/packages/jason", "/repos/upstream/tarballs/jason-1.1.0.tar"] {
        assert_eq!(hub.get(path).await.status, 200, "{path}");
    }
    assert_eq!(hub.get_with("/api/repos/upstream/packages/jason", &[MIX]).await.status, 200);
    let (code, said, error) = hub.command(&["mirror", "upstream", "--to", &tree]).await;
    assert_eq!(code, 0, "{said}{error}");
    assert_eq!(hub.get(NEW).await.status, 403, "the virtual repository holds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_member_keeps_its_api_without_what_is_held_above() {
    let hub = start(nested("policy: company", "")).await;
    let root = hub.user("root", true).await;
    for version in ["0.1.0", "0.2.0"] {
        let answer = hub.publish_to_acme(&root, "acme_core", local_package("acme_core", version, "")).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    assert_eq!(hub.get("/repos/acme/packages/acme_core").await.status, 404);
    assert_eq!(hub.get("/repos/acme/tarballs/acme_core-0.2.0.tar").await.status, 404);
    for base in ["/api/repos/acme", "/api/repos/hexpm", "/api"] {
        for path in ["/packages/acme_core", "/packages?search=acme_core", "/packages"] {
            let answer = hub.get_with(&format!("{base}{path}"), &[MIX, ("accept", "application/json")]).await;
            let text = answer.text();
            assert!(text.contains("0.1.0") && !text.contains("0.2.0"), "{base}{path}: {} {text}", answer.status);
        }
        for (version, status) in [("0.2.0", 404), ("0.1.0", 200)] {
            let path = format!("{base}/packages/acme_core/releases/{version}");
            assert_eq!(hub.get_with(&path, &[MIX]).await.status, status, "{path}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::try_from(bytes).unwrap().to_string()
}
