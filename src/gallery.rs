//! The review: a folder of messages as files, with a page to look through them.
//!
//! What is shown is read back from the finished message, not from what it was made of. The
//! page is opened from disk, takes nothing from any network and runs one script, which is
//! the same for everybody; what comes from a CSV reaches it as JSON only. The folder belongs
//! to its owner, only what a preview made is ever replaced, and the page is written last: a
//! review that is not whole cannot be opened.

mod before;
mod data;
mod plain;
mod reading;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use self::before::{Before, Mark};
use self::data::{DATA, Rows, write_whole};
use self::plain::{LIST, PlainList};
use self::reading::Reading;
use crate::message::Proof;
use crate::partners::Partner;

/// Tells a folder that a preview made from one that somebody keeps things in.
const MARKER: &str = ".made-by-access-invite";
const MESSAGES: &str = "messages";
const INDEX: &str = "index.html";
/// What a preview leaves to be approved; a new review begins without.
pub const APPROVAL: &str = "approval.txt";

/// The page, the same for every review.
const PAGE: [(&str, &str); 2] = [
    ("gallery.css", include_str!("gallery/page/gallery.css")),
    ("gallery.js", include_str!("gallery/page/gallery.js")),
];
const INDEX_PAGE: &str = include_str!("gallery/page/index.html");

/// How many rows are in a data file; the page knows these numbers from the summary.
const LISTED: u64 = 1_000;
const DETAILED: u64 = 20;

/// Stands before the HTML of a message in its file: whoever opens it, nothing is loaded, and
/// a click inside the page's frame leads nowhere. A second DOCTYPE is ignored by browsers, and
/// what the mail's own `<html>` says about language and direction still counts.
const GUARD: &str = "<!DOCTYPE html><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><base target=\"_blank\">\n";
/// Tells a browser that a text is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

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

/// A finished message, and what its reader should know beside it.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The bytes.
    pub message: &'a [u8],
    /// Whom it is for.
    pub partner: &'a Partner,
    /// What the proof of just these bytes measured.
    pub proof: Proof,
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

/// A folder that is ready to take a review, while the old one still stands in it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held as long as this run writes here.
    marker: File,
}

impl Folder {
    /// Makes the folder, or takes one that a preview has made.
    ///
    /// # Errors
    /// When something else stands there, it cannot be made, or another run writes into it.
    pub fn prepare(path: &Path) -> Result<Self> {
        let context = || format!("cannot use `{}` for the review", path.display());
        match std::fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path)
                    .with_context(context)?;
            }
            Err(error) => return Err(error).with_context(context),
            Ok(mut entries) => ensure!(
                path.join(MARKER).exists() || entries.next().is_none(),
                "{}: it holds files that no preview made; name another folder with `--out`, or empty this one",
                context()
            ),
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .with_context(context)?;
        let marker = create(&path.join(MARKER)).with_context(context)?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another run is writing there just now; wait for it, or name another folder with `--out`",
                context()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        remove_scratch(path).with_context(context)?;
        Ok(Self {
            path: path.to_owned(),
            marker,
        })
    }

    /// Where scratch files may lie for a while.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes away the old review, its page first, and begins a new one.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn begin(self, about: About) -> Result<Gallery> {
        let context = || format!("cannot write the review into `{}`", self.path.display());
        let path = &self.path;
        let files = [INDEX, LIST, "gallery.js", "gallery.css", APPROVAL];
        let folders = [MESSAGES, DATA];
        let old = files
            .map(|it| std::fs::remove_file(path.join(it)))
            .into_iter()
            .chain(folders.map(|it| std::fs::remove_dir_all(path.join(it))));
        for removed in old {
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(context);
                }
                _ => {}
            }
        }
        for folder in folders {
            let mut builder = DirBuilder::new();
            let made = builder.mode(0o700).create(path.join(folder));
            made.with_context(context)?;
        }
        let lead = format!("Campaign {}. {}.", about.campaign, about.lead);
        let plain = PlainList::begin(path, &about.title, &lead).with_context(context)?;
        // A page that was opened before must not mix this review's files with its own.
        let review = format!("{:x}", about.made.as_nanosecond());
        let rows = |part, each| Rows::new(path, &review, part, each);
        Ok(Gallery {
            plain,
            list: rows("list", LISTED),
            skipped: rows("skipped", LISTED),
            details: rows("messages", DETAILED),
            before: Before::read(path),
            summary: Summary::new(about),
            path: self.path,
            review,
            _marker: self.marker,
        })
    }
}

/// A review in the making. Its memory does not grow with the number of messages, but for
/// sixteen bytes each.
#[derive(Debug)]
pub struct Gallery {
    path: PathBuf,
    review: String,
    plain: PlainList,
    list: Rows,
    skipped: Rows,
    details: Rows,
    before: Before,
    summary: Summary,
    _marker: File,
}

/// What the page shows first. The names are those that `gallery.js` reads.
#[derive(Debug, Serialize)]
struct Summary {
    about: About,
    messages: u64,
    bytes: u64,
    /// How many messages are written in each locale.
    templates: Counts,
    /// How many asked for which locale and are written to in which.
    asked: Counts,
    packages: Counts,
    notes: Counts,
    left_out: u64,
    reasons: Counts,
    new: u64,
    changed: u64,
    gone: u64,
    /// When the review before was made, if there is one.
    before: Option<String>,
    /// Rows in each file of a part.
    listed: u64,
    detailed: u64,
}

impl Summary {
    fn new(about: About) -> Self {
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
struct Counts(BTreeMap<String, u64>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Counts {
    fn add(&mut self, name: &str) {
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.0.insert(name.to_owned(), 1);
            }
        }
    }
}

impl Gallery {
    /// Adds a finished message.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn add(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let Shown {
            message,
            partner,
            proof,
            notes,
        } = shown;
        let number = self.summary.messages + 1;
        let reading = Reading::of(message)?;
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
        let identity = partner.identity(&self.summary.about.campaign).short();
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
            proven(*proof),
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

/// What the proof holds, in sentences.
fn proven(proof: Proof) -> Vec<String> {
    let Proof {
        headers,
        lines,
        longest_line,
    } = proof;
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

/// Takes away what a run that was killed has left: its scratch files hold addresses.
fn remove_scratch(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests;
