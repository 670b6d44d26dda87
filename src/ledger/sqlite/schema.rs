//! The tables, their version, and the migration from earlier versions.

use jiff::Timestamp;
use rusqlite::Connection;

use crate::invitation::MessageIdKey;
use crate::ledger::copy_tables::{CopyState, LedgerIdentity};
use crate::ledger::witness::Id;

/// `AINV`, which identifies the file as a ledger of access-invite.
pub const APPLICATION_ID: i32 = 0x4149_4E56;
/// Raised with every change of the tables, together with a migration from the version before.
pub const VERSION: i32 = 3;

/// The tables of version 1. `room` is padding for values that the row gets later, `spare` reserves pages.
/// The states are compared one by one, because SQLite builds a temporary table for a longer `IN` each time.
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

-- Filled and emptied to reserve free pages, so that outcomes can be recorded on a full disk.
CREATE TABLE spare (filling BLOB) STRICT;
";

/// The tables that version 2 added.
const RUN_TABLES: &str = "
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

/// The tables that version 3 added. A suppression is found by a keyed hash of the canonical address, or of `@` and
/// the domain; `address` is what a person reads in the list.
const SUPPRESSION_TABLES: &str = "
CREATE TABLE suppression (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    address TEXT,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    note TEXT,
    run INTEGER REFERENCES run (number)
) STRICT, WITHOUT ROWID;
";

/// The table of approvals, which version 3 added. The run tells host and OS user.
const APPROVAL_TABLE: &str = "
CREATE TABLE approval (
    id INTEGER PRIMARY KEY,
    campaign TEXT NOT NULL,
    digest TEXT NOT NULL,
    approved_by TEXT NOT NULL,
    at INTEGER NOT NULL,
    note TEXT,
    run INTEGER REFERENCES run (number)
) STRICT;
";

/// The other tables that version 3 added: who has asked for access, and when that was read. A row without a
/// request is not kept. `person` is a keyed hash of an address, or of `@` and a domain.
const ACCESS_TABLES: &str = "
CREATE TABLE access (
    package_id TEXT NOT NULL,
    person BLOB NOT NULL CHECK (length(person) = 16),
    state TEXT NOT NULL,
    at INTEGER,
    requested_at INTEGER,
    PRIMARY KEY (package_id, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_reading (package_id TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
";

/// The table of invitations whose record was erased because it was old, which version 3 added. Of addresses that
/// were forgotten, the hash is a suppression without an address.
const ERASURE_TABLE: &str = "
CREATE TABLE erased_invitation (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Where a ledger was moved to, or what an incomplete copy is one of. Only these have it.
const PLACE_TABLE: &str = "
CREATE TABLE place (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    finished INTEGER NOT NULL CHECK (finished IN (0, 1))
) STRICT;
";
/// What is added to the version of a ledger that was moved away, so that earlier programs refuse it as newer.
const MOVED: i32 = 1000;
/// What is added to the version of a copy that may be incomplete.
const INCOMPLETE: i32 = 2000;

/// Creates the tables in an empty database.
pub fn create(connection: &Connection, key: &MessageIdKey, id: Id) -> rusqlite::Result<()> {
    begin_creation(connection, key, id)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch("COMMIT")
}

/// Creates the tables of a copy of `from` that is incomplete until it is enabled.
pub fn create_incomplete(
    connection: &Connection,
    identity: &LedgerIdentity,
    from: &str,
) -> rusqlite::Result<()> {
    begin_creation(connection, &identity.key, identity.id)?;
    connection.execute("UPDATE meta SET changes = ?1", [identity.changes])?;
    set_place(connection, from)?;
    connection.pragma_update(None, "user_version", INCOMPLETE + VERSION)?;
    connection.execute_batch("COMMIT")
}

fn set_place(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.execute_batch(PLACE_TABLE)?;
    connection
        .execute("INSERT INTO place VALUES (1, ?1, 0)", [name])
        .map(drop)
}

/// Marks a ledger as moved, within the caller's transaction.
pub fn mark_as_moved(connection: &Connection, to: &str) -> rusqlite::Result<()> {
    set_place(connection, to)?;
    connection.pragma_update(None, "user_version", MOVED + VERSION)
}

/// Makes a complete copy a ledger of its own.
pub fn enable(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE; DROP TABLE place")?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.execute_batch("COMMIT")
}

/// How far a ledger was copied.
pub fn copy_state(connection: &Connection) -> rusqlite::Result<CopyState> {
    let place = || {
        connection.query_row("SELECT name, finished FROM place", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    };
    Ok(match recorded_version(connection)? / 1000 * 1000 {
        MOVED => {
            let (to, finished) = place()?;
            CopyState::Moved { to, finished }
        }
        INCOMPLETE => CopyState::Incomplete { from: place()?.0 },
        _ => CopyState::Own,
    })
}

/// Begins a transaction and creates the tables in an empty database.
fn begin_creation(connection: &Connection, key: &MessageIdKey, id: Id) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(TABLES)?;
    create_run_tables(connection, id)?;
    create_tables_of_version_3(connection)?;
    connection.execute(
        "INSERT INTO secret (id, message_id_key) VALUES (1, ?1)",
        [&key.0[..]],
    )?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)
}

fn create_run_tables(connection: &Connection, id: Id) -> rusqlite::Result<()> {
    connection.execute_batch(RUN_TABLES)?;
    connection
        .execute(
            "INSERT INTO meta (id, ledger_id, changes) VALUES (1, ?1, 0)",
            [id],
        )
        .map(drop)
}

fn create_tables_of_version_3(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SUPPRESSION_TABLES)?;
    connection.execute_batch(APPROVAL_TABLE)?;
    connection.execute_batch(ACCESS_TABLES)?;
    connection.execute_batch(ERASURE_TABLE)
}

/// Migrates the tables of an earlier version, within the caller's transaction.
/// `id` becomes the ledger's id if it has none.
pub fn migrate(connection: &Connection, id: Id) -> rusqlite::Result<()> {
    let version = version(connection)?;
    if version < 2 {
        migrate_to_version_2(connection, id)?;
    }
    if version < 3 {
        create_tables_of_version_3(connection)?;
    }
    if version < VERSION {
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(())
}

/// Campaigns that have records count as confirmed.
fn migrate_to_version_2(connection: &Connection, id: Id) -> rusqlite::Result<()> {
    create_run_tables(connection, id)?;
    connection
        .execute_batch("ALTER TABLE history ADD COLUMN run INTEGER REFERENCES run (number)")?;
    connection.execute(
        "INSERT INTO campaign (name, confirmed_at) SELECT DISTINCT campaign, ?1 FROM invitation",
        [Timestamp::now().as_millisecond()],
    )?;
    Ok(())
}

/// The version of the tables.
pub fn version(connection: &Connection) -> rusqlite::Result<i32> {
    let recorded = recorded_version(connection)?;
    let is_copied = (MOVED..INCOMPLETE + 1000).contains(&recorded);
    Ok(if is_copied { recorded % 1000 } else { recorded })
}

/// The number in the file, with [`MOVED`] or [`INCOMPLETE`].
fn recorded_version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The ledger's id; none before version 2.
pub fn id(connection: &Connection) -> rusqlite::Result<Option<Id>> {
    if version(connection)? < 2 {
        return Ok(None);
    }
    connection.query_row("SELECT ledger_id FROM meta", [], |row| row.get(0))
}

/// The key behind this ledger's Message-IDs.
pub fn key(connection: &Connection) -> rusqlite::Result<MessageIdKey> {
    connection
        .query_row("SELECT message_id_key FROM secret", [], |row| row.get(0))
        .map(MessageIdKey)
}
