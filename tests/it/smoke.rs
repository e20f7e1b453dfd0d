//! The main job in a few lines: fetched, verified, cached, served again without the upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tokio::net::TcpStream;

use super::support::hub::Hub;

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_fetched_once_and_served_without_its_upstream() {
    let mut hub = Hub::start().await;
    let tarball = hub.registry.add("jason", "1.0.0");
    hub.publish();

    let package = hub.get("/packages/jason").await;
    assert_eq!((package.status, package.cache()), (200, "miss"));
    assert_eq!(package.body, hub.registry.package("jason"), "upstream's own bytes");
    let first = hub.get("/tarballs/jason-1.0.0.tar").await;
    assert_eq!((first.status, first.cache(), &first.body), (200, "miss", &tarball));

    hub.upstream.switch_off().await;
    hub.restart().await;
    assert_eq!(hub.get("/packages/jason").await.body, package.body);
    let again = hub.get("/tarballs/jason-1.0.0.tar").await;
    assert_eq!((again.status, again.cache(), &again.body), (200, "hit", &tarball));
    assert_eq!(hub.upstream.calls_to("/tarballs/jason-1.0.0.tar").len(), 1);
}

/// Starts processes without end until it is dropped. Each has, until it has become another program, all that this
/// process has open: sockets that listen, and files with locks.
struct Births(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Births {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::process::Command::new("true").status().unwrap();
            }
        });
        Self(over, Some(thread))
    }
}

impl Drop for Births {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            thread.join().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_being_started_keeps_neither_a_port_nor_a_store() {
    let mut hub = Hub::start().await;
    let _births = Births::begin();
    let address = hub.upstream.url().trim_start_matches("http://").to_owned();
    for _ in 0..100 {
        hub.upstream.switch_off().await;
        assert!(TcpStream::connect(&address).await.is_err());
        hub.upstream.switch_on();
        TcpStream::connect(&address).await.unwrap();
    }
    for _ in 0..10 {
        hub.restart().await;
    }
}
