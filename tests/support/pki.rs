//! A certificate authority of the test's own, for SMTP over TLS.
//!
//! It signs server certificates for any name, in date or out of date, and hands each over as a finished
//! `rustls` configuration for `smtp::Setup`. A client that is to trust them reads `ca_pem`.
//! The ring provider is named everywhere, so no test depends on a process-wide default.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// An authority and what it signed; a new one knows nothing of any other.
pub struct Pki {
    /// The authority's certificate, the only root a client needs.
    pub ca_pem: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// A fresh authority with a fresh key.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "access-invite test authority");
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are valid");

        Self {
            ca_pem: issuer.pem(),
            issuer,
        }
    }

    /// A server whose certificate is good for `name`, a DNS name or an IP address.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.serve(&Self::leaf(name))
    }

    /// A server whose certificate names `name` rightly but ended with the year 2000.
    pub fn expired(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = Self::leaf(name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2000, 12, 31);
        self.serve(&params)
    }

    /// Certificate and key for `name` as PEM, for a server that reads them from files.
    pub fn pem(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let leaf = Self::leaf(name)
            .signed_by(&key, &self.issuer)
            .expect("the parameters are valid");
        (leaf.pem(), key.serialize_pem())
    }

    fn leaf(name: &str) -> CertificateParams {
        // rcgen writes an iPAddress entry when the name parses as an address, else a dNSName.
        let mut params =
            CertificateParams::new([name.to_owned()]).expect("a DNS name or an IP address");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params
    }

    fn serve(&self, params: &CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let leaf = params
            .signed_by(&key, &self.issuer)
            .expect("the parameters are valid");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());

        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key.into())
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }
}
