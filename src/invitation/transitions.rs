//! All transitions between states, in one pure function: [`next`].
//!
//! The ledger applies no other transition, so an invitation is never mailed twice unless a person decides.

use super::state::State;
use crate::outcome::Outcome;

/// What a person can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Decision {
    /// The message arrived
    Accepted,
    /// The message is in the mailbox
    Delivered,
    /// The message came back
    Bounced,
    /// Send it again
    Resend,
    /// Close the invitation without sending
    Abandoned,
}

/// What a delivery report proves about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is in the recipient's mailbox.
    Delivered,
    /// It could not be delivered.
    Failed,
    /// A relay had accepted it.
    Accepted,
}

/// Why a state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Cause {
    /// A run records the invitation for the first time.
    #[strum(to_string = "enrolment")]
    Enrol,
    /// The body is on the wire; the final dot is written next.
    Arm,
    /// The relay replied, or did not reply to the final dot.
    #[strum(to_string = "reply")]
    Outcome(Outcome),
    /// A deferral came after `give_up_after`.
    GiveUp,
    /// No byte of the final dot was written, or the relay refused the sender.
    #[strum(to_string = "take-back")]
    Disarm,
    /// A run that was killed left it armed.
    Recovery,
    /// The relay replied to the run that armed it after other runs had taken that run for lost.
    LateReply(Outcome),
    /// A person accepted an older copy of the ledger; a run that it lacks may have mailed it.
    OlderLedger,
    /// The relay refuses all recipients alike, so its refusals are not about them.
    Breaker,
    /// The message that a resend of an `unknown` must repeat has changed since.
    #[strum(to_string = "other-bytes")]
    ResendMismatch,
    /// The relay's replies were out of order, so the outcome may come from the reply to another command.
    OutOfOrder,
    /// A person decided.
    Person(Decision),
    /// A delivery report came, or the mail system's trace says so.
    Notification(Proof),
    /// The address is on the suppression list.
    Suppress,
    /// The address was removed from the suppression list.
    Unsuppress,
    /// A reminder is no longer needed: access was requested, or the invitation did not arrive.
    #[strum(to_string = "reminder-not-needed")]
    ReminderNotNeeded,
    /// The address is erased everywhere.
    Forget,
    /// The invitation has been closed for longer than records are kept.
    Retention,
}

impl Cause {
    /// The name under which the change is recorded.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The cause if this reply came after the run was taken for lost; none if it settles nothing then. A final dot that
    /// was not written, or a refusal that does not concern the recipient, leaves the message to be tried again.
    #[must_use]
    pub fn late(self) -> Option<Self> {
        match self {
            Self::Outcome(Outcome::Unknown) => None,
            Self::Outcome(outcome) => Some(Self::LateReply(outcome)),
            Self::GiveUp | Self::Disarm => Some(Self::LateReply(Outcome::Deferred)),
            _ => None,
        }
    }
}

/// A transition that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} does not change by {}", before.map_or("no record", State::as_str), cause.as_str())]
pub struct NotAllowed {
    /// The state; none if the invitation is not recorded.
    pub before: Option<State>,
    /// What was to change it.
    pub cause: Cause,
}

