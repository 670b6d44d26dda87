//! Changes as SQL: each reads the state, asks the transition function, and writes both
//! the new state and the line of history, within the transaction of its caller.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::desk::Gap;
use super::{Change, Enrolment, schema};
use crate::exit::{self, Exit, Failure};
use crate::invitation::{
    Cause, Decision, Identity, MessageIdKey, NotAllowed, OCCASION, State, next,
};
use crate::link::PackageId;
use crate::outcome::Phase;

/// The padding that a row is born with: as much as an armed and settled one needs more.
const ROOM_AT_BIRTH: i64 = 112;
/// What is left of it for the outcome once the row is armed.
const ROOM_WHEN_ARMED: i64 = 40;

/// Why a change was not written.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such invitation.
    #[error("the ledger has no such invitation")]
    Missing,
    /// The transition function said no.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// The numbers of the rows that an enrolment writes next.
#[derive(Debug)]
pub struct Numbers {
    invitation: i64,
    history: i64,
}

impl Numbers {
    /// To be asked for in the transaction that enrols.
    pub fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let last = "SELECT coalesce((SELECT max(id) FROM invitation), 0),
            coalesce((SELECT max(id) FROM history), 0)";
        connection.query_row(last, [], |row| {
            Ok(Self {
                invitation: row.get::<_, i64>(0)? + 1,
                history: row.get::<_, i64>(1)? + 1,
            })
        })
    }
}

/// Inserts an invitation as `pending`; one that is there already stays as it is.
pub fn enrol(
    connection: &Connection,
    enrolment: &Enrolment,
    at: Timestamp,
    run: Option<i64>,
    numbers: &mut Numbers,
) -> rusqlite::Result<()> {
    let Enrolment {
        identity, invitee, ..
    } = enrolment;
    let message_id = &enrolment.message_id;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO invitation (id, campaign, package_id, address, occasion, package, email,
                name, organization, locale, template_locale, state, generation, message_id,
                attempts, deferrals, repeat, created_at, updated_at, latest, room)
             VALUES (:id, :campaign, :package_id, :address, :occasion, :package, :email,
                :name, :organization, :locale, :template_locale, 'pending', 0, :message_id,
                0, 0, 0, :at, :at, :latest, zeroblob(:room))
             ON CONFLICT (campaign, package_id, address, occasion) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": numbers.invitation,
            ":latest": numbers.history,
            ":campaign": identity.campaign,
            ":package_id": identity.package_id.to_string(),
            ":address": identity.address,
            ":occasion": OCCASION,
            ":package": invitee.package,
            ":email": invitee.email,
            ":name": invitee.name,
            ":organization": invitee.organization,
            ":locale": invitee.locale,
            ":template_locale": invitee.template_locale,
            ":message_id": message_id,
            ":at": at.as_millisecond(),
            ":room": ROOM_AT_BIRTH,
        })?;
    if inserted == 1 {
        let written = connection
            .prepare_cached(
                "INSERT INTO history (id, invitation, at, to_state, cause, message_id, run)
                 VALUES (?1, ?2, ?3, 'pending', 'enrolment', ?4, ?5)",
            )?
            .execute((
                numbers.history,
                numbers.invitation,
                at.as_millisecond(),
                message_id,
                run,
            ))?;
        if written != 1 {
            return Err(schema::without_effect());
        }
        numbers.invitation += 1;
        numbers.history += 1;
    }
    Ok(())
}

/// Turns every armed invitation into an unknown one; gives how many there were.
pub fn recover(
    connection: &Connection,
    key: &MessageIdKey,
    at: Timestamp,
    run: Option<i64>,
) -> rusqlite::Result<exit::Result<u64>> {
    const NOTE: &str = "the run ended between the final dot and its reply";
    let change = |row: Open| Change {
        phase: Some(Phase::Dot),
        relay: row.relay,
        note: Some(NOTE.into()),
        ..Change::new(&row.identity, at, Cause::Recovery)
    };
    apply_to_open(connection, key, &[State::Armed], change, run)
}

