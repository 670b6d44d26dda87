//! One attempt to send a message, each step recorded.
//!
//! The order of [`Worker::attempt`] is the promise. A message that was cut off before `armed` was not accepted
//! and is sent again; only an armed one can become `unknown`. If the relay pipelines and another message
//! waits, its envelope is sent with the final dot: one round trip per message.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::peer::{DotReply, ReplyResult};
use super::queue::Outgoing;
use super::recorder::{NotArmed, describe};
use super::stop::{Stop, StopKind, Stopped};
use super::tally::RunEvent;
use super::worker::{AttemptResult, Worker};
use crate::outbox::Prepared;
use crate::outcome::{Outcome, Phase, PhaseResult, connection_survives_dot, phase_result};
use crate::refusal::Refusal;
use crate::relay::{Connection, NoReply, ReplyOrder, TransactionAborted};

/// Why a message was not sent whose invitation changed after it was composed.
const WITHDRAWN: &str = "since this run began; its message was not sent";
/// How long an acceptance waits for an arm to share its commit with.
const MAX_COMMIT_DELAY: Duration = Duration::from_millis(20);

impl Worker {
    /// One attempt: envelope, body, arm, final dot, reply, record. `armed` is durable after the body is on the
    /// wire and before the final dot; the outcome is durable before the next final dot on this connection.
    pub async fn attempt(
        &mut self,
        message: &mut Outgoing,
        mut connection: Connection,
    ) -> Result<AttemptResult, Stopped> {
        self.check_size(message, &connection)?;
        let sent_ahead = connection.has_begun();
        if let Err(aborted) = self.envelope(message, &mut connection).await? {
            return self.aborted(message, connection, sent_ahead, aborted).await;
        }
        self.envelope_accepted(sent_ahead);
        if let Err(aborted) = connection.body(&message.prepared.message.bytes).await {
            return self.aborted(message, connection, sent_ahead, aborted).await;
        }
        self.run.stop.may_arm()?;
        let arm = self.recorder.arm(message);
        // The next message is composed while the disk writes.
        self.take_ahead(&connection);
        if let Some(why) = self.recorder.finish(arm).await? {
            return self.not_armed(message, why);
        }
        if !self.run.run_ledger.ledger.may_send() {
            return Err(self.lease_lost(message).await);
        }
        let next = self.next.as_ref().map(|it| &it.prepared);
        let reply = self.run.peer.final_dot(&mut connection, next).await;
        self.record_reply(message, connection, reply).await
    }

    /// The connection is closed within the message, which the relay must discard (RFC 5321 §4.1.1.4).
    fn not_armed(&self, message: &mut Outgoing, why: NotArmed) -> Result<AttemptResult, Stopped> {
        match why {
            NotArmed::Withdrawn(state) => {
                let Prepared {
                    identity,
                    recipient,
                    ..
                } = &message.prepared;
                let event = RunEvent::Withdrawn(recipient, state, WITHDRAWN, identity.occasion);
                self.run.reporter.report(event);
                Ok(AttemptResult::Settled)
            }
            NotArmed::RateLimited(until) => {
                message.permit = None;
                let now = (self.run.run_ledger.clock)();
                let wait = until.map(|it| Duration::try_from(it.duration_since(now)));
                self.run.pace.limited(wait.map(Result::unwrap_or_default))?;
                Ok(AttemptResult::Throttled)
            }
        }
    }

    /// Takes an armed message back whose final dot must not be written any more, because other runs may have taken
    /// over. The connection is closed within the message.
    async fn lease_lost(&mut self, message: &Outgoing) -> Stopped {
        let stopped = self
            .run
            .stop
            .because(self.run.run_ledger.ledger.lease_error());
        let not_written = Err(NoReply::Closed("the final dot was not written".into()));
        let disarmed = self.recorder.disarm(message, Phase::Body, &not_written);
        disarmed.await.err().unwrap_or(stopped)
    }

    /// Stops the run if the message exceeds the relay's size limit: the templates are the cause, not the recipient.
    fn check_size(&self, message: &Outgoing, connection: &Connection) -> Result<(), Stopped> {
        let size = message.prepared.message.bytes.len();
        let Some(limit) = connection.size_limit_exceeded_by(&message.prepared.message.bytes) else {
            return Ok(());
        };
        let why = format!(
            "the relay {} accepts messages of at most {limit} bytes, but the one to {} has {size}; shorten the templates, or ask the relay's operator to raise the limit",
            self.run.run_ledger.relay, message.prepared.recipient
        );
        Err(self.run.stop.because(Stop::new(StopKind::Relay, why)))
    }

