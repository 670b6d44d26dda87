//! The run that writes: its row and change counter, the witness that is advanced after each of its
//! commits, and the files that must stay in place. If one of them is replaced or removed, this run and the
//! next one no longer work on the same ledger.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::runs;
use crate::ledger::error::Result;
use crate::ledger::freshness;
use crate::ledger::sidecar::identity;
use crate::ledger::witness::{Witness, WitnessMark};

/// A recorded run.
pub struct ActiveRun {
    /// The number of its row.
    pub number: i64,
    /// How far it has come: the change counter of its last commit.
    pub mark: WitnessMark,
    /// Ledger, log and lock.
    pub files: OpenFiles,
    /// None until an older ledger is accepted.
    pub witness: Option<Witness>,
    /// The witness' path.
    pub witness_path: PathBuf,
}

impl ActiveRun {
    /// Raises the change counter within a transaction; gives its value.
    pub fn count_change(&self, connection: &Connection) -> rusqlite::Result<u64> {
        runs::count_change(connection, self.number)
    }

    /// Advances the witness to a durable commit.
    pub fn advance_witness(&mut self, changes: u64) -> Result<()> {
        self.mark.changes = changes;
        self.with_witness(|it| it.advance(self.mark))
    }

    /// Syncs the witness to the disk.
    pub fn sync_witness(&self) -> Result<()> {
        self.with_witness(Witness::sync)
    }

    /// Creates a new witness after an older ledger was accepted.
    pub fn reset_witness(&mut self, ledger: &Path) -> Result<()> {
        let witness = freshness::open_witness(&self.witness_path, self.mark, ledger)?;
        let unusable = |error| freshness::unusable(&self.witness_path, &error);
        witness.reset(self.mark).map_err(unusable)?;
        self.witness = Some(witness);
        Ok(())
    }

    fn with_witness(&self, work: impl FnOnce(&Witness) -> io::Result<()>) -> Result<()> {
        let done = self.witness.as_ref().map_or(Ok(()), work);
        done.map_err(|error| freshness::unusable(&self.witness_path, &error))
    }
}

/// The files that a run has opened by name.
#[derive(Debug)]
pub struct OpenFiles {
    names: Vec<(PathBuf, (u64, u64))>,
    /// The ledger itself. Closed after SQLite's descriptor, because closing any descriptor of a file
    /// releases the locks that the process holds on it.
    ledger: File,
}

/// What happened to an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The file was removed, or another one has its name.
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

    /// What was replaced since the files were opened. The header of a ledger in use is in WAL mode, that of
    /// a copy of a closed one is not.
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
