//! When something was last reported, and whether the breaker is open: what one run has to know of the
//! runs before it, by name.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension};

/// How long a report is not repeated.
const PAUSE: SignedDuration = SignedDuration::from_hours(24);

pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS notice (
    name TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;";

/// What is asked of a notice.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// When it was set.
    Read,
    /// To set it.
    Set(Timestamp),
    /// To set it, unless that was done less than a day ago; the time only where it is set.
    SetIfDue(Timestamp),
    /// To remove it.
    Remove,
}

/// Does what is asked; gives the time of the notice, where there is one.
pub fn apply(
    connection: &Connection,
    name: &str,
    action: Action,
) -> rusqlite::Result<Option<Timestamp>> {
    let found = read(connection, name)?;
    match action {
        Action::Read => Ok(found),
        Action::Set(now) => set(connection, name, now).map(Some),
        Action::SetIfDue(now) => {
            // What lies in the future was set by a wrong clock.
            let is_recent = |at: Timestamp| at <= now && now.duration_since(at) < PAUSE;
            if found.is_some_and(is_recent) {
                Ok(None)
            } else {
                set(connection, name, now).map(Some)
            }
        }
        Action::Remove => {
            connection.execute("DELETE FROM notice WHERE name = ?1", [name])?;
            Ok(None)
        }
    }
}

fn read(connection: &Connection, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    let at: Option<i64> = connection
        .query_row("SELECT at FROM notice WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(at.and_then(|it| Timestamp::from_millisecond(it).ok()))
}

fn set(connection: &Connection, name: &str, now: Timestamp) -> rusqlite::Result<Timestamp> {
    connection.execute(
        "INSERT INTO notice (name, at) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET at = excluded.at",
        (name, now.as_millisecond()),
    )?;
    Ok(now)
}
