//! What errors of PostgreSQL mean for the caller.

use tokio_postgres::error::SqlState;

use crate::ledger::error::LedgerError;
use crate::ledger::refusal;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection was lost, or the server did not answer in time: whether the statement was executed is not known.
    #[error("{0}")]
    Lost(String),
    /// It was found before the server was asked: a wrong setting, or a server that cannot be used.
    #[error("{0}")]
    Setup(#[from] LedgerError),
    /// The server refused the statement.
    #[error("{}", describe(.0))]
    Refused(#[source] tokio_postgres::Error),
    /// A change had no effect: the ledger was tampered with, or an internal error.
    #[error("a change had no effect")]
    NoEffect,
    /// A value that this program has not written.
    #[error("unexpected value: {0}")]
    Value(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            return if error.is_closed() || std::error::Error::source(&error).is_some_and(is_io) {
                Self::Lost(describe(&error))
            } else {
                Self::Value(describe(&error))
            };
        };
        // The server is shutting down, was restarted after a crash, or ended an idle connection (PostgreSQL, appendix A).
        if ["57P01", "57P02", "57P03", "57P05", "25P03"].contains(&code.code())
            || code.code().starts_with("08")
        {
            return Self::Lost(describe(&error));
        }
        Self::Refused(error)
    }
}

fn is_io(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

/// The words of the server, or of the library with its causes.
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", server.message(), server.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl Failure {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Refused(error) => error.code(),
            _ => None,
        }
    }

    /// Whether a connection may succeed a moment later: the server is starting, cannot be reached, or has no
    /// connection left (class 53, insufficient resources, but not a full disk).
    pub fn is_transient(&self) -> bool {
        let busy = [
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::CONFIGURATION_LIMIT_EXCEEDED,
            SqlState::CANNOT_CONNECT_NOW,
        ];
        matches!(self, Self::Lost(_)) || self.code().is_some_and(|it| busy.contains(it))
    }

    /// Whether the transaction may be tried again: another one was in its way, and nothing was changed.
    pub fn is_conflict(&self) -> bool {
        let conflicts = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ];
        self.code().is_some_and(|it| conflicts.contains(it))
    }

    /// The error of the ledger `name`.
    pub fn translate(&self, name: &str) -> LedgerError {
        let describe = |what: &str, fix: &str| format!("the ledger `{name}` {what}: {self}; {fix}");
        if matches!(self, Self::NoEffect) {
            return LedgerError::Fault(format!(
                "a change of the ledger `{name}` had no effect, because the ledger was tampered with or by an internal error; nothing more is sent"
            ));
        }
        if let Self::Setup(error) = self {
            return error.clone();
        }
        if let Self::Lost(_) = self {
            return LedgerError::Busy(describe(
                "does not answer",
                "check that the server runs and can be reached, and run again",
            ));
        }
        match self.code().map(SqlState::code) {
            Some(code @ ("3F000" | "42P01")) => LedgerError::Missing(format!(
                "there is no ledger in `{name}` (SQLSTATE {code}), without which no partner counts as invited; restore it, or for a new job, `access-invite init` creates its tables"
            )),
            Some("3D000") => LedgerError::Configuration(describe(
                "has no such database",
                "create it (`createdb`), or correct `ledger.url`",
            )),
            Some("28000" | "28P01") => LedgerError::NoPermission(describe(
                "refuses the login",
                "correct the user in `ledger.url`, the password or the server's `pg_hba.conf`",
            )),
            Some("42501") => LedgerError::NoPermission(describe(
                "may not be used so by this user",
                "give the role the rights that `docs/postgresql.md` lists",
            )),
            Some("25006") => LedgerError::Configuration(describe(
                "is on a server that only reads, a standby",
                "name the primary server in `ledger.url`, or all of them with `target_session_attrs=read-write`",
            )),
            Some("53300" | "53400" | "55P03" | "57014" | "40001" | "40P01") => {
                LedgerError::Busy(describe("cannot be used now", "run again later"))
            }
            Some("53100" | "53200" | "58030") => LedgerError::CannotWrite(describe(
                "cannot be written",
                "free space on the database server and run again",
            )),
            Some(_) => {
                LedgerError::CannotWrite(describe("cannot be used", "fix that and run again"))
            }
            None => LedgerError::Unusable(describe(
                "has a value that this program has not written",
                "restore the newest backup",
            )),
        }
    }
}

/// Why a change was not written.
pub type ApplyError = refusal::ApplyError<Failure>;

impl From<Failure> for ApplyError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Fails unless a statement has changed one row.
pub fn ensure_one_row(changed: u64) -> Result<(), Failure> {
    if changed == 1 {
        Ok(())
    } else {
        Err(Failure::NoEffect)
    }
}
