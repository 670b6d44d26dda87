//! `[ledger]`: where the ledger is.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use super::ledger_files::{ENTRA, LedgerFiles};
use super::ledger_server::LedgerServer;
use crate::files::beside;

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerLocation {
    /// In a file of this machine.
    File(LedgerFiles),
    /// In a PostgreSQL database.
    Server(Box<LedgerServer>),
}

impl LedgerLocation {
    /// The witness, which records the last change.
    #[must_use]
    pub fn witness(&self) -> &Path {
        match self {
            Self::File(files) => &files.witness,
            Self::Server(server) => &server.witness,
        }
    }

    /// The file that remembers for a day what was read from Microsoft Entra.
    #[must_use]
    pub fn entra_cache(&self) -> PathBuf {
        match self {
            Self::File(files) => beside(&files.file, ENTRA),
            Self::Server(server) => beside(&server.witness, ENTRA),
        }
    }

    /// The files that belong to it, besides the witness.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::File(files) => files.files().collect(),
            Self::Server(_) => vec![self.entra_cache()],
        }
    }
}

/// As messages name it: the file, or the URL without parameters.
impl Display for LedgerLocation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(files) => Display::fmt(&files.file.display(), f),
            Self::Server(server) => f.write_str(server.name()),
        }
    }
}
