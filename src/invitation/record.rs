//! What a ledger records about an invitation, independent of its store.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::identity::Identity;
use super::reminder::{Invited, Mailed};
use super::state::State;

/// The current status of an invitation, for the plan. The default is that of one that was just enrolled, apart
/// from its Message-ID.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Its Message-ID, without brackets.
    pub message_id: String,
    /// The number of attempts.
    pub attempts: u32,
    /// How often it was deferred since it last became pending.
    pub deferrals: u32,
    /// The time of the first of these deferrals.
    pub deferred_since: Option<Timestamp>,
    /// When it is due again, if it is deferred.
    pub next_attempt_at: Option<Timestamp>,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// The Date and SHA-256 of the message that was last armed.
    pub message: Option<(Timestamp, [u8; 32])>,
    /// Whether the same bytes must be sent again.
    pub repeat: bool,
    /// Whether a relay refused it since a person last made it pending.
    pub refused: bool,
    /// Whether the breaker has changed it from `expired` to `deferred` since then.
    pub was_reopened: bool,
}

impl Standing {
    /// The Date to compose with: that of the message to be repeated, otherwise `now`.
    #[must_use]
    pub fn date(&self, now: Timestamp) -> Timestamp {
        let repeated = self.message.filter(|_| self.repeat);
        repeated.map_or(now, |(date, _)| date)
    }
}

/// The invited person and their package, as in the row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitee {
    /// The package's key in the configuration.
    pub package: String,
    /// The address as written.
    pub email: String,
    /// The person's name.
    pub name: Option<String>,
    /// The partner's organisation.
    pub organization: Option<String>,
    /// The locale in the row.
    pub locale: Option<String>,
    /// The locale of the template.
    pub template_locale: String,
}

/// Everything recorded about an invitation, for reports.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number in the ledger.
    pub id: i64,
    /// Its identity.
    pub identity: Identity,
    /// Who is invited, as in the row when it was enrolled.
    pub invitee: Invitee,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When a relay accepted it.
    pub accepted_at: Option<Timestamp>,
    /// Its standing.
    pub standing: Standing,
    /// Its latest event.
    pub latest: Event,
}

impl Record {
    /// What decides about reminders.
    #[must_use]
    pub fn mailed(&self) -> Mailed {
        Mailed {
            occasion: self.identity.occasion,
            state: self.standing.state,
            accepted_at: self.sent_at(),
        }
    }

    /// What reminders of this invitation refer to.
    #[must_use]
    pub fn invited(&self) -> Invited {
        Invited {
            message_id: self.standing.message_id.clone(),
            at: self.sent_at(),
        }
    }

    /// When it was accepted. If a report shows that and there was no reply, the Date of the message.
    fn sent_at(&self) -> Timestamp {
        let date = self.standing.message.map(|it| it.0);
        let sent = self.accepted_at.or(date);
        sent.unwrap_or(self.standing.updated_at)
    }
}

/// One line of an invitation's history. The names in JSON are an interface.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// The time of the event.
    #[serde(serialize_with = "to_the_second")]
    pub at: Timestamp,
    /// The state before; none for the enrolment.
    pub from: Option<State>,
    /// The state after.
    pub to: State,
    /// The phase of the conversation.
    pub phase: Option<String>,
    /// The relay's reply code.
    pub smtp_code: Option<u16>,
    /// The enhanced status code.
    pub enhanced_code: Option<String>,
    /// The reply's text.
    pub reply: Option<String>,
    /// The relay.
    pub relay: Option<String>,
    /// The Message-ID at that time.
    pub message_id: String,
    /// A note by a person or the program.
    pub note: Option<String>,
}

/// Serializes a time as RFC 3339 in UTC, to the second.
///
/// # Errors
/// That of the serializer.
pub fn to_the_second<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&at.strftime("%Y-%m-%dT%H:%M:%SZ"))
}
