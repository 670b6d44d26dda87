//! Erasing what is recorded about an address or an invitation.
//!
//! A keyed hash remains, so that nobody is invited twice. The pages of the tables keep deleted rows until they are
//! vacuumed, and the server's log, its standbys and its backups keep them for as long as they are kept.

use jiff::Timestamp;

use super::connection::Session;
use super::errors::{ApplyError, Failure};
use super::keys::Keys;
use super::reader::Reader;
use super::redaction::redact;
use super::rows;
use super::transaction::Transaction;
use super::writer::{Lock, Writer};
use crate::address::Address;
use crate::invitation::{Cause, Erasure, Identity, PersonHasher, State, erase, suppression_hash};
use crate::ledger::columns::Columns;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::records::Forgotten;
use crate::mentions::Mentions;

/// How a tombstone is marked among the suppressions.
const FORGOTTEN: &str = "forgotten";
/// How many invitations are erased in a transaction, during which no run can write.
const PAGE: i64 = 1000;

impl Writer {
    /// Erases everything about an address, and leaves a tombstone that blocks it in all campaigns.
    pub async fn forget(&mut self, address: &Address, _at: Timestamp) -> Result<Forgotten> {
        let forgotten = self
            .write(Lock::Exclusive, async |it| it.forget(address).await)
            .await?;
        let forgotten = forgotten.ok_or_else(|| {
            LedgerError::Busy(format!(
                "another run has an invitation to `{}` in its queue; run the command again when it has ended",
                address.as_written()
            ))
        })?;
        self.vacuum().await;
        Ok(forgotten)
    }

    /// Erases the invitations that are closed and have not changed since `until`, each with a tombstone that
    /// blocks it. Gives how many there were. Each page is a transaction, so that runs need not wait long.
    pub async fn erase_closed(&mut self, until: Timestamp, _at: Timestamp) -> Result<u64> {
        let (mut erased, mut after) = (0, 0);
        loop {
            let page = self
                .write(Lock::Exclusive, async |it| {
                    it.erase_closed(until, after).await
                })
                .await?;
            let Some((count, last)) = page else { break };
            erased += count;
            after = last;
        }
        if erased > 0 {
            self.vacuum().await;
        }
        Ok(erased)
    }

    /// Removes deleted rows from the pages of the tables, as far as this user may and no other transaction needs them.
    /// Otherwise the server does it later.
    async fn vacuum(&self) {
        // A connection of its own, because it can take longer than an answer may.
        if let Ok(session) = Session::connect(&self.server).await {
            let tables = "access, approval, gap, history, invitation, notice, run, suppression";
            let _ = session.batch(&format!("VACUUM {tables}")).await;
        }
    }
}

