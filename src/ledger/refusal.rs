//! Why a change of an invitation is not written, whichever store it is in.

use super::error::LedgerError;
use super::records::Change;
use crate::invitation::{Cause, NotAllowed, State};

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such invitation.
    #[error("the ledger has no such invitation")]
    Missing,
    /// The transition is not allowed.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// A suppressed address is not mailed again.
    #[error("the address is suppressed")]
    Suppressed,
    /// A lost run may still be alive, and get the reply.
    #[error(
        "its run was lost less than 15 minutes ago and may still report the reply; decide again after that"
    )]
    TooEarly,
    /// The invitation is not sent any more; this is its state.
    #[error("the invitation is {0} in the meantime")]
    Withdrawn(State),
    /// Another run may have taken over, or the caller gave up in the middle of the transaction.
    #[error("the changes were abandoned")]
    Abandoned,
}

impl Refusal {
    /// The error of this change. If other runs can write at the same time, one of them, or a person, may have changed
    /// the invitation since this run read it; otherwise that is an internal error.
    pub fn error(self, change: &Change, has_other_runs: bool) -> LedgerError {
        let message = format!("{}: {self}", change.identity.address);
        match self {
            Self::Withdrawn(state) => LedgerError::Withdrawn(state),
            Self::Abandoned => LedgerError::run_lost(),
            Self::NotAllowed(NotAllowed {
                before: Some(state),
                cause: Cause::Arm,
            }) if has_other_runs || matches!(state, State::Suppressed | State::Abandoned) => {
                LedgerError::Withdrawn(state)
            }
            Self::NotAllowed(_) if has_other_runs && change.cause.late().is_some() => {
                LedgerError::RunLost(message)
            }
            Self::Suppressed => LedgerError::Unusable(message),
            Self::TooEarly => LedgerError::Busy(message),
            Self::NotAllowed(_) | Self::Missing => LedgerError::Fault(message),
        }
    }
}

/// Why a change was not written: it is refused, or the store failed.
#[derive(Debug)]
pub enum ApplyError<E> {
    Refused(Refusal),
    Failed(E),
}

impl<E> From<Refusal> for ApplyError<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E> From<NotAllowed> for ApplyError<E> {
    fn from(refusal: NotAllowed) -> Self {
        Self::Refused(refusal.into())
    }
}
