//! Numbers, times, replies and tables as text.

use std::fmt::Display;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::invitation::Event;

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// Human-readable
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// A longer duration is shown in days.
const TWO_DAYS: u64 = 48 * 60;

/// RFC 3339 in UTC, to the second.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A local time to the minute, with its zone.
#[must_use]
pub fn local(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// A duration for an estimate, rounded up: `40 s`, `6 min`, `2 h 10 min`, `3 days`.
#[must_use]
pub fn rough_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds.div_ceil(60);
    match (minutes / 60, minutes % 60) {
        _ if seconds < 60 => format!("{seconds} s"),
        _ if minutes > TWO_DAYS => format!("{} days", minutes.div_ceil(24 * 60)),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A duration that the rate limits make, if they make any: `at least 6 min`.
#[must_use]
pub fn shortest_duration(duration: Duration) -> String {
    if duration.is_zero() {
        "as fast as the relay replies".to_owned()
    } else {
        format!("at least {}", rough_duration(duration))
    }
}

/// `1 message`, `2 messages`.
#[must_use]
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// `3 de, 12 en`.
#[must_use]
pub fn joined_counts(counts: impl IntoIterator<Item = (impl Display, impl Display)>) -> String {
    let counts = counts.into_iter();
    let counts = counts.map(|(name, number)| format!("{number} {name}"));
    counts.collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_rounded_up_to_minutes() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "2 min"),
            (3600, "1 h"),
            (7800, "2 h 10 min"),
            (48 * 3600, "48 h"),
            (48 * 3600 + 1, "3 days"),
        ] {
            assert_eq!(rough_duration(Duration::from_secs(seconds)), text);
        }
    }
}
