//! Decoding of rows: the columns to select, and the records in them.

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::errors::Failure;
use crate::invitation::{Event, Identity, Invitee, Occasion, Record, Standing, State};
use crate::link::PackageId;

/// The columns that [`standing`] reads, in its order, of an invitation `i`. Statements are literals, because they are
/// prepared once each.
macro_rules! standing_columns {
    () => {
        "i.state, i.message_id, i.attempts, i.deferrals, i.deferred_since, i.next_attempt_at, i.updated_at,
        i.message_date, i.message_sha256, i.repeat, (SELECT smtp_code FROM history WHERE id = i.latest),
        i.deferrals > 0 AND EXISTS (
            SELECT 1 FROM history
            WHERE invitation = i.id AND cause = 'breaker' AND from_state = 'expired' AND id > coalesce(
                (SELECT max(id) FROM history WHERE invitation = i.id AND cause = 'person'), 0))"
    };
}
pub(super) use standing_columns;

/// The columns that [`record`] reads, in its order, of an invitation `i` and its latest event `h`.
macro_rules! record_columns {
    () => {
        concat!(
            $crate::ledger::postgres::rows::standing_columns!(),
            ", i.id, i.campaign, i.package_id, i.address, i.occasion, i.package, i.email, i.name, i.organization,
            i.locale, i.template_locale, i.created_at, i.accepted_at, h.at, h.from_state, h.to_state, h.phase,
            h.smtp_code, h.enhanced_code, h.reply, h.relay, h.message_id, h.note"
        )
    };
}
pub(super) use record_columns;

/// A value of a column.
pub fn value<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column)
        .map_err(|error| Failure::Value(error.to_string()))
}

/// A text that names something, such as a state.
pub fn parsed<T: std::str::FromStr>(row: &Row, column: usize) -> Result<T, Failure> {
    let name: &str = value(row, column)?;
    let unknown = |_| Failure::Value(format!("`{name}`"));
    name.parse().map_err(unknown)
}

/// The state in a column.
pub fn state(row: &Row, column: usize) -> Result<State, Failure> {
    parsed(row, column)
}

/// The count in a column.
pub fn count(row: &Row, column: usize) -> Result<u32, Failure> {
    let number: i32 = value(row, column)?;
    u32::try_from(number).map_err(|_| Failure::Value(number.to_string()))
}

/// The time in a column, in milliseconds.
pub fn timestamp(row: &Row, column: usize) -> Result<Timestamp, Failure> {
    optional_timestamp(row, column)?.ok_or_else(|| Failure::Value("no time".into()))
}

/// The time in a column, if there is one.
pub fn optional_timestamp(row: &Row, column: usize) -> Result<Option<Timestamp>, Failure> {
    let milliseconds: Option<i64> = value(row, column)?;
    Ok(milliseconds.and_then(|it| Timestamp::from_millisecond(it).ok()))
}

/// The package id in a column.
pub fn package_id(row: &Row, column: usize) -> Result<PackageId, Failure> {
    let text: &str = value(row, column)?;
    PackageId::parse(text).ok_or_else(|| Failure::Value(format!("`{text}`")))
}

/// The identity of the invitation whose campaign, package id, address and occasion begin at column `first`.
pub fn identity(row: &Row, first: usize) -> Result<Identity, Failure> {
    let occasion: Occasion = parsed(row, first + 3)?;
    Ok(Identity {
        campaign: value(row, first)?,
        package_id: package_id(row, first + 1)?,
        address: value(row, first + 2)?,
        occasion,
    })
}

/// The standing in the columns of `standing_columns`, which begin at column `first`.
pub fn standing(row: &Row, first: usize) -> Result<Standing, Failure> {
    let date: Option<i64> = value(row, first + 7)?;
    let sha256: Option<&[u8]> = value(row, first + 8)?;
    let deferrals = count(row, first + 3)?;
    let latest_code: Option<i32> = value(row, first + 10)?;
    Ok(Standing {
        state: state(row, first)?,
        message_id: value(row, first + 1)?,
        attempts: count(row, first + 2)?,
        deferrals,
        deferred_since: optional_timestamp(row, first + 4)?,
        next_attempt_at: optional_timestamp(row, first + 5)?,
        updated_at: timestamp(row, first + 6)?,
        message: date
            .and_then(|it| Timestamp::from_second(it).ok())
            .zip(sha256.and_then(|it| it.try_into().ok())),
        repeat: value(row, first + 9)?,
        refused: deferrals > 0 || latest_code.is_some_and(|it| it >= 400),
        was_reopened: value(row, first + 11)?,
    })
}

/// The record in a row of the columns of `record_columns`.
pub fn record(row: &Row) -> Result<Record, Failure> {
    Ok(Record {
        standing: standing(row, 0)?,
        id: value(row, 12)?,
        identity: identity(row, 13)?,
        invitee: Invitee {
            package: value(row, 17)?,
            email: value(row, 18)?,
            name: value(row, 19)?,
            organization: value(row, 20)?,
            locale: value(row, 21)?,
            template_locale: value(row, 22)?,
        },
        created_at: timestamp(row, 23)?,
        accepted_at: optional_timestamp(row, 24)?,
        latest: event(row, 25)?,
    })
}

/// The line of history that begins at column `first`.
pub fn event(row: &Row, first: usize) -> Result<Event, Failure> {
    let from: Option<&str> = value(row, first + 1)?;
    let code: Option<i32> = value(row, first + 4)?;
    Ok(Event {
        at: timestamp(row, first)?,
        from: from.and_then(|it| it.parse().ok()),
        to: state(row, first + 2)?,
        phase: value(row, first + 3)?,
        smtp_code: code.and_then(|it| it.try_into().ok()),
        enhanced_code: value(row, first + 5)?,
        reply: value(row, first + 6)?,
        relay: value(row, first + 7)?,
        message_id: value(row, first + 8)?,
        note: value(row, first + 9)?,
    })
}
