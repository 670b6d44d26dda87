//! Decoding of rows.

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::errors::Failure;
use crate::invitation::{Identity, Occasion, State};
use crate::link::PackageId;

/// A value of a column.
pub fn value<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column)
        .map_err(|error| Failure::Value(error.to_string()))
}

/// A text that names something, such as a state.
pub fn parsed<T: std::str::FromStr>(row: &Row, column: usize) -> Result<T, Failure> {
    let name: &str = value(row, column)?;
    let unknown = |_| Failure::Value(format!("`{name}`"));
    name.parse().map_err(unknown)
}

/// The state in a column.
pub fn state(row: &Row, column: usize) -> Result<State, Failure> {
    parsed(row, column)
}

/// The count in a column.
pub fn count(row: &Row, column: usize) -> Result<u32, Failure> {
    let number: i32 = value(row, column)?;
    u32::try_from(number).map_err(|_| Failure::Value(number.to_string()))
}

/// The time in a column, in milliseconds.
pub fn timestamp(row: &Row, column: usize) -> Result<Timestamp, Failure> {
    optional_timestamp(row, column)?.ok_or_else(|| Failure::Value("no time".into()))
}

/// The time in a column, if there is one.
pub fn optional_timestamp(row: &Row, column: usize) -> Result<Option<Timestamp>, Failure> {
    let milliseconds: Option<i64> = value(row, column)?;
    Ok(milliseconds.and_then(|it| Timestamp::from_millisecond(it).ok()))
}

/// The package id in a column.
pub fn package_id(row: &Row, column: usize) -> Result<PackageId, Failure> {
    let text: &str = value(row, column)?;
    PackageId::parse(text).ok_or_else(|| Failure::Value(format!("`{text}`")))
}

/// The identity of the invitation whose campaign, package id, address and occasion begin at column `first`.
pub fn identity(row: &Row, first: usize) -> Result<Identity, Failure> {
    let occasion: Occasion = parsed(row, first + 3)?;
    Ok(Identity {
        campaign: value(row, first)?,
        package_id: package_id(row, first + 1)?,
        address: value(row, first + 2)?,
        occasion,
    })
}
