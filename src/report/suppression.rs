//! The suppression list, and why an address is not mailed.

use std::io::Write;

use super::formats::{ReportFormat, local, utc};
use super::harmless::{one_line, write_json};
use crate::invitation::Suppression;

/// Since when and why an address is not mailed, without the note.
#[must_use]
pub fn not_mailed_since(entry: &Suppression) -> String {
    format!("not mailed since {} ({})", local(entry.at), entry.source)
}

/// Writes the list. As text it is a file that `suppress --file` reads.
pub fn write_suppressions(list: &[Suppression], format: ReportFormat, out: &mut dyn Write) {
    if format == ReportFormat::Json {
        let _ = write_json(out, &list);
        return;
    }
    for entry in list {
        // An erased address is known by its hash only.
        let address = entry.address.as_deref().unwrap_or("# an erased address");
        let note = entry
            .note
            .as_ref()
            .map_or_else(String::new, |it| format!(": {it}"));
        let line = format!("{address} # {}, {}{note}", utc(entry.at), entry.source);
        let _ = writeln!(out, "{}", one_line(&line));
    }
}
