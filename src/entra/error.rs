//! Why something could not be read from Microsoft Graph.

use crate::http::HttpError;
use crate::oauth::OAuthError;

/// Why something could not be read from Microsoft Graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Graph or the token endpoint cannot be reached, is overloaded or breaks off. It may work later.
    #[error("{0}")]
    Unreachable(String),
    /// The application may not read it.
    #[error("{message}")]
    Forbidden {
        /// What was refused, and the fix.
        message: String,
        /// The application permission that reading it needs.
        permission: &'static str,
    },
    /// It does not exist (404).
    #[error("{0}")]
    NotFound(String),
    /// Graph does not accept the request (400).
    #[error("{0}")]
    Rejected(String),
    /// The answer is not what Graph documents.
    #[error("{0}")]
    Unexpected(String),
    /// There is no token, or the server does not prove who it is: a setting must change.
    #[error("{0}")]
    Configuration(String),
    /// The file of a secret may not be read, or everyone can read or change it.
    #[error("{0}")]
    Permissions(String),
}

impl GraphError {
    /// Whether it may work later without any change.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// The permission that is missing.
    #[must_use]
    pub fn missing_permission(&self) -> Option<&'static str> {
        match self {
            Self::Forbidden { permission, .. } => Some(permission),
            _ => None,
        }
    }
}

impl From<OAuthError> for GraphError {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Unreachable { message, .. } => Self::Unreachable(message),
            OAuthError::Untrusted(message) | OAuthError::Configuration(message) => {
                Self::Configuration(message)
            }
            OAuthError::Permissions(message) => Self::Permissions(message),
        }
    }
}

impl From<HttpError> for GraphError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Unreachable(message) => Self::Unreachable(message),
            HttpError::Untrusted(message) | HttpError::Configuration(message) => {
                Self::Configuration(message)
            }
        }
    }
}
