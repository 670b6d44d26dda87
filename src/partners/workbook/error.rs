//! Why a workbook cannot be read, in the words that an administrator sees.

use std::fmt;
use std::io;

use calamine::{Error, OdsError, XlsError, XlsxError};

use crate::config::first_of;

/// Why a workbook cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WorkbookError {
    /// The file itself cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file has more than 64 MiB.
    #[error("the workbook has more than 64 MiB; export the sheet as CSV UTF-8")]
    FileTooLarge,
    /// Unpacked or expanded, its content takes more memory than is allowed.
    #[error(
        "the workbook is small on disk, but its content is too large in memory ({0}); export the sheet as CSV UTF-8"
    )]
    ContentTooLarge(&'static str),
    /// The sheet has more than 200,000 rows with content.
    #[error("the sheet has more than 200,000 rows; export it as CSV UTF-8")]
    TooManyRows,
    /// The cells of one row have more than 1 MiB.
    #[error("row {row}: its cells have more than 1 MiB of text")]
    RowTooLong {
        /// The number of the row.
        row: u32,
    },
    /// A password protects it.
    #[error(
        "the workbook is encrypted with a password; save a copy without one, or export the sheet as CSV UTF-8"
    )]
    Encrypted,
    /// Its content is not that of a workbook.
    #[error(
        "the content is not that of a workbook (.xlsx, .xlsm, .xls, .ods), whatever the file is called; open it in a spreadsheet program and save it as .xlsx or CSV UTF-8"
    )]
    NotAWorkbook,
    /// A kind of workbook that is not read.
    #[error("{0} is not read; save the workbook as .xlsx or export the sheet as CSV UTF-8")]
    Unsupported(&'static str),
    /// It does not follow its format.
    #[error(
        "the workbook is damaged ({0}); open it in a spreadsheet program and save it again, or export the sheet as CSV UTF-8"
    )]
    Damaged(String),
    /// No sheet has the wanted name.
    #[error("there is no sheet `{}`; the workbook has {}", .wanted.escape_debug(), listed(.available))]
    UnknownSheet {
        /// The name that was asked for.
        wanted: String,
        /// The names of all worksheets.
        available: Vec<String>,
    },
    /// There is no worksheet, for example because all sheets are charts.
    #[error("the workbook has no worksheet")]
    NoSheet,
}

/// The error of a workbook that does not follow its format.
pub fn damaged(error: impl fmt::Display) -> WorkbookError {
    WorkbookError::Damaged(error.to_string())
}

/// The first sheet names, and how many more there are.
fn listed(names: &[String]) -> String {
    let names = names.iter().map(|it| format!("`{}`", it.escape_debug()));
    first_of(names, 20)
}

/// What an error of calamine means.
pub fn read_error(error: impl Into<calamine::Error>) -> WorkbookError {
    match error.into() {
        Error::Xlsx(XlsxError::Password)
        | Error::Xls(XlsError::Password)
        | Error::Ods(OdsError::Password) => WorkbookError::Encrypted,
        Error::Xlsx(XlsxError::NotAWorksheet(_)) => WorkbookError::NoSheet,
        Error::Ods(OdsError::InvalidMime(_) | OdsError::FileNotFound("mimetype")) => {
            WorkbookError::NotAWorkbook
        }
        Error::Xlsx(error) => damaged(error),
        Error::Xls(error) => damaged(error),
        Error::Ods(error) => damaged(error),
        error => damaged(error),
    }
}
