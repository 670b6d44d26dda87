//! What the ledger records about its use: the change counter, the runs that wrote into it, the witnesses,
//! the confirmed campaigns, notices for later runs, and the gaps that a person has accepted.
//!
//! The counter is raised in every transaction of a run and written into that run's row, so that a witness
//! can require "this run, at this counter or later".

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::errors::ensure_one_row;
use super::schema;
use crate::ledger::columns::Columns;
use crate::ledger::freshness::{self, Staleness};
use crate::ledger::records::{CampaignStanding, Gap, RunEnd, RunStart};
use crate::ledger::witness::{Id, WitnessContent, WitnessMark};

/// Why this ledger may lack what later runs have recorded; none if it is the newest copy.
pub fn staleness(
    connection: &Connection,
    witness: WitnessContent,
    log_missing: bool,
) -> rusqlite::Result<Option<Staleness>> {
    let recorded = match schema::version(connection)? {
        ..2 => Vec::new(),
        _ => witnesses(connection)?,
    };
    freshness::staleness(witness, log_missing, &recorded, |mark| {
        compare(connection, mark)
    })
}

/// Compares the ledger with the mark of a witness.
fn compare(connection: &Connection, mark: WitnessMark) -> rusqlite::Result<Option<Staleness>> {
    match schema::id(connection)? {
        None => return Ok(Some(Staleness::Older(mark))),
        Some(id) if id != mark.ledger => return Ok(Some(Staleness::OtherLedger(mark))),
        Some(_) => {}
    }
    // None if the ledger does not contain the run.
    let reached: Option<i64> = connection
        .query_row("SELECT changes FROM run WHERE id = ?1", [mark.run], |row| {
            row.get(0)
        })
        .optional()?;
    let satisfied = reached.is_some_and(|it| it.unsigned_abs() >= mark.changes);
    Ok((!satisfied).then_some(Staleness::Older(mark)))
}

/// The paths at which witnesses of this ledger were created.
fn witnesses(connection: &Connection) -> rusqlite::Result<Vec<PathBuf>> {
    connection
        .prepare("SELECT path FROM witness")?
        .query_map([], |row| {
            let bytes: Vec<u8> = row.get(0)?;
            Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
        })?
        .collect()
}

/// Records that a witness exists at `path`.
pub fn record_witness(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO witness (path) VALUES (?1) ON CONFLICT DO NOTHING",
            [path.as_os_str().as_bytes()],
        )
        .map(drop)
}

/// Inserts the row of a run; gives its number.
pub fn begin(connection: &Connection, id: Id, start: &RunStart) -> rusqlite::Result<i64> {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    connection.execute(
        "INSERT INTO run (id, verb, campaign, started_at, version, host, os_user, changes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
        (
            id,
            start.verb,
            &start.campaign,
            start.at.as_millisecond(),
            env!("CARGO_PKG_VERSION"),
            host,
            whoami::username().unwrap_or_default(),
        ),
    )?;
    Ok(connection.last_insert_rowid())
}

/// Records how a run ended.
pub fn end(connection: &Connection, run: i64, end: &RunEnd) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE run SET ended_at = ?2, exit_code = ?3, digest = ?4, counts = ?5
             WHERE number = ?1",
            (
                run,
                end.at.as_millisecond(),
                end.exit_code,
                &end.digest,
                &end.counts,
            ),
        )
        .map(drop)
}

/// Raises the change counter within the transaction of a change; gives its value.
pub fn count_change(connection: &Connection, run: i64) -> rusqlite::Result<u64> {
    let counter = connection
        .prepare_cached("UPDATE meta SET changes = changes + 1 RETURNING changes")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?
        .ok_or(rusqlite::Error::StatementChangedRows(0))?;
    let changed = connection
        .prepare_cached("UPDATE run SET changes = ?2 WHERE number = ?1")?
        .execute((run, counter))?;
    ensure_one_row(changed)?;
    Ok(counter.unsigned_abs())
}

/// Confirms a campaign: its list was compared with all others, or a person declared it new.
pub fn confirm(connection: &Connection, campaign: &str, at: Timestamp) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO campaign (name, confirmed_at) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET confirmed_at = excluded.confirmed_at",
            (campaign, at.as_millisecond()),
        )
        .map(drop)
}

/// When a notice was set; none if it was not, or was removed.
pub fn notice(connection: &Connection, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .query_row("SELECT at FROM notice WHERE name = ?1", [name], |row| {
            row.optional_timestamp(0)
        })
        .optional()
        .map(Option::flatten)
}

/// Sets a notice, or removes it.
pub fn set_notice(
    connection: &Connection,
    name: &str,
    at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let at = at.map(Timestamp::as_millisecond);
    let changed = match at {
        Some(at) => {
            connection.execute("REPLACE INTO notice (name, at) VALUES (?1, ?2)", (name, at))
        }
        None => connection.execute("DELETE FROM notice WHERE name = ?1", [name]),
    };
    changed.map(drop)
}

/// What the guards need to know about a campaign.
pub fn campaign_standing(
    connection: &Connection,
    campaign: &str,
) -> rusqlite::Result<CampaignStanding> {
    let others: Vec<String> = connection
        .prepare("SELECT DISTINCT campaign FROM invitation WHERE campaign <> ?1")?
        .query_map([campaign], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // The upgrade confirms the campaigns that have records.
    let (confirmed, gap) = match schema::version(connection)? {
        ..2 => (
            "SELECT EXISTS (SELECT 1 FROM invitation WHERE campaign = ?1)",
            "SELECT NULL",
        ),
        _ => (
            "SELECT EXISTS (SELECT 1 FROM campaign WHERE name = ?1)",
            "SELECT max(at) FROM gap",
        ),
    };
    let confirmed: bool = connection.query_row(confirmed, [campaign], |row| row.get(0))?;
    let gap = connection.query_row(gap, [], |row| row.optional_timestamp(0))?;
    Ok(CampaignStanding {
        confirmed,
        gap: gap.filter(|_| !confirmed),
        others,
    })
}

/// Records that a person accepted an older copy. No campaign remains confirmed.
pub fn record_gap(connection: &Connection, run: Option<i64>, gap: &Gap) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM campaign", [])?;
    connection
        .execute(
            "INSERT INTO gap (at, run, witness_run, witness_changes, note)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                gap.at.as_millisecond(),
                run,
                gap.witness.map(|it| it.run),
                gap.witness.map(|it| it.changes.cast_signed()),
                &gap.note,
            ),
        )
        .map(drop)
}
