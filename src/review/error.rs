//! Why a review cannot be written.

use std::io;
use std::path::PathBuf;

/// An error of the review, with what failed, where, why, and how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The folder cannot be used: name another one.
    #[error("cannot use `{}` for the review: {reason}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why, and what to do.
        reason: io::Error,
    },
    /// A file of the review cannot be written: make room.
    #[error("cannot write the review: {0}; make room, or name another folder with `--out`")]
    Write(#[from] io::Error),
}

/// What a review returns.
pub type Result<T> = std::result::Result<T, ReviewError>;
