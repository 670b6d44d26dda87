//! Why an address is not mailed, for `status`.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::formats::{local, utc};
use super::harmless::one_line;

/// The entry of the ledger that blocks an address. The names are an interface.
#[derive(Clone, Debug, Serialize)]
pub struct SuppressionRow {
    /// `forgotten`, or how the address came on the suppression list.
    pub source: String,
    /// Since when.
    #[serde(serialize_with = "as_utc")]
    pub at: Timestamp,
    /// A note about it.
    pub note: Option<String>,
}

impl fmt::Display for SuppressionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (since, source) = (local(self.at), one_line(&self.source));
        write!(f, "not mailed since {since} ({source})")?;
        match &self.note {
            Some(note) => write!(f, ": {}", one_line(note)),
            None => Ok(()),
        }
    }
}

/// Serializes a time as RFC 3339.
pub fn as_utc<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&utc(*at))
}
