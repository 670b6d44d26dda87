//! The suppression list, as text and as JSON.

use std::io::Write;

use serde::Serialize;

use super::formats::{ReportFormat, utc};
use super::harmless::{harmless_json, one_line};
use crate::invitation::{Suppression, SuppressionSource};

/// An entry in JSON. The names are an interface.
#[derive(Serialize)]
struct Row<'a> {
    address: Option<&'a str>,
    at: String,
    source: SuppressionSource,
    note: Option<&'a str>,
}

/// Writes the list. As text it is a file that `suppress --file` reads.
pub fn write_suppressions(list: &[Suppression], format: ReportFormat, out: &mut dyn Write) {
    if format == ReportFormat::Json {
        let rows = list.iter().map(|it| Row {
            address: it.address.as_deref(),
            at: utc(it.at),
            source: it.source,
            note: it.note.as_deref(),
        });
        let rows: Vec<_> = rows.collect();
        let json = serde_json::to_string_pretty(&rows).expect("it has no maps");
        let _ = writeln!(out, "{}", harmless_json(&json));
        return;
    }
    for entry in list {
        // An erased address is known by its hash only.
        let address = entry.address.as_deref().unwrap_or_default();
        let note = entry
            .note
            .as_deref()
            .map_or_else(String::new, |it| format!(": {it}"));
        let line = format!("{address} # {}, {}{note}", utc(entry.at), entry.source);
        let _ = writeln!(out, "{}", one_line(&line));
    }
}
