//! Records arms and outcomes in the ledger.
//!
//! If that fails, the run stops, and the outcome that could not be recorded is reported. An acceptance may
//! share the commit that arms the next message; nothing else waits.

use std::sync::Arc;

use jiff::Timestamp;

use super::breaker::SettledRow;
use super::peer::{OUT_OF_ORDER, ReplyResult};
use super::queue::Outgoing;
use super::run_ledger::RunLedger;
use super::state::RunState;
use super::stop::Stopped;
use super::tally::RunEvent;
use crate::address::Address;
use crate::invitation::{Cause, Identity, State};
use crate::ledger::{Change, LedgerError, PendingCommit};
use crate::outbox::Prepared;
use crate::outcome::{Outcome, Phase};
use crate::relay::NoReply;

/// Records the outcomes of one connection.
pub struct Recorder {
    run: Arc<RunState>,
    /// The outcomes that the next commit records.
    pending: Vec<UnrecordedOutcome>,
    /// The message whose outcome is unconfirmed. Once taken, it counts as confirmed.
    pub unconfirmed: Option<Unconfirmed>,
}

/// An outcome that is not recorded yet.
struct UnrecordedOutcome {
    change: Change,
    outcome: Outcome,
    reason: String,
    row: SettledRow,
}

/// A message whose outcome was read from a reply that may belong to another command: the replies to the
/// envelope behind its final dot are still missing.
pub struct Unconfirmed {
    identity: Identity,
    recipient: Address,
    /// The recorded state; none while the outcome waits for its commit.
    state: Option<State>,
}

/// Why a message was not armed.
#[derive(Clone, Copy, Debug)]
pub enum NotArmed {
    /// The invitation was suppressed or closed in the meantime.
    Withdrawn(State),
    /// All runs together have reached a limit until then; none for the limit of a day.
    RateLimited(Option<Timestamp>),
}

/// A commit that was submitted to the ledger.
pub struct PendingRecord {
    outcomes: Vec<UnrecordedOutcome>,
    armed: Option<Address>,
    commit: Option<PendingCommit>,
}

impl Recorder {
    pub fn new(run: &Arc<RunState>) -> Self {
        Self {
            run: run.clone(),
            pending: Vec::new(),
            unconfirmed: None,
        }
    }

    /// Submits the arm, in one commit with the pending outcomes. The final dot may be written once
    /// [`Self::finish`] has succeeded.
    pub fn arm(&mut self, outgoing: &Outgoing) -> PendingRecord {
        let Prepared {
            identity, message, ..
        } = &outgoing.prepared;
        let armed = Change {
            message: Some((message.date, message.sha256())),
            unless: self.run.run_ledger.unless,
            ..self.run.run_ledger.change(identity, Phase::Dot, Cause::Arm)
        };
        PendingRecord {
            armed: Some(outgoing.prepared.recipient.clone()),
            ..self.begin(Some(armed))
        }
    }

    /// Armed → pending: the final dot was not written, or the message was refused for a reason that does not
    /// concern the recipient.
    pub async fn disarm(
        &mut self,
        message: &Outgoing,
        phase: Phase,
        reply: &ReplyResult,
    ) -> Result<(), Stopped> {
        let disarmed = self.change(message, phase, Cause::Disarm, reply);
        let record = self.begin(Some(disarmed));
        self.finish(record).await.map(drop)
    }

    /// Adds an outcome to the next commit.
    pub fn add_outcome(
        &mut self,
        message: &Outgoing,
        phase: Phase,
        outcome: Outcome,
        reply: &ReplyResult,
    ) {
        let mut change = self.change(message, phase, Cause::Outcome(outcome), reply);
        if outcome == Outcome::Deferred {
            self.schedule(&mut change, message);
        }
        let Prepared {
            identity,
            recipient,
            standing,
            ..
        } = &message.prepared;
        self.pending.push(UnrecordedOutcome {
            change,
            outcome,
            reason: describe(reply),
            row: SettledRow {
                identity: identity.clone(),
                recipient: recipient.clone(),
                state: State::Armed,
                deferrals: standing.deferrals,
                was_reopened: standing.was_reopened,
            },
        });
    }

    /// Decides when a deferred message is due again, or that it has expired.
    fn schedule(&self, change: &mut Change, message: &Outgoing) {
        if let Some(reply) = change.reply.as_ref().filter(|it| it.class() == 5) {
            let note = format!(
                "permanent refusal without evidence about the mailbox, so it is tried again: {reply}"
            );
            change.note = Some(note);
        }
        let RunLedger { retry, .. } = &*self.run.run_ledger;
        let standing = &message.prepared.standing;
        // Only a reply lets it expire: a lost connection says nothing about the partner.
        if change.reply.is_some() && retry.gives_up(change.at, standing.deferred_since) {
            change.cause = Cause::GiveUp;
        } else {
            let address = &message.prepared.identity.address;
            let again = retry.due_again(change.at, standing.deferrals + 1, address);
            change.next_attempt_at = Some(again);
        }
    }

    /// Records the pending outcomes.
    pub async fn flush(&mut self) -> Result<(), Stopped> {
        let record = self.begin(None);
        self.finish(record).await.map(drop)
    }

