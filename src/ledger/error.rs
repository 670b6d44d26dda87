//! Why a ledger cannot be used. The variant says what the caller can do about it.

use std::fmt;

use crate::os_error::without_os_code;

/// An error of the ledger, with what failed, where, why, and how to fix it.
#[derive(Clone, Debug)]
pub enum LedgerError {
    /// There is no ledger: create it, or put it back.
    Missing(String),
    /// It is no ledger that this version can use: name another file, or update the program.
    NotUsable(String),
    /// Its content cannot be relied on: restore or repair it.
    Damaged(String),
    /// It may lack what later runs recorded: put the newest one back, or accept it.
    Older(String),
    /// Another run or program is using it: try again later.
    Busy(String),
    /// This user may not use it, or everyone may: change owner or mode.
    NoPermission(String),
    /// It cannot be written or read: make room, or look after the disk.
    CannotWrite(String),
    /// The program has a fault, or somebody else changed the ledger.
    Fault(String),
}

/// What the ledger returns.
pub type Result<T> = std::result::Result<T, LedgerError>;

impl LedgerError {
    /// An error that prevents the record, with all its causes.
    pub fn cannot_write(error: impl fmt::Display) -> Self {
        Self::CannotWrite(format!("{error:#}"))
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Missing(message)
        | Self::NotUsable(message)
        | Self::Damaged(message)
        | Self::Older(message)
        | Self::Busy(message)
        | Self::NoPermission(message)
        | Self::CannotWrite(message)
        | Self::Fault(message)) = self;
        f.write_str(&without_os_code(message))
    }
}

impl std::error::Error for LedgerError {}
