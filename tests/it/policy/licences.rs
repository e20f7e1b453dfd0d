//! The rule for licences, from outside: what cannot be read is refused and never taken for "states none", and expressions
//! are taken apart.

use super::super::support::tarballs::archive;
use super::delivery::worlds;
use super::*;

use hexkeep::hex::checksum::{Hasher, Sha256};
use hexkeep::store::index::{CacheIndex as _, SledIndex, Tree};

const RULE: &str = "licenses: {deny: [AGPL-3.0-only], unknown: allow}";

/// `metadata.config` of a version with this text at its end.
fn config(version: &str, rest: &str) -> String {
    format!("{{<<\"name\">>,<<\"jason\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{rest}")
}

/// The key and the value of the field.
fn licences(value: &str) -> String {
    format!("{{<<\"licenses\">>,{value}}}.\n")
}

fn denied() -> String {
    licences("[<<\"AGPL-3.0-only\">>]")
}

/// A daemon whose upstream has one release for each of these ends of `metadata.config`: 1.0.0, 1.0.1, …
async fn stating(wishes: Wishes, all: &[String]) -> Hub {
    let mut hub = Hub::with(wishes).await;
    for (number, rest) in all.iter().enumerate() {
        let version = format!("1.0.{number}");
        let (bytes, inner) = pack(config(&version, rest).as_bytes(), &vec![7; 900]);
        hub.registry.add_bytes("jason", &version, bytes, inner);
        hub.upstream.serve(&format!("/docs/jason-{version}.tar.gz"), &b"docs"[..]);
    }
    hub.publish();
    hub
}

