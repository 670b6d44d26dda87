//! Why the results cannot be written.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::ledger::LedgerError;

/// An error of the results file, with what failed, where, why, and how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file cannot take results: name another one.
    #[error("{0}")]
    NotUsable(String),
    /// The file could not be written: make room; the next run writes it again.
    #[error("{0}")]
    CannotWrite(String),
    /// The ledger could not be read.
    #[error("{0}: {1}")]
    Ledger(String, LedgerError),
}

/// What the results return.
pub type Result<T> = std::result::Result<T, ResultsError>;

/// Why the file cannot be written in this encoding.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file cannot be written, or the copy of the list cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A character of the list can be read in its encoding, but not written.
    #[error("a character cannot be written")]
    Unmappable,
    /// The ledger cannot be read.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
}

impl WriteError {
    /// The copy of the list cannot be read.
    pub fn list(error: impl Display) -> Self {
        Self::Io(io::Error::other(error.to_string()))
    }

    /// The error of the results at `path`.
    pub fn at(self, path: &Path) -> ResultsError {
        let what = format!(
            "cannot write the results `{}` (nothing is lost: the ledger has everything, and the next run writes them again)",
            path.display()
        );
        match self {
            Self::Ledger(error) => ResultsError::Ledger(what, error),
            error => ResultsError::CannotWrite(format!("{what}: {error}")),
        }
    }
}
