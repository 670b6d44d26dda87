//! What one mail is.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders};
use sha2::{Digest, Sha256};

use super::report::{Inbound, Original, Report};
use super::text::line_of;
use super::{delivery_status, plain_text};
use crate::invitation::id_in_subject;
use crate::panics::caught;

/// How many levels of forwarded messages are opened.
const MAX_DEPTH: usize = 3;

/// Says what a mail is. The bytes may be the beginning of a longer mail.
#[must_use]
pub fn read(bytes: &[u8]) -> Inbound {
    let read = || {
        let message = MessageParser::default().parse(bytes)?;
        Some(read_message(&message, 0))
    };
    // The parser panics over some forged mails.
    caught(read).flatten().unwrap_or(Inbound::Other)
}

fn read_message(message: &Message<'_>, depth: usize) -> Inbound {
    if let Some(report) = report(message) {
        return Inbound::Report(report);
    }
    if is_automatic_reply(message) {
        return Inbound::AutomaticReply;
    }
    // A report that a person forwarded as an attachment.
    let mut attached = message.parts.iter().filter_map(|it| it.message());
    match (attached.next(), depth < MAX_DEPTH) {
        (Some(attached), true) => match read_message(attached, depth + 1) {
            Inbound::AutomaticReply => Inbound::Other,
            inbound => inbound,
        },
        _ => unsubscribe(message).unwrap_or(Inbound::Other),
    }
}

/// A request not to be mailed: its subject has the id of a message.
fn unsubscribe(message: &Message<'_>) -> Option<Inbound> {
    let id = id_in_subject(message.subject()?)?;
    let mail = id_of(message);
    Some(Inbound::Unsubscribe { id, mail })
}

/// The mail's Message-ID, or a digest of the mail.
fn id_of(message: &Message<'_>) -> String {
    let id = message.message_id().map(line_of);
    id.filter(|it| !it.is_empty()).unwrap_or_else(|| {
        let digest = Sha256::digest(message.raw_message());
        let digest = u128::from_be_bytes(*digest.first_chunk().expect("16 of 32 bytes"));
        format!("sha256:{digest:x}")
    })
}

/// The report that a mail is; `None` if it is none.
fn report(message: &Message<'_>) -> Option<Report> {
    let statuses = ["delivery-status", "global-delivery-status"];
    let dispositions = [
        "disposition-notification",
        "global-disposition-notification",
    ];
    let mut original = Original::default();
    for part in &message.parts {
        original.add_returned(part);
    }
    let recipients = if let Some(status) = part(message, &statuses) {
        delivery_status::read(status, &mut original)
    } else if let Some(disposition) = part(message, &dispositions) {
        delivery_status::read_disposition(disposition, &mut original)
    } else if is_older_report(message) {
        plain_text::read(message, &mut original)
    } else {
        return None;
    };
    original.add_references(message);
    original.finish();
    Some(Report {
        id: id_of(message),
        original,
        recipients,
    })
}

/// The content of the first part of type `message` with one of these subtypes.
fn part<'a>(message: &'a Message<'_>, subtypes: &[&str]) -> Option<&'a [u8]> {
    let is_one = |it: &&MessagePart<'_>| {
        it.content_type().is_some_and(|it| {
            let subtype = it.subtype().unwrap_or_default();
            let known = subtypes.iter().any(|it| subtype.eq_ignore_ascii_case(it));
            it.ctype().eq_ignore_ascii_case("message") && known
        })
    };
    message
        .parts
        .iter()
        .find(is_one)
        .map(mail_parser::MessagePart::contents)
}

/// Whether this is a report of an older form.
fn is_older_report(message: &Message<'_>) -> bool {
    if message.header("X-MS-Exchange-Message-Is-Ndr").is_some()
        || message.header("X-Failed-Recipients").is_some()
    {
        return true;
    }
    let from = message
        .from()
        .and_then(|it| it.first())
        .and_then(|it| it.address());
    let local = from
        .unwrap_or_default()
        .split('@')
        .next()
        .unwrap_or_default();
    let from_server = ["mailer-daemon", "postmaster", "mailerdaemon", "mail-daemon"]
        .iter()
        .any(|it| local.eq_ignore_ascii_case(it));
    let return_path = message.header_raw("Return-Path");
    let no_return = return_path.is_some_and(|it| matches!(it.trim(), "<>" | ""));
    from_server && (no_return || local.eq_ignore_ascii_case("mailer-daemon"))
}

/// Whether this is an automatic reply (RFC 3834, and the headers that were used before).
fn is_automatic_reply(message: &Message<'_>) -> bool {
    let value = |name: &'static str| message.header_raw(name).map(|it| it.trim().to_lowercase());
    let submitted = value("Auto-Submitted").is_some_and(|it| !it.starts_with("no"));
    let precedence = value("Precedence").is_some_and(|it| it == "auto_reply");
    let marks = [
        "X-Autoreply",
        "X-Autorespond",
        "X-Apple-Action",
        "X-Auto-Response-Suppress",
    ];
    submitted || precedence || marks.iter().any(|it| message.header(*it).is_some())
}
