//! Outcomes and arms on their way into the ledger.
//!
//! A failure to record stops the run, and the outcome that could not be recorded is reported. An acceptance
//! may share the commit that arms the next message; nothing else waits.

use std::sync::Arc;

use super::breaker::Refused;
use super::event::RunEvent;
use super::journal::Journal;
use super::peer::OUT_OF_ORDER;
use super::queue::Outgoing;
use super::relay_watch::RelayWatch;
use super::reporter::Reporter;
use super::stop::{StopSignal, Stopped};
use crate::address::Address;
use crate::invitation::{Cause, Identity, State};
use crate::ledger::{Change, PendingCommit};
use crate::outcome::{Outcome, Phase, Reply};
use crate::relay::NoReply;

/// Records the outcomes of one connection.
pub struct Recorder {
    pub journal: Arc<Journal>,
    pub watch: Arc<RelayWatch>,
    pub reporter: Arc<Reporter>,
    pub stop: Arc<StopSignal>,
    /// The outcomes that the next commit records.
    pub pending: Vec<UnrecordedOutcome>,
    pub unconfirmed: Option<Unconfirmed>,
}

/// An outcome that is not recorded yet.
pub struct UnrecordedOutcome {
    change: Change,
    recipient: Address,
    outcome: Outcome,
    reason: String,
    /// How often the invitation was deferred before.
    deferrals: u32,
    /// Whether the breaker has returned it from `expired` before.
    put_back: bool,
}

/// A message whose outcome was read from a reply that may turn out to belong to another command, because
/// the replies to the envelope behind its final dot are still to come.
pub struct Unconfirmed {
    identity: Identity,
    recipient: Address,
    /// The state that was recorded; none while the outcome waits for its commit.
    state: Option<State>,
}

/// A commit that the ledger was asked for.
pub struct PendingRecord {
    outcomes: Vec<UnrecordedOutcome>,
    armed: Option<Address>,
    asked: Option<PendingCommit>,
}

impl Recorder {
    /// Asks for the message to be armed, in one commit with the outcomes that wait. The final dot may be
    /// written once [`Self::finish`] has succeeded.
    pub fn arm(&mut self, message: &Outgoing) -> PendingRecord {
        let armed = Change {
            message: Some((message.message.date, message.message.sha256())),
            ..self.change(message, Phase::Dot, Cause::Arm)
        };
        PendingRecord {
            armed: Some(message.recipient.clone()),
            ..self.begin(Some(armed))
        }
    }

    /// Armed → pending: the final dot was not written, or the refusal is certain and does not concern the
    /// recipient.
    pub async fn disarm(
        &mut self,
        message: &Outgoing,
        phase: Phase,
        reply: &Result<Reply, NoReply>,
    ) -> Result<(), Stopped> {
        let disarmed = Change {
            reply: reply.as_ref().ok().cloned(),
            note: reply.as_ref().err().map(NoReply::to_string),
            ..self.change(message, phase, Cause::Disarm)
        };
        let record = self.begin(Some(disarmed));
        self.finish(record).await
    }

    /// Notes an outcome for the next commit.
    pub fn note(
        &mut self,
        message: &Outgoing,
        phase: Phase,
        outcome: Outcome,
        reply: &Result<Reply, NoReply>,
    ) {
        let mut change = Change {
            reply: reply.as_ref().ok().cloned(),
            note: reply.as_ref().err().map(NoReply::to_string),
            ..self.change(message, phase, Cause::Outcome(outcome))
        };
        if outcome == Outcome::Deferred {
            self.schedule(&mut change, message);
        }
        self.pending.push(UnrecordedOutcome {
            change,
            recipient: message.recipient.clone(),
            outcome,
            reason: describe(reply),
            deferrals: message.standing.deferrals,
            put_back: message.standing.put_back,
        });
    }

    /// When a deferred message is due again, or that it is given up.
    fn schedule(&self, change: &mut Change, message: &Outgoing) {
        if let Some(reply) = change.reply.as_ref().filter(|it| it.class() == 5) {
            let note = format!(
                "permanent refusal without evidence about the mailbox, so it is tried again: {reply}"
            );
            change.note = Some(note);
        }
        let standing = &message.standing;
        let retry = &self.journal.retry;
        // Only a reply ends it: a lost connection says nothing about the partner.
        if change.reply.is_some() && retry.gives_up(change.at, standing.deferred_since) {
            change.cause = Cause::GiveUp;
        } else {
            let again = self
                .journal
                .due_again(change.at, standing.deferrals, &message.identity);
            change.next_attempt_at = Some(again);
        }
    }

