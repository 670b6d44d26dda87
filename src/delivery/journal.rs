//! What every change that a run records has in common: the ledger, the relay, the clock, and when a
//! deferred message is due again.

use std::sync::Arc;

use jiff::Timestamp;

use crate::invitation::{Cause, Identity, RetrySchedule};
use crate::ledger::{Change, Ledger};

/// The ledger of a run, and what its entries have in common.
pub struct Journal {
    pub ledger: Arc<Ledger>,
    pub relay: String,
    pub retry: RetrySchedule,
    pub clock: fn() -> Timestamp,
}

impl Journal {
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A change now, with nothing more to say about it.
    pub fn change(&self, identity: &Identity, cause: Cause) -> Change {
        Change {
            relay: Some(self.relay.clone()),
            ..Change::new(identity, self.now(), cause)
        }
    }

    /// When an invitation is due again that was deferred so often before.
    pub fn due_again(&self, now: Timestamp, deferrals: u32, identity: &Identity) -> Timestamp {
        self.retry.due_again(now, deferrals + 1, &identity.address)
    }
}
