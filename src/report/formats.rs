//! Numbers, times, replies and tables as text.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;

use crate::invitation::Event;

/// RFC 3339 in UTC, to the second.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `1 message`, `2 messages`.
#[must_use]
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Code, enhanced code and text of a reply, as far as they are recorded.
#[must_use]
pub fn reply_text(event: &Event) -> String {
    let code = event.smtp_code.map(|it| it.to_string());
    let parts = [&code, &event.enhanced_code, &event.reply];
    let parts = parts.into_iter().flatten().map(String::as_str);
    let parts: Vec<&str> = parts.filter(|it| !it.is_empty()).collect();
    parts.join(" ")
}

/// A table without borders, as wide as the terminal if there is one.
pub fn empty_table(header: &[&str], terminal: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(if terminal {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(header.to_vec());
    table
}
