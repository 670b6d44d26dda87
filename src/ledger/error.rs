//! Why a ledger cannot be used. The variant says what the caller can do about it.

use crate::os_error::without_os_code;

/// An error of the ledger, with what failed, where, why, and how to fix it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no ledger: create it, or restore it.
    #[error("{}", without_os_code(.0))]
    Missing(String),
    /// It is no ledger that this version can use: name another file, or update the program.
    #[error("{}", without_os_code(.0))]
    NotUsable(String),
    /// Its content is not reliable: restore or repair it.
    #[error("{}", without_os_code(.0))]
    Damaged(String),
    /// It may lack what later runs recorded: restore the newest one, or accept this one.
    #[error("{}", without_os_code(.0))]
    Older(String),
    /// Another run or program is using it: try again later.
    #[error("{}", without_os_code(.0))]
    Busy(String),
    /// This user may not use it, or everyone may: change owner or mode.
    #[error("{}", without_os_code(.0))]
    NoPermission(String),
    /// It cannot be written or read: free disk space, or check the disk.
    #[error("{}", without_os_code(.0))]
    CannotWrite(String),
    /// An internal error, or the ledger was tampered with.
    #[error("{}", without_os_code(.0))]
    Fault(String),
}

/// What the ledger returns.
pub type Result<T> = std::result::Result<T, LedgerError>;

impl From<getrandom::Error> for LedgerError {
    fn from(error: getrandom::Error) -> Self {
        Self::CannotWrite(format!("no random numbers from the system: {error}"))
    }
}
