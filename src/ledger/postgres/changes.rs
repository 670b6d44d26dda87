//! Changes of invitations, many in a few statements: reads the states, calls the transition function, and writes the
//! new states and the lines of history.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::error::SqlState;

use super::connection::Session;
use super::errors::{ApplyError, Failure};
use super::keys::Keys;
use super::transaction::{IS_LIVE, Transaction, is_live};
use crate::invitation::{Cause, Decision, Identity, State, covering_hashes, next};
use crate::ledger::columns::Columns;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::invitation_row::InvitationRow;
use crate::ledger::records::Change;
use crate::ledger::refusal::Refusal;
use crate::outcome::Phase;

/// How long the reply to the final dot of a lost run may still come.
const LATE: SignedDuration = SignedDuration::from_mins(15);

/// The invitations of these keys as they are now, locked until the transaction ends.
const FIND: &str = "SELECT i.campaign, i.package_id, i.address, i.occasion, i.id, i.state, i.generation, i.message_id,
        i.attempts, i.deferrals, i.repeat, i.accepted_at, i.deferred_since, i.claimed_by,
        coalesce(i.armed_by = $5, false),
        CASE WHEN i.state = 'unknown'
            THEN (SELECT at FROM history WHERE id = i.latest AND cause = 'recovery') END
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
        AS k (campaign, package_id, address, occasion)
     JOIN invitation AS i USING (campaign, package_id, address, occasion)
     ORDER BY i.id FOR UPDATE OF i";

/// New states with their lines of history: the time, the run, an array for each column, and how many there are. Fails
/// with a division by zero unless that many rows were still in the state in which they were found.
const WRITE: &str = "WITH new AS (
        SELECT * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::integer[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::integer[], $15::text[],
            $16::integer[], $17::integer[], $18::boolean[], $19::bigint[], $20::bigint[], $21::bigint[],
            $22::bigint[], $23::bytea[], $24::bigint[], $25::boolean[])
        AS t (id, from_state, to_state, cause, phase, smtp_code, enhanced_code, reply, relay,
            message_id_before, note, generation, message_id, attempts, deferrals, repeat, accepted_at,
            deferred_since, next_attempt_at, message_date, message_sha256, claimed_by, armed)),
     event AS (
        INSERT INTO history (invitation, at, from_state, to_state, cause, phase, smtp_code,
            enhanced_code, reply, relay, message_id, note, run)
        SELECT id, $1, from_state, to_state, cause, phase, smtp_code, enhanced_code, reply, relay,
            message_id_before, note, $2 FROM new
        RETURNING id, invitation),
    changed AS (
        UPDATE invitation AS i SET state = new.to_state, generation = new.generation,
            message_id = new.message_id, attempts = new.attempts, deferrals = new.deferrals,
            repeat = new.repeat, updated_at = $1, accepted_at = new.accepted_at,
            deferred_since = new.deferred_since, next_attempt_at = new.next_attempt_at,
            message_date = coalesce(new.message_date, i.message_date),
            message_sha256 = coalesce(new.message_sha256, i.message_sha256),
            claimed_by = new.claimed_by, latest = event.id,
            armed_by = CASE WHEN new.armed THEN $2 ELSE i.armed_by END
         FROM new JOIN event ON event.invitation = new.id
         WHERE i.id = new.id AND i.state = new.from_state
        RETURNING i.id)
    SELECT 1 / (count(*) = $26)::integer FROM changed";

/// An invitation as a change finds it.
struct Found {
    row: InvitationRow,
    claimed_by: Option<i64>,
    /// Whether this run armed it.
    armed_here: bool,
    /// When it became `unknown` because the run that armed it was lost, if nothing has changed since.
    recovered_at: Option<Timestamp>,
}

/// What is written about an invitation.
struct Written {
    change: Change,
    id: i64,
    from: State,
    message_id: String,
    after: InvitationRow,
    claimed_by: Option<i64>,
    armed: bool,
}

/// Applies changes; gives the result of each, in their order. One that is refused does not prevent the others.
async fn apply_all(
    transaction: &Transaction<'_>,
    changes: &[&Change],
) -> std::result::Result<Vec<Result<State>>, ApplyError> {
    let read = read(transaction.session, transaction.run, changes).await?;
    apply_read(transaction, changes, read).await
}

