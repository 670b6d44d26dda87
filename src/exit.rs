//! Exit codes, and the error of a command that carries one.
//!
//! Scripts and cron jobs rely on the numbers; they follow `sysexits.h`. The modules below have typed
//! errors; their exit codes are decided here.

use std::fmt::Display;
use std::io::{self, ErrorKind};

use crate::approval::ApprovalError;
use crate::config::ConfigError;
use crate::delivery::{Stop, StopKind};
use crate::entra::GraphError;
use crate::events::EventsError;
use crate::ledger::LedgerError;
use crate::message::MessageError;
pub use crate::os_error::without_os_code;
use crate::outbox::OutboxError;
use crate::partners::ListError;
use crate::plan::PlanError;
use crate::relay::{ConnectError, ErrorSource, SetupError};
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
        Self::first_of(&Self::BY_SEVERITY, reasons)
    }

    /// The first of `order` that is among the reasons; else the first reason, `Done` if there is none.
    #[must_use]
    pub fn first_of(order: &[Self], reasons: &[Self]) -> Self {
        let first = order.iter().find(|it| reasons.contains(it));
        let other = reasons.iter().find(|it| **it != Self::Done);
        first.or(other).copied().unwrap_or(Self::Done)
    }
}

/// Why a command failed, with its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// The exit code.
    pub exit: Exit,
    /// What failed, where, why, and how to fix it.
    message: String,
}

impl CommandError {
    /// An error with this exit code and message.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        let message = without_os_code(message);
        Self { exit, message }
    }
}

impl<E: ExitCode + Display> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::new(error.exit(), error)
    }
}

/// An error of a room below, whose exit code is decided here.
pub trait ExitCode {
    /// The exit code of a command that ends with this error.
    fn exit(&self) -> Exit;
}

macro_rules! exit_codes {
    ($($error:ident { $($pattern:pat $(if $condition:expr)? => $exit:expr,)+ })+) => {
        $(impl ExitCode for $error {
            fn exit(&self) -> Exit {
                match self { $($pattern $(if $condition)? => $exit,)+ }
            }
        })+
    };
}

exit_codes! {
    ApprovalError {
        Self::NotApproved(_) | Self::NotUsable(_) => Exit::BadInput,
        Self::NoPermission(_) => Exit::NoPermission,
        Self::Io(_) => Exit::CannotWrite,
    }
    ConfigError {
        Self::Unreadable { error, .. } if is_denied(error) => Exit::NoPermission,
        Self::WritableByEveryone(_) => Exit::NoPermission,
        Self::Unreadable { .. } | Self::NotUtf8 { .. } => Exit::Config,
        Self::Invalid(_) | Self::NotFilledIn(..) => Exit::Config,
    }
    ConnectError {
        Self { throttled: Some(_), .. } => Exit::TryLater,
        Self { cause: ErrorSource::Relay, .. } => Exit::Unavailable,
        Self { cause: ErrorSource::Configuration, .. } => Exit::Config,
        Self { cause: ErrorSource::Permissions, .. } => Exit::NoPermission,
    }
    EventsError {
        Self::Io(..) => Exit::CannotWrite,
        Self::Ledger(_, error) => error.exit(),
    }
    GraphError {
        Self::Unreachable(_) => Exit::TryLater,
        Self::Permissions(_) => Exit::NoPermission,
        Self::Forbidden { .. } | Self::NotFound(_) | Self::Rejected(_) => Exit::Config,
        Self::Unexpected(_) | Self::Configuration(_) => Exit::Config,
    }
    LedgerError {
        Self::Missing(_) | Self::Unsafe(_) | Self::Configuration(_) => Exit::Config,
        Self::Unusable(_) => Exit::BadInput,
        Self::Busy(_) | Self::RunLost(_) | Self::RateLimited(_) => Exit::TryLater,
        Self::NoPermission(_) => Exit::NoPermission,
        Self::CannotWrite(_) => Exit::CannotWrite,
        Self::Fault(_) | Self::Withdrawn(_) => Exit::InternalError,
    }
    ListError {
        Self::Unreadable { error, .. } if is_denied(error) => Exit::NoPermission,
        Self::Unreadable { .. } | Self::NotAList(_) | Self::BadRows(_) => Exit::BadInput,
        Self::Copy(_) => Exit::CannotWrite,
        Self::RowChanged(_) => Exit::InternalError,
    }
    MessageError {
        _ => Exit::Config,
    }
    OutboxError {
        Self::Ledger(error) => error.exit(),
        Self::List(error) => error.exit(),
        Self::NotVerified(_) => Exit::InternalError,
    }
    PlanError {
        Self::Ledger(error) => error.exit(),
        Self::List(error) => error.exit(),
    }
    ResultsError {
        Self::NotUsable(_) | Self::Write(..) => Exit::CannotWrite,
        Self::Ledger(_, error) => error.exit(),
    }
    ReviewError {
        _ => Exit::CannotWrite,
    }
    SetupError {
        Self::Unusable(_) => Exit::Config,
        Self::NoPermission(_) => Exit::NoPermission,
        Self::NoToken(_) => Exit::Unavailable,
    }
    Stop {
        Self { kind: StopKind::Later, .. } => Exit::TryLater,
        Self { kind: StopKind::Permissions, .. } => Exit::NoPermission,
        Self { kind: StopKind::Configuration, .. } => Exit::Config,
        Self { kind: StopKind::Relay, .. } => Exit::Unavailable,
        Self { kind: StopKind::Internal, .. } => Exit::InternalError,
        Self { kind: StopKind::CannotRecord, .. } => Exit::CannotWrite,
    }
    TemplateError {
        _ => Exit::Config,
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}

/// What a command returns.
pub type Result<T> = std::result::Result<T, CommandError>;

/// Gives an error without an exit code one, and says what failed.
pub fn failed<E: Display>(exit: Exit, what: impl Display) -> impl FnOnce(E) -> CommandError {
    move |error| CommandError::new(exit, format!("{what}: {error}"))
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
