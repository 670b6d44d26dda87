//! From what was heard to the record of it: outcomes, arms and what is taken back.
//!
//! A failure to record stops the run, and what could not be recorded is told. An acceptance
//! may share the commit that arms the next message; nothing else waits.

use std::fmt;

use jiff::Timestamp;

use super::breaker::{self, Refused};
use super::shared::{Job, Shared};
use super::worker::Worker;
use crate::address::Address;
use crate::exit::{Exit, Failure};
use crate::invitation::{Cause, Identity, State};
use crate::ledger::{Change, LedgerError, PendingCommit};
use crate::outcome::{Outcome, Phase, Reply};
use crate::relay::Silence;

/// Why the reply to a dot does not count.
pub(super) const OUT_OF_ORDER: &str =
    "the relay's replies came out of order, so which of them was for this message is not known";

/// An outcome that was heard, on its way into the ledger.
pub struct Heard {
    change: Change,
    recipient: Address,
    outcome: Outcome,
    why: String,
    /// How often it was deferred before.
    deferrals: u32,
    /// Whether the breaker has returned it from `expired` before.
    put_back: bool,
}

/// A message whose outcome was read from a reply that may turn out to belong to another command.
pub struct Unconfirmed {
    identity: Identity,
    recipient: Address,
    outcome: Outcome,
}

impl Unconfirmed {
    /// The message of `job`, with the outcome that its reply seems to mean.
    pub fn new(job: &Job, outcome: Outcome) -> Self {
        Self {
            identity: job.identity.clone(),
            recipient: job.recipient.clone(),
            outcome,
        }
    }
}

/// What the ledger has been asked to record.
pub struct Recording {
    heard: Vec<Heard>,
    asked: Option<PendingCommit>,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.recipient, self.outcome, self.why)
    }
}

impl Worker {
    /// Armed → pending: the dot was not written, or the refusal is certain and not the
    /// recipient's. False when that could not be recorded, which stops the run.
    pub(super) async fn take_back(
        &mut self,
        job: &Job,
        phase: Phase,
        heard: &Result<Reply, Silence>,
    ) -> bool {
        let back = Change {
            reply: heard.as_ref().ok().cloned(),
            note: heard.as_ref().err().map(Silence::to_string),
            ..self.change(job, phase, Cause::TakeBack)
        };
        self.record(Some(back)).await
    }

