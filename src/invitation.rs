//! Invitations: identity, states, and the transitions between them.

mod erasure;
mod identity;
mod notification;
mod record;
mod retry;
mod state;
mod suppression;
mod transitions;

pub use self::erasure::Erasure;
pub use self::identity::{Identity, MessageIdKey, OCCASION, invite_id};
pub use self::notification::{Effect, effect};
pub use self::record::{Event, Invitee, Record, Standing};
pub use self::retry::RetrySchedule;
pub use self::state::State;
pub use self::suppression::suppression_hash;
pub use self::transitions::{Cause, Decision, NotAllowed, Proof, erase, next};
