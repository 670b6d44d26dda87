//! Opening the ledger for writing. It is examined first, and changed only by [`Examined::begin_run`].

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::active_run::ActiveRun;
use super::errors::translate;
use super::open_files::OpenFiles;
use super::reader::Reader;
use super::writer_handle::WriterHandle;
use super::{connection, file_checks, runs, schema, wal};
use crate::config::LedgerFiles;
use crate::invitation::MessageIdKey;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::freshness::{FilesOnDisk, Staleness, read_witness};
use crate::ledger::lock::lock_file;
use crate::ledger::records::RunStart;
use crate::ledger::sidecar::sidecar;
use crate::ledger::witness::{Id, Mark, Witness, random_id};

/// Creates an empty ledger.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn create(path: &Path) -> Result<()> {
    let key = MessageIdKey::random().map_err(LedgerError::cannot_write)?;
    let id = random_id().map_err(LedgerError::cannot_write)?;
    connection::create(path, &key, id)
}

/// Opens a ledger that is thrown away: without a run on record, and without a witness.
///
/// # Errors
/// If it cannot be opened, is not usable, or cannot be written.
pub fn open_scratch(path: &Path) -> Result<(WriterHandle, Reader)> {
    let connection = connection::open_to_examine(path)?;
    let id = random_id().map_err(LedgerError::cannot_write)?;
    connection::begin_writing(&connection, id).map_err(|error| translate(path, &error))?;
    start_threads(path, connection, None)
}

fn start_threads(
    path: &Path,
    connection: Connection,
    run: Option<ActiveRun>,
) -> Result<(WriterHandle, Reader)> {
    let reader = Reader::beside_writer(path)?;
    let writer = WriterHandle::start(path, connection, reader.key().clone(), run);
    Ok((writer, reader))
}

/// A ledger that was opened for writing, and is not changed yet.
pub struct Examined {
    path: PathBuf,
    connection: Connection,
    /// Dropped after the connection, see [`OpenFiles`].
    open_files: OpenFiles,
    log_missing: bool,
    /// Why it may lack what later runs have recorded.
    pub doubt: Option<Staleness>,
    /// Its id; a new one if it has none yet.
    pub id: Id,
}

impl Examined {
    /// Opens the ledger and examines it.
    ///
    /// # Errors
    /// If it cannot be opened or is not usable.
    pub fn open(files: &LedgerFiles) -> Result<Self> {
        let path = &files.file;
        let unreadable = |error: std::io::Error| file_checks::cannot_open(path, &error);
        let found = FilesOnDisk {
            witness: read_witness(&files.witness)?,
            log_missing: wal::is_missing(path).map_err(unreadable)?,
        };
        let open_files = OpenFiles::of(path).map_err(unreadable)?;
        let connection = connection::open_to_examine(path)?;
        let sqlite = |error: rusqlite::Error| translate(path, &error);
        let doubt = runs::staleness(&connection, found).map_err(sqlite)?;
        let id = schema::id(&connection).map_err(sqlite)?;
        Ok(Self {
            path: path.clone(),
            connection,
            open_files,
            log_missing: found.log_missing,
            doubt,
            id: id
                .map_or_else(random_id, Ok)
                .map_err(LedgerError::cannot_write)?,
        })
    }

    /// Closes it unchanged.
    pub fn close(self) {
        drop(self.connection);
        if self.log_missing {
            // SQLite has created an empty log, which must not be taken for the missing one.
            wal::remove_if_empty(&self.path);
        }
    }

    /// Brings the tables to this version and records a run, whose commits advance the witness.
    ///
    /// # Errors
    /// If the ledger or the witness cannot be written.
    pub fn begin_run(
        self,
        files: &LedgerFiles,
        witness: Option<Witness>,
        start: &RunStart,
    ) -> Result<(WriterHandle, Reader)> {
        let Self {
            path,
            mut open_files,
            connection,
            id: ledger,
            ..
        } = self;
        let sqlite = |error: rusqlite::Error| translate(&path, &error);
        connection::begin_writing(&connection, ledger).map_err(sqlite)?;
        for file in [sidecar(&path, "-wal"), lock_file(&path)] {
            let shown = file.display().to_string();
            open_files.watch(file).map_err(|error| {
                LedgerError::cannot_write(format!("cannot examine `{shown}`: {error}"))
            })?;
        }
        let id = random_id().map_err(LedgerError::cannot_write)?;
        let (number, changes) = record_run(&connection, files, id, start).map_err(sqlite)?;
        let mut run = ActiveRun {
            number,
            mark: Mark {
                ledger,
                run: id,
                changes,
            },
            files: open_files,
            witness,
            witness_path: files.witness.clone(),
        };
        run.advance_witness(changes)?;
        start_threads(&path, connection, Some(run))
    }
}

/// Records a run and the path of its witness; gives the run's number and the change counter.
fn record_run(
    connection: &Connection,
    files: &LedgerFiles,
    id: Id,
    start: &RunStart,
) -> rusqlite::Result<(i64, u64)> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let witness = std::path::absolute(&files.witness).unwrap_or_else(|_| files.witness.clone());
    runs::record_witness(connection, &witness)?;
    let number = runs::begin(connection, id, start)?;
    let changes = runs::count_change(connection, number)?;
    connection.execute_batch("COMMIT")?;
    Ok((number, changes))
}
