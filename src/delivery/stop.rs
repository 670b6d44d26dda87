//! Why a run ends before its time, and the signal that tells all its parts.
//!
//! [`Stopped`] is the error of every step that a stop cuts short: who gets it begins nothing more.

use tokio::sync::watch;

use crate::address::Address;
use crate::exit::{CommandError, Exit};
use crate::ledger::LedgerError;
use crate::outcome::{Phase, Reply};

/// Why a run ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The code that this alone would give.
    pub exit: Exit,
    /// What happened.
    pub why: String,
}

impl Stop {
    pub(super) fn new(exit: Exit, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { exit, why }
    }

    pub(super) fn time_limit() -> Self {
        let why = "`limits.max_runtime` is reached; the rest goes with a later run";
        Self::new(Exit::TryLater, why)
    }

    pub(super) fn daily_limit() -> Self {
        let why = "the limit of `limits.per_day` is reached; the rest goes with a later run";
        Self::new(Exit::TryLater, why)
    }

    pub(super) fn signal(name: &str) -> Self {
        let why = format!("stopped by {name}; the rest goes with a later run");
        Self::new(Exit::TryLater, why)
    }

    /// The relay has asked too often to slow down.
    pub(super) fn throttled(reply: &str) -> Self {
        let why = format!(
            "the relay keeps asking us to slow down (\"{reply}\"); the rest goes with a later run"
        );
        Self::new(Exit::TryLater, why)
    }

    /// The message is over the size that the relay offers. All messages are about as large, so the
    /// recipient is not to blame.
    pub(super) fn too_large(relay: &str, recipient: &Address, size: usize, limit: usize) -> Self {
        let why = format!(
            "the relay {relay} takes messages of at most {limit} bytes, and the one to {recipient} has {size}; make the templates shorter, or let the relay's operator raise the limit"
        );
        Self::new(Exit::Unavailable, why)
    }

    /// The relay refuses the sender.
    pub(super) fn sender_refused(relay: &str, reply: &str, remedy: &str) -> Self {
        let why = format!(
            "the relay {relay} refuses us, and nobody was marked for it: it said \"{reply}\"; {remedy}"
        );
        Self::new(Exit::Unavailable, why)
    }

    /// The relay does not accept MAIL.
    pub(super) fn mail_refused(relay: &str, why: &str) -> Self {
        let why = format!("the relay {relay} does not take our mail (mail): {why}");
        Self::new(Exit::Unavailable, why)
    }

    /// The breaker has opened.
    pub(super) fn breaker(
        relay: &str,
        (recipients, domains): (usize, usize),
        phase: Phase,
        reply: &Reply,
    ) -> Self {
        let noun = if domains == 1 { "domain" } else { "domains" };
        let why = format!(
            "the relay {relay} refused {recipients} recipients at {domains} {noun} alike ({phase}), so it is probably about us, and nobody was rejected for it: it said \"{reply}\"; ask its operator; later runs try again with few messages"
        );
        Self::new(Exit::Unavailable, why)
    }

    /// Nobody was accepted, and several were refused without evidence against them.
    pub(super) fn nobody_accepted(relay: &str) -> Self {
        let why = format!(
            "the relay {relay} accepted nobody, and its refusals do not say that the recipients are at fault, so they are probably about us; nobody was rejected for it, and all are tried again later; ask its operator"
        );
        Self::new(Exit::Unavailable, why)
    }

    /// Connections were lost over this many messages, and none was accepted.
    pub(super) fn connections_lost(exit: Exit, relay: &str, number: u64, last: &str) -> Self {
        let messages = if number == 1 { "message" } else { "messages" };
        let why = format!(
            "the relay {relay} lost the connection over {number} {messages}, twice each, and accepted none meanwhile ({last}); they are deferred, and nobody is rejected; if the next run meets the same, ask the relay's operator, or set `smtp.pipelining = \"off\"`"
        );
        Self::new(exit, why)
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        CommandError::from(error).into()
    }
}

impl From<CommandError> for Stop {
    fn from(failure: CommandError) -> Self {
        Self::new(failure.exit, failure.to_string())
    }
}

/// The run has stopped: begin nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Whether and why the run has stopped, for all its parts.
#[derive(Debug, Default)]
pub struct StopSignal(watch::Sender<Option<Stop>>);

impl StopSignal {
    /// Ends the run before the next final dot. Of several reasons the most severe is kept.
    pub fn because(&self, stop: impl Into<Stop>) -> Stopped {
        let stop = stop.into();
        self.0.send_if_modified(|current| {
            let replaces = current.as_ref().is_none_or(|it| {
                it.exit != stop.exit && Exit::most_severe(&[it.exit, stop.exit]) == stop.exit
            });
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

    /// Whether a message that is under way may still be armed. After a limit or a signal it may, because
    /// it was begun before; after a failure or a refusal of the sender it may not.
    pub fn may_arm(&self) -> Result<(), Stopped> {
        match &*self.0.borrow() {
            None => Ok(()),
            Some(stop) if stop.exit == Exit::TryLater => Ok(()),
            Some(_) => Err(Stopped),
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
    use super::{Exit, Stop, StopSignal, Stopped};

    #[test]
    fn the_first_of_the_most_severe_reasons_is_kept() {
        let signal = StopSignal::default();
        assert!(!signal.is_set() && signal.may_arm().is_ok());

        signal.because(Stop::signal("SIGINT"));
        assert!(signal.is_set() && signal.may_arm().is_ok());
        signal.because(Stop::new(Exit::Unavailable, "refused"));
        assert_eq!(signal.may_arm(), Err(Stopped));
        signal.because(Stop::new(Exit::Unavailable, "refused again"));
        signal.because(Stop::time_limit());

        assert_eq!(signal.reason().unwrap().why, "refused");
    }
}
