//! What an error of SQLite means for the caller.

use std::path::Path;

use rusqlite::ErrorCode as Code;
use rustix::process::{Resource, getrlimit};

use crate::ledger::error::LedgerError;

/// Fails unless a statement has changed one row, which it does in every ledger that was not tampered with.
pub fn ensure_one_row(changed: usize) -> rusqlite::Result<()> {
    match changed {
        1 => Ok(()),
        other => Err(rusqlite::Error::StatementChangedRows(other)),
    }
}

/// The error of a file whose content cannot be relied on.
pub fn damaged(path: &Path, what: &str) -> LedgerError {
    let what = what.trim().replace('\n', ", ");
    LedgerError::Damaged(format!(
        "the ledger `{0}` is damaged ({what}), and nothing is sent on its word; `sqlite3 {0} .recover` saves what can be read into another file; a backup that is older than the last run would invite again whom that run invited",
        path.display()
    ))
}

/// Translates an error of SQLite.
pub fn translate(path: &Path, error: &rusqlite::Error) -> LedgerError {
    let shown = path.display();
    let describe = |what: &str, fix: &str| format!("the ledger `{shown}` {what}: {error}; {fix}");
    if matches!(error, rusqlite::Error::StatementChangedRows(_)) {
        return LedgerError::Fault(format!(
            "the ledger `{shown}` took a change without effect, so it was tampered with or the program has a fault; nothing more is sent"
        ));
    }
    match error.sqlite_error_code() {
        Some(Code::NotADatabase) => LedgerError::NotUsable(format!(
            "`{shown}` is not a ledger of access-invite, nor any database; see whether `ledger.file` names the right file: if it does, its beginning was overwritten, and only a copy helps"
        )),
        // A table or a value that this program did not write.
        Some(Code::DatabaseCorrupt | Code::Unknown) | None => damaged(path, &error.to_string()),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => LedgerError::Busy(describe(
            "is held by another program",
            "try again when that has let go of it",
        )),
        Some(Code::ReadOnly | Code::PermissionDenied) => LedgerError::NoPermission(describe(
            "or its folder cannot be written by this user",
            "run the job as the user that owns both",
        )),
        other => {
            let (what, fix) = match other {
                // Whether this user may write it was checked before.
                Some(Code::CannotOpen) => (
                    "cannot be opened",
                    "see whether files can be made in its folder, and whether the limit of open files (`ulimit -n`) is too low",
                ),
                Some(Code::DiskFull) => {
                    ("cannot grow, the disk is full", "make room and run again")
                }
                // SQLite does not say which system call failed, nor why.
                Some(Code::SystemIoFailure) if getrlimit(Resource::Fsize).current.is_some() => (
                    "cannot be read or written",
                    "see whether it may grow beyond the limit on the size of files (`ulimit -f`), or look into the system's log for what is wrong with the disk",
                ),
                Some(Code::SystemIoFailure) => (
                    "cannot be read or written",
                    "look into the system's log for what is wrong with the disk",
                ),
                _ => ("failed", "see to that and run again"),
            };
            LedgerError::CannotWrite(describe(what, fix))
        }
    }
}
