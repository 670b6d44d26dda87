//! Rows of the file, as [`Columns`], and the queries for whole records.

use rusqlite::types::Type;
use rusqlite::{Error, Row};

use crate::ledger::columns::{Columns, record_columns};

/// Selects records; conditions on the invitation `i` follow.
pub const RECORDS: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest"
);

impl Columns for Row<'_> {
    type Error = Error;

    fn optional_text(&self, column: usize) -> rusqlite::Result<Option<&str>> {
        Ok(self.get_ref(column)?.as_str_or_null()?)
    }

    fn optional_number(&self, column: usize) -> rusqlite::Result<Option<i64>> {
        Ok(self.get_ref(column)?.as_i64_or_null()?)
    }

    fn optional_bytes(&self, column: usize) -> rusqlite::Result<Option<&[u8]>> {
        Ok(self.get_ref(column)?.as_blob_or_null()?)
    }

    fn is_true(&self, column: usize) -> rusqlite::Result<bool> {
        self.get(column)
    }

    fn unexpected(column: usize, value: &str) -> Error {
        let why = format!("unexpected value: {value}");
        Error::FromSqlConversionFailure(column, Type::Text, why.into())
    }
}
