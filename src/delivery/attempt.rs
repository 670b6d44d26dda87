//! One attempt: the conversation about one message, each step recorded.
//!
//! The order is the promise. `armed` is durable after the body is on the wire and
//! before the dot; the outcome is durable before the next dot. So whatever was cut
//! off before `armed` was certainly not accepted and is simply sent again, and only
//! what is armed can ever be in doubt.

use jiff::Timestamp;

use super::rates::Slot;
use super::shared::Job;
use super::worker::Worker;
use crate::exit::Exit;
use crate::invitation::{Cause, State};
use crate::ledger::Change;
use crate::outcome::{Outcome, Phase, Reply, Verdict, connection_survives_dot, judge};
use crate::refusal::{about_us, is_throttle};
use crate::relay::{Connection, Dot, Silence};

/// How a message fared on a connection.
pub enum Delivery {
    /// It is settled.
    Settled,
    /// The connection was lost before the dot, over this message.
    Lost(Phase, String),
    /// The relay asked us to slow down; the message is to be tried again.
    Throttled,
    /// The relay did not take MAIL.
    NotNow(String),
    /// The relay refuses our MAIL for good.
    Refused(String),
    /// The run has stopped.
    Stopped,
}

/// What follows a phase that did not succeed, with what was heard.
type Refusal = (Verdict, Result<Reply, Silence>);

impl Worker {
    /// The conversation about one message, up to its recorded outcome.
    pub(super) async fn deliver(&mut self, job: &Job, slot: Option<Slot>) -> Delivery {
        let sender = self.shared.run.sender.clone();
        let Some(mut connection) = self.connection.take() else {
            return Delivery::NotNow("there is no connection".into());
        };

        if let Err((verdict, heard)) = expect(Phase::Mail, connection.mail(&sender).await) {
            let mut why = tell(&heard);
            if let Some(cure) = heard.ok().as_ref().and_then(about_us) {
                why = format!("{why}; {cure}");
            }
            return match verdict {
                Verdict::Refused => Delivery::Refused(why),
                _ => Delivery::NotNow(why),
            };
        }
        self.failures = 0;
        for phase in [Phase::Rcpt, Phase::Data] {
            let heard = match phase {
                Phase::Rcpt => connection.rcpt(&job.recipient).await,
                _ => connection.data().await,
            };
            match expect(phase, heard) {
                Ok(()) => {}
                Err((Verdict::Settled(outcome), heard)) => {
                    if let Some(delivery) = self.about_us(heard.as_ref().ok()) {
                        return match delivery {
                            Delivery::Throttled => self.rset(connection, delivery).await,
                            other => other,
                        };
                    }
                    if !self.settle(job, phase, outcome, heard).await {
                        return Delivery::Stopped;
                    }
                    return self.rset(connection, Delivery::Settled).await;
                }
                // 421 ends the connection, and may ask us to slow down as well.
                Err((_, heard)) => {
                    let slow_down = self.about_us(heard.as_ref().ok());
                    return slow_down.unwrap_or_else(|| Delivery::Lost(phase, tell(&heard)));
                }
            }
        }
        if let Err(silence) = connection.body(&job.message.bytes).await {
            return Delivery::Lost(Phase::Body, silence.0);
        }
        if let Err(silence) = connection.stands().await {
            return Delivery::Lost(Phase::Body, silence.0);
        }
        if !self.shared.may_arm() {
            return Delivery::Stopped;
        }
        self.dot(job, slot, connection).await
    }

    /// Arms, writes the dot, records the verdict.
    async fn dot(&mut self, job: &Job, slot: Option<Slot>, mut connection: Connection) -> Delivery {
        let armed = Change {
            message: Some((job.message.date, job.message.sha256())),
            ..self.change(job, Phase::Dot, Cause::Arm)
        };
        if let Err(failure) = self.shared.run.ledger.apply(armed).await {
            self.shared.stop(failure.exit, failure.to_string());
            return Delivery::Stopped;
        }
        let heard = match connection.dot().await {
            Dot::NotWritten(silence) => {
                let why = silence.0.clone();
                if !self.take_back(job, &Err(silence)).await {
                    return Delivery::Stopped;
                }
                return Delivery::Lost(Phase::Dot, why);
            }
            Dot::Written(heard) => heard,
        };
        if let Some(slot) = slot {
            slot.dot();
        }
        let reply = heard.as_ref().ok();
        if let Some(delivery) = self.about_us(reply) {
            if !self.take_back(job, &heard).await {
                return Delivery::Stopped;
            }
            let survives = connection_survives_dot(reply);
            self.connection = survives.then_some(connection);
            return delivery;
        }
        let survives = connection_survives_dot(reply);
        let outcome = match judge(Phase::Dot, reply) {
            Verdict::Settled(outcome) => outcome,
            _ => Outcome::Unknown,
        };
        if !self.settle(job, Phase::Dot, outcome, heard).await {
            return Delivery::Stopped;
        }
        self.connection = survives.then_some(connection);
        Delivery::Settled
    }

    /// RSET, so that the next MAIL is not taken for a second one of the same transaction; a
    /// connection that does not take it is over.
    async fn rset(&mut self, mut connection: Connection, delivery: Delivery) -> Delivery {
        if expect(Phase::Rset, connection.rset().await).is_ok() {
            self.connection = Some(connection);
        }
        delivery
    }

