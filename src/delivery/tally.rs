//! The events of a run, and their counts.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::debug;

use super::stop::Stop;
use crate::address::Address;
use crate::finding::cause_of;
use crate::invitation::{Occasion, State};
use crate::outcome::{Outcome, Phase, Reply};

/// How many outcomes are kept to be shown.
const SHOWN: usize = 20;

/// An event of a run.
#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// The message to this recipient is durably armed. Its final dot may follow.
    Armed(&'a Address),
    /// An outcome is recorded (accepted, deferred, rejected, expired or unknown): recipient, new state, and the
    /// reply or why there is none; whether it was the invitation or a reminder.
    Settled(&'a Address, State, &'a str, Occasion),
    /// The message was not sent, because the invitation was suppressed or closed during the run: recipient, state, why,
    /// and whether it was the invitation or a reminder.
    Withdrawn(&'a Address, State, &'a str, Occasion),
    /// An outcome that this run recorded is replaced.
    Revised {
        /// The recipient.
        recipient: &'a Address,
        /// The state that was recorded.
        from: State,
        /// The state that is recorded now.
        to: State,
        /// The reason, if it is another one.
        reason: Option<&'a str>,
        /// Whether it was the invitation or a reminder.
        occasion: Occasion,
    },
    /// The first permanent refusal of its kind: recipient, phase and reply.
    RefusedFirst(&'a Address, Phase, &'a Reply),
    /// An outcome that the ledger could not record, with its recipient, and the reply or why there is none.
    Unrecorded(&'a Address, Outcome, &'a str),
    /// A connection waits this long before it begins the next message.
    Waiting(WaitReason, Duration),
    /// The run stops early, or for a more severe reason than before.
    Stopped(&'a Stop),
}

impl RunEvent<'_> {
    /// Writes the event as a diagnostic line.
    fn log(self) {
        match self {
            Self::Armed(recipient) => debug!(%recipient, "invitation armed"),
            Self::Settled(recipient, state, reply, occasion) => {
                debug!(%recipient, %occasion, %state, reply, "outcome recorded");
            }
            Self::Withdrawn(recipient, state, why, occasion) => {
                debug!(%recipient, %occasion, %state, why, "message not sent");
            }
            Self::Revised {
                recipient,
                from,
                to,
                reason,
                occasion,
            } => debug!(%recipient, %occasion, %from, %to, reason, "outcome replaced"),
            Self::RefusedFirst(recipient, phase, reply) => {
                debug!(%recipient, %phase, %reply, "first refusal of its kind");
            }
            Self::Unrecorded(recipient, outcome, reply) => {
                debug!(%recipient, %outcome, reply, "outcome not recorded");
            }
            Self::Waiting(reason, wait) => {
                let why = match reason {
                    WaitReason::RateLimit => "limit per minute",
                    WaitReason::RelayAsked => "relay asked for a pause",
                };
                debug!(why, seconds = wait.as_secs(), "waiting");
            }
            Self::Stopped(stop) => debug!(why = cause_of(&stop.why), "stopping"),
        }
    }
}

/// Why a connection waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// `limits.per_minute` is reached.
    RateLimit,
    /// The relay asked to slow down.
    RelayAsked,
}

/// Receives each event of a run, with the counts after it.
pub type Listener = Box<dyn Fn(RunEvent<'_>, &Tally) + Send + Sync>;

/// Receives the events of all workers.
pub struct Reporter {
    /// The counts so far.
    pub tally: Mutex<Tally>,
    listener: Listener,
}

impl Reporter {
    pub fn new(listener: Listener) -> Self {
        Self {
            tally: Mutex::default(),
            listener,
        }
    }

    pub fn report(&self, event: RunEvent<'_>) {
        event.log();
        let mut tally = self.tally.lock();
        tally.add(event);
        (self.listener)(event, &tally);
    }
}

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Accepted by the relay.
    pub accepted: u64,
    /// Deferred.
    pub deferred: u64,
    /// Rejected.
    pub rejected: u64,
    /// Expired.
    pub expired: u64,
    /// Unknown.
    pub unknown: u64,
    /// Not sent, because the address was suppressed or the invitation closed during the run.
    pub withdrawn: u64,
    /// Left to other runs, which had claimed or sent them.
    pub elsewhere: u64,
    /// How many of all these were reminders, by the name of the outcome.
    pub reminders: BTreeMap<&'static str, u64>,
    /// The first that were not accepted: address, state and reason.
    pub troubles: Vec<(Address, State, String)>,
    /// The first permanent refusal of each kind: recipient, phase and reply.
    pub refusals: Vec<(Address, Phase, String)>,
    /// Outcomes that the ledger could not record.
    pub unrecorded: Vec<String>,
    /// Why the run stopped early.
    pub stopped: Option<Stop>,
}

