//! Decoding of rows: the columns to select, and the records in them.

use jiff::Timestamp;
use rusqlite::{Error, Row};

use crate::invitation::{Event, Identity, Invitee, Occasion, Record, Standing, State};
use crate::link::PackageId;

/// The columns that [`standing`] reads, in its order, of an invitation `i`.
pub const STANDING: &str = "i.state, i.message_id, i.attempts, i.deferrals, i.deferred_since,
    i.next_attempt_at, i.updated_at, i.message_date, i.message_sha256, i.repeat,
    (SELECT smtp_code FROM history WHERE id = i.latest),
    i.deferrals > 0 AND EXISTS (
        SELECT 1 FROM history
        WHERE invitation = i.id AND cause = 'breaker' AND from_state = 'expired' AND id > coalesce(
            (SELECT max(id) FROM history WHERE invitation = i.id AND cause = 'person'), 0))";

/// The columns that [`record`] reads after those of [`STANDING`], in its order.
pub const RECORD: &str = "i.id, i.campaign, i.package_id, i.address, i.package, i.email, i.name,
    i.organization, i.locale, i.template_locale, i.created_at, i.accepted_at,
    h.at, h.from_state, h.to_state, h.phase, h.smtp_code, h.enhanced_code,
    h.reply, h.relay, h.message_id, h.note, i.occasion
    FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest";

/// The state whose name is in a column.
pub fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    optional_state(row, column)?.ok_or(Error::InvalidQuery)
}

fn optional_state(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<State>> {
    let name: Option<String> = row.get(column)?;
    Ok(name.and_then(|it| it.parse().ok()))
}

/// The time in a column, in milliseconds.
pub fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    optional_timestamp(row, column)?.ok_or(Error::InvalidQuery)
}

/// The time in a column, if there is one.
pub fn optional_timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let milliseconds: Option<i64> = row.get(column)?;
    Ok(milliseconds.and_then(|it| Timestamp::from_millisecond(it).ok()))
}

/// The standing in the columns [`STANDING`], which begin at column `first`.
pub fn standing(row: &Row<'_>, first: usize) -> rusqlite::Result<Standing> {
    let date: Option<i64> = row.get(first + 7)?;
    let sha256: Option<[u8; 32]> = row.get(first + 8)?;
    let deferrals: u32 = row.get(first + 3)?;
    let latest_code: Option<u16> = row.get(first + 10)?;
    Ok(Standing {
        state: state(row, first)?,
        message_id: row.get(first + 1)?,
        attempts: row.get(first + 2)?,
        deferrals,
        deferred_since: optional_timestamp(row, first + 4)?,
        next_attempt_at: optional_timestamp(row, first + 5)?,
        updated_at: timestamp(row, first + 6)?,
        message: date
            .and_then(|it| Timestamp::from_second(it).ok())
            .zip(sha256),
        repeat: row.get(first + 9)?,
        refused: deferrals > 0 || latest_code.is_some_and(|it| it >= 400),
        was_reopened: row.get(first + 11)?,
    })
}

/// The record in a row of the columns [`STANDING`] and [`RECORD`].
pub fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: row.get(12)?,
        identity: identity(row, 13)?.on(occasion(row, 34)?),
        invitee: Invitee {
            package: row.get(16)?,
            email: row.get(17)?,
            name: row.get(18)?,
            organization: row.get(19)?,
            locale: row.get(20)?,
            template_locale: row.get(21)?,
        },
        created_at: timestamp(row, 22)?,
        accepted_at: optional_timestamp(row, 23)?,
        standing: standing(row, 0)?,
        latest: event(row, 24)?,
    })
}

/// The line of history that begins at column `first`.
pub fn event(row: &Row<'_>, first: usize) -> rusqlite::Result<Event> {
    Ok(Event {
        at: timestamp(row, first)?,
        from: optional_state(row, first + 1)?,
        to: state(row, first + 2)?,
        phase: row.get(first + 3)?,
        smtp_code: row.get(first + 4)?,
        enhanced_code: row.get(first + 5)?,
        reply: row.get(first + 6)?,
        relay: row.get(first + 7)?,
        message_id: row.get(first + 8)?,
        note: row.get(first + 9)?,
    })
}

/// The identity of the invitation whose campaign, package id and address begin at column `first`.
pub fn identity(row: &Row<'_>, first: usize) -> rusqlite::Result<Identity> {
    Ok(Identity {
        campaign: row.get(first)?,
        package_id: package_id(row, first + 1)?,
        address: row.get(first + 2)?,
        occasion: Occasion::Invitation,
    })
}

/// The occasion in a column.
pub fn occasion(row: &Row<'_>, column: usize) -> rusqlite::Result<Occasion> {
    let name = row.get_ref(column)?.as_str()?;
    name.parse().map_err(|_| Error::InvalidQuery)
}

/// The package id in a column.
pub fn package_id(row: &Row<'_>, column: usize) -> rusqlite::Result<PackageId> {
    PackageId::parse(row.get_ref(column)?.as_str()?).ok_or(Error::InvalidQuery)
}
