//! Orders that carry what lock files name cost little more than their bodies, and are answered in few words.

use std::ops::Range;

use bytes::Bytes;
use hexkeep::hex::term::{etf, from_json};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::process::{Daemon, Home};
use super::support::upstream::ScriptedUpstream;

/// What SQLite keeps of its pages for a connection, which is no cost of an order.
const PAGES: u64 = 2 * 1024 * 1024;

const JSON: &str = "application/json";
const ERLANG: &str = "application/vnd.hex+erlang";

/// As many as a lock file may have, each as short as can be.
fn short() -> Value {
    json!({"reason": "x", "repository": "hexpm", "releases": vec![json!({"package": "a", "version": "1"}); 20_000]})
}

/// So many, with a checksum each.
fn whole(numbers: Range<u32>) -> Value {
    let release =
        |number| json!({"package": format!("p{number}"), "version": "1.0.0", "outer": format!("{number:064x}")});
    json!({"reason": "x", "repository": "hexpm", "releases": numbers.map(release).collect::<Vec<_>>()})
}

/// So many at once; what they cost together, and the last answer.
async fn send(
    daemon: &Daemon,
    key: &str,
    path: &str,
    (content_type, body): (&str, Bytes),
    times: usize,
) -> (u64, Bytes) {
    daemon.forget_peak();
    let before = daemon.memory("VmHWM");
    let mut sending = JoinSet::new();
    for _ in 0..times {
        let request = daemon.client.post(format!("{}{path}", daemon.url())).header("user-agent", "test");
        let request = request.header("authorization", key).header("content-type", content_type.to_owned());
        let request = request.body(body.clone());
        sending.spawn(async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.bytes().await.unwrap())
        });
    }
    let mut last = Bytes::new();
    while let Some(answer) = sending.join_next().await {
        let (status, said) = answer.unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&said));
        last = said;
    }
    (daemon.memory("VmHWM").saturating_sub(before), last)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lock_files_name_costs_less_than_four_times_its_length() {
    let upstream = ScriptedUpstream::start().await;
    let policy = "policies:\n  company: { mode: enforce, repositories: { hexpm: { cooldown: 7d } } }\n";
    let config = Home::config(&upstream.url(), ", policy: company");
    let home = Home::new(&format!("{config}{policy}"));
    home.write("registry.pem", &super::support::registry::TestRegistry::new("hexpm").public_key());
    let daemon = home.serve();
    assert_eq!(home.run(&["user", "add", "root", "--admin", "--no-password"]).code, 0);
    let rights = ["--permission", "api", "--permission", "policy:write"];
    let made = home.run(&[&["key", "create", "ci", "--user", "root"][..], &rights].concat());
    let key = made.stdout.trim().to_owned();
    let (pins, pin, unpin, test) =
        ("/api/repos/hexpm/policy/pins", "/api/admin/pin", "/api/admin/unpin", "/api/admin/policy-test");
    for (what, value, paths) in
        [("short ones", short(), &[pins, pin, unpin, test][..]), ("whole ones", whole(0..5_000), &[pins, unpin])]
    {
        for content_type in [JSON, ERLANG] {
            for path in paths {
                let mut value = value.clone();
                if [unpin, test].contains(path) {
                    value.as_object_mut().unwrap().remove("reason");
                }
                let body = match content_type {
                    JSON => Bytes::from(value.to_string()),
                    _ => Bytes::from(etf::encode(&from_json(&value))),
                };
                send(&daemon, &key, path, (content_type, body.clone()), 1).await;
                for times in [1, 4] {
                    let (grown, said) = send(&daemon, &key, path, (content_type, body.clone()), times).await;
                    let length = (body.len() * times) as u64;
                    println!(
                        "{what} to {path}, {content_type}, {times} at once: {:.2} times",
                        grown as f64 / length as f64
                    );
                    assert!(
                        grown < 4 * length + PAGES,
                        "{what} to {path}, {content_type}: {grown} bytes more for {length}"
                    );
                    assert!(said.len() < 8 * 1024, "{what} to {path}: {} bytes of answer", said.len());
                }
            }
        }
    }
    // The first order that pins these releases, too: what is known of each from then on is part of what it costs.
    let body = Bytes::from(whole(5_000..25_000).to_string());
    let (grown, _) = send(&daemon, &key, pins, (JSON, body.clone()), 1).await;
    println!("the first time: {:.2} times", grown as f64 / body.len() as f64);
    assert!(grown < 4 * body.len() as u64 + PAGES, "the first time: {grown} bytes more for {}", body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_pinned_is_said_of_the_first_few_and_counted() {
    let upstream = ScriptedUpstream::start().await;
    let policy = "policies:\n  company: { mode: enforce, repositories: { hexpm: { cooldown: 7d } } }\n";
    let home = Home::new(&format!("{}{policy}", Home::config(&upstream.url(), ", policy: company")));
    home.write("registry.pem", &super::support::registry::TestRegistry::new("hexpm").public_key());
    let lock = |count: usize| {
        let entries: Vec<String> = (0..count)
            .map(|number| format!(" {{<<\"p{number}\">>,{{pkg,<<\"p{number}\">>,<<\"1.0.0\">>}},0}}"))
            .collect();
        format!("{{\"1.2.0\",\n[{}]}}.\n", entries.join(",\n"))
    };
    for (count, lines) in [(1, 1), (20, 20), (300, 21)] {
        home.write("rebar.lock", &lock(count));
        let said = home.run(&["pin", "hexpm", "--lock", "rebar.lock", "--reason", "SEC-1"]);
        assert_eq!((said.code, said.stdout.as_str()), (1, "0 releases are pinned for `hexpm`\n"), "{said:?}");
        assert_eq!(said.stderr.lines().count(), lines, "{said:?}");
        assert!(said.stderr.starts_with("p0 1.0.0 is not pinned: the lock file has no checksum of it\n"), "{said:?}");
        assert_eq!(said.stderr.ends_with("in total, 300 releases are not pinned\n"), count == 300, "{said:?}");
    }
}