/// Turns everything that an unrecorded run may have mailed into unknown; gives how many there were.
pub fn accept_older(
    connection: &Connection,
    key: &MessageIdKey,
    gap: &Gap,
    run: Option<i64>,
) -> rusqlite::Result<exit::Result<u64>> {
    let change = |row: Open| Change {
        note: Some(gap.note.clone()),
        ..Change::new(&row.identity, gap.at, Cause::OlderLedger)
    };
    let open = [State::Pending, State::Deferred, State::Armed];
    apply_to_open(connection, key, &open, change, run)
}

/// An invitation of any campaign that is in one of the states asked for.
struct Open {
    id: i64,
    identity: Identity,
    relay: Option<String>,
}

/// Applies a change to every invitation that is in one of these states, in pages.
fn apply_to_open(
    connection: &Connection,
    key: &MessageIdKey,
    states: &[State],
    change: impl Fn(Open) -> Change,
    run: Option<i64>,
) -> rusqlite::Result<exit::Result<u64>> {
    let mut changed = 0;
    for state in states {
        let mut after = 0;
        loop {
            let page = open_invitations(connection, *state, after)?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for row in page {
                match apply(connection, key, &change(row), run) {
                    Ok(_) => changed += 1,
                    Err(Refused::Sqlite(error)) => return Err(error),
                    Err(refused) => {
                        return Ok(Err(Failure::new(Exit::Contradiction, refused)));
                    }
                }
            }
        }
    }
    Ok(Ok(changed))
}

/// The next thousand invitations in this state. The state is a literal, so that the index of armed
/// invitations is used.
fn open_invitations(
    connection: &Connection,
    state: State,
    after: i64,
) -> rusqlite::Result<Vec<Open>> {
    connection
        .prepare_cached(&format!(
            "SELECT i.campaign, i.package_id, i.address, h.relay, i.id
             FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest
             WHERE i.state = '{state}' AND i.id > ?1 ORDER BY i.id LIMIT 1000"
        ))?
        .query_map([after], |row| {
            let package_id: String = row.get(1)?;
            Ok(Open {
                id: row.get(4)?,
                identity: Identity {
                    campaign: row.get(0)?,
                    package_id: PackageId::parse(&package_id)
                        .ok_or(rusqlite::Error::InvalidQuery)?,
                    address: row.get(2)?,
                },
                relay: row.get(3)?,
            })
        })?
        .collect()
}

/// The fields of an invitation that changes touch.
struct Row {
    id: i64,
    state: State,
    generation: u32,
    message_id: String,
    attempts: u32,
    deferrals: u32,
    repeat: bool,
    accepted_at: Option<i64>,
    deferred_since: Option<i64>,
}

/// Applies one change.
pub fn apply(
    connection: &Connection,
    key: &MessageIdKey,
    change: &Change,
    run: Option<i64>,
) -> Result<State, Refused> {
    let before = find(connection, change)?.ok_or(Refused::Missing)?;
    let state = next(before.state, change.cause)?;
    let latest = write_history(connection, change, &before, state, run)?;
    let id = before.id;
    let was = before.state;
    let after = before.after(change, state, key);
    let changed = connection
        .prepare_cached(
            "UPDATE invitation SET state = :state, generation = :generation,
                message_id = :message_id, attempts = :attempts, deferrals = :deferrals,
                repeat = :repeat, updated_at = :at, accepted_at = :accepted_at,
                deferred_since = :deferred_since, next_attempt_at = :next_attempt_at,
                message_date = coalesce(:date, message_date),
                message_sha256 = coalesce(:sha256, message_sha256),
                latest = :latest, room = zeroblob(:room)
             WHERE id = :id AND state = :was",
        )?
        .execute(named_params! {
            ":state": after.state.as_str(),
            ":generation": after.generation,
            ":message_id": after.message_id,
            ":attempts": after.attempts,
            ":deferrals": after.deferrals,
            ":repeat": after.repeat,
            ":at": change.at.as_millisecond(),
            ":accepted_at": after.accepted_at,
            ":deferred_since": after.deferred_since,
            ":next_attempt_at": change.next_attempt_at.map(Timestamp::as_millisecond),
            ":date": change.message.map(|(date, _)| date.as_second()),
            ":sha256": change.message.map(|(_, sha256)| sha256),
            ":latest": latest,
            ":room": if state == State::Armed { ROOM_WHEN_ARMED } else { 0 },
            ":id": id,
            ":was": was.as_str(),
        })?;
    // The state was read in the same transaction, so only a tampered ledger gives another number.
    if changed != 1 {
        return Err(schema::without_effect().into());
    }
    Ok(state)
}