    /// Turns an outcome that was read from replies out of order into `unknown`, recorded or not;
    /// false when that could not be recorded, which stops the run.
    pub(super) async fn doubt(&mut self, unconfirmed: Unconfirmed) -> bool {
        let Unconfirmed {
            identity,
            recipient,
            outcome,
        } = unconfirmed;
        let why = OUT_OF_ORDER.to_owned();
        let mut waiting = self.heard.iter_mut();
        if let Some(heard) = waiting.find(|it| it.change.identity == identity) {
            heard.change.cause = Cause::Outcome(Outcome::Unknown);
            heard.change.reply = None;
            heard.change.next_attempt_at = None;
            heard.change.note = Some(why.clone());
            heard.outcome = Outcome::Unknown;
            heard.why.clone_from(&why);
            return self.record(None).await;
        }
        let now = (self.shared.run.clock)();
        let doubted = Change {
            phase: Some(Phase::Dot),
            relay: Some(self.shared.run.connector.relay()),
            note: Some(why.clone()),
            ..Change::new(&identity, now, Cause::OutOfOrder)
        };
        match self.shared.run.ledger.apply(doubted).await {
            Ok(_) => {
                self.shared.doubted(&recipient, outcome, &why);
                true
            }
            Err(error) => {
                self.shared
                    .unrecorded(format!("{recipient}: unknown ({why})"));
                stop(&self.shared, error);
                false
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
        let standing = job.standing.as_ref();
        let deferrals = standing.map_or(0, |it| it.deferrals);
        if outcome == Outcome::Deferred {
            if let Some(reply) = change.reply.as_ref().filter(|it| it.class() == 5) {
                let note = format!(
                    "refused for good, but perhaps not for the recipient's sake, so it is tried again: {reply}"
                );
                change.note = Some(note);
            }
            let since = standing.and_then(|it| it.deferred_since);
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
            deferrals,
            put_back: standing.is_some_and(|it| it.put_back),
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
    pub(super) fn begin_to_record(&mut self, change: Option<Change>) -> Recording {
        let heard = std::mem::take(&mut self.heard);
        let mut changes: Vec<Change> = heard.iter().map(|it| it.change.clone()).collect();
        changes.extend(change);
        let asked = (!changes.is_empty()).then(|| self.shared.run.ledger.submit(changes));
        Recording { heard, asked }
    }

    pub(super) async fn recorded(&mut self, Recording { heard, asked }: Recording) -> bool {
        let Some(asked) = asked else { return true };
        let shared = self.shared.clone();
        let verdicts = asked.results().await;
        let mut heard = heard.into_iter();
        let mut recorded = true;
        for verdict in verdicts {
            let heard = heard.next();
            match (verdict, heard) {
                (Ok(state), Some(heard)) => {
                    shared.settled(&heard.recipient, state, &heard.why);
                    watch(&shared, &heard, state).await;
                }
                (Ok(_), None) => {}
                (Err(error), heard) => {
                    if let Some(heard) = heard {
                        shared.unrecorded(heard.to_string());
                    }
                    stop(&shared, error);
                    recorded = false;
                }
            }
        }
        recorded
    }

    pub(super) fn change(&self, job: &Job, phase: Phase, cause: Cause) -> Change {
        let now: Timestamp = (self.shared.run.clock)();
        Change {
            phase: Some(phase),
            relay: Some(self.shared.run.connector.relay()),
            ..Change::new(&job.identity, now, cause)
        }
    }
}

/// Notes an outcome that was recorded: what the breaker learns from it.
async fn watch(shared: &Shared, heard: &Heard, state: State) {
    let run = &shared.run;
    if state == State::Accepted {
        if shared.breaker().take_notice() {
            check(shared, run.ledger.remove_notice(breaker::OPEN).await);
        }
        return;
    }
    let change = &heard.change;
    let reply = change.reply.as_ref().filter(|it| it.class() == 5);
    let (Some(phase), Some(reply)) = (change.phase, reply) else {
        return;
    };
    let refused = Refused {
        identity: change.identity.clone(),
        recipient: heard.recipient.clone(),
        state,
        deferrals: heard.deferrals,
        put_back: heard.put_back,
    };
    let noted = shared.breaker().refused(phase, reply, refused);
    if noted.first {
        shared.first_refusal(&heard.recipient, phase, reply);
    }
    if let Some((recipients, domains)) = noted.opens {
        let relay = run.connector.relay();
        let why = format!(
            "the relay {relay} refused {recipients} recipients at {domains} {} alike ({phase}), so it is probably about us, and nobody was rejected for it: it said \"{reply}\"; ask its operator; later runs try again with few messages",
            if domains == 1 { "domain" } else { "domains" }
        );
        shared.stop(Exit::Unavailable, why);
        let now = (run.clock)();
        check(shared, run.ledger.set_notice(breaker::OPEN, now).await);
    }
}

fn check(shared: &Shared, recorded: Result<(), LedgerError>) {
    if let Err(error) = recorded {
        stop(shared, error);
    }
}

fn stop(shared: &Shared, error: LedgerError) {
    let failure = Failure::from(error);
    shared.stop(failure.exit, failure.to_string());
}

/// What is learnt at the end of a run: where nobody was accepted, or the relay refuses us, nobody is
/// rejected.
pub(super) async fn conclude(shared: &Shared) {
    let run = &shared.run;
    let relay = run.connector.relay();
    if shared.breaker().nobody_was_accepted() {
        let why = format!(
            "the relay {relay} accepted nobody, and its refusals do not say that the recipients are at fault, so they are probably about us; nobody was rejected for it, and all are tried again later; ask its operator"
        );
        shared.stop(Exit::Unavailable, why);
    }
    if shared.stopped_with() != Some(Exit::Unavailable) {
        return;
    }
    let rows = shared.breaker().take_to_put_back();
    if rows.is_empty() {
        return;
    }
    let now = (run.clock)();
    let change = |it: &Refused| {
        let address = &it.identity.address;
        Change {
            relay: Some(relay.clone()),
            note: Some("the relay refuses us, so its refusals say nothing about recipients".into()),
            next_attempt_at: Some(run.retry.due_again(now, it.deferrals + 1, address)),
            ..Change::new(&it.identity, now, Cause::Breaker)
        }
    };
    let changes = rows.iter().map(change).collect();
    let verdicts = run.ledger.submit(changes).results().await;
    for (row, verdict) in rows.iter().zip(verdicts) {
        match verdict {
            Ok(_) => shared.put_back(&row.recipient, row.state),
            Err(error) => stop(shared, error),
        }
    }
}

/// What was heard, in words.
pub(super) fn tell(heard: &Result<Reply, Silence>) -> String {
    match heard {
        Ok(reply) => reply.to_string(),
        Err(silence) => silence.to_string(),
    }
}