impl Transaction<'_> {
    /// None if a run is going to send to the address.
    async fn forget(
        &self,
        address: &Address,
    ) -> std::result::Result<Option<Forgotten>, ApplyError> {
        self.recover_lost().await?;
        let canonical = address.canonical();
        let invitations = self
            .session
            .query(
                "SELECT id, state, email, claimed_by IS NOT NULL AND claimed_by <> $2 FROM invitation
                 WHERE address = $1 FOR UPDATE",
                &[&canonical, &self.run],
            )
            .await?;
        let mut mentions = Mentions::of(address);
        let mut ids: Vec<i64> = Vec::with_capacity(invitations.len());
        for row in &invitations {
            if rows::value(row, 3)? {
                return Ok(None);
            }
            erase(row.parsed(1)?, Cause::Forget)?;
            mentions.add(rows::value(row, 2)?);
            ids.push(rows::value(row, 0)?);
        }
        self.delete(&ids).await?;
        let person = PersonHasher::new(self.key).of_address(&canonical);
        self.session
            .execute("DELETE FROM access WHERE person = $1", &[&&person.0[..]])
            .await?;
        let known = self.bury(&canonical).await?;
        Ok(Some(Forgotten {
            invitations: ids.len() as u64,
            mentions: redact(self.session, &mentions).await?,
            known,
        }))
    }

    /// Leaves the tombstone of an address in place of its suppression; gives whether there was a tombstone.
    async fn bury(&self, canonical: &str) -> std::result::Result<bool, Failure> {
        let buried = self
            .session
            .execute(
                "INSERT INTO suppression (hash, at, source, run) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (hash) DO UPDATE SET address = NULL, at = excluded.at, source = excluded.source,
                    note = NULL, run = excluded.run
                 WHERE suppression.source <> excluded.source",
                &[
                    &&suppression_hash(self.key, canonical)[..],
                    &self.now.as_millisecond(),
                    &FORGOTTEN,
                    &self.run,
                ],
            )
            .await?;
        Ok(buried == 0)
    }

    /// Erases the next invitations, whatever their occasions, if all of these are closed and have not changed since
    /// `until`. Gives how many there were, and after which number to go on; none at the end.
    async fn erase_closed(
        &self,
        until: Timestamp,
        after: i64,
    ) -> std::result::Result<Option<(u64, i64)>, ApplyError> {
        let closed: Vec<&str> = State::ALL
            .iter()
            .filter(|it| erase(**it, Cause::Retention).is_ok())
            .map(|it| it.as_str())
            .collect();
        let page = self
            .session
            .query(
                "SELECT i.campaign, i.package_id, i.address, i.occasion, i.id FROM invitation AS i
                 WHERE i.id > $1 AND i.updated_at < $2 AND i.state = ANY ($3) AND NOT EXISTS (
                    SELECT 1 FROM invitation AS o
                    WHERE o.campaign = i.campaign AND o.package_id = i.package_id AND o.address = i.address
                        AND NOT (o.updated_at < $2 AND o.state = ANY ($3)))
                 ORDER BY i.id LIMIT $4",
                &[&after, &until.as_millisecond(), &closed, &PAGE],
            )
            .await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        let last = rows::value(last, 4)?;
        let mut identities = Vec::with_capacity(page.len());
        for row in &page {
            identities.push(row.identity(0)?);
        }
        let keys = Keys::of(identities.iter());
        let occasions = self
            .session
            .query(
                "SELECT DISTINCT i.id FROM unnest($1::text[], $2::text[], $3::text[])
                    AS k (campaign, package_id, address)
                 JOIN invitation AS i USING (campaign, package_id, address)",
                &keys.values()[..3],
            )
            .await?;
        let ids = occasions.iter().map(|row| rows::value(row, 0));
        self.delete(&ids.collect::<std::result::Result<Vec<i64>, _>>()?)
            .await?;
        let mut hashes: Vec<[u8; 32]> = identities
            .iter()
            .map(|it| it.erasure_hash(self.key))
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        let values: Vec<&[u8]> = hashes.iter().map(|it| &it[..]).collect();
        self.session
            .execute(
                "INSERT INTO erased_invitation (hash, at) SELECT hash, $2::bigint FROM unnest($1::bytea[]) AS t (hash)
                 ON CONFLICT (hash) DO UPDATE SET at = excluded.at",
                &[&values, &self.now.as_millisecond()],
            )
            .await?;
        Ok(Some((hashes.len() as u64, last)))
    }

    /// Deletes invitations with everything that belongs to them.
    async fn delete(&self, ids: &[i64]) -> std::result::Result<(), Failure> {
        for statement in [
            "DELETE FROM history WHERE invitation = ANY ($1)",
            "DELETE FROM invitation WHERE id = ANY ($1)",
        ] {
            self.session.execute(statement, &[&ids]).await?;
        }
        Ok(())
    }
}

impl Reader {
    /// Whether, and why, the record of each invitation was erased.
    pub async fn erasures(&self, identities: Vec<Identity>) -> Result<Vec<Option<Erasure>>> {
        let key = self.opened.key.clone();
        self.query(async move |session: &Session| {
            let any = session
                .query_one(
                    "SELECT EXISTS (SELECT 1 FROM erased_invitation)
                        OR EXISTS (SELECT 1 FROM suppression WHERE source = $1)",
                    &[&FORGOTTEN],
                )
                .await?;
            if !rows::value::<bool>(&any, 0)? {
                return Ok(vec![None; identities.len()]);
            }
            let of_addresses: Vec<_> = identities
                .iter()
                .map(|it| suppression_hash(&key, &it.address))
                .collect();
            let of_invitations: Vec<_> =
                identities.iter().map(|it| it.erasure_hash(&key)).collect();
            let values = |hashes: &[[u8; 32]]| -> Vec<Vec<u8>> {
                hashes.iter().map(|it| it.to_vec()).collect()
            };
            let rows = session
                .query(
                    "SELECT k.place, EXISTS (SELECT 1 FROM suppression WHERE hash = k.address AND source = $3),
                        EXISTS (SELECT 1 FROM erased_invitation WHERE hash = k.invitation)
                     FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS k (address, invitation, place)
                     ORDER BY k.place",
                    &[&values(&of_addresses), &values(&of_invitations), &FORGOTTEN],
                )
                .await?;
            let erasure = |row| {
                let retention = rows::value::<bool>(row, 2)?.then_some(Erasure::Retention);
                let forgotten = rows::value::<bool>(row, 1)?.then_some(Erasure::Forgotten);
                Ok(forgotten.or(retention))
            };
            rows.iter().map(erasure).collect()
        })
        .await
    }
}
