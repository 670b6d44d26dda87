//! The file: its tables, its settings, and what is refused before it is touched.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::desk::LONGEST_LOG;
use super::{place, runs, witness};
use crate::exit::{self, Exit, Failure};
use crate::invitation::MessageIdKey;

/// `AINV`, by which the file is known as ours.
const APPLICATION_ID: i32 = 0x4149_4E56;
/// Raised with every change of the tables, together with a migration from the one before.
const VERSION: i32 = 2;
/// How long another program may hold the file before we give up.
const BUSY: Duration = Duration::from_secs(5);

/// `room` is padding: a row is written with it, and what is learnt later takes its place.
/// The states are compared one by one, because SQLite fills a table of its own for a longer `IN`, each time.
const TABLES: &str = "
CREATE TABLE secret (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    message_id_key BLOB NOT NULL CHECK (length(message_id_key) = 32)
) STRICT;

CREATE TABLE invitation (
    id INTEGER PRIMARY KEY,
    campaign TEXT NOT NULL,
    package_id TEXT NOT NULL,
    address TEXT NOT NULL,
    occasion TEXT NOT NULL,
    package TEXT NOT NULL,
    email TEXT NOT NULL,
    name TEXT,
    organization TEXT,
    locale TEXT,
    template_locale TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state = 'pending' OR state = 'armed' OR state = 'accepted'
        OR state = 'deferred' OR state = 'rejected' OR state = 'unknown'
        OR state = 'abandoned' OR state = 'expired' OR state = 'suppressed'
        OR state = 'delivered' OR state = 'bounced'),
    generation INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    deferrals INTEGER NOT NULL,
    repeat INTEGER NOT NULL CHECK (repeat IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    accepted_at INTEGER,
    deferred_since INTEGER,
    next_attempt_at INTEGER,
    message_date INTEGER,
    message_sha256 BLOB,
    latest INTEGER,
    room BLOB NOT NULL,
    UNIQUE (campaign, package_id, address, occasion)
) STRICT;

CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    invitation INTEGER NOT NULL REFERENCES invitation (id),
    at INTEGER NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    cause TEXT NOT NULL,
    phase TEXT,
    smtp_code INTEGER,
    enhanced_code TEXT,
    reply TEXT,
    relay TEXT,
    message_id TEXT NOT NULL,
    note TEXT,
    run INTEGER REFERENCES run (number)
) STRICT;

CREATE INDEX history_of_invitation ON history (invitation);
CREATE INDEX dots ON history (at) WHERE to_state = 'armed';
CREATE INDEX armed ON invitation (id) WHERE state = 'armed';

-- Filled and emptied to put free pages aside, so that outcomes fit on a full disk.
CREATE TABLE spare (filling BLOB) STRICT;
";

/// Creates the file, readable by its owner only.
pub fn create(path: &Path, key: &MessageIdKey, id: witness::Id) -> exit::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            cannot_write(
                anyhow::Error::new(error)
                    .context(format!("cannot create the ledger `{}`", path.display())),
            )
        })?;
    let made = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| fill(&connection, key, id));
    made.map_err(|error| {
        let _ = std::fs::remove_file(path);
        failure(path, &error)
    })
}

/// An empty ledger in memory, for a look at a job that has none yet.
pub fn in_memory(key: &MessageIdKey) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    fill(&connection, key, [0; 16])?;
    Ok(connection)
}

fn fill(connection: &Connection, key: &MessageIdKey, id: witness::Id) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(runs::TABLES)?;
    runs::create_meta(connection, id)?;
    connection.execute(
        "INSERT INTO secret (id, message_id_key) VALUES (1, ?1)",
        [&key.0[..]],
    )?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch("COMMIT")
}

