//! Tarballs on their way through: streamed while they are stored, proven before they are whole, one fetch for everybody.
//!
//! The names at the end of some tests' comments are those of pingora's cache checklist.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::hex::limits::HELD_BACK;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::support::SAFETY;
use super::support::hub::{Hub, Wishes, eventually};
use super::support::process::Home;
use super::support::registry::{TestRegistry, tarball};
use super::support::upstream::{Gate, Route, ScriptedUpstream, Step, etag_of};

const PATH: &str = "/tarballs/jason-1.0.0.tar";
const PACKAGE: &str = "/packages/jason";

/// Larger than the tail that is held back, several times.
const LARGE: usize = 300 * 1024;

/// A piece of a dripping body.
const PIECE: usize = 16 * 1024;

const UNTRUSTED_DIGEST: &str = "hexkeep_untrusted_total{repository=\"hexpm\",reason=\"digest\"}";

async fn hub_with(size: usize) -> (Hub, Bytes) {
    let mut hub = Hub::start().await;
    let tarball = hub.registry.add_sized("jason", "1.0.0", size);
    hub.publish();
    (hub, tarball)
}

/// Another tarball of the same release, of the same length.
fn other(size: usize) -> Bytes {
    tarball("jason", "1.0.0", size, 1).0
}

/// Reads until at least `count` bytes are there.
async fn take(response: &mut reqwest::Response, count: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let chunk = timeout(SAFETY, response.chunk()).await.unwrap().unwrap();
        taken.extend_from_slice(&chunk.unwrap());
    }
    taken
}

/// Reads on to the end, well or not: what came, and whether it was all.
async fn drain(response: &mut reqwest::Response, mut taken: Vec<u8>) -> (Vec<u8>, bool) {
    loop {
        match timeout(SAFETY, response.chunk()).await.unwrap() {
            Ok(Some(chunk)) => taken.extend_from_slice(&chunk),
            Ok(None) => return (taken, true),
            Err(_) => return (taken, false),
        }
    }
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", Sha256::of(bytes))
}

impl Hub {
    fn tarball_calls(&self) -> usize {
        self.upstream.calls_to(PATH).len()
    }

    /// Nothing of a tarball is on disk, finished or not.
    async fn assert_nothing_is_kept(&self) {
        eventually("the temporary file goes", async || !self.files().iter().any(|f| f.starts_with("tmp/"))).await;
        let files = self.files();
        assert!(!files.iter().any(|file| file.starts_with("blobs/")), "{files:?}");
    }
}

