//! One attempt to send a message, each step recorded.
//!
//! The order of [`Transmitter::attempt`] is the promise. What was cut off before `armed` was certainly not
//! accepted and is sent again; only what is armed can ever be in doubt. Where the relay pipelines and
//! another message waits, its envelope goes out with the final dot: one round trip a message.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::pace::Pace;
use super::peer::{DotReply, Peer};
use super::queue::{Outgoing, Queue, TakenMessage};
use super::recorder::{Recorder, describe};
use super::relay_watch::RelayWatch;
use super::session::Session;
use super::stop::{Stop, StopSignal, Stopped};
use crate::outcome::{Outcome, Phase, PhaseResult, Reply, connection_survives_dot, phase_result};
use crate::refusal::{Refusal, is_throttle, sender_side_remedy};
use crate::relay::{Connection, NoReply, ReplyOrder, TransactionAborted};

/// How long an acceptance waits for the arm that it may share a commit with.
const MOMENT: Duration = Duration::from_millis(20);

/// How an attempt ended.
pub enum AttemptResult {
    Settled,
    /// The connection was lost before the final dot was written, over this message.
    Lost(Phase, String),
    /// The connection was lost over an envelope that was sent ahead, perhaps because of the message before.
    PipelinedEnvelopeLost,
    /// The relay asked to slow down.
    Throttled,
    /// MAIL was not accepted, for now.
    MailTempFailed(String),
    /// MAIL was refused permanently.
    MailRefused(String),
}

/// Sends messages over one connection and records their outcomes.
pub struct Transmitter {
    pub peer: Arc<Peer>,
    pub session: Session,
    pub recorder: Recorder,
    pub queue: Arc<Queue>,
    pub pace: Arc<Pace>,
    pub watch: Arc<RelayWatch>,
    pub stop: Arc<StopSignal>,
    /// The next message, taken while the one before it was under way.
    pub next: Option<TakenMessage>,
}

