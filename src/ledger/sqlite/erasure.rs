//! Erasing what is recorded about an address or an invitation, in the file and not only in its tables.
//!
//! A keyed hash remains, so that nobody is invited twice. Deleted cells and free pages keep old content, also that
//! of changes long ago, so the file is rebuilt and the write-ahead log emptied before an erasure counts as done.

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::errors::ApplyError;
use super::reader::Reader;
use super::transitions::Transitions;
use super::writer_thread::WriterThread;
use super::{runs, schema, wal};
use crate::address::Address;
use crate::invitation::{
    Cause, Erasure, Identity, MessageIdKey, PersonHasher, erase, suppression_hash,
};
use crate::ledger::columns::Columns;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::records::Forgotten;
use crate::mentions::Mentions;

/// How a tombstone is marked among the suppressions.
const FORGOTTEN: &str = "forgotten";
/// The SQL function that replaces an address in a text.
const REDACT: &str = "without_address";
/// The notice that the file must be rebuilt, because something was erased.
const REBUILD: &str = "rebuild";
/// How many invitations are erased at a time.
const PAGE: usize = 1000;

impl WriterThread {
    /// Erases everything about an address, and leaves a tombstone that blocks it in all campaigns.
    pub fn forget(&mut self, address: &Address, at: Timestamp) -> Result<Forgotten> {
        let forgotten = self.write(|it| {
            runs::set_notice(&it.connection, REBUILD, Some(at))?;
            it.transitions().forget(address, at)
        })?;
        self.rebuild()?;
        Ok(forgotten)
    }

    /// Erases the invitations that are closed and have not changed since `until`, each with a tombstone that
    /// blocks it. Gives how many there were.
    pub fn erase_closed(&mut self, until: Timestamp, at: Timestamp) -> Result<u64> {
        let (erased, begun) = self.write(|it| {
            let erased = it.transitions().erase_closed(until, at)?;
            if erased > 0 {
                runs::set_notice(&it.connection, REBUILD, Some(at))?;
            }
            Ok((erased, runs::notice(&it.connection, REBUILD)?))
        })?;
        // An earlier run may have been interrupted, or kept from it by a reader.
        if begun.is_some() {
            self.rebuild()?;
        }
        Ok(erased)
    }

    /// Writes the file anew, without free pages and remains of deleted rows.
    fn rebuild(&mut self) -> Result<()> {
        self.ensure_usable()?;
        let rebuilt = self
            .connection
            // A large ledger does not fit into memory a second time.
            .execute_batch("PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY")
            .and_then(|()| wal::checkpoint(&self.connection, "TRUNCATE"));
        match rebuilt.map_err(|error| self.fail(error))? {
            0 => self.write(|it| Ok(runs::set_notice(&it.connection, REBUILD, None)?)),
            _ => Err(LedgerError::Busy(format!(
                "another program is reading the ledger `{}`, so its file still has what was erased from its tables; run the command again when it has ended",
                self.path.display()
            ))),
        }
    }
}

