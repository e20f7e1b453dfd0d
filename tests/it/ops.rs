//! What supervisors and scrapers see, how a stop goes, and what the log says of each request.

use std::collections::BTreeSet;
use std::time::Duration;

use hexkeep::hex::checksum::Sha256;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::support::hub::{Hub, eventually};
use super::support::process::{Home, access_lines};
use super::support::raw;
use super::support::registry::TestRegistry;
use super::support::upstream::{Gate, ScriptedUpstream, Step};

#[tokio::test(flavor = "multi_thread")]
async fn the_ops_listener_has_three_pages_and_the_public_one_has_none_of_them() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    for (path, text) in [("/live", "live\n"), ("/ready", "ready\n")] {
        let page = hub.ops(path).await;
        assert_eq!((page.status, page.text().as_str()), (200, text), "{path}");
        assert_eq!(hub.get(path).await.status, 404, "{path} on the public listener");
    }
    let metrics = hub.ops("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(metrics.text().ends_with("# EOF\n"));
    assert_eq!(hub.get("/metrics").await.status, 404);
    let ops = format!("http://{}", hub.app().addresses().ops);
    for path in ["/", "/packages/jason", "/names", "/public_key", "/api/admin", "/live/", "/metrics/x", "/Ready"] {
        assert_eq!(hub.ops(path).await.status, 404, "{path}");
    }
    for path in ["/live", "/ready", "/metrics"] {
        for method in [reqwest::Method::POST, reqwest::Method::PUT, reqwest::Method::DELETE] {
            let status = hub.client.request(method.clone(), format!("{ops}{path}")).send().await.unwrap().status();
            assert!(status.is_client_error(), "{method} {path}: {status}");
        }
    }
    assert!(hub.upstream.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_has_nothing_to_do_with_the_upstream() {
    let mut hub = Hub::start().await;
    hub.upstream.switch_off().await;
    assert_eq!(hub.get("/packages/jason").await.status, 502);
    assert_eq!(hub.ops("/ready").await.status, 200);
    hub.restart().await;
    assert_eq!((hub.ops("/ready").await.status, hub.ops("/live").await.status), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let mut hub = Hub::start().await;
    let tarball = hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub.get("/packages/jason").await;
    hub.get("/packages/jason").await;
    hub.get("/tarballs/jason-1.0.0.tar").await;
    hub.get("/nowhere").await;
    let requests = async |kind: &str, status: u16, cache: &str, repository: &str| {
        let series = format!(
            "hexkeep_requests_total{{repository=\"{repository}\",kind=\"{kind}\",status=\"{status}\",cache=\"{cache}\"}}"
        );
        hub.metric(&series).await
    };
    eventually("the last request is counted", async || requests("-", 404, "-", "-").await == 1.0).await;
    assert_eq!(requests("package", 200, "miss", "hexpm").await, 1.0);
    assert_eq!(requests("package", 200, "hit", "hexpm").await, 1.0);
    assert_eq!(requests("tarball", 200, "miss", "hexpm").await, 1.0);
    assert!(hub.metric("hexkeep_cache_bytes").await >= tarball.len() as f64);
    assert_eq!(hub.metric("hexkeep_upstream_up{repository=\"hexpm\"}").await, 1.0);
    assert_eq!(hub.metric("hexkeep_config_current").await, 1.0);
}

/// The order of stopping: not ready, no new connections, bodies finished, and only then the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_the_body_in_flight_and_takes_nothing_new() {
    let mut hub = Hub::start().await;
    let tarball = hub.registry.add_sized("big", "1.0.0", 1 << 20);
    hub.publish();
    let gate = Gate::new();
    hub.upstream.always("/tarballs/big-1.0.0.tar", Step::route().drip(128 * 1024, &gate));
    gate.release(4);
    let response = hub.open("/tarballs/big-1.0.0.tar").await;
    assert_eq!(response.status().as_u16(), 200);

    let addresses = hub.app().addresses();
    let mut idle = TcpStream::connect(addresses.listen).await.unwrap();
    let answer = raw::ask(&mut idle, b"GET /packages/big HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    let client = hub.client.clone();
    let watch = async move {
        let page = async |path: &str| {
            let response = client.get(format!("http://{}{path}", addresses.ops)).send().await.unwrap();
            response.status().as_u16()
        };
        eventually("not ready", async || page("/ready").await == 503).await;
        assert_eq!(page("/live").await, 200, "it is not dead yet");
        eventually("new connections are refused", async || TcpStream::connect(addresses.listen).await.is_err()).await;
        let mut rest = Vec::new();
        assert_eq!(idle.read_to_end(&mut rest).await.unwrap(), 0, "an idle connection is closed");
        gate.open();
        response.bytes().await.unwrap()
    };
    let ((), body) = tokio::join!(hub.stop(), watch);
    assert_eq!(body, tarball, "the body was finished after the stop had begun");
    assert!(TcpStream::connect(addresses.ops).await.is_err(), "the ops listener went last");

    hub.launch().await;
    let again = hub.get("/tarballs/big-1.0.0.tar").await;
    assert_eq!((again.cache(), &again.body), ("hit", &tarball), "and what was fetched meanwhile is stored");
}

/// Another client's body is finished although it asked before the stop and its upstream answers after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_a_request_whose_answer_has_not_begun() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let gate = Gate::new();
    hub.upstream.always("/packages/jason", Step::route().gated(&gate));
    let (url, client) = (format!("{}/packages/jason", hub.url()), hub.client.clone());
    let request = tokio::task::spawn(async move { client.get(url).send().await.unwrap().bytes().await.unwrap() });
    hub.upstream.wait_for_calls_to("/packages/jason", 1).await;
    let expected = hub.registry.package("jason");
    let (listen, opened) = (hub.app().addresses().listen, gate.clone());
    let watch = async move {
        eventually("new connections are refused", async || TcpStream::connect(listen).await.is_err()).await;
        opened.open();
        request.await.unwrap()
    };
    let ((), body) = tokio::join!(hub.stop(), watch);
    assert_eq!(body, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_an_id_of_its_own() {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    let mut ids = BTreeSet::new();
    for path in ["/packages/jason", "/packages/jason", "/tarballs/jason-1.0.0.tar", "/nowhere", "/repos/nobody/names"] {
        let answer = hub.get_with(path, &[("x-request-id", "theirs")]).await;
        let id = answer.header("x-request-id").to_owned();
        assert_eq!(id.len(), 16, "{path}: {id}");
        assert!(ids.insert(id), "{path}: an id twice");
    }
    let method = hub.send(reqwest::Method::POST, "/names", &[]).await;
    assert!(ids.insert(method.header("x-request-id").to_owned()));
}

/// A daemon in a process of its own, whose log is JSON.
#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_says_what_happened_to_each_request() {
    let upstream = ScriptedUpstream::start().await;
    let mut registry = TestRegistry::new("hexpm");
    let tarball = registry.add("jason", "1.0.0");
    registry.publish(&upstream);
    upstream.serve("/docs/jason-1.0.0.tar.gz", &b"docs"[..]);
    let slow = Gate::new();
    registry.add("slow", "1.0.0");
    upstream.always("/packages/slow", Step::ok(registry.package("slow")).gated(&slow));
    let home = Home::remote(&upstream.url(), &registry.public_key(), "");
    let daemon = home.serve();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| {
        let response = client.get(format!("{}{path}", daemon.url())).send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        (id, response.status().as_u16(), response.bytes().await.unwrap().len())
    };
    let waited = Duration::from_millis(100);
    let slow_one = async {
        upstream.wait_for_calls_to("/packages/slow", 1).await;
        // The one thing here that is about real time: what the log says of it.
        tokio::time::sleep(waited).await;
        slow.open();
    };
    let (slow_answer, ()) = tokio::join!(get("/packages/slow"), slow_one);
    let mut answers = vec![("/packages/slow", slow_answer)];
    for path in [
        "/packages/jason",
        "/packages/jason",
        "/tarballs/jason-1.0.0.tar",
        "/docs/jason-1.0.0.tar.gz",
        "/names",
        "/packages/nothing",
        "/repos/nobody/names",
        "/%00",
    ] {
        answers.push((path, get(path).await));
    }
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0));
    let lines = access_lines(&log);
    assert_eq!(lines.len(), answers.len(), "{log}");
    for (line, (path, (id, status, bytes))) in lines.iter().zip(&answers) {
        assert_eq!(line["request_id"], *id, "{line}");
        assert_eq!(line["path"], *path, "{line}");
        assert_eq!((&line["status"], &line["bytes"]), (&(*status).into(), &(*bytes).into()), "{line}");
        assert_eq!((&line["method"], &line["client"]), (&"GET".into(), &"127.0.0.1".into()), "{line}");
        for number in ["upstream_ms", "ms"] {
            assert!(line[number].is_u64(), "{number} in {line}");
        }
        assert!(line["timestamp"].is_string() && line["level"] == "INFO", "{line}");
    }
    let said = |at: usize| {
        let line = &lines[at];
        ["repository", "package", "version", "cache", "outcome"].map(|field| line[field].as_str().unwrap().to_owned())
    };
    assert_eq!(said(1), ["hexpm", "jason", "-", "miss", "ok"]);
    assert_eq!(said(2), ["hexpm", "jason", "-", "hit", "ok"]);
    assert_eq!(said(3), ["hexpm", "jason", "1.0.0", "miss", "ok"]);
    assert_eq!(said(4), ["hexpm", "jason", "1.0.0", "miss", "ok"]);
    assert_eq!(said(5), ["hexpm", "-", "-", "miss", "ok"]);
    assert_eq!(said(6)[..2], ["hexpm", "nothing"]);
    assert_eq!(said(7)[..2], ["-", "-"]);
    assert_eq!(lines[3]["bytes"], tarball.len());
    assert_eq!(lines[2]["upstream_ms"], 0, "nobody was asked");
    let ids: BTreeSet<&str> = lines.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), lines.len());
    for number in ["upstream_ms", "ms"] {
        assert!(lines[0][number].as_u64().unwrap() >= 100, "{number} in {}", lines[0]);
    }
}

