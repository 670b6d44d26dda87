//! The summary of a review: what it is about, and counts of each kind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// What a review is about.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// Its title.
    pub title: String,
    /// What is shown, in a few words.
    pub lead: String,
    /// The campaign.
    pub campaign: String,
    /// When it was made.
    #[serde(serialize_with = "as_text")]
    pub made: Timestamp,
    /// The access packages.
    pub packages: Vec<AboutPackage>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Whether `--only` or `--limit` restricts it.
    pub partial: bool,
    /// The digest of the inputs.
    pub digest: String,
    /// How to approve what is shown, if it can be approved.
    pub approval: Option<AboutApproval>,
}

/// How a review is approved.
#[derive(Clone, Debug, Serialize)]
pub struct AboutApproval {
    /// The command that approves it.
    pub command: String,
    /// Whether these inputs are approved already.
    pub given: bool,
}

/// An access package of the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct AboutPackage {
    /// Its name in the configuration.
    pub key: String,
    /// Its name in the mail of the default locale.
    pub name: String,
    /// The whole link.
    pub link: String,
    /// The directory hint of the link in Unicode, where it differs.
    pub unicode: String,
}

/// What the page shows first. `review.js` reads these names.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    pub about: About,
    pub messages: u64,
    /// How many of them are invitations that are sent for the first time.
    pub first: u64,
    /// How many are invitations that were tried before.
    pub again: u64,
    /// How many are reminders.
    pub reminders: u64,
    pub bytes: u64,
    /// How many messages are written in each locale.
    pub templates: Counts,
    /// How many asked for which locale and are written in which.
    pub asked: Counts,
    pub packages: Counts,
    pub notes: Counts,
    pub left_out: u64,
    pub reasons: Counts,
    pub added: u64,
    pub changed: u64,
    pub gone: u64,
    /// When the previous review was made, if there is one.
    pub before: Option<String>,
    /// How many rows each data file holds.
    pub listed: u64,
    pub detailed: u64,
}

/// How often each name occurs. The page gets pairs, because names as keys could clash with properties that
/// every object has.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<String, u64>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }
}

/// Serialises a time as text.
pub fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
