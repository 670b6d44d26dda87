//! A change of an invitation as SQL: reads the state, calls the transition function, and writes the new
//! state and the line of history, within the caller's transaction.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::errors::{ApplyError, ensure_one_row};
use crate::invitation::{Cause, Decision, Identity, MessageIdKey, State, SuppressionSource, next};
use crate::ledger::columns::Columns;
use crate::ledger::invitation_row::InvitationRow;
use crate::ledger::records::{Change, Enrolment};
use crate::ledger::refusal::Refusal;
use crate::outcome::Phase;

/// The padding of a new row: as much as it grows by when it is armed and settled.
pub(super) const PADDING_AT_ENROLMENT: i64 = 112;
/// The padding of an armed row: as much as the row grows by with its outcome.
const PADDING_WHEN_ARMED: i64 = 40;

/// Writes changes within the transaction of its caller.
#[derive(Clone, Copy)]
pub struct Transitions<'a> {
    pub connection: &'a Connection,
    pub key: &'a MessageIdKey,
    /// The run that is recorded with each change.
    pub run: Option<i64>,
}

impl Transitions<'_> {
    /// Inserts an invitation, as suppressed if its address is; one that is recorded already stays unchanged.
    pub fn enrol(&self, enrolment: &Enrolment, at: Timestamp) -> Result<(), ApplyError> {
        let identity = &enrolment.identity;
        let cause = match self.suppression_of(&identity.address)?.map(|it| it.source) {
            // The address must not be recorded again.
            Some(SuppressionSource::Forgotten) => return Ok(()),
            Some(_) => Cause::Suppress,
            None => Cause::Enrol,
        };
        let change = Change::new(identity, at, cause);
        self.insert(enrolment, &change).map(drop)
    }

    /// Inserts an invitation in the state that a change from no record leads to. Returns this state; none if the
    /// invitation is recorded already, and stays unchanged. Its latest event is the next row of the history, which
    /// SQLite numbers one above the last.
    pub fn insert(
        &self,
        enrolment: &Enrolment,
        change: &Change,
    ) -> Result<Option<State>, ApplyError> {
        let Enrolment {
            identity,
            invitee,
            message_id,
        } = enrolment;
        let state = next(None, change.cause)?;
        let at = change.at.as_millisecond();
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO invitation (campaign, package_id, address, occasion, package, email,
                    name, organization, locale, template_locale, state, generation, message_id,
                    attempts, deferrals, repeat, created_at, updated_at, accepted_at, latest, room)
                 VALUES (:campaign, :package_id, :address, :occasion, :package, :email,
                    :name, :organization, :locale, :template_locale, :state, 0, :message_id, 0, 0, 0,
                    :at, :at, :accepted_at, (SELECT coalesce(max(id), 0) + 1 FROM history), zeroblob(:padding))
                 ON CONFLICT (campaign, package_id, address, occasion) DO NOTHING",
            )?
            .execute(named_params! {
                ":campaign": identity.campaign,
                ":package_id": identity.package_id.to_string(),
                ":address": identity.address,
                ":occasion": identity.occasion.to_string(),
                ":package": invitee.package,
                ":email": invitee.email,
                ":name": invitee.name,
                ":organization": invitee.organization,
                ":locale": invitee.locale,
                ":template_locale": invitee.template_locale,
                ":message_id": message_id,
                ":at": at,
                ":accepted_at": (state == State::Accepted).then_some(at),
                ":padding": PADDING_AT_ENROLMENT,
                ":state": state.as_str(),
            })?;
        if inserted == 1 {
            let id = self.connection.last_insert_rowid();
            self.write_history(id, change, None, state, message_id)?;
        }
        Ok((inserted == 1).then_some(state))
    }

    /// Applies one change and returns the new state.
    pub fn apply(&self, change: &Change) -> Result<State, ApplyError> {
        if change.cause == Cause::Arm
            && change.identity.occasion.is_reminder()
            && let Some(state) = self.withdraw_reminder(change)?
        {
            return Err(Refusal::Withdrawn(state).into());
        }
        let before = self.find(&change.identity)?.ok_or(Refusal::Missing)?;
        let (id, from) = (before.id, before.state);
        if change.cause == Cause::Person(Decision::Resend)
            && self.is_suppressed(&change.identity.address)?
        {
            return Err(Refusal::Suppressed.into());
        }
        let state = next(Some(from), change.cause)?;
        let latest = self.write_history(id, change, Some(from), state, &before.message_id)?;
        let after = before.after(change, state, self.key);
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE invitation SET state = :state, generation = :generation,
                    message_id = :message_id, attempts = :attempts, deferrals = :deferrals,
                    repeat = :repeat, updated_at = :at, accepted_at = :accepted_at,
                    deferred_since = :deferred_since, next_attempt_at = :next_attempt_at,
                    message_date = coalesce(:date, message_date),
                    message_sha256 = coalesce(:sha256, message_sha256),
                    latest = :latest, room = zeroblob(:padding)
                 WHERE id = :id AND state = :from",
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
                ":padding": if state == State::Armed { PADDING_WHEN_ARMED } else { 0 },
                ":id": id,
                ":from": from.as_str(),
            })?;
        // The state was read in the same transaction, so only a tampered ledger gives another number.
        ensure_one_row(changed)?;
        // So that no invitation to a suppressed address is ever due.
        if matches!(state, State::Pending | State::Deferred)
            && self.is_suppressed(&change.identity.address)?
        {
            return self.apply(&Change::new(&change.identity, change.at, Cause::Suppress));
        }
        Ok(state)
    }

    fn find(&self, identity: &Identity) -> rusqlite::Result<Option<InvitationRow>> {
        let package_id = identity.package_id.to_string();
        self.connection
            .prepare_cached(
                "SELECT id, state, generation, message_id, attempts, deferrals, repeat, accepted_at,
                    deferred_since
                 FROM invitation
                 WHERE campaign = ?1 AND package_id = ?2 AND address = ?3 AND occasion = ?4",
            )?
            .query_row(
                (
                    &identity.campaign,
                    package_id,
                    &identity.address,
                    identity.occasion.to_string(),
                ),
                |row| row.invitation_row(0),
            )
            .optional()
    }

    /// Inserts a line of history; gives its number.
    pub fn write_history(
        &self,
        invitation: i64,
        change: &Change,
        from: Option<State>,
        to: State,
        message_id: &str,
    ) -> rusqlite::Result<i64> {
        let reply = change.reply.as_ref();
        let written = self
            .connection
            .prepare_cached(
                "INSERT INTO history (invitation, at, from_state, to_state, cause, phase, smtp_code,
                    enhanced_code, reply, relay, message_id, note, run)
                 VALUES (:invitation, :at, :from, :to, :cause, :phase, :code, :enhanced, :reply,
                    :relay, :message_id, :note, :run)",
            )?
            .execute(named_params! {
                ":invitation": invitation,
                ":at": change.at.as_millisecond(),
                ":from": from.map(State::as_str),
                ":to": to.as_str(),
                ":cause": change.cause.as_str(),
                ":phase": change.phase.map(Phase::as_str),
                ":code": reply.map(|it| it.code),
                ":enhanced": reply.and_then(|it| it.enhanced.as_deref()),
                ":reply": reply.map(|it| it.text.as_str()),
                ":relay": change.relay,
                ":message_id": message_id,
                ":note": change.note,
                ":run": self.run,
            })?;
        ensure_one_row(written)?;
        Ok(self.connection.last_insert_rowid())
    }
}
