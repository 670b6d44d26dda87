//! What a review says about the whole: what it is about, and how many there are of each kind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::js_data::{DETAILED, LISTED};

/// What a review is about.
#[derive(Clone, Debug, Serialize)]
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
    /// What deserves a second look, in the words of `check`.
    pub warnings: Vec<String>,
    /// Whether only some partners were asked for.
    pub partial: bool,
    /// What can be approved, where that is what the review is for.
    pub approval: Option<AboutApproval>,
}

/// What stands behind this review, for the person who approves it.
#[derive(Clone, Debug, Serialize)]
pub struct AboutApproval {
    /// The digest.
    pub digest: String,
    /// The command that approves it.
    pub command: String,
    /// Whether just this was approved before.
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
}

/// What the page shows first. The names are those that `review.js` reads.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub about: About,
    pub messages: u64,
    pub bytes: u64,
    /// How many messages are written in each locale.
    pub templates: Counts,
    /// How many asked for which locale and are written to in which.
    pub asked: Counts,
    pub packages: Counts,
    pub notes: Counts,
    pub left_out: u64,
    pub reasons: Counts,
    pub new: u64,
    pub changed: u64,
    pub gone: u64,
    /// When the review before was made, if there is one.
    pub before: Option<String>,
    /// JsRows in each file of a part.
    pub listed: u64,
    pub detailed: u64,
}

impl Summary {
    /// Nothing yet.
    pub fn new(about: About) -> Self {
        Self {
            about,
            messages: 0,
            bytes: 0,
            templates: Counts::default(),
            asked: Counts::default(),
            packages: Counts::default(),
            notes: Counts::default(),
            left_out: 0,
            reasons: Counts::default(),
            new: 0,
            changed: 0,
            gone: 0,
            before: None,
            listed: LISTED,
            detailed: DETAILED,
        }
    }
}

/// How often each name occurs; the page gets pairs, because names as keys would clash with
/// those that an object has by nature.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<String, u64>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Counts {
    /// One more.
    pub fn add(&mut self, name: &str) {
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.0.insert(name.to_owned(), 1);
            }
        }
    }
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
