//! Why the relay cannot be used.

use std::io;
use std::time::Duration;

use crate::oauth::OAuthError;
use crate::os_error::without_os_code;
use crate::outcome::{Phase, Reply};
use crate::secret::SecretError;

/// Why the configured certificates or credentials cannot be used; found before anything is sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SetupError {
    /// A certificate file or a secret is missing or malformed.
    #[error("{0}")]
    Unusable(String),
    /// Everyone may read or change it, or this user may not read it.
    #[error("{0}")]
    NoPermission(String),
    /// The token command gave no token, or the token endpoint cannot be used now.
    #[error("{0}")]
    NoToken(String),
}

impl From<SecretError> for SetupError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unusable(message) => Self::Unusable(message),
            SecretError::Permissions(message) => Self::NoPermission(message),
        }
    }
}

impl From<OAuthError> for SetupError {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Unreachable { message, .. } | OAuthError::Untrusted(message) => {
                Self::NoToken(message)
            }
            OAuthError::Configuration(message) => Self::Unusable(message),
            OAuthError::Permissions(message) => Self::NoPermission(message),
        }
    }
}

/// Where a failure has its cause, which determines the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    /// The relay or the way to it; also the way to a token endpoint.
    Relay,
    /// The configuration, here or of the app registration.
    Configuration,
    /// The permissions of a file.
    Permissions,
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct ConnectError {
    /// The phase that failed.
    pub phase: Phase,
    /// Whether a retry may help.
    pub temporary: bool,
    /// Who can correct it.
    pub cause: ErrorSource,
    /// The reply that asked to slow down, if any; the error is then temporary.
    pub throttled: Option<Reply>,
    /// What failed, where, why, and how to fix it.
    pub why: String,
}

impl ConnectError {
    pub(super) fn new(phase: Phase, temporary: bool, why: impl Into<String>) -> Self {
        Self {
            phase,
            temporary,
            cause: ErrorSource::Relay,
            throttled: None,
            why: why.into(),
        }
    }

    /// There are no credentials for the relay. The token source has tried again by itself.
    pub(super) fn no_credentials(relay: &str, error: &SetupError) -> Self {
        let cause = match error {
            SetupError::Unusable(_) => ErrorSource::Configuration,
            SetupError::NoPermission(_) => ErrorSource::Permissions,
            SetupError::NoToken(_) => ErrorSource::Relay,
        };
        let why = without_os_code(format!("cannot log in to the relay {relay}: {error}"));
        Self {
            cause,
            ..Self::new(Phase::Auth, false, why)
        }
    }
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The relay did not answer, or did not read, within the deadline.
    #[error("{0}")]
    Timeout(String),
    /// The connection has ended, or must be ended after malformed data.
    #[error("{0}")]
    Closed(String),
}

impl NoReply {
    pub(super) fn timeout(what: &str, limit: Duration) -> Self {
        Self::Timeout(format!("the relay {what} within {}", seconds(limit)))
    }

    pub(super) fn closed() -> Self {
        Self::Closed("the relay closed the connection".into())
    }

    pub(super) fn lost(error: &io::Error) -> Self {
        let why = without_os_code(error);
        Self::Closed(format!("the connection was lost: {why}"))
    }

    pub(super) fn unsolicited(what: &str) -> Self {
        Self::Closed(format!(
            "the relay sent data that no command asked for: {what}"
        ))
    }
}

/// `30 s`, or `2.5 s`.
pub(super) fn seconds(span: Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{} s", span.as_secs())
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}
