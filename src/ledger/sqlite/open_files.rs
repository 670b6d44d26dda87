//! Whether the files of the ledger are still those that the run has opened: if one of them was
//! replaced or removed, the run and the next one no longer work on the same ledger.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::ledger::sidecar::identity;

/// The files that a run has opened by name.
#[derive(Debug)]
pub struct OpenFiles {
    names: Vec<(PathBuf, (u64, u64))>,
    /// The ledger itself. Closed after SQLite's own, because closing any descriptor of a file gives up
    /// the locks that the process holds on it.
    ledger: File,
}

/// What happened to an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The name was removed, or names another file.
    Name(PathBuf),
    /// The ledger's content was overwritten in place.
    Content,
}

impl OpenFiles {
    /// Remembers which file the ledger is now.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn of(ledger: &Path) -> io::Result<Self> {
        let file = File::open(ledger)?;
        let names = vec![(ledger.to_owned(), identity(&file.metadata()?))];
        Ok(Self {
            names,
            ledger: file,
        })
    }

    /// Remembers which file `path` is now.
    ///
    /// # Errors
    /// If it is missing or cannot be examined.
    pub fn watch(&mut self, path: PathBuf) -> io::Result<()> {
        let identity = identity(&std::fs::metadata(&path)?);
        self.names.push((path, identity));
        Ok(())
    }

    /// The first file that is no longer the one that was opened. The header of a ledger
    /// in use says WAL mode, that of a copy of a closed one does not.
    #[must_use]
    pub fn replaced(&self) -> Option<Replaced> {
        let changed = |(path, opened): &&(PathBuf, (u64, u64))| {
            std::fs::metadata(path).map_or(true, |it| identity(&it) != *opened)
        };
        if let Some((path, _)) = self.names.iter().find(changed) {
            return Some(Replaced::Name(path.clone()));
        }
        let mut mode = [0; 2];
        let read = self.ledger.read_exact_at(&mut mode, 18);
        (read.is_err() || mode != [2, 2]).then_some(Replaced::Content)
    }
}
