//! A transaction that is open.

use std::cell::RefCell;

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
    /// Whether the work may commit with its last statement, which saves a round trip; and whether it has.
    pub commit: Commit,
}

/// Who commits a transaction.
#[derive(Debug, Default)]
pub struct Commit {
    /// Whether the work may commit with its last statement.
    pub early: bool,
    /// How that ended, if it has.
    pub done: RefCell<Option<Result<(), Failure>>>,
}

/// Whether a run is not lost, and its lease has not run out. It cannot be lost before the transaction ends.
pub async fn is_live(session: &Session, run: i64) -> std::result::Result<bool, Failure> {
    let row = session.query_opt(IS_LIVE, &[&run]).await?;
    Ok(row.is_some_and(|it| it.get(0)))
}
