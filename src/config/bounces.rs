//! `[bounces]`: where delivery reports arrive.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::values::{path, switch};

/// Where delivery reports arrive, and what they do. Without a source, `sync` reads only the files that it is
/// given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounces {
    /// A Maildir.
    pub maildir: Option<PathBuf>,
    /// An mbox file.
    pub mbox: Option<PathBuf>,
    /// Whether to ask relays for reports of success, too.
    pub receipts: bool,
}

impl Bounces {
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Self {
        let maildir = section
            .key("maildir", "the Maildir of the mailbox that reports come to")
            .optional(path(folder));
        let mbox = section
            .key("mbox", "or its mbox file")
            .optional(path(folder));
        let receipts = section
            .key("receipts", "ask relays for reports of success, too")
            .or("false", switch());
        section.finish();
        Self {
            maildir,
            mbox,
            receipts,
        }
    }
}
