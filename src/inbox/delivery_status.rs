//! The machine-readable part of a report (RFC 3464; internationalised by RFC 6533).
//!
//! It consists of groups of fields, separated by blank lines: one about the message, then one for each
//! recipient.

use mail_parser::{HeaderValue, Message, MessageParser};

use super::original::bracketless;
use super::report::{Action, Original, RecipientReport};
use super::text::{MAX_RECIPIENTS, line_of};
use crate::address::Address;

/// Reads the part. A group without a known `Action` is skipped.
pub(super) fn read(part: &[u8], original: &mut Original) -> Vec<RecipientReport> {
    let mut recipients = Vec::new();
    for group in groups(part) {
        let Some(fields) = MessageParser::new().parse_headers(&group) else {
            continue;
        };
        if let Some(id) = text(&fields, "Original-Envelope-Id") {
            original.envelope_id.get_or_insert(id);
        }
        if let Some(id) = text(&fields, "X-Postfix-Queue-ID") {
            original.queue_id.get_or_insert(id);
        }
        if let Some(id) = text(&fields, "X-Original-Message-ID") {
            original.message_ids.extend(bracketless(&id));
        }
        if recipients.len() < MAX_RECIPIENTS {
            recipients.extend(recipient(&fields));
        }
    }
    recipients
}

/// Reads the part of a receipt (RFC 8098 §3.1), which has one group.
pub(super) fn read_disposition(part: &[u8], original: &mut Original) -> Vec<RecipientReport> {
    let groups = groups(part);
    let fields = groups
        .first()
        .map(|it| MessageParser::new().parse_headers(it));
    let Some(fields) = fields.flatten() else {
        return Vec::new();
    };
    if let Some(id) = text(&fields, "Original-Message-ID") {
        original.message_ids.extend(bracketless(&id));
    }
    vec![RecipientReport {
        address: text(&fields, "Final-Recipient").and_then(|it| address(&it)),
        action: Action::Read,
        status: None,
        diagnostic: text(&fields, "Disposition").unwrap_or_default(),
    }]
}

/// The recipient's group.
fn recipient(fields: &Message<'_>) -> Option<RecipientReport> {
    let action = text(fields, "Action")?;
    // Some write a comment behind it: `failed (bad address)`.
    let action = Action::parse(action.split([' ', '(', ';']).next()?)?;
    let status = text(fields, "Status");
    // `5.1.1 (bad destination mailbox address)`
    let status = status.and_then(|it| it.split([' ', '(']).next().map(str::to_owned));
    let diagnostic = text(fields, "Diagnostic-Code").map(|it| untyped(&it).to_owned());
    Some(RecipientReport {
        address: text(fields, "Final-Recipient").and_then(|it| address(&it)),
        action,
        status: status.filter(|it| is_status(it)),
        diagnostic: diagnostic.unwrap_or_default(),
    })
}

/// `rfc822; ada@fabrikam.example` or `utf-8; …`.
fn address(text: &str) -> Option<Address> {
    let text = untyped(text).trim_matches(['<', '>']);
    Address::parse(text).ok()
}

/// What follows the type and its semicolon.
fn untyped(text: &str) -> &str {
    text.split_once(';').map_or(text, |it| it.1).trim()
}

/// Whether this is a status code of RFC 3463.
pub(super) fn is_status(text: &str) -> bool {
    let mut numbers = text.split('.');
    let class = numbers
        .next()
        .is_some_and(|it| matches!(it, "2" | "4" | "5"));
    let number = |it: &str| (1..=3).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit());
    class && numbers.clone().count() == 2 && numbers.all(number)
}

/// The text of a field, on one line; `None` if it is missing or empty.
fn text(fields: &Message<'_>, name: &str) -> Option<String> {
    let text = match fields.header(name)? {
        HeaderValue::Text(text) => line_of(text),
        HeaderValue::TextList(list) => line_of(&list.join(" ")),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The groups of fields, each with the blank line that ends a header.
fn groups(part: &[u8]) -> Vec<Vec<u8>> {
    let part = String::from_utf8_lossy(part).replace("\r\n", "\n");
    part.split("\n\n")
        .map(|it| it.trim_matches('\n'))
        .filter(|it| !it.trim().is_empty())
        .take(MAX_RECIPIENTS + 1)
        .map(|it| format!("{it}\n\n").into_bytes())
        .collect()
}
