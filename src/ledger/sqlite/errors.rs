//! What errors of SQLite mean for the caller.

use std::path::Path;

use rusqlite::ErrorCode as Code;
use rustix::process::{Resource, getrlimit};

use crate::ledger::error::LedgerError;
use crate::ledger::refusal;

/// Why a change was not written.
pub type ApplyError = refusal::ApplyError<rusqlite::Error>;

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// Fails unless a statement has changed one row, which it does in every ledger that was not tampered with.
pub fn ensure_one_row(changed: usize) -> rusqlite::Result<()> {
    match changed {
        1 => Ok(()),
        other => Err(rusqlite::Error::StatementChangedRows(other)),
    }
}

/// The error of a file whose content is not reliable.
pub fn damaged(path: &Path, what: &str) -> LedgerError {
    let what = what.trim().replace('\n', ", ");
    LedgerError::Unusable(format!(
        "the ledger `{0}` is damaged ({what}), so nothing is sent, and a backup from before the last run would invite its partners again; restore the newest backup, or save what is readable with `sqlite3 {0} .recover`",
        path.display()
    ))
}

/// Translates an error of SQLite.
pub fn translate(path: &Path, error: &rusqlite::Error) -> LedgerError {
    let shown = path.display();
    let describe = |what: &str, fix: &str| format!("the ledger `{shown}` {what}: {error}; {fix}");
    if matches!(error, rusqlite::Error::StatementChangedRows(_)) {
        return LedgerError::Fault(format!(
            "a change of the ledger `{shown}` had no effect, because the ledger was tampered with or by an internal error; nothing more is sent"
        ));
    }
    match error.sqlite_error_code() {
        Some(Code::NotADatabase) => LedgerError::Unusable(format!(
            "`{shown}` is not a ledger of access-invite, nor any SQLite database; check `ledger.file`; if it is right, the file was overwritten: restore it from a backup"
        )),
        // A table or a value that this program has not written.
        Some(Code::DatabaseCorrupt | Code::Unknown) | None => damaged(path, &error.to_string()),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => LedgerError::Busy(describe(
            "is locked by another program",
            "try again when that has released it",
        )),
        Some(Code::ReadOnly | Code::PermissionDenied) => LedgerError::NoPermission(describe(
            "or its folder cannot be written by this user",
            "run the job as the user that owns both",
        )),
        other => {
            let (what, fix) = match other {
                // The permissions were checked before.
                Some(Code::CannotOpen) => (
                    "cannot be opened",
                    "check that files can be created in its folder, and the limit on open files (`ulimit -n`)",
                ),
                Some(Code::DiskFull) => (
                    "cannot grow because the disk is full",
                    "free disk space and run again",
                ),
                // SQLite does not say which system call failed, nor why.
                Some(Code::SystemIoFailure) if getrlimit(Resource::Fsize).current.is_some() => (
                    "cannot be read or written",
                    "check the limit on file sizes (`ulimit -f`), and the system log for disk errors",
                ),
                Some(Code::SystemIoFailure) => (
                    "cannot be read or written",
                    "check the system log for disk errors",
                ),
                _ => ("cannot be used", "fix that and run again"),
            };
            LedgerError::CannotWrite(describe(what, fix))
        }
    }
}
