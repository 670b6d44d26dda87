//! Named notes of one run to later ones: when something was last reported, and whether the breaker
//! is open.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension};

/// How long a report is not repeated.
const PAUSE: SignedDuration = SignedDuration::from_hours(24);

/// What to do with a notice.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Give the time at which it was set.
    Read,
    /// Set it.
    Set(Timestamp),
    /// Set it, unless that was done less than a day ago; gives a time only if it was set now.
    SetIfDue(Timestamp),
    /// Remove it.
    Remove,
}

/// Performs an action; gives the time of the notice, if there is one.
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
            // A time in the future was set by a wrong clock.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sqlite::schema::RUN_TABLES;

    #[test]
    fn a_notice_is_due_once_and_then_once_a_day_and_each_name_has_its_own() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(RUN_TABLES).unwrap();
        let start: Timestamp = "2026-11-29T08:00:00Z".parse().unwrap();
        let due = |name: &str, hours: i64| {
            let now = start + SignedDuration::from_hours(hours);
            let set = apply(&connection, name, Action::SetIfDue(now)).unwrap();
            set.is_some()
        };

        assert!(due("expired spring", 0));
        assert!(!due("expired spring", 1) && !due("expired spring", 23));
        assert!(
            due("expired spring", 24),
            "a day later, counted from when it was reported"
        );
        assert!(!due("expired spring", 25));
        assert!(due("unknown spring", 25));
        // A clock that was ahead does not silence it.
        assert!(due("expired spring", -48));
    }

    #[test]
    fn a_notice_that_was_set_stands_until_it_is_removed() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(RUN_TABLES).unwrap();
        let now: Timestamp = "2026-11-29T08:00:00Z".parse().unwrap();

        assert_eq!(apply(&connection, "open", Action::Read).unwrap(), None);
        apply(&connection, "open", Action::Set(now)).unwrap();
        assert_eq!(apply(&connection, "open", Action::Read).unwrap(), Some(now));
        apply(&connection, "open", Action::Remove).unwrap();
        assert_eq!(apply(&connection, "open", Action::Read).unwrap(), None);
    }
}
