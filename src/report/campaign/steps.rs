//! What happened to an invitation, step by step, in words.

use jiff::Timestamp;

use super::super::formats::reply_text;
use super::model::{InvitationRow, MailRow};
use crate::invitation::{Access, AccessBy, AccessState, Event, Occasion, State};

/// How states are grouped in charts and colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Group {
    /// The relay accepted the message, and it did not come back.
    Reached,
    /// Still to be sent.
    Open,
    /// A person must find out.
    Unknown,
    /// It could not be delivered.
    Failed,
    /// Nothing is sent any more.
    Closed,
}

impl Group {
    /// The group of a state.
    pub fn of(state: State) -> Self {
        match state {
            State::Accepted | State::Delivered => Self::Reached,
            State::Pending | State::Armed | State::Deferred => Self::Open,
            State::Unknown => Self::Unknown,
            State::Rejected | State::Bounced | State::Expired => Self::Failed,
            State::Abandoned | State::Suppressed => Self::Closed,
        }
    }

    /// The group in whose colour access is shown.
    pub fn of_access(access: AccessState) -> Self {
        match access {
            AccessState::Granted => Self::Reached,
            AccessState::Requested => Self::Open,
            AccessState::Denied | AccessState::Failed => Self::Failed,
            AccessState::Removed | AccessState::None => Self::Closed,
        }
    }

    /// Its name in the style sheet.
    pub fn class(self) -> &'static str {
        self.into()
    }

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Reached => "accepted or delivered",
            Self::Open => "to be sent",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: String,
    /// Its group; none for a note.
    pub group: Option<Group>,
    /// The reply of the relay.
    pub reply: String,
    /// The note of a person or the program.
    pub note: String,
}

/// The steps of an invitation, its reminders and the request for access, in the order of time. An attempt is one
/// step: its result.
pub fn steps(row: &InvitationRow) -> Vec<Step> {
    let mut steps = Vec::new();
    for mail in std::iter::once(&row.mail).chain(&row.reminders) {
        add_mail(&mut steps, mail);
    }
    if let Some(access) = &row.access {
        add_access(&mut steps, access);
    }
    steps.sort_by_key(|it| it.at);
    steps
}

fn add_mail(steps: &mut Vec<Step>, mail: &MailRow) {
    let is_reminder = mail.record.identity.occasion.is_reminder();
    let about = match mail.record.identity.occasion {
        Occasion::Invitation => String::new(),
        Occasion::Reminder(number) => format!("reminder {number} "),
    };
    let mut attempts = 0;
    for (nth, event) in mail.history.iter().enumerate() {
        let is_last = nth + 1 == mail.history.len();
        // A reminder is recorded by the run that sends it.
        let is_only_recorded = event.from.is_none() && is_reminder;
        if (event.to == State::Armed || is_only_recorded) && !is_last {
            continue;
        }
        let is_attempt = event.phase.is_some();
        attempts += u32::from(is_attempt);
        let what = what(event, is_attempt.then_some(attempts));
        steps.push(Step {
            at: event.at,
            what: format!("{about}{what}"),
            group: (event.from != Some(event.to)).then(|| Group::of(event.to)),
            reply: reply_text(event),
            note: event.note.clone().unwrap_or_default(),
        });
    }
}

fn what(event: &Event, attempt: Option<u32>) -> String {
    let change = match event.to {
        _ if event.from == Some(event.to) && attempt.is_none() => return "note".into(),
        State::Pending if event.from.is_none() => "recorded",
        State::Pending => "to be sent",
        State::Armed => "handed over, no reply recorded",
        State::Unknown if attempt.is_some() => "no clear reply",
        State::Abandoned => "closed",
        state => state.as_str(),
    };
    match attempt {
        // The first attempt is the usual one.
        Some(number @ 2..) => format!("{change}, attempt {number}"),
        _ => change.into(),
    }
}

fn add_access(steps: &mut Vec<Step>, access: &Access) {
    let mut add = |at: Option<Timestamp>, state: AccessState| {
        let colleague = match access.by {
            Some(AccessBy::Colleague) => " to a colleague",
            _ => "",
        };
        let what = match state {
            AccessState::None => return,
            AccessState::Requested if colleague.is_empty() => "access requested".into(),
            AccessState::Requested => "access requested by a colleague".into(),
            AccessState::Failed => format!("assignment of access{colleague} failed"),
            state => format!("access {state}{colleague}"),
        };
        steps.extend(at.map(|at| Step {
            at,
            what,
            group: Some(Group::of_access(state)),
            reply: String::new(),
            note: String::new(),
        }));
    };
    add(access.requested_at, AccessState::Requested);
    if access.state != AccessState::Requested {
        add(access.at, access.state);
    } else if access.requested_at.is_none() {
        add(access.at, AccessState::Requested);
    }
}

/// When the state last changed to this one.
pub fn changed_to(history: &[Event], state: State) -> Option<Timestamp> {
    let mut changes = history.iter().rev();
    let change = changes.find(|it| it.to == state && it.from != Some(state));
    change.map(|it| it.at)
}

/// When the first attempt ended.
pub fn first_attempt(history: &[Event]) -> Option<Timestamp> {
    history.iter().find(|it| it.phase.is_some()).map(|it| it.at)
}
