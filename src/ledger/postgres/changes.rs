//! Changes of invitations, many in a few statements: reads the states, calls the transition function, and writes the
//! new states and the lines of history.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::error::SqlState;

use super::connection::Session;
use super::errors::{ApplyError, Failure};
use super::keys::Keys;
use super::rows;
use super::transaction::{IS_LIVE, Transaction, is_live};
use crate::invitation::{Cause, Decision, Identity, NotAllowed, State, covering_hashes, next};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::invitation_row::InvitationRow;
use crate::ledger::records::Change;
use crate::outcome::{Outcome, Phase};

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
pub async fn apply_all(
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
        match &mut room {
            Some(room) if change.cause == Cause::Arm => {
                if let Some(left) = room.messages.checked_sub(1) {
                    room.messages = left;
                } else {
                    results[place] = Some(Err(LedgerError::RateLimited(room.again)));
                    continue;
                }
            }
            _ => {}
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
            results[place] = Some(result.map_err(|refused| explain(changes[place], refused)));
        }
        open = later;
    }
    Ok(results.into_iter().flatten().collect())
}

/// What changes depend on.
pub struct Read {
    /// Whether this run may arm.
    live: bool,
    found: HashMap<Identity, Found>,
}

/// Reads what changes depend on, in one round trip.
pub async fn read(
    session: &Session,
    run: i64,
    changes: &[&Change],
) -> std::result::Result<Read, Failure> {
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
    let rows = session
        .query(
            FIND,
            &[
                &keys.campaigns,
                &keys.packages,
                &keys.addresses,
                &keys.occasions,
                &run,
            ],
        )
        .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let invitation = InvitationRow {
            id: rows::value(row, 4)?,
            state: rows::state(row, 5)?,
            generation: rows::count(row, 6)?,
            message_id: rows::value(row, 7)?,
            attempts: rows::count(row, 8)?,
            deferrals: rows::count(row, 9)?,
            repeat: rows::value(row, 10)?,
            accepted_at: rows::value(row, 11)?,
            deferred_since: rows::value(row, 12)?,
        };
        found.insert(
            rows::identity(row, 0)?,
            Found {
                row: invitation,
                claimed_by: rows::value(row, 13)?,
                armed_here: rows::value(row, 14)?,
                recovered_at: rows::optional_timestamp(row, 15)?,
            },
        );
    }
    Ok(found)
}

/// Applies a change again that another server had acknowledged, although this run may not arm any more. Gives the new
/// state; an error if it does not fit to what is recorded.
pub async fn write_again(
    transaction: &Transaction<'_>,
    change: &Change,
) -> std::result::Result<std::result::Result<State, ()>, ApplyError> {
    match transaction.apply(change).await {
        Ok(state) => Ok(Ok(state)),
        Err(ApplyError::Failed(failure)) => Err(failure.into()),
        Err(_) => Ok(Err(())),
    }
}

/// The error of a change that was refused.
fn explain(change: &Change, refused: ApplyError) -> LedgerError {
    match refused {
        ApplyError::Withdrawn(state) => LedgerError::Withdrawn(state),
        ApplyError::Abandoned => LedgerError::run_lost(),
        ApplyError::NotAllowed(NotAllowed {
            before: Some(state),
            cause: Cause::Arm,
        }) => LedgerError::Withdrawn(state),
        refused => {
            let message = format!("{}: {refused}", change.identity.address);
            match refused {
                ApplyError::Suppressed => LedgerError::Unusable(message),
                ApplyError::TooEarly => LedgerError::Busy(message),
                // Another run or a person has decided since this run was taken for lost.
                ApplyError::NotAllowed(_) if late(change.cause).is_some() => {
                    LedgerError::RunLost(message)
                }
                _ => LedgerError::Fault(message),
            }
        }
    }
}

impl Transaction<'_> {
    /// Applies one change, which must be allowed.
    pub async fn apply(&self, change: &Change) -> std::result::Result<State, ApplyError> {
        let mut results = self.apply_wave(&[change], true, None, false).await?;
        results.pop().ok_or(ApplyError::Missing)?
    }

    /// Applies changes of different invitations.
    async fn apply_wave(
        &self,
        changes: &[&Change],
        live: bool,
        found: Option<HashMap<Identity, Found>>,
        is_last: bool,
    ) -> std::result::Result<Vec<std::result::Result<State, ApplyError>>, ApplyError> {
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
                Err(ApplyError::Failed(failure)) => return Err(failure.into()),
                Err(refused) => results.push(Err(refused)),
            }
        }
        let is_due = |it: &Written| matches!(it.after.state, State::Pending | State::Deferred);
        if is_last && self.commit.early && !written.iter().any(is_due) {
            // Returned with the results: if the answer is lost, they count as soon as the commit is known.
            let done = self.write_and_commit(&written).await;
            self.commit.done.replace(Some(done));
            return Ok(results);
        }
        self.write_all(&written).await?;
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
        let found = found.ok_or(ApplyError::Missing)?;
        let from = found.row.state;
        let arms = change.cause == Cause::Arm;
        if arms && !live {
            return Err(ApplyError::Abandoned);
        }
        if arms && found.claimed_by != Some(self.run) {
            return Err(ApplyError::Withdrawn(from));
        }
        if arms
            && change.identity.occasion.is_reminder()
            && let Some(state) = Box::pin(self.withdraw_reminder(change)).await?
        {
            return Err(ApplyError::Withdrawn(state));
        }
        if change.cause == Cause::Person(Decision::Resend)
            && self.is_suppressed(&change.identity.address).await?
        {
            return Err(ApplyError::Suppressed);
        }
        if change.cause == Cause::Person(Decision::Resend)
            && let Some(at) = found.recovered_at
            && self.now.duration_since(at) < LATE
        {
            return Err(ApplyError::TooEarly);
        }
        let cause = match late(change.cause) {
            Some(late) if found.armed_here && found.recovered_at.is_some() => {
                Cause::LateReply(late)
            }
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

    /// Writes the new states and their lines of history.
    async fn write_all(&self, written: &[Written]) -> std::result::Result<(), Failure> {
        if written.is_empty() {
            return Ok(());
        }
        self.write_columns(written).await
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

/// What a reply means that came after the run was taken for lost, if it settles anything. A final dot that was not
/// written, or a refusal that does not concern the recipient, leaves the message to be tried again.
fn late(cause: Cause) -> Option<Outcome> {
    match cause {
        Cause::Outcome(Outcome::Unknown) => None,
        Cause::Outcome(outcome) => Some(outcome),
        Cause::GiveUp | Cause::Disarm => Some(Outcome::Deferred),
        _ => None,
    }
}
