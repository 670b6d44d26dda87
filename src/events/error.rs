//! Why events could not be written.

use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::LedgerError;

/// Why events could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file, or the one beside it, could not be read or written.
    #[error("cannot write the events `{path}` (nothing is lost: the ledger has everything, and the next run writes what is missing): {1}", path = .0.display())]
    Io(PathBuf, io::Error),
    /// The ledger could not be read.
    #[error("cannot write the events `{path}`: {1}", path = .0.display())]
    Ledger(PathBuf, LedgerError),
}

/// What the events return.
pub type Result<T> = std::result::Result<T, EventsError>;

/// Says for which file an error is.
pub fn failed(path: &Path) -> impl Fn(io::Error) -> EventsError {
    move |error| EventsError::Io(path.to_owned(), error)
}
