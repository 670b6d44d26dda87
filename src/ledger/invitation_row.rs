//! What a change does to the row of an invitation, whichever store it is in.

use crate::invitation::{Cause, Decision, MessageIdKey, State};
use crate::ledger::records::Change;

/// The fields of an invitation that changes touch.
#[derive(Clone, Debug)]
pub struct InvitationRow {
    pub id: i64,
    pub state: State,
    pub generation: u32,
    pub message_id: String,
    pub attempts: u32,
    pub deferrals: u32,
    pub repeat: bool,
    pub accepted_at: Option<i64>,
    pub deferred_since: Option<i64>,
}

impl InvitationRow {
    /// The fields after the change to `state`.
    pub fn after(mut self, change: &Change, state: State, key: &MessageIdKey) -> Self {
        let at = change.at.as_millisecond();
        if change.cause == Cause::Person(Decision::Resend) {
            // A message that may have been accepted keeps its Message-ID, so that the mailbox can
            // recognise the duplicate. Any other resend is a new message.
            if self.state != State::Unknown {
                self.generation += 1;
                let domain = self.message_id.split_once('@').map_or("", |(_, it)| it);
                self.message_id = change.identity.message_id(key, self.generation, domain);
            }
            self.repeat = change.repeat;
            self.deferrals = 0;
            self.deferred_since = None;
            self.accepted_at = None;
        }
        if change.cause == Cause::Unsuppress {
            self.deferrals = 0;
            self.deferred_since = None;
        }
        let refused_unarmed =
            self.state != State::Armed && matches!(change.cause, Cause::Outcome(_) | Cause::GiveUp);
        if change.cause == Cause::Arm || refused_unarmed {
            self.attempts += 1;
        }
        match state {
            State::Accepted => self.accepted_at = Some(at),
            State::Unknown if change.cause == Cause::OutOfOrder => self.accepted_at = None,
            State::Deferred => {
                self.deferrals += 1;
                self.deferred_since.get_or_insert(at);
            }
            _ => {}
        }
        self.state = state;
        self
    }
}
