//! Tests of the ledger: verdicts on known releases, and stored records.

use super::*;
use crate::state::testing::{Database, on_each_engine};

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

async fn record(
    state: &State,
    repository: &str,
    index: &PackageIndex,
    rule: ChangeRule,
    now: Timestamp,
) -> LedgerFindings {
    let (findings, written) = state.record(repository, index, &ReleaseRemarks::new(), rule, now).await.unwrap();
    written.unwrap();
    findings
}

async fn a_refusal_is_reported_once_and_kept(database: Database) {
    let state = database.open().await;
    let first = index(vec![release("1.0.0", 1), release("1.1.0", 2)]);
    assert_eq!(record(&state, "hexpm", &first, ChangeRule::Window, at(0)).await, LedgerFindings::default());

    let changed = index(vec![release("1.0.0", 9), release("1.1.0", 2)]);
    let late = at(25 * HOUR);
    let findings = record(&state, "hexpm", &changed, ChangeRule::Window, late).await;
    assert_eq!(findings.refused, ["1.0.0".into()]);
    assert_eq!(findings.newly_refused, ["1.0.0".into()]);
    state.close().await;

    let state = database.open().await;
    let findings = record(&state, "hexpm", &changed, ChangeRule::Window, late).await;
    assert_eq!((findings.refused.len(), findings.newly_refused.len()), (1, 0));
    let findings = record(&state, "hexpm", &first, ChangeRule::Window, late).await;
    assert_eq!(
        (findings.restored, findings.refused),
        (vec!["1.0.0".into()], vec![]),
        "the former checksum is not refused"
    );
    assert_eq!(state.refused("hexpm").await.unwrap(), []);
    let findings = record(&state, "hexpm", &changed, ChangeRule::Allow, late).await;
    assert_eq!(findings.changed, ["1.0.0".into()]);
    let findings = record(&state, "hexpm", &changed, ChangeRule::Refuse, late).await;
    assert_eq!(findings, LedgerFindings::default(), "the accepted checksum is now the known one");
}

async fn repositories_do_not_share_a_ledger(database: Database) {
    let state = database.open().await;
    record(&state, "a", &index(vec![release("1.0.0", 1)]), ChangeRule::Refuse, at(0)).await;
    let findings = record(&state, "b", &index(vec![release("1.0.0", 2)]), ChangeRule::Refuse, at(0)).await;
    assert_eq!(findings, LedgerFindings::default());
}

on_each_engine!(a_refusal_is_reported_once_and_kept, repositories_do_not_share_a_ledger,);
