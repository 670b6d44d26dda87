//! `[ledger]`: where the ledger is.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use super::ledger_files::{ENTRA, LedgerFiles};
use super::ledger_server::{LedgerServer, ServerKeys, database_url};
use super::overlap::{behind_link, is_same_file};
use super::reader::Section;
use super::values::path;
use crate::files::beside;

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerLocation {
    /// In a file of this machine.
    File(LedgerFiles),
    /// In a PostgreSQL database.
    Server(Box<LedgerServer>),
}

/// Which of the two keys is set, with its value if that is usable.
enum Place {
    File(PathBuf),
    Url(Option<String>),
}

impl LedgerLocation {
    /// Reads the table. `configuration` is the file that it is in.
    pub(super) fn read(
        section: &mut Section<'_>,
        folder: &Path,
        configuration: &Path,
    ) -> Option<Self> {
        // Lock and log are beside the file itself, not beside a symbolic link to it.
        let path = || path(folder).map(behind_link);
        let url = section
            .key(
                "url",
                "instead: in a PostgreSQL database that several machines share",
            )
            .optional(database_url());
        let url = section.contains("url").then_some(Place::Url(url));
        let place = section
            .key("file", "every invitation and its outcome")
            .required_without("url", url, path().map(Place::File));
        let server = ServerKeys::read(section, folder);
        let witness = section
            .key("witness", "detects an older ledger; best on another disk")
            .optional(path());
        if section.contains("file") && section.contains("url") {
            let message = "`[ledger]` needs only one of `file` and `url`: the ledger is in a file or in a database; remove one of them";
            section.problem("url", message);
        }
        let ledger = match place {
            Some(Place::File(file)) => {
                if !section.contains("url") {
                    ServerKeys::refuse(section);
                }
                Some(Self::File(LedgerFiles::of_file(file, witness)))
            }
            Some(Place::Url(Some(url))) => {
                let witness =
                    witness.unwrap_or_else(|| LedgerServer::default_witness(configuration));
                let server = server.server(section, url, witness);
                Some(Self::Server(Box::new(server)))
            }
            _ => None,
        };
        if let Some(ledger) = &ledger
            && let mut files = ledger.files().into_iter()
            && files.any(|it| is_same_file(ledger.witness(), &it))
        {
            let message = "`ledger.witness` would overwrite the ledger or a file that belongs to it; name another file";
            section.problem("witness", message);
        }
        ledger
    }

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
            Self::Server(server) => {
                let cache = self.entra_cache();
                server.files().chain([cache]).collect()
            }
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
