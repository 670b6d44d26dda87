//! How a command ends: the exit codes that scripts and cron rely on, and the
//! failure that carries one.
//!
//! Every error that ends a command names its code where it happens, so that no
//! layer above has to guess from a text. The numbers follow `sysexits.h`; the
//! README's table and a test hold them.

use crate::ledger::LedgerError;
pub use crate::os_error::without_os_code;
use crate::relay::{ConnectError, SetupError};

/// The exit codes, in one place. The numbers are an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The work is done, or there was none.
    Done = 0,
    /// Some partners were refused or gave out in this run, or bad rows were skipped.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Deliveries whose outcome nobody knows wait for a person.
    Unknown = 3,
    /// The input is wrong: the CSV, a guard, the ledger, an address.
    BadInput = 65,
    /// The relay is unavailable or refuses us.
    Unavailable = 69,
    /// The program contradicts itself.
    InternalError = 70,
    /// The ledger or another file could not be written.
    CannotWrite = 74,
    /// Nothing is wrong, but there is work left for a later run.
    TryLater = 75,
    /// A file is open to everyone that must not be, or access is denied.
    NoPermission = 77,
    /// The configuration, a template or a link is wrong.
    Config = 78,
}

impl Exit {
    /// When several hold at the end of a run, the first of these wins.
    const BY_SEVERITY: [Self; 7] = [
        Self::CannotWrite,
        Self::InternalError,
        Self::Unavailable,
        Self::Config,
        Self::Unknown,
        Self::Refused,
        Self::TryLater,
    ];

    /// The one of `reasons` that a run has to report, `Done` when there is none.
    #[must_use]
    pub fn most_severe(reasons: &[Self]) -> Self {
        let unlisted = reasons.iter().copied().find(|it| *it != Self::Done);
        Self::BY_SEVERITY
            .into_iter()
            .find(|exit| reasons.contains(exit))
            .or(unlisted)
            .unwrap_or(Self::Done)
    }
}

/// Why a command could not do its work, with the code to end it with.
#[derive(Debug)]
pub struct CommandError {
    /// The exit code.
    pub exit: Exit,
    /// What failed, where, why, and what to do.
    pub error: anyhow::Error,
}

impl CommandError {
    /// A failure of the given kind with this explanation.
    pub fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        let error = anyhow::Error::msg(message.to_string());
        Self { exit, error }
    }

    /// The same failure, told together with what was being done.
    #[must_use]
    pub fn context(self, doing: impl std::fmt::Display + Send + Sync + 'static) -> Self {
        Self {
            exit: self.exit,
            error: self.error.context(doing),
        }
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&without_os_code(format!("{:#}", self.error)))
    }
}

impl From<ConnectError> for CommandError {
    fn from(error: ConnectError) -> Self {
        let exit = match &error.throttled {
            Some(_) => Exit::TryLater,
            None => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        let exit = match &error {
            LedgerError::Missing(_) => Exit::Config,
            LedgerError::NotUsable(_) | LedgerError::Damaged(_) | LedgerError::Older(_) => {
                Exit::BadInput
            }
            LedgerError::Busy(_) => Exit::TryLater,
            LedgerError::NoPermission(_) => Exit::NoPermission,
            LedgerError::CannotWrite(_) => Exit::CannotWrite,
            LedgerError::Fault(_) => Exit::InternalError,
        };
        Self::new(exit, error)
    }
}

impl From<SetupError> for CommandError {
    fn from(error: SetupError) -> Self {
        let exit = match &error {
            SetupError::Unusable(_) => Exit::Config,
            SetupError::NoPermission(_) => Exit::NoPermission,
            SetupError::NoToken(_) => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}

/// What a command or a part of one returns.
pub type Result<T> = std::result::Result<T, CommandError>;

/// Names the exit code of an error at the place where its kind is known.
pub trait OrExit<T> {
    /// Turns the error into a [`CommandError`] with this code.
    ///
    /// # Errors
    /// Exactly when `self` is one.
    fn or_exit(self, exit: Exit) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for std::result::Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T> {
        self.map_err(|error| CommandError {
            exit,
            error: error.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_heaviest_reason_decides_and_none_means_done() {
        assert_eq!(Exit::most_severe(&[]), Exit::Done);
        assert_eq!(
            Exit::most_severe(&[Exit::Done, Exit::BadInput]),
            Exit::BadInput
        );
        assert_eq!(
            Exit::most_severe(&[Exit::TryLater, Exit::Refused]),
            Exit::Refused
        );
        assert_eq!(
            Exit::most_severe(&[Exit::Unknown, Exit::Unavailable]),
            Exit::Unavailable
        );
        assert_eq!(
            Exit::most_severe(&[Exit::Unknown, Exit::Config, Exit::Unavailable]),
            Exit::Unavailable
        );
        assert_eq!(
            Exit::most_severe(&[Exit::Refused, Exit::Unknown, Exit::Config]),
            Exit::Config
        );
        assert_eq!(
            Exit::most_severe(&[Exit::InternalError, Exit::CannotWrite]),
            Exit::CannotWrite
        );
    }
}
