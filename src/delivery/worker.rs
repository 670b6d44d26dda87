//! A worker: one connection, one message after the other, each step recorded.
//!
//! The order is the promise. `armed` is durable after the body is on the wire and
//! before the dot; the outcome is durable before the next dot. So whatever was cut
//! off before `armed` was certainly not accepted and is simply sent again, and only
//! what is armed can ever be in doubt.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::rates::Slot;
use super::{Job, Shared};
use crate::exit::Exit;
use crate::invitation::{Cause, State};
use crate::ledger::Change;
use crate::outcome::{Outcome, Phase, Reply, Verdict, connection_survives_dot, judge};
use crate::refusal::{about_us, is_throttle};
use crate::relay::{Connection, Dot, NotOpened, Silence};

/// The pauses before a connection is tried again; after the last try the worker gives up.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// So many connections may be lost over one message before it is deferred.
const LOSSES: u32 = 2;

/// How a message fared on a connection.
enum Delivery {
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

/// What a worker does after an attempt.
enum Next {
    /// Nothing more about this message in this run.
    Another,
    /// The same message at once.
    SameAgain,
    /// The same message, after all others.
    AnotherFirst,
    /// Nothing at all: the relay is not to be had, for this reason.
    GiveUp(String),
}

/// What follows a phase that did not succeed, with what was heard.
type Refusal = (Verdict, Result<Reply, Silence>);

/// Delivers messages over one connection of its own.
pub struct Worker {
    shared: Arc<Shared>,
    connection: Option<Connection>,
    /// Failures in a row without a 250 to MAIL between.
    failures: usize,
}

impl Worker {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            connection: None,
            failures: 0,
        }
    }

    /// Sees to it that there is a connection, trying again where that may help.
    pub async fn open(&mut self) -> Result<(), NotOpened> {
        while self.connection.is_none() {
            if self.failures > 0 {
                let rest = tokio::time::sleep(PAUSES[self.failures - 1]);
                self.shared.unless_stopped(rest).await;
            }
            match self.shared.run.connector.open().await {
                Ok(connection) => self.connection = Some(connection),
                Err(not_opened) => {
                    self.failures += 1;
                    if !not_opened.temporary || self.failures > PAUSES.len() {
                        return Err(not_opened);
                    }
                }
            }
        }
        Ok(())
    }

    /// Works until there is nothing left, the run stops, or the relay is not to be had.
    pub async fn work(mut self) {
        let shared = self.shared.clone();
        while let Some((mut job, in_hand)) = shared.next_job().await {
            let next = loop {
                match self.attempt(&mut job).await {
                    Next::SameAgain => {}
                    next => break next,
                }
            };
            match next {
                Next::Another | Next::SameAgain => {}
                Next::AnotherFirst => shared.give_back(job),
                Next::GiveUp(why) => {
                    shared.give_back(job);
                    shared.lament(why);
                    return;
                }
            }
            drop(in_hand);
        }
        if let Some(connection) = self.connection.take() {
            connection.quit().await;
        }
    }

    /// One attempt at one message, once pause and rates allow it.
    async fn attempt(&mut self, job: &mut Job) -> Next {
        let shared = self.shared.clone();
        let slot = loop {
            if shared.unless_stopped(shared.pause.wait()).await.is_none() {
                return Next::Another;
            }
            let Some(rates) = &shared.run.rates else {
                break None;
            };
            match shared.unless_stopped(rates.take()).await {
                None => return Next::Another,
                Some(None) => {
                    let why =
                        "the limit of `limits.per_day` is reached; the rest goes with a later run";
                    shared.stop(Exit::TryLater, why.into());
                    return Next::Another;
                }
                // The relay may have asked for a rest while this one waited.
                Some(Some(_)) if shared.pause.is_on() => {}
                Some(slot) => break slot,
            }
        };
        let delivery = match self.open().await {
            Ok(()) if shared.may_arm() => self.deliver(job, slot).await,
            Err(not_opened) if !shared.has_stopped() => return Next::GiveUp(not_opened.why),
            _ => Delivery::Stopped,
        };
        match delivery {
            Delivery::Settled | Delivery::Stopped => Next::Another,
            Delivery::Throttled => Next::AnotherFirst,
            Delivery::Lost(phase, why) => {
                job.losses += 1;
                if job.losses < LOSSES {
                    return Next::SameAgain;
                }
                let why = format!("{LOSSES} connections were lost over this message: {why}");
                let lost = Err(Silence(why));
                self.settle(job, phase, Outcome::Deferred, lost).await;
                Next::Another
            }
            Delivery::NotNow(why) => {
                self.failures += 1;
                if self.failures > PAUSES.len() {
                    return Next::GiveUp(self.gone(&why));
                }
                Next::SameAgain
            }
            Delivery::Refused(why) => Next::GiveUp(self.gone(&why)),
        }
    }

    /// The conversation about one message, up to its recorded outcome.
    async fn deliver(&mut self, job: &Job, slot: Option<Slot>) -> Delivery {
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
    async fn settle(
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
    fn gone(&self, why: &str) -> String {
        let relay = self.shared.run.connector.relay();
        format!("the relay {relay} does not take our mail (mail): {why}")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.worker_left();
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
