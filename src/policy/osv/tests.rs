//! Tests of advisory dumps and of the advisories that they add to indexes.

use proptest::prelude::*;

use super::*;
use crate::hex::message::{Package, Release, SecurityAdvisory, Versions, versions};
use crate::policy::release_facts::PackageFacts;
use crate::policy::severity::Severity;

fn entry(id: &str, aliases: &[&str], ranges: serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "id": id, "aliases": aliases, "summary": "It breaks\n", "modified": "2026-01-01T00:00:00Z",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "references": [{"type": "WEB", "url": "https://example.com/web"}, {"type": "ADVISORY", "url": "https://example.com/a"}],
        "affected": [{"package": {"ecosystem": "Hex", "name": "jason"}, "ranges": ranges}],
    })
}

fn semver(events: serde_json::Value) -> serde_json::Value {
    serde_json::json!([{"type": "SEMVER", "events": events}])
}

fn dump(entries: &[serde_json::Value]) -> AdvisoryDump {
    AdvisoryDump::read(&serde_json::to_vec(entries).unwrap()).unwrap()
}

fn payload(versions: &[&str], advisories: Vec<SecurityAdvisory>) -> Vec<u8> {
    let release = |version: &&str| Release {
        version: (*version).to_owned(),
        inner_checksum: vec![7; 32],
        advisory_indexes: if advisories.is_empty() { Vec::new() } else { vec![0] },
        ..Release::default()
    };
    let releases = versions.iter().map(release).collect();
    Package { name: "jason".to_owned(), repository: "hexpm".to_owned(), releases, advisories: advisories.clone() }
        .encode_to_vec()
}

/// The identifiers of each release's advisories.
fn advised(payload: &[u8]) -> Vec<Vec<String>> {
    let facts = PackageFacts::read(payload).unwrap();
    let ids = |release| facts.advisories_of(release).map(|advisory| advisory.id.to_string()).collect();
    facts.releases.iter().map(ids).collect()
}

#[test]
fn what_is_affected_gets_the_advisory() {
    for (events, expected) in [
        (serde_json::json!([{"introduced": "0"}, {"fixed": "1.1.0"}]), [true, false, false]),
        (serde_json::json!([{"fixed": "1.2.0"}, {"introduced": "1.1.0"}]), [false, true, false]),
        (serde_json::json!([{"introduced": "0"}, {"last_affected": "1.1.0"}]), [true, true, false]),
        (serde_json::json!([{"introduced": "1.1.0"}]), [false, true, true]),
        (serde_json::json!([{"introduced": "0"}, {"fixed": "1.1.0"}, {"introduced": "1.2.0"}]), [true, false, true]),
        (serde_json::json!([{"introduced": "nonsense"}, {"fixed": "1.1.0"}]), [true, false, false]),
        (serde_json::json!([]), [false, false, false]),
    ] {
        let dump = dump(&[entry("GHSA-1", &["CVE-1"], semver(events.clone()))]);
        let before = payload(&["1.0.0", "1.1.0", "1.2.0"], vec![]);
        let after = dump.add_to_package("jason", &before).unwrap();
        let found: Vec<bool> = advised(&after).iter().map(|ids| *ids == ["GHSA-1"]).collect();
        assert_eq!(found, expected, "{events}");
        assert_eq!(matches!(after, Cow::Borrowed(_)), expected == [false; 3], "{events}");
        assert!(matches!(dump.add_to_package("other", &before).unwrap(), Cow::Borrowed(_)));
    }
}

#[test]
fn what_is_carried_already_is_not_added_and_keeps_its_place() {
    let theirs = SecurityAdvisory { id: "EEF-1".to_owned(), aliases: vec!["cve-1".to_owned()], ..Default::default() };
    let all = semver(serde_json::json!([{"introduced": "0"}]));
    let dump = dump(&[entry("GHSA-1", &["CVE-1"], all.clone()), entry("GHSA-2", &[], all)]);
    let before = payload(&["1.0.0"], vec![theirs]);
    let after = dump.add_to_package("jason", &before).unwrap();
    assert_eq!(advised(&after), [["EEF-1", "GHSA-2"]]);
    let facts = PackageFacts::read(&after).unwrap();
    assert_eq!(facts.advisories[1].severity, Severity::Critical);
    let signed: Vec<bool> = facts.advisories.iter().map(|one| one.is_signed).collect();
    assert_eq!(signed, [true, false], "what was added is told apart");
    let package = Package::decode(&*after).unwrap();
    let advisory = &package.advisories[1];
    assert_eq!((advisory.summary.as_deref(), advisory.cvss_score), (Some("It breaks"), Some(9.8)));
    assert_eq!(advisory.html_url.as_deref(), Some("https://example.com/a"));
    let again = dump.add_to_package("jason", &after).unwrap();
    assert!(matches!(again, Cow::Borrowed(_)), "once");
}

