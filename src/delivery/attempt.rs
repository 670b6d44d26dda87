//! One attempt: the conversation about one message, each step recorded.
//!
//! The order is the promise. `armed` is durable after the body is on the wire and
//! before the dot; the outcome is durable before the next dot. So whatever was cut
//! off before `armed` was certainly not accepted and is simply sent again, and only
//! what is armed can ever be in doubt.
//!
//! Where the relay pipelines and another message waits, its envelope goes out with the
//! dot: one round trip a message. An acceptance then shares the commit that arms the
//! next, where that is only a moment away; everything else is recorded at once.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::recording::{OUT_OF_ORDER, Unconfirmed, tell};
use super::shared::{Job, Shared};
use super::worker::Worker;
use crate::exit::Exit;
use crate::invitation::Cause;
use crate::ledger::Change;
use crate::outcome::{Outcome, Phase, Reply, Verdict, connection_survives_dot, judge};
use crate::refusal::{Refusal, about_us, classify, is_throttle};
use crate::relay::{Connection, CutShort, Dot, Envelope, Order, Silence};

/// How long an acceptance waits for the arm that it may share a commit with.
const MOMENT: Duration = Duration::from_millis(20);
/// How long a refusal at the dot waits for the replies to the envelope behind it, which may
/// show that it was not the reply to the dot at all.
const GRACE: Duration = Duration::from_secs(1);

/// How a message fared on a connection.
pub enum Delivery {
    /// It is settled.
    Settled,
    /// The connection was lost before the dot, over this message.
    Lost(Phase, String),
    /// The connection was lost before the dot, and perhaps over the message before.
    LostAhead,
    /// The relay asked us to slow down; the message is to be tried again.
    Throttled,
    /// The relay did not take MAIL.
    NotNow(String),
    /// The relay refuses our MAIL for good.
    Refused(String),
    /// The run has stopped.
    Stopped,
}

impl Worker {
    /// The conversation about one message, up to its outcome.
    pub(super) async fn deliver(&mut self, job: &mut Job) -> Delivery {
        let shared = self.shared.clone();
        let Some(mut connection) = self.connection.take() else {
            return Delivery::NotNow("there is no connection".into());
        };
        if let Some(limit) = connection.limit_below(&job.message.bytes) {
            self.too_large(job, limit);
            return Delivery::Stopped;
        }
        let probe = &shared.run.connector.pipelining;
        if probe.is_lock_step() {
            connection.use_lock_step();
        }
        let ahead = connection.has_begun();
        let answered = {
            let mut begin = pin!(connection.begin(envelope(&shared, job)));
            match timeout(MOMENT, &mut begin).await {
                Ok(answered) => answered,
                Err(_) if self.record(None).await => begin.await,
                Err(_) => return Delivery::Stopped,
            }
        };
        if let Err(cut_short) = answered {
            return self.cut_short(job, connection, ahead, cut_short).await;
        }
        if ahead {
            probe.record(Some(true));
        }
        self.unconfirmed = None;
        self.failures = 0;
        if let Err(cut_short) = connection.body(&job.message.bytes).await {
            return self.cut_short(job, connection, ahead, cut_short).await;
        }
        if !shared.may_arm() {
            return Delivery::Stopped;
        }
        self.dot(job, connection).await
    }

    /// What follows where the relay has said that it takes no message as large as ours. They
    /// are all much the same, so this is about us, and nobody is marked for it.
    fn too_large(&self, job: &Job, limit: usize) {
        let why = format!(
            "the relay {} takes messages of at most {limit} bytes, and the one to {} has {}; make the templates shorter, or let the relay's operator raise the limit",
            self.shared.run.connector.relay(),
            job.recipient,
            job.message.bytes.len()
        );
        self.shared.stop(Exit::Unavailable, why);
    }

