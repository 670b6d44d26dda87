//! `[ledger]`: where the ledger and its witness are.

use std::path::{Path, PathBuf};

use super::ledger_location::LedgerLocation;
use super::overlap::{behind_link, is_same_file};
use super::reader::Section;
use super::values::path;
use crate::files::beside;

/// The suffix of the file that remembers what was read from Microsoft Entra.
pub(super) const ENTRA: &str = ".entra";

/// Where the ledger is, and the witness that records its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFiles {
    /// The ledger, with symbolic links resolved.
    pub file: PathBuf,
    /// The witness, by default beside the ledger.
    pub witness: PathBuf,
}

impl LedgerFiles {
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Option<LedgerLocation> {
        // Lock and log are beside the file itself, not beside a symbolic link to it.
        let path = || path(folder).map(behind_link);
        let file = section
            .key("file", "every invitation and its outcome")
            .required(path());
        let witness = section
            .key("witness", "detects an older ledger; best on another disk")
            .optional(path());
        let ledger = file.map(|file| Self {
            witness: witness.unwrap_or_else(|| beside(&file, ".witness")),
            file,
        });
        if let Some(ledger) = &ledger
            && let mut files = ledger.files()
            && files.any(|it| is_same_file(&ledger.witness, &it))
        {
            let message = "`ledger.witness` would overwrite the ledger or a file that belongs to it; name another file";
            section.problem("witness", message);
        }
        section.finish();
        ledger.map(LedgerLocation::File)
    }

    /// The ledger, and the files beside it.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let suffixes = ["", "-wal", "-shm", "-journal", ".lock", ENTRA];
        suffixes.into_iter().map(|it| beside(&self.file, it))
    }
}
