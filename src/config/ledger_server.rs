//! `[ledger] url`: a ledger in a PostgreSQL database, which several machines share.

use std::path::PathBuf;
use std::time::Duration;

use super::client_secret::SecretSource;

/// A ledger in a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerServer {
    /// The URL of the database, without a password.
    pub url: String,
    /// Where the password is kept; otherwise it comes from the environment or the password file.
    pub password: Option<SecretSource>,
    /// Certificates of authorities that are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long a run may be silent before other runs take its partners.
    pub lease: Duration,
    /// Whether a standby without synchronous replication may take over.
    pub accept_failover_loss: bool,
    /// The witness, by default beside the configuration.
    pub witness: PathBuf,
}

impl LedgerServer {
    /// What messages call it: the URL without parameters.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}