/// The new state. Includes enrolment and recovery.
///
/// # Errors
/// If `cause` may not change the state `before`.
pub fn next(before: Option<State>, cause: Cause) -> Result<State, NotAllowed> {
    use State::{
        Abandoned, Accepted, Armed, Bounced, Deferred, Delivered, Expired, Pending, Rejected,
        Suppressed, Unknown,
    };
    let not_allowed = NotAllowed { before, cause };
    let Some(before) = before else {
        return match cause {
            Cause::Enrol => Ok(Pending),
            Cause::Suppress => Ok(Suppressed),
            // A partner of the list, who was invited in another way or is not to be invited.
            Cause::Person(Decision::Accepted) => Ok(Accepted),
            Cause::Person(Decision::Abandoned) => Ok(Abandoned),
            _ => Err(not_allowed),
        };
    };
    Ok(match (cause, before) {
        (Cause::Arm, Pending | Deferred) => Armed,

        (Cause::Outcome(Outcome::Accepted), Armed) => Accepted,
        (Cause::Outcome(Outcome::Unknown), Armed) => Unknown,
        // RCPT and DATA refuse before anything is armed.
        (Cause::Outcome(Outcome::Deferred), Armed | Pending | Deferred) => Deferred,
        (Cause::Outcome(Outcome::Rejected), Armed | Pending | Deferred) => Rejected,
        (Cause::GiveUp, Armed | Pending | Deferred) => Expired,

        (Cause::Disarm, Armed | Pending | Deferred) => Pending,
        (Cause::Recovery, Armed) => Unknown,
        (Cause::LateReply(Outcome::Accepted), Unknown) => Accepted,
        (Cause::LateReply(Outcome::Deferred), Unknown) => Deferred,
        (Cause::LateReply(Outcome::Rejected), Unknown) => Rejected,
        (Cause::OlderLedger, Pending | Deferred | Armed) => Unknown,
        (Cause::Breaker, Rejected | Expired) => Deferred,
        (Cause::ResendMismatch, Pending | Deferred) => Unknown,
        (Cause::OutOfOrder, Accepted | Deferred | Rejected | Expired) => Unknown,
        // A report proves that the message was accepted, whatever the order of the replies.
        (Cause::OutOfOrder, Bounced | Delivered) => before,

        (Cause::Suppress, Pending | Deferred) => Suppressed,
        (Cause::Unsuppress, Suppressed) => Pending,
        // The address was suppressed while an attempt was under way that ended before the final dot.
        (
            Cause::Outcome(Outcome::Deferred | Outcome::Rejected)
            | Cause::GiveUp
            | Cause::Disarm
            | Cause::ResendMismatch,
            Suppressed,
        ) => Suppressed,
        (Cause::ReminderNotNeeded, Pending | Deferred) => Abandoned,

        (Cause::Notification(Proof::Failed), Accepted | Delivered | Unknown) => Bounced,
        (Cause::Notification(Proof::Delivered), Accepted | Unknown) => Delivered,
        (Cause::Notification(Proof::Accepted), Unknown) => Accepted,

        (Cause::Person(Decision::Accepted), Unknown | Pending | Deferred) => Accepted,
        (Cause::Person(Decision::Delivered), Accepted | Unknown | Bounced) => Delivered,
        (Cause::Person(Decision::Bounced), Accepted | Delivered | Unknown) => Bounced,
        (
            Cause::Person(Decision::Abandoned),
            Unknown | Pending | Deferred | Expired | Rejected | Bounced,
        ) => Abandoned,
        (
            Cause::Person(Decision::Resend),
            Unknown | Rejected | Bounced | Expired | Abandoned | Accepted,
        ) => Pending,

        _ => return Err(not_allowed),
    })
}

