//! Why there is no token.

use std::time::Duration;

use crate::http::HttpError;
use crate::secret::SecretError;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// The endpoint cannot be reached, breaks off, or is overloaded. It may work later.
    #[error("{message}")]
    Unreachable {
        /// What happened and what to do.
        message: String,
        /// How long the endpoint asks to wait.
        retry_after: Option<Duration>,
    },
    /// The endpoint does not prove that it is the right one.
    #[error("{0}")]
    Untrusted(String),
    /// A setting, here or at the issuer, must change.
    #[error("{0}")]
    Configuration(String),
    /// The file of a secret may not be read, or everyone can read or change it.
    #[error("{0}")]
    Permissions(String),
}

impl OAuthError {
    /// An error that may pass by itself.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::Unreachable {
            message: message.into(),
            retry_after: None,
        }
    }

    /// The same error with text before its message.
    pub(super) fn after(mut self, context: &str) -> Self {
        let (Self::Unreachable { message, .. }
        | Self::Untrusted(message)
        | Self::Configuration(message)
        | Self::Permissions(message)) = &mut self;
        message.insert_str(0, context);
        self
    }
}

impl From<HttpError> for OAuthError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Unreachable(message) => Self::unreachable(message),
            HttpError::Untrusted(message) => Self::Untrusted(message),
            HttpError::Configuration(message) => Self::Configuration(message),
        }
    }
}

impl From<SecretError> for OAuthError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unusable(message) => Self::Configuration(message),
            SecretError::Permissions(message) => Self::Permissions(message),
        }
    }
}
