//! Rows of a CSV that this program fills.

use std::io;

use serde::Serialize;

/// The header of rows such as this one, after a byte-order mark, without which Excel takes UTF-8 for the encoding of
/// its language.
pub fn csv_header(row: &impl Serialize) -> io::Result<Vec<u8>> {
    let lines = written(true, [row])?;
    let header = lines.split_inclusive(|it| *it == b'\n').next();
    Ok(["\u{feff}".as_bytes(), header.unwrap_or_default()].concat())
}

/// Rows without a header.
pub fn csv_rows(rows: impl IntoIterator<Item = impl Serialize>) -> io::Result<Vec<u8>> {
    written(false, rows)
}

fn written(
    has_headers: bool,
    rows: impl IntoIterator<Item = impl Serialize>,
) -> io::Result<Vec<u8>> {
    let mut csv = csv::WriterBuilder::new();
    let mut csv = csv.has_headers(has_headers).from_writer(Vec::new());
    for row in rows {
        csv.serialize(row)?;
    }
    csv.into_inner()
        .map_err(|it| io::Error::other(it.to_string()))
}
