//! One run at a time on a ledger: a lock that the kernel gives back, however a run ends.
//!
//! The lock file beside the ledger holds the process id for the message to the second
//! run. It stays when the run ends, because a file that is removed could be locked by
//! one run under a name that the next run does not find.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::place;
use crate::exit::{self, Exit, Failure, OrExit};

/// How often, and after which pause, a lock is tried: one that only looked is gone by then.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Held while a verb writes into the ledger.
#[derive(Debug)]
pub struct RunLock(File);

impl RunLock {
    /// Takes the lock of this ledger.
    ///
    /// # Errors
    /// When another run holds it (75), or the lock file cannot be written.
    pub fn take(ledger: &Path) -> exit::Result<Self> {
        let path = lock_file(ledger);
        for _ in 0..TRIES {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|error| Failure {
                    exit: match error.kind() {
                        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                            Exit::NoPermission
                        }
                        _ => Exit::CannotWrite,
                    },
                    error: anyhow::Error::msg(format!(
                        "cannot open the lock file `{}`: {error}{}",
                        path.display(),
                        place::ownership_fix(&path)
                    )),
                })?;
            place::give_to_owner(&file, ledger)
                .with_context(|| format!("cannot give `{}` to the ledger's owner", path.display()))
                .or_exit(Exit::CannotWrite)?;
            match file.try_lock() {
                // The name may have been given to another file meanwhile.
                Ok(()) if is_same_file(&file, &path) => {
                    file.set_len(0)
                        .and_then(|()| write!(file, "{}", std::process::id()))
                        .with_context(|| format!("cannot write the lock file `{}`", path.display()))
                        .or_exit(Exit::CannotWrite)?;
                    return Ok(Self(file));
                }
                Ok(()) | Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => {
                    return Err(anyhow::Error::new(error)
                        .context(format!("cannot lock `{}`", path.display())))
                    .or_exit(Exit::CannotWrite);
                }
            }
        }
        let message = format!(
            "another run is at work on the ledger `{}`{}; try again when it has ended",
            ledger.display(),
            holder(&path).map_or_else(String::new, |pid| format!(" (process {pid})"))
        );
        Err(Failure::new(Exit::TryLater, message))
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

/// Whether a run is at work on this ledger now. Leaves no trace.
#[must_use]
pub fn is_held(ledger: &Path) -> bool {
    File::open(lock_file(ledger))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The lock file of a ledger.
#[must_use]
pub fn lock_file(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(named)) => place::identity(&held) == place::identity(&named),
        _ => false,
    }
}

fn holder(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_told_who_holds_the_lock_and_a_look_disturbs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.sqlite3");
        File::create(&ledger).unwrap();
        assert!(!is_held(&ledger));
        assert!(!lock_file(&ledger).exists());

        let lock = RunLock::take(&ledger).unwrap();
        assert!(is_held(&ledger));
        let failure = RunLock::take(&ledger).unwrap_err();
        assert_eq!(failure.exit, Exit::TryLater);
        let pid = format!("(process {})", std::process::id());
        assert!(failure.to_string().contains(&pid), "{failure}");

        drop(lock);
        assert!(!is_held(&ledger));
        RunLock::take(&ledger).unwrap();
    }

    #[test]
    fn a_lock_on_a_file_that_lost_its_name_does_not_count() {
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
