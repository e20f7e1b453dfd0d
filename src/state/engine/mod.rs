//! The database engines: SQLite in a file, and PostgreSQL. Only this folder depends on the engine.
//!
//! Both run the same text of each statement, with numbered parameters (`$1`) and values that are text, 64-bit integers,
//! bytes or null. Both reject text with NUL. Booleans are the integers 1 and 0. Operations of only one engine have a
//! function here.

mod migrations;
mod postgres;
mod row;
mod sqlite;
mod statement;

use std::path::Path;

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection};

pub(crate) use row::Row;
pub(crate) use statement::{Statement, sql, sql_as};

/// A failed statement, or a row with unexpected contents.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] sqlx::Error);

impl DatabaseError {
    /// A row with unexpected contents.
    pub(crate) fn decode(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(sqlx::Error::Decode(what.into()))
    }

    /// A text contains a character that PostgreSQL cannot store.
    fn nul() -> Self {
        Self(sqlx::Error::Encode("a text contains the character NUL (U+0000)".into()))
    }

    /// Other processes keep changing the same rows.
    pub(crate) fn changing() -> Self {
        Self(sqlx::Error::Configuration("other processes keep changing the same rows".into()))
    }

    /// Whether the database rolled back a transaction in favour of another one: because of a deadlock or a
    /// serialization failure.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.code().as_deref(), Some("40P01" | "40001"))
    }

    /// The error code of the database: SQLite's number, or the SQLSTATE of PostgreSQL.
    pub(crate) fn code(&self) -> Option<String> {
        self.0.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
    }
}

/// The PostgreSQL server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The server is read-only.
    #[error("the server is a standby")]
    Standby,
    /// The address contains an unsupported TLS setting.
    #[error("{0}")]
    Tls(&'static str),
    /// The server is unreachable or refuses the connection.
    #[error(transparent)]
    Server(#[from] sqlx::Error),
    /// The migration of the schema failed.
    #[error(transparent)]
    Schema(#[from] sqlx::migrate::MigrateError),
}

/// The error of an operation that only SQLite supports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database is not a file.
    #[error("the database is PostgreSQL")]
    Postgres,
}

/// A pool of connections to one database; clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A transaction that is rolled back unless it is committed.
#[derive(Debug)]
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// The pool or the transaction that runs a statement.
#[derive(Debug)]
pub(crate) enum Executor<'a> {
    SqlitePool(&'a SqlitePool),
    Sqlite(&'a mut SqliteConnection),
    PostgresPool(&'a PgPool),
    Postgres(&'a mut PgConnection),
}

impl<'a> From<&'a Pool> for Executor<'a> {
    fn from(pool: &'a Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'a> From<&'a mut Transaction> for Executor<'a> {
    fn from(transaction: &'a mut Transaction) -> Self {
        match transaction {
            Transaction::Sqlite(transaction) => Self::Sqlite(transaction),
            Transaction::Postgres(transaction) => Self::Postgres(transaction),
        }
    }
}

/// Allows several statements on one executor.
impl<'a> From<&'a mut Executor<'_>> for Executor<'a> {
    fn from(on: &'a mut Executor<'_>) -> Self {
        match on {
            Executor::SqlitePool(pool) => Self::SqlitePool(pool),
            Executor::Sqlite(connection) => Self::Sqlite(connection),
            Executor::PostgresPool(pool) => Self::PostgresPool(pool),
            Executor::Postgres(connection) => Self::Postgres(connection),
        }
    }
}

impl Pool {
    /// Opens the SQLite database in a file, creates it if needed, and migrates its schema.
    pub(crate) async fn open(path: &Path) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let pool = sqlite::open(path).await?;
        migrations::of_sqlite().run(&pool).await?;
        Ok(Self::Sqlite(pool))
    }

    /// Connects to a PostgreSQL database and migrates its schema. Other processes that connect in the meantime wait.
    pub(crate) async fn connect(url: &str) -> Result<Self, ConnectError> {
        let pool = postgres::connect(url).await?;
        migrations::of_postgres().run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// Begins a write transaction and counts it as a change of `topic`. Transactions of the same topic wait for each
    /// other. SQLite counts nothing, and all its write transactions wait for each other.
    pub(crate) async fn begin(&self, topic: Option<&str>) -> Result<Transaction, DatabaseError> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction::Sqlite(Box::pin(sqlite::begin(pool)).await?)),
            Self::Postgres(pool) => Ok(Transaction::Postgres(Box::pin(postgres::begin(pool, topic)).await?)),
        }
    }

    /// Runs the integrity check of the database; returns the errors. PostgreSQL has no such check.
    pub(crate) async fn check(&self) -> Result<Vec<String>, FileError> {
        match self {
            Self::Sqlite(pool) => Ok(sqlite::check(pool).await?),
            Self::Postgres(_) => Err(FileError::Postgres),
        }
    }

    /// Copies a snapshot of the database to a new SQLite file at `path`. Other writes may continue in the meantime.
    pub(crate) async fn copy_to(&self, path: &Path) -> Result<(), FileError> {
        match self {
            Self::Sqlite(pool) => Ok(sqlite::copy_to(pool, path).await?),
            Self::Postgres(_) => Err(FileError::Postgres),
        }
    }

    /// Closes the connections after their current operations.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => Ok(Box::pin(transaction.commit()).await?),
            Self::Postgres(transaction) => Ok(Box::pin(transaction.commit()).await?),
        }
    }

    /// A table with one column `value`, which contains the strings of the JSON array that is bound to this parameter.
    pub(crate) fn texts_of(&self, parameter: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("json_each({parameter})"),
            Self::Postgres(_) => format!("json_array_elements_text({parameter}::json)"),
        }
    }
}
