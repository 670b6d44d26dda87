//! When a reminder is due, and when it is no longer needed: pure functions of what is recorded.

use jiff::{SignedDuration, Timestamp};

use super::access::{Access, AccessBy};
use super::occasion::Occasion;
use super::state::State;

/// When reminders are sent, and to whom not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReminderSchedule {
    /// The time from the acceptance of the invitation to the first reminder.
    pub after: SignedDuration,
    /// The time from the acceptance of a reminder to the next.
    pub every: SignedDuration,
    /// The most reminders of one invitation.
    pub at_most: u8,
    /// Whose request for access makes a reminder unnecessary.
    pub unless: Unless,
}

/// Whose request for access makes a reminder unnecessary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unless {
    /// The partner's own.
    #[default]
    Address,
    /// That of anybody at the partner's domain.
    Colleague,
}

/// What is recorded about an invitation or a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailed {
    /// What it was sent for.
    pub occasion: Occasion,
    /// Its state.
    pub state: State,
    /// When it was accepted, if it was.
    pub accepted_at: Timestamp,
}

/// An invitation that was accepted, as its reminders refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Its Message-ID, without brackets.
    pub message_id: String,
    /// When it was accepted.
    pub at: Timestamp,
}

/// What is to be done about the reminders of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextReminder {
    /// Nothing: the invitation is not accepted, or all its reminders were sent.
    None,
    /// This one may be sent from then on.
    Due(Occasion, Timestamp),
    /// This one must be settled before the next.
    Blocked(Occasion, State),
    /// None is needed any more; one that is open is abandoned.
    NotNeeded(NotNeeded),
}

/// Why no more reminders are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum NotNeeded {
    /// Access was requested.
    #[strum(to_string = "access was requested")]
    Requested,
    /// The invitation, or a reminder, did not arrive or was closed by a person.
    #[strum(to_string = "the invitation or an earlier reminder did not arrive, or was closed")]
    NotArrived,
    /// The reminder is beyond `at_most`.
    #[strum(to_string = "`reminders.at_most` is reached")]
    Enough,
}

impl Unless {
    /// Whether this access makes a reminder unnecessary.
    #[must_use]
    pub fn applies(self, access: &Access) -> bool {
        access.is_known() && (self == Self::Colleague || access.by != Some(AccessBy::Colleague))
    }
}

impl Mailed {
    /// When it was accepted; none if it was not.
    fn accepted(&self) -> Option<Timestamp> {
        let is_accepted = matches!(self.state, State::Accepted | State::Delivered);
        is_accepted.then_some(self.accepted_at)
    }

    /// Whether it did not arrive and is not tried again, or was closed.
    fn has_failed(&self) -> bool {
        matches!(
            self.state,
            State::Bounced
                | State::Rejected
                | State::Expired
                | State::Abandoned
                | State::Suppressed
        )
    }
}

/// Why a reminder of this invitation is not needed, given the reminders before it. `requested`: whether access is
/// known to be requested.
#[must_use]
pub fn not_needed(invitation: &Mailed, earlier: &[Mailed], requested: bool) -> Option<NotNeeded> {
    if requested {
        return Some(NotNeeded::Requested);
    }
    let failed = invitation.has_failed() || earlier.iter().any(Mailed::has_failed);
    failed.then_some(NotNeeded::NotArrived)
}

