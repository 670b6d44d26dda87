//! What shows that a ledger is intact, beyond what every verb examines when it opens the file.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::reader::Reader;
use super::{connection, schema};
use crate::invitation::MessageIdKey;
use crate::ledger::error::Result;
use crate::ledger::verified::{Sums, Verified};
use crate::ledger::witness::hex;

/// How many invitations are compared at a time.
const PAGE: usize = 1000;

impl Reader {
    /// Checks pages, tables, columns, counters, histories and Message-IDs.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn verify(&self) -> Result<Vec<Verified>> {
        let key = self.opened.key.clone();
        self.query(move |connection| {
            let mut all = vec![integrity(connection)?];
            if all[0].result.is_ok() {
                all.push(tables(connection, &key)?);
            }
            // Without its tables, there is nothing to count.
            if all.iter().all(|it| it.result.is_ok()) {
                all.extend([counter(connection)?, sums(connection, &key)?]);
            }
            Ok(all)
        })
        .await
    }
}

fn integrity(connection: &Connection) -> rusqlite::Result<Verified> {
    let mut fault = connection::examine(connection)?;
    if fault.is_none() {
        let dangling: i64 =
            connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
                row.get(0)
            })?;
        fault = (dangling > 0).then(|| format!("{dangling} rows refer to rows that are missing"));
    }
    Ok(Verified {
        check: "integrity",
        result: fault.map_or_else(|| Ok("every page, index and reference".to_owned()), Err),
    })
}

/// Compares tables, columns and indexes with those that this program creates.
fn tables(connection: &Connection, key: &MessageIdKey) -> rusqlite::Result<Verified> {
    let (version, id) = (schema::version(connection)?, schema::id(connection)?);
    let id = id.map_or_else(|| "none".to_owned(), hex);
    let known = format!("version {version}, ledger {id}");
    if version < schema::VERSION {
        let newest = schema::VERSION;
        return Ok(Verified {
            check: "tables",
            result: Ok(format!(
                "{known}; the next run brings it to version {newest}"
            )),
        });
    }
    let (found, wanted) = (parts(connection)?, parts(&connection::in_memory(key)?)?);
    Ok(Verified::tables(&found, &wanted, known))
}

/// Columns with their types, and indexes.
fn parts(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    connection
        .prepare(
            "SELECT rtrim('column ' || t.name || '.' || c.name || ' ' || c.type)
             FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'
             UNION ALL SELECT 'index ' || name FROM sqlite_schema WHERE type = 'index'",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// The change counter is never behind a run.
fn counter(connection: &Connection) -> rusqlite::Result<Verified> {
    if schema::version(connection)? < 2 {
        return Ok(Verified {
            check: "changes",
            result: Ok("not recorded in this version".to_owned()),
        });
    }
    let (changes, runs, highest): (i64, i64, i64) = connection.query_row(
        "SELECT changes, (SELECT count(*) FROM run), (SELECT coalesce(max(changes), 0) FROM run)
         FROM meta",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    Ok(Verified::counter(changes, runs, highest))
}

/// The state of each invitation is that of its latest event, and its Message-ID that of its identity.
fn sums(connection: &Connection, key: &MessageIdKey) -> rusqlite::Result<Verified> {
    let mut statement = connection.prepare(&format!(
        "SELECT i.campaign, i.package_id, i.address, i.occasion, i.id, i.state, h.to_state, i.generation,
            i.message_id
         FROM invitation AS i
         LEFT JOIN history AS h ON h.id = i.latest AND h.invitation = i.id
         WHERE i.id > ?1 ORDER BY i.id LIMIT {PAGE}"
    ))?;
    let (mut sums, mut last) = (Sums::new(key), 0);
    loop {
        let after = last;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            sums.add(row)?;
            last = row.get(4)?;
        }
        if last == after {
            return Ok(sums.result());
        }
    }
}
