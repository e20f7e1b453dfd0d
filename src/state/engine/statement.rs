//! Statements and their parameters, for both engines.

use std::borrow::Cow;
use std::marker::PhantomData;

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use super::row::FromRow;
use super::{DatabaseError, Executor, Row};

/// The value of a parameter. Null has a type, too, because PostgreSQL needs one.
#[derive(Debug)]
pub(crate) enum Parameter<'a> {
    Text(Option<Cow<'a, str>>),
    Integer(Option<i64>),
    Bytes(Option<&'a [u8]>),
}

macro_rules! bound {
    ($($kind:ident: $type:ty => $value:expr;)*) => {$(
        impl<'a> From<$type> for Parameter<'a> {
            fn from(value: $type) -> Self {
                let convert: fn($type) -> _ = $value;
                Self::$kind(Some(convert(value)))
            }
        }

        impl<'a> From<Option<$type>> for Parameter<'a> {
            fn from(value: Option<$type>) -> Self {
                Self::$kind(value.map($value))
            }
        }
    )*};
}

bound! {
    Text: &'a str => Cow::Borrowed;
    Text: String => Cow::Owned;
    Integer: i64 => |number| number;
    Integer: u32 => i64::from;
    Integer: bool => i64::from;
    Bytes: &'a [u8] => |bytes| bytes;
}

impl<'a> From<&'a String> for Parameter<'a> {
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<&'a Option<String>> for Parameter<'a> {
    fn from(text: &'a Option<String>) -> Self {
        text.as_deref().into()
    }
}

/// A statement with its parameters.
#[derive(Debug)]
#[must_use = "a statement does nothing until it runs"]
pub(crate) struct Statement<'a> {
    text: Cow<'static, str>,
    values: Vec<Parameter<'a>>,
}

/// A statement whose rows are read as tuples.
#[derive(Debug)]
#[must_use = "a statement does nothing until it runs"]
pub(crate) struct StatementAs<'a, T> {
    statement: Statement<'a>,
    rows: PhantomData<fn() -> T>,
}

/// A statement with constant text. Values are bound as parameters, never written into the text.
pub(crate) fn sql<'a>(text: impl Into<Cow<'static, str>>) -> Statement<'a> {
    Statement { text: text.into(), values: Vec::new() }
}

/// The same for rows that are read as tuples.
pub(crate) fn sql_as<'a, T: FromRow>(text: impl Into<Cow<'static, str>>) -> StatementAs<'a, T> {
    StatementAs { statement: sql(text), rows: PhantomData }
}

/// Runs a statement on either engine. The futures of the drivers are large, so they are boxed: otherwise every future
/// that may use the database, such as the one of each request, would be as large as both.
macro_rules! run {
    ($statement:expr, $on:expr, $method:ident) => {
        match $on.into() {
            Executor::SqlitePool(on) => Box::pin($statement.for_sqlite()?.$method(on)).await?.map_rows(Row::Sqlite),
            Executor::Sqlite(on) => Box::pin($statement.for_sqlite()?.$method(on)).await?.map_rows(Row::Sqlite),
            Executor::PostgresPool(on) => {
                Box::pin($statement.for_postgres()?.$method(on)).await?.map_rows(Row::Postgres)
            }
            Executor::Postgres(on) => Box::pin($statement.for_postgres()?.$method(on)).await?.map_rows(Row::Postgres),
        }
    };
}

/// Converts one row or many, of either engine.
trait MapRows<R> {
    type Mapped;
    fn map_rows(self, row: fn(R) -> Row) -> Self::Mapped;
}

impl<R> MapRows<R> for Vec<R> {
    type Mapped = Vec<Row>;
    fn map_rows(self, row: fn(R) -> Row) -> Vec<Row> {
        self.into_iter().map(row).collect()
    }
}

impl<R> MapRows<R> for Option<R> {
    type Mapped = Option<Row>;
    fn map_rows(self, row: fn(R) -> Row) -> Option<Row> {
        self.map(row)
    }
}

