//! Why a message cannot be composed, or must not be sent.

use crate::templates::TemplateError;

/// Why there is no message for a partner: a template fails with its values, a value cannot be written into a
/// header, or the finished message is not what it must be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MessageError(pub String);

/// What composing returns.
pub type Result<T> = std::result::Result<T, MessageError>;

impl MessageError {
    /// An error of lettre.
    pub fn header(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl From<TemplateError> for MessageError {
    fn from(error: TemplateError) -> Self {
        Self(error.to_string())
    }
}
