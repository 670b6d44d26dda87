//! The events file: every change of an invitation and every run, as JSON lines for other programs.
//!
//! The lines are made from what the ledger has committed, so nothing is written that did not happen. A file beside it
//! remembers how far it was written: after a kill or a full disk, the next run continues there. The events file can
//! be rotated at any time.

mod erasure;
mod error;
mod export;
mod file;
mod line;
mod position;

pub use self::erasure::{ErasedEvents, erase_address, erase_before};
pub use self::error::EventsError;
pub use self::export::{export, note_erased};
pub use self::line::VERSION;
