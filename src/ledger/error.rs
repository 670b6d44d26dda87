//! Why a ledger cannot be used. The variant says what the caller can do about it.

use jiff::Timestamp;

use crate::invitation::State;
use crate::os_error::without_os_code;

/// An error of the ledger, with what failed, where, why, and how to fix it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no ledger: create it, or restore it.
    #[error("{}", without_os_code(.0))]
    Missing(String),
    /// It is no ledger that this version can use, is damaged, or may lack what later runs recorded: name,
    /// repair or restore the right one, or accept an older one.
    #[error("{}", without_os_code(.0))]
    Unusable(String),
    /// The database server is set up so that it may lose what it has acknowledged, or cannot be written: change its
    /// configuration.
    #[error("{0}")]
    Unsafe(String),
    /// A setting of the connection to the database is wrong: correct it.
    #[error("{0}")]
    Configuration(String),
    /// Another run or program is using it: try again later.
    #[error("{}", without_os_code(.0))]
    Busy(String),
    /// This user may not use it, or everyone may: change owner or mode.
    #[error("{}", without_os_code(.0))]
    NoPermission(String),
    /// It cannot be written or read: free disk space, or check the disk.
    #[error("{}", without_os_code(.0))]
    CannotWrite(String),
    /// The invitation is no longer to be sent: it was suppressed or closed in the meantime.
    #[error("the invitation is {0} in the meantime")]
    Withdrawn(State),
    /// The messages of all runs together have reached a limit of the relay: try again then; none for the limit of a
    /// day.
    #[error("a limit of the relay is reached by all runs together")]
    RateLimited(Option<Timestamp>),
    /// Other runs count this run as lost, so it sends nothing more: the next run continues.
    #[error("{0}")]
    RunLost(String),
    /// An internal error, or the ledger was tampered with.
    #[error("{}", without_os_code(.0))]
    Fault(String),
}

impl LedgerError {
    /// The error of a verb that writes a ledger after it was moved.
    #[must_use]
    pub fn moved(ledger: &str, to: &str) -> Self {
        Self::Unusable(format!(
            "the ledger `{ledger}` was moved to `{to}` by `ledger copy`, and nothing is sent from it any more; name the new place in `[ledger]`"
        ))
    }

    /// The error of a copy that was interrupted.
    #[must_use]
    pub fn incomplete(from: &str, to: &str) -> Self {
        Self::Unusable(format!(
            "the ledger `{to}` is a copy of `{from}` that was interrupted; run `access-invite ledger copy '{from}' '{to}'`, which finishes it"
        ))
    }

    /// The error of a run that other runs count as lost.
    #[must_use]
    pub fn run_lost() -> Self {
        Self::RunLost(
            "this run was silent for longer than `ledger.lease`, so other runs may have taken its partners; it sends nothing more, and the next run continues".into(),
        )
    }
}

/// What the ledger returns.
pub type Result<T> = std::result::Result<T, LedgerError>;

impl From<getrandom::Error> for LedgerError {
    fn from(error: getrandom::Error) -> Self {
        Self::CannotWrite(format!("no random numbers from the system: {error}"))
    }
}
