//! TLS to the server: the certificates that are trusted, and the reason of a failed handshake with its fix.

use std::path::Path;
use std::sync::Arc;

use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore};

use crate::config::LedgerServer;
use crate::http::{CaFile, certificates, explain_certificate};
use crate::ledger::error::{LedgerError, Result};

/// TLS that trusts the system's certificates and those of `ca_file`, or only those of the file `only`.
///
/// # Errors
/// If a file cannot be used.
pub fn connector(server: &LedgerServer, only: Option<&Path>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    if only.is_none() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let only = only.map(|it| ("sslrootcert", it));
    let further = server.ca_file.as_deref();
    let file = only.or(further.map(|it| ("ledger.ca_file", it)));
    if let Some((key, path)) = file {
        let file = CaFile { key, path };
        let found = certificates(&file);
        let found = found.map_err(|error| LedgerError::Configuration(error.to_string()))?;
        roots.add_parsable_certificates(found);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Why a handshake failed, with the fix. `shown` is the server.
pub fn explain(error: &TlsError, shown: &str) -> String {
    let host = shown.rsplit_once(':').map_or(shown, |(host, _)| host);
    match error {
        TlsError::InvalidCertificate(error) => explain_certificate(
            error,
            host,
            "name the certificate of its authority in `ledger.ca_file`",
        ),
        error => format!("the TLS handshake failed: {error}; check `ssl` in its configuration"),
    }
}
