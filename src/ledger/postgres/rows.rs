//! Rows of the server, as [`Columns`].

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type, accepts};

use super::errors::Failure;
use crate::ledger::columns::Columns;

/// A value of a column.
pub fn value<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column)
        .map_err(|error| Failure::Value(error.to_string()))
}

impl Columns for Row {
    type Error = Failure;

    fn optional_text(&self, column: usize) -> Result<Option<&str>, Failure> {
        value(self, column)
    }

    fn optional_number(&self, column: usize) -> Result<Option<i64>, Failure> {
        let number: Option<Number> = value(self, column)?;
        Ok(number.map(|it| it.0))
    }

    fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>, Failure> {
        value(self, column)
    }

    fn is_true(&self, column: usize) -> Result<bool, Failure> {
        value(self, column)
    }

    fn unexpected(_column: usize, value: &str) -> Failure {
        Failure::Value(format!("`{value}`"))
    }
}

/// A number of any length.
struct Number(i64);

impl<'a> FromSql<'a> for Number {
    fn from_sql(
        kind: &Type,
        bytes: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::INT2 => i16::from_sql(kind, bytes)?.into(),
            Type::INT4 => i32::from_sql(kind, bytes)?.into(),
            _ => i64::from_sql(kind, bytes)?,
        }))
    }

    accepts!(INT2, INT4, INT8);
}