    /// What follows a transaction that did not come as far as its dot.
    async fn cut_short(
        &mut self,
        job: &Job,
        connection: Connection,
        ahead: bool,
        cut_short: CutShort,
    ) -> Delivery {
        let unconfirmed = self.unconfirmed.take();
        let CutShort {
            phase,
            verdict,
            heard,
            pipelined,
            order,
        } = cut_short;
        let reply = heard.as_ref().ok();
        if ahead && phase != Phase::Body {
            let fits = (order == Order::Fits).then_some(true);
            self.shared.run.connector.pipelining.record(fits);
        }
        if pipelined && self.shows_a_fault(&connection, order, &heard) {
            self.shared.run.connector.pipelining.fall_back();
            if order == Order::Mixed
                && let Some(unconfirmed) = unconfirmed
                && !self.doubt(unconfirmed).await
            {
                return Delivery::Stopped;
            }
            if ahead && heard.is_ok() {
                return Delivery::LostAhead;
            }
            if heard.is_ok() && phase == Phase::Mail {
                return Delivery::NotNow(tell(&heard));
            }
            if heard.is_ok() {
                return Delivery::Lost(phase, tell(&heard));
            }
        }
        if phase == Phase::Mail {
            if reply.is_some_and(is_throttle) {
                return self.slow_down(&tell(&heard));
            }
            let mut why = tell(&heard);
            if let Some(cure) = reply.and_then(about_us) {
                why = format!("it said \"{why}\"; {cure}");
            }
            return match verdict {
                Verdict::Refused => Delivery::Refused(why),
                _ => Delivery::NotNow(why),
            };
        }
        self.failures = 0;
        let refusal = self.classify(job, phase, reply);
        // 421 ends the connection, and may ask us to slow down as well.
        let delivery = match (refusal, outcome_of(verdict, refusal)) {
            (Some(Refusal::SenderSide(remedy)), _) => {
                self.sender_side(&tell(&heard), remedy);
                self.take_back(job, phase, &heard).await;
                return Delivery::Stopped;
            }
            (Some(Refusal::Throttle), outcome) => match self.slow_down(&tell(&heard)) {
                Delivery::Throttled if outcome.is_some() => Delivery::Throttled,
                other => return other,
            },
            (_, None) if ahead && phase == Phase::Rcpt => return Delivery::LostAhead,
            (_, None) => return Delivery::Lost(phase, tell(&heard)),
            (_, Some(outcome)) => {
                if !self.settle(job, phase, outcome, heard).await {
                    return Delivery::Stopped;
                }
                Delivery::Settled
            }
        };
        // In the middle of a message there is no way back to commands.
        if phase != Phase::Body {
            self.clear(connection).await;
        }
        delivery
    }

    /// Whether the relay has shown that it cannot be trusted with pipelined commands: replies out
    /// of order, a complaint about a sequence that was right, no reply in time, or a
    /// connection that ended over a packet while no message has been accepted yet.
    fn shows_a_fault(
        &self,
        connection: &Connection,
        order: Order,
        heard: &Result<Reply, Silence>,
    ) -> bool {
        match heard {
            Ok(_) => matches!(order, Order::Mixed | Order::PartLost | Order::Surplus),
            Err(_) => connection.lost_a_reply() || self.shared.nobody_accepted(),
        }
    }

    /// Makes the connection fit for the next message; one that does not stand that is over.
    async fn clear(&mut self, mut connection: Connection) {
        if connection.clear().await {
            self.connection = Some(connection);
        } else if connection.lost_a_reply() {
            self.shared.run.connector.pipelining.fall_back();
        }
    }

    /// Arms, writes the dot, hears the verdict.
    async fn dot(&mut self, job: &mut Job, mut connection: Connection) -> Delivery {
        let shared = self.shared.clone();
        let armed = Change {
            message: Some((job.message.date, job.message.sha256())),
            ..self.change(job, Phase::Dot, Cause::Arm)
        };
        let recording = self.begin_to_record(Some(armed));
        // While the disk is at work, the next one is composed.
        if self.ahead.is_none() && connection.pipelines() {
            self.ahead = shared.next_job_now();
        }
        if !self.recorded(recording).await {
            return Delivery::Stopped;
        }
        let probe = &shared.run.connector.pipelining;
        let next = self.ahead.as_ref();
        let next = next.filter(|_| connection.pipelines() && probe.may_follow_dot());
        let ahead = next.map(|(next, _)| envelope(&shared, next));
        let followed = ahead.is_some();
        let (phase, mut heard) = match connection.dot(ahead).await {
            Dot::NotWritten(heard) => (Phase::Body, heard),
            Dot::Written(heard) => (Phase::Dot, heard),
        };
        let mut order = Order::Fits;
        if followed {
            order = self.order_behind_dot(&mut connection, phase, &heard).await;
            if order == Order::Mixed {
                heard = Err(Silence::Over(OUT_OF_ORDER.into()));
            }
        }
        let reply = heard.as_ref().ok();
        let written = phase == Phase::Dot;
        if let Some(slot) = job.slot.take_if(|_| written) {
            slot.dot();
        }
        let survives = written && connection_survives_dot(reply);
        let refusal = self.classify(job, phase, reply);
        let outcome = outcome_of(judge(phase, reply), refusal);
        let not_settled = match refusal {
            Some(Refusal::SenderSide(remedy)) => Some(self.sender_side(&tell(&heard), remedy)),
            Some(Refusal::Throttle) => Some(self.slow_down(&tell(&heard))),
            _ if outcome.is_none() => Some(Delivery::Lost(phase, tell(&heard))),
            _ => None,
        };
        let delivery = match (not_settled, outcome) {
            (None, Some(outcome)) => {
                if followed && survives && order != Order::Fits {
                    self.unconfirmed = Some(Unconfirmed::new(job, outcome));
                }
                if !self.settle(job, phase, outcome, heard).await {
                    return Delivery::Stopped;
                }
                Delivery::Settled
            }
            (not_settled, _) => {
                if !self.take_back(job, phase, &heard).await {
                    return Delivery::Stopped;
                }
                not_settled.unwrap_or(Delivery::Stopped)
            }
        };
        // What is begun ahead must not be finished during a rest or after a stop. Nothing of it
        // is armed, so its connection is simply left.
        let may_go_on = !connection.has_begun() || shared.may_begin();
        if survives && may_go_on {
            self.connection = Some(connection);
        } else if followed && !Box::pin(self.abandon_envelope(connection)).await {
            return Delivery::Stopped;
        }
        delivery
    }

