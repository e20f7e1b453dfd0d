//! HTTP/1.1 byte by byte, for requests that no client library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::SAFETY;

/// A response, as it came.
#[derive(Clone, Debug)]
pub(crate) struct RawAnswer {
    /// 0 where the connection was closed without a word.
    pub(crate) status: u16,
    /// Status line and header fields, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawAnswer {
    /// Every value of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| *field == name).map(|(_, value)| value.trim()).collect()
    }
}

/// Sends bytes on a connection of their own and reads until it is closed: the request should say `connection: close`.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> RawAnswer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has seen enough may close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(SAFETY, stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "the connection was neither answered nor closed");
    parse(&bytes)
}

/// Sends a request on a connection that stays, and reads the one answer to it, whose length its head must say.
pub(crate) async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> RawAnswer {
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let answer = parse(&bytes);
        let length: usize = answer.header("content-length").first().map_or(0, |length| length.parse().unwrap());
        if answer.status != 0 && answer.body.len() >= length {
            return answer;
        }
        let mut piece = [0; 4096];
        let count = tokio::time::timeout(SAFETY, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(count > 0, "the connection was closed in the middle of an answer");
        bytes.extend_from_slice(&piece[..count]);
    }
}

fn parse(bytes: &[u8]) -> RawAnswer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else { return RawAnswer { status: 0, head: String::new(), body: Vec::new() } };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    RawAnswer { status, head, body: bytes[end + 4..].to_vec() }
}
