//! What a TLS handshake agreed on, and the certificate of the relay, for people.

use jiff::Timestamp;
use tokio_rustls::rustls::{ClientConnection, ProtocolVersion};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::names;

/// A TLS session with the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite, by its IANA name.
    pub cipher: String,
    /// The certificate of the relay.
    pub certificate: Option<CertificateFacts>,
}

/// A certificate that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The names and addresses that it is valid for.
    pub names: Vec<String>,
    /// Its issuer.
    pub issuer: String,
    /// When it expires.
    pub expires: Timestamp,
}

impl TlsSession {
    pub(super) fn of(connection: &ClientConnection) -> Self {
        let cipher = connection.negotiated_cipher_suite();
        let cipher = cipher.and_then(|it| it.suite().as_str());
        let certificates = connection.peer_certificates().unwrap_or_default();
        let leaf = certificates.first();
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS",
            },
            cipher: cipher
                .unwrap_or("an unknown cipher suite")
                .replace("TLS13_", "TLS_"),
            certificate: leaf.and_then(|it| CertificateFacts::read(it)),
        }
    }
}

impl CertificateFacts {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let issuer = certificate.issuer();
        let mut organizations = issuer.iter_organization();
        let mut common_names = issuer.iter_common_name();
        let common_name = common_names.next().and_then(|it| it.as_str().ok());
        let organization = organizations.next().and_then(|it| it.as_str().ok());
        let issuer = match (common_name, organization) {
            (Some(name), Some(organization)) => format!("{name} ({organization})"),
            (Some(name), None) | (None, Some(name)) => name.to_owned(),
            (None, None) => issuer.to_string(),
        };
        let expires = certificate.validity().not_after.timestamp();
        Some(Self {
            names: names(&certificate),
            issuer,
            expires: Timestamp::from_second(expires).ok()?,
        })
    }
}
