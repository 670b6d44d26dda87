//! A transaction that is open.

use jiff::Timestamp;

use super::connection::Session;
use crate::invitation::MessageIdKey;

/// What the work of a transaction uses.
pub struct Transaction<'a> {
    pub session: &'a Session,
    pub key: &'a MessageIdKey,
    /// The run that is recorded with each change.
    pub run: i64,
    /// The time of the server.
    pub now: Timestamp,
}
