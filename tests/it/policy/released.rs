//! What counts as delivered: a file whose last byte was given out, and nothing that broke off before.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::super::support::registry::tarball;
use super::super::support::upstream::{Gate, Step};
use super::delivery::worlds;
use super::*;

/// Several times larger than the tail that is held back.
const LARGE: usize = 400 * 1024;

/// More than the kernel takes for a connection on its own.
const HUGE: usize = 12 * 1024 * 1024;

/// A daemon with a release, a year old, whose tarball has this size.
async fn sized(wishes: Wishes, size: usize) -> Hub {
    let mut hub = Hub::with(wishes).await;
    let now = today(&hub);
    hub.registry.add_sized("jason", "1.0.0", size);
    hub.registry.published("jason", "1.0.0", now - 365 * DAY);
    hub.publish();
    hub
}

/// Lets the release be published today, so that the cooldown holds it unless it is owed to lock files; whether it is.
async fn is_owed(hub: &mut Hub) -> bool {
    hub.clock.advance(Duration::from_secs(400 * DAY));
    let now = today(hub);
    hub.registry.published("jason", "1.0.0", now);
    hub.publish();
    let first = hub.get(OLD).await.status;
    hub.restart().await;
    assert_eq!(hub.get(OLD).await.status, first, "a restart changes nothing");
    let shown = listed(hub).await;
    match first {
        200 => assert_eq!(shown, ["1.0.0"]),
        403 => assert_eq!(shown, Vec::<String>::new()),
        other => panic!("{other}"),
    }
    first == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_with_a_wrong_digest_is_no_delivery_and_a_right_one_is() {
    for (world, wishes) in worlds("enforce", "cooldown: 7d", "1s", "") {
        for is_right in [false, true] {
            let mut hub = sized(wishes.clone(), LARGE).await;
            if !is_right {
                hub.upstream.script(OLD, [Step::ok(tarball("jason", "1.0.0", LARGE, 1).0)]);
            }
            let answer = hub.open(OLD).await;
            assert_eq!(answer.status(), 200, "{world}");
            assert_eq!(answer.bytes().await.is_ok(), is_right, "{world}");
            assert_eq!(is_owed(&mut hub).await, is_right, "{world}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_of_a_fetch_was_delivered_nothing() {
    for (world, wishes) in worlds("enforce", "cooldown: 7d", "1s", "") {
        let mut hub = sized(wishes, LARGE).await;
        let gate = Gate::new();
        hub.upstream.script(OLD, [Step::route().drip(16 * 1024, &gate)]);
        gate.release(4);
        let mut answer = hub.open(OLD).await;
        assert!(answer.chunk().await.unwrap().is_some(), "{world}");
        drop(answer);
        eventually("the daemon sees it", async || hub.metric("hexkeep_aborted_total").await == 1.0).await;
        gate.open();
        eventually("the fetch ends", async || hub.metric("hexkeep_fills").await == 0.0).await;
        assert!(!is_owed(&mut hub).await, "{world}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_of_a_stored_file_was_delivered_nothing() {
    let [(_, wishes), ..] = worlds("enforce", "cooldown: 7d", "1s", "");
    let mut hub = sized(wishes, HUGE).await;
    let lock = hub.config_file().with_file_name("mix.lock");
    std::fs::write(&lock, "%{\n\"jason\": {:hex, :jason, \"1.0.0\", nil, [], [], \"hexpm\", nil},\n}\n").unwrap();
    assert_eq!(hub.command(&["prefetch", "--lock", lock.to_str().unwrap()]).await.0, 0);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(hub.app().addresses().listen).await.unwrap();
    stream.write_all(format!("GET {OLD} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut beginning = [0; 4096];
    stream.read_exact(&mut beginning).await.unwrap();
    assert!(beginning.starts_with(b"HTTP/1.1 200"));
    drop(stream);
    eventually("the daemon sees it", async || hub.metric("hexkeep_aborted_total").await == 1.0).await;
    assert!(!is_owed(&mut hub).await);
}
