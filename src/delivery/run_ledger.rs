//! The ledger as a run uses it: what all its changes have in common.

use std::sync::Arc;

use jiff::Timestamp;

use crate::invitation::{Cause, Identity, RetrySchedule, Unless};
use crate::ledger::{Change, Ledger};
use crate::outcome::Phase;

/// The name of a notice about a relay in this ledger.
#[must_use]
pub fn notice_name(name: &str, ledger: &Ledger, account: &str) -> String {
    if ledger.is_shared() {
        format!("{name} {account}")
    } else {
        name.to_owned()
    }
}

/// The ledger of a run, and what its changes have in common.
pub struct RunLedger {
    pub ledger: Arc<Ledger>,
    pub relay: String,
    pub retry: RetrySchedule,
    /// Whose request for access prevents a reminder.
    pub unless: Unless,
    pub clock: fn() -> Timestamp,
    /// The login and the relay.
    pub account: String,
}

impl RunLedger {
    /// The name of a notice about the relay: on a shared ledger, other runs may use another one.
    pub fn notice_name(&self, name: &str) -> String {
        notice_name(name, &self.ledger, &self.account)
    }

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