/// Opens for reading and writing, and changes nothing yet. Fails if the file is not a ledger or damaged.
pub fn open_to_examine(path: &Path) -> exit::Result<Connection> {
    place::check(path)?;
    place::check_writable(path)?;
    let open = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // A log that does not belong to the file must not be brought into it by the mere
        // refusal.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))?;
        Ok(connection)
    };
    let connection = open().map_err(|error| failure(path, &error))?;
    check_identity(path, &connection)?;
    if let Some(verdict) = examine(&connection).map_err(|error| failure(path, &error))? {
        return Err(damaged(path, &verdict));
    }
    Ok(connection)
}

/// Makes an examined ledger ready for a run: its settings, and the tables of this version.
/// `id` becomes the ledger's id if it has none.
pub fn begin_writing(path: &Path, connection: &Connection, id: witness::Id) -> exit::Result<()> {
    let settle = || -> rusqlite::Result<()> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
        connection.pragma_update(None, "journal_size_limit", LONGEST_LOG.cast_signed())?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // Proves that it can be written before anybody relies on it.
        connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM spare")?;
        migrate(connection, id)?;
        connection.execute_batch("COMMIT")
    };
    settle().map_err(|error| failure(path, &error))
}

/// The version of the tables.
pub fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The ledger's id; none before version 2.
pub fn id(connection: &Connection) -> rusqlite::Result<Option<witness::Id>> {
    match version(connection)? {
        ..2 => Ok(None),
        _ => runs::ledger_id(connection).map(Some),
    }
}

/// Brings the tables of an earlier version to this one, within the caller's transaction.
fn migrate(connection: &Connection, id: witness::Id) -> rusqlite::Result<()> {
    if version(connection)? >= 2 {
        return Ok(());
    }
    connection.execute_batch(runs::TABLES)?;
    connection
        .execute_batch("ALTER TABLE history ADD COLUMN run INTEGER REFERENCES run (number)")?;
    runs::create_meta(connection, id)?;
    runs::confirm_recorded_campaigns(connection, jiff::Timestamp::now())?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// What is wrong with the file, as SQLite sees it.
///
/// The whole check, not the quick one: that does not hold indexes against tables, and an
/// index that lost an address would let its partner be enrolled, and invited, again.
/// A trigger or view is none of ours, and could make a change have no effect.
pub fn examine(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict));
    }
    let foreign = "SELECT type || ' ' || name FROM sqlite_schema WHERE type IN ('trigger', 'view')";
    let foreign: Option<String> = connection
        .query_row(foreign, [], |row| row.get(0))
        .optional()?;
    Ok(foreign.map(|it| format!("it has a {it} that access-invite did not create")))
}

/// The failure of a change that had no effect, although the row was read in the same transaction.
pub fn without_effect() -> rusqlite::Error {
    rusqlite::Error::StatementChangedRows(0)
}

