//! The review: a folder with the messages as files, and a page to look through them.
//!
//! It shows what is read back from the finished messages, not what they were composed from. The page is
//! opened from disk, loads nothing from a network, and runs one script, which is the same for everybody;
//! values of the list reach it only as JSON. The folder is private to its owner, only files of a review are
//! ever replaced, and the page is written last, so an incomplete review cannot be opened.

mod folder;
mod js_data;
mod parsed_message;
mod previous;
mod static_list;
mod summary;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

pub use self::folder::{APPROVAL, Folder, Result, ReviewError};
use self::folder::{INDEX, INDEX_PAGE, MESSAGES, PAGE};
use self::js_data::{DETAILED, JsRows, LISTED, write_whole};
use self::parsed_message::ParsedMessage;
use self::previous::{Mark, PreviousReview};
use self::static_list::StaticList;
use self::summary::Summary;
pub use self::summary::{About, AboutApproval, AboutPackage};
use crate::files::create_new;
use crate::message::Verification;
use crate::partners::Partner;

/// Precedes the HTML of a message in its file, so that a browser loads nothing, and no click inside the
/// page's frame leads anywhere. Browsers ignore the second DOCTYPE, and still apply language and direction
/// of the mail's own `<html>`.
const GUARD: &str = "<!DOCTYPE html><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><base target=\"_blank\">\n";
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
    path: PathBuf,
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
        let Folder { path, marker } = folder;
        // An old page that is still open must not mix in files of this review.
        let made = format!("{:x}", about.made.as_nanosecond());
        let rows = |part, each| JsRows::new(&path, &made, part, each);
        Ok(Self {
            static_list: StaticList::begin(&path, &about)?,
            list: rows("list", LISTED),
            skipped: rows("skipped", LISTED),
            details: rows("messages", DETAILED),
            previous: PreviousReview::read(&path),
            summary: Summary {
                about,
                listed: LISTED,
                detailed: DETAILED,
                ..Summary::default()
            },
            path,
            made,
            _marker: marker,
        })
    }

    /// Adds a finished message.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn add(&mut self, partner: &Partner, message: &ReviewedMessage) -> Result<()> {
        let (bytes, notes) = (&message.bytes, &message.notes);
        let number = self.summary.messages + 1;
        let parsed = ParsedMessage::of(bytes)?;
        let file = format!("{MESSAGES}/{number:04}");
        let guarded = |start: &str, text: &str| [start, text].concat().into_bytes();
        for (ending, content) in [
            ("eml", bytes.clone()),
            ("html", guarded(GUARD, &parsed.html)),
            ("txt", guarded(BYTE_ORDER_MARK, &parsed.text)),
        ] {
            create_new(&self.path.join(format!("{file}.{ending}")))?.write_all(&content)?;
        }
        let asked = partner.locale.as_ref();
        let asked = asked.map_or_else(String::new, ToString::to_string);
        let package = partner.package.key.as_str();
        let identity = partner.identity(&self.summary.about.campaign).digest();
        let key = identity[..8].try_into().expect("it has sixteen bytes");
        let mark = self.previous.mark(key, parsed.digest());
        let kinds: Vec<&str> = notes.iter().map(|it| it.kind).collect();

        self.list.add(&(
            number,
            &parsed.name,
            &parsed.address,
            partner.organization.as_deref().unwrap_or_default(),
            &parsed.subject,
            &parsed.language,
            &asked,
            package,
            mark as u8,
            &kinds,
            bytes.len(),
            partner.line,
        ))?;
        self.details.add(&(
            number,
            &parsed.headers,
            &parsed.text,
            String::from_utf8_lossy(bytes),
            verified(message.verification),
            notes.iter().map(|it| &it.text).collect::<Vec<_>>(),
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
        summary.new += u64::from(mark == Mark::New);
        summary.changed += u64::from(mark == Mark::Changed);
        summary.templates.add(&parsed.language);
        summary.asked.add(&format!("{asked} {}", parsed.language));
        summary.packages.add(package);
        for kind in kinds {
            summary.notes.add(kind);
        }
        Ok(())
    }

    /// Adds a partner who is not mailed, with the kind of reason and the reason.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn skip(&mut self, partner: &Partner, kind: &str, why: &str) -> Result<()> {
        let address = partner.address.as_written();
        self.summary.left_out += 1;
        self.summary.reasons.add(kind);
        self.skipped.add(&(
            partner.name.as_deref().unwrap_or_default(),
            address,
            partner.organization.as_deref().unwrap_or_default(),
            partner.package.key.as_str(),
            kind,
            why,
            partner.line,
        ))?;
        Ok(self.static_list.skip(address, why)?)
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
        write_whole(&self.path, &self.made, "summary", &self.summary)?;
        for (name, text) in PAGE {
            create_new(&self.path.join(name))?.write_all(text.as_bytes())?;
        }
        let about = &self.summary.about;
        self.previous.write(&self.path, about.made, about.partial)?;
        let index = self.path.join(INDEX);
        let mut unfinished = tempfile::NamedTempFile::new_in(&self.path)?;
        unfinished.write_all(INDEX_PAGE.as_bytes())?;
        unfinished.persist(&index).map_err(|it| it.error)?;
        Ok((index, total))
    }
}

/// The results of the verification, in sentences.
fn verified(verification: Verification) -> Vec<String> {
    let headers = verification.headers;
    let (lines, longest_line) = (verification.lines, verification.longest_line);
    vec![
        "The text part has the whole link once, alone on its line.".into(),
        "The HTML part has it behind its button, and once more in full as text.".into(),
        "Nothing else is linked but the address for replies, and nothing is loaded, run or submitted."
            .into(),
        format!("{headers} headers, exactly those there should be, and one recipient."),
        format!(
            "Pure ASCII on the wire: {lines} lines, the longest {longest_line} octets of the 998 allowed."
        ),
    ]
}

#[cfg(test)]
mod tests;
