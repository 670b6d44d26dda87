//! What has happened to an invited partner so far: invited, arrived or bounced, reminded, requested, granted.

use jiff::Timestamp;

use super::access::{Access, AccessBy, AccessState};
use super::record::Record;
use super::state::State;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoadStep {
    /// What happened, such as `invited`.
    pub what: String,
    /// When, if that is known.
    pub at: Option<Timestamp>,
}

/// The steps in the order of their times; those without a time are last.
#[must_use]
pub fn road(
    invitation: Option<&Record>,
    reminders: &[Record],
    access: Option<&Access>,
) -> Vec<RoadStep> {
    let mut steps = Vec::new();
    let mut add = |what: &str, at| {
        let what = what.to_owned();
        steps.push(RoadStep { what, at });
    };
    if let Some(Record {
        standing,
        accepted_at,
        ..
    }) = invitation
    {
        if accepted_at.is_some() {
            add("invited", *accepted_at);
        }
        match standing.state {
            State::Accepted => {}
            State::Delivered => add("arrived", Some(standing.updated_at)),
            state => add(state.as_str(), Some(standing.updated_at)),
        }
    }
    for reminder in reminders.iter().filter(|it| it.accepted_at.is_some()) {
        add("reminded", reminder.accepted_at);
    }
    if let Some(access) = access.filter(|it| it.is_known()) {
        let whose = match access.by {
            Some(AccessBy::Colleague) => " (a colleague)",
            _ => "",
        };
        if access.requested_at.is_some() || access.state == AccessState::Requested {
            add(&format!("requested{whose}"), access.requested_at);
        }
        if access.state != AccessState::Requested {
            add(&format!("{}{whose}", access.state), access.at);
        }
    }
    steps.sort_by_key(|it| it.at.unwrap_or(Timestamp::MAX));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::invitation::{Event, Identity, Invitee, Standing};
    use crate::link::PackageId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record(state: State, accepted_at: Option<i64>, updated_at: i64) -> Record {
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        Record {
            id: 1,
            identity: Identity::new("spring", id, &Address::parse("a@a.example").unwrap()),
            invitee: Invitee {
                package: "plans".into(),
                email: "a@a.example".into(),
                name: None,
                organization: None,
                locale: None,
                template_locale: "en".into(),
            },
            created_at: at(0),
            accepted_at: accepted_at.map(at),
            standing: Standing {
                state,
                updated_at: at(updated_at),
                ..Standing::default()
            },
            latest: Event {
                at: at(updated_at),
                from: None,
                to: state,
                phase: None,
                smtp_code: None,
                enhanced_code: None,
                reply: None,
                relay: None,
                message_id: String::new(),
                note: None,
            },
        }
    }

    fn words(steps: &[RoadStep]) -> String {
        let words = steps.iter().map(|it| match it.at {
            Some(at) => format!("{} {}", it.what, at.as_second()),
            None => it.what.clone(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_steps_are_told_in_the_order_of_their_times() {
        let access = |state, at_second: Option<i64>, by, requested: Option<i64>| Access {
            state,
            at: at_second.map(at),
            by: Some(by),
            requested_at: requested.map(at),
        };
        let reminders = [
            record(State::Accepted, Some(40), 40),
            record(State::Pending, None, 45),
        ];
        let by = (AccessBy::Address, AccessBy::Colleague);
        for (invitation, reminders, access, expected) in [
            (None, &reminders[..0], None, ""),
            (
                Some(record(State::Delivered, Some(10), 20)),
                &reminders[..],
                Some(access(AccessState::Granted, Some(60), by.0, Some(50))),
                "invited 10, arrived 20, reminded 40, requested 50, granted 60",
            ),
            (
                Some(record(State::Bounced, Some(10), 20)),
                &[],
                Some(access(AccessState::Denied, Some(8), by.1, Some(5))),
                "requested (a colleague) 5, denied (a colleague) 8, invited 10, bounced 20",
            ),
            (
                Some(record(State::Deferred, None, 20)),
                &[],
                Some(access(AccessState::Requested, None, by.0, None)),
                "deferred 20, requested",
            ),
            (
                Some(record(State::Accepted, Some(10), 10)),
                &[],
                Some(access(AccessState::Granted, None, by.0, None)),
                "invited 10, granted",
            ),
            (
                Some(record(State::Accepted, Some(10), 10)),
                &[],
                Some(Access::default()),
                "invited 10",
            ),
        ] {
            let steps = road(invitation.as_ref(), reminders, access.as_ref());
            assert_eq!(words(&steps), expected);
        }
    }
}