impl Tally {
    /// Counts an event.
    pub fn add(&mut self, event: RunEvent<'_>) {
        match event {
            RunEvent::Armed(_) | RunEvent::Waiting(..) => {}
            RunEvent::Settled(recipient, state, reason, occasion) => {
                *self.count(state) += 1;
                if occasion.is_reminder() {
                    *self.reminders.entry(outcome(state)).or_default() += 1;
                }
                if state != State::Accepted {
                    self.add_trouble(recipient, state, reason);
                }
            }
            RunEvent::Withdrawn(recipient, state, reason, occasion) => {
                self.withdrawn += 1;
                if occasion.is_reminder() {
                    *self.reminders.entry("withdrawn").or_default() += 1;
                }
                self.add_trouble(recipient, state, reason);
            }
            RunEvent::Revised {
                recipient,
                from,
                to,
                reason,
                occasion,
            } => {
                self.revise(recipient, from, to, reason);
                if occasion.is_reminder() {
                    let before = self.reminders.entry(outcome(from)).or_default();
                    *before = before.saturating_sub(1);
                    *self.reminders.entry(outcome(to)).or_default() += 1;
                }
            }
            RunEvent::RefusedFirst(recipient, phase, reply) => {
                if self.refusals.len() < SHOWN {
                    let refusal = (recipient.clone(), phase, reply.to_string());
                    self.refusals.push(refusal);
                }
            }
            RunEvent::Unrecorded(recipient, outcome, reason) => self
                .unrecorded
                .push(format!("{recipient}: {outcome} ({reason})")),
            RunEvent::Stopped(stop) => self.stopped = Some(stop.clone()),
        }
    }

    fn revise(&mut self, recipient: &Address, from: State, to: State, reason: Option<&str>) {
        let before = self.count(from);
        *before = before.saturating_sub(1);
        *self.count(to) += 1;
        let mut troubles = self.troubles.iter_mut();
        if let Some(trouble) = troubles.find(|it| it.0 == *recipient && it.1 == from) {
            trouble.1 = to;
            if let Some(reason) = reason {
                reason.clone_into(&mut trouble.2);
            }
        } else if let Some(reason) = reason {
            self.add_trouble(recipient, to, reason);
        }
    }

    fn add_trouble(&mut self, recipient: &Address, state: State, reason: &str) {
        if self.troubles.len() < SHOWN {
            let trouble = (recipient.clone(), state, reason.to_owned());
            self.troubles.push(trouble);
        }
    }

    fn count(&mut self, state: State) -> &mut u64 {
        match state {
            State::Accepted => &mut self.accepted,
            State::Deferred => &mut self.deferred,
            State::Rejected => &mut self.rejected,
            State::Expired => &mut self.expired,
            State::Suppressed | State::Abandoned => &mut self.withdrawn,
            _ => &mut self.unknown,
        }
    }
}

/// What an outcome is called in the counts.
fn outcome(state: State) -> &'static str {
    match state {
        State::Accepted | State::Deferred | State::Rejected | State::Expired => state.as_str(),
        State::Suppressed | State::Abandoned => "withdrawn",
        _ => State::Unknown.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Occasion, RunEvent, State, Tally};

    #[test]
    fn a_message_that_was_not_sent_is_withdrawn_whatever_its_state_is_now() {
        let ada = Address::parse("ada@a.example").unwrap();
        let mut tally = Tally::default();
        for state in [State::Suppressed, State::Accepted] {
            tally.add(RunEvent::Withdrawn(
                &ada,
                state,
                "decided elsewhere",
                Occasion::Invitation,
            ));
        }
        assert_eq!((tally.withdrawn, tally.accepted), (2, 0));
        assert_eq!(tally.troubles.len(), 2);
    }

    #[test]
    fn a_revised_outcome_is_counted_once() {
        let [ada, bob] = ["ada@a.example", "bob@b.example"].map(|it| Address::parse(it).unwrap());
        let mut tally = Tally::default();
        let reminder = Occasion::Reminder(1);
        for (recipient, state, occasion) in [
            (&ada, State::Accepted, reminder),
            (&bob, State::Rejected, Occasion::Invitation),
        ] {
            tally.add(RunEvent::Settled(recipient, state, "a reply", occasion));
        }
        tally.add(RunEvent::Revised {
            recipient: &ada,
            from: State::Accepted,
            to: State::Unknown,
            reason: Some("out of order"),
            occasion: reminder,
        });
        tally.add(RunEvent::Revised {
            recipient: &bob,
            from: State::Rejected,
            to: State::Deferred,
            reason: None,
            occasion: Occasion::Invitation,
        });

        let counts = [
            tally.accepted,
            tally.deferred,
            tally.rejected,
            tally.unknown,
        ];
        assert_eq!(counts, [0, 1, 0, 1]);
        let reminders: Vec<_> = tally.reminders.into_iter().filter(|it| it.1 > 0).collect();
        assert_eq!(reminders, [("unknown", 1)]);
        let troubles = [
            (bob, State::Deferred, "a reply".to_owned()),
            (ada, State::Unknown, "out of order".to_owned()),
        ];
        assert_eq!(tally.troubles, troubles);
    }
}
