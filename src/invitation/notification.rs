//! What a delivery report changes.

use super::state::State;
use super::transitions::{Cause, Proof, next};

/// What is to be done with a report about an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing yet: the message is being sent, and the report is read again by the next `sync`.
    Wait,
    /// The state changes by this cause.
    Change(Cause),
    /// The report is noted in the history; the state stays.
    Note,
}

/// What a report changes. `about_current` is whether it is about the message that was sent last, and about
/// the address to which that was sent: a forwarded copy, or a message before a resend, proves nothing about
/// it.
#[must_use]
pub fn effect(state: State, proof: Proof, about_current: bool) -> Effect {
    if state == State::Armed {
        return Effect::Wait;
    }
    let applies = |it: &Proof| about_current && next(Some(state), Cause::Notification(*it)).is_ok();
    // Whatever else a report says, a relay had the message.
    let mut proofs = [proof, Proof::Accepted].into_iter();
    let change = |it| Effect::Change(Cause::Notification(it));
    proofs.find(applies).map_or(Effect::Note, change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_about_the_current_message_changes_its_state() {
        let change = |proof| Effect::Change(Cause::Notification(proof));
        for (state, proof, expected) in [
            (State::Accepted, Proof::Failed, change(Proof::Failed)),
            (State::Accepted, Proof::Delivered, change(Proof::Delivered)),
            (State::Accepted, Proof::Accepted, Effect::Note),
            (State::Unknown, Proof::Failed, change(Proof::Failed)),
            (State::Unknown, Proof::Delivered, change(Proof::Delivered)),
            (State::Unknown, Proof::Accepted, change(Proof::Accepted)),
            (State::Delivered, Proof::Failed, change(Proof::Failed)),
            (State::Bounced, Proof::Delivered, Effect::Note),
            (State::Bounced, Proof::Failed, Effect::Note),
            (State::Abandoned, Proof::Failed, Effect::Note),
            (State::Pending, Proof::Failed, Effect::Note),
            (State::Suppressed, Proof::Failed, Effect::Note),
        ] {
            assert_eq!(effect(state, proof, true), expected, "{state} {proof:?}");
        }
    }

    #[test]
    fn a_report_about_another_message_or_address_is_noted() {
        for &state in State::ALL {
            for proof in [Proof::Failed, Proof::Delivered, Proof::Accepted] {
                let expected = match state {
                    State::Armed => Effect::Wait,
                    _ => Effect::Note,
                };
                assert_eq!(effect(state, proof, false), expected, "{state} {proof:?}");
            }
        }
    }

    #[test]
    fn a_message_that_is_being_sent_is_left() {
        assert_eq!(effect(State::Armed, Proof::Failed, true), Effect::Wait);
    }
}