    /// Reads the replies to the envelope behind a dot, as far as they come at once, and learns
    /// from them how the relay bears it.
    async fn order_behind_dot(
        &mut self,
        connection: &mut Connection,
        phase: Phase,
        heard: &Result<Reply, Silence>,
    ) -> Order {
        let shared = self.shared.clone();
        let probe = &shared.run.connector.pipelining;
        let Ok(reply) = heard else {
            probe.record((phase == Phase::Dot).then_some(false));
            return Order::Fits;
        };
        if phase != Phase::Dot {
            probe.record(None);
            return Order::Fits;
        }
        // An acceptance is not held up: what comes later is looked at when the envelope is begun.
        let limit = if reply.class() == 2 {
            Duration::ZERO
        } else {
            GRACE
        };
        let order = connection.read_envelope_replies(limit).await;
        match order {
            Order::Fits => probe.record(Some(true)),
            Order::Mixed => probe.fall_back(),
            Order::Incomplete | Order::PartLost | Order::Surplus => {}
        }
        order
    }

    /// Gives up the connection on which the next envelope was begun. The replies to that are still
    /// read, as far as they come soon: they show whether the reply to the dot before can be
    /// trusted. False when a doubt could not be recorded, which stops the run.
    pub(super) async fn abandon_envelope(&mut self, mut connection: Connection) -> bool {
        let shared = self.shared.clone();
        let probe = &shared.run.connector.pipelining;
        let Some(unconfirmed) = self.unconfirmed.take() else {
            probe.record(None);
            return true;
        };
        let order = connection.read_envelope_replies(GRACE).await;
        probe.record((order == Order::Fits).then_some(true));
        if order != Order::Mixed {
            return true;
        }
        probe.fall_back();
        self.doubt(unconfirmed).await
    }

    /// What a refusal of this message is about; none for anything else that was heard.
    fn classify(&self, job: &Job, phase: Phase, reply: Option<&Reply>) -> Option<Refusal> {
        let run = &self.shared.run;
        let reply = reply.filter(|it| matches!(it.class(), 4 | 5))?;
        let us = run.connector.sender_identity(&run.sender);
        Some(classify(phase, reply, &us, &job.recipient))
    }

    /// Ends the run for a refusal that is about the sender.
    fn sender_side(&self, said: &str, remedy: &str) -> Delivery {
        let relay = self.shared.run.connector.relay();
        let why = format!(
            "the relay {relay} refuses us, and nobody was marked for it: it said \"{said}\"; {remedy}"
        );
        self.shared.stop(Exit::Unavailable, why);
        Delivery::Stopped
    }

    /// Pauses all connections; a relay that asks for that too often ends the run.
    fn slow_down(&self, said: &str) -> Delivery {
        if self.shared.pause.asked() {
            return Delivery::Throttled;
        }
        let why = format!(
            "the relay keeps asking us to slow down (\"{said}\"); the rest goes with a later run"
        );
        self.shared.stop(Exit::TryLater, why);
        Delivery::Stopped
    }

    /// Why this worker gives up after what was said to MAIL.
    pub(super) fn gone(&self, why: &str) -> String {
        let relay = self.shared.run.connector.relay();
        format!("the relay {relay} does not take our mail (mail): {why}")
    }
}

/// What becomes of the message; none where it was not taken and is to be tried on another connection.
fn outcome_of(verdict: Verdict, refusal: Option<Refusal>) -> Option<Outcome> {
    match (verdict, refusal) {
        (Verdict::Settled(outcome), _) => Some(outcome),
        (Verdict::RefusedForGood, Some(Refusal::Recipient)) => Some(Outcome::Rejected),
        (Verdict::RefusedForGood, _) => Some(Outcome::Deferred),
        _ => None,
    }
}

fn envelope<'a>(shared: &'a Shared, job: &'a Job) -> Envelope<'a> {
    Envelope {
        sender: &shared.run.sender,
        recipient: &job.recipient,
    }
}
