//! The partners: a CSV file or a workbook, read and validated as a whole before anything is sent.
//!
//! The file is copied once, and everything later reads the copy, so that a file saved during a
//! run changes nothing: `snapshot` copies and decodes, `records` yields rows of cells, `layout`
//! says which cell is which, `row` makes a partner. A workbook is copied as CSV, a record for each
//! of its rows. The first reading validates all rows and reports all bad ones; later
//! readings return the rows in the order of the file. Memory: sixteen bytes a row, to find
//! duplicates and who is listed.

mod address_cell;
mod csv_format;
mod decode;
mod domains;
mod encoding;
mod error;
mod finding;
mod formula;
mod header_match;
mod invisible;
mod known_headers;
mod language_names;
mod languages;
mod layout;
mod lines;
mod list;
mod mojibake;
mod note;
mod partner;
mod patterns;
mod placeholders;
mod quoting;
mod readings;
mod records;
mod row;
mod snapshot;
mod swallowed;
mod temp_copy;
mod warnings;
mod windows1252;
mod workbook;

pub use self::csv_format::CsvFormat;
pub use self::domains::is_consumer as is_consumer_domain;
pub use self::error::ListError;
pub use self::finding::RowFinding;
pub use self::formula::{is_guarded_in_results, may_be_formula};
pub use self::languages::RequestedLanguage;
pub use self::list::Partners;
pub use self::partner::Partner;
pub use self::quoting::quoted;
pub use self::readings::{RowKind, RowReader, SourceRow};
pub use self::workbook::catches_panics;

#[cfg(test)]
mod tests;
