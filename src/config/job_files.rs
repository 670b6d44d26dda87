//! The files of a job that a configuration names.

use std::path::PathBuf;

use super::ledger_location::LedgerLocation;

/// What `init` creates beside the configuration.
#[derive(Clone, Debug)]
pub struct JobFiles {
    /// The list.
    pub partners: PathBuf,
    /// The folder of the templates.
    pub templates: PathBuf,
    /// The ledger and its witness.
    pub ledger: LedgerLocation,
}