fn day(text: &str) -> Timestamp {
    crate::policy::date_time::parse(text).unwrap()
}

#[test]
fn an_entry_counts_until_it_is_withdrawn() {
    let with = |id: &str, withdrawn: Option<&str>| {
        let mut entry = entry(id, &[], semver(serde_json::json!([{"introduced": "0"}])));
        entry["withdrawn"] = withdrawn.into();
        entry
    };
    let all = dump(&[
        with("GHSA-1", Some("2026-03-01T00:00:00.5Z")),
        with("GHSA-2", None),
        with("GHSA-3", Some("2026-01-01T00:00:00Z")),
        with("GHSA-4", Some("some day")),
    ]);
    let payload = payload(&["1.0.0"], vec![]);
    let mut steps = all.clone();
    let mut digests = BTreeSet::from([*all.digest()]);
    for (at, counts) in [
        ("2025-12-31T23:59:59Z", &["GHSA-1", "GHSA-2", "GHSA-3", "GHSA-4"][..]),
        ("2026-01-01T00:00:00Z", &["GHSA-1", "GHSA-2", "GHSA-4"]),
        ("2026-02-28T23:59:59Z", &["GHSA-1", "GHSA-2", "GHSA-4"]),
        ("2026-03-01T00:00:00Z", &["GHSA-2", "GHSA-4"]),
        ("2099-01-01T00:00:00Z", &["GHSA-2", "GHSA-4"]),
    ] {
        let (now, at_once) = (day(at), all.clone().without_withdrawn(day(at)));
        steps = steps.without_withdrawn(now);
        assert_eq!(steps, at_once, "{at}: however many steps lead there");
        assert!(!steps.has_withdrawn(now) && steps.len() == counts.len(), "{at}");
        let after = steps.add_to_package("jason", &payload).unwrap().into_owned();
        assert_eq!(advised(&after), [counts.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()], "{at}");
        digests.insert(*steps.digest());
    }
    assert_eq!(digests.len(), 3);
}

#[test]
fn entries_that_do_not_count() {
    let all = || semver(serde_json::json!([{"introduced": "0"}]));
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = entry("GHSA-1", &[], all());
        changed[key] = value;
        changed
    };
    let elsewhere = serde_json::json!([{"package": {"ecosystem": "npm", "name": "jason"}, "ranges": all()}]);
    for unfit in [
        with("withdrawn", serde_json::json!("2026-01-01T00:00:00Z")),
        with("affected", elsewhere),
        with("affected", serde_json::json!([{"ranges": all()}])),
        with("id", serde_json::json!("with a\nline")),
    ] {
        assert!(
            dump(std::slice::from_ref(&unfit)).without_withdrawn(day("2026-01-01T00:00:00Z")).is_empty(),
            "{unfit}"
        );
    }
    let listed = serde_json::json!([{"package": {"ecosystem": "Hex", "name": "jason"}, "versions": ["1.0.0"]}]);
    let dump = dump(&[with("affected", listed)]);
    let after = dump.add_to_package("jason", &payload(&["1.0.0", "1.1.0"], vec![])).unwrap().into_owned();
    assert_eq!(advised(&after), [vec!["GHSA-1".to_owned()], vec![]]);
    let mut words = entry("GHSA-2", &[], all());
    words["severity"] = serde_json::json!([{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}]);
    for (word, expected) in [("MODERATE", Severity::Medium), ("odd", Severity::Unknown)] {
        words["database_specific"] = serde_json::json!({ "severity": word });
        let found = AdvisoryDump::read(words.to_string().as_bytes()).unwrap();
        let after = found.add_to_package("jason", &payload(&["1.0.0"], vec![])).unwrap().into_owned();
        assert_eq!(PackageFacts::read(&after).unwrap().advisories[0].severity, expected, "{word}");
    }
}

#[test]
fn an_advisory_is_withdrawn_at_a_time_that_can_be_read() {
    let now = day("2026-06-01T12:00:00Z");
    for (written, counts) in [
        ("", true),
        ("soon", true),
        ("2026-01-01", true),
        ("2026-06-01T12:00:01Z", true),
        ("2026-06-01T08:00:00-05:00", true),
        ("2026-06-01T07:00:00-05:00", false),
        ("2026-06-01T13:00:00+00:30", true),
        ("2026-06-01T13:00:00+01:00", false),
        ("2026-06-01T12:00:00Z", false),
    ] {
        let mut changed = entry("GHSA-1", &[], semver(serde_json::json!([{"introduced": "0"}])));
        changed["withdrawn"] = serde_json::json!(written);
        assert_eq!(dump(&[changed]).without_withdrawn(now).len() == 1, counts, "{written:?}");
    }
}

