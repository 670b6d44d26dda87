//! `[reminders]`: when partners who have not asked for access are reminded.

use super::reader::Section;
use super::values::{choice, duration, number};
use crate::invitation::{ReminderSchedule, Unless};

const UNLESS: [(&str, Unless); 2] = [
    ("address", Unless::Address),
    ("colleague", Unless::Colleague),
];

/// The most reminders that can be configured.
const MOST: u32 = 20;

/// Without the table, which may be empty, nobody is reminded.
pub fn read(section: &mut Section<'_>) -> Option<ReminderSchedule> {
    let at_most = number(1..=MOST).map(|it| u8::try_from(it).unwrap_or(u8::MAX));
    let schedule = ReminderSchedule {
        after: section
            .key(
                "after",
                "the time from the acceptance of the invitation to the first reminder",
            )
            .or("\"7d\"", duration()),
        every: section
            .key(
                "every",
                "the time from the acceptance of a reminder to the next",
            )
            .or("\"7d\"", duration()),
        at_most: section
            .key("at_most", "the most reminders of one invitation")
            .or("2", at_most),
        unless: section
            .key(
                "unless",
                "whose request for access prevents a reminder: the partner's own, or with \"colleague\" also that of anybody at the same domain",
            )
            .or("\"address\"", choice(&UNLESS)),
    };
    section.is_given().then_some(schedule)
}
