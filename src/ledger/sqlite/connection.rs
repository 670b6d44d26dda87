//! Connections to the file: creation, opening, settings, and checks of its content.
//!
//! During a run the file is in WAL mode with `synchronous=FULL`: one fsync for each commit, an
//! acknowledged change survives a power failure, and readers never wait.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::errors::{damaged, translate};
use super::{file_checks, schema, wal};
use crate::invitation::MessageIdKey;
use crate::ledger::copy_tables::{CopyState, LedgerIdentity};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::witness::{Id, random_id};

/// How long to wait for a lock that another program holds on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Creates an empty ledger, readable by its owner only.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn create(path: &Path) -> Result<()> {
    let (key, id) = (MessageIdKey::random()?, random_id()?);
    create_with(path, |connection| schema::create(connection, &key, id)).map(drop)
}

/// Creates a copy of `from` that is incomplete until it is enabled.
///
/// # Errors
/// As [`create`].
pub fn create_incomplete(path: &Path, identity: &LedgerIdentity, from: &str) -> Result<Connection> {
    create_with(path, |connection| {
        schema::create_incomplete(connection, identity, from)
    })
}

fn create_with(
    path: &Path,
    create: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<Connection> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            let message = format!("cannot create the ledger `{}`: {error}", path.display());
            LedgerError::CannotWrite(message)
        })?;
    let created = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| create(&connection).map(|()| connection));
    created.map_err(|error| {
        let _ = std::fs::remove_file(path);
        translate(path, &error)
    })
}

/// An empty ledger in memory.
pub fn in_memory(key: &MessageIdKey) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    schema::create(&connection, key, [0; 16])?;
    Ok(connection)
}

/// Opens for reading and writing, but changes nothing. Fails if the file is not a ledger or is damaged.
pub fn open_to_examine(path: &Path) -> Result<Connection> {
    file_checks::check(path)?;
    file_checks::check_writable(path)?;
    let open = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // If the ledger is refused, closing it must not write the log of another file into it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))?;
        Ok(connection)
    };
    let connection = open().map_err(|error| translate(path, &error))?;
    check_identity(path, &connection)?;
    refuse_incomplete(path, &connection)?;
    refuse_moved(path, &connection)?;
    refuse_damaged(path, &connection)?;
    Ok(connection)
}

/// Opens a ledger for `ledger copy`, whether or not it was moved or is incomplete. Fails if it is damaged.
///
/// # Errors
/// If the file is not a ledger or is damaged.
pub fn open_to_copy(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let connection = connection.map_err(|error| translate(path, &error))?;
    check_identity(path, &connection)?;
    refuse_damaged(path, &connection)?;
    let prepared = connection.pragma_update(None, "synchronous", "FULL");
    prepared.map_err(|error| translate(path, &error))?;
    Ok(connection)
}

/// Writes the log into the file and leaves WAL mode, which works only without other connections.
///
/// # Errors
/// If another program is using the file, or it cannot be written.
pub fn leave_log(connection: &Connection, path: &Path) -> Result<()> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0));
    let mode: String = mode.map_err(|error| translate(path, &error))?;
    match mode.as_str() {
        "delete" => Ok(()),
        _ => Err(LedgerError::Busy(format!(
            "the ledger `{}` is being used by another program; try again when that has ended",
            path.display()
        ))),
    }
}

fn refuse_damaged(path: &Path, connection: &Connection) -> Result<()> {
    match examine(connection).map_err(|error| translate(path, &error))? {
        None => Ok(()),
        Some(problem) => Err(damaged(path, &problem)),
    }
}

/// Refuses a ledger that was moved: nothing is recorded in it any more.
fn refuse_moved(path: &Path, connection: &Connection) -> Result<()> {
    match schema::copy_state(connection).map_err(|error| translate(path, &error))? {
        CopyState::Moved { to, .. } => {
            let shown = path.display();
            Err(LedgerError::moved(&shown.to_string(), &to))
        }
        _ => Ok(()),
    }
}

fn refuse_incomplete(path: &Path, connection: &Connection) -> Result<()> {
    match schema::copy_state(connection).map_err(|error| translate(path, &error))? {
        CopyState::Incomplete { from } => {
            let shown = path.display();
            Err(LedgerError::incomplete(&from, &shown.to_string()))
        }
        _ => Ok(()),
    }
}

/// Prepares an examined ledger for a run: its settings, and the tables of this version.
/// `id` becomes the ledger's id if it has none.
pub fn begin_writing(connection: &Connection, id: Id) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // If the disk does not allow the change, SQLite keeps the old mode and reports no error.
    if mode != "wal" {
        let message = format!("it stays in journal mode `{mode}`, without a write-ahead log");
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
        return Err(rusqlite::Error::SqliteFailure(code, Some(message)));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    connection.pragma_update(None, "journal_size_limit", wal::MAX_BYTES.cast_signed())?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Shows that the file can be written before anything relies on it.
    connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM spare")?;
    schema::migrate(connection, id)?;
    connection.execute_batch("COMMIT")
}

/// Opens for writing beside the run that is using the ledger. That run has examined it, brought it to this
/// version and set its journal; closing this connection leaves the log to it.
///
/// # Errors
/// If it cannot be opened, or that run has not set it up yet.
pub fn open_beside_run(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    refuse_moved(path, &connection)?;
    let is_set_up = || {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok(mode == "wal" && schema::version(&connection)? == schema::VERSION)
    };
    if is_set_up().map_err(|error| translate(path, &error))? {
        Ok(connection)
    } else {
        Err(LedgerError::Busy(format!(
            "the ledger `{}` is being changed by a run that begins or ends; try again",
            path.display()
        )))
    }
}

/// Prepares a connection of [`open_beside_run`] for writing. It never writes the log into the file, and
/// waits while the other run commits.
pub fn join_writing(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// What is wrong with the content of the file; none if it is intact.
///
/// It is the full check, because the quick one does not compare indexes with tables, and a partner who is
/// missing from an index would be invited again. Triggers and views are refused, because they could undo
/// changes and this program creates none.
pub fn examine(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Ok(Some(found));
    }
    let foreign = "SELECT type || ' ' || name FROM sqlite_schema WHERE type IN ('trigger', 'view')";
    let foreign: Option<String> = connection
        .query_row(foreign, [], |row| row.get(0))
        .optional()?;
    Ok(foreign.map(|it| format!("it has a {it} that access-invite did not create")))
}

/// Opens an existing ledger without examining it. With read-only access, nothing is created beside a file
/// that was closed properly.
pub fn open(path: &Path, access: OpenFlags) -> Result<Connection> {
    let connection = connect(path, access).map_err(|error| translate(path, &error))?;
    check_identity(path, &connection)?;
    refuse_incomplete(path, &connection)?;
    Ok(connection)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn check_identity(path: &Path, connection: &Connection) -> Result<()> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|error| translate(path, &error))
    };
    let message = if number("application_id")? != schema::APPLICATION_ID {
        format!(
            "`{}` is a database, but not a ledger of access-invite; check `ledger.file`",
            path.display()
        )
    } else if let version = schema::version(connection).map_err(|error| translate(path, &error))?
        && version > schema::VERSION
    {
        format!(
            "the ledger `{}` was written by a newer access-invite (its tables have version {version}, this one supports {}); update the program",
            path.display(),
            schema::VERSION
        )
    } else {
        return Ok(());
    };
    Err(LedgerError::Unusable(message))
}