impl Row {
    /// The fields once the change has led to `state`.
    fn after(mut self, change: &Change, state: State, key: &MessageIdKey) -> Self {
        let at = change.at.as_millisecond();
        if change.cause == Cause::Person(Decision::Resend) {
            // What may have been accepted already goes out again under its old Message-ID,
            // so that a mailbox which has it can tell; everything else is a new message.
            if self.state != State::Unknown {
                self.generation += 1;
                let domain = self.message_id.split_once('@').map_or("", |(_, it)| it);
                self.message_id = change.identity.message_id(key, self.generation, domain);
            }
            self.repeat = change.repeat;
            self.deferrals = 0;
            self.deferred_since = None;
            self.accepted_at = None;
        }
        let refused_unarmed =
            self.state != State::Armed && matches!(change.cause, Cause::Outcome(_) | Cause::GiveUp);
        if change.cause == Cause::Arm || refused_unarmed {
            self.attempts += 1;
        }
        match state {
            State::Accepted => self.accepted_at = Some(at),
            State::Unknown if change.cause == Cause::OutOfOrder => self.accepted_at = None,
            State::Deferred => {
                self.deferrals += 1;
                self.deferred_since.get_or_insert(at);
            }
            _ => {}
        }
        self.state = state;
        self
    }
}

fn find(connection: &Connection, change: &Change) -> rusqlite::Result<Option<Row>> {
    let identity = &change.identity;
    connection
        .prepare_cached(
            "SELECT id, state, generation, message_id, attempts, deferrals, repeat, accepted_at,
                deferred_since
             FROM invitation
             WHERE campaign = ?1 AND package_id = ?2 AND address = ?3 AND occasion = ?4",
        )?
        .query_row(
            (
                &identity.campaign,
                identity.package_id.to_string(),
                &identity.address,
                OCCASION,
            ),
            |row| {
                Ok(Row {
                    id: row.get(0)?,
                    state: super::read::state(row, 1)?,
                    generation: row.get(2)?,
                    message_id: row.get(3)?,
                    attempts: row.get(4)?,
                    deferrals: row.get(5)?,
                    repeat: row.get(6)?,
                    accepted_at: row.get(7)?,
                    deferred_since: row.get(8)?,
                })
            },
        )
        .optional()
}

fn write_history(
    connection: &Connection,
    change: &Change,
    row: &Row,
    state: State,
    run: Option<i64>,
) -> rusqlite::Result<i64> {
    let reply = change.reply.as_ref();
    let written = connection
        .prepare_cached(
            "INSERT INTO history (invitation, at, from_state, to_state, cause, phase, smtp_code,
                enhanced_code, reply, relay, message_id, note, run)
             VALUES (:invitation, :at, :from, :to, :cause, :phase, :code, :enhanced, :reply,
                :relay, :message_id, :note, :run)",
        )?
        .execute(named_params! {
            ":invitation": row.id,
            ":at": change.at.as_millisecond(),
            ":from": row.state.as_str(),
            ":to": state.as_str(),
            ":cause": change.cause.as_str(),
            ":phase": change.phase.map(Phase::as_str),
            ":code": reply.map(|it| it.code),
            ":enhanced": reply.and_then(|it| it.enhanced.as_deref()),
            ":reply": reply.map(|it| it.text.as_str()),
            ":relay": change.relay,
            ":message_id": row.message_id,
            ":note": change.note,
            ":run": run,
        })?;
    if written != 1 {
        return Err(schema::without_effect());
    }
    Ok(connection.last_insert_rowid())
}
