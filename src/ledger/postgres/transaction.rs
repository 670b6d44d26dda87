//! A transaction that is open.

use jiff::Timestamp;

use super::connection::Session;
use super::errors::Failure;
use crate::invitation::MessageIdKey;
use crate::ledger::records::RateLimits;

/// Whether a run is not lost, and its lease has not run out.
pub const IS_LIVE: &str = "SELECT lost_at IS NULL AND ended_at IS NULL
    AND lease_until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM run WHERE number = $1 FOR SHARE";

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

impl Transaction<'_> {
    /// Whether this run is not lost, and its lease has not run out. It cannot be lost before the transaction ends.
    pub async fn is_live(&self) -> std::result::Result<bool, Failure> {
        let row = self.session.query_opt(IS_LIVE, &[&self.run]).await?;
        Ok(row.is_some_and(|it| it.get(0)))
    }
}