/// Lock miss.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_file_reaches_its_client_while_the_upstream_still_sends() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(PIECE, &gate)]);
    gate.release(4);
    let mut response = hub.open(PATH).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-hexkeep-cache"), "miss");
    assert_eq!(header(&response, "content-length"), tarball.len().to_string());
    assert_eq!(header(&response, "etag"), quoted(&tarball));
    let first = take(&mut response, 4 * PIECE).await;
    assert_eq!(first, tarball[..4 * PIECE], "the gate is closed: nothing more has come from the upstream");
    gate.open();
    let (all, complete) = drain(&mut response, first).await;
    assert!(complete);
    assert_eq!(all, tarball);
    assert_eq!(hub.get(PATH).await.cache(), "hit");
    assert_eq!(hub.tarball_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_bytes_are_held_back_until_the_whole_file_is_proven() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(PIECE, &gate)]);
    let held_back = usize::try_from(HELD_BACK).unwrap();
    gate.release(tarball.len().div_ceil(PIECE) - 1);
    let mut response = hub.open(PATH).await;
    let taken = take(&mut response, tarball.len() - held_back).await;
    assert_eq!(taken.len(), tarball.len() - held_back, "all but the tail, to the byte");
    let more = timeout(Duration::from_millis(200), response.chunk()).await;
    assert!(more.is_err(), "nothing of the tail is given out before the digest is known");
    gate.release(1);
    let (all, complete) = drain(&mut response, taken).await;
    assert!(complete);
    assert_eq!(all, tarball);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_with_a_wrong_digest_is_cut_off_and_leaves_nothing_behind() {
    let (hub, tarball) = hub_with(LARGE).await;
    let wrong = other(LARGE);
    assert_eq!(wrong.len(), tarball.len());
    hub.upstream.always(PATH, Step::ok(wrong));
    let mut response = hub.open(PATH).await;
    assert_eq!(response.status(), 200);
    let (taken, complete) = drain(&mut response, Vec::new()).await;
    assert!(!complete, "the client knows that it has not got everything");
    assert!(taken.len() as u64 <= tarball.len() as u64 - HELD_BACK, "{} bytes", taken.len());
    hub.assert_nothing_is_kept().await;
    assert_eq!(hub.metric(UNTRUSTED_DIGEST).await, 1.0);

    let again = hub.get(PATH).await;
    assert_eq!((again.status, hub.tarball_calls()), (502, 1), "remembered, not asked again");
    assert!(again.text().contains("does not match its signature"), "{}", again.text());
    assert_eq!(hub.upstream.calls_to(PACKAGE).len(), 2, "the index was asked for once more, past caches");
    hub.clock.advance(Duration::from_secs(61));
    hub.upstream.always(PATH, Step::route());
    let good = hub.get(PATH).await;
    assert_eq!((good.status, good.cache()), (200, "miss"), "after missing_ttl it is tried again");
    assert_eq!(good.body, tarball);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_with_a_wrong_digest_is_a_clean_refusal() {
    let (hub, _) = hub_with(1024).await;
    hub.upstream.always(PATH, Step::ok(other(1024)));
    for _ in 0..2 {
        let answer = hub.get(PATH).await;
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains("does not match its signature"), "{}", answer.text());
    }
    assert_eq!(hub.tarball_calls(), 1);
    assert_eq!(hub.metric(UNTRUSTED_DIGEST).await, 1.0);
    hub.assert_nothing_is_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_shorter_or_longer_than_the_proven_one_is_refused() {
    for size in [LARGE - 512, LARGE + 512] {
        let (hub, _) = hub_with(LARGE).await;
        hub.upstream.always(PATH, Step::ok(tarball("jason", "1.0.0", size, 0).0));
        let mut response = hub.open(PATH).await;
        let (_, complete) = drain(&mut response, Vec::new()).await;
        assert!(!complete, "{size}");
        hub.assert_nothing_is_kept().await;
    }
}

/// Lock hit; many readers behind one fill.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_late_get_the_same_fill() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(PIECE, &gate)]);
    gate.release(8);
    let mut first = hub.open(PATH).await;
    let mut taken = vec![take(&mut first, 8 * PIECE).await];
    let mut readers = vec![first];
    for _ in 0..20 {
        let mut late = hub.open(PATH).await;
        assert_eq!(header(&late, "x-hexkeep-cache"), "coalesced");
        taken.push(take(&mut late, 8 * PIECE).await);
        readers.push(late);
    }
    gate.open();
    for (mut reader, taken) in readers.into_iter().zip(taken) {
        let (all, complete) = drain(&mut reader, taken).await;
        assert!(complete);
        assert_eq!(all, tarball);
    }
    assert_eq!(hub.tarball_calls(), 1);
    assert_eq!(hub.get(PATH).await.cache(), "hit");
}

/// Lock hit, while nothing has come yet; a small file.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_for_a_small_file_cost_one_request() {
    let (hub, tarball) = hub_with(1024).await;
    hub.get(PACKAGE).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().gated(&gate)]);
    let ask = || hub.get(PATH);
    let release = async {
        hub.upstream.wait_for_calls_to(PATH, 1).await;
        gate.open();
    };
    let (a, b, c, d, ()) = tokio::join!(ask(), ask(), ask(), ask(), release);
    let mut words: Vec<String> = [&a, &b, &c, &d].iter().map(|answer| answer.cache().to_owned()).collect();
    for answer in [a, b, c, d] {
        assert_eq!((answer.status, answer.body), (200, tarball.clone()));
    }
    words.sort();
    // Who comes after the end finds it stored.
    assert_eq!(words.iter().filter(|word| *word == "miss").count(), 1, "{words:?}");
    assert_eq!(hub.tarball_calls(), 1, "{words:?}");
}

/// Lock time-out: whoever has waited long enough is answered, and the fill goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_time_is_up_is_answered_and_cancels_nothing() {
    let mut hub = Hub::with(Wishes { server: "deadline: 1s".to_owned(), ..Wishes::default() }).await;
    let tarball = hub.registry.add("jason", "1.0.0");
    hub.publish();
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(512, &gate)]);
    gate.release(1);
    let late = hub.get(PATH).await;
    assert_eq!(late.status, 502);
    assert!(late.text().contains("in time"), "{}", late.text());
    gate.open();
    eventually("the fill ends", async || hub.files().iter().any(|file| file.starts_with("blobs/"))).await;
    let answer = hub.get(PATH).await;
    assert_eq!((answer.status, answer.body), (200, tarball));
    assert_eq!(hub.tarball_calls(), 1);
}

