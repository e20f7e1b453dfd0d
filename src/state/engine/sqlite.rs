//! The SQLite engine: one file, with a write-ahead log and `synchronous=FULL`, so that commits are durable.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};

use super::DatabaseError;

pub(super) async fn open(path: &Path) -> Result<SqlitePool, Box<dyn std::error::Error + Send + Sync>> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true);
    // Created here to set its mode; the write-ahead log gets the same mode.
    tokio::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).await?;
    // At least two: the last connection deletes a file when it closes, which may fail if the disk is full.
    let pool = SqlitePoolOptions::new().min_connections(2).max_connections(4).after_release(is_reusable);
    Ok(pool.connect_with(options).await?)
}

/// Starts as a writer immediately, and waits for an earlier rollback that is still being written.
pub(super) async fn begin(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, DatabaseError> {
    Ok(pool.begin_with("BEGIN IMMEDIATE").await?)
}

pub(super) async fn check(pool: &SqlitePool) -> Result<Vec<String>, DatabaseError> {
    let rows: Vec<(String,)> = sqlx::query_as("PRAGMA integrity_check").fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(line,)| line).filter(|line| line != "ok").collect())
}

pub(super) async fn copy_to(pool: &SqlitePool, path: &Path) -> Result<(), DatabaseError> {
    sqlx::query("VACUUM INTO $1").bind(path.to_string_lossy().into_owned()).execute(pool).await?;
    Ok(())
}

/// Whether a connection can be reused, or must be closed. If the disk is full or fails, SQLite rolls a transaction back
/// by itself. A second rollback then fails, and the connection counts as inside the transaction forever: later commits
/// would be reported as written without being so.
fn is_reusable(
    connection: &mut SqliteConnection,
    _: PoolConnectionMetadata,
) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    Box::pin(async move {
        // Runs after all earlier commands of the connection, including the end of its transaction.
        connection.ping().await?;
        Ok(!connection.is_in_transaction())
    })
}
