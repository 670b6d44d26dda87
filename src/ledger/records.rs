//! What a ledger records and returns, independent of its store.

use jiff::Timestamp;

use super::witness::WitnessMark;
use crate::invitation::{
    AddressPattern, Cause, Effect, Event, Identity, Invitee, Occasion, Proof, State, Suppression,
    Unless, effect,
};
use crate::link::PackageId;
use crate::outcome::{Phase, Reply};

/// An invitation that no run has recorded yet.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The invitation.
    pub identity: Identity,
    /// The partner.
    pub invitee: Invitee,
    /// The Message-ID, without its brackets.
    pub message_id: String,
}

/// A change of one invitation.
#[derive(Clone, Debug)]
pub struct Change {
    /// The invitation.
    pub identity: Identity,
    /// The time of the change.
    pub at: Timestamp,
    /// The cause of the change.
    pub cause: Cause,
    /// The phase of the conversation.
    pub phase: Option<Phase>,
    /// The relay's reply.
    pub reply: Option<Reply>,
    /// The relay.
    pub relay: Option<String>,
    /// A note by a person or the program.
    pub note: Option<String>,
    /// With [`Cause::Arm`]: the message's Date and SHA-256.
    pub message: Option<(Timestamp, [u8; 32])>,
    /// With [`Cause::Arm`] of a reminder: whose request for access prevents it.
    pub unless: Unless,
    /// With a deferral: when to try again.
    pub next_attempt_at: Option<Timestamp>,
    /// With a resend: whether the same bytes must be sent again.
    pub repeat: bool,
}

impl Change {
    /// A change without details.
    #[must_use]
    pub fn new(identity: &Identity, at: Timestamp, cause: Cause) -> Self {
        Self {
            identity: identity.clone(),
            at,
            cause,
            phase: None,
            reply: None,
            relay: None,
            note: None,
            message: None,
            unless: Unless::default(),
            next_attempt_at: None,
            repeat: false,
        }
    }

    /// The change of an invitation that was left armed by a run that ended, or that other runs count as lost.
    #[must_use]
    pub fn recovery(identity: &Identity, at: Timestamp, relay: Option<String>) -> Self {
        Self {
            phase: Some(Phase::Dot),
            relay,
            note: Some("the run ended between the final dot and its reply".into()),
            ..Self::new(identity, at, Cause::Recovery)
        }
    }
}

/// A report about an invitation.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The invitation's number.
    pub invitation: i64,
    /// The invitation.
    pub identity: Identity,
    /// The Message-ID that the report is about, without brackets.
    pub message_id: String,
    /// Whether the report is about the address to which the message was sent.
    pub about_recipient: bool,
    /// What it proves.
    pub proof: Proof,
    /// The last server's reply, or the report's words.
    pub reply: Option<Reply>,
    /// Which report it is. The same report is recorded once.
    pub origin: String,
    /// What it says, for the history.
    pub text: String,
    /// When it is recorded.
    pub at: Timestamp,
    /// By which entry the address is suppressed from then on. That of a bounce counts only if it changes the state.
    pub suppress: Option<(AddressPattern, Suppression)>,
}

/// What an entry of the suppression list did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// Whether it is new on the list.
    pub listed: bool,
    /// How many invitations became suppressed.
    pub changed: u64,
}

/// How fast a relay may be sent messages by all runs together.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// The relay.
    pub relay: String,
    /// Messages in any 60 seconds.
    pub per_minute: u32,
    /// Messages in any 24 hours.
    pub per_day: u32,
}

/// What a notification did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// The state was the first and is now the second.
    Changed(State, State),
    /// It was noted in the history.
    Noted,
    /// It was recorded before.
    Known,
    /// The message is being sent; to be read again.
    Waiting,
}

impl Notification {
    /// Whether its address is suppressed by what it did.
    #[must_use]
    pub fn suppresses(&self, notified: Notified) -> bool {
        let applies = match notified {
            Notified::Changed(_, now) => now == State::Bounced || self.proof != Proof::Failed,
            Notified::Noted => self.proof != Proof::Failed,
            Notified::Known | Notified::Waiting => false,
        };
        applies && self.suppress.is_some()
    }

    /// What it changes about an invitation in this state, whose last message has this Message-ID.
    #[must_use]
    pub fn effect(&self, state: State, message_id: &str) -> Effect {
        let about_current = self.about_recipient && self.message_id == message_id;
        effect(state, self.proof, about_current)
    }

    /// The change of its invitation by this cause.
    #[must_use]
    pub fn change(&self, cause: Cause) -> Change {
        Change {
            reply: self.reply.clone(),
            note: Some(note_begin(&self.origin) + &self.text),
            ..Change::new(&self.identity, self.at, cause)
        }
    }
}

/// How the note of a report begins. The colon ends the origin, so that it is not the beginning of another.
pub fn note_begin(origin: &str) -> String {
    format!("{origin}: ")
}

