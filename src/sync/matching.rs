//! Which messages a report is about, and what it proves.

use jiff::Timestamp;

use super::index::{MessageIndex, SentMessage, local_part};
use crate::address::Address;
use crate::inbox::{Action, RecipientReport, Report};
use crate::invitation::{AddressPattern, Proof, State, Suppression, SuppressionSource};
use crate::ledger::{LedgerError, Notification, Reader, SentInvitation};
use crate::outcome::Reply;

/// The messages that a report is about. Empty if it names none that this ledger has sent.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn matched(
    report: &Report,
    index: &MessageIndex,
    reader: &Reader,
    at: Timestamp,
) -> Result<Vec<Notification>, LedgerError> {
    let original = &report.original;
    let ids = original.message_ids.iter();
    for id in ids.chain(&original.invite_id).chain(&original.envelope_id) {
        if let Some(message) = index.find(id, reader).await? {
            return Ok(named(report, &message, at).into_iter().collect());
        }
    }
    let mut notifications = Vec::new();
    for recipient in &report.recipients {
        notifications.extend(by_relay_id(report, recipient, index, reader, at).await?);
    }
    Ok(notifications)
}

/// The message whose recipient asks not to be mailed, as the mail `mail` with its id as subject does; none if this
/// ledger has not issued the id.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn unsubscribed(
    id: &str,
    mail: &str,
    index: &MessageIndex,
    reader: &Reader,
    at: Timestamp,
) -> Result<Option<Notification>, LedgerError> {
    let Some(message) = index.find(id, reader).await? else {
        return Ok(None);
    };
    let invitation = message.invitation;
    let Ok(address) = Address::parse(&invitation.identity.address) else {
        return Ok(None);
    };
    let suppression = Suppression {
        address: Some(address.canonical()),
        at,
        source: SuppressionSource::Unsubscribe,
        note: Some(format!("mail {mail}")),
    };
    Ok(Some(Notification {
        invitation: invitation.id,
        message_id: message.message_id,
        identity: invitation.identity,
        about_recipient: true,
        // Who has the id has the message.
        proof: Proof::Accepted,
        reply: None,
        origin: format!("mail {mail}"),
        text: "the recipient asks not to be mailed".into(),
        at,
        suppress: Some((AddressPattern::from(&address), suppression)),
    }))
}

/// What a report that names one of our messages says about it.
fn named(report: &Report, message: &SentMessage, at: Timestamp) -> Option<Notification> {
    let invitation = &message.invitation;
    let is_ours = |it: &&RecipientReport| {
        let address = it.address.as_ref();
        address.is_some_and(|it| it.canonical() == invitation.identity.address)
    };
    let ours = report.recipients.iter().find(is_ours);
    let recipient = ours.or_else(|| report.recipients.first())?;
    let message_id = message.message_id.clone();
    let mut notification = notification(report, recipient, invitation, message_id, at);
    if ours.is_none() {
        notification.about_recipient = false;
        let other = recipient.address.as_ref();
        let other = other.map_or("another address", |it| it.as_written());
        notification.text = format!("about {other}: {}", notification.text);
    } else if message.generation != invitation.generation {
        notification.text = format!("about an earlier message: {}", notification.text);
    }
    Some(notification)
}

/// A relay may replace the Message-ID by its own id, which it has told in its reply to the message. Such an id
/// counts only together with the address.
async fn by_relay_id(
    report: &Report,
    recipient: &RecipientReport,
    index: &MessageIndex,
    reader: &Reader,
    at: Timestamp,
) -> Result<Option<Notification>, LedgerError> {
    let Some(address) = recipient.address.as_ref().map(Address::canonical) else {
        return Ok(None);
    };
    let original = &report.original;
    let ids = original.message_ids.iter().map(|it| local_part(it));
    let ids: Vec<&str> = ids.chain(original.queue_id.as_deref()).collect();
    for id in index.to_address(&address) {
        let Some(invitation) = reader.sent_invitation(id).await? else {
            continue;
        };
        if invitation.identity.address != address {
            continue;
        }
        let history = reader.history(id).await?;
        let accepted = history.iter().find(|it| {
            let reply = it.reply.as_deref().unwrap_or_default();
            it.to == State::Accepted && ids.iter().any(|id| names(reply, id))
        });
        if let Some(accepted) = accepted {
            let message_id = accepted.message_id.clone();
            return Ok(Some(notification(
                report,
                recipient,
                &invitation,
                message_id,
                at,
            )));
        }
    }
    Ok(None)
}

/// Whether a relay's reply contains an id as a word. Shorter words than ids of any known relay do not count.
fn names(reply: &str, id: &str) -> bool {
    const SHORTEST: usize = 8;
    let is_part = |it: char| {
        it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '@' | '=' | '+' | '/')
    };
    let words = reply
        .split(|it| !is_part(it))
        .map(|it| it.trim_matches(['.', '=']));
    id.len() >= SHORTEST && words.flat_map(|it| [it, local_part(it)]).any(|it| it == id)
}

fn notification(
    report: &Report,
    recipient: &RecipientReport,
    invitation: &SentInvitation,
    message_id: String,
    at: Timestamp,
) -> Notification {
    let proof = match recipient.action {
        Action::Failed => Proof::Failed,
        Action::Delivered => Proof::Delivered,
        // Whatever it says, somebody had the message.
        _ => Proof::Accepted,
    };
    let reply = reply_of(recipient);
    let mut text = recipient.action.to_string();
    if reply.is_none() {
        let status = recipient.status.as_deref().unwrap_or_default();
        for part in [status, &recipient.diagnostic] {
            if !part.is_empty() {
                text += " ";
                text += part;
            }
        }
    }
    Notification {
        invitation: invitation.id,
        identity: invitation.identity.clone(),
        message_id,
        about_recipient: true,
        proof,
        reply,
        origin: format!("report {}", report.id),
        text,
        at,
        suppress: None,
    }
}

/// The last server's reply, if the report quotes one.
pub(super) fn reply_of(recipient: &RecipientReport) -> Option<Reply> {
    let diagnostic = &recipient.diagnostic;
    let (code, text) = diagnostic.split_at_checked(3)?;
    let code: u16 = code.parse().ok().filter(|it| (200..600).contains(it))?;
    let text = text.trim_start_matches([' ', '-', '#', ':']);
    let status = recipient.status.as_deref();
    let text = status.and_then(|it| text.strip_prefix(it)).unwrap_or(text);
    Some(Reply {
        code,
        enhanced: recipient.status.clone(),
        text: text.trim_start().to_owned(),
    })
}
