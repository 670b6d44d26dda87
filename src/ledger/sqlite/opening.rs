//! Opening the ledger. For writing, it is examined first, and changed only by [`Examined::begin_run`]. A
//! verb that only reads changes nothing in the ledger's folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::active_run::{ActiveRun, OpenFiles};
use super::errors::translate;
use super::reader::{BUSY_TRIES, Reader};
use super::writer_handle::WriterHandle;
use super::writer_thread::WriterThread;
use super::{connection, file_checks, runs, schema, wal};
use crate::config::LedgerFiles;
use crate::files::beside;
use crate::ledger::copy_tables::CopyState;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::freshness::Staleness;
use crate::ledger::lock::{self, lock_file};
use crate::ledger::records::RunStart;
use crate::ledger::witness::{self, Id, Witness, WitnessMark, random_id};

/// How often, and after which pause, a ledger is opened that a run is changing.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Opens a scratch ledger: without a recorded run and without a witness.
///
/// # Errors
/// If it cannot be opened, is not usable, or cannot be written.
pub fn open_scratch(path: &Path) -> Result<(WriterHandle, Reader)> {
    let connection = connection::open_to_examine(path)?;
    connection::begin_writing(&connection, random_id()?)
        .map_err(|error| translate(path, &error))?;
    start_threads(path, connection, None)
}

fn start_threads(
    path: &Path,
    connection: Connection,
    run: Option<ActiveRun>,
) -> Result<(WriterHandle, Reader)> {
    let reader = Reader::beside_writer(path)?;
    let writer = WriterThread::new(path, connection, reader.opened.key.clone(), run);
    Ok((WriterHandle::start(writer), reader))
}

/// A ledger that was opened for writing and is not changed yet.
pub struct Examined {
    path: PathBuf,
    connection: Connection,
    /// Dropped after the connection, see [`OpenFiles`].
    open_files: OpenFiles,
    log_missing: bool,
    /// Whether a run is using it.
    live: bool,
    /// Why it may lack what later runs have recorded.
    pub staleness: Option<Staleness>,
    /// Its id; a new one if it has none yet.
    pub id: Id,
}

impl Examined {
    /// Opens the ledger and examines it.
    ///
    /// # Errors
    /// If it cannot be opened or is not usable.
    pub fn open(files: &LedgerFiles) -> Result<Self> {
        Self::open_with(files, false, connection::open_to_examine)
    }

    /// Opens the ledger beside the run that is using it and has examined it.
    ///
    /// # Errors
    /// If it cannot be opened or is not usable.
    pub fn open_beside_run(files: &LedgerFiles) -> Result<Self> {
        Self::open_with(files, true, connection::open_beside_run)
    }

    fn open_with(
        files: &LedgerFiles,
        live: bool,
        open: fn(&Path) -> Result<Connection>,
    ) -> Result<Self> {
        let path = &files.file;
        let unreadable = |error: std::io::Error| file_checks::cannot_open(path, &error);
        let witness = witness::read(&files.witness)?;
        let log_missing = wal::is_missing(path).map_err(unreadable)?;
        let open_files = OpenFiles::of(path).map_err(unreadable)?;
        let connection = open(path)?;
        let sqlite = |error: rusqlite::Error| translate(path, &error);
        let staleness = runs::staleness(&connection, witness, log_missing).map_err(sqlite)?;
        let id = schema::id(&connection).map_err(sqlite)?;
        Ok(Self {
            path: path.clone(),
            connection,
            open_files,
            log_missing,
            live,
            staleness,
            id: id.map_or_else(random_id, Ok)?,
        })
    }

    /// Closes it unchanged.
    pub fn close(self) {
        drop(self.connection);
        if self.log_missing {
            // SQLite has created an empty log, which must not pass for the missing one.
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
            live,
            id: ledger,
            ..
        } = self;
        let sqlite = |error: rusqlite::Error| translate(&path, &error);
        let begun = if live {
            connection::join_writing(&connection)
        } else {
            connection::begin_writing(&connection, ledger)
        };
        begun.map_err(sqlite)?;
        for file in [beside(&path, "-wal"), lock_file(&path)] {
            let shown = file.display().to_string();
            open_files.watch(file).map_err(|error| {
                LedgerError::CannotWrite(format!("cannot examine `{shown}`: {error}"))
            })?;
        }
        let id = random_id()?;
        let (number, changes) = record_run(&connection, files, id, start).map_err(sqlite)?;
        let mut run = ActiveRun {
            number,
            mark: WitnessMark {
                ledger,
                run: id,
                changes,
            },
            files: open_files,
            beside_another: live,
            witness,
            witness_path: files.witness.clone(),
        };
        run.advance_witness(changes)?;
        start_threads(&path, connection, Some(run))
    }
}

