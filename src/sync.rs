//! What came back, and which invitation it is about.
//!
//! [`MessageIndex`] knows every message that this ledger has sent. [`matched`] finds the messages that a report
//! is about and says what it proves; the ledger decides what that changes.

mod collect;
mod evidence;
mod index;
mod mailbox;
mod matching;

pub use self::collect::Collected;
pub use self::evidence::suppress_unknown_mailbox;
pub use self::index::MessageIndex;
pub use self::mailbox::{Mailbox, MailboxError, name as mailbox_name};
pub use self::matching::{matched, unsubscribed};
