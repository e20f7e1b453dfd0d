//! What `show` prints means the same and holds no secret.

use super::*;
use crate::config::show;
use crate::trust::PrivateKey;

const VARIABLES: &[(&str, &str)] = &[("KEY", "s3cr3t")];

fn round_trip(text: &str) -> (Settings, String) {
    let first = load_with(text, VARIABLES).unwrap_or_else(|error| panic!("{error}")).settings;
    let shown = show(&first).unwrap();
    let second = load_with(&shown, VARIABLES).unwrap_or_else(|error| panic!("{error}\n{shown}")).settings;
    assert_eq!(first, second, "{shown}");
    (first, shown)
}

#[test]
fn the_default_is_printed_and_read_back() {
    let (_, shown) = round_trip("{}");
    for line in
        ["listen: 127.0.0.1:4000", "max_stale: 30d", "cache_limit: 50GiB", "- hexpm", "path: /base/hexkeep-data"]
    {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn everything_that_is_not_a_default_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        write(folder.path(), name, "x");
        folder.path().join(name).display().to_string()
    };
    let key = PrivateKey::from_pem(include_str!("../../trust/testdata/test-only-key.pem")).unwrap();
    write(folder.path(), "public.pem", key.public().to_spki_pem());
    write(folder.path(), "osv.json", "[]");
    let text = format!(
        r#"
server: {{listen: "[::]:1", ops_listen: 127.0.0.1:2, public_url: "https://h/x", tls: {{cert: {cert}, key: {key}}},
  trusted_proxies: [10.0.0.0/8, "::1"], max_connections: 7, deadline: 1500ms}}
log: {{format: json, level: trace}}
storage: {{path: /x y, cache_limit: 10000001B, memory_limit: 3MiB}}
signing: {{keys: [{{id: "1", file: {signing}}}, {{id: "on"}}], active: "on"}}
default_repository: "123"
repositories:
  "123": {{type: remote, name: "true", url: "http://h:1/y", public_key: [{public}, hexpm], hosts: [a.b], include: ["*", "[ab]"],
    exclude: ["null", "- x"], signature: own, network: strict, metadata_ttl: 0s, stale_while_revalidate: 1h 30m, max_stale: 365d,
    missing_ttl: 1ms, docs_ttl: 2d, assumed_offline: 59s, connect_timeout: 20ms, read_timeout: 9m, concurrency: 3,
    credentials: {{env: KEY}}, anonymous_read: true, proxy: "socks5://p:1", ca_file: {ca}, client_cert: {client},
    checksum_changes: refuse, on_upstream_delete: purge, private: false, policy: strict, metadata: full,
    advisories: {{osv: {osv}}}, prefetch: closure,
    mirror: {{schedule: 15m, packages: ["p*"], latest: 3, docs: true, connections: 4, rate: 2MiB}}}}
  other: {{type: remote, url: "https://repo.hex.pm", network: offline, advisories: {{osv: "https://example.com/Hex/all.zip"}}, credentials: {{file: {token}}}, anonymous_read: true,
    checksum_changes: window, on_upstream_delete: keep}}
  ours: {{type: local, name: theirs, hosts: [c.d], include: ["a*"], exclude: [ab], anonymous_read: true, organization: team,
    mutability: always, dependency_check: off, allowed_dependency_repositories: [other], dependency_aliases: {{their: other}},
    allow_new_packages: false, publish_view: all, publish: users, changes: owners, direct: true}}
  all: {{type: virtual, name: both, hosts: [e.f], include: ["*"], exclude: [x], anonymous_read: true, members: [ours,
    {{repository: other, include: ["a*"], exclude: [ab], private: false}}], merge: release, merge_across: [a], reserve: ["r_*"],
    allow_shadow: [s], grants_read: [ours], on_member_failure: skip, deploy_to: ours, policy: strict}}
  outer: {{type: virtual, members: [all], direct: false}}
policies:
  strict: {{description: "For: all", mode: enforce, repositories: {{
    "123": {{cooldown: 2w, advisory_min_severity: none, retirement_reasons: [renamed, other], licenses: {{deny: [MIT, "x y"], unknown: hold}},
      freeze_after: 2026-11-01, unknown_published_at: hold, locked: {{cooldown: hold, freeze: 2w, licenses: keep,
        advisories: 1mo, retirement: keep}},
      cooldown_exempt_security_fixes: true, overrides: [
        {{allow: a, requirement: "~> 1.0 or != 3.0.0", until: "2027-01-01T00:00:01Z", reason: "a: b", by: "null"}}, {{deny: a}},
        {{package: ab, ignore_advisory: CVE-1}}, {{package: a, ignore_retirement: other}}, {{package: b, ignore_cooldown: true}}]}},
    ours: {{locked: hold, cooldown: "0"}}}}}}
bundles: {{trusted_keys: ["SHA256:O1LOYhHFW4kcrblKAxROaDEzLD8bn1seWbe5tq8TRsk"]}}
fetch_log: {{retain: 1d, addresses: full}}
auth: {{sign_up: true, basic: false, totp: required, rate_limits: {{per_account: 1, per_address: 0, failed_logins: 3}}}}
"#,
        cert = at("cert"),
        key = at("key"),
        signing = at("signing"),
        public = folder.path().join("public.pem").display(),
        ca = at("ca"),
        client = at("client"),
        osv = folder.path().join("osv.json").display(),
        token = at("token"),
    );
    let (_, shown) = round_trip(&text);
    assert!(shown.contains("env: KEY") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn the_password_of_a_proxy_is_not_printed() {
    let text = acme("url: \"https://repo.hex.pm\", proxy: \"http://me:s3cr3t@p:1\"");
    let settings = load_with(&text, &[]).unwrap().settings;
    assert_eq!(remote(&settings, "acme").proxy.as_ref().unwrap().expose(), "http://me:s3cr3t@p:1");
    let shown = show(&settings).unwrap();
    assert!(shown.contains("http://redacted@p:1") && !shown.contains("s3cr3t"), "{shown}");
    load_with(&shown, &[]).unwrap();
    assert!(!format!("{settings:?}").contains("s3cr3t"));
}
