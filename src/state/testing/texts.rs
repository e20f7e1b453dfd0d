//! Tests of text with NUL, which one engine would store and the other rejects: both must reject it.

use super::{Database, on_each_engine};
use crate::state::audit::Actor;
use crate::state::{AccountError, State, StateError};

/// The message of an error with its sources.
fn whole(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

async fn user(state: &State, name: &str) -> Result<(), AccountError> {
    state
        .create_user(super::packages::at(1), &super::accounts::new_user(name, false), &Actor::console())
        .await
        .map(drop)
}

async fn a_text_with_nul_is_refused(database: Database) {
    let state = database.open().await;
    let written = user(&state, "al\0ice").await.unwrap_err();
    let read = state.user("al\0ice").await.unwrap_err();
    for error in [&written as &dyn std::error::Error, &read] {
        assert!(whole(error).contains("a text contains the character NUL"), "{error:?}");
    }
    assert!(matches!(read, StateError::Query { .. }));
    // The connection still works.
    user(&state, "alice").await.unwrap();
    let users = state.users().await.unwrap();
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["alice"]);
}

on_each_engine!(a_text_with_nul_is_refused);
