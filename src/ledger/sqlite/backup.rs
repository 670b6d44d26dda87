//! A consistent copy of the ledger, also while a run is writing.

use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;

use super::errors::{damaged, translate};
use super::reader::Reader;
use super::{connection, errors};
use crate::ledger::error::{LedgerError, Result};

impl Reader {
    /// Writes the ledger as it is now into an empty file, and examines the copy. The copy is one file without a log,
    /// and has no free pages.
    ///
    /// # Errors
    /// If the ledger cannot be read, or the copy cannot be written or is damaged.
    pub async fn copy_to(&self, path: &Path) -> Result<()> {
        let name = utf8(path)?;
        let copied = self.query(move |connection| {
            let copied = connection.execute("VACUUM INTO ?1", [name]);
            // It may be the fault of the copy's disk, and not of the ledger.
            Ok(copied.map(drop))
        });
        copied.await?.map_err(|error| cannot_write(path, &error))?;
        let copy = connection::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match connection::examine(&copy).map_err(|error| errors::translate(path, &error))? {
            None => Ok(()),
            Some(fault) => Err(damaged(path, &fault)),
        }
    }
}

fn utf8(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    path.into_os_string().into_string().map_err(|name| {
        let name = name.display();
        LedgerError::CannotWrite(format!("`{name}` is not UTF-8; name another file"))
    })
}

fn cannot_write(path: &Path, error: &rusqlite::Error) -> LedgerError {
    match translate(path, error) {
        damaged @ LedgerError::Unusable(_) => damaged,
        _ => LedgerError::CannotWrite(format!(
            "cannot write the copy `{}`: {error}; free disk space, or name another file",
            path.display()
        )),
    }
}
