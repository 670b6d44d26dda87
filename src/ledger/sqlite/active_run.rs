//! The run that writes: its row and its change counter, the files that must stay in place, and the
//! witness that is advanced after each of its commits.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open_files::OpenFiles;
use super::runs;
use crate::ledger::error::Result;
use crate::ledger::freshness;
use crate::ledger::witness::{Mark, Witness};

/// A run on record.
pub struct ActiveRun {
    /// The number of its row.
    pub number: i64,
    /// How far it has come: the change counter of its last commit.
    pub mark: Mark,
    /// Ledger, log and lock.
    pub files: OpenFiles,
    /// None before an older ledger is accepted.
    pub witness: Option<Witness>,
    /// The witness' path.
    pub witness_path: PathBuf,
}

impl ActiveRun {
    /// Raises the change counter within a transaction; gives its value.
    pub fn count_change(&self, connection: &Connection) -> rusqlite::Result<u64> {
        runs::count_change(connection, self.number)
    }

    /// Advances the witness to a commit that is durable.
    pub fn advance_witness(&mut self, changes: u64) -> Result<()> {
        self.mark.changes = changes;
        self.with_witness(|it| it.advance(self.mark))
    }

    /// Brings the witness to the disk.
    pub fn sync_witness(&self) -> Result<()> {
        self.with_witness(Witness::sync)
    }

    /// Begins a new witness once an older ledger was accepted.
    pub fn reset_witness(&mut self, ledger: &Path) -> Result<()> {
        let witness = freshness::open_witness(&self.witness_path, self.mark, ledger)?;
        let unusable = |error| freshness::unusable(&self.witness_path, &error);
        witness.reset(self.mark).map_err(unusable)?;
        self.witness = Some(witness);
        Ok(())
    }

    fn with_witness(&self, work: impl FnOnce(&Witness) -> std::io::Result<()>) -> Result<()> {
        let done = self.witness.as_ref().map_or(Ok(()), work);
        done.map_err(|error| freshness::unusable(&self.witness_path, &error))
    }
}
