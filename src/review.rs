//! The review: a folder with the messages as files, and a page to look through them.
//!
//! It shows what is read back from the finished messages, not what they were composed from. The page is
//! opened from disk, loads nothing from a network, and runs one script, which is the same for everybody;
//! values of the list reach it only as JSON. The folder is readable by its owner, or also by its group, only
//! files of a review are ever replaced, and the page is written last, so an incomplete review cannot be opened.

mod access;
mod folder;
mod js_data;
mod kind;
mod parsed_message;
mod previous;
mod static_list;
mod summary;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

pub use self::access::Access;
use self::access::ReviewFiles;
pub use self::folder::{APPROVAL, Folder, Result, ReviewError, remove};
use self::folder::{INDEX, INDEX_PAGE, MESSAGES, PAGE};
use self::js_data::{DETAILED, JsRows, LISTED, write_whole};
pub use self::parsed_message::ParsedMessage;
use self::parsed_message::unicode;
use self::previous::{Mark, PreviousReview};
use self::static_list::StaticList;
pub use self::summary::{About, AboutApproval, AboutPackage};
use self::summary::{Summary, as_text};
use crate::digest;
use crate::invitation::{Occasion, RoadStep};
use crate::message::Verification;
use crate::partners::Partner;

/// Precedes the HTML of a message in its file, so that a browser loads nothing from elsewhere, and no click inside the
/// page's frame leads anywhere. The one script that may run, selected by its hash, tells the page how high the
/// mail is. Browsers ignore the second DOCTYPE, and still apply language and direction of the mail's own `<html>`.
const GUARD: &str = concat!(
    "<!DOCTYPE html><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-",
    "7fqozuaPZPIRdd1ajEetd8lAVwpTcKEzIj6BZwKxTjo=",
    "'\"><base target=\"_blank\"><script>",
    "document.currentScript.remove();new ResizeObserver(()=>{const page=document.documentElement,rest=innerHeight-page.clientHeight;parent.postMessage(rest+Math.ceil(Math.max(page.getBoundingClientRect().height,document.body?document.body.scrollHeight:0)),'*')}).observe(document.documentElement)",
    "</script>\n"
);
/// Marks a text file as UTF-8 for browsers.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A finished message, and what is shown beside it.
#[derive(Debug)]
pub struct ReviewedMessage {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The measurements of these bytes by the verification.
    pub verification: Verification,
    /// Warnings about this message.
    pub notes: Vec<Note>,
    /// Earlier attempts to deliver it.
    pub earlier: Option<Earlier>,
    /// Whether it is the invitation or a reminder.
    pub occasion: Occasion,
}

/// What the ledger records about earlier messages of an invitation.
#[derive(Clone, Debug, Serialize)]
pub struct Earlier {
    /// How many attempts there were.
    pub attempts: u32,
    /// When the last message was composed, or else its state last changed.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// The state.
    pub state: String,
    /// The Message-ID, without brackets.
    pub message_id: String,
    /// Whether exactly the same bytes are sent again.
    pub repeats: bool,
}

/// Somebody who is not mailed.
#[derive(Debug, Default)]
pub struct Skipped<'a> {
    /// The name.
    pub name: &'a str,
    /// The address as on the wire, or what stands in its place.
    pub address: &'a str,
    /// The organisation.
    pub organization: &'a str,
    /// The key of the access package.
    pub package: &'a str,
    /// The line in the list.
    pub line: u64,
    /// The kind of reason.
    pub kind: &'a str,
    /// The reason.
    pub why: &'a str,
    /// Earlier messages.
    pub earlier: Option<Earlier>,
    /// What has happened to the partner so far.
    pub road: &'a [RoadStep],
}

/// A remark about one message.
#[derive(Clone, Debug)]
pub struct Note {
    /// The kind, which the page filters by.
    pub kind: &'static str,
    /// The remark.
    pub text: String,
}

/// A review while it is written. Memory grows by a few dozen bytes a message.
#[derive(Debug)]
pub struct Review {
    files: ReviewFiles,
    made: String,
    static_list: StaticList,
    list: JsRows,
    skipped: JsRows,
    details: JsRows,
    previous: PreviousReview,
    summary: Summary,
    _marker: File,
}

