//! Tests of claimed and given-up names.

use super::*;
use crate::hex::checksum::Sha256;
use crate::hex::index::{PackageIndex, Release};
use crate::state::ledger::{ChangeRule, ReleaseRemarks};
use crate::state::testing::{Database, on_each_engine};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

async fn what_was_claimed_is_claimed_again_after_a_restart_until_it_is_given_back(database: Database) {
    let state = database.open().await;
    state.claim("corp", ["b", "a"], at(1)).await.unwrap();
    state.claim("corp", ["a", "c"], at(2)).await.unwrap();
    let by = Actor::console();
    assert_eq!(state.forget_name(at(3), ("corp", "b"), &by).await.unwrap(), ForgottenName::Done);
    assert_eq!(state.forget_name(at(3), ("corp", "b"), &by).await.unwrap(), ForgottenName::Unclaimed, "no more");
    assert_eq!(
        state.forget_name(at(3), ("other", "a"), &by).await.unwrap(),
        ForgottenName::Unclaimed,
        "it is not that one's"
    );
    for restarted in [false, true] {
        let state = if restarted { database.open().await } else { state.clone() };
        let names = state.claimed("corp").await.unwrap();
        let seen: Vec<_> = ["a", "b", "c"].map(|name| names.since(name)).into();
        assert_eq!(seen, [Some(at(1)), None, Some(at(2))], "restarted: {restarted}");
    }
    state.claim("corp", ["b"], at(4)).await.unwrap();
    assert_eq!(state.claimed("corp").await.unwrap().since("b"), Some(at(4)), "the repository claims the name again");
    let state = database.open().await;
    assert_eq!(state.claimed("corp").await.unwrap().since("b"), Some(at(4)));
}

async fn the_ledger_claims(database: Database) {
    let state = database.open().await;
    let outer = Some(Sha256::of(b"x"));
    let release = Release { version: "1.0.0".into(), inner: None, outer, published_at: None };
    let index = PackageIndex { name: "core".into(), repository: "corp".into(), releases: vec![release] };
    state.record("corp", &index, &ReleaseRemarks::default(), ChangeRule::Allow, at(5)).await.unwrap().1.unwrap();
    assert_eq!(state.claimed("corp").await.unwrap().since("core"), Some(at(5)));
    assert_eq!(state.forget_name(at(6), ("corp", "core"), &Actor::console()).await.unwrap(), ForgottenName::Done);
    let state = database.open().await;
    assert!(!state.claimed("corp").await.unwrap().has("core"), "the claim was given up, despite the ledger");
}

async fn changes_are_told_by_version(database: Database) {
    let state = database.open().await;
    state.claim("corp", ["a"], at(1)).await.unwrap();
    let names = state.claimed("corp").await.unwrap();
    let before = names.version();
    state.claim("corp", ["a"], at(2)).await.unwrap();
    assert_eq!(names.version(), before, "no name is new");
    state.claim("corp", ["b"], at(2)).await.unwrap();
    state.forget_name(at(3), ("corp", "a"), &Actor::console()).await.unwrap();
    let changed: Vec<String> = names.changed_since(before).iter().map(ToString::to_string).collect();
    assert_eq!(changed, ["b", "a"]);
    assert_eq!(names.changed_since(names.version()), Vec::<Arc<str>>::new());
    assert_ne!(names.version().to_bytes(), before.to_bytes());
}

async fn what_cannot_be_written_is_claimed_and_written_later(database: Database) {
    let state = database.open().await;
    let names = state.claimed("corp").await.unwrap();
    names.add_unwritten("a", at(1));
    assert!(names.has("a"));
    state.claim("corp", ["a"], at(2)).await.unwrap();
    let state = database.open().await;
    assert_eq!(state.claimed("corp").await.unwrap().since("a"), Some(at(2)));
}

on_each_engine!(
    what_was_claimed_is_claimed_again_after_a_restart_until_it_is_given_back,
    the_ledger_claims,
    changes_are_told_by_version,
    what_cannot_be_written_is_claimed_and_written_later,
);
