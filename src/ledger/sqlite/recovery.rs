//! Changes of all invitations that a run may have mailed without a record of it.

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows;
use super::transitions::{ApplyError, apply};
use crate::invitation::{Cause, Identity, MessageIdKey, State};
use crate::ledger::records::{Change, Gap};
use crate::outcome::Phase;

/// Turns every armed invitation into an unknown one; gives how many there were.
pub fn recover(
    connection: &Connection,
    key: &MessageIdKey,
    at: Timestamp,
    run: Option<i64>,
) -> Result<u64, ApplyError> {
    const NOTE: &str = "the run ended between the final dot and its reply";
    let change = |found: Found| Change {
        phase: Some(Phase::Dot),
        relay: found.relay,
        note: Some(NOTE.into()),
        ..Change::new(&found.identity, at, Cause::Recovery)
    };
    apply_to_all(connection, key, &[State::Armed], change, run)
}

/// Turns everything that an unrecorded run may have mailed into unknown; gives how many there were.
pub fn accept_older(
    connection: &Connection,
    key: &MessageIdKey,
    gap: &Gap,
    run: Option<i64>,
) -> Result<u64, ApplyError> {
    let change = |found: Found| Change {
        note: Some(gap.note.clone()),
        ..Change::new(&found.identity, gap.at, Cause::OlderLedger)
    };
    let states = [State::Pending, State::Deferred, State::Armed];
    apply_to_all(connection, key, &states, change, run)
}

/// An invitation of any campaign.
struct Found {
    id: i64,
    identity: Identity,
    relay: Option<String>,
}

/// Applies a change to every invitation that is in one of these states; gives how many there were.
fn apply_to_all(
    connection: &Connection,
    key: &MessageIdKey,
    states: &[State],
    change: impl Fn(Found) -> Change,
    run: Option<i64>,
) -> Result<u64, ApplyError> {
    let mut changed = 0;
    for state in states {
        let mut after = 0;
        loop {
            let page = page(connection, *state, after)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for found in page {
                apply(connection, key, &change(found), run)?;
                changed += 1;
            }
        }
    }
    Ok(changed)
}

/// The next thousand invitations in this state. The state is a literal, because SQLite uses the
/// index of armed invitations only then.
fn page(connection: &Connection, state: State, after: i64) -> rusqlite::Result<Vec<Found>> {
    connection
        .prepare_cached(&format!(
            "SELECT i.campaign, i.package_id, i.address, h.relay, i.id
             FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest
             WHERE i.state = '{state}' AND i.id > ?1 ORDER BY i.id LIMIT 1000"
        ))?
        .query_map([after], |row| {
            Ok(Found {
                id: row.get(4)?,
                identity: Identity {
                    campaign: row.get(0)?,
                    package_id: rows::package_id(row, 1)?,
                    address: row.get(2)?,
                },
                relay: row.get(3)?,
            })
        })?
        .collect()
}