/// Opens for reading only; creates nothing beside a file at rest.
pub fn open_for_reading(path: &Path) -> exit::Result<Connection> {
    open_as_it_is(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Whether the header says that the file goes with a log (WAL), as it does until a writer
/// has brought it to rest. To be asked before this process has the ledger open: closing a
/// file gives up the locks that the process holds on it. <https://sqlite.org/fileformat.html#file_format_version_numbers>
pub fn expects_log(path: &Path) -> exit::Result<bool> {
    use std::io::Read;

    let mut header = [0; 20];
    let read = std::fs::File::open(path).and_then(|mut file| {
        let read = file.read(&mut header)?;
        Ok(read == header.len())
    });
    match read {
        Ok(whole) => Ok(whole && header[18] == 2),
        Err(error) => Err(place::cannot_open(path, &error)),
    }
}

/// Opens a private copy together with the log that a dead run left.
pub fn open_for_recovery(path: &Path) -> exit::Result<Connection> {
    open_as_it_is(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open_as_it_is(path: &Path, access: OpenFlags) -> exit::Result<Connection> {
    let connection = connect(path, access).map_err(|error| failure(path, &error))?;
    check_identity(path, &connection)?;
    Ok(connection)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

fn check_identity(path: &Path, connection: &Connection) -> exit::Result<()> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|error| failure(path, &error))
    };
    if number("application_id")? != APPLICATION_ID {
        let message = format!(
            "`{}` is a database, but not a ledger of access-invite; see whether `ledger.file` names the right file",
            path.display()
        );
        return Err(Failure::new(Exit::BadInput, message));
    }
    let version = version(connection).map_err(|error| failure(path, &error))?;
    if version > VERSION {
        let message = format!(
            "the ledger `{}` was written by a newer access-invite (version {version} of its tables, this one knows {VERSION}); update the program",
            path.display()
        );
        return Err(Failure::new(Exit::BadInput, message));
    }
    Ok(())
}

/// The key behind this ledger's Message-IDs.
pub fn key(connection: &Connection) -> rusqlite::Result<MessageIdKey> {
    connection
        .query_row("SELECT message_id_key FROM secret", [], |row| row.get(0))
        .map(MessageIdKey)
}

/// The files that SQLite may keep beside the ledger.
pub fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a log that nothing was written to, with its index.
pub fn remove_empty_log(path: &Path) {
    let log = companion(path, "-wal");
    if std::fs::metadata(&log).is_ok_and(|it| it.len() == 0) {
        for file in [log, companion(path, "-shm")] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// The failure of a file that cannot be relied on.
pub fn damaged(path: &Path, what: &str) -> Failure {
    let what = what.trim().replace('\n', ", ");
    let message = format!(
        "the ledger `{0}` is damaged ({what}), and nothing is sent on its word; `sqlite3 {0} .recover` saves what can be read into another file; a backup that is older than the last run would invite again whom that run invited",
        path.display()
    );
    Failure::new(Exit::BadInput, message)
}

/// What an error of SQLite means for the command.
pub fn failure(path: &Path, error: &rusqlite::Error) -> Failure {
    use rusqlite::ErrorCode as Code;

    let shown = path.display();
    let tell = |exit, what: &str, cure: &str| {
        Failure::new(
            exit,
            format!("the ledger `{shown}` {what}: {error}; {cure}"),
        )
    };
    if matches!(error, rusqlite::Error::StatementChangedRows(_)) {
        let message = format!(
            "the ledger `{shown}` took a change without effect, so it was tampered with or the program has a fault; nothing more is sent"
        );
        return Failure::new(Exit::Contradiction, message);
    }
    match error.sqlite_error_code() {
        Some(Code::NotADatabase) => {
            let message = format!(
                "`{shown}` is not a ledger of access-invite, nor any database; see whether `ledger.file` names the right file: if it does, its beginning was overwritten, and only a copy helps"
            );
            Failure::new(Exit::BadInput, message)
        }
        // A table or a value that is not what we wrote.
        Some(Code::DatabaseCorrupt | Code::Unknown) | None => damaged(path, &error.to_string()),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => tell(
            Exit::TryLater,
            "is held by another program",
            "try again when that has let go of it",
        ),
        // That this user may write it has been asked before.
        Some(Code::CannotOpen) => tell(
            Exit::CannotWrite,
            "cannot be opened",
            "see whether files can be made in its folder, and whether the limit of open files (`ulimit -n`) is too low",
        ),
        Some(Code::ReadOnly | Code::PermissionDenied) => tell(
            Exit::NoPermission,
            "or its folder cannot be written by this user",
            "run the job as the user that owns both",
        ),
        Some(Code::DiskFull) => tell(
            Exit::CannotWrite,
            "cannot grow, the disk is full",
            "make room and run again",
        ),
        Some(Code::SystemIoFailure) => tell(
            Exit::CannotWrite,
            "cannot be read or written",
            "look into the system's log for what is wrong with the disk",
        ),
        _ => tell(Exit::CannotWrite, "failed", "see to that and run again"),
    }
}

/// A failure to write something else than the database itself.
pub fn cannot_write(error: anyhow::Error) -> Failure {
    Failure {
        exit: Exit::CannotWrite,
        error,
    }
}