    /// What follows a refusal that is not the recipient's: a pause, or the end of the run.
    fn about_us(&self, reply: Option<&Reply>) -> Option<Delivery> {
        let reply = reply?;
        if let Some(cure) = about_us(reply) {
            let relay = self.shared.run.connector.relay();
            let why = format!(
                "the relay {relay} refuses us, and nobody was marked for it: it said \"{reply}\"; {cure}"
            );
            self.shared.stop(Exit::Unavailable, why);
            return Some(Delivery::Stopped);
        }
        if !is_throttle(reply) {
            return None;
        }
        if !self.shared.pause.asked() {
            let why = format!(
                "the relay keeps asking us to slow down (\"{reply}\"); the rest goes with a later run"
            );
            self.shared.stop(Exit::TryLater, why);
            return Some(Delivery::Stopped);
        }
        Some(Delivery::Throttled)
    }

    /// Armed → pending: the dot was not written, or the refusal is certain and not the
    /// recipient's. False when that could not be recorded, which stops the run.
    async fn take_back(&mut self, job: &Job, heard: &Result<Reply, Silence>) -> bool {
        let back = Change {
            reply: heard.as_ref().ok().cloned(),
            note: heard.as_ref().err().map(|it| it.0.clone()),
            ..self.change(job, Phase::Dot, Cause::TakeBack)
        };
        match self.shared.run.ledger.apply(back).await {
            Ok(_) => true,
            Err(failure) => {
                self.shared.stop(failure.exit, failure.to_string());
                false
            }
        }
    }

    /// Opens the breaker where this refusal is the third of its kind.
    async fn watch(&mut self, job: &Job, phase: Phase, reply: &Reply) {
        let domain = job.recipient.domain();
        let row = self
            .shared
            .breaker()
            .refused(phase, reply, &job.identity, domain);
        let Some(row) = row else { return };
        self.shared.not_rejected(&row);
        let relay = self.shared.run.connector.relay();
        let why = format!(
            "the relay {relay} gave three recipients at three domains the same refusal, so it is probably about us: it said \"{reply}\"; the three are pending again"
        );
        self.shared.stop(Exit::Unavailable, why);
        for identity in row {
            let now = (self.shared.run.clock)();
            let back = Change {
                note: Some("three alike refusals at three domains".into()),
                ..Change::new(&identity, now, Cause::Breaker)
            };
            if let Err(failure) = self.shared.run.ledger.apply(back).await {
                self.shared.stop(failure.exit, failure.to_string());
            }
        }
    }

    /// Records an outcome; false when that failed, which stops the run.
    pub(super) async fn settle(
        &mut self,
        job: &Job,
        phase: Phase,
        outcome: Outcome,
        heard: Result<Reply, Silence>,
    ) -> bool {
        let now = (self.shared.run.clock)();
        let why = tell(&heard);
        let mut change = self.change(job, phase, Cause::Outcome(outcome));
        change.note = heard.as_ref().err().map(|it| it.0.clone());
        let reply = heard.ok();
        change.reply.clone_from(&reply);
        if outcome == Outcome::Deferred {
            let (since, deferrals) = job
                .standing
                .as_ref()
                .map_or((None, 0), |it| (it.deferred_since, it.deferrals));
            let retry = &self.shared.run.retry;
            // Only the relay's word ends it: a lost connection says nothing about the partner.
            if reply.is_some() && retry.gives_up(now, since) {
                change.cause = Cause::GiveUp;
            } else {
                let id = &change.identity.address;
                change.next_attempt_at = Some(retry.due_again(now, deferrals + 1, id));
            }
        }
        match self.shared.run.ledger.apply(change).await {
            Ok(state) => {
                self.shared.settled(job, state, &why);
                if let (State::Rejected, Some(reply)) = (state, reply) {
                    self.watch(job, phase, &reply).await;
                }
                true
            }
            Err(failure) => {
                let state = match outcome {
                    Outcome::Accepted => State::Accepted,
                    Outcome::Deferred => State::Deferred,
                    Outcome::Rejected => State::Rejected,
                    Outcome::Unknown => State::Unknown,
                };
                self.shared
                    .unrecorded(format!("{}: {state} ({why})", job.recipient));
                self.shared.stop(failure.exit, failure.to_string());
                false
            }
        }
    }

    fn change(&self, job: &Job, phase: Phase, cause: Cause) -> Change {
        let now: Timestamp = (self.shared.run.clock)();
        Change {
            phase: Some(phase),
            relay: Some(self.shared.run.connector.relay()),
            ..Change::new(&job.identity, now, cause)
        }
    }

    /// Why this worker gives up after what was said to MAIL.
    pub(super) fn gone(&self, why: &str) -> String {
        let relay = self.shared.run.connector.relay();
        format!("the relay {relay} does not take our mail (mail): {why}")
    }
}

fn expect(phase: Phase, heard: Result<Reply, Silence>) -> Result<(), Refusal> {
    match judge(phase, heard.as_ref().ok()) {
        Verdict::Proceed => Ok(()),
        verdict => Err((verdict, heard)),
    }
}

fn tell(heard: &Result<Reply, Silence>) -> String {
    match heard {
        Ok(reply) => reply.to_string(),
        Err(silence) => silence.to_string(),
    }
}
