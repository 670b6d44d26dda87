//! Opening the ledger for a verb that only reads. It changes nothing in the ledger's folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::errors::translate;
use super::reader::Reader;
use super::{connection, file_checks, runs, wal};
use crate::config::LedgerFiles;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::freshness::{FilesOnDisk, read_witness};
use crate::ledger::lock;
use crate::ledger::sidecar::sidecar;

/// How often, and after which pause, a ledger is opened that a run is changing.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

impl Reader {
    /// Opens the ledger for reading.
    ///
    /// If no run is at work and a killed run has left its log, a private copy is read, in `scratch` or
    /// in the system's temporary folder. If a run begins or ends meanwhile, it is tried again.
    ///
    /// # Errors
    /// If it is missing, open to everyone, no ledger of this version, damaged, or if runs keep changing it.
    pub fn open(files: &LedgerFiles, scratch: Option<&Path>) -> Result<Self> {
        file_checks::check(&files.file)?;
        for _ in 0..TRIES {
            match try_open(files, scratch)? {
                Some(reader) => return Ok(reader),
                None => std::thread::sleep(PAUSE),
            }
        }
        Err(LedgerError::Busy(format!(
            "the ledger `{}` is being changed by a run that begins or ends; try again in a moment",
            files.file.display()
        )))
    }
}

/// One attempt; none if a run has begun or ended meanwhile.
fn try_open(files: &LedgerFiles, scratch: Option<&Path>) -> Result<Option<Reader>> {
    let path = &files.file;
    let unreadable = |error: std::io::Error| file_checks::cannot_open(path, &error);
    let live = lock::is_held(path);
    let witness = read_witness(&files.witness)?;
    let left_over = ["-wal", "-journal"].map(|suffix| sidecar(path, suffix));
    // SQLite would create a log for a file whose header requires one.
    let log_expected = wal::is_expected(path).map_err(unreadable)?;
    let found = FilesOnDisk {
        witness,
        // During a run the log exists, or is about to.
        log_missing: log_expected && !left_over[0].exists() && !live,
    };
    let (connection, copy) = if live || !(log_expected || left_over.iter().any(|it| it.exists())) {
        match connection::open_for_reading(path) {
            Ok(connection) => (connection, None),
            // A run that ends, or that was killed while it ended, leaves a journal which only a
            // writer may roll back.
            Err(LedgerError::NoPermission(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    } else {
        let folder = copy_with_log(path, &left_over, scratch)?;
        if lock::is_held(path) {
            return Ok(None);
        }
        let connection = connection::open_copy(&folder.path().join("ledger"))?;
        (connection, Some(folder))
    };
    let doubt = runs::staleness(&connection, found).map_err(|error| translate(path, &error))?;
    let mut reader = Reader::start(path, connection)?;
    reader.live = live;
    reader.doubt = doubt;
    reader.copy = copy;
    Ok(Some(reader))
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
        match std::fs::copy(from, sidecar(&copy, suffix)) {
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
