//! An invitation: who is invited to which access package, its state, and what may change that.

mod identity;
mod record;
mod retry;
mod state;
mod transitions;

pub use self::identity::{Identity, MessageIdKey, OCCASION};
pub use self::record::{Event, Invitee, Record, Standing};
pub use self::retry::RetrySchedule;
pub use self::state::State;
pub use self::transitions::{Cause, Decision, NotAllowed, next};