impl ReminderSchedule {
    /// The next reminder of an invitation, of which these reminders are recorded, in ascending order.
    ///
    /// A time in the future, which only a clock that was ahead can have recorded, is waited for, so no
    /// reminder is early twice.
    #[must_use]
    pub fn next(
        &self,
        invitation: &Mailed,
        reminders: &[Mailed],
        access: Option<&Access>,
    ) -> NextReminder {
        let is_open = |it: &Mailed| matches!(it.state, State::Pending | State::Deferred);
        let open = reminders.iter().position(is_open);
        let earlier = &reminders[..open.unwrap_or(reminders.len())];
        let requested = access.is_some_and(|it| self.unless.applies(it));
        if let Some(why) = not_needed(invitation, earlier, requested) {
            return NextReminder::NotNeeded(why);
        }
        let is_unsettled = |it: &&Mailed| matches!(it.state, State::Armed | State::Unknown);
        if let Some(it) = reminders.iter().find(is_unsettled) {
            return NextReminder::Blocked(it.occasion, it.state);
        }
        let Some(invited_at) = invitation.accepted() else {
            return NextReminder::None;
        };
        let next = match (open, reminders.last().map(|it| it.occasion)) {
            (Some(place), _) => reminders[place].occasion,
            (None, Some(Occasion::Reminder(last))) => Occasion::Reminder(last.saturating_add(1)),
            (None, _) => Occasion::Reminder(1),
        };
        if next > Occasion::Reminder(self.at_most) {
            return match open {
                Some(_) => NextReminder::NotNeeded(NotNeeded::Enough),
                None => NextReminder::None,
            };
        }
        let behind = |at: Timestamp, pause| at.saturating_add(pause).unwrap_or(Timestamp::MAX);
        let previous = reminders.iter().filter(|it| it.occasion != next);
        let previous = previous.filter_map(Mailed::accepted).max();
        let due = behind(invited_at, self.after);
        let due = due.max(previous.map_or(due, |it| behind(it, self.every)));
        NextReminder::Due(next, due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invitation::AccessState;

    const SCHEDULE: ReminderSchedule = ReminderSchedule {
        after: SignedDuration::from_hours(7 * 24),
        every: SignedDuration::from_hours(3 * 24),
        at_most: 2,
        unless: Unless::Address,
    };

    fn day(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number)
    }

    /// Invitation and reminders with these states, each with the day on which it was accepted.
    fn mailed(states: &[(State, i64)]) -> Vec<Mailed> {
        let occasions = [Occasion::Invitation].into_iter();
        let occasions = occasions.chain((1..).map(Occasion::Reminder));
        let mailed = states.iter().zip(occasions);
        mailed
            .map(|((state, at), occasion)| Mailed {
                occasion,
                state: *state,
                accepted_at: day(*at),
            })
            .collect()
    }

    fn next(states: &[(State, i64)]) -> NextReminder {
        let all = mailed(states);
        SCHEDULE.next(&all[0], &all[1..], None)
    }

    #[test]
    fn each_reminder_waits_for_the_acceptance_before_it() {
        use State::{Accepted, Deferred, Delivered, Pending};
        let due = |number, at| NextReminder::Due(Occasion::Reminder(number), day(at));

        for (states, expected) in [
            (vec![(Accepted, 1)], due(1, 8)),
            (vec![(Delivered, 1)], due(1, 8)),
            (vec![(Accepted, 1), (Pending, 9)], due(1, 8)),
            (vec![(Accepted, 1), (Deferred, 9)], due(1, 8)),
            (vec![(Accepted, 1), (Accepted, 9)], due(2, 12)),
            (
                vec![(Accepted, 1), (Delivered, 9), (Pending, 9)],
                due(2, 12),
            ),
            (
                vec![(Accepted, 1), (Accepted, 9), (Accepted, 12)],
                NextReminder::None,
            ),
            // The invitation was sent again after its reminder.
            (vec![(Accepted, 20), (Accepted, 9)], due(2, 27)),
            (vec![(Accepted, 20), (Pending, 9)], due(1, 27)),
            // A clock that was ahead.
            (vec![(Accepted, 1), (Accepted, 400)], due(2, 403)),
        ] {
            assert_eq!(next(&states), expected, "{states:?}");
        }
    }

    #[test]
    fn nothing_is_due_for_an_invitation_that_was_not_accepted() {
        for state in [
            State::Pending,
            State::Deferred,
            State::Armed,
            State::Unknown,
        ] {
            assert_eq!(next(&[(state, 1)]), NextReminder::None, "{state}");
            let with_open = next(&[(state, 1), (State::Pending, 9)]);
            assert_eq!(with_open, NextReminder::None, "{state}");
        }
    }

    #[test]
    fn what_did_not_arrive_or_was_closed_ends_the_series() {
        let ended = NextReminder::NotNeeded(NotNeeded::NotArrived);
        let failed = [
            State::Bounced,
            State::Rejected,
            State::Expired,
            State::Abandoned,
            State::Suppressed,
        ];
        for state in failed {
            assert_eq!(next(&[(state, 1)]), ended, "{state}");
            assert_eq!(next(&[(state, 1), (State::Pending, 9)]), ended, "{state}");
            let reminder = [(State::Accepted, 1), (state, 9)];
            assert_eq!(next(&reminder), ended, "{state}");
            let later = [reminder[0], reminder[1], (State::Deferred, 12)];
            assert_eq!(next(&later), ended, "{state}");
        }
    }

    #[test]
    fn an_unknown_reminder_blocks_the_next() {
        for state in [State::Unknown, State::Armed] {
            let blocked = NextReminder::Blocked(Occasion::Reminder(1), state);
            assert_eq!(next(&[(State::Accepted, 1), (state, 9)]), blocked);
        }
    }

    #[test]
    fn a_lower_limit_closes_what_is_open() {
        let all = mailed(&[
            (State::Accepted, 1),
            (State::Accepted, 9),
            (State::Pending, 12),
        ]);
        let schedule = ReminderSchedule {
            at_most: 1,
            ..SCHEDULE
        };
        let next = |reminders| schedule.next(&all[0], reminders, None);

        assert_eq!(next(&all[1..]), NextReminder::NotNeeded(NotNeeded::Enough));
        assert_eq!(next(&all[1..2]), NextReminder::None);
    }

    #[test]
    fn any_access_silences_and_that_of_a_colleague_only_if_asked() {
        let all = mailed(&[(State::Accepted, 1)]);
        for &state in AccessState::ALL {
            for by in [AccessBy::Address, AccessBy::Colleague] {
                for unless in [Unless::Address, Unless::Colleague] {
                    let schedule = ReminderSchedule { unless, ..SCHEDULE };
                    let access = Access {
                        state,
                        at: None,
                        by: Some(by),
                        requested_at: None,
                    };
                    let next = schedule.next(&all[0], &[], Some(&access));
                    let counts = by == AccessBy::Address || unless == Unless::Colleague;
                    let silent = next == NextReminder::NotNeeded(NotNeeded::Requested);
                    assert_eq!(silent, counts && state != AccessState::None, "{access:?}");
                }
            }
        }
    }
}