    /// Sends the envelope, or reads the replies to one that was sent ahead. If they are slow, an outcome that
    /// waits for the next arm is recorded.
    async fn envelope(
        &mut self,
        message: &Outgoing,
        connection: &mut Connection,
    ) -> Result<Result<(), TransactionAborted>, Stopped> {
        let envelope = self.run.peer.envelope(&message.prepared);
        let mut replies = pin!(connection.begin(envelope));
        if let Ok(answered) = timeout(MAX_COMMIT_DELAY, &mut replies).await {
            return Ok(answered);
        }
        self.recorder.flush().await?;
        Ok(replies.await)
    }

    fn envelope_accepted(&mut self, sent_ahead: bool) {
        if sent_ahead {
            self.run.peer.probe().record(Some(true));
        }
        self.recorder.unconfirmed = None;
        self.session.mail_accepted();
    }

    /// Takes the next message if its envelope can follow the final dot.
    fn take_ahead(&mut self, connection: &Connection) {
        if self.next.is_none()
            && connection.pipelines()
            && let Ok(permit) = self.run.pace.try_acquire()
        {
            self.next = self.run.queue.try_next(permit);
        }
    }

    /// Records the reply to the final dot, and keeps the connection if it is fit for another message.
    async fn record_reply(
        &mut self,
        message: &mut Outgoing,
        connection: Connection,
        reply: DotReply,
    ) -> Result<AttemptResult, Stopped> {
        let DotReply {
            phase,
            reply: answer,
            followed,
            order,
        } = reply;
        let reply = answer.as_ref().ok();
        let written = phase == Phase::Dot;
        if let Some(permit) = message.permit.take_if(|_| written) {
            permit.used();
        }
        let survives = written && connection_survives_dot(reply);
        let refusal = self
            .run
            .peer
            .classify(&message.prepared.recipient, phase, reply);
        let result = match (refusal, outcome_of(phase_result(phase, reply), refusal)) {
            (Some(Refusal::SenderSide(remedy)), _) => Err(self.sender_refused(&answer, remedy)),
            (Some(Refusal::Throttle), _) => {
                let paused = self.run.pace.slow_down(&describe(&answer));
                paused.map(|()| AttemptResult::Throttled)
            }
            (_, None) => Ok(AttemptResult::Lost(phase, describe(&answer))),
            (_, Some(outcome)) => {
                if followed && survives && order != ReplyOrder::Fits {
                    self.recorder.await_confirmation(message);
                }
                self.settle(message, phase, outcome, &answer).await?;
                Ok(AttemptResult::Settled)
            }
        };
        if !matches!(result, Ok(AttemptResult::Settled)) {
            self.recorder.disarm(message, phase, &answer).await?;
        }
        // An envelope that was sent ahead must not be finished during a pause or after a stop. It is not
        // armed, so its connection is closed.
        let may_go_on = !connection.has_begun() || self.run.pace.may_begin();
        if survives && may_go_on {
            self.session.connection = Some(connection);
        } else if followed {
            self.abandon_envelope(connection).await?;
        }
        result
    }

    /// Records an outcome. An acceptance may wait for the next arm if that follows at once.
    pub async fn settle(
        &mut self,
        message: &Outgoing,
        phase: Phase,
        outcome: Outcome,
        reply: &ReplyResult,
    ) -> Result<(), Stopped> {
        self.recorder.add_outcome(message, phase, outcome, reply);
        if outcome == Outcome::Accepted {
            self.run.watch.accepted();
            self.run.pace.throttle.accepted();
            if self.next.is_some() && self.run.pace.may_begin() {
                return Ok(());
            }
        }
        self.recorder.flush().await
    }

    pub fn sender_refused(&self, answer: &ReplyResult, remedy: &str) -> Stopped {
        let why = format!(
            "the relay {} refuses this sender, so no partner was marked: it replied \"{}\"; {remedy}",
            self.run.run_ledger.relay,
            describe(answer)
        );
        self.run.stop.because(Stop::new(StopKind::Relay, why))
    }
}

/// The outcome of the message; none if it was not accepted and is tried on another connection.
pub fn outcome_of(result: PhaseResult, refusal: Option<Refusal>) -> Option<Outcome> {
    match (result, refusal) {
        (PhaseResult::Settled(outcome), _) => Some(outcome),
        (PhaseResult::PermanentRefusal, Some(Refusal::Recipient)) => Some(Outcome::Rejected),
        (PhaseResult::PermanentRefusal, _) => Some(Outcome::Deferred),
        _ => None,
    }
}
