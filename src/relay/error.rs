//! Why the relay cannot be used.

use std::io;
use std::time::Duration;

use crate::os_error::without_os_code;
use crate::outcome::{Phase, Reply};

/// Why the configured certificates or credentials cannot be used; found before anything is sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SetupError {
    /// A certificate file or a secret is missing or malformed.
    #[error("{0}")]
    Unusable(String),
    /// Everyone may read or change it, or this user may not read it.
    #[error("{0}")]
    NoPermission(String),
    /// The token command gave no token.
    #[error("{0}")]
    NoToken(String),
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct ConnectError {
    /// The phase that failed.
    pub phase: Phase,
    /// Whether a retry may help.
    pub temporary: bool,
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
            throttled: None,
            why: why.into(),
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
