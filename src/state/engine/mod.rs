//! The databases behind durable state: SQLite in a file, and PostgreSQL. Only this folder knows which one it is.
//!
//! Both are asked with one text of each statement, numbered parameters (`$1`) and values that are text, integers of 64
//! bits, bytes or nothing. A text with NUL is refused by both. Truth values are the integers 1 and 0. What only one of them understands has a function here.

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

/// A statement failed, or a row holds what it should not.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] sqlx::Error);

impl DatabaseError {
    /// A row holds what it should not.
    pub(crate) fn decode(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(sqlx::Error::Decode(what.into()))
    }

    /// A text holds a character that PostgreSQL does not keep.
    fn nul() -> Self {
        Self(sqlx::Error::Encode("a text holds the character NUL (U+0000)".into()))
    }

    /// Others change the same again and again.
    pub(crate) fn changing() -> Self {
        Self(sqlx::Error::Configuration("others change the same again and again".into()))
    }

    /// Whether the database took a transaction back for the sake of another one: a deadlock, or an order of both that it
    /// could not find.
    pub(crate) fn is_for_the_sake_of_another(&self) -> bool {
        matches!(self.code().as_deref(), Some("40P01" | "40001"))
    }

    /// The code of the database: SQLite's number, or five letters of the SQL standard.
    pub(crate) fn code(&self) -> Option<String> {
        self.0.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
    }
}

/// A PostgreSQL server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It takes no writes.
    #[error("the server is a standby")]
    Standby,
    /// The address asks for something of TLS that is not done.
    #[error("{0}")]
    Tls(&'static str),
    /// It cannot be reached, or refuses.
    #[error(transparent)]
    Server(#[from] sqlx::Error),
    /// Its schema cannot be brought up to date.
    #[error(transparent)]
    Schema(#[from] sqlx::migrate::MigrateError),
}

/// What only SQLite can do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database is not a file of ours.
    #[error("the database is PostgreSQL")]
    Postgres,
}

/// Connections to one database; clones share them.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A transaction that is taken back unless it is committed.
#[derive(Debug)]
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// On what a statement runs.
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

/// For one statement of several.
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
    /// Opens the SQLite database in a file, making it if need be, and brings its schema up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let pool = sqlite::open(path).await?;
        migrations::of_sqlite().run(&pool).await?;
        Ok(Self::Sqlite(pool))
    }

    /// Connects to a PostgreSQL database and brings its schema up to date. Whoever comes meanwhile waits.
    pub(crate) async fn connect(url: &str) -> Result<Self, ConnectError> {
        let pool = postgres::connect(url).await?;
        migrations::of_postgres().run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// Begins a transaction that writes, and counts it as a change of `topic`. Others that name the same one wait until it
    /// has ended; in SQLite, which counts nothing, all do.
    pub(crate) async fn begin(&self, topic: Option<&str>) -> Result<Transaction, DatabaseError> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction::Sqlite(Box::pin(sqlite::begin(pool)).await?)),
            Self::Postgres(pool) => Ok(Transaction::Postgres(Box::pin(postgres::begin(pool, topic)).await?)),
        }
    }

    /// Lets the database check itself; the findings, none where it is sound. PostgreSQL has no such question.
    pub(crate) async fn check(&self) -> Result<Vec<String>, FileError> {
        match self {
            Self::Sqlite(pool) => Ok(sqlite::check(pool).await?),
            Self::Postgres(_) => Err(FileError::Postgres),
        }
    }

    /// Copies the database, as it is at one moment, to a new SQLite file at `path`. Others may go on writing meanwhile.
    pub(crate) async fn copy_to(&self, path: &Path) -> Result<(), FileError> {
        match self {
            Self::Sqlite(pool) => Ok(sqlite::copy_to(pool, path).await?),
            Self::Postgres(_) => Err(FileError::Postgres),
        }
    }

    /// Closes the connections after what is under way.
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

    /// A table with one column `value`: the texts of the JSON array that is bound as this parameter.
    pub(crate) fn texts_of(&self, parameter: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("json_each({parameter})"),
            Self::Postgres(_) => format!("json_array_elements_text({parameter}::json)"),
        }
    }
}
