//! What a report is made of, independent of ledger, templates and format.

use jiff::Timestamp;
use serde::Serialize;

use super::super::runs::{ApprovalRow, RunRow};
use crate::invitation::{Access, Event, Record, to_the_second};

/// What the report is about.
#[derive(Clone, Debug, Default)]
pub struct AboutReport {
    /// The campaign.
    pub campaign: String,
    /// The sender's organisation.
    pub organization: String,
    /// The sender's address.
    pub sender: String,
    /// When the report was made.
    pub made: Timestamp,
    /// The id of the ledger, in hexadecimal; none before its second version.
    pub ledger: Option<String>,
    /// What the reader should know about this report, such as a list that cannot be read.
    pub warnings: Vec<String>,
}

/// All parts beside the invitations.
#[derive(Debug, Default)]
pub struct Parts {
    /// What it is about.
    pub about: AboutReport,
    /// The runs of the campaign, the first one first.
    pub runs: Vec<RunRow>,
    /// The approvals, the first one first.
    pub approvals: Vec<ApprovalRow>,
    /// The text of each kind of message.
    pub messages: Vec<MessageText>,
}

/// An invitation, with its reminders.
#[derive(Debug)]
pub struct InvitationRow {
    /// Its message.
    pub mail: MailRow,
    /// Its reminders, in their order.
    pub reminders: Vec<MailRow>,
    /// The package's name in the configuration, or the one that was recorded.
    pub package: String,
    /// Whether the list has it now; `None` if the list cannot be read.
    pub listed: Option<bool>,
    /// Whether the partner has asked for access; `None` if requests were never read.
    pub access: Option<Access>,
}

/// The message of an invitation or of a reminder.
#[derive(Debug)]
pub struct MailRow {
    /// The record.
    pub record: Record,
    /// Its history, the oldest event first.
    pub history: Vec<Event>,
    /// Whether the message that was sent could be composed again, byte for byte; `None` if none was sent, or
    /// this could not be tried.
    pub text_verified: Option<bool>,
}

/// The text of the messages to one package, in one locale, on one occasion. The names are an interface.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MessageText {
    /// The package's name in the configuration, or the one that was recorded.
    pub package: String,
    /// The access package id.
    pub package_id: String,
    /// The locale of the template.
    pub locale: String,
    /// The occasion.
    pub occasion: String,
    /// How many such messages were handed to the relay.
    pub sent: u64,
    /// How many of them could be composed again, byte for byte.
    pub verified: u64,
    /// One of them; none if it cannot be composed.
    pub sample: Option<MessageSample>,
}

/// One message. The names are an interface.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MessageSample {
    /// Whether these are the bytes that were sent, and not a text as it would be composed now.
    pub is_sent: bool,
    /// Its Date.
    #[serde(serialize_with = "to_the_second")]
    pub date: Timestamp,
    /// The recipient.
    pub to: String,
    /// The sender.
    pub from: String,
    /// Its Message-ID, without brackets.
    pub message_id: String,
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}
