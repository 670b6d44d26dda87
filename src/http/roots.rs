//! The certificates that are trusted.

use std::path::Path;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts};

use super::error::HttpError;
use crate::files;

/// The largest file of certificates; a system's roots take a quarter of it.
const LIMIT: u64 = 1024 * 1024;

/// A file with certificates to trust beside the system's.
#[derive(Debug)]
pub struct CaFile<'a> {
    /// The key that names it, `microsoft.ca_file`.
    pub key: &'a str,
    /// The file.
    pub path: &'a Path,
}

/// The system's roots and those of the file.
pub fn load(file: Option<&CaFile<'_>>) -> Result<RootCerts, HttpError> {
    let mut roots = rustls_native_certs::load_native_certs().certs;
    if let Some(file) = file {
        roots.extend(certificates(file)?);
    }
    let roots: Vec<_> = roots
        .iter()
        .map(|it| Certificate::from_der(it).to_owned())
        .collect();
    Ok(RootCerts::new_with_certs(&roots))
}

/// The certificates of a file.
///
/// # Errors
/// If it cannot be read, has none, or one of them is damaged.
pub fn certificates(file: &CaFile<'_>) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let refuse = |why: String| {
        let (key, path) = (file.key, file.path.display());
        HttpError::Configuration(format!(
            "cannot use `{key}` (`{path}`): {why}; it must hold the certificates to trust, as PEM"
        ))
    };
    let pem = files::read(file.path, LIMIT).map_err(|error| refuse(error.to_string()))?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let number = certificates.len() + 1;
        let usable = certificate
            .ok()
            .filter(|it| RootCertStore::empty().add(it.clone()).is_ok());
        let damaged = || refuse(format!("certificate {number} in it is damaged"));
        certificates.push(usable.ok_or_else(damaged)?);
    }
    if certificates.is_empty() {
        return Err(refuse("it contains no certificate".into()));
    }
    Ok(certificates)
}