    /// Records the outcomes that wait.
    pub async fn flush(&mut self) -> Result<(), Stopped> {
        let record = self.begin(None);
        self.finish(record).await
    }

    /// Waits until a commit is durable.
    pub async fn finish(&mut self, record: PendingRecord) -> Result<(), Stopped> {
        let Some(asked) = record.asked else {
            return Ok(());
        };
        let mut outcomes = record.outcomes.into_iter();
        let mut result = Ok(());
        for recorded in asked.results().await {
            match (recorded, outcomes.next()) {
                (Ok(state), Some(outcome)) => self.recorded(outcome, state).await,
                (Ok(_), None) => {
                    if let Some(recipient) = &record.armed {
                        self.reporter.report(RunEvent::Armed { recipient });
                    }
                }
                (Err(failure), outcome) => {
                    if let Some(it) = outcome {
                        self.report_unrecorded(&it.recipient, it.outcome, &it.reason);
                    }
                    result = Err(self.stop.because(failure));
                }
            }
        }
        result
    }

    async fn recorded(&mut self, outcome: UnrecordedOutcome, state: State) {
        let UnrecordedOutcome {
            change,
            recipient,
            reason,
            deferrals,
            put_back,
            ..
        } = outcome;
        if let Some(unconfirmed) = &mut self.unconfirmed
            && unconfirmed.identity == change.identity
        {
            unconfirmed.state = Some(state);
        }
        self.reporter.report(RunEvent::Settled {
            recipient: &recipient,
            state,
            reason: &reason,
        });
        let refused = || Refused {
            identity: change.identity.clone(),
            recipient,
            state,
            deferrals,
            put_back,
        };
        self.watch.recorded(&change, state, refused).await;
    }

    /// The outcome of this message counts only once the replies to the envelope behind its final dot have
    /// come in order.
    pub fn await_confirmation(&mut self, message: &Outgoing) {
        self.unconfirmed = Some(Unconfirmed {
            identity: message.identity.clone(),
            recipient: message.recipient.clone(),
            state: None,
        });
    }

    /// The message whose outcome is not confirmed, if there is one; from then on it counts as confirmed.
    pub fn take_unconfirmed(&mut self) -> Option<Unconfirmed> {
        self.unconfirmed.take()
    }

    /// Turns an outcome that was read from replies out of order into `unknown`, recorded or not.
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
        let change = Change {
            phase: Some(Phase::Dot),
            note: Some(OUT_OF_ORDER.to_owned()),
            ..self.journal.change(&identity, Cause::OutOfOrder)
        };
        match self.journal.ledger.apply(change).await {
            Ok(to) => {
                let recipient = &recipient;
                self.reporter.report(match state {
                    Some(from) => RunEvent::Revised {
                        recipient,
                        from,
                        to,
                        reason: Some(OUT_OF_ORDER),
                    },
                    None => RunEvent::Settled {
                        recipient,
                        state: to,
                        reason: OUT_OF_ORDER,
                    },
                });
                Ok(())
            }
            Err(failure) => {
                self.report_unrecorded(&recipient, Outcome::Unknown, OUT_OF_ORDER);
                Err(self.stop.because(failure))
            }
        }
    }

    fn begin(&mut self, change: Option<Change>) -> PendingRecord {
        let outcomes = std::mem::take(&mut self.pending);
        let mut changes: Vec<Change> = outcomes.iter().map(|it| it.change.clone()).collect();
        changes.extend(change);
        let asked = (!changes.is_empty()).then(|| self.journal.ledger.submit(changes));
        PendingRecord {
            outcomes,
            armed: None,
            asked,
        }
    }

    fn change(&self, message: &Outgoing, phase: Phase, cause: Cause) -> Change {
        Change {
            phase: Some(phase),
            ..self.journal.change(&message.identity, cause)
        }
    }

    fn report_unrecorded(&self, recipient: &Address, outcome: Outcome, reason: &str) {
        self.reporter.report(RunEvent::Unrecorded {
            recipient,
            outcome,
            reason,
        });
    }
}

/// The reply, or why there is none.
pub fn describe(reply: &Result<Reply, NoReply>) -> String {
    match reply {
        Ok(reply) => reply.to_string(),
        Err(silence) => silence.to_string(),
    }
}