/// What clients of Hex read as a licence that is denied.
fn read_as_denied() -> Vec<(&'static str, String)> {
    vec![
        ("an octal escape", licences(r#"[<<"\101GPL-3.0-only">>]"#)),
        ("a bare binary", licences("<<\"AGPL-3.0-only\">>")),
        ("a bare string", licences("\"AGPL-3.0-only\"")),
        ("bytes", licences("[<<65,71,80,76,\"-3.0-only\">>]")),
        ("an atom elsewhere", format!("{{<<\"x\">>,erlang}}.\n{}", denied())),
        ("a control character elsewhere", format!("{{<<\"x\">>,<<\"\\^A\\001\">>}}.\n{}", denied())),
    ]
}

/// What our reader does not read, or what is read in more than one way.
fn unreadable() -> Vec<(&'static str, String)> {
    let nested = format!("{{<<\"x\">>,{}{}}}.\n", "[".repeat(70), "]".repeat(70));
    vec![
        ("a hexadecimal escape", licences(r#"[<<"\x41GPL-3.0-only">>]"#)),
        ("another one", licences(r#"[<<"\x{41}GPL-3.0-only">>]"#)),
        ("a character", format!("{{<<\"x\">>,$c}}.\n{}", denied())),
        ("a base", format!("{{<<\"x\">>,16#ff}}.\n{}", denied())),
        ("a big integer", format!("{{<<\"x\">>,{}}}.\n{}", "9".repeat(300), denied())),
        ("deep lists", nested + &denied()),
        ("a long text", format!("{{<<\"x\">>,<<\"{}\">>}}.\n{}", "x".repeat(1 << 20), denied())),
        ("an atom", licences("['AGPL-3.0-only']")),
        ("a map", licences("#{<<\"AGPL-3.0-only\">> => <<\"x\">>}")),
        ("no UTF-8", licences("[<<255>>]")),
        ("nothing readable", "no terms at all".to_owned()),
        ("no full stop", "{<<\"licenses\">>,[<<\"MIT\">>]}".to_owned()),
        // A space behind a backslash is nothing to Hex's reader.
        ("a backslash and a space", licences(r#"[<<"AGPL-3.0-\ only">>]"#)),
        // To Hex's reader the quote behind `\^` is no end of a text where another one follows.
        ("a text that ends in two ways", format!("{{<<\"x\">>,<<\"\\\\^\">>}}.\n{}", licences("[<<\"MIT\">>]"))),
        ("a byte beyond 255", licences("[<<321,\"GPL-3.0-only\">>]")),
        ("twice", licences("[<<\"MIT\">>]") + &denied()),
        ("as a text and as an atom", denied() + "{licenses,[<<\"MIT\">>]}.\n"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn licences_that_cannot_be_read_are_refused_and_not_taken_for_none() {
    let (readable, unreadable) = (read_as_denied(), unreadable());
    let none = [String::new(), licences("[]"), licences("nil"), licences("[<<\"MIT\">>]")];
    let all: Vec<String> = readable.iter().chain(&unreadable).map(|(_, rest)| rest.clone()).chain(none).collect();
    for (world, wishes) in worlds("enforce", RULE, "30d", "") {
        let mut hub = stating(wishes, &all).await;
        for _ in 0..2 {
            for (number, (what, _)) in readable.iter().chain(&unreadable).enumerate() {
                for path in [format!("/tarballs/jason-1.0.{number}.tar"), format!("/docs/jason-1.0.{number}.tar.gz")] {
                    let refused = hub.get(&path).await;
                    assert_eq!(refused.status, 403, "{world}: {what}");
                    let why = if number < readable.len() {
                        "it has the licence AGPL-3.0-only"
                    } else {
                        "it has licences that cannot be determined"
                    };
                    assert!(refused.text().contains(why), "{world}: {what}: {}", refused.text());
                }
            }
            let left = readable.len() + unreadable.len()..all.len();
            for number in left.clone() {
                let answer = hub.get(&format!("/tarballs/jason-1.0.{number}.tar")).await;
                assert_eq!(answer.status, 200, "{world}: 1.0.{number}: {}", answer.text());
            }
            let mut shown = listed(&hub).await;
            shown.sort();
            let mut expected: Vec<String> = left.map(|number| format!("1.0.{number}")).collect();
            expected.sort();
            assert_eq!(shown, expected, "{world}: the list leaves out what is held");
            hub.restart().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_excuses_no_licence_that_cannot_be_decided_and_a_waiver_does() {
    let rule = "licenses: {deny: [AGPL-3.0-only]}, locked: {licenses: keep}";
    let mut hub = stating(policy("own", "enforce", rule), &[licences("[<<\"\\x41\">>]")]).await;
    let path = "/tarballs/jason-1.0.0.tar";
    assert_eq!(hub.get(path).await.status, 403);
    let waive = ["policy", "waive", "hexpm", "jason", "~> 1.0", "--until", "2099-12-31", "--reason", "SEC-1"];
    assert_eq!(hub.command(&waive).await.0, 0);
    assert_eq!(hub.get(path).await.status, 200);
    assert_eq!(hub.command(&["policy", "withdraw", "hexpm", "1"]).await.0, 0);
    for _ in 0..2 {
        assert_eq!(hub.get(path).await.status, 403);
        hub.restart().await;
    }
}

/// A tarball with one part more, behind the others.
fn doubled(version: &str, part: &str, content: &[u8], first: &str) -> (bytes::Bytes, Sha256) {
    let (metadata, contents) = (config(version, first), vec![7; 900]);
    let mut inner = Hasher::new();
    for part in [b"3", metadata.as_bytes(), &contents] {
        inner.update(part);
    }
    let inner = inner.finish();
    let checksum = inner.to_string().to_uppercase();
    let files: [(&str, &[u8]); 5] = [
        ("VERSION", b"3"),
        ("CHECKSUM", checksum.as_bytes()),
        ("metadata.config", metadata.as_bytes()),
        ("contents.tar.gz", &contents),
        (part, content),
    ];
    (archive(&files).into(), inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_tarball_that_is_there_twice_decides_nothing() {
    let mit = licences("[<<\"MIT\">>]");
    let parts: [(&str, Vec<u8>); 9] = [
        ("metadata.config", config("1.0.0", &denied()).into_bytes()),
        ("metadata.config", config("1.0.0", &mit).into_bytes()),
        ("contents.tar.gz", vec![8; 900]),
        ("VERSION", b"3".to_vec()),
        ("CHECKSUM", vec![b'0'; 64]),
        ("./metadata.config", config("1.0.0", &denied()).into_bytes()),
        // The same file on disks of other systems, to which clients unpack.
        ("METADATA.config", config("1.0.0", &denied()).into_bytes()),
        ("metadata.config.", config("1.0.0", &denied()).into_bytes()),
        ("METADA~1.CON", config("1.0.0", &denied()).into_bytes()),
    ];
    for (world, wishes) in worlds("enforce", RULE, "30d", "") {
        for size in [0, 400_000] {
            let mut hub = Hub::with(wishes.clone()).await;
            for (number, (part, content)) in parts.iter().enumerate() {
                let content = if *part == "contents.tar.gz" { vec![8; 900 + size] } else { content.clone() };
                let version = format!("1.0.{number}");
                let (bytes, inner) = doubled(&version, part, &content, &mit);
                hub.registry.add_bytes("jason", &version, bytes, inner);
            }
            // What no reader looks at makes no difference.
            let (bytes, inner) = doubled("1.1.0", "README", b"hello", &mit);
            hub.registry.add_bytes("jason", "1.1.0", bytes, inner);
            hub.publish();
            for _ in 0..2 {
                for (number, (part, _)) in parts.iter().enumerate() {
                    let refused = hub.get(&format!("/tarballs/jason-1.0.{number}.tar")).await;
                    assert_eq!(refused.status, 403, "{world}: {part} twice");
                    let text = refused.text();
                    let why = if part.contains('~') { "is not a plain name" } else { "occurs twice" };
                    assert!(text.contains("it has licences that cannot be determined"), "{text}");
                    assert!(text.contains(why), "{text}");
                }
                assert_eq!(hub.get(NEW).await.status, 200, "{world}");
                hub.restart().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_is_denied_where_it_needs_a_denied_licence() {
    let denied = [
        "AGPL-3.0-only",
        " agpl-3.0-only ",
        "AGPL-3.0-only+",
        "AGPL-3.0+",
        "AGPL-3.0",
        "AGPL-3.0-or-later",
        "(AGPL-3.0-only)",
        "MIT AND AGPL-3.0-only",
        "mit and agpl-3.0",
        "Mine AND AGPL-3.0-only",
        "AGPL-3.0-only OR AGPL-3.0-or-later",
        "AGPL-3.0-only WITH Classpath-exception-2.0",
    ];
    let allowed = ["MIT", "(MIT OR AGPL-3.0-only)", "MIT/AGPL-3.0", "AGPL-1.0-only", "Mine", "MIT AND", ""];
    let all: Vec<String> = denied.iter().chain(&allowed).map(|text| licences(&format!("[<<\"{text}\">>]"))).collect();
    for (world, wishes) in worlds("enforce", RULE, "30d", "") {
        let hub = stating(wishes, &all).await;
        for (number, text) in denied.iter().chain(&allowed).enumerate() {
            let answer = hub.get(&format!("/tarballs/jason-1.0.{number}.tar")).await;
            let expected = if number < denied.len() { 403 } else { 200 };
            assert_eq!(answer.status, expected, "{world}: {text:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_for_a_reason_that_is_not_known_is_held_by_no_list_of_reasons() {
    let reasons = "retirement_reasons: [other, invalid, security, deprecated, renamed]";
    for (world, wishes) in worlds("enforce", reasons, "30d", "") {
        let mut hub = Hub::with(wishes).await;
        for version in ["1.0.0", "1.1.0"] {
            hub.registry.add("jason", version);
        }
        for (release, reason) in hub.registry.package_mut("jason").releases.iter_mut().zip([77, 0]) {
            release.retired = Some(RetirementStatus { reason, message: None });
        }
        hub.publish();
        assert_eq!(listed(&hub).await, ["1.0.0"], "{world}");
        assert_eq!(hub.get(OLD).await.status, 200, "{world}");
        assert_eq!(hub.get(NEW).await.status, 403, "{world}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_took_for_no_licence_is_read_again() {
    let mut hub = stating(policy("own", "enforce", RULE), &[licences("[<<\"\\x41\">>]"), denied()]).await;
    hub.stop().await;
    let index = SledIndex::open(&hub.data().join("index")).unwrap();
    for release in &hub.registry.package_ref("jason").releases {
        let digest = Sha256::try_from(&release.outer_checksum.clone().unwrap()[..]).unwrap();
        index.put(Tree::Licences, &digest.to_string(), br#"{"v":1,"licences":[]}"#).unwrap();
    }
    index.flush().unwrap();
    drop(index);
    hub.launch().await;
    for number in 0..2 {
        assert_eq!(hub.get(&format!("/tarballs/jason-1.0.{number}.tar")).await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_read_is_allowed_so_far() {
    let hub = stating(policy("own", "enforce", RULE), &[licences("[<<\"MIT\">>]")]).await;
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("mix.lock");
    std::fs::write(&lock, "%{\n\"jason\": {:hex, :jason, \"1.0.0\", nil, [], [], \"hexpm\", nil},\n}\n").unwrap();
    let test = ["policy", "test", "hexpm", "--lock", lock.to_str().unwrap()];
    let so_far = "jason 1.0.0 is allowed so far: its licences are read at the first download";
    let (code, said, _) = hub.command(&["policy", "why", "hexpm", "jason"]).await;
    assert_eq!((code, said.trim_end()), (0, so_far));
    let (code, said, error) = hub.command(&test).await;
    assert_eq!((code, said.trim_end(), error.trim_end()), (0, so_far, "0 of 1 release is held"));
    assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200);
    let (_, said, _) = hub.command(&["policy", "why", "hexpm", "jason"]).await;
    assert_eq!(said.trim_end(), "jason 1.0.0 is allowed");
    assert_eq!(hub.command(&test).await.1, "");
}
