//! The changes of all invitations in the order in which they were recorded, for export.
//!
//! A transaction that commits later may have taken earlier numbers. So a page ends where nothing is under way: for a
//! moment, no other transaction changes the ledger.

use super::connection::Session;
use super::errors::Failure;
use super::reader::Reader;
use super::rows;
use super::writer::ORDER_LOCK;
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::RecordedChange;

impl Reader {
    /// The next changes of all campaigns, in the order of their numbers, after `after`, at most `limit`.
    pub async fn changes_after(&self, after: i64, limit: u32) -> Result<Vec<RecordedChange>> {
        self.query(async move |session: &Session| {
            let last = last_settled(session).await?;
            let rows = session
                .query(
                    "SELECT h.at, h.from_state, h.to_state, h.phase, h.smtp_code, h.enhanced_code, h.reply,
                        h.relay, h.message_id, h.note, h.id, h.run, h.cause,
                        i.campaign, i.package_id, i.address, i.occasion, i.package
                     FROM history AS h JOIN invitation AS i ON i.id = h.invitation
                     WHERE h.id > $1 AND h.id <= $2 ORDER BY h.id LIMIT $3",
                    &[&after, &last, &i64::from(limit)],
                )
                .await?;
            rows.iter().map(Columns::recorded_change).collect()
        })
        .await
    }

    /// The number of the last change before which none is under way; 0 if there is none.
    pub async fn last_change(&self) -> Result<i64> {
        self.query(async |session: &Session| last_settled(session).await)
            .await
    }

    /// Numbers are never given again, so no later run has recorded an earlier number.
    #[expect(clippy::unused_async, reason = "as that of a file")]
    pub async fn first_change_after_run(&self, _run: i64) -> Result<Option<i64>> {
        Ok(None)
    }
}

async fn last_settled(session: &Session) -> std::result::Result<i64, Failure> {
    session
        .batch("BEGIN; SET LOCAL lock_timeout = '10s'")
        .await?;
    let last = async {
        session
            .query("SELECT pg_advisory_xact_lock($1)", &[&ORDER_LOCK])
            .await?;
        session
            .query_one("SELECT coalesce(max(id), 0) FROM history", &[])
            .await
    };
    let last = last.await;
    session.batch("ROLLBACK").await?;
    rows::value(&last?, 0)
}