#[test]
fn vectors_of_either_version_are_scored_and_the_gravest_counts() {
    let three = serde_json::json!({"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"});
    let four = serde_json::json!({
        "type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N",
    });
    let two = serde_json::json!({"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"});
    let mut scored = entry("GHSA-1", &[], semver(serde_json::json!([{"introduced": "0"}])));
    for (vectors, expected, score) in [
        (vec![&three], Severity::Medium, Some(6.1)),
        (vec![&four], Severity::High, Some(8.7)),
        (vec![&three, &four], Severity::High, Some(8.7)),
        (vec![&four, &three, &two], Severity::High, Some(8.7)),
        (vec![&two], Severity::Unknown, None),
    ] {
        scored["severity"] = serde_json::json!(vectors);
        let after = dump(std::slice::from_ref(&scored))
            .add_to_package("jason", &payload(&["1.0.0"], vec![]))
            .unwrap()
            .into_owned();
        assert_eq!(PackageFacts::read(&after).unwrap().advisories[0].severity, expected, "{vectors:?}");
        assert_eq!(Package::decode(&*after).unwrap().advisories[0].cvss_score, score, "{vectors:?}");
    }
}

#[test]
fn lists_say_which_versions_have_advisories() {
    let dump = dump(&[entry("GHSA-1", &[], semver(serde_json::json!([{"introduced": "1.1.0"}])))]);
    let package = |name: &str| versions::Package {
        name: name.to_owned(),
        versions: ["1.0.0", "1.1.0", "1.2.0"].map(str::to_owned).to_vec(),
        with_advisories: vec![0],
        retired: vec![1],
    };
    let before =
        Versions { packages: vec![package("jason"), package("plug")], repository: "hexpm".to_owned() }.encode_to_vec();
    let after = Versions::decode(&*dump.add_to_versions(&before).unwrap()).unwrap();
    assert_eq!(after.packages[0].with_advisories, [0, 1, 2]);
    assert_eq!(after.packages[0].retired, [1]);
    assert_eq!(after.packages[1], package("plug"));
}

/// A zip archive of these files, as other programs make it, stored or deflated.
fn archive(files: &[(&str, &[u8])], deflate: bool) -> Vec<u8> {
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let packed = if deflate { miniz_oxide::deflate::compress_to_vec(content, 6) } else { content.to_vec() };
        let at = u32::try_from(out.len()).unwrap().to_le_bytes();
        let mut head = vec![20, 0, 0, 0, if deflate { 8 } else { 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        head.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        head.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        head.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        head.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&head);
        out.extend(name.as_bytes());
        out.extend(packed);
        central.extend(b"PK\x01\x02\x14\x00");
        central.extend(&head);
        central.extend([0; 10]);
        central.extend(at);
        central.extend(name.as_bytes());
    }
    let (at, count) = (u32::try_from(out.len()).unwrap(), u16::try_from(files.len()).unwrap());
    out.extend(&central);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(u32::try_from(central.len()).unwrap().to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

#[test]
fn a_dump_may_be_an_archive() {
    let all = semver(serde_json::json!([{"introduced": "0"}]));
    let (one, two) = (entry("GHSA-1", &[], all.clone()).to_string(), entry("GHSA-2", &[], all).to_string());
    let files = [("GHSA-1.json", one.as_bytes()), ("README", b"words".as_slice()), ("b/GHSA-2.json", two.as_bytes())];
    for deflate in [true, false] {
        assert_eq!(AdvisoryDump::read(&archive(&files, deflate)).unwrap().len(), 2);
    }
    let sound = archive(&files, true);
    for cut in [4, sound.len() / 2, sound.len() - 7] {
        assert!(AdvisoryDump::read(&sound[..cut]).is_err(), "{cut}");
    }
    let error = AdvisoryDump::read(&archive(&[("x.json", b"{")], true)).unwrap_err().to_string();
    assert!(error.starts_with("x.json: "), "{error}");
    let bomb = vec![b' '; limits::OSV_FILE + 1];
    let error = AdvisoryDump::read(&archive(&[("x.json", &bomb)], true)).unwrap_err().to_string();
    assert!(error.ends_with("it contains a file that is damaged or too large"), "{error}");
    assert!(AdvisoryDump::read(b"not a dump").is_err());
}

proptest! {
    /// Reading never panics, whatever the bytes are.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), begins: bool) {
        let mut dump = if begins { b"PK\x03\x04".to_vec() } else { Vec::new() };
        dump.extend(bytes);
        dump.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00");
        let _ = AdvisoryDump::read(&dump);
    }
}
