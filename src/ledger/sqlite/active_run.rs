//! The run that writes: its row and its change counter, the files that must stay in place, and the
//! witness that is advanced after each of its commits.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open_files::OpenFiles;
use super::runs;
use crate::ledger::error::Result;
use crate::ledger::freshness;
use crate::ledger::sidecar::give_to_owner;
use crate::ledger::witness::{Id, Mark, Witness};

/// A run on record.
pub struct ActiveRun {
    /// The number of its row.
    pub number: i64,
    /// Its random id.
    pub id: Id,
    /// The ledger's id.
    pub ledger: Id,
    /// The change counter of its last commit.
    pub changes: u64,
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
        self.changes = changes;
        let mark = self.mark();
        self.with_witness(|it| it.advance(mark))
    }

    /// Brings the witness to the disk.
    pub fn sync_witness(&self) -> Result<()> {
        self.with_witness(Witness::sync)
    }

    /// Begins a new witness once an older ledger was accepted.
    pub fn reset_witness(&mut self, ledger: &Path) -> Result<()> {
        let mark = self.mark();
        let witness = Witness::open_or_create(&self.witness_path, mark).and_then(|it| {
            it.reset(mark)?;
            give_to_owner(it.file(), ledger)?;
            Ok(it)
        });
        let unusable = |error| freshness::unusable(&self.witness_path, &error);
        self.witness = Some(witness.map_err(unusable)?);
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark {
            ledger: self.ledger,
            run: self.id,
            changes: self.changes,
        }
    }

    fn with_witness(&self, work: impl FnOnce(&Witness) -> std::io::Result<()>) -> Result<()> {
        let done = self.witness.as_ref().map_or(Ok(()), work);
        done.map_err(|error| freshness::unusable(&self.witness_path, &error))
    }
}
