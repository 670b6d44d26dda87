//! The ledger as a run uses it: what all its changes have in common.

use std::sync::Arc;

use jiff::Timestamp;

use crate::invitation::{Cause, Identity, RetrySchedule, Unless};
use crate::ledger::{Change, Ledger};
use crate::outcome::Phase;

/// The ledger of a run, and what its changes have in common.
pub struct RunLedger {
    pub ledger: Arc<Ledger>,
    pub relay: String,
    pub retry: RetrySchedule,
    /// Whose request for access prevents a reminder.
    pub unless: Unless,
    pub clock: fn() -> Timestamp,
}

impl RunLedger {
    /// A change at this moment.
    pub fn change(
        &self,
        identity: &Identity,
        phase: impl Into<Option<Phase>>,
        cause: Cause,
    ) -> Change {
        Change {
            phase: phase.into(),
            relay: Some(self.relay.clone()),
            ..Change::new(identity, (self.clock)(), cause)
        }
    }
}
