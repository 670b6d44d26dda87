//! The events of a run, for the tally and the progress bar.

use super::stop::Stop;
use crate::address::Address;
use crate::invitation::State;
use crate::outcome::{Outcome, Phase, Reply};

/// An event of a run.
#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// A message is durably armed. Its final dot may follow.
    Armed {
        /// The recipient.
        recipient: &'a Address,
    },
    /// An outcome is recorded: accepted, deferred, rejected, expired or unknown.
    Settled {
        /// The recipient.
        recipient: &'a Address,
        /// The new state.
        state: State,
        /// The reply, or why there is none.
        reason: &'a str,
    },
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
    },
    /// The first permanent refusal of its kind.
    RefusedFirst {
        /// The recipient.
        recipient: &'a Address,
        /// The phase of the refusal.
        phase: Phase,
        /// The refusal.
        reply: &'a Reply,
    },
    /// An outcome that the ledger could not record.
    Unrecorded {
        /// The recipient.
        recipient: &'a Address,
        /// The outcome.
        outcome: Outcome,
        /// The reply, or why there is none.
        reason: &'a str,
    },
    /// The run stops early, or for a more severe reason than before.
    Stopped(&'a Stop),
}