    /// Waits until a commit is durable. Gives why a message was not armed, if so.
    pub async fn finish(&mut self, record: PendingRecord) -> Result<Option<NotArmed>, Stopped> {
        let Some(commit) = record.commit else {
            return Ok(None);
        };
        let mut outcomes = record.outcomes.into_iter();
        let mut not_armed = None;
        let mut result = Ok(());
        for recorded in commit.results().await {
            match (recorded, outcomes.next()) {
                (Ok(state), Some(outcome)) => self.recorded(outcome, state).await,
                (Ok(_), None) => {
                    if let Some(recipient) = &record.armed {
                        self.run.reporter.report(RunEvent::Armed(recipient));
                    }
                }
                (Err(LedgerError::Withdrawn(state)), None) => {
                    not_armed = Some(NotArmed::Withdrawn(state));
                }
                (Err(LedgerError::RateLimited(until)), None) => {
                    not_armed = Some(NotArmed::RateLimited(until));
                }
                (Err(failure), outcome) => {
                    if let Some(it) = outcome {
                        self.report_unrecorded(&it.row.recipient, it.outcome, &it.reason);
                    }
                    result = Err(self.run.stop.because(failure));
                }
            }
        }
        result.map(|()| not_armed)
    }

    async fn recorded(&mut self, outcome: UnrecordedOutcome, state: State) {
        let row = SettledRow {
            state,
            ..outcome.row
        };
        if let Some(unconfirmed) = &mut self.unconfirmed
            && unconfirmed.identity == row.identity
        {
            unconfirmed.state = Some(state);
        }
        let occasion = row.identity.occasion;
        let event = RunEvent::Settled(&row.recipient, state, &outcome.reason, occasion);
        self.run.reporter.report(event);
        self.run.watch.recorded(&outcome.change, row).await;
    }

    /// Marks the outcome of this message as unconfirmed until the replies to the envelope behind its final dot
    /// have arrived in order.
    pub fn await_confirmation(&mut self, message: &Outgoing) {
        self.unconfirmed = Some(Unconfirmed {
            identity: message.prepared.identity.clone(),
            recipient: message.prepared.recipient.clone(),
            state: None,
        });
    }

    /// Changes an outcome that was read from replies out of order to `unknown`, recorded or not.
    pub async fn retract(&mut self, unconfirmed: Unconfirmed) -> Result<(), Stopped> {
        let Unconfirmed {
            identity,
            recipient,
            state,
        } = unconfirmed;
        let mut pending = self.pending.iter_mut();
        if let Some(pending) = pending.find(|it| it.change.identity == identity) {
            pending.change.cause = Cause::Outcome(Outcome::Unknown);
            pending.change.reply = None;
            pending.change.next_attempt_at = None;
            pending.change.note = Some(OUT_OF_ORDER.to_owned());
            pending.outcome = Outcome::Unknown;
            OUT_OF_ORDER.clone_into(&mut pending.reason);
            return self.flush().await;
        }
        let run_ledger = &self.run.run_ledger;
        let change = Change {
            note: Some(OUT_OF_ORDER.to_owned()),
            ..run_ledger.change(&identity, Phase::Dot, Cause::OutOfOrder)
        };
        match run_ledger.ledger.apply(change).await {
            Ok(to) => {
                let recipient = &recipient;
                self.run.reporter.report(match state {
                    Some(from) => RunEvent::Revised {
                        recipient,
                        from,
                        to,
                        reason: Some(OUT_OF_ORDER),
                        occasion: identity.occasion,
                    },
                    None => RunEvent::Settled(recipient, to, OUT_OF_ORDER, identity.occasion),
                });
                Ok(())
            }
            Err(failure) => {
                self.report_unrecorded(&recipient, Outcome::Unknown, OUT_OF_ORDER);
                Err(self.run.stop.because(failure))
            }
        }
    }

    fn begin(&mut self, change: Option<Change>) -> PendingRecord {
        let outcomes = std::mem::take(&mut self.pending);
        let mut changes: Vec<Change> = outcomes.iter().map(|it| it.change.clone()).collect();
        changes.extend(change);
        let commit = (!changes.is_empty()).then(|| self.run.run_ledger.ledger.submit(changes));
        PendingRecord {
            outcomes,
            armed: None,
            commit,
        }
    }

    fn change(
        &self,
        message: &Outgoing,
        phase: Phase,
        cause: Cause,
        reply: &ReplyResult,
    ) -> Change {
        let identity = &message.prepared.identity;
        Change {
            reply: reply.as_ref().ok().cloned(),
            note: reply.as_ref().err().map(NoReply::to_string),
            ..self.run.run_ledger.change(identity, phase, cause)
        }
    }

    fn report_unrecorded(&self, recipient: &Address, outcome: Outcome, reason: &str) {
        let event = RunEvent::Unrecorded(recipient, outcome, reason);
        self.run.reporter.report(event);
    }
}

/// The reply, or why there is none.
pub fn describe(reply: &ReplyResult) -> String {
    match reply {
        Ok(reply) => reply.to_string(),
        Err(error) => error.to_string(),
    }
}
