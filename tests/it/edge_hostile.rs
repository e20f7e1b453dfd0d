//! Input that no client sends: refused with a 4xx or the end of the connection, never a 5xx, and nobody else notices.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::hub::Hub;
use super::support::raw;

async fn stocked() -> Hub {
    let mut hub = Hub::start().await;
    hub.registry.add("jason", "1.0.0");
    hub.publish();
    hub
}

fn get(target: &[u8], fields: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", fields, b"\r\n"].concat()
}

fn targets() -> Vec<Vec<u8>> {
    let long = |length: usize| vec![b'a'; length];
    let mut targets: Vec<Vec<u8>> = [
        "/packages/%",
        "/packages/%z",
        "/packages/%zz",
        "/packages/%00",
        "/packages/jason%00",
        "/packages/%25%30%30",
        "/packages/%2500",
        "/packages/%ff%fe",
        "/packages/%c3%28",
        "/packages/%E2%80%AE",
        "/packages/jason%0d%0ax-evil:%201",
        "/packages/..%2f..%2fetc%2fpasswd",
        "/packages/..%252f..%252fetc%252fpasswd",
        "/../../../../etc/passwd",
        "/tarballs/../../../etc/passwd.tar",
        "/tarballs/..%2f..%2fdata%2fkeys%2fk1-1.0.0.tar",
        "/tarballs/jason-1.0.0%2f..%2f..%2fstate.sqlite.tar",
        "/tarballs/jason-99999999999999999999.0.0.tar",
        "/tarballs/jason-1.0.0-%2B.tar",
        "/tarballs/-.tar",
        "/tarballs/.tar",
        "/docs/jason-.tar.gz",
        "/policies/...",
        "/policies/..",
        "/repos/%00/names",
        "/repos/hexpm:/names",
        "/repos/:/names",
        "/repos/hexpm:hexpm:hexpm/names",
        "/packages/\u{fc}ber",
        "/packages/jason;v=1",
        "/packages/jason\\..",
        "/packages/CON",
        "*",
    ]
    .into_iter()
    .map(|target| target.as_bytes().to_vec())
    .collect();
    targets.push(b"/packages/\xff\xfe".to_vec());
    targets.push(b"/packages/ja\0son".to_vec());
    targets.push(b"/packages/ja son".to_vec());
    targets.push(b"packages/jason".to_vec());
    targets.push(b"".to_vec());
    for length in [200, 4096, 60_000, 70_000, 300_000] {
        targets.push([b"/packages/".to_vec(), long(length)].concat());
        targets.push([b"/tarballs/jason-1.0.".to_vec(), vec![b'9'; length], b".tar".to_vec()].concat());
        targets.push(b"/a".repeat(length / 2));
        targets.push([b"/packages/".to_vec(), b"%41".repeat(length / 3)].concat());
    }
    targets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_path_is_the_clients_fault() {
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    for target in targets() {
        let answer = raw::exchange(listen, &get(&target, b"")).await;
        let shown: String = String::from_utf8_lossy(&target).chars().take(80).collect();
        assert!((400..500).contains(&answer.status), "{shown:?}: {} {}", answer.status, answer.head);
        assert!(answer.body.len() < 250 && !answer.head.contains("x-evil"), "{shown:?}");
    }
    assert!(hub.upstream.calls().is_empty(), "{:?}", hub.upstream.calls());
    assert_eq!(hub.get("/packages/jason").await.status, 200, "and everybody else is served");
    assert_eq!(failures(&hub).await, Vec::<String>::new());
}

/// Counted requests that were answered with a 5xx.
async fn failures(hub: &Hub) -> Vec<String> {
    let metrics = hub.ops("/metrics").await.text();
    metrics.lines().filter(|line| line.contains("status=\"5")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_header_fields_are_refused_or_ignored() {
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    let long = |name: &str, length: usize| format!("{name}: {}\r\n", "x".repeat(length)).into_bytes();
    let many: Vec<u8> = (0..500).flat_map(|at| format!("x-{at}: 1\r\n").into_bytes()).collect();
    let refused: Vec<Vec<u8>> = vec![
        long("x-large", 300_000),
        long("authorization", 300_000),
        long("if-none-match", 300_000),
        many,
        b"x-nul: a\0b\r\n".to_vec(),
        b"host: second.example\r\n".to_vec(),
        b"bad name: 1\r\n".to_vec(),
        b": nameless\r\n".to_vec(),
        b"transfer-encoding: nonsense\r\n".to_vec(),
        b"content-length: -1\r\n".to_vec(),
        b"content-length: 1\r\ncontent-length: 2\r\n".to_vec(),
        b"content-length: 99999999999999999999999\r\n".to_vec(),
    ];
    for fields in refused {
        let answer = raw::exchange(listen, &get(b"/packages/jason", &fields)).await;
        let shown: String = String::from_utf8_lossy(&fields).chars().take(80).collect();
        assert!((400..500).contains(&answer.status), "{shown:?}: {} {}", answer.status, answer.head);
    }
    let ignored: Vec<Vec<u8>> = vec![
        long("x-large", 8_000),
        long("if-none-match", 30_000),
        b"if-none-match: \xff\xfe\r\n".to_vec(),
        b"range: bytes=99999999999999999999999-\r\n".to_vec(),
        b"range: bytes=-99999999999999999999999\r\n".to_vec(),
        b"range: bytes=5-2\r\n".to_vec(),
        b"range: bytes=--\r\n".to_vec(),
        b"range: \xff\r\n".to_vec(),
        b"range: bytes=0-0,0-0,0-0,0-0,0-0,0-0\r\n".to_vec(),
        b"if-range: \"\r\nrange: bytes=0-1\r\n".to_vec(),
        b"if-modified-since: yesterday\r\n".to_vec(),
        b"user-agent: \xff\xfe\r\n".to_vec(),
        b"user-agent: hex/99999999999999999999.5\r\n".to_vec(),
        b"x-forwarded-for: not an address, 1.2.3.4.5, [::\r\n".to_vec(),
        b"expect: 100-continue\r\n".to_vec(),
        b"te: trailers, deflate;q=0.5\r\n".to_vec(),
        b"cookie: \x80\x81\r\n".to_vec(),
    ];
    for fields in ignored {
        let answer = raw::exchange(listen, &get(b"/packages/jason", &fields)).await;
        let shown: String = String::from_utf8_lossy(&fields).chars().take(80).collect();
        assert_eq!(answer.status, 200, "{shown:?}: {}", answer.head);
        assert_eq!(answer.body, hub.registry.package("jason"), "{shown:?}");
    }
    assert_eq!(failures(&hub).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_gets_the_end_of_the_connection() {
    let hub = stocked().await;
    let listen = hub.app().addresses().listen;
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    for bytes in [
        &b"\r\n\r\n\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /packages/jason\r\n\r\n",
        b"GET /packages/jason HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /packages/jason HTCPCP/1.0\r\n\r\n",
        b"G\0T /packages/jason HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\xff\xff\xff\xff\r\n\r\n",
        &[hello.as_slice(), &[0; 512]].concat(),
    ] {
        let mut stream = TcpStream::connect(listen).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Closing on unread bytes may reset the connection.
        let _ = stream.read_to_end(&mut answer).await;
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).map(str::to_owned).unwrap_or_default();
        assert!(status.is_empty() || status.starts_with('4'), "{bytes:?}: {status}");
    }
    assert_eq!(hub.get("/packages/jason").await.status, 200);
    assert_eq!(failures(&hub).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_a_get_is_not_taken_for_the_next_request() {
    let hub = stocked().await;
    let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    let smuggled = b"GET /packages/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let first = format!("GET /names HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", smuggled.len());
    let answer = raw::ask(&mut stream, &[first.as_bytes(), smuggled].concat()).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &hub.registry.names()[..]));
    hub.get("/versions").await;
    assert!(hub.upstream.calls_to("/packages/smuggled").is_empty());
    let chunked = b"GET /names HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
        content-length: 3\r\n\r\n0\r\n\r\nGET /packages/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = raw::exchange(hub.app().addresses().listen, chunked).await;
    assert!([200, 400].contains(&answer.status), "{}", answer.head);
    assert!(hub.upstream.calls_to("/packages/smuggled").is_empty());
}

/// Takes as long as a head may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_to_its_end_is_cut_off() {
    let hub = stocked().await;
    let began = Instant::now();
    let mut stream = TcpStream::connect(hub.app().addresses().listen).await.unwrap();
    stream.write_all(b"GET /packages/jason HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(40), async {
        // A byte now and then keeps nothing open.
        loop {
            let mut piece = [0; 512];
            match tokio::time::timeout(Duration::from_millis(500), stream.read(&mut piece)).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(count)) => answer.extend_from_slice(&piece[..count]),
                Err(_) if stream.write_all(b"x").await.is_err() => return,
                Err(_) => {}
            }
        }
    });
    assert!(ended.await.is_ok(), "it is still open after {:?}", began.elapsed());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(began.elapsed() > Duration::from_secs(5), "an honest client had no time: {:?}", began.elapsed());
}