/// Downstream bails while caching.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_client_that_leaves_cancels_nothing() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(PIECE, &gate)]);
    gate.release(2);
    let mut first = hub.open(PATH).await;
    take(&mut first, PIECE).await;
    drop(first);
    eventually("the daemon sees it", async || hub.metric("hexkeep_aborted_total").await == 1.0).await;
    assert_eq!(hub.metric("hexkeep_fills").await, 1.0, "the fill goes on");
    gate.open();
    eventually("the fill ends", async || hub.metric("hexkeep_fills").await == 0.0).await;
    let next = hub.get(PATH).await;
    assert_eq!((next.status, next.cache()), (200, "hit"));
    assert_eq!(next.body, tarball);
    assert_eq!(hub.tarball_calls(), 1);
}

/// A client that asks and does not read: its receive buffer is as small as the kernel makes it.
async fn stalled_client(hub: &Hub, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(hub.app().addresses().listen).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"H", "its answer has begun");
    stream
}

/// Downstream stalls while caching.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_slows_nobody() {
    // More than the kernel takes for a connection on its own.
    let size = 12 * 1024 * 1024;
    let (hub, tarball) = hub_with(size).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(256 * 1024, &gate)]);
    gate.release(1);
    let mut stalled = stalled_client(&hub, PATH).await;
    gate.open();
    let fast = hub.get(PATH).await;
    assert_eq!(fast.status, 200);
    assert!(fast.body == tarball, "the other client has everything");
    assert_eq!(hub.get(PATH).await.cache(), "hit", "and the file is stored");
    assert_eq!(hub.tarball_calls(), 1);

    let mut rest = Vec::new();
    let (mut whole, mut chunk) = (false, vec![0; 64 * 1024]);
    while !whole {
        let read = timeout(SAFETY, stalled.read(&mut chunk)).await.unwrap().unwrap();
        assert_ne!(read, 0, "cut off after {} bytes", rest.len());
        rest.extend_from_slice(&chunk[..read]);
        whole = rest.len() > size && rest.ends_with(&tarball[tarball.len() - 4096..]);
    }
    let body = rest.len() - tarball.len();
    assert!(rest[body..] == tarball, "when it reads on, it gets what everybody got");
}

/// Writer network error, with a strong validator.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_transfer_is_taken_up_again_where_it_broke_off() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(50_000, &gate).cut_after(100_000)]);
    gate.release(1);
    let mut response = hub.open(PATH).await;
    let first = take(&mut response, 50_000).await;
    gate.open();
    let (all, complete) = drain(&mut response, first).await;
    assert!(complete);
    assert_eq!(all, tarball);
    let calls = hub.upstream.calls_to(PATH);
    assert_eq!(calls.len(), 2);
    let range = calls[1].header("range").unwrap();
    let from: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    assert!((50_000..=100_000).contains(&from), "{range}");
    assert_eq!(calls[1].header("if-range"), Some(&*etag_of(&tarball)));
    assert_eq!(hub.get(PATH).await.cache(), "hit");
}

