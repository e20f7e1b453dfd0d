//! Readers of our own: wrk cannot say when the last of N readers had its whole file.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Asks once, reads it all, and returns the entity tag, which is good for a conditional request.
pub(crate) fn warm(address: &str, path: &str) -> String {
    let whole = once(address, path, None);
    assert_eq!((whole.status, whole.length > 0), (200, true), "{address}{path}");
    let unchanged = once(address, path, Some(whole.etag.clone()));
    assert_eq!((unchanged.status, unchanged.length), (304, 0), "{address}{path} if not {}", whole.etag);
    whole.etag
}

fn once(address: &str, path: &str, if_none_match: Option<String>) -> Answer {
    let answer = read(address.to_owned(), path.to_owned(), if_none_match);
    runtime()
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), answer).await })
        .expect("an answer in time")
}

/// As many readers at once, each on a connection of its own; returns the length that each of them got.
pub(crate) fn read_all(address: &str, path: &str, readers: usize, limit: Duration) -> Vec<u64> {
    runtime().block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..readers {
            tasks.spawn(read(address.to_owned(), path.to_owned(), None));
        }
        let all = tokio::time::timeout(limit, tasks.join_all()).await.expect("all readers in time");
        assert!(all.iter().all(|answer| answer.status == 200), "{address}{path}");
        all.into_iter().map(|answer| answer.length).collect()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

struct Answer {
    status: u16,
    etag: String,
    length: u64,
}

async fn read(address: String, path: String, if_none_match: Option<String>) -> Answer {
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut request = http::Request::get(&path).header("host", &address);
    if let Some(etag) = if_none_match {
        request = request.header("if-none-match", etag);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let etag = response.headers().get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("a whole body");
        length += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Answer { status, etag, length }
}
