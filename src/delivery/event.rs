//! What happens in a run, for whoever listens: the tally and the progress bar.

use super::stop::Stop;
use crate::address::Address;
use crate::invitation::State;
use crate::outcome::{Outcome, Phase, Reply};

/// Something that happened in a run.
#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// A message is armed, durably: its final dot may follow.
    Armed {
        /// The recipient.
        recipient: &'a Address,
    },
    /// An outcome is recorded: accepted, deferred, rejected, expired or unknown.
    Settled {
        /// The recipient.
        recipient: &'a Address,
        /// The state that follows.
        state: State,
        /// The reply, or why there is none.
        reason: &'a str,
    },
    /// An outcome that this run recorded before is replaced.
    Revised {
        /// The recipient.
        recipient: &'a Address,
        /// The state that was recorded.
        from: State,
        /// The state that is recorded now.
        to: State,
        /// Why, where that is another reason than before.
        reason: Option<&'a str>,
    },
    /// The first permanent refusal of its kind.
    RefusedFirst {
        /// The recipient.
        recipient: &'a Address,
        /// Where.
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
    /// The run stops before its time, or for a more severe reason than before.
    Stopped(&'a Stop),
}
