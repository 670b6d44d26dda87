//! What one mail is.

use mail_parser::{Message, MessageParser, MimeHeaders};

use super::report::{Inbound, Original, RecipientReport, Report};
use super::{delivery_status, plain_text};

/// How many levels of forwarded messages are opened.
const MAX_DEPTH: usize = 3;

/// Says what a mail is. The bytes may be the beginning of a longer mail.
#[must_use]
pub fn read(bytes: &[u8]) -> Inbound {
    match MessageParser::default().parse(bytes) {
        Some(message) => read_message(&message, 0),
        None => Inbound::Other,
    }
}

fn read_message(message: &Message<'_>, depth: usize) -> Inbound {
    let is_status = |it: &&mail_parser::MessagePart<'_>| {
        it.content_type().is_some_and(|it| {
            let subtype = it.subtype().unwrap_or_default();
            it.ctype().eq_ignore_ascii_case("message")
                && (subtype.eq_ignore_ascii_case("delivery-status")
                    || subtype.eq_ignore_ascii_case("global-delivery-status"))
        })
    };
    if let Some(status) = message.parts.iter().find(is_status) {
        let mut original = returned(message);
        let recipients = delivery_status::read(status.contents(), &mut original);
        return report(original, recipients, message);
    }
    if is_disposition(message) {
        return Inbound::AutomaticReply;
    }
    if is_older_report(message) {
        let mut original = returned(message);
        let recipients = plain_text::read(message, &mut original);
        return report(original, recipients, message);
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
        _ => Inbound::Other,
    }
}

fn report(
    mut original: Original,
    recipients: Vec<RecipientReport>,
    message: &Message<'_>,
) -> Inbound {
    original.add_references(message);
    original.finish();
    Inbound::Report(Report {
        original,
        recipients,
    })
}

/// The ids in the copy of the message that the report returns.
fn returned(report: &Message<'_>) -> Original {
    let mut original = Original::default();
    for part in &report.parts {
        original.add_returned(part);
    }
    original
}

/// Whether a report says what a person or a program did with a delivered message (RFC 8098), which is
/// not a delivery report.
fn is_disposition(message: &Message<'_>) -> bool {
    message.parts.iter().any(|it| {
        let subtype = it.content_type().and_then(|it| it.subtype());
        subtype.is_some_and(|it| it.eq_ignore_ascii_case("disposition-notification"))
    })
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
