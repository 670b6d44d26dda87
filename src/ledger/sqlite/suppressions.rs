//! The suppression list: what is on it, and what it changes.
//!
//! After every transaction, no invitation to a suppressed address is pending or deferred. So the transaction that
//! arms a message needs no other check than that of its state.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::errors::ApplyError;
use super::schema;
use super::transitions::Transitions;
use crate::invitation::{
    AddressPattern, Cause, Identity, MessageIdKey, State, Suppression, covering_hashes,
};
use crate::ledger::columns::Columns;
use crate::ledger::records::{Change, Suppressed};

/// How many invitations are changed at a time.
const PAGE: usize = 1000;
const COLUMNS: &str = "address, at, source, note";

impl Transitions<'_> {
    /// The entry that covers this canonical address.
    pub fn suppression_of(&self, address: &str) -> rusqlite::Result<Option<Suppression>> {
        covering(self.connection, self.key, address)
    }

    /// Whether an entry covers this canonical address.
    pub fn is_suppressed(&self, address: &str) -> rusqlite::Result<bool> {
        Ok(self.suppression_of(address)?.is_some())
    }

    /// Adds an entry, and suppresses what is due to its addresses in all campaigns. An entry that is on the list
    /// already stays.
    pub fn suppress(
        &self,
        pattern: &AddressPattern,
        suppression: &Suppression,
    ) -> Result<Suppressed, ApplyError> {
        let added = self
            .connection
            .prepare_cached(
                "INSERT INTO suppression (hash, address, at, source, note, run)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (hash) DO NOTHING",
            )?
            .execute((
                pattern.hash(self.key),
                &suppression.address,
                suppression.at.as_millisecond(),
                <&str>::from(suppression.source),
                &suppression.note,
                self.run,
            ))?;
        let mut changed = 0;
        for state in [State::Pending, State::Deferred] {
            self.each_of(pattern, state, |identity| {
                let change = Change::new(&identity, suppression.at, Cause::Suppress);
                let note = suppression.note.clone();
                self.apply(&Change { note, ..change })?;
                changed += 1;
                Ok(())
            })?;
        }
        Ok(Suppressed {
            listed: added == 1,
            changed,
        })
    }

    /// Whether the list has this very entry, and it can be removed. That of an erased address cannot.
    pub fn is_removable(&self, pattern: &AddressPattern) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM suppression WHERE hash = ?1 AND source <> 'forgotten')",
            )?
            .query_row([pattern.hash(self.key)], |row| row.get(0))
    }

    /// Removes an entry, and makes pending what it had suppressed; gives how many.
    pub fn unsuppress(
        &self,
        pattern: &AddressPattern,
        at: Timestamp,
        note: Option<&str>,
    ) -> Result<u64, ApplyError> {
        self.connection
            .prepare_cached("DELETE FROM suppression WHERE hash = ?1")?
            .execute([pattern.hash(self.key)])?;
        let mut changed = 0;
        self.each_of(pattern, State::Suppressed, |identity| {
            // Another entry may cover it: the address itself, or its domain.
            if !self.is_suppressed(&identity.address)? {
                let note = note.map(str::to_owned);
                let change = Change::new(&identity, at, Cause::Unsuppress);
                self.apply(&Change { note, ..change })?;
                changed += 1;
            }
            Ok(())
        })?;
        Ok(changed)
    }

    /// Calls `work` with every invitation in this state, of all campaigns, to an address that the entry covers.
    fn each_of(
        &self,
        pattern: &AddressPattern,
        state: State,
        mut work: impl FnMut(Identity) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        let mut after = 0;
        loop {
            let page: Vec<_> = self
                .connection
                .prepare_cached(&format!(
                    "SELECT id, campaign, package_id, address, occasion FROM invitation
                     WHERE state = ?1 AND id > ?2 AND substr(address, -length(?3)) = ?3
                        AND (substr(?3, 1, 1) = '@' OR address = ?3)
                     ORDER BY id LIMIT {PAGE}"
                ))?
                .query_map((state.as_str(), after, pattern.as_str()), |row| {
                    Ok((row.get::<_, i64>(0)?, row.identity(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            for (_, identity) in page {
                work(identity)?;
            }
        }
    }
}

/// The entry that covers this canonical address: its own, else that of its domain.
pub fn covering(
    connection: &Connection,
    key: &MessageIdKey,
    address: &str,
) -> rusqlite::Result<Option<Suppression>> {
    if is_empty(connection)? {
        return Ok(None);
    }
    let query = format!("SELECT {COLUMNS} FROM suppression WHERE hash = ?1");
    let mut statement = connection.prepare_cached(&query)?;
    for hash in covering_hashes(key, address) {
        if let Some(found) = statement
            .query_row([hash], |row| row.suppression(0))
            .optional()?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM suppression)")?
        .query_row([], |row| row.get(0))
}

/// For each of these canonical addresses, the entry that covers it. There is none before version 3.
pub fn covering_each(
    connection: &Connection,
    key: &MessageIdKey,
    addresses: &[String],
) -> rusqlite::Result<Vec<Option<Suppression>>> {
    if schema::version(connection)? < 3 || is_empty(connection)? {
        return Ok(vec![None; addresses.len()]);
    }
    let covering = |it: &String| covering(connection, key, it);
    addresses.iter().map(covering).collect()
}

/// All entries, in the order of their addresses; those of erased addresses last.
pub fn list(connection: &Connection) -> rusqlite::Result<Vec<Suppression>> {
    if schema::version(connection)? < 3 {
        return Ok(Vec::new());
    }
    let order = "ORDER BY address IS NULL, address, at, hash";
    connection
        .prepare(&format!("SELECT {COLUMNS} FROM suppression {order}"))?
        .query_map([], |row| row.suppression(0))?
        .collect()
}