/// As [`apply_all`], when the changes' invitations were read at the beginning of the transaction.
pub async fn apply_read(
    transaction: &Transaction<'_>,
    changes: &[&Change],
    read: Read,
) -> std::result::Result<Vec<Result<State>>, ApplyError> {
    let (live, mut found) = (read.live, Some(read.found));
    let arms = changes.iter().any(|it| it.cause == Cause::Arm);
    let mut room = match transaction.limits {
        Some(limits) if arms && live => Some(transaction.allowance(limits).await?),
        _ => None,
    };
    let mut results: Vec<Option<Result<State>>> = vec![None; changes.len()];
    let mut open = Vec::with_capacity(changes.len());
    for (place, change) in changes.iter().enumerate() {
        if change.cause == Cause::Arm
            && let Some(room) = &mut room
        {
            let Some(left) = room.messages.checked_sub(1) else {
                results[place] = Some(Err(LedgerError::RateLimited(room.again)));
                continue;
            };
            room.messages = left;
        }
        open.push(place);
    }
    // Each statement changes an invitation once; a second change of the same one follows in another.
    while !open.is_empty() {
        let mut seen = HashSet::new();
        let (wave, later): (Vec<usize>, Vec<usize>) = open
            .into_iter()
            .partition(|it| seen.insert(&changes[*it].identity));
        let wave_changes: Vec<&Change> = wave.iter().map(|it| changes[*it]).collect();
        let is_last = later.is_empty();
        let applied = transaction.apply_wave(&wave_changes, live, found.take(), is_last);
        let applied = applied.await?;
        for (place, result) in wave.into_iter().zip(applied) {
            results[place] = Some(result.map_err(|refusal| refusal.error(changes[place], true)));
        }
        open = later;
    }
    Ok(results.into_iter().flatten().collect())
}

/// Applies changes, all of which must be allowed.
pub async fn apply_allowed(
    transaction: &Transaction<'_>,
    changes: &[Change],
) -> std::result::Result<(), ApplyError> {
    let changes: Vec<&Change> = changes.iter().collect();
    for result in apply_all(transaction, &changes).await? {
        result.map_err(|_| Failure::NoEffect)?;
    }
    Ok(())
}

/// What changes depend on.
pub struct Read {
    /// Whether this run may arm.
    live: bool,
    found: HashMap<Identity, Found>,
}

/// Reads what changes depend on, in one round trip; without changes, in none.
pub async fn read(
    session: &Session,
    run: i64,
    changes: &[&Change],
) -> std::result::Result<Read, Failure> {
    if changes.is_empty() {
        return Ok(Read {
            live: true,
            found: HashMap::new(),
        });
    }
    let arms = changes.iter().any(|it| it.cause == Cause::Arm);
    session.prepare_all(&[IS_LIVE, FIND]).await?;
    let live = async {
        if arms {
            is_live(session, run).await
        } else {
            Ok(true)
        }
    };
    let (live, found) = tokio::join!(biased; live, find(session, run, changes));
    Ok(Read {
        live: live?,
        found: found?,
    })
}

/// The invitations as they are now. They do not change until the transaction ends.
async fn find(
    session: &Session,
    run: i64,
    changes: &[&Change],
) -> std::result::Result<HashMap<Identity, Found>, Failure> {
    let keys = Keys::of(changes.iter().map(|it| &it.identity));
    let mut values = keys.values().to_vec();
    values.push(&run);
    let rows = session.query(FIND, &values).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        found.insert(
            row.identity(0)?,
            Found {
                row: row.invitation_row(4)?,
                claimed_by: row.optional_number(13)?,
                armed_here: row.is_true(14)?,
                recovered_at: row.optional_timestamp(15)?,
            },
        );
    }
    Ok(found)
}

