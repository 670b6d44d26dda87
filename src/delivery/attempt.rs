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

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::shared::Job;
use super::worker::Worker;
use crate::address::Address;
use crate::exit::Exit;
use crate::invitation::{Cause, State};
use crate::ledger::{Asked, Change};
use crate::outcome::{Outcome, Phase, Reply, Verdict, connection_survives_dot, judge};
use crate::refusal::{about_us, is_throttle};
use crate::relay::{Connection, CutShort, Dot, Envelope, Silence};

/// How long an acceptance waits for the arm that it may share a commit with.
const MOMENT: Duration = Duration::from_millis(20);

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

/// An outcome that was heard, on its way into the ledger.
pub struct Heard {
    change: Change,
    recipient: Address,
    outcome: Outcome,
    why: String,
}

/// What the ledger has been asked to record.
struct Recording {
    heard: Vec<Heard>,
    asked: Option<Asked>,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.recipient, self.outcome, self.why)
    }
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
        let ahead = connection.has_begun();
        let envelope = Envelope {
            sender: &shared.run.sender,
            recipient: &job.recipient,
        };
        let answered = {
            let mut begin = pin!(connection.begin(envelope));
            match timeout(MOMENT, &mut begin).await {
                Ok(answered) => answered,
                Err(_) if self.record(None).await => begin.await,
                Err(_) => return Delivery::Stopped,
            }
        };
        if let Err(cut_short) = answered {
            return self.cut_short(job, connection, ahead, cut_short).await;
        }
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
        let CutShort {
            phase,
            verdict,
            heard,
        } = cut_short;
        let reply = heard.as_ref().ok();
        if ahead && phase == Phase::Mail && matches!(heard, Err(Silence::Overdue(_))) {
            // Forgotten, perhaps, where a MAIL of its own would be answered.
            self.shared.run.connector.ahead.went(Some(false));
        }
        if phase == Phase::Mail {
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
        let Verdict::Settled(outcome) = verdict else {
            // 421 ends the connection, and may ask us to slow down as well.
            return match self.about_us(reply) {
                Some(slow_down) => slow_down,
                None if ahead && phase == Phase::Rcpt => Delivery::LostAhead,
                None => Delivery::Lost(phase, tell(&heard)),
            };
        };
        let delivery = match self.about_us(reply) {
            Some(Delivery::Throttled) => Delivery::Throttled,
            Some(other) => return other,
            None if self.settle(job, phase, outcome, heard).await => Delivery::Settled,
            None => return Delivery::Stopped,
        };
        // In the middle of a message there is no way back to commands.
        if phase != Phase::Body {
            self.clear(connection).await;
        }
        delivery
    }

    /// Makes the connection fit for the next message; one that does not stand that is over.
    async fn clear(&mut self, mut connection: Connection) {
        if connection.clear().await {
            self.connection = Some(connection);
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
        let tried = &shared.run.connector.ahead;
        let next = self.ahead.as_ref();
        let next = next.filter(|_| connection.pipelines() && tried.may_go());
        let ahead = next.map(|(next, _)| Envelope {
            sender: &shared.run.sender,
            recipient: &next.recipient,
        });
        let (phase, heard) = match connection.dot(ahead).await {
            Dot::NotWritten(heard) => (Phase::Body, heard),
            Dot::Written(heard) => (Phase::Dot, heard),
        };
        if next.is_some() {
            tried.went((phase == Phase::Dot).then_some(heard.is_ok()));
        }
        let reply = heard.as_ref().ok();
        let written = phase == Phase::Dot;
        if let Some(slot) = job.slot.take_if(|_| written) {
            slot.dot();
        }
        let survives = written && connection_survives_dot(reply);
        let verdict = judge(phase, reply);
        let delivery = match (self.about_us(reply), verdict) {
            (None, Verdict::Settled(outcome)) => {
                if !self.settle(job, phase, outcome, heard).await {
                    return Delivery::Stopped;
                }
                Delivery::Settled
            }
            (about_us, _) => {
                if !self.take_back(job, phase, &heard).await {
                    return Delivery::Stopped;
                }
                about_us.unwrap_or_else(|| Delivery::Lost(phase, tell(&heard)))
            }
        };
        // What is begun ahead must not be finished during a rest or after a stop. Nothing of it
        // is armed, so its connection is simply left.
        let may_go_on = !connection.has_begun() || shared.may_begin();
        self.connection = (survives && may_go_on).then_some(connection);
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
    async fn take_back(&mut self, job: &Job, phase: Phase, heard: &Result<Reply, Silence>) -> bool {
        let back = Change {
            reply: heard.as_ref().ok().cloned(),
            note: heard.as_ref().err().map(Silence::to_string),
            ..self.change(job, phase, Cause::TakeBack)
        };
        self.record(Some(back)).await
    }

    /// Opens the breaker where this refusal is the third of its kind.
    async fn watch(&mut self, recipient: &Address, change: &Change) {
        let (Some(phase), Some(reply)) = (change.phase, &change.reply) else {
            return;
        };
        let domain = recipient.domain();
        let row = self
            .shared
            .breaker()
            .refused(phase, reply, &change.identity, domain);
        let Some(row) = row else { return };
        self.shared.not_rejected(&row);
        let relay = self.shared.run.connector.relay();
        let why = format!(
            "the relay {relay} gave three recipients at three domains the same refusal, so it is probably about us: it said \"{reply}\"; the three are pending again; ask its operator before the next run"
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

    /// Sees to it that an outcome is recorded; false when that failed, which stops the run.
    ///
    /// An acceptance may wait for the next arm, which follows at once.
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
        change.note = heard.as_ref().err().map(Silence::to_string);
        change.reply = heard.ok();
        if outcome == Outcome::Deferred {
            let (since, deferrals) = job
                .standing
                .as_ref()
                .map_or((None, 0), |it| (it.deferred_since, it.deferrals));
            let retry = &self.shared.run.retry;
            // Only the relay's word ends it: a lost connection says nothing about the partner.
            if change.reply.is_some() && retry.gives_up(now, since) {
                change.cause = Cause::GiveUp;
            } else {
                let id = &change.identity.address;
                change.next_attempt_at = Some(retry.due_again(now, deferrals + 1, id));
            }
        }
        self.heard.push(Heard {
            change,
            recipient: job.recipient.clone(),
            outcome,
            why,
        });
        if outcome == Outcome::Accepted {
            self.shared.accepted();
            if self.ahead.is_some() && self.shared.may_begin() {
                return true;
            }
        }
        self.record(None).await
    }

    /// Makes what was heard durable, and `change` with it, in one commit; false when that
    /// failed, which stops the run.
    pub(super) async fn record(&mut self, change: Option<Change>) -> bool {
        let recording = self.begin_to_record(change);
        self.recorded(recording).await
    }

    /// Asks for it; [`Self::recorded`] waits until it is durable.
    fn begin_to_record(&mut self, change: Option<Change>) -> Recording {
        let heard = std::mem::take(&mut self.heard);
        let mut changes: Vec<Change> = heard.iter().map(|it| it.change.clone()).collect();
        changes.extend(change);
        let asked = (!changes.is_empty()).then(|| self.shared.run.ledger.ask(changes));
        Recording { heard, asked }
    }

    async fn recorded(&mut self, Recording { heard, asked }: Recording) -> bool {
        let Some(asked) = asked else { return true };
        let shared = self.shared.clone();
        let verdicts = asked.verdicts().await;
        let mut heard = heard.into_iter();
        let mut recorded = true;
        for verdict in verdicts {
            let heard = heard.next();
            match (verdict, heard) {
                (Ok(state), Some(heard)) => {
                    shared.settled(&heard.recipient, state, &heard.why);
                    if state == State::Rejected {
                        self.watch(&heard.recipient, &heard.change).await;
                    }
                }
                (Ok(_), None) => {}
                (Err(failure), heard) => {
                    if let Some(heard) = heard {
                        shared.unrecorded(heard.to_string());
                    }
                    shared.stop(failure.exit, failure.to_string());
                    recorded = false;
                }
            }
        }
        recorded
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

fn tell(heard: &Result<Reply, Silence>) -> String {
    match heard {
        Ok(reply) => reply.to_string(),
        Err(silence) => silence.to_string(),
    }
}
