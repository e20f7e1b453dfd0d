//! Tests of topics: the changes of two processes are numbered without gaps, in the order of the commits.

use std::sync::atomic::{AtomicI64, Ordering};

use super::{Database, on_each_engine};
use crate::state::engine::{sql, sql_as};
use crate::state::{Lock, State, StateError};

const CHANGES: i64 = 40;

/// The number of a topic and its nonce.
async fn number(state: &State, topic: &str) -> (i64, String) {
    let read = sql_as::<(i64, String)>("SELECT number, nonce FROM topics WHERE name = $1").bind(topic);
    read.fetch_optional(&state.pool).await.unwrap().unwrap_or_default()
}

/// Writes the number of its change and the number of changes that it sees; every third one is rolled back.
async fn change(state: &State, key: &str, turn: i64) -> Result<(), StateError> {
    let topic = format!("repo:{key}");
    state
        .writing("change something", Lock::Repository(key), |mut writing| {
            let topic = topic.clone();
            async move {
                let write = "INSERT INTO claims (repository, name, since) SELECT name, CAST(number AS TEXT), \
                             (SELECT count(*) FROM claims WHERE repository = topics.name) FROM topics WHERE name = $1";
                writing.run(sql(write).bind(topic)).await?;
                if turn % 3 == 0 { Ok(()) } else { writing.commit().await }
            }
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: --include-ignored runs it"]
async fn numbers_have_no_gaps_and_are_in_the_order_of_the_commits() {
    let database = Database::postgres();
    let turns = AtomicI64::new(1);
    let run = async |state: State| {
        while let turn @ ..=CHANGES = turns.fetch_add(1, Ordering::Relaxed) {
            change(&state, "acme", turn).await.unwrap();
            change(&state, "other", turn + 1).await.unwrap();
        }
    };
    let (one, other) = (database.open().await, database.open().await);
    tokio::join!(run(one.clone()), run(other.clone()), run(one.clone()), run(other.clone()));
    let mut nonces = Vec::new();
    for (key, committed) in [("acme", CHANGES - CHANGES / 3), ("other", CHANGES - (CHANGES + 1) / 3)] {
        let topic = format!("repo:{key}");
        let rows = sql_as::<(String, i64)>("SELECT name, since FROM claims WHERE repository = $1 ORDER BY since");
        let rows = rows.bind(&topic).fetch_all(&one.pool).await.unwrap();
        let expected: Vec<(String, i64)> = (1..=committed).map(|number| (number.to_string(), number - 1)).collect();
        assert_eq!(rows, expected, "{topic}: each change sees those of lower numbers, and no other");
        let (last, nonce) = number(&one, &topic).await;
        assert_eq!(last, committed);
        nonces.push(nonce);
    }
    assert!(nonces[0] != nonces[1] && nonces.iter().all(|nonce| nonce.len() == 16), "{nonces:?}");
}

/// Refused changes, and changes without a topic, are not counted.
async fn what_changes_a_topic_is_counted(database: Database) {
    let state = database.open().await;
    let counts = |number: i64| if matches!(database, Database::Postgres(..)) { number } else { 0 };
    super::packages::publish(&state, ("acme", "core", Some("1.0.0")), "one", 1).await;
    let first = number(&state, "repo:acme").await;
    assert_eq!(first.0, counts(1));
    let subject = ("acme", "core", Some("1.0.0"));
    super::packages::try_publish(&state, subject, "two", |_| Err::<(), _>("taken")).await.unwrap_err();
    super::accounts::make_user(&state, "alice", false).await;
    assert_eq!(number(&state, "repo:acme").await, first);
    assert_eq!(number(&state, "accounts").await.0, counts(1));
    super::packages::publish(&state, ("acme", "core", Some("1.1.0")), "two", 2).await;
    let second = number(&state, "repo:acme").await;
    assert_eq!(second.0, counts(2));
    assert!(counts(1) == 0 || second.1 != first.1, "each change has another nonce");
}

on_each_engine!(what_changes_a_topic_is_counted);
