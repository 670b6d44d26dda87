//! Invitations: identity, states, and the transitions between them.

mod identity;
mod notification;
mod record;
mod retry;
mod state;
mod transitions;
mod unsubscribe;

pub use self::identity::{Identity, MessageIdKey, OCCASION, invite_id};
pub use self::notification::{Effect, effect};
pub use self::record::{Event, Invitee, Record, Standing};
pub use self::retry::RetrySchedule;
pub use self::state::State;
pub use self::transitions::{Cause, Decision, NotAllowed, Proof, next};
pub use self::unsubscribe::{id_in_subject, unsubscribe_link};
