//! Exit codes, and the error of a command that carries one.
//!
//! Scripts and cron jobs rely on the numbers; they follow `sysexits.h`. The modules below have typed
//! errors; their exit codes are decided here.

use std::fmt::{self, Display};
use std::io::ErrorKind;

use crate::approval::ApprovalError;
use crate::config::ConfigError;
use crate::delivery::{Stop, StopKind};
use crate::ledger::LedgerError;
use crate::message::MessageError;
pub use crate::os_error::without_os_code;
use crate::outbox::OutboxError;
use crate::partners::ListError;
use crate::plan::PlanError;
use crate::relay::{Cause, ConnectError, SetupError};
use crate::results::ResultsError;
use crate::review::ReviewError;
use crate::templates::TemplateError;

/// The exit codes. The numbers are an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The work is done, or there was none.
    Done = 0,
    /// Partners were refused or expired in this run, or bad rows were skipped.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Deliveries with an unknown outcome wait for a decision.
    Unknown = 3,
    /// The input is wrong: the list, a guard, the ledger, an address.
    BadInput = 65,
    /// The relay is unavailable or refuses this sender.
    Unavailable = 69,
    /// The program has a fault.
    InternalError = 70,
    /// The ledger or another file could not be written.
    CannotWrite = 74,
    /// Nothing is wrong, but work is left for a later run.
    TryLater = 75,
    /// Access is denied, or a file is accessible to everyone that must not be.
    NoPermission = 77,
    /// The configuration, a template or a link is wrong.
    Config = 78,
}

impl Exit {
    /// If several apply at the end of a run, the first of these wins.
    const BY_SEVERITY: [Self; 8] = [
        Self::CannotWrite,
        Self::InternalError,
        Self::Unavailable,
        Self::Config,
        Self::NoPermission,
        Self::Unknown,
        Self::Refused,
        Self::TryLater,
    ];

    /// The exit code of a run with these reasons, `Done` if there is none.
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

/// Why a command failed, with its exit code.
#[derive(Debug)]
pub struct CommandError {
    /// The exit code.
    pub exit: Exit,
    /// What failed, where, why, and how to fix it.
    pub error: anyhow::Error,
}

impl CommandError {
    /// An error with this exit code and message.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        let error = anyhow::Error::msg(message.to_string());
        Self { exit, error }
    }
}

impl Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_os_code(format!("{:#}", self.error)))
    }
}

impl From<ApprovalError> for CommandError {
    fn from(error: ApprovalError) -> Self {
        let exit = match error {
            ApprovalError::NotApproved(_) | ApprovalError::NotUsable(_) => Exit::BadInput,
            ApprovalError::NoPermission(_) => Exit::NoPermission,
            ApprovalError::Io(_) => Exit::CannotWrite,
        };
        Self::new(exit, error)
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let exit = match &error {
            ConfigError::Unreadable { error, .. }
                if error.kind() == ErrorKind::PermissionDenied =>
            {
                Exit::NoPermission
            }
            ConfigError::WritableByEveryone(_) => Exit::NoPermission,
            ConfigError::Unreadable { .. }
            | ConfigError::NotUtf8 { .. }
            | ConfigError::Invalid(_) => Exit::Config,
        };
        Self::new(exit, error)
    }
}

impl From<ConnectError> for CommandError {
    fn from(error: ConnectError) -> Self {
        let exit = match (&error.throttled, error.cause) {
            (Some(_), _) => Exit::TryLater,
            (None, Cause::Relay) => Exit::Unavailable,
            (None, Cause::Configuration) => Exit::Config,
            (None, Cause::Permissions) => Exit::NoPermission,
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

impl From<ListError> for CommandError {
    fn from(error: ListError) -> Self {
        let exit = match &error {
            ListError::Unreadable { error, .. } if error.kind() == ErrorKind::PermissionDenied => {
                Exit::NoPermission
            }
            ListError::Unreadable { .. } | ListError::NotAList(_) | ListError::BadRows(_) => {
                Exit::BadInput
            }
            ListError::Copy(_) => Exit::CannotWrite,
            ListError::RowChanged(_) => Exit::InternalError,
        };
        Self::new(exit, error)
    }
}

impl From<MessageError> for CommandError {
    fn from(error: MessageError) -> Self {
        Self::new(Exit::Config, error)
    }
}

impl From<OutboxError> for CommandError {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::Ledger(error) => error.into(),
            OutboxError::List(error) => error.into(),
            OutboxError::NotVerified(_) => Self::new(Exit::InternalError, error),
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Ledger(error) => error.into(),
            PlanError::List(error) => error.into(),
        }
    }
}

impl From<ResultsError> for CommandError {
    fn from(error: ResultsError) -> Self {
        match error {
            ResultsError::Ledger(what, error) => {
                let cause = Self::from(error);
                Self::new(cause.exit, format!("{what}: {cause}"))
            }
            error => Self::new(Exit::CannotWrite, error),
        }
    }
}

impl From<ReviewError> for CommandError {
    fn from(error: ReviewError) -> Self {
        Self::new(Exit::CannotWrite, error)
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

impl From<Stop> for CommandError {
    fn from(stop: Stop) -> Self {
        Self::new(stop.kind.into(), stop)
    }
}

impl From<StopKind> for Exit {
    fn from(kind: StopKind) -> Self {
        match kind {
            StopKind::Later => Self::TryLater,
            StopKind::Permissions => Self::NoPermission,
            StopKind::Configuration => Self::Config,
            StopKind::Relay => Self::Unavailable,
            StopKind::Internal => Self::InternalError,
            StopKind::CannotRecord => Self::CannotWrite,
        }
    }
}

impl From<TemplateError> for CommandError {
    fn from(error: TemplateError) -> Self {
        Self::new(Exit::Config, error)
    }
}

/// What a command returns.
pub type Result<T> = std::result::Result<T, CommandError>;

/// Gives an error that has no type of its own an exit code.
pub trait OrExit<T> {
    /// Turns the error into a [`CommandError`] with this code.
    ///
    /// # Errors
    /// If `self` is one.
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
    fn the_most_severe_reason_decides() {
        for (reasons, expected) in [
            (&[][..], Exit::Done),
            (&[Exit::Done, Exit::BadInput], Exit::BadInput),
            (&[Exit::TryLater, Exit::Refused], Exit::Refused),
            (&[Exit::Unknown, Exit::Unavailable], Exit::Unavailable),
            (
                &[Exit::Unknown, Exit::Config, Exit::Unavailable],
                Exit::Unavailable,
            ),
            (&[Exit::Refused, Exit::Unknown, Exit::Config], Exit::Config),
            (&[Exit::InternalError, Exit::CannotWrite], Exit::CannotWrite),
        ] {
            assert_eq!(Exit::most_severe(reasons), expected, "{reasons:?}");
        }
    }
}
