//! What came back, and which invitation it is about.
//!
//! [`MessageIndex`] knows every message that this ledger has sent. [`matched`] finds the messages that a report
//! is about and says what it proves; the ledger decides what that changes.

mod collect;
mod evidence;
mod graph_mailbox;
mod index;
mod mailbox;
mod matching;
mod requests;
mod trace;

pub use self::collect::Collected;
pub use self::evidence::suppress_unknown_mailbox;
pub use self::graph_mailbox::{GraphMailbox, graph_mailbox_name};
pub use self::index::MessageIndex;
pub use self::mailbox::{Mailbox, MailboxError, name as mailbox_name};
pub use self::matching::{matched, unsubscribed};
pub use self::requests::{PackageAccess, read_access};
pub use self::trace::{TraceError, read_trace};
