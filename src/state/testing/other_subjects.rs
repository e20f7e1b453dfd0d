//! Further tests on each engine.

use std::collections::{BTreeMap, BTreeSet};

use super::packages::{at, publish};
use super::{Database, on_each_engine};
use crate::hex::checksum::Sha256;
use crate::hex::index::{PackageIndex, Release};
use crate::state::StateError;
use crate::state::audit::{Action, Actor};
use crate::state::exemptions::{GraceKind, HeldSince, Pin, View};
use crate::state::ledger::{ChangeRule, ReleaseRemarks};

async fn lines_of_the_audit_log_are_added_and_read(database: Database) {
    let state = database.open().await;
    let by = Actor { actor: Some("user:alice".to_owned()), agent: Some("mix".to_owned()), ..Actor::default() };
    state.audit(at(1), Action::Purged, ("acme", Some("core"), Some("1.0.0")), "first").await.unwrap();
    state.audit_by(at(2), Action::Purged, ("acme", None, None), "second", &by).await.unwrap();
    let read = state.audit_log("acme", 9).await.unwrap();
    assert_eq!(read.iter().map(|line| line.detail.as_str()).collect::<Vec<_>>(), ["second", "first"]);
    assert_eq!(read[0].by, by);
    assert_eq!(state.audit_log("acme", 1).await.unwrap().len(), 1);
    assert_eq!(state.audit_of_account("user:alice", 1).await.unwrap().len(), 1);
    assert_eq!(state.audit_of_everything(2).await.unwrap().len(), 0);
}

async fn the_ledger_tells_checksums_and_first_sights(database: Database) {
    let state = database.open().await;
    let release = |version: &str, content: &[u8]| Release {
        version: version.into(),
        inner: None,
        outer: Some(Sha256::of(content)),
        published_at: None,
    };
    let releases = vec![release("1.0.0", b"one"), release("1.1.0", b"two")];
    let index = PackageIndex { name: "jason".into(), repository: "hexpm".into(), releases };
    let remarks = ReleaseRemarks::from([("1.0.0".into(), b"retired".to_vec())]);
    state.record("hexpm", &index, &remarks, ChangeRule::Refuse, at(1)).await.unwrap().1.unwrap();
    let [one, two] = [Sha256::of(b"one"), Sha256::of(b"two")];
    let sights = BTreeMap::from([("1.0.0".to_owned(), (Some(one), at(1))), ("1.1.0".to_owned(), (Some(two), at(1)))]);
    assert_eq!(state.first_sights("hexpm", "jason").await.unwrap(), sights);
    let outer = async |package, version| {
        let found = state.checksums("hexpm", package, version).await.unwrap();
        found.into_iter().filter_map(|(outer, _)| outer).collect::<BTreeSet<_>>()
    };
    assert_eq!(outer(None, None).await, [one, two].into());
    assert_eq!(outer(Some("jason"), Some("1.1.0")).await, [two].into());
    assert_eq!(outer(Some("other"), None).await, BTreeSet::new());
    assert_eq!(state.refused("hexpm").await.unwrap(), []);
    assert_eq!(state.ledger("hexpm", "jason").await.unwrap()["1.0.0"].remark.as_deref(), Some(&b"retired"[..]));
}

async fn names_that_files_speak_of_are_claimed_but_those_given_back(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    state.claim("acme", ["old", "known"], at(1)).await.unwrap();
    state.forget_name(at(2), ("acme", "old"), &by).await.unwrap();
    let names = ["old", "known", "new"].map(str::to_owned).into();
    assert_eq!(state.claim_found("acme", names, at(3)).await.unwrap(), ["new".to_owned()].into());
    let again = database.open().await.claimed("acme").await.unwrap();
    assert!(again.has("new") && again.has("known") && !again.has("old"));
}

async fn a_grace_of_each_kind_begins_once(database: Database) {
    let state = database.open().await;
    let view = View { view: "hexpm", source: "upstream" };
    let pin = Pin { package: "jason".to_owned(), version: "1.0.0".to_owned(), checksum: "aa".to_owned() };
    state.delivered(view, &pin, false, at(1)).await.unwrap();
    let all = [GraceKind::Cooldown, GraceKind::Freeze, GraceKind::Licences, GraceKind::Advisory, GraceKind::Retirement];
    for now in [2, 3] {
        let held = all.map(|grace| ("1.0.0".to_owned(), grace));
        state.begin_graces(view, "jason", &held, at(now)).await.unwrap();
    }
    let [kept] = state.exemptions(view, "jason").await.unwrap().try_into().unwrap();
    let since = Some(at(2));
    let expected = HeldSince { cooldown: since, freeze: since, licences: since, advisory: since, retirement: since };
    assert_eq!(kept.held_since, expected);
}

/// SQLite is checked and copied; for PostgreSQL the error lists the tools to use.
async fn a_database_is_checked_and_copied_or_says_with_what(database: Database) {
    let state = database.open().await;
    publish(&state, ("acme", "core", Some("1.0.0")), "one", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(crate::state::FILE);
    let (checked, copied) = (state.check().await, state.copy_to(&copy).await);
    if let Database::Sqlite(_) = database {
        assert_eq!(checked.unwrap(), Vec::<String>::new());
        copied.unwrap();
        let copy = crate::state::State::open(folder.path()).await.unwrap();
        assert!(copy.was_published("acme", "core").await.unwrap());
        return;
    }
    for (refused, tool) in [(checked.map(drop), "pg_amcheck"), (copied, "pg_dump")] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, StateError::OnPostgres { .. }), "{refused:?}");
        assert!(refused.to_string().contains("the database is PostgreSQL"), "{refused}");
        assert!(refused.to_string().contains(tool), "{refused}");
    }
    assert!(!copy.exists());
}

on_each_engine!(
    lines_of_the_audit_log_are_added_and_read,
    the_ledger_tells_checksums_and_first_sights,
    names_that_files_speak_of_are_claimed_but_those_given_back,
    a_grace_of_each_kind_begins_once,
    a_database_is_checked_and_copied_or_says_with_what,
);