/// Only a proxy that is trusted says for whom it asks.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_client_behind_a_trusted_proxy() {
    let upstream = ScriptedUpstream::start().await;
    let registry = TestRegistry::new("hexpm");
    for (trusted, forwarded, expected) in [
        ("[]", "198.51.100.7", "127.0.0.1"),
        ("[127.0.0.0/8]", "198.51.100.7", "198.51.100.7"),
        ("[127.0.0.0/8]", "192.0.2.9, 198.51.100.7", "198.51.100.7"),
        ("[127.0.0.0/8, 198.51.100.0/24]", "192.0.2.9, 198.51.100.7", "192.0.2.9"),
        ("[127.0.0.0/8]", "2001:db8::7", "2001:db8::7"),
        ("[127.0.0.0/8]", "nonsense", "127.0.0.1"),
        ("[10.0.0.0/8]", "198.51.100.7", "127.0.0.1"),
    ] {
        let config = Home::config(&upstream.url(), "")
            .replace("ops_listen: 127.0.0.1:0", &format!("ops_listen: 127.0.0.1:0, trusted_proxies: {trusted}"));
        let home = Home::new(&config);
        home.write("registry.pem", &registry.public_key());
        let daemon = home.serve();
        let request =
            format!("GET /public_key HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: {forwarded}\r\n\r\n");
        assert_eq!(raw::exchange(daemon.listen(), request.as_bytes()).await.status, 200);
        let (_, log) = daemon.stop();
        assert_eq!(access_lines(&log)[0]["client"], expected, "{trusted} {forwarded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_is_an_error_in_the_log_and_so_is_what_an_upstream_takes_away() {
    let upstream = ScriptedUpstream::start().await;
    let mut registry = TestRegistry::new("hexpm");
    let tarball = registry.add("plug", "1.0.0");
    for package in ["jason", "gone"] {
        registry.add(package, "1.0.0");
    }
    registry.publish(&upstream);
    upstream.serve("/packages/jason", &b"<html>maintenance</html>"[..]);
    upstream.serve("/tarballs/plug-1.0.0.tar", &b"other bytes"[..]);
    let settings = ", metadata_ttl: 0s, stale_while_revalidate: 0s, missing_ttl: 0s";
    let home = Home::remote(&upstream.url(), &registry.public_key(), settings);
    let daemon = home.serve();
    assert_eq!(daemon.get("/packages/jason").await.status, 502);
    assert_eq!(daemon.get("/tarballs/plug-1.0.0.tar").await.status, 502);
    assert_eq!(daemon.get("/packages/gone").await.status, 200);
    upstream.always("/packages/gone", Step::status(404));
    assert_eq!(daemon.get("/packages/gone").await.status, 404);
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0));
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
    for named in [["packages/jason", "hexpm"], ["plug-1.0.0", "hexpm"], ["packages/gone", "hexpm"]] {
        assert!(errors.iter().any(|line| named.iter().all(|word| line.contains(word))), "{named:?}: {errors:#?}");
    }
    assert_eq!(errors.len(), 3, "each once: {errors:#?}");
    // With everything that caused it.
    let digest = |bytes: &[u8]| Sha256::of(bytes).to_string();
    for cause in [digest(b"other bytes"), digest(&tarball), "not a signed registry resource".to_owned()] {
        assert!(errors.iter().any(|line| line.contains(&cause)), "{cause}: {errors:#?}");
    }
}
