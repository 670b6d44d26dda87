//! The suppression list, and why an address is not mailed.

use std::fmt;
use std::io::Write;

use serde::{Serialize, Serializer};

use super::formats::{ReportFormat, local, utc};
use super::harmless::{harmless_json, one_line};
use crate::invitation::{Suppression, SuppressionSource};

/// An entry in JSON. The names are an interface.
#[derive(Clone, Debug, Serialize)]
pub struct SuppressionRow {
    /// The address or `@domain`; `null` if the address was erased.
    pub address: Option<String>,
    /// Since when it is not mailed.
    #[serde(serialize_with = "as_utc")]
    pub at: jiff::Timestamp,
    /// Why it is not mailed.
    pub source: SuppressionSource,
    /// A note about it.
    pub note: Option<String>,
}

impl From<Suppression> for SuppressionRow {
    fn from(entry: Suppression) -> Self {
        let Suppression {
            address,
            at,
            source,
            note,
        } = entry;
        Self {
            address,
            at,
            source,
            note,
        }
    }
}

impl fmt::Display for SuppressionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not mailed since {} ({})", local(self.at), self.source)?;
        match &self.note {
            Some(note) => write!(f, ": {}", one_line(note)),
            None => Ok(()),
        }
    }
}

/// Serializes a time as RFC 3339.
pub fn as_utc<S: Serializer>(at: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&utc(*at))
}

/// Writes the list. As text it is a file that `suppress --file` reads.
pub fn write_suppressions(list: Vec<Suppression>, format: ReportFormat, out: &mut dyn Write) {
    let rows: Vec<SuppressionRow> = list.into_iter().map(SuppressionRow::from).collect();
    if format == ReportFormat::Json {
        let json = serde_json::to_string_pretty(&rows).expect("it has no maps");
        let _ = writeln!(out, "{}", harmless_json(&json));
        return;
    }
    for entry in rows {
        // An erased address is known by its hash only.
        let address = entry.address.as_deref().unwrap_or_default();
        let note = entry
            .note
            .as_ref()
            .map_or_else(String::new, |it| format!(": {it}"));
        let line = format!("{address} # {}, {}{note}", utc(entry.at), entry.source);
        let _ = writeln!(out, "{}", one_line(&line));
    }
}
