//! How a command ends: the exit codes that scripts and cron rely on, and the
//! failure that carries one.
//!
//! Every error that ends a command names its code where it happens, so that no
//! layer above has to guess from a text. The numbers follow `sysexits.h`; the
//! README's table and a test hold them.

use crate::delivery::{Stop, StopKind};
use crate::message::MessageError;
use crate::outbox::OutboxError;
use crate::plan::PlanError;
use crate::templates::TemplateError;

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

/// A message with the system's own words, but not its numbers: `(os error 2)` helps nobody.
#[must_use]
pub fn without_os_code(message: impl std::fmt::Display) -> String {
    let message = message.to_string();
    let mut pieces = message.split(" (os error ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |said, piece| {
        let digits = piece.trim_start_matches(|it: char| it.is_ascii_digit());
        said + digits.strip_prefix(')').unwrap_or(digits)
    })
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
            OutboxError::List(_) => Self::new(Exit::CannotWrite, error),
            OutboxError::NotVerified(_) => Self::new(Exit::InternalError, error),
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Ledger(error) => error.into(),
            PlanError::List(_) => Self::new(Exit::CannotWrite, error),
        }
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
    use super::{Exit, without_os_code};

    #[test]
    fn numbers_of_the_system_are_left_out() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(without_os_code(&error), "No such file or directory");
        assert_eq!(
            without_os_code(format!("a: {error}; b")),
            "a: No such file or directory; b"
        );
        assert_eq!(without_os_code("as it is (os x)"), "as it is (os x)");
    }

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
