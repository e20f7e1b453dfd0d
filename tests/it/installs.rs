//! Installers: list, signature and file of one snapshot, byte for byte upstream's, also when upstream is gone, slow or
//! in the middle of a change.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::hex::checksum::Sha256;
use hexkeep::operations::Operations as _;
use hexkeep::operations::jobs::Job;
use hexkeep::operations::purge::{Purge, PurgeReport};
use hexkeep::state::audit::Actor;
use hexkeep::tasks::report::Reporter;

use super::support::hub::{Answer, Hub, Wishes, eventually};
use super::support::installs::{serve_signed, sha512, sign};
use super::support::upstream::{Gate, Step};

const LIST: &str = "/installs/hex-1.x.csv";
const SIGNATURE: &str = "/installs/hex-1.x.csv.signed";
const FILE: &str = "/installs/1.14.0/hex-2.0.6.ez";
const REBAR: &str = "/installs/rebar3-1.x.csv";
const OTP: &str = "/builds/otp/amd64/ubuntu-24.04/OTP-27.3.4.tar.gz";
const OTP_LIST: &str = "/builds/otp/amd64/ubuntu-24.04/builds.txt";

/// A list with one file for each Elixir.
fn list(file: &[u8]) -> String {
    format!("1.0.0,{},1.0.0\n2.0.6,{},1.14.0\n", sha512(b"old"), sha512(file))
}

/// The upstream has Hex 2.0.6 with these bytes.
fn publish(hub: &Hub, file: &'static [u8]) {
    serve_signed(&hub.upstream, LIST, &list(file));
    hub.upstream.serve(FILE, file);
}

async fn with_installs(settings: &str) -> Hub {
    Hub::with(Wishes { installs: settings.to_owned(), ..Wishes::default() }).await
}