impl Transaction<'_> {
    /// Applies one change, which must be allowed.
    pub async fn apply(&self, change: &Change) -> std::result::Result<State, ApplyError> {
        let mut results = self.apply_wave(&[change], true, None, false).await?;
        Ok(results.pop().ok_or(Refusal::Missing)??)
    }

    /// Applies changes of different invitations.
    async fn apply_wave(
        &self,
        changes: &[&Change],
        live: bool,
        found: Option<HashMap<Identity, Found>>,
        is_last: bool,
    ) -> std::result::Result<Vec<std::result::Result<State, Refusal>>, ApplyError> {
        let mut found = match found {
            Some(found) => found,
            None => find(self.session, self.run, changes).await?,
        };
        let mut results = Vec::with_capacity(changes.len());
        let mut written = Vec::new();
        for change in changes {
            let found = found.remove(&change.identity);
            match self.decide(change, found, live).await {
                Ok(write) => {
                    results.push(Ok(write.after.state));
                    written.push(write);
                }
                Err(ApplyError::Refused(refusal)) => results.push(Err(refusal)),
                Err(failed) => return Err(failed),
            }
        }
        let is_due = |it: &Written| matches!(it.after.state, State::Pending | State::Deferred);
        if is_last && self.commit.early && !written.iter().any(is_due) {
            // Returned with the results: if the answer is lost, they count as soon as the commit is known.
            let done = self.write_and_commit(&written).await;
            self.commit.done.replace(Some(done));
            return Ok(results);
        }
        if !written.is_empty() {
            self.write_columns(&written).await?;
        }
        let suppressed = self.suppress_due(&written).await?;
        for (change, result) in changes.iter().zip(&mut results) {
            if result.is_ok() && suppressed.contains(&change.identity) {
                *result = Ok(State::Suppressed);
            }
        }
        Ok(results)
    }

    /// What a change writes.
    async fn decide(
        &self,
        change: &Change,
        found: Option<Found>,
        live: bool,
    ) -> std::result::Result<Written, ApplyError> {
        let found = found.ok_or(Refusal::Missing)?;
        let from = found.row.state;
        let arms = change.cause == Cause::Arm;
        if arms && !live {
            return Err(Refusal::Abandoned.into());
        }
        if arms && found.claimed_by != Some(self.run) {
            return Err(Refusal::Withdrawn(from).into());
        }
        if arms
            && change.identity.occasion.is_reminder()
            && let Some(state) = Box::pin(self.withdraw_reminder(change)).await?
        {
            return Err(Refusal::Withdrawn(state).into());
        }
        if change.cause == Cause::Person(Decision::Resend)
            && self.is_suppressed(&change.identity.address).await?
        {
            return Err(Refusal::Suppressed.into());
        }
        if change.cause == Cause::Person(Decision::Resend)
            && let Some(at) = found.recovered_at
            && self.now.duration_since(at) < LATE
        {
            return Err(Refusal::TooEarly.into());
        }
        let cause = match change.cause.late() {
            Some(late) if found.armed_here && found.recovered_at.is_some() => late,
            _ => change.cause,
        };
        let state = next(Some(from), cause)?;
        // The server's time, so that clocks of machines that differ do not matter.
        let shift = self.now.duration_since(change.at);
        let change = Change {
            at: self.now,
            cause,
            next_attempt_at: change
                .next_attempt_at
                .map(|it| it.saturating_add(shift).unwrap_or(it)),
            ..change.clone()
        };
        let claimed_by = matches!(state, State::Pending | State::Armed)
            .then_some(found.claimed_by)
            .flatten();
        Ok(Written {
            id: found.row.id,
            from,
            message_id: found.row.message_id.clone(),
            after: found.row.after(&change, state, self.key),
            claimed_by,
            armed: arms,
            change,
        })
    }

    /// Writes them and commits, in one round trip. If a row is not as it was found, the statement fails, and so the
    /// commit rolls back.
    async fn write_and_commit(&self, written: &[Written]) -> std::result::Result<(), Failure> {
        if written.is_empty() {
            return self.session.batch("COMMIT").await;
        }
        self.session.prepare_all(&[WRITE]).await?;
        let (written, committed) =
            tokio::join!(biased; self.write_columns(written), self.session.batch("COMMIT"));
        written?;
        committed
    }

    /// Writes the new states and their lines of history.
    async fn write_columns(&self, written: &[Written]) -> std::result::Result<(), Failure> {
        macro_rules! column {
            (|$it:ident| $value:expr) => {
                written.iter().map(|$it| $value).collect::<Vec<_>>()
            };
        }
        let count = |it: u32| i32::try_from(it).unwrap_or(i32::MAX);
        let number = i64::try_from(written.len()).unwrap_or(i64::MAX);
        let ids: Vec<i64> = column!(|it| it.id);
        let from: Vec<&str> = column!(|it| it.from.as_str());
        let to: Vec<&str> = column!(|it| it.after.state.as_str());
        let causes: Vec<&str> = column!(|it| it.change.cause.as_str());
        let phases: Vec<Option<&str>> = column!(|it| it.change.phase.map(Phase::as_str));
        let replies = || written.iter().map(|it| it.change.reply.as_ref());
        let codes: Vec<Option<i32>> = replies()
            .map(|it| it.map(|it| i32::from(it.code)))
            .collect();
        let enhanced: Vec<Option<&str>> = replies().map(|it| it?.enhanced.as_deref()).collect();
        let texts: Vec<Option<&str>> = replies().map(|it| it.map(|it| it.text.as_str())).collect();
        let relays: Vec<Option<&str>> = column!(|it| it.change.relay.as_deref());
        let before: Vec<&str> = column!(|it| it.message_id.as_str());
        let notes: Vec<Option<&str>> = column!(|it| it.change.note.as_deref());
        let generations: Vec<i32> = column!(|it| count(it.after.generation));
        let after: Vec<&str> = column!(|it| it.after.message_id.as_str());
        let attempts: Vec<i32> = column!(|it| count(it.after.attempts));
        let deferrals: Vec<i32> = column!(|it| count(it.after.deferrals));
        let repeat: Vec<bool> = column!(|it| it.after.repeat);
        let accepted: Vec<Option<i64>> = column!(|it| it.after.accepted_at);
        let deferred: Vec<Option<i64>> = column!(|it| it.after.deferred_since);
        let again: Vec<Option<i64>> =
            column!(|it| it.change.next_attempt_at.map(Timestamp::as_millisecond));
        let dates: Vec<Option<i64>> =
            column!(|it| it.change.message.map(|(date, _)| date.as_second()));
        let hashes: Vec<Option<Vec<u8>>> =
            column!(|it| it.change.message.map(|(_, sha256)| sha256.to_vec()));
        let claims: Vec<Option<i64>> = column!(|it| it.claimed_by);
        let armed: Vec<bool> = column!(|it| it.armed);
        let changed = self
            .session
            .query_one(
                WRITE,
                &[
                    &self.now.as_millisecond(),
                    &self.run,
                    &ids,
                    &from,
                    &to,
                    &causes,
                    &phases,
                    &codes,
                    &enhanced,
                    &texts,
                    &relays,
                    &before,
                    &notes,
                    &generations,
                    &after,
                    &attempts,
                    &deferrals,
                    &repeat,
                    &accepted,
                    &deferred,
                    &again,
                    &dates,
                    &hashes,
                    &claims,
                    &armed,
                    &number,
                ],
            )
            .await;
        match changed {
            Err(Failure::Refused(error)) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                Err(Failure::NoEffect)
            }
            changed => changed.map(drop),
        }
    }

    /// Suppresses what became pending or deferred although its address is suppressed, so that no invitation to a
    /// suppressed address is ever due.
    async fn suppress_due(
        &self,
        written: &[Written],
    ) -> std::result::Result<HashSet<Identity>, ApplyError> {
        let due = written
            .iter()
            .filter(|it| matches!(it.after.state, State::Pending | State::Deferred));
        let mut hashes = Vec::new();
        let due: Vec<(&Identity, [Vec<u8>; 2])> = due
            .map(|it| {
                let identity = &it.change.identity;
                let of_identity =
                    covering_hashes(self.key, &identity.address).map(|it| it.to_vec());
                hashes.extend(of_identity.iter().cloned());
                (identity, of_identity)
            })
            .collect();
        if due.is_empty() {
            return Ok(HashSet::new());
        }
        let listed = self
            .session
            .query(
                "SELECT hash FROM suppression WHERE hash = ANY ($1)",
                &[&hashes],
            )
            .await?;
        if listed.is_empty() {
            return Ok(HashSet::new());
        }
        let listed: HashSet<Vec<u8>> = listed.iter().map(|it| it.get(0)).collect();
        let suppressed: HashSet<Identity> = due
            .into_iter()
            .filter(|(_, hashes)| hashes.iter().any(|it| listed.contains(it)))
            .map(|(identity, _)| identity.clone())
            .collect();
        let changes: Vec<Change> = suppressed
            .iter()
            .map(|it| Change::new(it, self.now, Cause::Suppress))
            .collect();
        let changes: Vec<&Change> = changes.iter().collect();
        for result in Box::pin(self.apply_wave(&changes, true, None, false)).await? {
            result?;
        }
        Ok(suppressed)
    }
}
