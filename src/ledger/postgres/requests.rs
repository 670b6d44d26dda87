//! The writer's other requests: an older ledger that is accepted, and notices.

use jiff::Timestamp;

use super::changes;
use super::errors::{ApplyError, Failure};
use super::rows;
use super::transaction::Transaction;
use super::writer::{Lock, Writer};
use crate::invitation::State;
use crate::ledger::columns::Columns;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::records::Gap;
use crate::ledger::witness::Witness;

/// How many invitations are changed at a time.
const PAGE: i64 = 1000;

impl Writer {
    /// Records the gap, turns what unrecorded runs may have mailed into `unknown`, and creates a new witness.
    pub async fn accept_older(&mut self, gap: &Gap) -> Result<u64> {
        let changed = self
            .write(Lock::Exclusive, async |it| {
                if it.has_other_runs().await? {
                    return Ok(None);
                }
                it.record_gap(gap).await?;
                it.accept_older(gap).await.map(Some)
            })
            .await?;
        let changed = changed.ok_or_else(|| {
            LedgerError::Busy(format!(
                "another run is using the ledger `{}`, so an older one cannot be accepted now; run the command again when it has ended",
                self.server.name()
            ))
        })?;
        let path = &self.server.witness;
        let witness = Witness::open_or_create(path, self.mark, path)?;
        witness.reset(self.mark)?;
        self.witness = Some(witness);
        Ok(changed)
    }

    /// When a notice was set; none if it was not, or was removed.
    pub async fn notice(&mut self, name: &str) -> Result<Option<Timestamp>> {
        self.write(Lock::Shared, async |it| {
            let found = it
                .session
                .query_opt("SELECT at FROM notice WHERE name = $1", &[&name])
                .await?;
            Ok(match found {
                Some(row) => row.optional_timestamp(0)?,
                None => None,
            })
        })
        .await
    }

    /// Sets a notice, or removes it. The time is that of the program, whose clock follows the server.
    pub async fn set_notice(&mut self, name: &str, at: Option<Timestamp>) -> Result<()> {
        self.write(Lock::Shared, async |it| {
            match at {
                Some(at) => {
                    it.session
                        .execute(
                            "INSERT INTO notice (name, at) VALUES ($1, $2)
                         ON CONFLICT (name) DO UPDATE SET at = excluded.at",
                            &[&name, &at.as_millisecond()],
                        )
                        .await?
                }
                None => {
                    it.session
                        .execute("DELETE FROM notice WHERE name = $1", &[&name])
                        .await?
                }
            };
            Ok(())
        })
        .await
    }
}

impl Transaction<'_> {
    /// Whether another run is using the ledger. Lost runs are recovered first.
    async fn has_other_runs(&self) -> std::result::Result<bool, ApplyError> {
        self.recover_lost().await?;
        let row = self.session.query_one(
            "SELECT EXISTS (SELECT 1 FROM run WHERE ended_at IS NULL AND lost_at IS NULL AND number <> $1)",
            &[&self.run],
        ).await?;
        Ok(rows::value(&row, 0)?)
    }

    /// Records that a person accepted an older copy. No campaign remains confirmed.
    async fn record_gap(&self, gap: &Gap) -> std::result::Result<(), Failure> {
        self.session.execute("DELETE FROM campaign", &[]).await?;
        self.session
            .execute(
                "INSERT INTO gap (at, run, witness_run, witness_changes, note) VALUES ($1, $2, $3, $4, $5)",
                &[
                    &self.now.as_millisecond(),
                    &self.run,
                    &gap.witness.map(|it| it.run.to_vec()),
                    &gap.witness.map(|it| it.changes.cast_signed()),
                    &gap.note,
                ],
            )
            .await?;
        Ok(())
    }

    /// Turns every invitation that an unrecorded run may have mailed into `unknown`; gives how many there were.
    async fn accept_older(&self, gap: &Gap) -> std::result::Result<u64, ApplyError> {
        let states = [State::Pending, State::Deferred, State::Armed].map(State::as_str);
        let (mut changed, mut after) = (0, 0_i64);
        loop {
            let page = self
                .session
                .query(
                    "SELECT campaign, package_id, address, occasion, id FROM invitation
                     WHERE id > $1 AND state = ANY ($2) ORDER BY id LIMIT $3",
                    &[&after, &&states[..], &PAGE],
                )
                .await?;
            let Some(last) = page.last() else {
                return Ok(changed);
            };
            after = rows::value(last, 4)?;
            let mut of_page = Vec::with_capacity(page.len());
            for row in &page {
                of_page.push(gap.change(&row.identity(0)?));
            }
            changes::apply_allowed(self, &of_page).await?;
            changed += of_page.len() as u64;
        }
    }
}
