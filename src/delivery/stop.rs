//! Why a run stops early, and the signal that tells all its parts.
//!
//! [`Stopped`] is the error of every step that a stop cuts short. Its receiver begins nothing more.

use std::fmt;

use tokio::sync::watch;

use crate::address::Address;
use crate::ledger::LedgerError;
use crate::outbox::OutboxError;
use crate::outcome::{Phase, Reply};
use crate::partners::ListError;
use crate::relay::{Cause, ConnectError};

/// What kind of reason stops a run, the least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopKind {
    /// A limit or a signal. Nothing is wrong, and a later run sends the rest.
    Later,
    /// A file of the credentials has the wrong permissions.
    Permissions,
    /// The configuration of the credentials is wrong.
    Configuration,
    /// The relay cannot be used, or refuses us.
    Relay,
    /// The program has a fault, or somebody else changed the ledger or the list.
    Internal,
    /// The ledger or the list cannot be read or written.
    CannotRecord,
}

/// Why a run stopped early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The kind of reason.
    pub kind: StopKind,
    /// What happened, and what to do about it.
    pub why: String,
}

impl Stop {
    pub(super) fn new(kind: StopKind, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { kind, why }
    }

    fn later(what: impl fmt::Display) -> Self {
        Self::new(
            StopKind::Later,
            format!("{what}; a later run sends the rest"),
        )
    }

    pub(super) fn time_limit() -> Self {
        Self::later("`limits.max_runtime` is reached")
    }

    pub(super) fn daily_limit() -> Self {
        Self::later("`limits.per_day` is reached")
    }

    pub(super) fn signal(name: &str) -> Self {
        Self::later(format!("stopped by {name}"))
    }

    /// The relay asked too often to slow down.
    pub(super) fn throttled(reply: &str) -> Self {
        Self::later(format!(
            "the relay keeps asking us to slow down (\"{reply}\"); lower `limits.per_minute` or `smtp.connections` if this recurs"
        ))
    }

    /// The message exceeds the relay's size limit. All messages have about the same size, so the
    /// recipient is not the cause.
    pub(super) fn too_large(relay: &str, recipient: &Address, size: usize, limit: usize) -> Self {
        let why = format!(
            "the relay {relay} takes messages of at most {limit} bytes, and the one to {recipient} has {size}; shorten the templates, or ask the relay's operator to raise the limit"
        );
        Self::new(StopKind::Relay, why)
    }

    pub(super) fn sender_refused(relay: &str, reply: &str, remedy: &str) -> Self {
        let why = format!(
            "the relay {relay} refuses us, so no partner was marked: it said \"{reply}\"; {remedy}"
        );
        Self::new(StopKind::Relay, why)
    }

    pub(super) fn mail_refused(relay: &str, why: &str) -> Self {
        let why = format!("the relay {relay} does not take our mail (mail): {why}");
        Self::new(StopKind::Relay, why)
    }

    pub(super) fn breaker(
        relay: &str,
        (recipients, domains): (usize, usize),
        phase: Phase,
        reply: &Reply,
    ) -> Self {
        let noun = if domains == 1 { "domain" } else { "domains" };
        let why = format!(
            "the relay {relay} refused {recipients} recipients at {domains} {noun} alike ({phase}), so it probably refuses us, and nobody was rejected: it said \"{reply}\"; ask its operator; later runs first try a few messages"
        );
        Self::new(StopKind::Relay, why)
    }

    /// Nobody was accepted, and several recipients were refused without evidence about them.
    pub(super) fn nobody_accepted(relay: &str) -> Self {
        let why = format!(
            "the relay {relay} accepted no message, and its refusals do not say that the recipients are the cause, so it probably refuses us; nobody was rejected, and later runs try all again; ask its operator"
        );
        Self::new(StopKind::Relay, why)
    }

    /// Connections were lost over this many messages, and none was accepted.
    pub(super) fn connections_lost(kind: StopKind, relay: &str, number: u64, last: &str) -> Self {
        let messages = if number == 1 { "message" } else { "messages" };
        let why = format!(
            "the relay {relay} lost the connection over {number} {messages}, twice each, and accepted none in between ({last}); they are deferred, and nobody is rejected; if the next run ends alike, ask the relay's operator, or set `smtp.pipelining = \"off\"`"
        );
        Self::new(kind, why)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<ConnectError> for Stop {
    fn from(error: ConnectError) -> Self {
        let kind = match (error.throttled, error.cause) {
            (Some(_), _) => StopKind::Later,
            (None, Cause::Relay) => StopKind::Relay,
            (None, Cause::Configuration) => StopKind::Configuration,
            (None, Cause::Permissions) => StopKind::Permissions,
        };
        Self::new(kind, error.why)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        let kind = match error {
            LedgerError::Fault(_) => StopKind::Internal,
            _ => StopKind::CannotRecord,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<OutboxError> for Stop {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::List(error @ ListError::RowChanged(_)) => {
                Self::new(StopKind::Internal, error.to_string())
            }
            OutboxError::List(error) => Self::new(StopKind::CannotRecord, error.to_string()),
            OutboxError::Ledger(error) => error.into(),
            OutboxError::NotVerified(why) => Self::new(StopKind::Internal, why),
        }
    }
}

/// The run has stopped: begin nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Whether and why the run has stopped, for all its parts.
#[derive(Debug, Default)]
pub struct StopSignal(watch::Sender<Option<Stop>>);

impl StopSignal {
    /// Stops the run before the next final dot. Keeps the first of the most severe reasons.
    pub fn because(&self, stop: impl Into<Stop>) -> Stopped {
        let stop = stop.into();
        self.0.send_if_modified(|current| {
            let replaces = current.as_ref().is_none_or(|it| it.kind < stop.kind);
            if replaces {
                *current = Some(stop);
            }
            replaces
        });
        Stopped
    }

    pub fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub fn reason(&self) -> Option<Stop> {
        self.0.borrow().clone()
    }

    /// Whether a message that is under way may still be armed: after a limit or a signal, because it
    /// was begun before. After a failure or a refusal of the sender it may not.
    pub fn may_arm(&self) -> Result<(), Stopped> {
        match &*self.0.borrow() {
            Some(stop) if stop.kind != StopKind::Later => Err(Stopped),
            _ => Ok(()),
        }
    }

    /// The result of `work`, unless the run stops first.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.stopped() => Err(Stopped),
            done = work => Ok(done),
        }
    }

    /// Waits until the run stops.
    pub async fn stopped(&self) {
        // The sender is `self`, so it lives as long as this waits.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Stop, StopKind, StopSignal, Stopped};

    #[test]
    fn first_of_the_most_severe_reasons_is_kept() {
        let signal = StopSignal::default();
        assert!(!signal.is_set() && signal.may_arm().is_ok());

        signal.because(Stop::signal("SIGINT"));
        assert!(signal.is_set() && signal.may_arm().is_ok());
        signal.because(Stop::new(StopKind::Relay, "refused"));
        assert_eq!(signal.may_arm(), Err(Stopped));
        signal.because(Stop::new(StopKind::Relay, "refused again"));
        signal.because(Stop::time_limit());

        assert_eq!(signal.reason().unwrap().why, "refused");
    }
}