impl Transmitter {
    /// One attempt, in the order of the promise: envelope, body, arm, final dot, reply, record. `armed` is
    /// durable after the body is on the wire and before the final dot; the outcome is durable before the
    /// next final dot on this connection.
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
        if let Err(aborted) = connection.body(&message.message.bytes).await {
            return self.aborted(message, connection, sent_ahead, aborted).await;
        }
        self.stop.may_arm()?;
        let arm = self.recorder.arm(message);
        // While the disk is at work, the next message is composed.
        self.take_ahead(&connection);
        self.recorder.finish(arm).await?;
        let next = self.next.as_ref().map(|it| &it.message.recipient);
        let reply = self.peer.final_dot(&mut connection, next).await;
        self.record_reply(message, connection, reply).await
    }

    /// A relay whose size limit is below this message refuses the templates, not the recipient.
    fn check_size(&self, message: &Outgoing, connection: &Connection) -> Result<(), Stopped> {
        let bytes = &message.message.bytes;
        let Some(limit) = connection.size_limit_exceeded_by(bytes) else {
            return Ok(());
        };
        let relay = self.peer.relay();
        let stop = Stop::too_large(&relay, &message.recipient, bytes.len(), limit);
        Err(self.stop.because(stop))
    }

    /// Sends the envelope, or reads the replies to one that was sent ahead. An outcome that waits for the
    /// next arm is recorded if the replies are slow.
    async fn envelope(
        &mut self,
        message: &Outgoing,
        connection: &mut Connection,
    ) -> Result<Result<(), TransactionAborted>, Stopped> {
        let envelope = self.peer.envelope(&message.recipient);
        let mut replies = pin!(connection.begin(envelope));
        if let Ok(answered) = timeout(MOMENT, &mut replies).await {
            return Ok(answered);
        }
        self.recorder.flush().await?;
        Ok(replies.await)
    }

    fn envelope_accepted(&mut self, sent_ahead: bool) {
        if sent_ahead {
            self.peer.probe().record(Some(true));
        }
        self.recorder.take_unconfirmed();
        self.session.mail_accepted();
    }

    /// Takes the next message, if its envelope can follow the final dot.
    fn take_ahead(&mut self, connection: &Connection) {
        if self.next.is_none()
            && connection.pipelines()
            && let Ok(permit) = self.pace.try_acquire()
        {
            self.next = self.queue.try_next(permit);
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
        let refusal = self.peer.classify(&message.recipient, phase, reply);
        let result = match (refusal, outcome_of(phase_result(phase, reply), refusal)) {
            (Some(Refusal::SenderSide(remedy)), _) => Err(self.sender_refused(&answer, remedy)),
            (Some(Refusal::Throttle), _) => {
                let paused = self.pace.slow_down(&describe(&answer));
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
        // An envelope that was sent ahead must not be finished during a pause or after a stop. Nothing of
        // it is armed, so its connection is simply closed.
        let may_go_on = !connection.has_begun() || self.pace.may_begin();
        if survives && may_go_on {
            self.session.keep(connection);
        } else if followed {
            self.abandon_envelope(connection).await?;
        }
        result
    }

    /// What follows a transaction that ended before its final dot.
    async fn aborted(
        &mut self,
        message: &Outgoing,
        connection: Connection,
        sent_ahead: bool,
        aborted: TransactionAborted,
    ) -> Result<AttemptResult, Stopped> {
        let unconfirmed = self.recorder.take_unconfirmed();
        let falls_back = self
            .peer
            .falls_back(&connection, &aborted, self.watch.nobody_accepted());
        let verdict = aborted.result();
        let TransactionAborted {
            phase,
            reply: answer,
            order,
            ..
        } = aborted;
        if sent_ahead && phase != Phase::Body {
            let fits = (order == ReplyOrder::Fits).then_some(true);
            self.peer.probe().record(fits);
        }
        if falls_back {
            if order == ReplyOrder::Mixed
                && let Some(unconfirmed) = unconfirmed
            {
                self.recorder.retract(unconfirmed).await?;
            }
            if let Ok(reply) = &answer {
                return Ok(match phase {
                    _ if sent_ahead => AttemptResult::PipelinedEnvelopeLost,
                    Phase::Mail => AttemptResult::MailTempFailed(reply.to_string()),
                    _ => AttemptResult::Lost(phase, reply.to_string()),
                });
            }
        }
        if phase == Phase::Mail {
            return self.mail_failed(verdict, &answer);
        }
        self.session.mail_accepted();
        let refusal = self
            .peer
            .classify(&message.recipient, phase, answer.as_ref().ok());
        let result = match (refusal, outcome_of(verdict, refusal)) {
            (Some(Refusal::SenderSide(remedy)), _) => {
                let stopped = self.sender_refused(&answer, remedy);
                self.recorder.disarm(message, phase, &answer).await?;
                return Err(stopped);
            }
            (Some(Refusal::Throttle), outcome) => {
                self.pace.slow_down(&describe(&answer))?;
                // A 421 ends the connection and may ask to slow down as well.
                if outcome.is_none() {
                    return Ok(AttemptResult::Throttled);
                }
                AttemptResult::Throttled
            }
            (_, None) if sent_ahead && phase == Phase::Rcpt => {
                return Ok(AttemptResult::PipelinedEnvelopeLost);
            }
            (_, None) => return Ok(AttemptResult::Lost(phase, describe(&answer))),
            (_, Some(outcome)) => {
                self.settle(message, phase, outcome, &answer).await?;
                AttemptResult::Settled
            }
        };
        // In the middle of a body no command can be sent.
        if phase != Phase::Body {
            self.session.clear(connection).await;
        }
        Ok(result)
    }

    fn mail_failed(
        &self,
        verdict: PhaseResult,
        answer: &Result<Reply, NoReply>,
    ) -> Result<AttemptResult, Stopped> {
        let why = describe(answer);
        let reply = answer.as_ref().ok();
        if reply.is_some_and(is_throttle) {
            self.pace.slow_down(&why)?;
            return Ok(AttemptResult::Throttled);
        }
        let why = match reply.and_then(sender_side_remedy) {
            Some(remedy) => format!("it said \"{why}\"; {remedy}"),
            None => why,
        };
        Ok(match verdict {
            PhaseResult::Refused => AttemptResult::MailRefused(why),
            _ => AttemptResult::MailTempFailed(why),
        })
    }

    /// Records an outcome; an acceptance may wait for the next arm, if that follows at once.
    pub async fn settle(
        &mut self,
        message: &Outgoing,
        phase: Phase,
        outcome: Outcome,
        reply: &Result<Reply, NoReply>,
    ) -> Result<(), Stopped> {
        self.recorder.note(message, phase, outcome, reply);
        if outcome == Outcome::Accepted {
            self.watch.accepted();
            self.pace.accepted();
            if self.next.is_some() && self.pace.may_begin() {
                return Ok(());
            }
        }
        self.recorder.flush().await
    }

    /// Gives up the connection on which the next envelope was begun. Its replies may still show that the
    /// reply to the final dot before it cannot be trusted.
    pub async fn abandon_envelope(&mut self, mut connection: Connection) -> Result<(), Stopped> {
        let Some(unconfirmed) = self.recorder.take_unconfirmed() else {
            self.peer.probe().record(None);
            return Ok(());
        };
        if self.peer.replies_are_mixed(&mut connection).await {
            self.recorder.retract(unconfirmed).await?;
        }
        Ok(())
    }

    fn sender_refused(&self, answer: &Result<Reply, NoReply>, remedy: &str) -> Stopped {
        let relay = self.peer.relay();
        let stop = Stop::sender_refused(&relay, &describe(answer), remedy);
        self.stop.because(stop)
    }
}

/// What becomes of the message; none if it was not accepted and is to be tried on another connection.
fn outcome_of(verdict: PhaseResult, refusal: Option<Refusal>) -> Option<Outcome> {
    match (verdict, refusal) {
        (PhaseResult::Settled(outcome), _) => Some(outcome),
        (PhaseResult::PermanentRefusal, Some(Refusal::Recipient)) => Some(Outcome::Rejected),
        (PhaseResult::PermanentRefusal, _) => Some(Outcome::Deferred),
        _ => None,
    }
}
