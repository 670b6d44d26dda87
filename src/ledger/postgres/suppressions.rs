//! The suppression list: what is on it, and what it changes.
//!
//! After every transaction, no invitation to a suppressed address is pending or deferred. So the transaction that
//! arms a message needs no other check than that of its state. Transactions that change the list exclude all others.

use std::collections::HashMap;

use super::connection::Session;
use super::errors::{ApplyError, Failure};
use super::reader::Reader;
use super::rows;
use super::transaction::Transaction;
use super::writer::{Lock, Writer};
use crate::invitation::{
    AddressPattern, Cause, Identity, MessageIdKey, State, Suppression, covering_hashes,
};
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::{Change, Suppressed};

impl Writer {
    /// Adds entries to the suppression list, all or none.
    pub async fn suppress(
        &mut self,
        entries: &[(AddressPattern, Suppression)],
    ) -> Result<Vec<Suppressed>> {
        self.write(Lock::Exclusive, async |it| {
            let mut done = Vec::with_capacity(entries.len());
            for (pattern, entry) in entries {
                done.push(it.suppress(pattern, entry).await?);
            }
            Ok(done)
        })
        .await
    }

    /// Removes entries from the suppression list, all of them or, if one is missing or of an erased address, none.
    pub async fn unsuppress(
        &mut self,
        patterns: &[AddressPattern],
        _at: jiff::Timestamp,
        note: Option<&str>,
    ) -> Result<Vec<Option<u64>>> {
        self.write(Lock::Exclusive, async |it| {
            let mut removable = Vec::with_capacity(patterns.len());
            for pattern in patterns {
                removable.push(it.is_removable(pattern).await?);
            }
            if removable.contains(&false) {
                return Ok(removable.into_iter().map(|it| it.then_some(0)).collect());
            }
            let mut changed = Vec::with_capacity(patterns.len());
            for pattern in patterns {
                changed.push(Some(it.unsuppress(pattern, note).await?));
            }
            Ok(changed)
        })
        .await
    }
}

impl Transaction<'_> {
    /// Whether an entry of the suppression list covers this canonical address.
    pub async fn is_suppressed(&self, address: &str) -> std::result::Result<bool, Failure> {
        let covering = covering_each(self.session, self.key, &[address]).await?;
        Ok(covering.iter().any(Option::is_some))
    }

    /// Adds an entry, and suppresses what is due to its addresses in all campaigns. An entry that is on the list
    /// already stays.
    pub async fn suppress(
        &self,
        pattern: &AddressPattern,
        suppression: &Suppression,
    ) -> std::result::Result<Suppressed, ApplyError> {
        let added = self
            .session
            .execute(
                "INSERT INTO suppression (hash, address, at, source, note, run)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hash) DO NOTHING",
                &[
                    &&pattern.hash(self.key)[..],
                    &suppression.address,
                    &self.now.as_millisecond(),
                    &<&str>::from(suppression.source),
                    &suppression.note,
                    &self.run,
                ],
            )
            .await?;
        let mut changed = 0;
        for state in [State::Pending, State::Deferred] {
            for identity in self.covered_by(pattern, state).await? {
                let change = Change {
                    note: suppression.note.clone(),
                    ..Change::new(&identity, self.now, Cause::Suppress)
                };
                self.apply(&change).await?;
                changed += 1;
            }
        }
        Ok(Suppressed {
            listed: added == 1,
            changed,
        })
    }

    /// Whether the list has this very entry, and it can be removed. That of an erased address cannot.
    async fn is_removable(&self, pattern: &AddressPattern) -> std::result::Result<bool, Failure> {
        let row = self
            .session
            .query_one(
                "SELECT EXISTS (SELECT 1 FROM suppression WHERE hash = $1 AND source <> 'forgotten')",
                &[&&pattern.hash(self.key)[..]],
            )
            .await?;
        rows::value(&row, 0)
    }

    /// Removes an entry, and makes pending what it had suppressed; gives how many.
    async fn unsuppress(
        &self,
        pattern: &AddressPattern,
        note: Option<&str>,
    ) -> std::result::Result<u64, ApplyError> {
        self.session
            .execute(
                "DELETE FROM suppression WHERE hash = $1",
                &[&&pattern.hash(self.key)[..]],
            )
            .await?;
        let mut changed = 0;
        for identity in self.covered_by(pattern, State::Suppressed).await? {
            // Another entry may cover it: the address itself, or its domain.
            if !self.is_suppressed(&identity.address).await? {
                let change = Change {
                    note: note.map(str::to_owned),
                    ..Change::new(&identity, self.now, Cause::Unsuppress)
                };
                self.apply(&change).await?;
                changed += 1;
            }
        }
        Ok(changed)
    }

    /// The invitations in this state, of all campaigns, to an address that the entry covers, in the order of their
    /// enrolment.
    async fn covered_by(
        &self,
        pattern: &AddressPattern,
        state: State,
    ) -> std::result::Result<Vec<Identity>, Failure> {
        let statement = if pattern.as_str().starts_with('@') {
            "SELECT campaign, package_id, address, occasion FROM invitation
             WHERE right(address, length($1::text)) = $1 AND state = $2 ORDER BY id"
        } else {
            "SELECT campaign, package_id, address, occasion FROM invitation
             WHERE address = $1 AND state = $2 ORDER BY id"
        };
        let rows = self
            .session
            .query(statement, &[&pattern.as_str(), &state.as_str()])
            .await?;
        rows.iter().map(|row| row.identity(0)).collect()
    }
}

impl Reader {
    /// For each of these canonical addresses, the entry of the suppression list that covers it.
    pub async fn suppressions_of(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Option<Suppression>>> {
        let key = self.opened.key.clone();
        self.query(async move |session: &Session| {
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            covering_each(session, &key, &addresses).await
        })
        .await
    }

    /// The suppression list, in the order of the addresses; those of erased addresses last.
    pub async fn suppressions(&self) -> Result<Vec<Suppression>> {
        self.query(async |session: &Session| {
            let rows = session
                .query(
                    "SELECT hash, address, at, source, note FROM suppression
                     ORDER BY address IS NULL, address COLLATE \"C\", at, hash",
                    &[],
                )
                .await?;
            rows.iter().map(|row| row.suppression(1)).collect()
        })
        .await
    }
}

/// For each of these canonical addresses, the entry that covers it: its own, else that of its domain.
pub async fn covering_each(
    session: &Session,
    key: &MessageIdKey,
    addresses: &[&str],
) -> std::result::Result<Vec<Option<Suppression>>, Failure> {
    let any = session
        .query_one("SELECT EXISTS (SELECT 1 FROM suppression)", &[])
        .await?;
    if !rows::value::<bool>(&any, 0)? {
        return Ok(vec![None; addresses.len()]);
    }
    let hashes: Vec<[[u8; 32]; 2]> = addresses
        .iter()
        .map(|it| covering_hashes(key, it))
        .collect();
    let all: Vec<&[u8]> = hashes.iter().flatten().map(|it| &it[..]).collect();
    let rows = session
        .query(
            "SELECT hash, address, at, source, note FROM suppression WHERE hash = ANY ($1::bytea[])",
            &[&all],
        )
        .await?;
    let mut listed = HashMap::with_capacity(rows.len());
    for row in &rows {
        listed.insert(rows::value::<&[u8]>(row, 0)?, row.suppression(1)?);
    }
    let covering = |hashes: &[[u8; 32]; 2]| {
        let mut found = hashes.iter().filter_map(|it| listed.get(&it[..]));
        found.next().cloned()
    };
    Ok(hashes.iter().map(covering).collect())
}