/// Records a run and the path of its witness. Returns the run's number and the change counter.
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

impl Reader {
    /// Opens the ledger for reading.
    ///
    /// If a killed run has left its log and no run is active, a private copy is read, in `scratch` or in the
    /// system's temporary folder. If a run begins or ends meanwhile, opening is tried again.
    ///
    /// # Errors
    /// If it is missing, open to everyone, no ledger of this version, damaged, or if runs keep changing it.
    pub fn open(files: &LedgerFiles, scratch: Option<&Path>) -> Result<Self> {
        file_checks::check(&files.file)?;
        let mut busy = 0;
        for _ in 0..TRIES {
            match try_open(files, scratch) {
                Ok(Some(reader)) => return Ok(reader),
                Ok(None) => std::thread::sleep(PAUSE),
                Err(LedgerError::Busy(_)) if busy + 1 < BUSY_TRIES => busy += 1,
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Busy(format!(
            "the ledger `{}` is being changed by a run that begins or ends; try again",
            files.file.display()
        )))
    }
}

/// One attempt; none if a run has begun or ended meanwhile.
fn try_open(files: &LedgerFiles, scratch: Option<&Path>) -> Result<Option<Reader>> {
    let path = &files.file;
    let unreadable = |error: std::io::Error| file_checks::cannot_open(path, &error);
    let live = lock::is_held(path);
    let witness = witness::read(&files.witness)?;
    let left_over = ["-wal", "-journal"].map(|suffix| beside(path, suffix));
    // SQLite would create a log for a file whose header requires one.
    let log_expected = wal::is_expected(path).map_err(unreadable)?;
    // During a run the log exists, or is about to.
    let log_missing = log_expected && !left_over[0].exists() && !live;
    let (connection, copy) = if live || !(log_expected || left_over.iter().any(|it| it.exists())) {
        match connection::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
            Ok(connection) => (connection, None),
            // A run that ends, or was killed while it ended, leaves a journal that only a writer may
            // roll back.
            Err(LedgerError::NoPermission(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    } else {
        let before = left_over.each_ref().map(|it| change_mark(it));
        let folder = copy_with_log(path, &left_over, scratch)?;
        // A run may have begun, or a `sync` that began beside one may still be writing.
        if lock::is_held(path) || before != left_over.each_ref().map(|it| change_mark(it)) {
            return Ok(None);
        }
        let connection = connection::open(
            &folder.path().join("ledger"),
            OpenFlags::SQLITE_OPEN_READ_WRITE,
        )?;
        (connection, Some(folder))
    };
    let staleness =
        runs::staleness(&connection, witness, log_missing).map_err(|it| translate(path, &it))?;
    let state = schema::copy_state(&connection).map_err(|it| translate(path, &it))?;
    let mut reader = Reader::start(path, connection)?;
    reader.opened.live = live;
    reader.opened.staleness = staleness;
    if let CopyState::Moved { to, .. } = state {
        reader.opened.moved_to = Some(to);
    }
    reader.copy = copy;
    Ok(Some(reader))
}

/// Changes with the content of a file; none if there is no such file.
fn change_mark(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

/// Copies a ledger together with the log or journal that a killed run has left.
fn copy_with_log(path: &Path, left_over: &[PathBuf; 2], scratch: Option<&Path>) -> Result<TempDir> {
    let folder = match scratch {
        Some(scratch) => tempfile::tempdir_in(scratch),
        None => tempfile::tempdir(),
    };
    let folder = folder.map_err(|error| {
        let what = "cannot create a folder for a copy of the ledger";
        LedgerError::CannotWrite(format!("{what}: {error}"))
    })?;
    let copy = folder.path().join("ledger");
    let from = [path, &left_over[0], &left_over[1]];
    for (from, suffix) in from.into_iter().zip(["", "-wal", "-journal"]) {
        match std::fs::copy(from, beside(&copy, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let shown = from.display();
                let message = format!("cannot copy the ledger `{shown}`: {error}");
                return Err(LedgerError::CannotWrite(message));
            }
            _ => {}
        }
    }
    Ok(folder)
}
