//! Statements and their values.

use std::borrow::Cow;
use std::marker::PhantomData;

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use super::row::FromRow;
use super::{DatabaseError, Executor, Row};

/// A value of a parameter. Nothing has a type too: PostgreSQL asks for one.
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

/// A statement with its values.
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

/// A statement: constant text, put together of constants where it is not one literal. Values are bound, never written
/// into it.
pub(crate) fn sql<'a>(text: impl Into<Cow<'static, str>>) -> Statement<'a> {
    Statement { text: text.into(), values: Vec::new() }
}

/// The same for rows that are read as tuples.
pub(crate) fn sql_as<'a, T: FromRow>(text: impl Into<Cow<'static, str>>) -> StatementAs<'a, T> {
    StatementAs { statement: sql(text), rows: PhantomData }
}

/// Runs a statement on either database. The drivers' futures are large, so they are boxed: otherwise every future that may
/// ask the database, such as that of each request, has room for both.
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

/// One row or many, of whatever database.
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
    /// Gives the next parameter its value.
    pub(crate) fn bind(mut self, value: impl Into<Parameter<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; how many rows it touched.
    pub(crate) async fn execute<'c>(self, on: impl Into<Executor<'c>>) -> Result<u64, DatabaseError> {
        Ok(match on.into() {
            Executor::SqlitePool(on) => Box::pin(self.for_sqlite()?.execute(on)).await?.rows_affected(),
            Executor::Sqlite(on) => Box::pin(self.for_sqlite()?.execute(on)).await?.rows_affected(),
            Executor::PostgresPool(on) => Box::pin(self.for_postgres()?.execute(on)).await?.rows_affected(),
            Executor::Postgres(on) => Box::pin(self.for_postgres()?.execute(on)).await?.rows_affected(),
        })
    }

    /// All rows.
    pub(crate) async fn fetch_all<'c>(self, on: impl Into<Executor<'c>>) -> Result<Vec<Row>, DatabaseError> {
        Ok(run!(self, on, fetch_all))
    }

    /// The first row, where there is one.
    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<Executor<'c>>) -> Result<Option<Row>, DatabaseError> {
        Ok(run!(self, on, fetch_optional))
    }

    /// Gives each row to `take` as it comes, so that they are not all in memory.
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

    /// The first row.
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

    /// Refuses a text with NUL, which SQLite would keep and PostgreSQL refuses.
    fn check(&self) -> Result<(), DatabaseError> {
        let has_nul = |value: &Parameter<'_>| matches!(value, Parameter::Text(Some(text)) if text.contains('\0'));
        if self.values.iter().any(has_nul) { Err(DatabaseError::nul()) } else { Ok(()) }
    }
}

impl<'a, T: FromRow> StatementAs<'a, T> {
    /// Gives the next parameter its value.
    pub(crate) fn bind(self, value: impl Into<Parameter<'a>>) -> Self {
        Self { statement: self.statement.bind(value), rows: self.rows }
    }

    /// All rows.
    pub(crate) async fn fetch_all<'c>(self, on: impl Into<Executor<'c>>) -> Result<Vec<T>, DatabaseError> {
        self.statement.fetch_all(on).await?.iter().map(T::from_row).collect()
    }

    /// Gives each row to `take` as it comes, so that they are not all in memory.
    pub(crate) async fn each<'c>(
        self,
        on: impl Into<Executor<'c>>,
        mut take: impl FnMut(T),
    ) -> Result<(), DatabaseError> {
        self.statement.each(on, |row| T::from_row(&row).map(&mut take)).await
    }

    /// The first row, where there is one.
    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<Executor<'c>>) -> Result<Option<T>, DatabaseError> {
        self.statement.fetch_optional(on).await?.as_ref().map(T::from_row).transpose()
    }

    /// The first row.
    pub(crate) async fn fetch_one<'c>(self, on: impl Into<Executor<'c>>) -> Result<T, DatabaseError> {
        T::from_row(&self.statement.fetch_one(on).await?)
    }
}
