//! Why a message cannot be composed, or must not be sent.

use std::fmt;

use crate::templates::TemplateError;

/// Why there is no message for a partner.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// A template fails with the values of this partner.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A value cannot be written into a header.
    #[error("{0}")]
    Header(String),
    /// The finished message does not say what it must.
    #[error("{0}")]
    Verification(String),
    /// The message is not the one that was verified.
    #[error("is not the one that was verified; nothing more is sent")]
    Changed,
}

/// What composing returns.
pub type Result<T> = std::result::Result<T, MessageError>;

impl MessageError {
    /// An error of lettre.
    pub fn header(error: impl fmt::Display) -> Self {
        Self::Header(error.to_string())
    }
}
