//! `0` is no limit wherever one is configured: seen while a daemon works, beyond the default of each.

use std::time::Duration;

use futures_util::future::join_all;
use hexkeep::http::listener::ListenerTimeouts;
use reqwest::Method;
use tokio::net::TcpStream;

use super::support::hub::{Hub, Wishes, eventually};
use super::support::raw;
use super::support::upstream::{Gate, Step};

fn unlimited() -> Wishes {
    Wishes {
        server: "max_connections: 0, deadline: 60s, trusted_proxies: [127.0.0.1/32]".to_owned(),
        storage: "cache_limit: 0, memory_limit: 0".to_owned(),
        repository: "concurrency: 0, metadata_ttl: 30d".to_owned(),
        top: "auth: { rate_limits: { per_account: 0, per_address: 0, failed_logins: 0 } }\n".to_owned(),
        ..Wishes::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_the_api_are_not_counted() {
    let hub = Hub::with(unlimited()).await;
    let key = hub.user("sam", false).await;
    for (authorization, path, most, status) in [
        ("", "/api/packages", 120, 200),
        (key.as_str(), "/api/users/me", 520, 200),
        ("Basic c2FtOndyb25n", "/api/users/me", 20, 401),
    ] {
        for number in 0..most {
            let mut headers = vec![("user-agent", "test"), ("x-forwarded-for", "192.0.2.1")];
            headers.extend((!authorization.is_empty()).then_some(("authorization", authorization)));
            let answer = hub.send(Method::GET, path, &headers).await;
            assert_eq!(answer.status, status, "{path} {number}: {}", answer.text());
            assert_eq!(answer.header("x-ratelimit-limit"), "", "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_not_counted() {
    // None of them ends while the test runs, and makes room for another one.
    let patience = ListenerTimeouts { head: Duration::from_secs(3600), ..ListenerTimeouts::default() };
    let hub = Hub::with(Wishes { patience, ..unlimited() }).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
        let answer = raw::ask(&mut stream, b"GET /public_key HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert_eq!(answer.status, 200);
        open.push(stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_stays_on_disk_and_in_memory() {
    let mut hub = Hub::with(unlimited()).await;
    let tarball = hub.registry.add_sized("jason", "1.0.0", 100_000);
    hub.publish();
    let path = "/tarballs/jason-1.0.0.tar";
    assert_eq!(hub.get(path).await.body, tarball);
    hub.restart().await;
    let stored = hub.get(path).await;
    assert_eq!((stored.cache(), &stored.body), ("hit", &tarball), "on disk");
    std::fs::remove_dir_all(hub.data().join("blobs")).unwrap();
    let remembered = hub.get(path).await;
    assert_eq!((remembered.cache(), &remembered.body), ("hit", &tarball), "in memory");
    assert_eq!(hub.upstream.calls_to(path).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_asked_as_often_at_one_time_as_clients_ask() {
    const CLIENTS: usize = 48;
    let mut hub = Hub::with(unlimited()).await;
    for number in 0..CLIENTS {
        hub.registry.add(&format!("p{number}"), "1.0.0");
    }
    hub.publish();
    let gate = Gate::new();
    let paths: Vec<String> = (0..CLIENTS).map(|number| format!("/packages/p{number}")).collect();
    for path in &paths {
        hub.upstream.always(path, Step::route().gated(&gate));
    }
    let asked = join_all(paths.iter().map(|path| hub.get(path)));
    let opened = async {
        hub.upstream.wait_for_calls(CLIENTS).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(asked, opened);
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_neither_slowed_down_nor_stopped() {
    let repository = "concurrency: 0, mirror: { schedule: 15m, connections: 0, rate: 0 }, metadata_ttl: 30d".to_owned();
    let mut hub = Hub::with(Wishes { repository, ..Wishes::default() }).await;
    eventually("it asks at once", async || !hub.upstream.calls_to("/names").is_empty()).await;
    for number in 0..20 {
        hub.registry.add(&format!("p{number}"), "1.0.0");
    }
    hub.publish();
    eventually("all of it is fetched", async || {
        hub.clock.advance(Duration::from_secs(5 * 60));
        (0..20).all(|number| !hub.upstream.calls_to(&format!("/tarballs/p{number}-1.0.0.tar")).is_empty())
    })
    .await;
    hub.stop().await;
    hub.registry.add("late", "1.0.0");
    hub.publish();
    let (code, said, error) = hub.command(&["mirror", "hexpm", "--connections", "0", "--rate", "0"]).await;
    assert!(code == 0 && said.contains("1 was downloaded"), "{said}{error}");
}
