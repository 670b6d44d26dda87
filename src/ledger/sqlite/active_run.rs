//! The run that writes: its row and change counter, the witness that is advanced after each of its
//! commits, and the files that must stay in place. If one of them is replaced or removed, this run and the
//! next one no longer work on the same ledger.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::files::identity;
use crate::ledger::error::Result;
use crate::ledger::witness::{Witness, WitnessMark};

/// A recorded run.
pub struct ActiveRun {
    /// The number of its row.
    pub number: i64,
    /// How far it has come: the change counter of its last commit.
    pub mark: WitnessMark,
    /// Ledger, log and lock.
    pub files: OpenFiles,
    /// Whether another run was using the ledger when this one began. That one has set it up and closes it.
    pub beside_another: bool,
    /// None until an older ledger is accepted.
    pub witness: Option<Witness>,
    /// The witness' path.
    pub witness_path: PathBuf,
}

impl ActiveRun {
    /// Advances the witness to a durable commit.
    pub fn advance_witness(&mut self, changes: u64) -> Result<()> {
        self.mark.changes = changes;
        let witness = self.witness.as_ref();
        witness.map_or(Ok(()), |it| it.advance(self.mark))
    }

    /// Creates a new witness after an older ledger was accepted.
    pub fn reset_witness(&mut self, ledger: &Path) -> Result<()> {
        let witness = Witness::open_or_create(&self.witness_path, self.mark, ledger)?;
        witness.reset(self.mark)?;
        self.witness = Some(witness);
        Ok(())
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
