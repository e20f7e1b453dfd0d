//! The upstream room against a scripted upstream: each promise about one request, its errors and its bounds.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hexkeep::clock::{ManualClock, SystemClock, Timestamp};
use hexkeep::secret::Secret;
use hexkeep::upstream::{
    BuildError, Fetched, HttpUpstream, Network, RangeFrom, Redirects, USER_AGENT, Upstream, UpstreamBody,
    UpstreamError, UpstreamErrorKind as Kind, UpstreamOptions, UpstreamRequest, UpstreamState, build,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::tls;
use crate::support::upstream::{Gate, Route, ScriptedUpstream, Step, etag_of};

const CREDENTIAL: &str = "Bearer s3cr3t-t0ken";
const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

fn http(options: UpstreamOptions) -> HttpUpstream {
    HttpUpstream::new(&options, Arc::new(SystemClock)).unwrap()
}

fn plain(upstream: &ScriptedUpstream) -> HttpUpstream {
    http(UpstreamOptions::new(upstream.url()))
}

fn names() -> UpstreamRequest {
    UpstreamRequest::get("names", 1 << 20)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn fetch(upstream: &impl Upstream, request: UpstreamRequest) -> Result<Fetched, UpstreamError> {
    upstream.fetch(request, soon()).await
}

async fn body(upstream: &impl Upstream, request: UpstreamRequest) -> UpstreamBody {
    match fetch(upstream, request).await.unwrap() {
        Fetched::Body(body) => body,
        other => panic!("{other:?}"),
    }
}

/// The kind of error that a request ends with, in its head or in its body.
async fn kind(upstream: &(impl Upstream + ?Sized), request: UpstreamRequest, deadline: Instant) -> Kind {
    match upstream.fetch(request, deadline).await {
        Err(error) => error.kind(),
        Ok(Fetched::Body(body)) => body.read_to_end().await.unwrap_err().kind(),
        Ok(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_body_comes_with_its_validators() {
    let upstream = ScriptedUpstream::start().await;
    upstream.serve_route(
        "/names",
        Route { body: "bytes".into(), etag: Some("\"1\"".into()), last_modified: Some(DATE.into()) },
    );
    let remote = plain(&upstream);
    let got = body(&remote, names()).await;
    assert_eq!((got.status, got.length), (200, Some(5)));
    assert_eq!((got.etag.as_deref(), got.last_modified.as_deref()), (Some("\"1\""), Some(DATE)));
    assert_eq!(got.read_to_end().await.unwrap(), "bytes");

    let call = &upstream.calls_to("/names")[0];
    assert_eq!(call.method, "GET");
    assert_eq!(call.header("user-agent"), Some(USER_AGENT));
    for absent in ["accept-encoding", "authorization", "cache-control", "if-none-match", "if-modified-since", "range"] {
        assert_eq!(call.header(absent), None, "{absent}");
    }
    assert_eq!(remote.state(), UpstreamState::Online);
}

#[tokio::test]
async fn pieces_arrive_as_they_are_sent() {
    let upstream = ScriptedUpstream::start().await;
    let gate = Gate::new();
    upstream.script("/names", [Step::ok("abcdef").drip(2, &gate), Step::ok("abcdef").chunked()]);
    let remote = plain(&upstream);
    let mut got = body(&remote, names()).await;
    for piece in ["ab", "cd", "ef"] {
        assert!(got.chunk().now_or_never().is_none());
        gate.release(1);
        assert_eq!(got.chunk().await.unwrap().unwrap(), piece);
    }
    assert_eq!(got.chunk().await.unwrap(), None);
    assert_eq!(got.chunk().await.unwrap(), None);

    let got = body(&remote, names()).await;
    assert_eq!(got.length, None);
    assert_eq!(got.read_to_end().await.unwrap(), "abcdef");
}

#[tokio::test]
async fn validators_go_verbatim_and_allow_304() {
    let upstream = ScriptedUpstream::start().await;
    let route = Route { body: "bytes".into(), etag: Some("W/\"1\"".into()), last_modified: Some(DATE.into()) };
    upstream.serve_route("/names", route);
    let remote = plain(&upstream);
    let by_tag = UpstreamRequest { etag: Some("W/\"1\"".into()), refresh: true, ..names() };
    assert!(matches!(fetch(&remote, by_tag).await, Ok(Fetched::NotModified)));
    let by_date = UpstreamRequest { last_modified: Some(DATE.into()), ..names() };
    assert!(matches!(fetch(&remote, by_date).await, Ok(Fetched::NotModified)));
    let other = UpstreamRequest { etag: Some("\"2\"".into()), last_modified: Some(DATE.into()), ..names() };
    assert!(matches!(fetch(&remote, other).await, Ok(Fetched::Body(_))));

    let calls = upstream.calls();
    assert_eq!(calls[0].header("if-none-match"), Some("W/\"1\""));
    assert_eq!(calls[0].header("cache-control"), Some("no-cache"));
    assert_eq!(calls[1].header("if-modified-since"), Some(DATE));

    upstream.script("/names", [Step::status(304)]);
    assert_eq!(kind(&remote, names(), soon()).await, Kind::Protocol, "nobody asked for a 304");
}

#[tokio::test]
async fn a_part_is_taken_only_as_it_was_asked_for() {
    let upstream = ScriptedUpstream::start().await;
    upstream.serve("/names", "0123456789");
    let remote = plain(&upstream);
    let etag = etag_of(b"0123456789");
    let from = |offset, etag: &str| UpstreamRequest {
        range_from: Some(RangeFrom { offset, etag: etag.to_owned() }),
        etag: Some("\"ignored\"".into()),
        ..names()
    };

    let got = body(&remote, from(4, &etag)).await;
    assert_eq!((got.status, got.length), (206, Some(6)));
    assert_eq!(got.read_to_end().await.unwrap(), "456789");
    let call = upstream.calls()[0].clone();
    assert_eq!(call.header("range"), Some("bytes=4-"));
    assert_eq!(call.header("if-range"), Some(&*etag));
    assert_eq!(call.header("if-none-match"), None);

    // Another file by now, or a tag that proves nothing: the whole.
    for tag in ["\"other\"", &format!("W/{etag}"), "nonsense"] {
        let got = body(&remote, from(4, tag)).await;
        assert_eq!((got.status, got.length), (200, Some(10)), "{tag}");
    }
    assert_eq!(upstream.calls()[2].header("range"), None);
    assert_eq!(kind(&remote, from(10, &etag), soon()).await, Kind::Status(416));

    let part = |range: &str| {
        Step::decide({
            let range = range.to_owned();
            move |_| Step::status(206).header("content-range", &range)
        })
    };
    // The scripted body has 8 bytes.
    for range in ["bytes 3-10/11", "bytes 4-11/20", "bytes 4-12/13", "bytes */12", "4-11/12"] {
        upstream.script("/names", [part(range)]);
        assert_eq!(kind(&remote, from(4, &etag), soon()).await, Kind::Protocol, "{range}");
    }
    upstream.script("/names", [part("bytes 4-11/12"), part("bytes 4-11/12")]);
    assert_eq!(body(&remote, from(4, &etag)).await.length, Some(8));
    assert_eq!(kind(&remote, names(), soon()).await, Kind::Protocol, "nobody asked for a 206");
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let upstream = ScriptedUpstream::start().await;
    let open = plain(&upstream);
    let keyed =
        http(UpstreamOptions { credentials: Some(Secret::new(CREDENTIAL)), ..UpstreamOptions::new(upstream.url()) });
    for status in [404, 410] {
        upstream.everything(Some(Step::status(status)));
        for remote in [&open, &keyed] {
            assert!(matches!(fetch(remote, names()).await, Ok(Fetched::Missing { status: s }) if s == status));
        }
    }
    upstream.everything(Some(Step::status(403)));
    assert!(matches!(fetch(&open, names()).await, Ok(Fetched::Missing { status: 403 })));
    assert_eq!(kind(&keyed, names(), soon()).await, Kind::Refused(403));
    upstream.everything(Some(Step::status(401)));
    assert_eq!(kind(&open, names(), soon()).await, Kind::Refused(401));
    assert_eq!(kind(&keyed, names(), soon()).await, Kind::Refused(401));

    for (status, retryable) in
        [(400, false), (408, true), (418, false), (451, false), (500, true), (502, true), (503, true), (504, true)]
    {
        upstream.everything(Some(Step::status(status)));
        let error = fetch(&open, names()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Status(status));
        assert_eq!(error.is_retryable(), retryable, "{status}");
    }
    for status in [201, 204, 300, 305] {
        upstream.everything(Some(Step::status(status)));
        assert_eq!(kind(&open, names(), soon()).await, Kind::Protocol, "{status}");
    }
}

#[tokio::test]
async fn a_plea_to_wait_is_understood() {
    let upstream = ScriptedUpstream::start().await;
    let now = Timestamp::from_secs(1_700_000_000);
    let options = UpstreamOptions::new(upstream.url());
    let remote = HttpUpstream::new(&options, Arc::new(ManualClock::new(now))).unwrap();
    for (step, seconds) in [
        (Step::too_many(Some("7")), 7),
        (Step::too_many(Some("86400")), 300),
        (Step::too_many(Some("Tue, 14 Nov 2023 22:13:50 GMT")), 30),
        (Step::too_many(None), 10),
        (Step::too_many(Some("soon")), 10),
        (Step::status(503).header("retry-after", "4"), 4),
    ] {
        upstream.script("/names", [step]);
        let error = fetch(&remote, names()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn bodies_are_held_to_their_bounds() {
    let upstream = ScriptedUpstream::start().await;
    let silent = Gate::new();
    let quick =
        http(UpstreamOptions { read_timeout: Duration::from_millis(100), ..UpstreamOptions::new(upstream.url()) });
    let small = UpstreamRequest::get("names", 10);
    let long = vec![b'x'; 40_000];
    for (step, request, expected) in [
        (Step::ok("0123456789a"), small.clone(), Kind::TooLarge),
        (Step::ok("0123456789a").chunked(), small.clone(), Kind::TooLarge),
        (Step::endless(), names(), Kind::TooLarge),
        (Step::ok("0123456789").cut_after(4), small.clone(), Kind::Truncated),
        (Step::ok("0123456789").cut_after(0), small.clone(), Kind::Truncated),
        (Step::ok("0123456789").chunked().cut_after(4), small.clone(), Kind::Truncated),
        (Step::ok(long.clone()).cut_after(39_999), names(), Kind::Truncated),
        (Step::ok("0123456789").drip(4, &silent), small.clone(), Kind::Timeout),
        (Step::ok("zipped").header("content-encoding", "gzip"), names(), Kind::Protocol),
    ] {
        upstream.script("/names", [step.clone()]);
        assert_eq!(kind(&quick, request, soon()).await, expected, "{step:?}");
    }
    // Too large a promise is refused before a byte of it is read.
    upstream.script("/names", [Step::ok("0123456789a").drip(1, &silent)]);
    assert_eq!(fetch(&quick, small.clone()).await.unwrap_err().kind(), Kind::TooLarge);
    upstream.script("/names", [Step::ok("0123456789").header("content-encoding", "identity"), Step::ok("0123456789")]);
    for _ in 0..2 {
        assert_eq!(body(&quick, small.clone()).await.read_to_end().await.unwrap(), "0123456789");
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_the_deadline() {
    let upstream = ScriptedUpstream::start().await;
    let patient = plain(&upstream);
    let quick =
        http(UpstreamOptions { read_timeout: Duration::from_millis(100), ..UpstreamOptions::new(upstream.url()) });
    let short = || Instant::now() + Duration::from_millis(100);
    let never = Gate::new();

    upstream.everything(Some(Step::never()));
    assert_eq!(kind(&patient, names(), short()).await, Kind::Deadline);
    assert_eq!(kind(&quick, names(), soon()).await, Kind::Timeout);
    upstream.everything(Some(Step::ok("late").gated(&never)));
    assert_eq!(kind(&patient, names(), short()).await, Kind::Deadline);
    // For a body, the deadline bounds collecting it…
    upstream.everything(Some(Step::ok("0123456789").drip(1, &never)));
    assert_eq!(kind(&patient, names(), short()).await, Kind::Deadline);
    // …and not reading it piece by piece.
    let late = Gate::new();
    upstream.everything(Some(Step::ok("0123456789").drip(10, &late)));
    let deadline = short();
    let Ok(Fetched::Body(mut streamed)) = patient.fetch(names(), deadline).await else { panic!() };
    assert!(tokio::time::timeout_at(deadline + Duration::from_millis(10), streamed.chunk()).await.is_err());
    late.open();
    assert_eq!(streamed.chunk().await.unwrap().unwrap(), "0123456789");
    // All that were given up are gone on the other side too.
    drop(streamed);
    upstream.wait_until_idle().await;
}

#[tokio::test]
async fn connections_that_fail() {
    let upstream = ScriptedUpstream::start().await;
    upstream.serve("/names", "bytes");
    let remote = plain(&upstream);
    body(&remote, names()).await.read_to_end().await.unwrap();

    upstream.switch_off().await;
    let error = fetch(&remote, names()).await.unwrap_err();
    assert_eq!((error.kind(), error.reason(), error.attempts()), (Kind::Connect, "connect", 1));
    assert!(error.is_retryable() && error.allows_stale());
    upstream.switch_on();
    body(&remote, names()).await.read_to_end().await.unwrap();

    upstream.script("/names", [Step::hang_up()]);
    assert_eq!(kind(&remote, names(), soon()).await, Kind::Connect);
    // Switched off in the middle of a body.
    let gate = Gate::new();
    upstream.script("/names", [Step::ok("0123456789").drip(4, &gate)]);
    let mut broken = body(&remote, names()).await;
    gate.release(1);
    assert_eq!(broken.chunk().await.unwrap().unwrap(), "0123");
    upstream.switch_off().await;
    assert_eq!(broken.chunk().await.unwrap_err().kind(), Kind::Truncated);
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = http(UpstreamOptions::new(format!("http://{}", listener.local_addr().unwrap())));
    let rude = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _request = stream.read(&mut [0; 1024]).await.unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        kind = kind(&remote, names(), soon()) => assert_eq!(kind, Kind::Protocol),
        () = rude => {}
    }
}

/// A network in which the address of the test servers is everybody's, and no other is.
#[derive(Debug)]
struct Pretended;

const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

impl Network for Pretended {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found = match host.as_str() {
            "public.test" => Ok(vec![PUBLIC]),
            "inside.test" | "localhost" => Ok(vec![INSIDE]),
            "both.test" => Ok(vec![PUBLIC, INSIDE]),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        Box::pin(async { found })
    }

    fn is_public(&self, address: IpAddr) -> bool {
        address == PUBLIC
    }
}

fn pretended(options: &UpstreamOptions) -> HttpUpstream {
    HttpUpstream::on_network(options, Arc::new(SystemClock), Arc::new(Pretended)).unwrap()
}

/// A request for what is proven afterwards.
fn signed_names() -> UpstreamRequest {
    UpstreamRequest { redirects: Redirects::ToPublic, ..names() }
}

/// The server under another host name.
fn at(host: &str, server: &ScriptedUpstream) -> String {
    server.url().replace("127.0.0.1", host)
}

#[tokio::test]
async fn redirects_are_followed_three_times_and_without_credentials() {
    let (upstream, other) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let options =
        UpstreamOptions { credentials: Some(Secret::new(CREDENTIAL)), ..UpstreamOptions::new(upstream.url()) };
    let remote = pretended(&options);
    other.serve("/elsewhere", "there");
    for status in [301, 302, 303, 307, 308] {
        upstream.script("/names", [Step::redirect(status, "/relative/one")]);
        upstream.script("/relative/one", [Step::redirect(status, "two")]);
        let there = format!("{}/elsewhere?sig=s3cr3t", at("public.test", &other));
        upstream.script("/relative/two", [Step::redirect(status, &there)]);
        assert_eq!(body(&remote, signed_names()).await.read_to_end().await.unwrap(), "there");
    }
    assert_eq!(upstream.calls_to("/names").len(), 5);
    assert!(upstream.calls_to("/names").iter().all(|call| call.header("authorization") == Some(CREDENTIAL)));
    let hops = upstream.calls().into_iter().filter(|call| call.path != "/names").chain(other.calls());
    let mut seen = 0;
    for hop in hops {
        assert_eq!(hop.header("authorization"), None, "{}", hop.path);
        assert_eq!((hop.method.as_str(), hop.header("referer")), ("GET", None));
        seen += 1;
    }
    assert_eq!(seen, 15);

    for step in [
        Step::redirect(302, "/names"),
        Step::redirect(302, &other.url().replace("http://", "http://user:s3cr3t@")),
        Step::redirect(302, "ftp://host.test/"),
        Step::status(302),
    ] {
        upstream.always("/names", step);
        assert_eq!(kind(&remote, signed_names(), soon()).await, Kind::Redirect);
    }
    // What a redirect's target refuses is no word about credentials it never saw.
    upstream.always("/names", Step::redirect(302, &format!("{}/private", other.url())));
    other.always("/private", Step::status(403));
    assert!(matches!(fetch(&remote, signed_names()).await, Ok(Fetched::Missing { status: 403 })));
}

#[tokio::test]
async fn a_redirect_leads_nowhere_inside() {
    let (upstream, other) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let remote = pretended(&UpstreamOptions::new(upstream.url()));
    other.everything(Some(Step::ok("there")));
    for host in ["inside.test", "INSIDE.test", "both.test", "localhost", "127.0.0.2", "[::1]", "[::ffff:127.0.0.2]"] {
        upstream.always("/names", Step::redirect(302, &format!("{}/x", at(host, &other))));
        let error = fetch(&remote, signed_names()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (Kind::Redirect, false), "{host}: {error}");
        let said = error.to_string();
        assert!(said.contains("leads to an address that is not public"), "{host}: {said}");
        assert!(said.contains("configure this address as the `url` of the upstream"), "it names what to do: {said}");
    }
    // By way of a public address, too.
    upstream.always("/names", Step::redirect(302, &format!("{}/one", at("public.test", &other))));
    other.always("/one", Step::redirect(302, &format!("{}/two", at("inside.test", &other))));
    assert_eq!(kind(&remote, signed_names(), soon()).await, Kind::Redirect);
    assert!(other.calls_to("/two").is_empty() && other.calls_to("/x").is_empty());

    // What is not proven goes to no other origin at all.
    for host in ["public.test", "127.0.0.1"] {
        upstream.always("/names", Step::redirect(302, &format!("{}/x", at(host, &other))));
        let error = fetch(&remote, names()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Redirect, "{host}: {error}");
        assert!(error.to_string().contains("configure the address that it leads to"), "{host}: {error}");
        assert_eq!(body(&remote, signed_names()).await.read_to_end().await.unwrap(), "there", "{host}");
    }
    upstream.always("/names", Step::redirect(302, "/moved"));
    upstream.serve("/moved", "here");
    assert_eq!(body(&remote, names()).await.read_to_end().await.unwrap(), "here");
}

#[tokio::test]
async fn an_upstream_inside_redirects_to_itself_alone() {
    let (upstream, other) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let remote = plain(&upstream);
    other.everything(Some(Step::ok("there")));
    upstream.serve("/moved", "here");
    upstream.always("/names", Step::redirect(302, "/moved"));
    for request in [names(), signed_names()] {
        assert_eq!(body(&remote, request).await.read_to_end().await.unwrap(), "here");
    }
    for host in ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"] {
        upstream.always("/names", Step::redirect(302, &format!("{}/x", at(host, &other))));
        for request in [names(), signed_names()] {
            assert_eq!(kind(&remote, request, soon()).await, Kind::Redirect, "{host}");
        }
    }
    assert_eq!(other.calls().len(), 0);
}

#[tokio::test]
async fn a_slot_is_taken_until_the_body_ends_or_is_dropped() {
    let upstream = ScriptedUpstream::start().await;
    upstream.serve("/names", "bytes");
    let remote = http(UpstreamOptions { concurrency: 1, ..UpstreamOptions::new(upstream.url()) });
    let short = || Instant::now() + Duration::from_millis(50);

    let mut held = body(&remote, names()).await;
    let error = remote.fetch(names(), short()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (Kind::Busy, 0));
    while held.chunk().await.unwrap().is_some() {}
    let held_again = body(&remote, names()).await;
    assert_eq!(kind(&remote, names(), short()).await, Kind::Busy);
    drop(held_again);
    body(&remote, names()).await.read_to_end().await.unwrap();

    // A request given up while it waits for its head frees the slot as well.
    upstream.script("/names", [Step::never()]);
    let before = upstream.calls().len();
    tokio::select! {
        _ = fetch(&remote, names()) => panic!("it never answers"),
        () = upstream.wait_for_calls_to("/names", before + 1) => {}
    }
    body(&remote, names()).await.read_to_end().await.unwrap();
    assert_eq!(kind(&remote, names(), Instant::now()).await, Kind::Busy, "no time, no request");
}

#[tokio::test]
async fn tls_trusts_the_roots_it_is_given() {
    for alpn in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let upstream = ScriptedUpstream::start_tls(tls::server(false, alpn)).await;
        upstream.serve("/names", "bytes");
        let options = UpstreamOptions { ca_file: Some(tls::CA.to_vec()), ..UpstreamOptions::new(upstream.url()) };
        let remote = http(options);
        assert_eq!(body(&remote, names()).await.read_to_end().await.unwrap(), "bytes", "{alpn:?}");
        upstream.script("/names", [Step::ok("0123456789").cut_after(4), Step::redirect(302, "http://127.0.0.1:1/")]);
        assert_eq!(kind(&remote, names(), soon()).await, Kind::Truncated, "{alpn:?}");
        assert_eq!(kind(&remote, names(), soon()).await, Kind::Redirect, "https to http");
    }
}

#[tokio::test]
async fn tls_refuses_whom_it_does_not_know() {
    let upstream = ScriptedUpstream::start_tls(tls::stranger()).await;
    // No roots of any machine know it; where there are none at all, building says so.
    match HttpUpstream::new(&UpstreamOptions::new(upstream.url()), Arc::new(SystemClock)) {
        Ok(remote) => {
            let error = fetch(&remote, names()).await.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable(), error.allows_stale()), (Kind::Tls, false, true));
        }
        Err(error) => assert!(matches!(error, BuildError::Tls(_)), "{error}"),
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_origin_only() {
    let upstream = ScriptedUpstream::start_tls(tls::server(true, &[])).await;
    upstream.serve("/names", "bytes");
    let anonymous = UpstreamOptions { ca_file: Some(tls::CA.to_vec()), ..UpstreamOptions::new(upstream.url()) };
    let known = UpstreamOptions { client_cert: Some(tls::CLIENT.to_vec()), ..anonymous.clone() };
    assert_eq!(kind(&http(anonymous), names(), soon()).await, Kind::Tls);
    let known = http(known);
    assert_eq!(body(&known, names()).await.read_to_end().await.unwrap(), "bytes");
    upstream.script("/names", [Step::status(403)]);
    assert_eq!(kind(&known, names(), soon()).await, Kind::Refused(403));
    upstream.script("/names", [Step::redirect(302, "/names")]);
    assert_eq!(kind(&known, names(), soon()).await, Kind::Tls);
}

#[tokio::test]
async fn an_explicit_proxy_is_used() {
    let proxy = ScriptedUpstream::start().await;
    proxy.serve("/names", "through the proxy");
    let url = proxy.url().replace("http://", "http://user:pa%20ss@");
    let remote =
        http(UpstreamOptions { proxy: Some(Secret::new(url)), ..UpstreamOptions::new("http://registry.test") });
    assert_eq!(body(&remote, names()).await.read_to_end().await.unwrap(), "through the proxy");
    let call = &proxy.calls()[0];
    assert_eq!(call.target, "http://registry.test/names");
    assert_eq!(call.header("proxy-authorization"), Some("Basic dXNlcjpwYSBzcw=="));
}

/// The environment of a process cannot be changed safely from within, so this test runs itself once more.
#[tokio::test]
async fn the_environment_names_the_proxy_but_not_for_loopback() {
    const CHILD: &str = "HEXKEEP_TEST_PROXY_CHILD";
    let direct = ScriptedUpstream::start().await;
    direct.serve("/names", "direct");
    if std::env::var_os(CHILD).is_some() {
        for (url, expected) in [("http://registry.test", "through the proxy"), (&direct.url(), "direct")] {
            let remote = http(UpstreamOptions::new(url));
            assert_eq!(body(&remote, names()).await.read_to_end().await.unwrap(), expected);
        }
        return;
    }
    let proxy = ScriptedUpstream::start().await;
    proxy.serve("/names", "through the proxy");
    let mut child = tokio::task::JoinSet::new();
    let url = proxy.url();
    child.spawn_blocking(move || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "upstream_room::the_environment_names_the_proxy_but_not_for_loopback"])
            .envs([(CHILD, "1"), ("HTTP_PROXY", &url), ("http_proxy", &url), ("NO_PROXY", ""), ("no_proxy", "")])
            .env_remove("REQUEST_METHOD")
            .output()
            .unwrap()
    });
    let output = child.join_next().await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test]
async fn the_stack_retries_gives_up_and_comes_back() {
    let upstream = ScriptedUpstream::start().await;
    upstream.serve("/names", "bytes");
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let remote = build(&UpstreamOptions::new(upstream.url()), Arc::<ManualClock>::clone(&clock)).unwrap();

    upstream.script("/names", [Step::status(500), Step::hang_up(), Step::route()]);
    let Ok(Fetched::Body(body)) = remote.fetch(names(), soon()).await else { panic!() };
    assert_eq!(body.read_to_end().await.unwrap(), "bytes");
    upstream.wait_for_calls(3).await;

    upstream.switch_off().await;
    for attempts in [3, 3, 3] {
        let error = remote.fetch(names(), soon()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (Kind::Connect, attempts));
    }
    assert!(matches!(remote.state(), UpstreamState::AssumedOffline { .. }));
    upstream.switch_on();
    assert_eq!(kind(&*remote, names(), soon()).await, Kind::AssumedOffline);
    assert_eq!(upstream.calls().len(), 3);
    clock.advance(Duration::from_secs(30));
    assert!(matches!(remote.fetch(names(), soon()).await, Ok(Fetched::Body(_))));
    assert_eq!(remote.state(), UpstreamState::Online);

    upstream.forget("/names");
    upstream.script("/names", [Step::too_many(Some("60"))]);
    for _ in 0..2 {
        assert_eq!(kind(&*remote, names(), soon()).await, Kind::RateLimited);
    }
    assert_eq!(upstream.calls().len(), 5);
    clock.advance(Duration::from_secs(60));
    assert!(matches!(remote.fetch(names(), soon()).await, Ok(Fetched::Missing { status: 404 })));
}

/// Everything an error can show: itself, and the chain of what caused it.
fn everything(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text += &format!("{error} {error:?} {error:#?}\n");
        next = error.source();
    }
    text
}

#[tokio::test]
async fn no_error_shows_a_credential() {
    let secrets = ["s3cr3t", "czNjcjN0", "pa55"];
    let upstream = ScriptedUpstream::start().await;
    let options = |upstream: &ScriptedUpstream| UpstreamOptions {
        credentials: Some(Secret::new(CREDENTIAL)),
        read_timeout: Duration::from_millis(100),
        ..UpstreamOptions::new(upstream.url())
    };
    let remote = http(options(&upstream));
    let host = upstream.url().replace("http://", "");
    let mut shown = vec![format!("{remote:?} {:?}", options(&upstream))];
    upstream.script("/gone", [Step::status(500), Step::hang_up(), Step::ok("0123456789").cut_after(4)]);
    for step in [
        Step::status(400),
        Step::status(401),
        Step::status(500),
        Step::status(206),
        Step::status(304),
        Step::too_many(None),
        Step::never(),
        Step::hang_up(),
        Step::endless(),
        Step::ok("0123456789").cut_after(4),
        Step::ok("zipped").header("content-encoding", "gzip"),
        Step::redirect(302, &format!("http://user:s3cr3t@{host}/names")),
        Step::redirect(302, &format!("http://{host}/gone?signature=s3cr3t")),
        Step::redirect(302, &format!("http://{host}/gone?signature=s3cr3t")),
        Step::redirect(302, &format!("http://{host}/gone?signature=s3cr3t")),
    ] {
        upstream.always("/names", step);
        let error = match fetch(&remote, names()).await {
            Err(error) => error,
            Ok(Fetched::Body(body)) => {
                shown.push(format!("{body:?}"));
                body.read_to_end().await.unwrap_err()
            }
            Ok(other) => panic!("{other:?}"),
        };
        shown.push(everything(&error));
    }
    upstream.switch_off().await;
    shown.push(everything(&fetch(&remote, names()).await.unwrap_err()));
    for scheme in ["http", "https", "socks5"] {
        let proxy = Some(Secret::new(format!("{scheme}://s3cr3t:pa55@{host}")));
        let through = UpstreamOptions { proxy, ..options(&upstream) };
        shown.push(format!("{through:?}"));
        let remote = http(through);
        shown.push(format!("{remote:?}"));
        shown.push(everything(&fetch(&remote, names()).await.unwrap_err()));
    }
    for broken in [
        UpstreamOptions { credentials: Some(Secret::new("s3cr3t\n")), ..options(&upstream) },
        UpstreamOptions { proxy: Some(Secret::new("gopher://s3cr3t:pa55@host.test")), ..options(&upstream) },
        UpstreamOptions { url: "http://s3cr3t:pa55@host.test".into(), ..options(&upstream) },
    ] {
        shown.push(everything(&HttpUpstream::new(&broken, Arc::new(SystemClock)).unwrap_err()));
    }
    for text in shown {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in: {text}");
        }
    }
}

#[tokio::test]
async fn a_whole_body_larger_than_any_buffer_survives() {
    let upstream = ScriptedUpstream::start().await;
    let bytes: Bytes = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();
    upstream.serve("/names", bytes.clone());
    let request = UpstreamRequest::get("names", 3_000_000);
    assert_eq!(body(&plain(&upstream), request).await.read_to_end().await.unwrap(), bytes);
}
