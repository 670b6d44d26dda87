//! The last check before a reminder is armed.

use super::records::Change;
use super::refusal::Refusal;
use crate::invitation::{Access, Cause, Mailed, Occasion, Record, not_needed};

/// The change that abandons the reminder which `arm` is about to arm, if access was requested or a message came back
/// since it was planned. `recorded` are its invitation and all reminders, in the order of their occasions.
pub fn withdrawal(
    arm: &Change,
    recorded: &[Record],
    access: Option<&Access>,
) -> Result<Option<Change>, Refusal> {
    let mailed: Vec<Mailed> = recorded.iter().map(Record::mailed).collect();
    let [invitation, reminders @ ..] = mailed.as_slice() else {
        return Err(Refusal::Missing);
    };
    if invitation.occasion != Occasion::Invitation {
        return Err(Refusal::Missing);
    }
    let place = reminders
        .iter()
        .position(|it| it.occasion == arm.identity.occasion);
    let earlier = &reminders[..place.ok_or(Refusal::Missing)?];
    let requested = access.is_some_and(|it| arm.unless.applies(it));
    let why = not_needed(invitation, earlier, requested);
    Ok(why.map(|why| Change {
        note: Some(why.to_string()),
        ..Change::new(&arm.identity, arm.at, Cause::ReminderNotNeeded)
    }))
}