impl Transitions<'_> {
    fn forget(
        &self,
        address: &Address,
        at: Timestamp,
    ) -> std::result::Result<Forgotten, ApplyError> {
        let canonical = address.canonical();
        let mut mentions = Mentions::of(address);
        let invitations = self
            .connection
            .prepare("SELECT id, state, email FROM invitation WHERE address = ?1")?
            .query_map([&canonical], |row| {
                Ok((row.get(0)?, row.parsed(1)?, row.get::<_, String>(2)?))
            })?
            .collect::<rusqlite::Result<Vec<(i64, _, _)>>>()?;
        for (id, state, email) in &invitations {
            erase(*state, Cause::Forget)?;
            mentions.add(email);
            self.delete(*id)?;
        }
        let person = PersonHasher::new(self.key).of_address(&canonical);
        self.connection
            .execute("DELETE FROM access WHERE person = ?1", [person.0])?;
        let known = self.bury(&canonical, at)?;
        let mentions = redact(self.connection, mentions)?;
        Ok(Forgotten {
            invitations: invitations.len() as u64,
            mentions,
            known,
        })
    }

    /// Leaves the tombstone of an address in place of its suppression; gives whether there was a tombstone.
    fn bury(&self, canonical: &str, at: Timestamp) -> rusqlite::Result<bool> {
        let hash = suppression_hash(self.key, canonical);
        let known = is_forgotten(self.connection, &hash)?;
        if !known {
            self.connection.execute(
                "REPLACE INTO suppression (hash, address, at, source, note, run)
                 VALUES (?1, NULL, ?2, ?3, NULL, ?4)",
                (hash, at.as_millisecond(), FORGOTTEN, self.run),
            )?;
        }
        Ok(known)
    }

    fn erase_closed(
        &self,
        until: Timestamp,
        at: Timestamp,
    ) -> std::result::Result<u64, ApplyError> {
        let mut erased = 0;
        let mut after = 0;
        loop {
            let page = self.closed_since(until, after)?;
            let Some((last, _)) = page.last() else {
                return Ok(erased);
            };
            after = *last;
            for (_, identity) in page {
                erased += u64::from(self.erase_invitation(&identity, until, at)?);
            }
        }
    }

    /// The next invitations that have not changed since `until`.
    fn closed_since(&self, until: Timestamp, after: i64) -> rusqlite::Result<Vec<(i64, Identity)>> {
        self.connection
            .prepare_cached(&format!(
                "SELECT id, campaign, package_id, address, occasion FROM invitation
                 WHERE id > ?1 AND updated_at < ?2 ORDER BY id LIMIT {PAGE}"
            ))?
            .query_map((after, until.as_millisecond()), |row| {
                Ok((row.get(0)?, row.identity(1)?))
            })?
            .collect()
    }

    /// Erases an invitation, whatever its occasions, if all of them are closed and have not changed since `until`.
    fn erase_invitation(
        &self,
        identity: &Identity,
        until: Timestamp,
        at: Timestamp,
    ) -> rusqlite::Result<bool> {
        let key = (
            &identity.campaign,
            identity.package_id.to_string(),
            &identity.address,
        );
        let occasions = self
            .connection
            .prepare_cached(
                "SELECT id, state, updated_at FROM invitation
                 WHERE campaign = ?1 AND package_id = ?2 AND address = ?3",
            )?
            .query_map(key, |row| {
                let (id, at): (i64, i64) = (row.get(0)?, row.get(2)?);
                Ok((id, row.parsed(1)?, at))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let closed = occasions.iter().all(|(_, state, changed)| {
            *changed < until.as_millisecond() && erase(*state, Cause::Retention).is_ok()
        });
        if !closed || occasions.is_empty() {
            return Ok(false);
        }
        for (id, ..) in occasions {
            self.delete(id)?;
        }
        self.connection
            .prepare_cached("REPLACE INTO erased_invitation (hash, at) VALUES (?1, ?2)")?
            .execute((identity.erasure_hash(self.key), at.as_millisecond()))?;
        Ok(true)
    }

    /// Deletes an invitation with everything that belongs to it.
    fn delete(&self, id: i64) -> rusqlite::Result<()> {
        for statement in [
            "DELETE FROM history WHERE invitation = ?1",
            "DELETE FROM invitation WHERE id = ?1",
        ] {
            self.connection.prepare_cached(statement)?.execute([id])?;
        }
        Ok(())
    }
}

/// Replaces an address in every text of every table, such as notes about other partners. Gives how many texts
/// named it.
fn redact(connection: &Connection, mentions: Mentions) -> rusqlite::Result<u64> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(REDACT, 1, flags, move |context| {
        let text: Option<String> = context.get(0)?;
        Ok(text.map(|it| mentions.removed_from(&it).into_owned()))
    })?;
    let mut changed = 0;
    for (table, column) in text_columns(connection)? {
        // `OR REPLACE`: two notices that differ only in the address become one.
        changed += connection.execute(
            &format!(
                "UPDATE OR REPLACE \"{table}\" SET \"{column}\" = {REDACT}(\"{column}\")
                 WHERE instr(\"{column}\", '@') > 0 AND \"{column}\" <> {REDACT}(\"{column}\")"
            ),
            [],
        )?;
    }
    connection.remove_function(REDACT, 1)?;
    Ok(changed as u64)
}

/// Every column of every table that holds texts.
fn text_columns(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare(
            "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
             WHERE t.type = 'table' AND c.type = 'TEXT'",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

impl Reader {
    /// Whether, and why, the record of each invitation was erased.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn erasures(&self, identities: Vec<Identity>) -> Result<Vec<Option<Erasure>>> {
        let key = self.opened.key.clone();
        self.query(move |connection| {
            if !has_erasures(connection)? {
                return Ok(vec![None; identities.len()]);
            }
            let erasure = |it| erasure(connection, &key, it);
            identities.iter().map(erasure).collect()
        })
        .await
    }
}

fn has_erasures(connection: &Connection) -> rusqlite::Result<bool> {
    if schema::version(connection)? < 3 {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM erased_invitation)
                OR EXISTS (SELECT 1 FROM suppression WHERE source = ?1)",
        )?
        .query_row([FORGOTTEN], |row| row.get(0))
}

fn erasure(
    connection: &Connection,
    key: &MessageIdKey,
    identity: &Identity,
) -> rusqlite::Result<Option<Erasure>> {
    let hash = suppression_hash(key, &identity.address);
    if is_forgotten(connection, &hash)? {
        return Ok(Some(Erasure::Forgotten));
    }
    let erased: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM erased_invitation WHERE hash = ?1)")?
        .query_row([identity.erasure_hash(key)], |row| row.get(0))?;
    Ok(erased.then_some(Erasure::Retention))
}

fn is_forgotten(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM suppression WHERE hash = ?1 AND source = ?2)",
        )?
        .query_row((hash, FORGOTTEN), |row| row.get(0))
}
