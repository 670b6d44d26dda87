//! The changes of all invitations in the order in which they were recorded, for export.

use super::reader::Reader;
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::RecordedChange;

impl Reader {
    /// The next changes of all campaigns, in the order of their numbers, after `after`, at most `limit`. Empty for a
    /// ledger before version 2.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn changes_after(&self, after: i64, limit: u32) -> Result<Vec<RecordedChange>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT h.at, h.from_state, h.to_state, h.phase, h.smtp_code, h.enhanced_code, h.reply,
                    h.relay, h.message_id, h.note, h.id, h.run, h.cause,
                    i.campaign, i.package_id, i.address, i.occasion, i.package
                 FROM history AS h JOIN invitation AS i ON i.id = h.invitation
                 WHERE h.id > ?1 ORDER BY h.id LIMIT ?2",
            )?;
            let changes = statement.query_map((after, limit), |row| row.recorded_change())?;
            changes.collect()
        })
        .await
    }

    /// The number of the last change; 0 if there is none. After an erasure, numbers are given again.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn last_change(&self) -> Result<i64> {
        self.query(|connection| {
            let last = "SELECT coalesce(max(id), 0) FROM history";
            connection.query_row(last, [], |row| row.get(0))
        })
        .await
    }

    /// The number of the first change by a run after this one.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn first_change_after_run(&self, run: i64) -> Result<Option<i64>> {
        self.query(move |connection| {
            let first = "SELECT min(id) FROM history WHERE run > ?1";
            connection.query_row(first, [run], |row| row.get(0))
        })
        .await
    }
}
