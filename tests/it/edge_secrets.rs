//! A key or a token of this server that somebody sends as a name or as a search goes nowhere.

use super::support::process::{Home, access_lines};
use super::support::registry::TestRegistry;
use super::support::upstream::ScriptedUpstream;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_place_of_a_name_is_neither_sent_upstream_nor_logged() {
    let upstream = ScriptedUpstream::start().await;
    let mut registry = TestRegistry::new("hexpm");
    registry.add("jason", "1.0.0");
    registry.publish(&upstream);
    upstream.serve("/api/packages", "[]");
    let more = format!(", missing_ttl: 0s, api_url: \"{}/api\"", upstream.url());
    let home = Home::remote(&upstream.url(), &registry.public_key(), &more);
    let daemon = home.serve();
    let secrets = [
        format!("hkk_{}", "0123456789abcdef".repeat(2)),
        format!("hkr_{}", "0123456789abcdef".repeat(4)),
        format!("hkt_{}", "Aa0-_".repeat(15)),
    ];
    let mut requests = 0;
    for secret in &secrets {
        let encoded = secret.replace('_', "%5F");
        for (path, status) in [
            (format!("/packages/{secret}"), 404),
            (format!("/packages/{encoded}"), 404),
            (format!("/repos/hexpm/packages/{secret}"), 404),
            (format!("/policies/{secret}"), 404),
            (format!("/tarballs/{secret}-1.0.0.tar"), 404),
            (format!("/tarballs/jason-{secret}.tar"), 404),
            (format!("/docs/{secret}-1.0.0.tar.gz"), 404),
            (format!("/installs/{secret}"), 404),
            (format!("/builds/elixir/{secret}.zip"), 404),
            (format!("/api/packages/{secret}"), 404),
            (format!("/api/repos/hexpm/packages/{encoded}/releases/1.0.0"), 404),
            (format!("/api/users/{secret}"), 404),
            (format!("/api/packages?search={secret}"), 200),
            (format!("/api/packages?search=name:{encoded}*&sort={secret}"), 200),
        ] {
            let url = format!("{}{path}", daemon.url());
            let answer = daemon.client.get(url).header("user-agent", "test").send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
            requests += 1;
        }
    }
    // An ordinary search is still sent.
    let url = format!("{}/api/packages?search=json", daemon.url());
    assert_eq!(daemon.client.get(url).header("user-agent", "test").send().await.unwrap().status().as_u16(), 200);
    let sent: Vec<String> = upstream.calls().into_iter().map(|call| call.target).collect();
    assert!(sent.iter().any(|path| path.contains("search=json")), "{sent:?}");
    let (_, log) = daemon.stop();
    assert_eq!(access_lines(&log).len(), requests + 1);
    assert_eq!(log.matches("[secret]").count(), 12 * secrets.len(), "{log}");
    for secret in &secrets {
        let secret = secret.get(4..).unwrap();
        assert!(sent.iter().all(|path| !path.contains(secret)), "{sent:?}");
        assert!(!log.contains(secret), "{log}");
    }
}
