//! Rows of query results, and the conversion of their columns.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Postgres, Row as _, Type};

use super::DatabaseError;

/// A row of a result.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column, counted from 0.
    pub(crate) fn try_get<T: Column>(&self, column: usize) -> Result<T, DatabaseError> {
        T::read(self, column)
    }
}

/// A type of column, or null.
pub(crate) trait Value: Sized {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, DatabaseError>;
}

impl Value for i64 {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, DatabaseError> {
        match row {
            Row::Sqlite(row) => Ok(row.try_get(column)?),
            Row::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

impl Value for String {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, DatabaseError> {
        match row {
            Row::Sqlite(row) => Ok(row.try_get(column)?),
            Row::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

impl Value for Vec<u8> {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, DatabaseError> {
        match row {
            Row::Sqlite(row) => Ok(row.try_get(column)?),
            Row::Postgres(row) => Ok(row.try_get(column)?),
        }
    }
}

/// A boolean, stored as an integer or computed by a condition.
impl Value for bool {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, DatabaseError> {
        match row {
            Row::Sqlite(row) => Ok(row.try_get(column)?),
            Row::Postgres(of) if <bool as Type<Postgres>>::compatible(of.try_column(column)?.type_info()) => {
                Ok(of.try_get(column)?)
            }
            Row::Postgres(_) => Ok(<i64 as Value>::read(row, column)?.map(|number| number != 0)),
        }
    }
}

/// The value of a column: required, or optional.
pub(crate) trait Column: Sized {
    fn read(row: &Row, column: usize) -> Result<Self, DatabaseError>;
}

impl<T: Value> Column for T {
    fn read(row: &Row, column: usize) -> Result<Self, DatabaseError> {
        <T as Value>::read(row, column)?
            .ok_or_else(|| DatabaseError::decode(format!("column {column} of a row is null")))
    }
}

impl<T: Value> Column for Option<T> {
    fn read(row: &Row, column: usize) -> Result<Self, DatabaseError> {
        <T as Value>::read(row, column)
    }
}

/// A type that is read from a whole row.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, DatabaseError>;
}

impl<A: Column> FromRow for (A,) {
    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        Ok((row.try_get(0)?,))
    }
}

impl<A: Column, B: Column> FromRow for (A, B) {
    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}

impl<A: Column, B: Column, C: Column, D: Column, E: Column> FromRow for (A, B, C, D, E) {
    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?))
    }
}
