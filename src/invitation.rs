//! Invitations: identity, states, and the transitions between them.

mod access;
mod erasure;
mod identity;
mod notification;
mod occasion;
mod record;
mod reminder;
mod retry;
mod road;
mod state;
mod suppression;
mod transitions;
mod unsubscribe;

pub use self::access::{Access, AccessBy, AccessCounts, AccessState, PersonHash, PersonHasher};
pub use self::erasure::Erasure;
pub use self::identity::{Identity, MessageIdKey, invite_id};
pub use self::notification::{Effect, effect};
pub use self::occasion::Occasion;
pub use self::record::{Event, Invitee, Record, Standing, to_the_second};
pub use self::reminder::{
    Invited, Mailed, NextReminder, NotNeeded, ReminderSchedule, Unless, not_needed,
};
pub use self::retry::RetrySchedule;
pub use self::road::{RoadStep, road};
pub use self::state::State;
pub use self::suppression::{
    AddressPattern, Suppression, SuppressionSource, covering_hashes, suppression_hash,
};
pub use self::transitions::{Cause, Decision, NotAllowed, Proof, erase, next};
pub use self::unsubscribe::{id_in_subject, unsubscribe_link};
