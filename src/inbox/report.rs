//! What a report says.

use crate::address::Address;

/// What a mail in the mailbox is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A report about a delivery.
    Report(Report),
    /// An automatic reply, such as an out-of-office note.
    AutomaticReply,
    /// A mail whose whole subject is an id that a message may have had: a request not to be mailed.
    Unsubscribe {
        /// The id in the subject.
        id: String,
        /// The mail's own Message-ID, or a digest of it.
        mail: String,
    },
    /// Anything else.
    Other,
}

/// A report about one message, for one or several recipients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The report's own Message-ID without brackets, or a digest of its bytes.
    pub id: String,
    /// How it names the message.
    pub original: Original,
    /// What happened, recipient by recipient.
    pub recipients: Vec<RecipientReport>,
}

/// How a report names the message that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Original {
    /// Message-IDs without brackets: of the returned message, then those to which the report refers.
    /// A relay that replaces the Message-ID returns its own.
    pub message_ids: Vec<String>,
    /// `Original-Envelope-Id` (RFC 3464 §2.2.1): the ENVID with which the message was submitted.
    pub envelope_id: Option<String>,
    /// `X-Access-Invite-Id` of the returned message.
    pub invite_id: Option<String>,
    /// The id under which a relay on the way had queued the message.
    pub queue_id: Option<String>,
}

/// What happened to the message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientReport {
    /// The address to which the delivery was tried; `None` if it is not a mail address.
    pub address: Option<Address>,
    /// What happened.
    pub action: Action,
    /// The status code of RFC 3463, such as `5.1.1`.
    pub status: Option<String>,
    /// What the last server replied, or the report's words; bounded, without control characters.
    pub diagnostic: String,
}

/// What happened to a message (RFC 3464 §2.3.3), and two more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Action {
    /// It could not be delivered, and will not be tried again.
    Failed,
    /// It is still being tried.
    Delayed,
    /// It is in the recipient's mailbox.
    Delivered,
    /// It was passed to a server that sends no reports.
    Relayed,
    /// It was passed to the members of a list or to a forwarding address.
    Expanded,
    /// It was displayed or deleted, with a receipt (RFC 8098).
    Read,
    /// A report of an older form that does not say so.
    #[strum(to_string = "not clear")]
    Unclear,
}

impl Action {
    /// An action of RFC 3464.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let standard = [
            Self::Failed,
            Self::Delayed,
            Self::Delivered,
            Self::Relayed,
            Self::Expanded,
        ];
        let mut standard = standard.into_iter();
        standard.find(|it| it.to_string().eq_ignore_ascii_case(text))
    }
}