/// Writer network error, without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_transfer_without_a_strong_tag_begins_anew_and_is_compared() {
    for etag in [None, Some("W/\"1\"".to_owned())] {
        let (hub, tarball) = hub_with(LARGE).await;
        hub.upstream.serve_route(PATH, Route { body: tarball.clone(), etag, last_modified: None });
        hub.upstream.script(PATH, [Step::route().cut_after(100_000), Step::route().cut_after(50_000)]);
        let mut response = hub.open(PATH).await;
        let (all, complete) = drain(&mut response, Vec::new()).await;
        assert!(complete);
        assert_eq!(all, tarball);
        let calls = hub.upstream.calls_to(PATH);
        assert_eq!(calls.len(), 3);
        assert!(calls.iter().all(|call| call.header("range").is_none()));
        assert_eq!(hub.get(PATH).await.cache(), "hit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_transfer_with_other_bytes_fails() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    // The proof at the end would accept the second transfer alone: what the client has seen of the first is wrong.
    let first = Step::ok(other(LARGE)).drip(50_000, &gate).cut_after(100_000);
    hub.upstream.script(PATH, [first]);
    gate.release(1);
    let mut response = hub.open(PATH).await;
    let taken = take(&mut response, 50_000).await;
    gate.open();
    let (taken, complete) = drain(&mut response, taken).await;
    assert!(!complete);
    assert!(taken.len() as u64 <= tarball.len() as u64 - HELD_BACK);
    hub.assert_nothing_is_kept().await;
    assert_eq!(hub.tarball_calls(), 2);
    assert_eq!(hub.metric("hexkeep_untrusted_total{repository=\"hexpm\",reason=\"unsteady\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_transfer_of_another_length_never_passes_for_the_announced_one() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    // Announces less than the file has, and breaks off; then the whole file comes, and its digest is right.
    let announced = tarball.len() - 10_000;
    let short = Step::ok(tarball.slice(..announced)).header("etag", &etag_of(&tarball));
    hub.upstream.script(PATH, [short.drip(50_000, &gate).cut_after(100_000)]);
    gate.release(1);
    let mut response = hub.open(PATH).await;
    assert_eq!(header(&response, "content-length"), announced.to_string());
    let taken = take(&mut response, 50_000).await;
    gate.open();
    let (_, complete) = drain(&mut response, taken).await;
    assert!(!complete, "the client would take the beginning of the file for all of it");
    eventually("the next answer is right", async || {
        let next = hub.get(PATH).await;
        (next.status, next.body) == (200, tarball.clone())
    })
    .await;
}

/// Premature end.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_for_good_cuts_its_readers_and_is_asked_again_next_time() {
    let (hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    let first = Step::route().drip(50_000, &gate).cut_after(100_000);
    hub.upstream.script(PATH, [first, Step::route().cut_after(0), Step::route().cut_after(0)]);
    gate.release(1);
    let mut first = hub.open(PATH).await;
    let mut second = hub.open(PATH).await;
    let taken = take(&mut first, 50_000).await;
    gate.open();
    for (response, taken) in [(&mut first, taken), (&mut second, Vec::new())] {
        let (taken, complete) = drain(response, taken).await;
        assert!(!complete);
        assert!(taken.len() as u64 <= tarball.len() as u64 - HELD_BACK);
    }
    hub.assert_nothing_is_kept().await;
    assert_eq!(hub.metric(UNTRUSTED_DIGEST).await, 0.0, "a broken line is nobody's forgery");
    assert_eq!(hub.tarball_calls(), 3);
    // One fill is one failure, however often it was taken up again: the upstream is not left alone, the file not
    // remembered.
    let next = hub.get(PATH).await;
    assert_eq!((next.status, next.cache()), (200, "miss"));
    assert_eq!(next.body, tarball);
}

/// Premature end of a small file: nothing has gone out yet, so the client sees an ordinary refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_that_never_comes_whole_is_a_clean_refusal() {
    let (hub, _) = hub_with(1024).await;
    hub.upstream.always(PATH, Step::route().cut_after(0));
    let answer = hub.get(PATH).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("the upstream"), "{}", answer.text());
    hub.assert_nothing_is_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_unknown_length_is_answered_whole_with_its_length() {
    for size in [1024, LARGE] {
        let (hub, tarball) = hub_with(size).await;
        hub.upstream.script(PATH, [Step::route().chunked()]);
        let answer = hub.get(PATH).await;
        assert_eq!((answer.status, answer.cache()), (200, "miss"));
        assert_eq!(answer.header("content-length"), tarball.len().to_string());
        assert_eq!(answer.header("etag"), quoted(&tarball));
        assert_eq!(answer.body, tarball);
    }
}

/// Premature end of a chunked body: its end is not announced, so only the digest can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_unknown_length_that_ends_early_is_not_taken_for_whole() {
    let (hub, tarball) = hub_with(LARGE).await;
    hub.upstream.always(PATH, Step::ok(tarball.slice(..100_000)).chunked());
    assert_eq!(hub.get(PATH).await.status, 502);
    hub.assert_nothing_is_kept().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_starts_no_fill() {
    let (hub, tarball) = hub_with(LARGE).await;
    let cold = hub.send(Method::HEAD, PATH, &[]).await;
    assert_eq!((cold.status, cold.header("etag")), (200, &*quoted(&tarball)));
    assert_eq!(cold.header("content-length"), "", "nobody knows it yet");
    assert_eq!(hub.tarball_calls(), 0);
    hub.get(PATH).await;
    for restarted in [false, true] {
        let warm = hub.send(Method::HEAD, PATH, &[]).await;
        assert_eq!((warm.status, warm.header("etag")), (200, &*quoted(&tarball)), "{restarted}");
        assert_eq!(warm.header("content-length"), tarball.len().to_string());
        assert!(warm.body.is_empty());
    }
    assert_eq!(hub.tarball_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_served_of_stored_files_and_ignored_on_filling_ones() {
    let (mut hub, tarball) = hub_with(LARGE).await;
    let gate = Gate::new();
    hub.upstream.script(PATH, [Step::route().drip(PIECE, &gate)]);
    gate.release(2);
    let range = [("range", "bytes=1000-1999")];
    let request = hub.client.get(format!("{}{PATH}", hub.url())).header("range", range[0].1);
    let mut filling = request.send().await.unwrap();
    assert_eq!(filling.status(), 200);
    assert_eq!(header(&filling, "content-length"), tarball.len().to_string());
    gate.open();
    assert_eq!(drain(&mut filling, Vec::new()).await, (tarball.to_vec(), true));
    // From memory and from disk alike.
    for _ in 0..2 {
        let part = hub.get_with(PATH, &range).await;
        assert_eq!((part.status, part.cache()), (206, "hit"));
        assert_eq!(part.header("content-range"), format!("bytes 1000-1999/{}", tarball.len()));
        assert_eq!(part.body, tarball[1000..2000]);
        let tail = hub.get_with(PATH, &[("range", "bytes=-10")]).await;
        assert_eq!((tail.status, &tail.body[..]), (206, &tarball[tarball.len() - 10..]));
        let beyond = hub.get_with(PATH, &[("range", "bytes=99999999-")]).await;
        assert_eq!(beyond.status, 416);
        let other = hub.get_with(PATH, &[range[0], ("if-range", "\"another\"")]).await;
        assert_eq!((other.status, other.body.len()), (200, tarball.len()));
        hub.restart().await;
    }
    assert_eq!(hub.tarball_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_file_is_told_so_without_a_fetch() {
    let (hub, tarball) = hub_with(1024).await;
    let etag = quoted(&tarball);
    let same = hub.get_with(PATH, &[("if-none-match", &etag)]).await;
    assert_eq!((same.status, same.header("etag"), same.body.len()), (304, &*etag, 0));
    assert_eq!(hub.tarball_calls(), 0);
    let other = hub.get_with(PATH, &[("if-none-match", "\"0000\"")]).await;
    assert_eq!((other.status, other.body), (200, tarball));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_verified_checksum_there_is_no_tarball() {
    let (mut hub, _) = hub_with(1024).await;
    let release = &mut hub.registry.package_mut("jason").releases[0];
    release.outer_checksum = None;
    release.inner_checksum = Vec::new();
    hub.publish();
    for method in [Method::GET, Method::HEAD] {
        let answer = hub.send(method.clone(), PATH, &[]).await;
        assert_eq!(answer.status, 403, "{method}");
        assert_eq!(method == Method::GET, answer.text().contains("no checksum"), "{}", answer.text());
    }
    assert_eq!(hub.tarball_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_release_is_proven_by_its_inner_checksum() {
    let (mut hub, tarball) = hub_with(LARGE).await;
    hub.registry.package_mut("jason").releases[0].outer_checksum = None;
    hub.publish();
    let cold = hub.send(Method::HEAD, PATH, &[]).await;
    assert_eq!((cold.status, cold.header("etag")), (200, ""), "nobody knows the digest of the whole file yet");
    let answer = hub.get(PATH).await;
    assert_eq!((answer.status, answer.cache()), (200, "miss"));
    assert_eq!(answer.header("etag"), quoted(&tarball));
    assert_eq!(answer.header("content-length"), tarball.len().to_string());
    assert_eq!(answer.body, tarball);
    hub.restart().await;
    let warm = hub.send(Method::HEAD, PATH, &[]).await;
    assert_eq!(warm.header("etag"), quoted(&tarball));
    assert_eq!(hub.get(PATH).await.cache(), "hit");
    assert_eq!(hub.get_with(PATH, &[("if-none-match", &quoted(&tarball))]).await.status, 304);
    assert_eq!(hub.tarball_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_release_with_another_inner_checksum_is_refused_before_its_first_byte() {
    let (mut hub, _) = hub_with(LARGE).await;
    hub.registry.package_mut("jason").releases[0].outer_checksum = None;
    hub.publish();
    for wrong in [other(LARGE), Bytes::from(vec![0; LARGE])] {
        hub.upstream.always(PATH, Step::ok(wrong));
        assert_eq!(hub.get(PATH).await.status, 502);
        hub.assert_nothing_is_kept().await;
        hub.clock.advance(Duration::from_secs(61));
    }
    assert_eq!(hub.tarball_calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_younger_than_the_index_is_found_by_asking_once_more() {
    let (mut hub, _) = hub_with(1024).await;
    const NEWER: &str = "/tarballs/jason-2.0.0.tar";
    assert_eq!(hub.get(NEWER).await.status, 404);
    assert_eq!(hub.upstream.calls_to(PACKAGE).len(), 1, "this index is no older than the question");
    let newer = hub.registry.add("jason", "2.0.0");
    hub.publish();
    hub.clock.advance(Duration::from_secs(2));
    let answer = hub.get(NEWER).await;
    assert_eq!((answer.status, answer.body), (200, newer));
    assert_eq!(hub.upstream.calls_to(PACKAGE).len(), 2);

    hub.clock.advance(Duration::from_secs(2));
    for _ in 0..3 {
        assert_eq!(hub.get("/tarballs/jason-3.0.0.tar").await.status, 404);
    }
    assert_eq!(hub.upstream.calls_to(PACKAGE).len(), 3, "once, not once for each who asks");
    assert!(hub.upstream.calls_to("/tarballs/jason-3.0.0.tar").is_empty(), "and never for a file that is not listed");
}

/// Publishes a release, lets the daemon see its index, then replaces it upstream within the time allowed for it.
async fn replaced(size: usize) -> (Hub, Bytes) {
    let (mut hub, _) = hub_with(size).await;
    assert_eq!(hub.get(PACKAGE).await.status, 200);
    let (newer, inner) = tarball("jason", "1.0.0", size, 1);
    hub.registry.add_bytes("jason", "1.0.0", newer.clone(), inner);
    hub.publish();
    (hub, newer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_release_that_was_just_replaced_is_served_without_anybody_noticing() {
    let (hub, newer) = replaced(1024).await;
    let answer = hub.get(PATH).await;
    assert_eq!((answer.status, &answer.body), (200, &newer));
    assert_eq!(answer.header("etag"), quoted(&newer));
    assert_eq!(hub.tarball_calls(), 1);
    let asked = hub.upstream.calls_to(PACKAGE);
    assert_eq!((asked.len(), asked[1].header("cache-control")), (2, Some("no-cache")), "past caches on the way");
    assert_eq!(hub.metric(UNTRUSTED_DIGEST).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_release_that_was_just_replaced_is_cut_off_once_and_then_there() {
    let (hub, newer) = replaced(LARGE).await;
    let mut first = hub.open(PATH).await;
    assert_ne!(header(&first, "etag"), quoted(&newer), "begun under the older checksum");
    let (_, complete) = drain(&mut first, Vec::new()).await;
    assert!(!complete);
    let next = hub.get(PATH).await;
    assert_eq!((next.status, next.cache()), (200, "hit"));
    assert_eq!((next.header("etag"), &next.body), (&*quoted(&newer), &newer));
    assert_eq!(hub.tarball_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_file_that_the_upstream_does_not_have_is_never_remembered_as_missing() {
    let (hub, tarball) = hub_with(1024).await;
    hub.upstream.script(PATH, [Step::status(404)]);
    let missing = hub.get(PATH).await;
    assert_eq!(missing.status, 502, "listed and not there is upstream's failure, not an answer");
    let there = hub.get(PATH).await;
    assert_eq!((there.status, there.body), (200, tarball));
}

const NO_ROOM: &str = "bypass; reason=no_room";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_the_cache_passes_through_and_says_so() {
    let mut hub = Hub::with(Wishes { storage: "cache_limit: 1MiB".to_owned(), ..Wishes::default() }).await;
    let tarball = hub.registry.add_sized("jason", "1.0.0", 3 * 1024 * 1024);
    hub.publish();
    for calls in 1..=2 {
        let answer = hub.get(PATH).await;
        assert_eq!((answer.status, answer.cache()), (200, NO_ROOM));
        assert!(answer.body == tarball);
        assert_eq!(hub.tarball_calls(), calls);
        hub.assert_nothing_is_kept().await;
    }
    let bypassed = "hexkeep_bypassed_total{repository=\"hexpm\",reason=\"no_room\"}";
    assert_eq!(hub.metric(bypassed).await, 2.0);
}

/// 64 readers behind the fill of one 20 MiB file: one request upstream, and memory does not grow with them.
#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_large_cold_file_cost_one_request_and_little_memory() {
    const READERS: usize = 64;
    const PIECES: usize = 1024 * 1024;
    const MEBIBYTE: u64 = 1024 * 1024;
    let upstream = ScriptedUpstream::start().await;
    let mut registry = TestRegistry::new("hexpm");
    let small = registry.add("warm", "1.0.0");
    let tarball = registry.add_sized("jason", "1.0.0", 20 * 1024 * 1024);
    registry.publish(&upstream);
    let home = Home::remote(&upstream.url(), &registry.public_key(), "");
    let daemon = home.serve();
    assert_eq!(daemon.get("/tarballs/warm-1.0.0.tar").await.body, small);
    assert_eq!(daemon.get(PACKAGE).await.status, 200);
    let before = daemon.memory("VmHWM");

    let gate = Gate::new();
    upstream.script(PATH, [Step::route().drip(PIECES, &gate)]);
    gate.release(1);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(daemon.open(PATH).await.unwrap());
    }
    gate.open();
    let expected = Sha256::of(&tarball);
    let drained = readers.into_iter().map(|mut response| {
        tokio::spawn(async move {
            let mut hasher = hexkeep::hex::checksum::Hasher::new();
            while let Some(chunk) = response.chunk().await.unwrap() {
                hasher.update(&chunk);
            }
            hasher.finish()
        })
    });
    for reader in drained.collect::<Vec<_>>() {
        assert_eq!(reader.await.unwrap(), expected);
    }
    assert_eq!(upstream.calls_to(PATH).len(), 1);
    let grown = daemon.memory("VmHWM") - before;
    println!("64 readers of 20 MiB: {:.1} MiB more", grown as f64 / MEBIBYTE as f64);
    assert!(grown < 32 * MEBIBYTE, "{:.1} MiB more", grown as f64 / MEBIBYTE as f64);
}
/// Sends `count` requests at once and waits for all answers.
async fn stampede(hub: &Hub, path: &str, count: usize) {
    let asks = (0..count).map(|_| {
        let request = hub.client.get(format!("{}{path}", hub.url()));
        tokio::spawn(async move {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200);
            response.bytes().await.unwrap()
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap();
    }
}

/// Lock miss and hit, at every moment of a fill, its end above all.
#[tokio::test(flavor = "multi_thread")]
async fn however_requests_fall_a_file_is_fetched_once() {
    let mut hub = Hub::start().await;
    for minor in 0..20 {
        let release = format!("1.{minor}.0");
        hub.registry.add("jason", &release);
        hub.registry.add("poison", &release);
        for package in ["jason", "poison"] {
            hub.upstream.serve(&format!("/docs/{package}-{release}.tar.gz"), format!("{package} {release}"));
        }
        let old = hub.registry.package_mut("poison").releases.last_mut().unwrap();
        old.outer_checksum = None;
    }
    hub.publish();
    for package in ["jason", "poison"] {
        hub.get(&format!("/packages/{package}")).await;
        for minor in 0..20 {
            let path = format!("/tarballs/{package}-1.{minor}.0.tar");
            stampede(&hub, &path, 64).await;
            assert_eq!(hub.upstream.calls_to(&path).len(), 1, "{path}");
            let docs = format!("/docs/{package}-1.{minor}.0.tar.gz");
            stampede(&hub, &docs, 64).await;
            assert_eq!(hub.upstream.calls_to(&docs).len(), 1, "{docs}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_requests_fall_an_index_is_fetched_once() {
    let mut hub = Hub::start().await;
    for n in 0..30 {
        hub.registry.add(&format!("p{n}"), "1.0.0");
    }
    hub.publish();
    for n in 0..30 {
        let path = format!("/packages/p{n}");
        stampede(&hub, &path, 64).await;
        assert_eq!(hub.upstream.calls_to(&path).len(), 1, "{path}");
    }
}
