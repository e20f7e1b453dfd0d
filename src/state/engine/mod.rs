//! The databases behind durable state: SQLite in a file, and PostgreSQL. Only this folder knows which one it is.
//!
//! Both are asked with one text of each statement, numbered parameters (`$1`) and values that are text, integers of 64
//! bits, bytes or nothing. Truth values are the integers 1 and 0. What only one of them understands has a function here.

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

    /// Others change the same again and again.
    pub(crate) fn changing() -> Self {
        Self::other("others change the same again and again")
    }

    /// Something is not there, or not possible here.
    fn other(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(sqlx::Error::Configuration(what.into()))
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
pub(crate) enum On<'a> {
    SqlitePool(&'a SqlitePool),
    Sqlite(&'a mut SqliteConnection),
    PostgresPool(&'a PgPool),
    Postgres(&'a mut PgConnection),
}

impl<'a> From<&'a Pool> for On<'a> {
    fn from(pool: &'a Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'a> From<&'a mut Transaction> for On<'a> {
    fn from(transaction: &'a mut Transaction) -> Self {
        match transaction {
            Transaction::Sqlite(transaction) => Self::Sqlite(transaction),
            Transaction::Postgres(transaction) => Self::Postgres(transaction),
        }
    }
}

/// For one statement of several.
impl<'a> From<&'a mut On<'_>> for On<'a> {
    fn from(on: &'a mut On<'_>) -> Self {
        match on {
            On::SqlitePool(pool) => Self::SqlitePool(pool),
            On::Sqlite(connection) => Self::Sqlite(connection),
            On::PostgresPool(pool) => Self::PostgresPool(pool),
            On::Postgres(connection) => Self::Postgres(connection),
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
    pub(crate) async fn connect(url: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let pool = postgres::connect(url).await?;
        migrations::of_postgres().run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// Begins a transaction that writes. Others that name the same `topic` wait until it has ended; in SQLite all do.
    pub(crate) async fn begin(&self, topic: Option<&str>) -> Result<Transaction, DatabaseError> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction::Sqlite(Box::pin(sqlite::begin(pool)).await?)),
            Self::Postgres(pool) => Ok(Transaction::Postgres(Box::pin(postgres::begin(pool, topic)).await?)),
        }
    }

    /// Lets the database check itself; the findings, none where it is sound. PostgreSQL has no such question: its
    /// operator checks it.
    pub(crate) async fn check(&self) -> Result<Vec<String>, DatabaseError> {
        match self {
            Self::Sqlite(pool) => sqlite::check(pool).await,
            Self::Postgres(_) => Err(DatabaseError::other("a PostgreSQL database is checked with its own tools")),
        }
    }

    /// Copies the database, as it is at one moment, to a new SQLite file at `path`. Others may go on writing meanwhile.
    pub(crate) async fn copy_to(&self, path: &Path) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(pool) => sqlite::copy_to(pool, path).await,
            Self::Postgres(_) => Err(DatabaseError::other("a PostgreSQL database is copied with pg_dump")),
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
