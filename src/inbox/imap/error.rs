//! Why a mailbox cannot be read.

use std::time::Duration;

use crate::os_error::without_os_code;

/// How long the server may take for each answer.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Why a mailbox cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    /// The connection was lost, or the server was silent.
    #[error("{0}")]
    Connection(String),
    /// The server sent what is no answer.
    #[error("the server's answer is not IMAP: {0}")]
    Malformed(&'static str),
    /// The server refused a command.
    #[error("the server refused {command}: {answer}")]
    Refused {
        /// The command without its arguments.
        command: &'static str,
        /// The server's words.
        answer: String,
    },
    /// The server refused the login.
    #[error("the server refused the login: {0}")]
    Login(String),
}

pub fn silent() -> ImapError {
    let seconds = DEADLINE.as_secs();
    ImapError::Connection(format!("the server did not answer within {seconds} s"))
}

pub fn lost(error: &std::io::Error) -> ImapError {
    let error = without_os_code(error);
    ImapError::Connection(format!("the connection was lost: {error}"))
}
