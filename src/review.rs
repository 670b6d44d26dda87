//! The review: a folder of messages as files, with a page to look through them.
//!
//! What is shown is read back from the finished message, not from what it was made of. The
//! page is opened from disk, takes nothing from any network and runs one script, which is
//! the same for everybody; what comes from a CSV reaches it as JSON only. The folder belongs
//! to its owner, only what a preview made is ever replaced, and the page is written last: a
//! review that is not whole cannot be opened.

mod file_names;
mod folder;
mod js_data;
mod parsed_message;
mod previous;
mod static_list;
mod summary;

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

pub use self::file_names::APPROVAL;
use self::file_names::{INDEX, INDEX_PAGE, MESSAGES, PAGE};
pub use self::folder::Folder;
use self::folder::create;
use self::js_data::{DETAILED, JsRows, LISTED, write_whole};
use self::parsed_message::ParsedMessage;
use self::previous::{Mark, PreviousReview};
use self::static_list::StaticList;
use self::summary::Summary;
pub use self::summary::{About, AboutApproval, AboutPackage};
use crate::message::Verification;
use crate::partners::Partner;

/// Stands before the HTML of a message in its file: whoever opens it, nothing is loaded, and
/// a click inside the page's frame leads nowhere. A second DOCTYPE is ignored by browsers, and
/// what the mail's own `<html>` says about language and direction still counts.
const GUARD: &str = "<!DOCTYPE html><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><base target=\"_blank\">\n";
/// Tells a browser that a text is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A finished message, and what its reader should know beside it.
#[derive(Debug)]
pub struct ReviewedMessage<'a> {
    /// The bytes.
    pub message: &'a [u8],
    /// Whom it is for.
    pub partner: &'a Partner,
    /// What the verification of just these bytes measured.
    pub verification: Verification,
    /// What deserves a second look about it.
    pub notes: Vec<Note>,
}

/// Something about one message: what such things are called, and what it is here.
#[derive(Clone, Debug)]
pub struct Note {
    /// The kind, to filter by.
    pub kind: &'static str,
    /// The sentence.
    pub text: String,
}

/// A review in the making. Its memory does not grow with the number of messages, but for
/// sixteen bytes each.
#[derive(Debug)]
pub struct Review {
    path: PathBuf,
    review: String,
    plain: StaticList,
    list: JsRows,
    skipped: JsRows,
    details: JsRows,
    before: PreviousReview,
    summary: Summary,
    _marker: File,
}

impl Review {
    /// Takes away the old review in a folder and begins a new one.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn begin(folder: Folder, about: About) -> io::Result<Self> {
        folder.clear()?;
        let Folder { path, marker } = folder;
        // A page that was opened before must not mix this review's files with its own.
        let review = format!("{:x}", about.made.as_nanosecond());
        let rows = |part, each| JsRows::new(&path, &review, part, each);
        Ok(Self {
            plain: StaticList::begin(&path, &about)?,
            list: rows("list", LISTED),
            skipped: rows("skipped", LISTED),
            details: rows("messages", DETAILED),
            before: PreviousReview::read(&path),
            summary: Summary::new(about),
            path,
            review,
            _marker: marker,
        })
    }

    /// Adds a finished message.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn add(&mut self, shown: &ReviewedMessage<'_>) -> io::Result<()> {
        let ReviewedMessage {
            message,
            partner,
            verification,
            notes,
        } = shown;
        let number = self.summary.messages + 1;
        let reading = ParsedMessage::of(message)?;
        let file = format!("{MESSAGES}/{number:04}");
        let guarded = |start: &str, text: &str| [start, text].concat().into_bytes();
        for (ending, bytes) in [
            ("eml", message.to_vec()),
            ("html", guarded(GUARD, &reading.html)),
            ("txt", guarded(BYTE_ORDER_MARK, &reading.text)),
        ] {
            create(&self.path.join(format!("{file}.{ending}")))?.write_all(&bytes)?;
        }
        let asked = partner.locale.as_ref().map(ToString::to_string);
        let asked = asked.unwrap_or_default();
        let package = partner.package.key.as_str();
        let identity = partner.identity(&self.summary.about.campaign).digest();
        let key = identity[..8].try_into().expect("it has sixteen bytes");
        let mark = self.before.mark(key, reading.digest());
        let kinds: Vec<&str> = notes.iter().map(|it| it.kind).collect();

        self.list.add(&(
            number,
            &reading.name,
            &reading.address,
            partner.organization.as_deref().unwrap_or_default(),
            &reading.subject,
            &reading.language,
            &asked,
            package,
            mark as u8,
            &kinds,
            message.len(),
            partner.line,
        ))?;
        self.details.add(&(
            number,
            &reading.headers,
            &reading.text,
            String::from_utf8_lossy(message),
            verified(*verification),
            notes.iter().map(|it| &it.text).collect::<Vec<_>>(),
        ))?;
        let mut remarks: Vec<String> = notes.iter().map(|it| it.text.clone()).collect();
        if !asked.is_empty() && asked != reading.language {
            remarks.insert(0, format!("{asked} → {}", reading.language));
        }
        self.plain
            .add(number, &reading, &remarks.join("; "), &file)?;

        let summary = &mut self.summary;
        summary.messages = number;
        summary.bytes += message.len() as u64;
        summary.new += u64::from(mark == Mark::New);
        summary.changed += u64::from(mark == Mark::Changed);
        summary.templates.add(&reading.language);
        summary.asked.add(&format!("{asked} {}", reading.language));
        summary.packages.add(package);
        for kind in kinds {
            summary.notes.add(kind);
        }
        Ok(())
    }

    /// Adds a partner who is not mailed, and why: in general, and in full.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn leave_out(&mut self, partner: &Partner, kind: &str, why: &str) -> io::Result<()> {
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
        self.plain.leave_out(address, why)
    }

    /// Completes the review; gives the path of its page and the number of messages.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn finish(mut self) -> io::Result<(PathBuf, u64)> {
        let shown = self.summary.messages;
        for rows in [&mut self.list, &mut self.details, &mut self.skipped] {
            rows.close()?;
        }
        self.plain.finish(shown, self.summary.left_out)?;
        if !self.summary.about.partial {
            self.summary.gone = self.before.gone();
        }
        self.summary.before = self.before.made.map(|it| it.to_string());
        write_whole(&self.path, &self.review, "summary", &self.summary)?;
        for (name, text) in PAGE {
            create(&self.path.join(name))?.write_all(text.as_bytes())?;
        }
        let about = &self.summary.about;
        self.before.write(&self.path, about.made, about.partial)?;
        let mut index = tempfile::NamedTempFile::new_in(&self.path)?;
        index.write_all(INDEX_PAGE.as_bytes())?;
        index.persist(self.path.join(INDEX))?;
        Ok((self.path.join(INDEX), shown))
    }
}

/// What the verification holds, in sentences.
fn verified(verification: Verification) -> Vec<String> {
    let Verification {
        headers,
        lines,
        longest_line,
    } = verification;
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
