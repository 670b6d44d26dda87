//! The ledger as one SQLite file. SQL and file handling are below this module.
//!
//! It has two threads: one commits all queued changes together, one reads.

mod access;
mod active_run;
mod backup;
mod changes;
mod connection;
mod copying;
mod erasure;
mod errors;
mod evidence;
#[cfg(test)]
pub mod fault_injection;
mod file_checks;
mod notifications;
mod opening;
mod reader;
mod recovery;
mod reminders;
mod rows;
mod runs;
mod schema;
mod suppressions;
mod transitions;
mod verification;
mod wal;
mod writer_handle;
mod writer_requests;
mod writer_thread;

pub use self::connection::create;
pub use self::copying::CopySide;
pub use self::file_checks::{check, check_writable, warnings};
pub use self::opening::{Examined, open_scratch};
pub use self::reader::Reader;
pub use self::writer_handle::WriterHandle;
pub use self::writer_thread::WriterThread;
