//! What a package says of itself costs little more than its length, whatever shape it has and however many come at once.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use tokio::task::JoinSet;

use super::support::process::{Daemon, Home};
use super::support::tarballs::{archive, gzip, pack};

const AT_ONCE: usize = 24;

/// About as long as metadata may be, with what they have to say.
const FILLED: usize = 1_000_000;

/// A value of this many pieces.
fn list(open: &str, piece: &str, close: &str) -> String {
    format!("{open}{}{piece}{close}", format!("{piece},").repeat(FILLED / (piece.len() + 1)))
}

/// What is made to become much more in memory than it is on the wire: under a key of its own, and whether it is taken.
fn shapes() -> Vec<(&'static str, String, bool)> {
    let own = |value: String| format!("{{<<\"x\">>,{value}}}.\n");
    let text = format!("\"{}\"", "a".repeat(FILLED));
    let files = format!("{{<<\"files\">>,[{}<<\"a\">>]}}.\n", "<<\"lib/file.ex\">>,".repeat(55_000));
    let licenses = format!("{{<<\"licenses\">>,[{}<<\"MIT\">>]}}.\n", "<<\"M\">>,".repeat(80_000));
    let extra = format!("{{<<\"extra\">>,[{{<<\"a\">>,{text}}}]}}.\n");
    let requirement = |number| format!("{{<<\"r{number}\">>,[{{<<\"requirement\">>,<<\">= 0.0.0\">>}}]}}");
    let requirements: Vec<String> = (0..17_000).map(requirement).collect();
    vec![
        ("a text", own(text), true),
        ("lists of one", own(list("[", "[1]", "]")), false),
        ("empty lists", own(list("[", "[]", "]")), false),
        ("numbers", own(list("[", "1", "]")), false),
        ("atoms", own(list("[", "nil", "]")), false),
        ("empty texts", own(list("[", "\"\"", "]")), false),
        ("empty binaries", own(list("[", "<<>>", "]")), false),
        ("tuples", own(list("[", "{}", "]")), false),
        ("maps", own(list("[", "#{}", "]")), false),
        ("pairs", "{<<\"x\">>,1}.\n".repeat(FILLED / 12), false),
        ("files", files, true),
        ("licences", licenses, false),
        ("an addition", extra, false),
        ("requirements", format!("{{<<\"requirements\">>,[{}]}}.\n", requirements.join(",")), false),
    ]
}

/// A tarball of `NAME` with these metadata behind its own.
fn tarball(name: &str, version: usize, more: &str) -> Bytes {
    let own = format!(
        "{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"1.0.{version}\">>}}.\n{{<<\"app\">>,<<\"{name}\">>}}.\n\
         {{<<\"description\">>,<<\"Does things\">>}}.\n{{<<\"files\">>,[<<\"mix.exs\">>]}}.\n\
         {{<<\"build_tools\">>,[<<\"mix\">>]}}.\n"
    );
    pack(format!("{own}{more}").as_bytes(), &gzip(&archive(&[("mix.exs", b"x")]))).0
}

/// Publishes all of them at once; how many were taken, and how many bytes more the daemon had in memory at one time.
async fn publish(daemon: &Daemon, key: &str, name: &str, tarballs: Vec<Bytes>) -> (usize, u64) {
    daemon.forget_peak();
    let before = daemon.memory("VmHWM");
    let mut sending = JoinSet::new();
    for tarball in tarballs {
        let request = daemon.client.post(format!("{}/api/repos/acme/packages/{name}/releases", daemon.url()));
        let request = request.header(USER_AGENT, "test").header(AUTHORIZATION, key);
        let request = request.header(CONTENT_TYPE, "application/octet-stream").body(tarball);
        sending.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    let statuses = sending.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 201 | 422)), "{name}: {statuses:?}");
    let taken = statuses.iter().filter(|status| **status == 201).count();
    (taken, daemon.memory("VmHWM").saturating_sub(before))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_metadata_cost_four_times_their_length() {
    let home = Home::new(
        "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nstorage: { path: data }\n\
         default_repository: acme\nrepositories: { acme: { type: local, dependency_check: off } }\n",
    );
    let daemon = home.serve();
    assert_eq!(home.run(&["user", "add", "root", "--admin", "--no-password"]).code, 0);
    let made = home.run(&["key", "create", "ci", "--user", "root", "--permission", "api"]);
    let key = made.stdout.trim().to_owned();
    assert_eq!(publish(&daemon, &key, "first", vec![tarball("first", 0, "")]).await.0, 1);
    for (number, (what, more, is_taken)) in shapes().into_iter().enumerate() {
        let name = format!("shape{number}");
        let tarballs: Vec<Bytes> = (0..AT_ONCE).map(|version| tarball(&name, version, &more)).collect();
        let length: usize = tarballs.iter().map(Bytes::len).sum();
        let (taken, grown) = publish(&daemon, &key, &name, tarballs).await;
        println!("{what}: {taken} taken, {:.2} times", grown as f64 / length as f64);
        assert_eq!(taken, if is_taken { AT_ONCE } else { 0 }, "{what}");
        assert!(grown < 4 * length as u64, "{what}: {grown} bytes more for {length}");
    }
}
