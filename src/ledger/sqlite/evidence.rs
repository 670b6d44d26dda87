//! The runs that wrote into the ledger, and the approvals on record.

use rusqlite::Connection;

use super::reader::Reader;
use super::schema;
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::{Approval, RunRecord};

/// Records an approval.
pub fn insert_approval(
    connection: &Connection,
    run: Option<i64>,
    approval: &Approval,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO approval (campaign, digest, approved_by, at, note, run)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                &approval.campaign,
                &approval.digest,
                &approval.by,
                approval.at.as_millisecond(),
                &approval.note,
                run,
            ),
        )
        .map(drop)
}

impl Reader {
    /// The runs that wrote into the ledger, of one campaign or of all, the last one first, at most `limit`.
    /// Empty for a ledger before version 2.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn runs(&self, campaign: Option<&str>, limit: u32) -> Result<Vec<RunRecord>> {
        let campaign = campaign.map(str::to_owned);
        self.query(move |connection| {
            if schema::version(connection)? < 2 {
                return Ok(Vec::new());
            }
            connection
                .prepare(
                    "SELECT number, verb, campaign, started_at, ended_at, version, host, os_user,
                        digest, counts, exit_code
                     FROM run WHERE ?1 IS NULL OR campaign = ?1 ORDER BY number DESC LIMIT ?2",
                )?
                .query_map((campaign, limit), |row| row.run())?
                .collect()
        })
        .await
    }

    /// The approvals of one campaign or of all, the last one first. Empty for a ledger before version 3.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn approvals(&self, campaign: Option<&str>) -> Result<Vec<Approval>> {
        let campaign = campaign.map(str::to_owned);
        self.query(move |connection| {
            if schema::version(connection)? < 3 {
                return Ok(Vec::new());
            }
            connection
                .prepare(
                    "SELECT campaign, digest, approved_by, at, note FROM approval
                     WHERE ?1 IS NULL OR campaign = ?1 ORDER BY id DESC",
                )?
                .query_map([campaign], |row| row.approval())?
                .collect()
        })
        .await
    }
}
