//! What the ledger records about itself: its id and change counter, the runs that wrote into
//! it, the campaigns that are confirmed, and the gaps that a person has accepted.
//!
//! The counter is raised in every transaction of a run and written into that run's row, so
//! that a witness can ask for "this run, at this counter or later".

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::witness::{Id, Mark};

/// Tables of version 2.
pub const TABLES: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    ledger_id BLOB NOT NULL CHECK (length(ledger_id) = 16),
    changes INTEGER NOT NULL
) STRICT;

CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    verb TEXT NOT NULL,
    campaign TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    version TEXT NOT NULL,
    host TEXT NOT NULL,
    os_user TEXT NOT NULL,
    digest TEXT,
    counts TEXT,
    exit_code INTEGER,
    changes INTEGER NOT NULL
) STRICT;

CREATE TABLE witness (path BLOB PRIMARY KEY) STRICT;
CREATE TABLE campaign (name TEXT PRIMARY KEY, confirmed_at INTEGER NOT NULL) STRICT;
CREATE TABLE gap (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES run (number),
    witness_run BLOB,
    witness_changes INTEGER,
    note TEXT NOT NULL
) STRICT;
CREATE TABLE notice (name TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
";

/// A run that is about to write.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The verb.
    pub verb: &'static str,
    /// The campaign of the configuration.
    pub campaign: String,
    /// When it begins.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// When.
    pub at: Timestamp,
    /// Its exit code.
    pub exit_code: u8,
    /// The digest of the inputs, where they were read.
    pub digest: Option<String>,
    /// How many invitations ended in each state, as JSON.
    pub counts: Option<String>,
}

/// What the guards ask about a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignStanding {
    /// Whether the whole list no longer needs to be compared with other campaigns.
    pub confirmed: bool,
    /// When an older copy of the ledger was accepted, if the campaign was not confirmed since.
    pub gap: Option<Timestamp>,
    /// The other campaigns of the ledger.
    pub others: Vec<String>,
}

/// Writes the row that a new ledger begins with.
pub fn create_meta(connection: &Connection, ledger: Id) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO meta (id, ledger_id, changes) VALUES (1, ?1, 0)",
            [ledger],
        )
        .map(drop)
}

/// Campaigns that have records when the ledger is upgraded count as confirmed.
pub fn confirm_recorded_campaigns(connection: &Connection, at: Timestamp) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO campaign (name, confirmed_at) SELECT DISTINCT campaign, ?1 FROM invitation",
            [at.as_millisecond()],
        )
        .map(drop)
}

/// The ledger's id.
pub fn ledger_id(connection: &Connection) -> rusqlite::Result<Id> {
    connection.query_row("SELECT ledger_id FROM meta", [], |row| row.get(0))
}

/// The counter that a run had reached; none if the ledger does not contain it.
pub fn changes_of(connection: &Connection, run: Id) -> rusqlite::Result<Option<u64>> {
    connection
        .query_row("SELECT changes FROM run WHERE id = ?1", [run], |row| {
            row.get::<_, i64>(0).map(i64::unsigned_abs)
        })
        .optional()
}

/// Where witnesses of this ledger were created.
pub fn witnesses(connection: &Connection) -> rusqlite::Result<Vec<PathBuf>> {
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
pub fn begin(
    connection: &Connection,
    id: Id,
    start: &RunStart,
    os_user: &str,
) -> rusqlite::Result<i64> {
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
            os_user,
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

/// Raises the change counter within the transaction that changes something; gives its value.
/// None if a row was not changed, which happens only in a ledger that was tampered with.
pub fn count_change(connection: &Connection, run: i64) -> rusqlite::Result<Option<u64>> {
    let counter = connection
        .prepare_cached("UPDATE meta SET changes = changes + 1 RETURNING changes")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(counter) = counter else {
        return Ok(None);
    };
    let changed = connection
        .prepare_cached("UPDATE run SET changes = ?2 WHERE number = ?1")?
        .execute((run, counter))?;
    Ok((changed == 1).then_some(counter.unsigned_abs()))
}

/// Confirms a campaign: its list was compared with all others, or a person said that it is new.
pub fn confirm(connection: &Connection, campaign: &str, at: Timestamp) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO campaign (name, confirmed_at) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET confirmed_at = excluded.confirmed_at",
            (campaign, at.as_millisecond()),
        )
        .map(drop)
}

/// What the guards ask about a campaign.
pub fn campaign_standing(
    connection: &Connection,
    campaign: &str,
) -> rusqlite::Result<CampaignStanding> {
    let others = connection
        .prepare("SELECT DISTINCT campaign FROM invitation WHERE campaign <> ?1")?
        .query_map([campaign], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let confirmed = connection
        .query_row("SELECT 1 FROM campaign WHERE name = ?1", [campaign], |_| {
            Ok(())
        })
        .optional()?
        .is_some();
    let gap: Option<i64> = connection.query_row("SELECT max(at) FROM gap", [], |row| row.get(0))?;
    let gap = gap.filter(|_| !confirmed);
    Ok(CampaignStanding {
        confirmed,
        gap: gap.and_then(|it| Timestamp::from_millisecond(it).ok()),
        others,
    })
}

/// Records that a person accepted an older copy: no campaign is confirmed from here on.
pub fn record_gap(
    connection: &Connection,
    run: i64,
    at: Timestamp,
    witness: Option<Mark>,
    note: &str,
) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM campaign", [])?;
    connection
        .execute(
            "INSERT INTO gap (at, run, witness_run, witness_changes, note)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                at.as_millisecond(),
                run,
                witness.map(|it| it.run),
                witness.map(|it| it.changes.cast_signed()),
                note,
            ),
        )
        .map(drop)
}
