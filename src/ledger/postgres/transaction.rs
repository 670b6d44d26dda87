//! A transaction that is open.

use jiff::Timestamp;

use super::connection::Session;
use crate::invitation::MessageIdKey;
use crate::ledger::records::RateLimits;

/// What the work of a transaction uses.
pub struct Transaction<'a> {
    pub session: &'a Session,
    pub key: &'a MessageIdKey,
    /// The run that is recorded with each change.
    pub run: i64,
    /// The limits that all runs keep together, if they are kept exactly.
    pub limits: Option<&'a RateLimits>,
    /// The time of the server.
    pub now: Timestamp,
}
