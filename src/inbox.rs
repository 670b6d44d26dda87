//! The mail that came back: reports about deliveries, automatic replies, and everything else.
//!
//! [`read()`] says what one mail is. It decides nothing: which invitation a report is about, and whether it
//! changes the invitation's state, is decided by the ledger's records. A mail in this mailbox can come
//! from anybody, so its text is data: bounded, and without control characters before it is shown.
//!
//! A report is recognised in this order, because nearly every report also says that it was generated
//! automatically: a part `message/delivery-status` (RFC 3464, RFC 6533); the marks of the older forms
//! (Exim, qmail, Gmail, Yahoo, Exchange), which are plain text; and only then an automatic reply
//! (RFC 3834).

mod delivery_status;
mod imap;
mod mbox;
mod original;
mod plain_text;
mod read;
mod report;
mod source;
mod text;

pub use self::imap::{ImapError, ImapLogin, ImapSession};
pub use self::plain_text::first_status;
pub use self::read::read;
pub use self::report::{Action, Inbound, Original, RecipientReport, Report};
pub use self::source::{InboxError, MAIL_LIMIT, Mail, Mails};
pub use self::text::line_of;

#[cfg(test)]
mod tests;