/// A client at an address of its own.
async fn get_from(hub: &Hub, path: &str, address: &str) -> Answer {
    hub.get_with(path, &[("x-forwarded-for", address)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mix_asks_for_is_the_upstreams_byte_for_byte_with_and_without_it() {
    let mut hub = Hub::start().await;
    publish(&hub, b"the archive");
    let expected =
        [(LIST, list(b"the archive")), (SIGNATURE, sign(&list(b"the archive"))), (FILE, "the archive".into())];
    for (path, body) in &expected {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, answer.text()), (200, body.clone()), "{path}");
        assert_eq!(answer.header("etag"), format!("\"{}\"", Sha256::of(body.as_bytes())), "{path}");
        assert_eq!(answer.header("cache-control"), "public, max-age=900", "{path}");
        let again = hub.get_with(path, &[("if-none-match", answer.header("etag"))]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    hub.upstream.switch_off().await;
    hub.restart().await;
    hub.clock.advance(Duration::from_secs(365 * 24 * 3600));
    for (path, body) in &expected {
        let answer = hub.get(path).await;
        assert_eq!((answer.status, answer.text()), (200, body.clone()), "{path}");
    }
    assert_eq!(hub.get(LIST).await.cache(), "stale; reason=connect");
    assert_eq!(hub.get(FILE).await.cache(), "hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_base_has_them_and_nobody_needs_a_credential() {
    let private = "acme: { type: local, hosts: [acme.example] }".to_owned();
    let hub = Hub::with(Wishes { more: vec![private], ..Wishes::default() }).await;
    publish(&hub, b"the archive");
    for base in ["", "/repos/hexpm", "/repos/acme", "/repos/acme/repos/hexpm", "//"] {
        for path in [LIST, SIGNATURE, FILE] {
            let answer = hub.get_with(&format!("{base}{path}"), &[("authorization", "s3cr3t")]).await;
            assert_eq!(answer.status, 200, "{base}{path}");
        }
    }
    assert_eq!(hub.get_with(FILE, &[("host", "acme.example")]).await.text(), "the archive");
    for call in hub.upstream.calls() {
        assert!(call.header("authorization").is_none() && call.header("cookie").is_none(), "{call:?}");
    }
    assert_eq!(hub.upstream.calls_to(FILE).len(), 1, "one file for all bases");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_installers_is_asked_for() {
    let hub = Hub::start().await;
    for path in [
        "/installs/..%2fnames",
        "/installs/1.14.0/..%252f..%252fnames",
        "/installs/1.14.0/hex-2.0.6.ez%3Fx",
        "/installs/public_keys.html",
        "/installs/hex-9.x.csv",
        "/builds/elixir/..%2f..%2fnames.zip",
        "/builds/elixir",
        "/builds/otp/a/b/c/builds.txt",
        "/installs/hex.csv.signed",
    ] {
        assert_eq!(hub.get(path).await.status, 404, "{path}");
    }
    assert!(hub.upstream.calls().iter().all(|call| call.path == "/installs/hex.csv"), "{:?}", hub.upstream.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_between_list_and_signature_is_not_seen() {
    let hub = Hub::with(Wishes {
        server: "trusted_proxies: [127.0.0.0/8]".to_owned(),
        installs: "ttl: 0s".to_owned(),
        ..Wishes::default()
    })
    .await;
    publish(&hub, b"the first");
    assert_eq!(get_from(&hub, LIST, "10.0.0.1").await.text(), list(b"the first"));
    assert_eq!(get_from(&hub, FILE, "10.0.0.1").await.text(), "the first");
    publish(&hub, b"the second");
    hub.clock.advance(Duration::from_secs(10));
    assert_eq!(get_from(&hub, LIST, "10.0.0.2").await.text(), list(b"the second"));
    assert_eq!(get_from(&hub, SIGNATURE, "10.0.0.1").await.text(), sign(&list(b"the first")));
    assert_eq!(get_from(&hub, FILE, "10.0.0.1").await.text(), "the first");
    assert_eq!(get_from(&hub, SIGNATURE, "10.0.0.2").await.text(), sign(&list(b"the second")));
    assert_eq!(get_from(&hub, FILE, "10.0.0.2").await.text(), "the second");
    hub.clock.advance(Duration::from_secs(60));
    assert_eq!(get_from(&hub, SIGNATURE, "10.0.0.1").await.text(), sign(&list(b"the second")));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_change_leaves_the_last_good_pair() {
    let hub = Hub::start().await;
    publish(&hub, b"the first");
    let (old, old_signature) = (hub.get(LIST).await.text(), hub.get(SIGNATURE).await.text());
    let ttl = Duration::from_secs(15 * 60);

    for half in ["the list", "the signature"] {
        if half == "the list" {
            hub.upstream.serve(LIST, list(b"the second"));
        } else {
            hub.upstream.serve(LIST, old.clone());
            hub.upstream.serve(SIGNATURE, sign(&list(b"the second")));
        }
        hub.clock.advance(ttl);
        let answer = hub.get(LIST).await;
        assert_eq!((answer.text(), answer.cache()), (old.clone(), "stale; reason=untrusted"), "{half} alone");
        assert_eq!(hub.get(SIGNATURE).await.text(), old_signature, "{half} alone");
    }
    let calls = hub.upstream.calls_to(LIST);
    assert!(calls.iter().any(|call| call.header("cache-control") == Some("no-cache")), "{calls:?}");
    assert_eq!(hub.metric("hexkeep_untrusted_total{repository=\"installs\",reason=\"snapshot\"}").await, 2.0);

    serve_signed(&hub.upstream, LIST, &list(b"the second"));
    hub.clock.advance(ttl);
    assert_eq!(hub.get(LIST).await.text(), list(b"the second"));
    assert_eq!(hub.get(SIGNATURE).await.text(), sign(&list(b"the second")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signature_alone_is_believed_after_an_hour() {
    let hub = Hub::start().await;
    publish(&hub, b"the first");
    hub.get(LIST).await;
    // Signed by another key, as far as anybody can tell.
    let another = sign("another text");
    hub.upstream.serve(SIGNATURE, another.clone());
    for _ in 0..4 {
        hub.clock.advance(Duration::from_secs(15 * 60));
        assert_eq!(hub.get(LIST).await.cache(), "stale; reason=untrusted");
        assert_eq!(hub.get(SIGNATURE).await.text(), sign(&list(b"the first")));
    }
    hub.clock.advance(Duration::from_secs(15 * 60));
    hub.get(LIST).await;
    assert_eq!(hub.get(SIGNATURE).await.text(), another);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_key_a_wrong_pair_is_never_taken() {
    let mut hub = with_installs("public_key: registry.pem").await;
    serve_signed(&hub.upstream, REBAR, &list(b"a"));
    hub.upstream.serve(&format!("{REBAR}.signed"), sign("another text"));
    assert_eq!(hub.get(REBAR).await.status, 502);
    assert_eq!(hub.get(&format!("{REBAR}.signed")).await.status, 502);
    assert_eq!(hub.upstream.calls_to(REBAR).len(), 4, "asked for once more past caches, and not for a minute then");

    // The list that Hex itself asks for is never an error.
    hub.upstream.serve(LIST, list(b"a"));
    let empty = hub.get(LIST).await;
    assert_eq!((empty.status, empty.text().as_str()), (200, ""));
    assert_eq!(empty.header("cache-control"), "public, max-age=0, must-revalidate");

    hub.clock.advance(Duration::from_secs(60));
    serve_signed(&hub.upstream, REBAR, &list(b"a"));
    assert_eq!(hub.get(REBAR).await.text(), list(b"a"));

    hub.upstream.switch_off().await;
    hub.restart().await;
    assert_eq!(hub.get(&format!("{REBAR}.signed")).await.text(), sign(&list(b"a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_changes_while_it_is_fetched_is_fetched_again() {
    let hub = Hub::start().await;
    let (old, new) = (list(b"the first"), list(b"the second"));
    // Old list, new signature, new list; then everything new.
    hub.upstream.serve(SIGNATURE, sign(&new));
    hub.upstream.script(LIST, [Step::ok(old)]);
    hub.upstream.serve(LIST, new.clone());
    assert_eq!(hub.get(LIST).await.text(), "", "the pair is refused, and there is no other");
    hub.clock.advance(Duration::from_secs(61));
    assert_eq!(hub.get(LIST).await.text(), new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_portal_is_no_list() {
    let hub = Hub::start().await;
    publish(&hub, b"the first");
    let good = hub.get(LIST).await.text();
    hub.upstream.always(LIST, Step::ok("<html>Please log in</html>"));
    hub.upstream.always(SIGNATURE, Step::ok("<html>Please log in</html>"));
    hub.clock.advance(Duration::from_secs(15 * 60));
    let answer = hub.get(LIST).await;
    assert_eq!((answer.text(), answer.cache()), (good, "stale; reason=untrusted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_another_checksum_is_neither_served_nor_kept() {
    let hub = Hub::start().await;
    publish(&hub, b"the archive");
    hub.upstream.serve(FILE, "something else");
    let answer = hub.get(FILE).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(
        !hub.files().iter().any(|file| file.starts_with("blobs/") || file.starts_with("tmp/")),
        "{:?}",
        hub.files()
    );
    assert_eq!(hub.metric("hexkeep_untrusted_total{repository=\"installs\",reason=\"digest\"}").await, 1.0);
    let asked = hub.upstream.calls_to(FILE).len();
    assert_eq!(hub.get(FILE).await.status, 502);
    assert_eq!(hub.upstream.calls_to(FILE).len(), asked, "not fetched again at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_with_its_list_is_served() {
    let hub = Hub::start().await;
    publish(&hub, b"the first");
    assert_eq!(hub.get(LIST).await.status, 200);
    publish(&hub, b"the second");
    hub.clock.advance(Duration::from_secs(61));
    let answer = hub.get(FILE).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "the second"));
    assert_eq!(hub.get(LIST).await.text(), list(b"the second"), "list and file are of one snapshot again");
    assert_eq!(hub.get(SIGNATURE).await.text(), sign(&list(b"the second")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_list_names_is_not_there() {
    let hub = Hub::start().await;
    publish(&hub, b"the archive");
    hub.upstream.serve("/installs/1.14.0/hex-9.9.9.ez", "what is this");
    assert_eq!(hub.get("/installs/1.14.0/hex-9.9.9.ez").await.status, 404);
    assert!(hub.upstream.calls_to("/installs/1.14.0/hex-9.9.9.ez").is_empty());
    // A list that is older than a second is asked for again before that is said.
    let newer = format!("{}9.9.9,{},1.14.0\n", list(b"the archive"), sha512(b"what is this"));
    serve_signed(&hub.upstream, LIST, &newer);
    hub.clock.advance(Duration::from_secs(2));
    assert_eq!(hub.get("/installs/1.14.0/hex-9.9.9.ez").await.text(), "what is this");
    assert_eq!(hub.get("/installs/1.14.0/hex.ez").await.text(), "what is this", "the newest for this Elixir");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_the_list_of_hex_is_empty_and_the_rest_says_so() {
    let hub = Hub::start().await;
    hub.upstream.switch_off().await;
    let answer = hub.get(LIST).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    for path in [SIGNATURE, FILE, REBAR, OTP] {
        assert_eq!(hub.get(path).await.status, 502, "{path}");
    }
    hub.upstream.switch_on();
    hub.clock.advance(Duration::from_secs(31));
    for status in [500, 503, 403, 404] {
        hub.upstream.everything(Some(Step::status(status)));
        assert_eq!(hub.get(LIST).await.status, 200, "{status}");
        hub.clock.advance(Duration::from_secs(400));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upstream_delays_nobody_beyond_the_deadline() {
    let hub = Hub::with(Wishes { server: "deadline: 1s".to_owned(), ..Wishes::default() }).await;
    let gate = Gate::new();
    publish(&hub, b"the archive");
    hub.upstream.script(LIST, [Step::route().gated(&gate)]);
    let answer = hub.get(LIST).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0), "in time, and no error");
    gate.open();
    eventually("the upstream is asked again", async || {
        hub.clock.advance(Duration::from_secs(2));
        hub.get(LIST).await.text() == list(b"the archive")
    })
    .await;

    let gate = Gate::new();
    hub.upstream.script(LIST, [Step::route().gated(&gate)]);
    hub.clock.advance(Duration::from_secs(15 * 60));
    let answer = hub.get(LIST).await;
    assert_eq!(answer.text(), list(b"the archive"));
    assert!(answer.cache().starts_with("stale; reason="), "{}", answer.cache());
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clients_make_one_fetch() {
    let hub = Hub::start().await;
    publish(&hub, b"the archive");
    let gate = Gate::new();
    hub.upstream.script(LIST, [Step::route().gated(&gate)]);
    let requests = (0..50).map(|_| hub.get(FILE));
    let all = futures_util::future::join_all(requests);
    let (answers, ()) = tokio::join!(all, async {
        hub.upstream.wait_for_calls_to(LIST, 1).await;
        gate.open();
    });
    assert!(answers.iter().all(|answer| answer.text() == "the archive"));
    assert_eq!(hub.upstream.calls_to(FILE).len(), 1);
    assert_eq!(hub.upstream.calls_to(LIST).len(), 2, "before and after its signature");
    assert_eq!(hub.upstream.calls_to(SIGNATURE).len(), 1);
}

fn builds(archive: &[u8]) -> String {
    format!(
        "OTP-17.0 0123abcd 2016-01-01T00:00:00Z\nOTP-27.3.4 0123abcd 2025-05-08T11:00:00Z {}\n",
        Sha256::of(archive)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_streamed_while_they_are_checked() {
    let hub = Hub::start().await;
    let archive: Bytes = (0..600_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    hub.upstream.serve(OTP_LIST, builds(&archive));
    hub.upstream.serve(OTP, archive.clone());
    let head = hub.send(reqwest::Method::HEAD, OTP, &[]).await;
    assert_eq!((head.status, head.header("etag")), (200, &*format!("\"{}\"", Sha256::of(&archive))));
    assert!(hub.upstream.calls_to(OTP).is_empty(), "a HEAD starts no fill");

    let gate = Gate::new();
    hub.upstream.script(OTP, [Step::route().drip(200_000, &gate)]);
    gate.release(1);
    let mut response = hub.open(OTP).await;
    let first = response.chunk().await.unwrap().unwrap();
    assert!(archive.starts_with(&first) && first.len() < 200_001, "the first bytes come before the last are there");
    gate.open();
    let mut body = first.to_vec();
    while let Some(chunk) = response.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    assert_eq!(body, archive);
    assert_eq!(hub.get(OTP).await.cache(), "hit");
    assert_eq!(hub.get_with(OTP, &[("range", "bytes=0-9")]).await.body, archive.slice(..10));

    let unknown = hub.get("/builds/otp/amd64/ubuntu-24.04/OTP-17.0.tar.gz").await;
    assert_eq!(unknown.status, 403, "{}", unknown.text());
    assert!(unknown.text().contains("no checksum"), "{}", unknown.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_a_branch_may_be_replaced_and_a_wrong_one_is_cut_off() {
    let hub = Hub::start().await;
    let (old, new) = (Bytes::from(vec![1; 300_000]), Bytes::from(vec![2; 300_000]));
    hub.upstream.serve(OTP_LIST, builds(&old));
    assert_eq!(hub.get(OTP_LIST).await.text(), builds(&old));
    hub.upstream.serve(OTP_LIST, builds(&new));
    hub.upstream.serve(OTP, new.clone());
    hub.clock.advance(Duration::from_secs(61));
    // Its bytes had begun to flow under the old checksum.
    let broken = hub.open(OTP).await.bytes().await;
    assert!(broken.is_err(), "nobody gets a whole file with another checksum");
    assert_eq!(hub.get(OTP).await.body, new);

    hub.upstream.serve(OTP, vec![3; 300_000]);
    hub.app().core().purge(Purge { repository: None, package: None, version: None }, Actor::console()).await.unwrap();
    assert!(hub.open(OTP).await.bytes().await.is_err());
    let blobs = hub.files().into_iter().filter(|file| file.starts_with("blobs/")).count();
    assert_eq!(blobs, 0, "{:?}", hub.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_and_a_scrub_know_about_them() {
    let mut hub = Hub::start().await;
    publish(&hub, b"the archive");
    hub.upstream.serve(OTP_LIST, builds(b"otp"));
    hub.upstream.serve(OTP, "otp");
    for path in [LIST, FILE, OTP] {
        assert_eq!(hub.get(path).await.status, 200, "{path}");
    }
    let found = scrub(&hub, false).await;
    assert_eq!(found, "2 resources and 2 files are sound; 0 damaged, 0 out of place, 0 removed");

    let purge = || Purge { repository: None, package: None, version: None };
    let purged = hub.app().core().purge(purge(), Actor::console()).await.unwrap();
    assert_eq!(purged, PurgeReport { lists: 2, installers: 2, ..PurgeReport::default() });
    assert_eq!(hub.files(), Vec::<String>::new());

    assert_eq!(hub.get(LIST).await.cache(), "miss");
    let file = hub.data().join("lists/installs/hex-1.x.csv");
    hub.stop().await;
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(hub.data().join("lists/installs/what is this"), b"x").unwrap();
    hub.launch().await;
    let found = scrub(&hub, true).await;
    assert_eq!(found, "0 resources and 0 files are sound; 1 damaged, 1 out of place, 2 removed");
    assert!(!file.exists());
    assert_eq!(hub.get(SIGNATURE).await.text(), sign(&list(b"the archive")), "it is fetched again");
}

async fn scrub(hub: &Hub, repair: bool) -> String {
    let (reporter, mut heard) = Reporter::new();
    let listening = tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let outcome = hub.app().core().work(Job::VerifyStore { repair }, reporter).await.unwrap();
    listening.await.unwrap();
    outcome.text().lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_list_is_dropped_when_it_is_read() {
    let mut hub = Hub::start().await;
    publish(&hub, b"the archive");
    hub.get(LIST).await;
    hub.stop().await;
    let file = hub.data().join("lists/installs/hex-1.x.csv");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    hub.launch().await;
    assert_eq!(hub.get(LIST).await.cache(), "miss");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(hub.metric("hexkeep_damaged_total{repository=\"installs\",reason=\"list\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_list_is_confirmed_by_conditional_requests_alone() {
    let mut hub = Hub::start().await;
    publish(&hub, b"the archive");
    hub.get(LIST).await;
    hub.restart().await;
    hub.clock.advance(Duration::from_secs(15 * 60));
    let before = hub.upstream.calls().len();
    let answer = hub.get(LIST).await;
    assert_eq!((answer.text(), answer.cache()), (list(b"the archive"), "revalidated"));
    let calls = hub.upstream.calls().split_off(before);
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls.iter().all(|call| call.header("if-none-match").is_some()), "{calls:?}");
    assert_eq!(hub.get(LIST).await.cache(), "hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_remotes_are_offline_asks_nobody() {
    let mut hub = Hub::start().await;
    publish(&hub, b"the archive");
    for path in [LIST, FILE] {
        hub.get(path).await;
    }
    hub.configure(&Wishes { repository: "network: offline".to_owned(), ..Wishes::default() });
    let changes = hub.app().core().reload().await.unwrap();
    assert!(changes.iter().any(|change| change == "installs has changed"), "{changes:?}");
    hub.restart().await;
    hub.clock.advance(Duration::from_secs(24 * 3600));
    let before = hub.upstream.calls().len();
    let answer = hub.get(LIST).await;
    assert_eq!((answer.text(), answer.cache()), (list(b"the archive"), "stale; reason=offline"));
    assert_eq!(hub.get(SIGNATURE).await.status, 200);
    assert_eq!(hub.get(FILE).await.text(), "the archive");
    let missing = hub.get(REBAR).await;
    assert_eq!(missing.status, 502);
    assert!(
        missing.text().contains(" is not cached, and the upstream is not contacted (network: offline)"),
        "{}",
        missing.text()
    );
    assert!(missing.text().contains("hexkeep bundle create --installers"), "{}", missing.text());
    eventually("nothing is under way", async || hub.metric("hexkeep_fills").await == 0.0).await;
    assert_eq!(hub.upstream.calls().len(), before);
}
