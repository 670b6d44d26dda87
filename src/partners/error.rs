//! Why the list of partners cannot be used. The variant says what the caller can do about it.

use std::io;

/// An error of the list as a whole. What is wrong with a single row is a [`super::RowFinding`].
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read: correct its path, its owner or its mode.
    #[error("cannot read the partner file `{path}`: {error}; check `partners.file`")]
    Unreadable {
        /// The file, as messages show it.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// It is no list: correct the file, or how the configuration says to read it.
    #[error("{0}")]
    NotAList(String),
    /// Rows are bad and `partners.bad_rows` refuses them: correct the rows.
    #[error("{0}")]
    BadRows(String),
    /// The temporary copy cannot be written or read: make room.
    #[error(
        "cannot make or read a temporary copy of the partner file: {0}; it needs room beside the ledger, or in `$TMPDIR` where no ledger is written"
    )]
    Copy(#[from] io::Error),
    /// The copy has no good row where one was verified: the program has a fault.
    #[error(
        "line {0} of the partner file is no longer the row that was verified; nothing more is sent"
    )]
    RowChanged(u64),
}
