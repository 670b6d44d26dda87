//! The ledger in a PostgreSQL database, which several machines share. SQL is below this module.
//!
//! The writer and the reader have a thread and a connection each, as those of a file. What differs from a file:
//!
//! - Several runs write at once. Each has a lease, and claims the invitations that it sends ([`lease`], [`claims`]).
//! - The answer to a commit can be lost. The writer finds out whether it was committed before it goes on
//!   ([`writer`]).
//! - Recorded times are those of the server.

mod access;
mod changes;
mod claims;
mod connecting;
mod connection;
mod copying;
mod enrolment;
mod erasure;
mod errors;
mod evidence;
mod keys;
mod lease;
mod notifications;
mod opening;
mod other_runs;
mod password_file;
mod reader;
mod recorded_changes;
mod redaction;
mod reminders;
mod requests;
mod rewriting;
mod rows;
mod schema;
mod server;
mod server_findings;
mod service_file;
mod settings;
mod staleness;
mod standings;
mod suppressions;
mod thread;
mod tls;
mod transaction;
mod verification;
mod writer;

pub use self::copying::CopySide;
pub use self::opening::{create_if_missing, open};
pub use self::reader::Reader;
pub use self::server_findings::{server_findings, warnings};
pub use self::writer::{Writer, WriterHandle};
