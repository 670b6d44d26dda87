//! The runs that wrote into the ledger, the approvals on record, and what the guards need to know about a campaign.

use super::connection::Session;
use super::reader::Reader;
use super::rows;
use super::writer::{Lock, Writer};
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::{Approval, CampaignStanding, RunEnd, RunRecord};

impl Writer {
    /// Records an approval.
    pub async fn approve(&mut self, approval: &Approval) -> Result<()> {
        self.write(Lock::Shared, async |it| {
            it.session
                .execute(
                    "INSERT INTO approval (campaign, digest, approved_by, at, note, run)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                    &[
                        &approval.campaign,
                        &approval.digest,
                        &approval.by,
                        &it.now.as_millisecond(),
                        &approval.note,
                        &it.run,
                    ],
                )
                .await?;
            Ok(())
        })
        .await
    }

    /// Records how the run ended, and frees what it had claimed. What it has left armed becomes `unknown`.
    pub async fn end_run(&mut self, end: &RunEnd) -> Result<()> {
        self.write(Lock::Shared, async |it| {
            it.release(&[it.run]).await?;
            it.session
                .execute(
                    "UPDATE run SET ended_at = $2, exit_code = $3, digest = $4, counts = $5 WHERE number = $1",
                    &[
                        &it.run,
                        &it.now.as_millisecond(),
                        &i16::from(end.exit_code),
                        &end.digest,
                        &end.counts,
                    ],
                )
                .await?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// The runs that wrote into the ledger, of one campaign or of all, the last one first, at most `limit`.
    pub async fn runs(&self, campaign: Option<&str>, limit: u32) -> Result<Vec<RunRecord>> {
        let campaign = campaign.map(str::to_owned);
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT number, verb, campaign, started_at, ended_at, version, host, os_user, digest, counts,
                        exit_code
                     FROM run WHERE $1::text IS NULL OR campaign = $1 ORDER BY number DESC LIMIT $2",
                    &[&campaign, &i64::from(limit)],
                )
                .await?;
            rows.iter().map(Columns::run).collect()
        })
        .await
    }

    /// The approvals of one campaign or of all, the last one first.
    pub async fn approvals(&self, campaign: Option<&str>) -> Result<Vec<Approval>> {
        let campaign = campaign.map(str::to_owned);
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT campaign, digest, approved_by, at, note FROM approval
                     WHERE $1::text IS NULL OR campaign = $1 ORDER BY id DESC",
                    &[&campaign],
                )
                .await?;
            rows.iter().map(Columns::approval).collect()
        })
        .await
    }

    /// What the guards need to know about a campaign.
    pub async fn campaign(&self, campaign: &str) -> Result<CampaignStanding> {
        let campaign = campaign.to_owned();
        self.query(async move |session: &Session| {
            // From name to name in the index, because there are few campaigns and many invitations.
            let others = session
                .query(
                    "WITH RECURSIVE names AS (
                        SELECT min(campaign) AS name FROM invitation
                        UNION ALL
                        SELECT (SELECT min(campaign) FROM invitation WHERE campaign > names.name)
                        FROM names WHERE names.name IS NOT NULL)
                     SELECT name FROM names WHERE name <> $1 ORDER BY name COLLATE \"C\"",
                    &[&campaign],
                )
                .await?;
            let known = session
                .query_one(
                    "SELECT EXISTS (SELECT 1 FROM campaign WHERE name = $1), (SELECT max(at) FROM gap)",
                    &[&campaign],
                )
                .await?;
            let confirmed = rows::value(&known, 0)?;
            let gap = known.optional_timestamp(1)?;
            Ok(CampaignStanding {
                confirmed,
                gap: gap.filter(|_| !confirmed),
                others: others
                    .iter()
                    .map(|row| rows::value(row, 0))
                    .collect::<std::result::Result<_, _>>()?,
            })
        })
        .await
    }
}