/// An invitation that was sent at least once, for matching reports.
#[derive(Clone, Debug)]
pub struct SentInvitation {
    /// Its number.
    pub id: i64,
    /// The invitation.
    pub identity: Identity,
    /// The Message-ID of its last message, without brackets.
    pub message_id: String,
    /// How often it was reopened with a new Message-ID.
    pub generation: u32,
}

/// A message whose result the relay's reply did not settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// When it was sent.
    pub at: Timestamp,
    /// The invitation's number.
    pub invitation: i64,
    /// Whether the invitation is `unknown`; otherwise it is `accepted`.
    pub is_unknown: bool,
}

/// The result of each change of a request, in their order.
pub type ChangeResults = Vec<super::error::Result<State>>;

/// Which records of a campaign to read.
#[derive(Clone, Debug)]
pub struct RecordFilter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those to the package with this id.
    pub package_id: Option<PackageId>,
    /// Only those of this canonical address.
    pub address: Option<String>,
    /// Only those for this occasion; `None` selects reminders, too.
    pub occasion: Option<Occasion>,
}

impl RecordFilter {
    /// All in this state, reminders, too.
    #[must_use]
    pub fn in_state(state: State) -> Self {
        Self {
            state: Some(state),
            occasion: None,
            ..Self::default()
        }
    }
}

impl Default for RecordFilter {
    /// All invitations, without their reminders.
    fn default() -> Self {
        Self {
            state: None,
            package_id: None,
            address: None,
            occasion: Some(Occasion::Invitation),
        }
    }
}

/// A run that is about to write.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The verb of the command line.
    pub verb: &'static str,
    /// The campaign of the configuration.
    pub campaign: String,
    /// Its start.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct RunEnd {
    /// Its end.
    pub at: Timestamp,
    /// Its exit code.
    pub exit_code: u8,
    /// The digest of the inputs, if they were read.
    pub digest: Option<String>,
    /// How many invitations ended in each state, as JSON.
    pub counts: Option<String>,
}

/// A change on record, for export.
#[derive(Clone, Debug)]
pub struct RecordedChange {
    /// Its number, in the order of all changes.
    pub number: i64,
    /// The number of the run that recorded it; none before version 2 of the ledger.
    pub run: Option<i64>,
    /// The invitation.
    pub identity: Identity,
    /// The package's key in the configuration.
    pub package: String,
    /// The cause, by its name.
    pub cause: String,
    /// What happened.
    pub event: Event,
}

/// What was erased about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// How many invitations were recorded, over all campaigns.
    pub invitations: u64,
    /// In how many other texts, such as notes, the address was replaced.
    pub mentions: u64,
    /// Whether it was forgotten before.
    pub known: bool,
}

/// A run that wrote into the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Its number, in the order of their starts.
    pub number: i64,
    /// The verb of the command line.
    pub verb: String,
    /// The campaign of its configuration.
    pub campaign: String,
    /// Its start.
    pub started_at: Timestamp,
    /// Its end; none while it runs, or if it was killed.
    pub ended_at: Option<Timestamp>,
    /// The version of the program.
    pub version: String,
    /// The machine.
    pub host: String,
    /// The user of the operating system.
    pub os_user: String,
    /// The digest of the inputs, if they were read.
    pub digest: Option<String>,
    /// How many invitations ended in each state, as JSON.
    pub counts: Option<String>,
    /// Its exit code; none while it runs, or if it was killed.
    pub exit_code: Option<u8>,
}

impl RunRecord {
    /// The approval that covered this run: the last one of its campaign and digest before its start.
    /// `approvals` begin with the last one.
    #[must_use]
    pub fn approval<'a>(&self, approvals: &'a [Approval]) -> Option<&'a Approval> {
        let digest = self.digest.as_ref()?;
        let covers = |it: &&Approval| {
            it.campaign == self.campaign && it.digest == *digest && it.at <= self.started_at
        };
        approvals.iter().find(covers)
    }
}

/// An approval on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The campaign of the configuration.
    pub campaign: String,
    /// The digest of the approved inputs.
    pub digest: String,
    /// Who approved them.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// A note of that person.
    pub note: Option<String>,
}

/// What the guards need to know about a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignStanding {
    /// Whether its list no longer needs to be compared with other campaigns.
    pub confirmed: bool,
    /// When an older copy of the ledger was accepted, if the campaign was not confirmed since.
    pub gap: Option<Timestamp>,
    /// The other campaigns of the ledger.
    pub others: Vec<String>,
}

/// An older copy of the ledger that a person has accepted.
#[derive(Clone, Debug)]
pub struct Gap {
    /// The time of the decision.
    pub at: Timestamp,
    /// The mark of the witness.
    pub witness: Option<WitnessMark>,
    /// The reason.
    pub note: String,
}

impl Gap {
    /// The change of an invitation that a run may have mailed which the copy lacks.
    #[must_use]
    pub fn change(&self, identity: &Identity) -> Change {
        Change {
            note: Some(self.note.clone()),
            ..Change::new(identity, self.at, Cause::OlderLedger)
        }
    }
}
