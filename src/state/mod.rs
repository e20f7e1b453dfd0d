//! Durable state in SQL: what must not be lost. May import ground and `hex`.
//!
//! SQLite in the storage path, with a write-ahead log and `synchronous=FULL`: whatever a method here has answered is on
//! the disk. One file a subject; the schema is in `migrations/` and never edited after a release.

pub mod audit;
pub mod claims;
pub mod devices;
pub mod exemptions;
pub mod fetches;
pub mod grants;
pub mod keys;
pub mod ledger;
pub mod organizations;
mod owner;
mod package;
pub mod packages;
pub mod pins;
mod refused;
pub mod releases;
pub mod tokens;
pub mod users;
pub mod waivers;

pub use owner::Owner;
pub use refused::AccountError;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnectionMetadata;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};

use crate::clock::Timestamp;

/// An operation on the durable state failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database cannot be opened or brought up to this version's schema.
    #[error("cannot open the database {path}; restore it from a backup, or move it away to begin with an empty one")]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A query failed.
    #[error("cannot {operation} in the database")]
    Query {
        /// What was to be done.
        operation: &'static str,
        /// What the database says.
        #[source]
        source: sqlx::Error,
    },
}

impl StateError {
    fn query(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { operation, source }
    }
}

/// The open database; clones share it.
#[derive(Clone, Debug)]
pub struct State {
    pool: SqlitePool,
    /// SQLite has one writer; waiting here is fair and needs no polling.
    writer: Arc<tokio::sync::Mutex<()>>,
    /// Names that are claimed, as far as they were asked for.
    books: Arc<claims::Books>,
}

/// Name of the database file below the storage path.
pub const FILE: &str = "state.sqlite";

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "ledger and audit", include_str!("migrations/0001_ledger_and_audit.sql")),
    (2, "audit actors", include_str!("migrations/0002_audit_actors.sql")),
    (3, "accounts", include_str!("migrations/0003_accounts.sql")),
    (4, "packages", include_str!("migrations/0004_packages.sql")),
    (5, "exemptions", include_str!("migrations/0005_exemptions.sql")),
    (6, "fetches", include_str!("migrations/0006_fetches.sql")),
    (7, "waivers", include_str!("migrations/0007_waivers.sql")),
    (8, "exempt licences", include_str!("migrations/0008_exempt_licences.sql")),
    (9, "ledger remarks", include_str!("migrations/0009_ledger_remarks.sql")),
    (10, "claims", include_str!("migrations/0010_claims.sql")),
    (11, "graces", include_str!("migrations/0011_graces.sql")),
    (12, "unconfirmed addresses", include_str!("migrations/0012_unconfirmed_addresses.sql")),
    (13, "ledger inner first", include_str!("migrations/0013_ledger_inner_first.sql")),
    (14, "keys of keys", include_str!("migrations/0014_keys_of_keys.sql")),
];

impl State {
    /// Opens the database in `folder`, making it if need be, and brings its schema up to date. The caller holds the
    /// store's lock.
    pub async fn open(folder: &Path) -> Result<Self, StateError> {
        let path = folder.join(FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        let opened = async {
            // Made here, for its mode: the write-ahead log beside it takes it over.
            tokio::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path).await?;
            // Two at least: the last one to close takes a file with it, for which a full disk may have no room.
            let pool = SqlitePoolOptions::new().min_connections(2).max_connections(4).after_release(may_go_on);
            let pool = pool.connect_with(options).await?;
            migrator().run(&pool).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(pool)
        };
        let pool = opened.await.map_err(|source| StateError::Open { path, source })?;
        Ok(Self { pool, writer: Arc::default(), books: Arc::default() })
    }

    /// Lets the database check itself; the findings, none where it is sound.
    pub async fn check(&self) -> Result<Vec<String>, StateError> {
        let rows: Vec<(String,)> = sqlx::query_as("PRAGMA integrity_check")
            .fetch_all(&self.pool)
            .await
            .map_err(StateError::query("check the tables"))?;
        Ok(rows.into_iter().map(|(line,)| line).filter(|line| line != "ok").collect())
    }

    /// Copies the database, as it is at one moment, to a new file at `path`. Others may go on writing meanwhile.
    pub async fn copy_to(&self, path: &Path) -> Result<(), StateError> {
        let copied = sqlx::query("VACUUM INTO $1").bind(path.to_string_lossy().into_owned()).execute(&self.pool).await;
        copied.map(drop).map_err(StateError::query("copy the tables"))
    }