impl Review {
    /// Removes the old review in a folder and begins a new one.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn begin(folder: Folder, about: About) -> Result<Self> {
        folder.clear()?;
        let Folder { files, marker } = folder;
        // An old page that is still open must not mix in files of this review.
        let made = format!("{:x}", about.made.as_nanosecond());
        let rows = |part, each| JsRows::new(&files, &made, part, each);
        Ok(Self {
            static_list: StaticList::begin(&files, &about)?,
            list: rows("list", LISTED),
            skipped: rows("skipped", LISTED),
            details: rows("messages", DETAILED),
            previous: PreviousReview::read(files.folder()),
            summary: Summary {
                about,
                listed: LISTED,
                detailed: DETAILED,
                ..Summary::default()
            },
            files,
            made,
            _marker: marker,
        })
    }

    /// Adds a finished message to a partner, and what has happened to them so far.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn add(
        &mut self,
        partner: &Partner,
        message: &ReviewedMessage,
        road: &[RoadStep],
    ) -> Result<()> {
        let (bytes, notes) = (&message.bytes, &message.notes);
        let number = self.summary.messages + 1;
        let parsed = ParsedMessage::of(bytes)?;
        let file = format!("{MESSAGES}/{number:04}");
        let guarded = |start: &str, text: &str| [start, text].concat().into_bytes();
        for (ending, content) in [
            ("eml", bytes.clone()),
            ("html", guarded(GUARD, &parsed.page())),
            ("txt", guarded(BYTE_ORDER_MARK, &parsed.text)),
        ] {
            let mut written = self.files.create(&format!("{file}.{ending}"))?;
            written.write_all(&content)?;
        }
        let asked = partner.locale.as_ref();
        let asked = asked.map_or_else(String::new, ToString::to_string);
        let package = partner.package.key.as_str();
        let identity = partner.identity(&self.summary.about.campaign).digest();
        let (reminder, key) = match message.occasion {
            Occasion::Invitation => (0, identity[..8].try_into().expect("it has sixteen bytes")),
            Occasion::Reminder(number) => (number, digest::short([&identity[..], &[number]])),
        };
        let kind = u64::from_be_bytes(kind::of(partner, &parsed));
        let mark = self.previous.mark(key, parsed.digest());
        let kinds: Vec<&str> = notes.iter().map(|it| it.kind).collect();

        self.list.add(&(
            number,
            &parsed.to.name,
            &parsed.to.address,
            &parsed.to.unicode,
            partner.organization.as_deref().unwrap_or_default(),
            &parsed.subject,
            &parsed.language,
            &asked,
            package,
            mark as u8,
            format!("{kind:016x}"),
            message.earlier.as_ref().map_or(0, |it| it.attempts),
            &kinds,
            bytes.len(),
            partner.line,
            reminder,
        ))?;
        self.details.add(&(
            number,
            &parsed.headers,
            &parsed.text,
            String::from_utf8_lossy(bytes),
            verified(message.verification),
            notes.iter().map(|it| &it.text).collect::<Vec<_>>(),
            &parsed.preheader,
            &parsed.from,
            &parsed.reply_to,
            &message.earlier,
            steps(road),
        ))?;
        let mut remarks: Vec<String> = notes.iter().map(|it| it.text.clone()).collect();
        if !asked.is_empty() && asked != parsed.language {
            remarks.insert(0, format!("{asked} → {}", parsed.language));
        }
        self.static_list
            .add(number, &parsed, &remarks.join("; "), &file)?;

        let summary = &mut self.summary;
        summary.messages = number;
        summary.bytes += bytes.len() as u64;
        match message.occasion {
            Occasion::Reminder(_) => summary.reminders += 1,
            Occasion::Invitation if message.earlier.is_none() => summary.first += 1,
            Occasion::Invitation => summary.again += 1,
        }
        summary.added += u64::from(mark == Mark::Added);
        summary.changed += u64::from(mark == Mark::Changed);
        summary.templates.add(&parsed.language);
        summary.asked.add(&format!("{asked} {}", parsed.language));
        summary.packages.add(package);
        for kind in kinds {
            summary.notes.add(kind);
        }
        Ok(())
    }

    /// Adds somebody who is not mailed.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn skip(&mut self, skipped: &Skipped<'_>) -> Result<()> {
        let Skipped { address, why, .. } = *skipped;
        self.summary.left_out += 1;
        self.summary.reasons.add(skipped.kind);
        self.skipped.add(&(
            skipped.name,
            address,
            unicode(address),
            skipped.organization,
            skipped.package,
            skipped.kind,
            why,
            skipped.line,
            &skipped.earlier,
            steps(skipped.road),
        ))?;
        Ok(self.static_list.skip(address, why)?)
    }

    /// Makes the proposal of an approval, which another module has written into the folder, readable for those
    /// who may read the review.
    ///
    /// # Errors
    /// If that fails.
    pub fn adopt_approval(&self) -> Result<()> {
        Ok(self.files.adopt(APPROVAL)?)
    }

    /// Completes the review. Returns the path of its page and the number of messages.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn finish(mut self) -> Result<(PathBuf, u64)> {
        let total = self.summary.messages;
        for rows in [&mut self.list, &mut self.details, &mut self.skipped] {
            rows.close()?;
        }
        self.static_list.finish(total, self.summary.left_out)?;
        if !self.summary.about.partial {
            self.summary.gone = self.previous.missing();
        }
        self.summary.before = self.previous.made.map(|it| it.to_string());
        write_whole(&self.files, &self.made, "summary", &self.summary)?;
        for (name, text) in PAGE {
            self.files.create(name)?.write_all(text.as_bytes())?;
        }
        let about = &self.summary.about;
        self.previous
            .write(&self.files, about.made, about.partial)?;
        let mut unfinished = tempfile::NamedTempFile::new_in(self.files.folder())?;
        unfinished.write_all(INDEX_PAGE.as_bytes())?;
        self.files.persist(unfinished, INDEX)?;
        Ok((self.files.folder().join(INDEX), total))
    }
}

/// The results of the verification, in sentences.
fn verified(verification: Verification) -> Vec<String> {
    let headers = verification.headers;
    let (lines, longest_line) = (verification.lines, verification.longest_line);
    vec![
        "The text part has the whole link once, alone on its line.".into(),
        "The HTML part has it behind its button, and once more in full as text.".into(),
        "Nothing else is linked but the addresses for replies and what the configuration names, no image is shown but its logos, and nothing is loaded from elsewhere, run or submitted."
            .into(),
        format!("{headers} headers, exactly those there should be, and one recipient."),
        format!(
            "Pure ASCII on the wire: {lines} lines, the longest {longest_line} octets of the 998 allowed."
        ),
    ]
}

/// What happened, each with its time, as the page shows it.
fn steps(road: &[RoadStep]) -> Vec<(&str, Option<String>)> {
    let step = |it: &RoadStep| it.at.map(|at| at.to_string());
    road.iter().map(|it| (it.what.as_str(), step(it))).collect()
}

#[cfg(test)]
mod tests;
