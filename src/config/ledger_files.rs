//! `[ledger]`: the ledger, and the witness that says how far its writers have come.

use std::path::{Path, PathBuf};

use super::overlap::{behind_link, is_same_file};
use super::reader::Section;
use super::values::path;

/// Where the ledger is, and the witness that says how far its writers have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFiles {
    /// The ledger, behind any symbolic link.
    pub file: PathBuf,
    /// The witness, beside the ledger unless the configuration names another place.
    pub witness: PathBuf,
}

impl LedgerFiles {
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Option<Self> {
        // Lock and log stand beside the file itself, whatever name leads to it.
        let path = || path(folder).map(behind_link);
        let file = section
            .key("file", "every invitation and its outcome")
            .required(path());
        let witness = section
            .key("witness", "notices an older ledger; best on another disk")
            .optional(path());
        let ledger = file.map(|file| Self {
            witness: witness.unwrap_or_else(|| beside(&file, ".witness")),
            file,
        });
        if let Some(ledger) = &ledger
            && let mut own = ledger.own_files()
            && own.any(|it| is_same_file(&ledger.witness, &it))
        {
            let message = "`ledger.witness` would overwrite the ledger or a file that belongs to it; name a file of its own";
            section.problem("witness", message);
        }
        section.finish();
        ledger
    }

    /// The ledger, and what stands beside it during a run.
    pub(super) fn own_files(&self) -> impl Iterator<Item = PathBuf> {
        let suffixes = ["", "-wal", "-shm", "-journal", ".lock"];
        suffixes.into_iter().map(|it| beside(&self.file, it))
    }
}

/// The file whose name is that of `file` with a suffix.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
