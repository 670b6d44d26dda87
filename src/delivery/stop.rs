//! Why a run stops early, and the signal that tells all its parts.
//!
//! [`Stopped`] is the error of every step that a stop cuts short. Its receiver begins nothing more.

use std::fmt;

use tokio::sync::watch;

use crate::ledger::LedgerError;
use crate::outbox::OutboxError;
use crate::partners::ListError;
use crate::relay::{ConnectError, ErrorSource};

/// What kind of reason stops a run, the least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopKind {
    /// A limit or a signal. Nothing is wrong, and a later run sends the rest.
    Later,
    /// A file of the credentials has the wrong permissions.
    Permissions,
    /// The configuration of the credentials is wrong.
    Configuration,
    /// The relay cannot be used, or refuses the sender.
    Relay,
    /// The program has a fault, or somebody else changed the ledger or the list.
    Internal,
    /// The ledger or the list cannot be read or written.
    CannotRecord,
}

/// Why a run stopped early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
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

    /// A limit or a signal.
    pub(super) fn later(what: impl fmt::Display) -> Self {
        let why = format!("{what}; a later run sends the remaining messages");
        Self::new(StopKind::Later, why)
    }

    pub(super) fn time_limit() -> Self {
        Self::later("`limits.max_runtime` is reached")
    }

    /// The relay asked too often to slow down.
    pub(super) fn throttled(reply: &str) -> Self {
        Self::later(format!(
            "the relay keeps asking to slow down (\"{reply}\"); lower `limits.per_minute` or `smtp.connections` if this recurs"
        ))
    }
}

impl From<ConnectError> for Stop {
    fn from(error: ConnectError) -> Self {
        let kind = match (error.throttled, error.cause) {
            (Some(_), _) => StopKind::Later,
            (None, ErrorSource::Relay) => StopKind::Relay,
            (None, ErrorSource::Configuration) => StopKind::Configuration,
            (None, ErrorSource::Permissions) => StopKind::Permissions,
        };
        Self::new(kind, error.why)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        let kind = match error {
            LedgerError::Fault(_) | LedgerError::Withdrawn(_) => StopKind::Internal,
            LedgerError::RunLost(_) | LedgerError::RateLimited(_) => StopKind::Later,
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

        signal.because(Stop::later("stopped by SIGINT"));
        assert!(signal.is_set() && signal.may_arm().is_ok());
        signal.because(Stop::new(StopKind::Relay, "refused"));
        assert_eq!(signal.may_arm(), Err(Stopped));
        signal.because(Stop::new(StopKind::Relay, "refused again"));
        signal.because(Stop::time_limit());

        assert_eq!(signal.reason().unwrap().why, "refused");
    }
}
