//! `[approval]`: whether a person must approve what is sent, and how.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::values::{path, switch};

/// What must be approved before it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalRules {
    /// Whether nothing is sent without an approval: on record, in the file, or on the command line.
    pub required: bool,
    /// The file with an approval. Unless `required` is set, it is the only one that counts.
    pub file: Option<PathBuf>,
}

impl ApprovalRules {
    pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Self {
        Self {
            required: section
                .key("required", "nothing is sent without an approval")
                .or("false", switch()),
            file: section
                .key("file", "only inputs that it approves are sent")
                .optional(path(folder)),
        }
    }

    /// Whether a `send` without `--approved` needs an approval.
    #[must_use]
    pub fn apply(&self) -> bool {
        self.required || self.file.is_some()
    }
}