impl<'a> Statement<'a> {
    /// Binds the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Parameter<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs the statement; returns the number of affected rows.
    pub(crate) async fn execute<'c>(self, on: impl Into<Executor<'c>>) -> Result<u64, DatabaseError> {
        Ok(match on.into() {
            Executor::SqlitePool(on) => Box::pin(self.for_sqlite()?.execute(on)).await?.rows_affected(),
            Executor::Sqlite(on) => Box::pin(self.for_sqlite()?.execute(on)).await?.rows_affected(),
            Executor::PostgresPool(on) => Box::pin(self.for_postgres()?.execute(on)).await?.rows_affected(),
            Executor::Postgres(on) => Box::pin(self.for_postgres()?.execute(on)).await?.rows_affected(),
        })
    }

    /// Returns all rows.
    pub(crate) async fn fetch_all<'c>(self, on: impl Into<Executor<'c>>) -> Result<Vec<Row>, DatabaseError> {
        Ok(run!(self, on, fetch_all))
    }

    /// Returns the first row, if any.
    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<Executor<'c>>) -> Result<Option<Row>, DatabaseError> {
        Ok(run!(self, on, fetch_optional))
    }

    /// Passes each row to `take` as it arrives, so that not all rows are in memory.
    pub(crate) async fn each<'c>(
        self,
        on: impl Into<Executor<'c>>,
        mut take: impl FnMut(Row) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        macro_rules! each {
            ($rows:expr, $row:expr) => {{
                let mut rows = $rows;
                while let Some(row) = rows.try_next().await? {
                    take($row(row))?;
                }
            }};
        }
        match on.into() {
            Executor::SqlitePool(on) => each!(self.for_sqlite()?.fetch(on), Row::Sqlite),
            Executor::Sqlite(on) => each!(self.for_sqlite()?.fetch(on), Row::Sqlite),
            Executor::PostgresPool(on) => each!(self.for_postgres()?.fetch(on), Row::Postgres),
            Executor::Postgres(on) => each!(self.for_postgres()?.fetch(on), Row::Postgres),
        }
        Ok(())
    }

    /// Returns the first row; an error if there is none.
    pub(crate) async fn fetch_one<'c>(self, on: impl Into<Executor<'c>>) -> Result<Row, DatabaseError> {
        self.fetch_optional(on).await?.ok_or(DatabaseError(sqlx::Error::RowNotFound))
    }

    fn for_sqlite(self) -> Result<Query<'static, Sqlite, SqliteArguments>, DatabaseError> {
        self.check()?;
        Ok(self.values.into_iter().fold(sqlx::query(AssertSqlSafe(self.text)), |query, value| match value {
            Parameter::Text(text) => query.bind(text),
            Parameter::Integer(number) => query.bind(number),
            Parameter::Bytes(bytes) => query.bind(bytes),
        }))
    }

    fn for_postgres(self) -> Result<Query<'static, Postgres, PgArguments>, DatabaseError> {
        self.check()?;
        Ok(self.values.into_iter().fold(sqlx::query(AssertSqlSafe(self.text)), |query, value| match value {
            Parameter::Text(text) => query.bind(text),
            Parameter::Integer(number) => query.bind(number),
            Parameter::Bytes(bytes) => query.bind(bytes),
        }))
    }

    /// Rejects text with NUL, which SQLite would store and PostgreSQL rejects.
    fn check(&self) -> Result<(), DatabaseError> {
        let has_nul = |value: &Parameter<'_>| matches!(value, Parameter::Text(Some(text)) if text.contains('\0'));
        if self.values.iter().any(has_nul) { Err(DatabaseError::nul()) } else { Ok(()) }
    }
}

impl<'a, T: FromRow> StatementAs<'a, T> {
    /// Binds the next parameter.
    pub(crate) fn bind(self, value: impl Into<Parameter<'a>>) -> Self {
        Self { statement: self.statement.bind(value), rows: self.rows }
    }

    /// Returns all rows.
    pub(crate) async fn fetch_all<'c>(self, on: impl Into<Executor<'c>>) -> Result<Vec<T>, DatabaseError> {
        self.statement.fetch_all(on).await?.iter().map(T::from_row).collect()
    }

    /// Passes each row to `take` as it arrives, so that not all rows are in memory.
    pub(crate) async fn each<'c>(
        self,
        on: impl Into<Executor<'c>>,
        mut take: impl FnMut(T),
    ) -> Result<(), DatabaseError> {
        self.statement.each(on, |row| T::from_row(&row).map(&mut take)).await
    }

    /// Returns the first row, if any.
    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<Executor<'c>>) -> Result<Option<T>, DatabaseError> {
        self.statement.fetch_optional(on).await?.as_ref().map(T::from_row).transpose()
    }

    /// Returns the first row; an error if there is none.
    pub(crate) async fn fetch_one<'c>(self, on: impl Into<Executor<'c>>) -> Result<T, DatabaseError> {
        T::from_row(&self.statement.fetch_one(on).await?)
    }
}
