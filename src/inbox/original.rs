//! The ids of the message that a report is about, from the copy that it returns and from its own header.

use mail_parser::{HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::report::Original;
use super::text::line_of;

/// The header that names the invitation.
const INVITE_ID: &str = "X-Access-Invite-Id";
/// How many ids are kept.
const MAX_IDS: usize = 50;

impl Original {
    /// Adds what a part of the report says, if it is the returned message or its header.
    pub(super) fn add_returned(&mut self, part: &MessagePart<'_>) {
        match &part.body {
            PartType::Message(message) => self.add_header_of(message),
            PartType::Text(_) | PartType::Binary(_) if is_header_part(part) => {
                if let Some(message) = MessageParser::new().parse_headers(part.contents()) {
                    self.add_header_of(&message);
                }
            }
            _ => {}
        }
    }

    /// Adds the ids to which the report's own header refers.
    pub(super) fn add_references(&mut self, report: &Message<'_>) {
        if let Some(id) = report.header_raw("X-Original-Message-ID") {
            self.message_ids.extend(bracketless(id));
        }
        for ids in [report.in_reply_to(), report.references()] {
            match ids {
                HeaderValue::Text(id) => self.message_ids.push(line_of(id)),
                HeaderValue::TextList(ids) => {
                    self.message_ids.extend(ids.iter().map(|it| line_of(it)));
                }
                _ => {}
            }
        }
    }

    /// Adds the ids in a header that is quoted in plain text.
    pub(super) fn add_quoted(&mut self, text: &str) {
        let mut lines = text.lines().map(unquoted).peekable();
        while let Some(line) = lines.next() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            // A long id stands on the line after its name.
            let value = match value.trim() {
                "" => lines.peek().copied().unwrap_or_default().trim(),
                value => value,
            };
            if name.eq_ignore_ascii_case("Message-ID") {
                self.message_ids.extend(bracketless(value));
            } else if name.eq_ignore_ascii_case(INVITE_ID) {
                self.invite_id.get_or_insert(line_of(value));
            }
        }
    }

    /// Removes repetitions, keeping the order.
    pub(super) fn finish(&mut self) {
        let mut seen = std::collections::HashSet::new();
        self.message_ids.retain(|it| seen.insert(it.clone()));
        self.message_ids.truncate(MAX_IDS);
    }

    fn add_header_of(&mut self, message: &Message<'_>) {
        if let Some(id) = message.message_id() {
            self.message_ids.push(line_of(id));
        } else if let Some(id) = message.header_raw("Message-ID") {
            // The parser takes no id from a header whose last line has no end.
            self.message_ids.extend(bracketless(id));
        }
        if let Some(id) = message.header_raw(INVITE_ID) {
            self.invite_id.get_or_insert(line_of(id));
        }
    }
}

/// Whether a part is the header of the returned message (RFC 6522 §4, RFC 6533 §6.2).
fn is_header_part(part: &MessagePart<'_>) -> bool {
    let subtype = part.content_type().and_then(|it| it.subtype());
    subtype.is_some_and(|it| {
        ["rfc822-headers", "global-headers", "rfc822", "global"]
            .iter()
            .any(|known| it.eq_ignore_ascii_case(known))
    })
}

/// The ids in angle brackets; without brackets, the text itself if it looks like an id.
pub(super) fn bracketless(text: &str) -> Vec<String> {
    let text = line_of(text);
    let ids: Vec<_> = text
        .split('<')
        .skip(1)
        .filter_map(|it| it.split_once('>').map(|it| it.0.to_owned()))
        .collect();
    if text.contains(['<', ' ']) || !text.contains('@') {
        ids
    } else {
        vec![text]
    }
}

/// A line without the marks of a quotation.
fn unquoted(line: &str) -> &str {
    line.trim_start_matches(['>', ' ', '|', '\t'])
}
