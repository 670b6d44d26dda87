//! Why a configuration cannot be used. The variant determines the exit code and the fix.

use std::io;

use super::job_files::JobFiles;
use super::problems::Problems;

/// An error of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read: correct its path, its owner or its mode.
    #[error(
        "cannot read the configuration `{path}`: {error}; `access-invite init` writes one, and `-c FILE` names another"
    )]
    Unreadable {
        /// The file, as messages show it.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// It is not UTF-8: save it as UTF-8.
    #[error(
        "{path}:{line}: the byte 0x{byte:02X} at offset {offset} is not UTF-8; save the file as UTF-8"
    )]
    NotUtf8 {
        /// The file, as messages show it.
        path: String,
        /// The line of the first byte that is not.
        line: usize,
        /// That byte.
        byte: u8,
        /// Its offset in the file.
        offset: usize,
    },
    /// It has errors: correct them.
    #[error("{0}")]
    Invalid(Box<Problems>),
    /// Its only errors are keys that are not filled in. The files that it names are known.
    #[error("{0}")]
    NotFilledIn(Box<Problems>, JobFiles),
    /// It names a program to run, and everyone can change it: change its mode.
    #[error("{0}: everyone could change the program that its `smtp.token_command` runs")]
    WritableByEveryone(String),
}