    /// Closes the database after what is under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A statement with its values.
type Query<'a> = sqlx::query::Query<'a, Sqlite, SqliteArguments>;

/// A transaction that writes, with the lock that every writer holds.
struct Writing<'a> {
    // In this order: the lock is given back after the transaction is over.
    transaction: Transaction<'static, Sqlite>,
    operation: &'static str,
    /// What it does to claims; told to the names in memory once it is committed.
    claims: Vec<claims::Change>,
    books: &'a claims::Books,
    _one: tokio::sync::MutexGuard<'a, ()>,
}

impl State {
    /// Waits for its turn and begins a transaction that is taken back unless it is committed.
    async fn writing(&self, operation: &'static str) -> Result<Writing<'_>, StateError> {
        let one = self.writer.lock().await;
        // At once the writer: what was taken back before may still be on its way to the file, and is waited for.
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(StateError::query(operation))?;
        Ok(Writing { transaction, operation, claims: Vec::new(), books: &self.books, _one: one })
    }
}

impl Writing<'_> {
    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    async fn run(&mut self, query: Query<'_>) -> Result<u64, StateError> {
        let done = query.execute(&mut *self.transaction).await.map_err(StateError::query(self.operation))?;
        Ok(done.rows_affected())
    }

    /// Adds a line about an account to the audit log.
    async fn line(&mut self, now: Timestamp, line: owner::Line<'_>, by: &audit::By) -> Result<(), StateError> {
        let wrap = StateError::query(self.operation);
        audit::insert_account(&mut self.transaction, now, line, by).await.map_err(wrap)
    }

    async fn commit(self) -> Result<(), StateError> {
        self.transaction.commit().await.map_err(StateError::query(self.operation))?;
        self.claims.iter().for_each(|change| self.books.apply(change));
        Ok(())
    }
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

fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, description, sql)| {
            Migration::new(
                *version,
                Cow::Borrowed(*description),
                MigrationType::Simple,
                sqlx::SqlStr::from_static(sql),
                false,
            )
        })
        .collect();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until every connection is back in the pool, so that the next one is one that was used.
    async fn settle(state: &State) {
        while state.pool.num_idle() != usize::try_from(state.pool.size()).unwrap() {
            tokio::task::yield_now().await;
        }
    }

    async fn write(state: &State, detail: &str) -> Result<(), StateError> {
        let mut writing = state.writing("write a line").await?;
        add(&mut writing, detail).await?;
        writing.commit().await
    }

    async fn add(writing: &mut Writing<'_>, detail: &str) -> Result<(), StateError> {
        let now = Timestamp::from_secs(1);
        let subject = ("acme", None, None);
        let by = audit::By::default();
        let added = audit::insert(writing.connection(), now, audit::Action::Purged, subject, detail, &by).await;
        added.map_err(StateError::query("write a line"))
    }

    #[tokio::test]
    async fn what_is_written_after_a_full_disk_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).await.unwrap();
        write(&state, "before").await.unwrap();
        settle(&state).await;

        // The limit is the connection's; one below what there is means what there is.
        let mut writing = state.writing("fill the disk").await.unwrap();
        writing.run(sqlx::query("PRAGMA max_page_count = 1")).await.unwrap();
        let full = add(&mut writing, &"x".repeat(1 << 20)).await.unwrap_err();
        let StateError::Query { source: sqlx::Error::Database(source), .. } = &full else { panic!("{full:?}") };
        assert_eq!(source.code().as_deref(), Some("13"), "SQLITE_FULL: {source}");
        writing.run(sqlx::query("PRAGMA max_page_count = 1000000")).await.unwrap();
        drop(writing);
        settle(&state).await;

        // One that is taken back, and one that is committed.
        let mut refused = state.writing("write a line").await.unwrap();
        add(&mut refused, "refused").await.unwrap();
        drop(refused);
        settle(&state).await;
        write(&state, "after").await.unwrap();

        let another = State::open(folder.path()).await.unwrap();
        let seen = another.audit_log("acme", 10).await.unwrap();
        let seen: Vec<&str> = seen.iter().map(|entry| &*entry.detail).collect();
        assert_eq!(seen, ["after", "before"]);
        write(&another, "of another").await.unwrap();
    }
}
