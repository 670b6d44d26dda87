//! What follows a transaction that ended before its final dot: the message is settled, sent again, or the
//! sender is refused.

use super::attempt::outcome_of;
use super::peer::ReplyResult;
use super::queue::Outgoing;
use super::recorder::describe;
use super::stop::Stopped;
use super::worker::{AttemptResult, Worker};
use crate::outcome::{Phase, PhaseResult};
use crate::refusal::{Refusal, is_throttle, sender_side_remedy};
use crate::relay::{Connection, ReplyOrder, TransactionAborted};

impl Worker {
    /// Handles a transaction that ended before its final dot.
    pub async fn aborted(
        &mut self,
        message: &Outgoing,
        connection: Connection,
        sent_ahead: bool,
        aborted: TransactionAborted,
    ) -> Result<AttemptResult, Stopped> {
        let unconfirmed = self.recorder.unconfirmed.take();
        let falls_back =
            self.run
                .peer
                .falls_back(&connection, &aborted, self.run.watch.nobody_accepted());
        let reports_refused = self.run.peer.refuses_reports(&connection, &aborted);
        let phase_result = aborted.result();
        let TransactionAborted {
            phase,
            reply: answer,
            order,
            ..
        } = aborted;
        if sent_ahead && phase != Phase::Body {
            let fits = (order == ReplyOrder::Fits).then_some(true);
            self.run.peer.probe().record(fits);
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
                    Phase::Mail => AttemptResult::MailFailed {
                        permanent: false,
                        why: reply.to_string(),
                    },
                    _ => AttemptResult::Lost(phase, reply.to_string()),
                });
            }
        }
        if reports_refused {
            self.session.clear(connection).await;
            return Ok(AttemptResult::ReportsRefused);
        }
        if phase == Phase::Mail {
            return self.mail_failed(phase_result, &answer);
        }
        self.session.mail_accepted();
        let refusal =
            self.run
                .peer
                .classify(&message.prepared.recipient, phase, answer.as_ref().ok());
        let result = match (refusal, outcome_of(phase_result, refusal)) {
            (Some(Refusal::SenderSide(remedy)), _) => {
                let stopped = self.sender_refused(&answer, remedy);
                self.recorder.disarm(message, phase, &answer).await?;
                return Err(stopped);
            }
            (Some(Refusal::Throttle), outcome) => {
                self.run.pace.slow_down(&describe(&answer))?;
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
        // Within a body no command can be sent.
        if phase != Phase::Body {
            self.session.clear(connection).await;
        }
        Ok(result)
    }

    fn mail_failed(
        &self,
        phase_result: PhaseResult,
        answer: &ReplyResult,
    ) -> Result<AttemptResult, Stopped> {
        let why = describe(answer);
        let reply = answer.as_ref().ok();
        if reply.is_some_and(is_throttle) {
            self.run.pace.slow_down(&why)?;
            return Ok(AttemptResult::Throttled);
        }
        let why = match reply.and_then(sender_side_remedy) {
            Some(remedy) => format!("it replied \"{why}\"; {remedy}"),
            None => why,
        };
        let permanent = phase_result == PhaseResult::Refused;
        Ok(AttemptResult::MailFailed { permanent, why })
    }

    /// Drops the connection on which the next envelope was begun. Its replies may still show that the reply to
    /// the final dot before it cannot be trusted.
    pub async fn abandon_envelope(&mut self, mut connection: Connection) -> Result<(), Stopped> {
        let Some(unconfirmed) = self.recorder.unconfirmed.take() else {
            self.run.peer.probe().record(None);
            return Ok(());
        };
        if self.run.peer.replies_are_mixed(&mut connection).await {
            self.recorder.retract(unconfirmed).await?;
        }
        Ok(())
    }
}