/// Checks that the record of an invitation may be erased; afterwards there is none.
///
/// # Errors
/// If `cause` may not erase the state `before`.
pub fn erase(before: State, cause: Cause) -> Result<(), NotAllowed> {
    use State::{Abandoned, Accepted, Armed, Bounced, Delivered, Rejected};
    let is_allowed = match cause {
        Cause::Forget => before != Armed,
        // Closed: no run and no person is expected to change it.
        Cause::Retention => matches!(
            before,
            Accepted | Delivered | Rejected | Bounced | Abandoned
        ),
        _ => false,
    };
    is_allowed.then_some(()).ok_or(NotAllowed {
        before: Some(before),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 4] = [
        Outcome::Accepted,
        Outcome::Deferred,
        Outcome::Rejected,
        Outcome::Unknown,
    ];

    const PROOFS: [Proof; 3] = [Proof::Delivered, Proof::Failed, Proof::Accepted];

    fn causes() -> Vec<Cause> {
        let decisions = [
            Decision::Accepted,
            Decision::Delivered,
            Decision::Bounced,
            Decision::Resend,
            Decision::Abandoned,
        ];
        let mut causes = vec![
            Cause::Enrol,
            Cause::Arm,
            Cause::GiveUp,
            Cause::Disarm,
            Cause::Recovery,
            Cause::OlderLedger,
            Cause::Breaker,
            Cause::ResendMismatch,
            Cause::OutOfOrder,
            Cause::Suppress,
            Cause::Unsuppress,
            Cause::ReminderNotNeeded,
            Cause::Forget,
            Cause::Retention,
        ];
        causes.extend(OUTCOMES.map(Cause::Outcome));
        causes.extend(OUTCOMES.map(Cause::LateReply));
        causes.extend(decisions.map(Cause::Person));
        causes.extend(PROOFS.map(Cause::Notification));
        causes
    }

    #[test]
    fn only_a_person_reopens_what_may_have_been_accepted() {
        let closed = [
            State::Accepted,
            State::Unknown,
            State::Delivered,
            State::Bounced,
        ];
        for state in closed {
            for cause in causes() {
                // The relay's own reply to the message, which came late, is no guess.
                if matches!(cause, Cause::Person(_) | Cause::LateReply(_)) {
                    continue;
                }
                if let Ok(new) = next(Some(state), cause) {
                    assert!(closed.contains(&new), "{state} by {cause:?}: {new}");
                }
            }
        }
    }

    #[test]
    fn reports_change_only_what_was_sent() {
        for &state in State::ALL {
            let by = |proof| next(Some(state), Cause::Notification(proof)).ok();
            let sent = matches!(state, State::Accepted | State::Unknown);
            let bounced = (sent || state == State::Delivered).then_some(State::Bounced);
            assert_eq!(by(Proof::Failed), bounced, "{state}");
            assert_eq!(
                by(Proof::Delivered),
                sent.then_some(State::Delivered),
                "{state}"
            );
            let accepted = (state == State::Unknown).then_some(State::Accepted);
            assert_eq!(by(Proof::Accepted), accepted, "{state}");
        }
    }

    #[test]
    fn a_report_outweighs_replies_out_of_order() {
        for state in [State::Bounced, State::Delivered] {
            assert_eq!(next(Some(state), Cause::OutOfOrder), Ok(state));
        }
    }

    #[test]
    fn accepted_and_unknown_follow_only_armed() {
        for &state in State::ALL {
            for outcome in [Outcome::Accepted, Outcome::Unknown] {
                let allowed = next(Some(state), Cause::Outcome(outcome)).is_ok();
                assert_eq!(allowed, state == State::Armed, "{state} by {outcome:?}");
            }
        }
    }

    #[test]
    fn armed_rows_found_at_start_can_only_become_unknown() {
        assert_eq!(
            next(Some(State::Armed), Cause::Recovery),
            Ok(State::Unknown)
        );
        assert_eq!(
            next(Some(State::Armed), Cause::OlderLedger),
            Ok(State::Unknown)
        );
        assert!(next(Some(State::Armed), Cause::Arm).is_err());
        assert!(next(Some(State::Armed), Cause::Person(Decision::Resend)).is_err());
    }

    #[test]
    fn refusals_of_the_sender_leave_no_recipient_rejected() {
        assert_eq!(
            next(Some(State::Rejected), Cause::Breaker),
            Ok(State::Deferred)
        );
        assert_eq!(
            next(Some(State::Expired), Cause::Breaker),
            Ok(State::Deferred)
        );
        for state in [State::Pending, State::Deferred, State::Armed] {
            assert_eq!(next(Some(state), Cause::Disarm), Ok(State::Pending));
            assert!(next(Some(state), Cause::Breaker).is_err());
        }
        for cause in [Cause::Breaker, Cause::Disarm] {
            assert!(next(Some(State::Accepted), cause).is_err());
            assert!(next(Some(State::Unknown), cause).is_err());
        }
    }

    #[test]
    fn a_person_accepts_or_abandons_what_is_open_and_abandons_what_failed() {
        let by = |state, decision| next(Some(state), Cause::Person(decision)).ok();
        for &state in State::ALL {
            let open = matches!(state, State::Unknown | State::Pending | State::Deferred);
            let failed = matches!(state, State::Expired | State::Rejected | State::Bounced);
            let accepted = open.then_some(State::Accepted);
            assert_eq!(by(state, Decision::Accepted), accepted, "{state}");
            let abandoned = (open || failed).then_some(State::Abandoned);
            assert_eq!(by(state, Decision::Abandoned), abandoned, "{state}");
        }
    }

    #[test]
    fn only_an_open_reminder_is_no_longer_needed() {
        for &state in State::ALL {
            let expected =
                matches!(state, State::Pending | State::Deferred).then_some(State::Abandoned);
            let abandoned = next(Some(state), Cause::ReminderNotNeeded).ok();
            assert_eq!(abandoned, expected, "{state}");
        }
    }

    #[test]
    fn suppressed_is_left_only_when_it_is_removed_from_the_list() {
        for cause in causes() {
            match next(Some(State::Suppressed), cause) {
                Ok(State::Pending) => assert_eq!(cause, Cause::Unsuppress),
                Ok(State::Suppressed) | Err(_) => {}
                Ok(other) => panic!("{other} by {cause:?}"),
            }
        }
        assert!(next(Some(State::Suppressed), Cause::Arm).is_err());
    }

    #[test]
    fn only_what_is_due_is_suppressed() {
        for &state in State::ALL {
            let due = matches!(state, State::Pending | State::Deferred);
            let suppressed = next(Some(state), Cause::Suppress).ok();
            assert_eq!(suppressed, due.then_some(State::Suppressed), "{state}");
        }
    }

    #[test]
    fn only_what_is_not_armed_is_forgotten_and_only_what_is_closed_expires() {
        for &state in State::ALL {
            let open = matches!(
                state,
                State::Pending
                    | State::Armed
                    | State::Deferred
                    | State::Unknown
                    | State::Expired
                    | State::Suppressed
            );
            assert_eq!(erase(state, Cause::Forget).is_ok(), state != State::Armed);
            assert_eq!(erase(state, Cause::Retention).is_ok(), !open, "{state}");
            assert!(erase(state, Cause::Person(Decision::Abandoned)).is_err());
        }
    }

    #[test]
    fn an_unrecorded_invitation_is_enrolled_or_closed_by_a_person() {
        for cause in causes() {
            let expected = match cause {
                Cause::Enrol => Ok(State::Pending),
                Cause::Suppress => Ok(State::Suppressed),
                Cause::Person(Decision::Accepted) => Ok(State::Accepted),
                Cause::Person(Decision::Abandoned) => Ok(State::Abandoned),
                _ => Err(NotAllowed {
                    before: None,
                    cause,
                }),
            };
            assert_eq!(next(None, cause), expected);
        }
        for &state in State::ALL {
            assert!(next(Some(state), Cause::Enrol).is_err(), "{state}");
        }
    }
}
