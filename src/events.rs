//! The events file: every change of an invitation and every run, as JSON lines for other programs.
//!
//! The lines are made from what the ledger has committed, so nothing is written that did not happen. A file beside it
//! remembers how far it was written: after a kill or a full disk, the next run continues there. The events file can
//! be rotated at any time.

mod erasure;
mod export;
mod file;
mod line;
mod position;

use std::io;
use std::path::{Path, PathBuf};

pub use self::erasure::{ErasedEvents, erase_address, erase_before};
pub use self::export::{export, note_erased};
pub use self::line::VERSION;
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
type Result<T> = std::result::Result<T, EventsError>;

fn failed(path: &Path) -> impl Fn(io::Error) -> EventsError {
    move |error| EventsError::Io(path.to_owned(), error)
}
