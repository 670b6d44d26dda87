//! `[ledger] file`: a ledger in a file, and the files beside it.

use std::path::PathBuf;

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
    /// A ledger with its witness, by default beside it.
    #[must_use]
    pub fn of_file(file: PathBuf, witness: Option<PathBuf>) -> Self {
        Self {
            witness: witness.unwrap_or_else(|| beside(&file, ".witness")),
            file,
        }
    }

    /// The ledger, and the files beside it.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let suffixes = ["", "-wal", "-shm", "-journal", ".lock", ENTRA];
        suffixes.into_iter().map(|it| beside(&self.file, it))
    }
}
