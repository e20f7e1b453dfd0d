//! SQLite in one file, with a write-ahead log and `synchronous=FULL`: what is committed is on the disk.

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
    // Made here, for its mode: the write-ahead log beside it takes it over.
    tokio::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).await?;
    // Two at least: the last one to close takes a file with it, for which a full disk may have no room.
    let pool = SqlitePoolOptions::new().min_connections(2).max_connections(4).after_release(may_go_on);
    Ok(pool.connect_with(options).await?)
}

/// At once the writer: what was taken back before may still be on its way to the file, and is waited for.
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

/// Whether a connection may be used again, or is closed. SQLite takes a transaction back by itself where the disk is full
/// or fails; to take it back once more then fails, and the connection counts as inside of it for ever: what is committed
/// there later would be answered as written and be none.
fn may_go_on(connection: &mut SqliteConnection, _: PoolConnectionMetadata) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    Box::pin(async move {
        // After what was sent to it before, the end of its transaction among it.
        connection.ping().await?;
        Ok(!connection.is_in_transaction())
    })
}
