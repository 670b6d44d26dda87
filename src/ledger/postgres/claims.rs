//! Claims: which run sends an invitation; and what becomes of those of a run that was lost.

use super::changes;
use super::errors::ApplyError;
use super::keys::Keys;
use super::transaction::{Transaction, is_live};
use super::writer::{Lock, Writer};
use crate::invitation::{Identity, Standing};
use crate::ledger::columns::Columns;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::records::Change;

impl Writer {
    /// Claims these invitations, as far as they are still to be sent and no other run has claimed them. Gives the
    /// standing of each that this run may send, in their order.
    pub async fn claim(&mut self, identities: &[Identity]) -> Result<Vec<Option<Standing>>> {
        let claimed = self
            .write(Lock::Shared, async |it| {
                if !is_live(it.session, it.run).await? {
                    return Ok(None);
                }
                it.recover_lost().await?;
                Ok(Some(it.claim(identities).await?))
            })
            .await?;
        claimed.ok_or_else(LedgerError::run_lost)
    }

    /// Turns what lost runs had armed into `unknown`, and frees their other invitations. Gives how many became
    /// `unknown`.
    pub async fn recover(&mut self, _at: jiff::Timestamp) -> Result<u64> {
        self.write(Lock::Shared, async |it| it.recover_lost().await)
            .await
    }
}

impl Transaction<'_> {
    async fn claim(
        &self,
        identities: &[Identity],
    ) -> std::result::Result<Vec<Option<Standing>>, ApplyError> {
        let keys = Keys::of(identities.iter());
        let claimed = self
            .session
            .query(
                "WITH found AS (
                    SELECT i.id, k.place FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
                        WITH ORDINALITY AS k (campaign, package_id, address, occasion, place)
                    JOIN invitation AS i USING (campaign, package_id, address, occasion)
                    WHERE (i.state = 'pending' OR i.state = 'deferred'
                            AND coalesce(i.next_attempt_at, 0) <= $6)
                        AND (i.claimed_by IS NULL OR i.claimed_by = $1 OR EXISTS (
                            SELECT 1 FROM run AS r WHERE r.number = i.claimed_by
                                AND (r.ended_at IS NOT NULL OR r.lost_at IS NOT NULL)))
                    ORDER BY i.id FOR UPDATE OF i SKIP LOCKED)
                 UPDATE invitation AS i SET claimed_by = $1 FROM found WHERE i.id = found.id
                 RETURNING found.place, i.id",
                &[
                    &self.run,
                    &keys.campaigns,
                    &keys.packages,
                    &keys.addresses,
                    &keys.occasions,
                    &self.now.as_millisecond(),
                ],
            )
            .await?;
        let ids: Vec<i64> = claimed.iter().map(|it| it.get(1)).collect();
        let standings = super::standings::standings_of(self.session, &ids).await?;
        let mut result = vec![None; identities.len()];
        for row in &claimed {
            let place: i64 = row.get(0);
            let place = usize::try_from(place - 1).unwrap_or_default();
            result[place] = standings.get(&row.get(1)).cloned();
        }
        Ok(result)
    }

    /// Marks the runs as lost whose lease has run out, and recovers what they had claimed.
    pub async fn recover_lost(&self) -> std::result::Result<u64, ApplyError> {
        let lost = self
            .session
            .query(
                "UPDATE run SET lost_at = $1
                 WHERE ended_at IS NULL AND lost_at IS NULL AND lease_until <= $1 RETURNING number",
                &[&self.now.as_millisecond()],
            )
            .await?;
        let lost: Vec<i64> = lost.iter().map(|it| it.get(0)).collect();
        if lost.is_empty() {
            return Ok(0);
        }
        self.release(&lost).await
    }

    /// Frees what these runs had claimed; what they had armed becomes `unknown`. Gives how many did.
    pub async fn release(&self, runs: &[i64]) -> std::result::Result<u64, ApplyError> {
        let armed = self
            .session
            .query(
                "SELECT i.campaign, i.package_id, i.address, i.occasion, h.relay
                 FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest
                 WHERE i.claimed_by = ANY ($1) AND i.state = 'armed' ORDER BY i.id FOR UPDATE OF i",
                &[&runs],
            )
            .await?;
        let mut recovered = Vec::with_capacity(armed.len());
        for row in &armed {
            let relay = row.optional_string(4)?;
            recovered.push(Change::recovery(&row.identity(0)?, self.now, relay));
        }
        changes::apply_allowed(self, &recovered).await?;
        self.session
            .execute(
                "UPDATE invitation SET claimed_by = NULL WHERE claimed_by = ANY ($1)",
                &[&runs],
            )
            .await?;
        Ok(recovered.len() as u64)
    }
}
