//! The run lock: one writing run at a time. The kernel releases it however the run ends.
//!
//! The lock file beside the ledger contains the process id, for the error of a second run. It is never
//! removed: a run could hold the lock on a removed file while the next one locks a new file of the same name.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{LedgerError, Result};
use super::sidecar;
use crate::files::{self, beside};

/// How often, and after which pause, the lock is tried. Readers hold it for a moment only, and so does a process
/// that was started by the holder and has not executed its program yet.
const TRIES: u32 = 50;
/// How often a run tries it that can also work beside another one.
const TRIES_OF_SHORT_RUN: u32 = 5;
/// How often it is tried while a run holds it that ends soon.
const TRIES_FOR_SHORT_RUN: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// Follows the process id in the lock file of a run that ends soon.
const SHORT: &str = " briefly";

/// Held while a verb writes into the ledger.
#[derive(Debug)]
pub struct RunLock(File);

impl RunLock {
    /// Takes the lock of this ledger.
    ///
    /// # Errors
    /// If another run holds it, or the lock file cannot be written.
    pub fn take(ledger: &Path) -> Result<Self> {
        Self::take_for(ledger, "", TRIES)
    }

    /// Takes the lock for a run that ends soon, so that others wait for it.
    ///
    /// # Errors
    /// As [`RunLock::take`].
    pub fn take_briefly(ledger: &Path) -> Result<Self> {
        Self::take_for(ledger, SHORT, TRIES_OF_SHORT_RUN)
    }

    fn take_for(ledger: &Path, purpose: &str, at_least: u32) -> Result<Self> {
        let path = lock_file(ledger);
        let shown = path.display();
        let failed = |what: &str, error: &std::io::Error| {
            LedgerError::CannotWrite(format!("cannot {what} `{shown}`: {error}"))
        };
        let mut tries = 0;
        while tries < at_least || (tries < TRIES_FOR_SHORT_RUN && is_held_briefly(&path)) {
            tries += 1;
            let mut file = files::open_own(&path).map_err(|error| {
                let fix = sidecar::ownership_fix(&path);
                let message = format!("cannot open the lock file `{shown}`: {error}{fix}");
                match error.kind() {
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                        LedgerError::NoPermission(message)
                    }
                    _ => LedgerError::CannotWrite(message),
                }
            })?;
            sidecar::give_to_owner(&file, ledger)
                .map_err(|error| failed("give the ledger's owner the lock file", &error))?;
            match file.try_lock() {
                // The lock file may have been replaced meanwhile.
                Ok(()) if is_same_file(&file, &path) => {
                    file.set_len(0)
                        .and_then(|()| write!(file, "{}{purpose}", std::process::id()))
                        .map_err(|error| failed("write the lock file", &error))?;
                    return Ok(Self(file));
                }
                Ok(()) | Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(failed("lock", &error)),
            }
        }
        Err(LedgerError::Busy(format!(
            "another run is using the ledger `{}`{}; try again when it has ended",
            ledger.display(),
            holder(&path).map_or_else(String::new, |pid| format!(" (process {pid})"))
        )))
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

/// Whether a run is using this ledger now. Changes nothing.
#[must_use]
pub fn is_held(ledger: &Path) -> bool {
    files::open(&lock_file(ledger))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The lock file of a ledger.
pub fn lock_file(ledger: &Path) -> PathBuf {
    beside(ledger, ".lock")
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(named)) => files::identity(&held) == files::identity(&named),
        _ => false,
    }
}

fn holder(path: &Path) -> Option<u32> {
    let text = content(path)?;
    text.split_whitespace().next()?.parse().ok()
}

fn is_held_briefly(path: &Path) -> bool {
    content(path).is_some_and(|it| it.ends_with(SHORT))
}

fn content(path: &Path) -> Option<String> {
    String::from_utf8(files::read(path, 64).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_fails_with_the_holder_s_process_id() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.sqlite3");
        File::create(&ledger).unwrap();
        assert!(!is_held(&ledger));
        assert!(!lock_file(&ledger).exists());

        let lock = RunLock::take(&ledger).unwrap();
        assert!(is_held(&ledger));
        let failure = RunLock::take(&ledger).unwrap_err();
        assert!(matches!(failure, LedgerError::Busy(_)), "{failure}");
        let pid = format!("(process {})", std::process::id());
        assert!(failure.to_string().contains(&pid), "{failure}");

        drop(lock);
        assert!(!is_held(&ledger));
        RunLock::take(&ledger).unwrap();
    }

    #[test]
    fn a_lock_on_a_removed_file_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.sqlite3");
        File::create(&ledger).unwrap();
        let _lost = RunLock::take(&ledger).unwrap();
        std::fs::remove_file(lock_file(&ledger)).unwrap();

        let held = RunLock::take(&ledger).unwrap();

        assert!(is_held(&ledger));
        drop(held);
    }
}
