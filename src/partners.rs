//! The partners: a CSV file as people export it, read whole before anybody is mailed.
//!
//! The file is copied once, and everything later reads the copy, so that an editor
//! saving in the middle of a run changes nothing. The first reading validates every
//! row and reports all bad ones; later readings return the good rows, in the order
//! of the file, as often as needed. Memory: sixteen bytes a row, to find duplicates
//! and who is listed.

pub mod address_cell;
mod decode;
mod domains;
mod encoding;
mod finding;
mod form;
pub mod header_match;
mod invisible;
pub mod known_headers;
pub mod language_names;
mod languages;
mod layout;
mod lines;
mod list;
mod mojibake;
mod partner;
pub mod patterns;
pub mod placeholders;
mod quoting;
mod row;
mod row_reader;
mod rows;
mod scratch;
mod snapshot;
mod source_rows;
mod source_text;
mod swallowed;
mod warnings;
mod windows1252;
pub mod workbook;

pub use self::finding::Finding;
pub use self::form::Form;
pub use self::languages::RequestedLanguage;
pub use self::list::Partners;
pub use self::partner::Partner;
pub use self::row_reader::RowReader;
pub use self::source_rows::{RowKind, SourceRow};

#[cfg(test)]
mod list_fixtures;
#[cfg(test)]
mod tests;
