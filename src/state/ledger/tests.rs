//! What the ledger says to releases that it knows, and what it keeps.

use super::*;

const HOUR: u64 = 3600;

fn digest(byte: u8) -> Option<Sha256> {
    Some(Sha256::of(&[byte]))
}

fn release(version: &str, byte: u8) -> Release {
    Release { version: version.into(), inner: digest(byte), outer: digest(byte + 100), published_at: None }
}

fn index(releases: Vec<Release>) -> PackageIndex {
    PackageIndex { name: "jason".into(), repository: "hexpm".into(), releases }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + seconds)
}

#[test]
fn the_windows_are_hex_pms() {
    let known = Record {
        outer: digest(101),
        inner: digest(1),
        published_at: None,
        first_seen: at(0),
        refused: None,
        remark: None,
    };
    let changed = release("1.0.0", 2);
    let old_package = Timestamp::from_secs(0);
    for (seconds, born, rule, verdict) in [
        (HOUR, old_package, ChangeRule::Window, Verdict::Changed),
        (HOUR + 1, old_package, ChangeRule::Window, Verdict::Refused),
        (24 * HOUR, at(0), ChangeRule::Window, Verdict::Changed),
        (24 * HOUR + 1, at(0), ChangeRule::Window, Verdict::Refused),
        (48 * HOUR, old_package, ChangeRule::Allow, Verdict::Changed),
        (0, old_package, ChangeRule::Refuse, Verdict::Refused),
    ] {
        assert_eq!(judge(&changed, Some(&known), born, rule, at(seconds)), verdict, "{seconds} {rule:?}");
    }
    assert_eq!(judge(&release("1.0.0", 1), Some(&known), old_package, ChangeRule::Refuse, at(0)), Verdict::Same);
    assert_eq!(judge(&changed, None, old_package, ChangeRule::Refuse, at(0)), Verdict::New);
}

#[test]
fn dropping_one_checksum_does_not_hide_a_change_of_the_other() {
    let known = Record {
        outer: digest(101),
        inner: digest(1),
        published_at: None,
        first_seen: at(0),
        refused: None,
        remark: None,
    };
    let only_inner = Release { outer: None, ..release("1.0.0", 2) };
    let verdict = judge(&only_inner, Some(&known), at(0), ChangeRule::Refuse, at(0));
    assert_eq!(verdict, Verdict::Refused);
}

async fn record(state: &State, repository: &str, index: &PackageIndex, rule: ChangeRule, now: Timestamp) -> Findings {
    let (findings, written) = state.record(repository, index, &Remarks::new(), rule, now).await.unwrap();
    written.unwrap();
    findings
}

#[tokio::test]
async fn a_refusal_is_reported_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path()).await.unwrap();
    let first = index(vec![release("1.0.0", 1), release("1.1.0", 2)]);
    assert_eq!(record(&state, "hexpm", &first, ChangeRule::Window, at(0)).await, Findings::default());

    let changed = index(vec![release("1.0.0", 9), release("1.1.0", 2)]);
    let late = at(25 * HOUR);
    let findings = record(&state, "hexpm", &changed, ChangeRule::Window, late).await;
    assert_eq!(findings.refused, ["1.0.0".into()]);
    assert_eq!(findings.newly_refused, ["1.0.0".into()]);
    state.close().await;

    let state = State::open(folder.path()).await.unwrap();
    let findings = record(&state, "hexpm", &changed, ChangeRule::Window, late).await;
    assert_eq!((findings.refused.len(), findings.newly_refused.len()), (1, 0));
    let findings = record(&state, "hexpm", &first, ChangeRule::Window, late).await;
    assert_eq!((findings.restored, findings.refused), (vec!["1.0.0".into()], vec![]), "what it was is not refused");
    assert_eq!(state.refused("hexpm").await.unwrap(), []);
    let findings = record(&state, "hexpm", &changed, ChangeRule::Allow, late).await;
    assert_eq!(findings.changed, ["1.0.0".into()]);
    let findings = record(&state, "hexpm", &changed, ChangeRule::Refuse, late).await;
    assert_eq!(findings, Findings::default(), "what was accepted is now what the release is");
}

#[tokio::test]
async fn repositories_do_not_share_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path()).await.unwrap();
    record(&state, "a", &index(vec![release("1.0.0", 1)]), ChangeRule::Refuse, at(0)).await;
    let findings = record(&state, "b", &index(vec![release("1.0.0", 2)]), ChangeRule::Refuse, at(0)).await;
    assert_eq!(findings, Findings::default());
}
