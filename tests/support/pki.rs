//! A certificate authority for SMTP over TLS.
//!
//! It signs server certificates for any name, valid or expired, and returns each as a complete
//! `rustls` configuration for `smtp::Setup`. A client that trusts them reads `ca_pem`.
//! The ring provider is named everywhere, so no test depends on a process-wide default.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// An authority, independent of all others.
pub struct Pki {
    /// The authority's certificate, the only root a client needs.
    pub ca_pem: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// A fresh authority with a fresh key.
    pub fn new() -> Self {
        Self::with_key(KeyPair::generate().expect("ring makes a P-256 key"))
    }

    /// An authority of the same name as all others, but with another kind of key.
    pub fn rekeyed() -> Self {
        Self::with_key(KeyPair::generate_for(&PKCS_ED25519).expect("ring makes an Ed25519 key"))
    }

    fn with_key(key: KeyPair) -> Self {
        let params = authority("access-invite test authority");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are valid");

        Self {
            ca_pem: issuer.pem(),
            issuer,
        }
    }

    /// A server whose certificate is valid for `name`, a DNS name or an IP address.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.serve(&Self::leaf(name))
    }

    /// A server whose certificate for `name` expired in 2000.
    pub fn expired(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = Self::leaf(name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2000, 12, 31);
        self.serve(&params)
    }

    /// A server whose certificate for `name` is valid from 2100 on.
    pub fn not_yet(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = Self::leaf(name);
        params.not_before = date_time_ymd(2100, 1, 1);
        params.not_after = date_time_ymd(2100, 12, 31);
        self.serve(&params)
    }

    /// A server whose certificate has `name` as its common name and no subjectAltName.
    pub fn common_name_only(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = Self::leaf(name);
        params.subject_alt_names.clear();
        self.serve(&params)
    }

    /// A server whose certificate for `name` is for clients.
    pub fn for_clients(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = Self::leaf(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.serve(&params)
    }

    /// A server whose certificate for `name` has an RSA key of 1,024 bits. Its handshake is
    /// signed with another key, because ring does not sign with one that short: a client must not get
    /// as far as that.
    pub fn short_key(&self, name: &str) -> Arc<ServerConfig> {
        let leaf = Self::leaf(name)
            .signed_by(&ShortKey::new(), &self.issuer)
            .expect("the parameters are valid");
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        present(vec![leaf.der().clone()], &key)
    }

    /// A server whose certificate for `name` comes from an intermediate with an RSA key of 1,024
    /// bits. The signature of the certificate is another key's: a client must not get so far.
    pub fn short_intermediate(&self, name: &str) -> Arc<ServerConfig> {
        let params = authority("a short intermediate");
        let shown = params.signed_by(&ShortKey::new(), &self.issuer);
        let between = shown.expect("the parameters are valid").der().clone();
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let leaf = Self::leaf(name)
            .signed_by(&key, &Issuer::from_params(&params, &key))
            .expect("the parameters are valid");
        present(vec![leaf.der().clone(), between], &key)
    }

    /// A server whose certificate for `name` comes from a root with an RSA key of 1,024 bits, and
    /// that root (PEM).
    pub fn short_root(&self, name: &str) -> (Arc<ServerConfig>, String) {
        let params = authority("a short root");
        let root = params.signed_by(&ShortKey::new(), &self.issuer);
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let leaf = Self::leaf(name)
            .signed_by(&key, &Issuer::from_params(&params, &key))
            .expect("the parameters are valid");
        let root = root.expect("the parameters are valid").pem();
        (present(vec![leaf.der().clone()], &key), root)
    }

    /// A server with a certificate from a file (PEM), which signs its handshake with another key.
    pub fn from_file(pem: &[u8]) -> Arc<ServerConfig> {
        let leaf = CertificateDer::from_pem_slice(pem).expect("it is a certificate");
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        present(vec![leaf], &key)
    }

    /// A server whose certificate for `name` is self-signed, as an authority's or
    /// as a server's.
    pub fn self_signed(name: &str, authority: bool) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let mut params = Self::leaf(name);
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let itself = "a relay that signs for itself";
        params.distinguished_name.push(DnType::CommonName, itself);
        let leaf = params.self_signed(&key).expect("the parameters are valid");
        present(vec![leaf.der().clone()], &key)
    }

    /// A server whose certificate for `name` is this many bytes large, and more.
    pub fn bloated(&self, name: &str, bytes: usize) -> Arc<ServerConfig> {
        const PIECE: usize = 50_000;
        let mut params = Self::leaf(name);
        for number in 0..bytes.div_ceil(PIECE) as u64 {
            // An octet string of that length, in an unknown extension.
            let content = [vec![0x04, 0x82, 0xc3, 0x50], vec![0; PIECE]].concat();
            let extension =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55555, number], content);
            params.custom_extensions.push(extension);
        }
        self.serve(&params)
    }

    /// A server whose certificate for `name` has this many intermediates below the root.
    pub fn chained(&self, name: &str, between: usize) -> Arc<ServerConfig> {
        let mut chain: Vec<CertifiedIssuer<'static, KeyPair>> = Vec::new();
        for number in 0..between {
            let mut params = authority(&format!("between {number}"));
            params.use_authority_key_identifier_extension = true;
            let key = KeyPair::generate().expect("ring makes a P-256 key");
            let issuer: &Issuer<'_, KeyPair> = chain.last().unwrap_or(&self.issuer);
            let next = CertifiedIssuer::signed_by(params, key, issuer);
            chain.push(next.expect("the parameters are valid"));
        }
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let issuer: &Issuer<'_, KeyPair> = chain.last().unwrap_or(&self.issuer);
        let leaf = Self::leaf(name).signed_by(&key, issuer);
        let mut shown = vec![leaf.expect("the parameters are valid").der().clone()];
        shown.extend(chain.iter().rev().map(|it| it.der().clone()));
        present(shown, &key)
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
        present(vec![leaf.der().clone()], &key)
    }
}

/// The public half of an RSA key of 1,024 bits.
struct ShortKey(Vec<u8>);

impl ShortKey {
    fn new() -> Self {
        // openssl genrsa 1024 | openssl rsa -RSAPublicKey_out -outform DER | base64
        let der = "MIGJAoGBANE//puSkIPkAs3Zn4Icq6ca3bAMRq7Ge8ebrXb7gTWMwEb39RX+tFXL/9EISGp22TPbuvfILy2r7RPxExh2wWNBF5CuO9zxo3bN/eYA+4Mi6sjdKAeVcwbBOACSdGM134zkGWC3sHQ87cxjx6H7qdmkFa313Y/ewFhfUcgtJMujAgMBAAE=";
        Self(STANDARD.decode(der).expect("it is base64"))
    }
}

impl PublicKeyData for ShortKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// A certificate that may sign others.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A server that shows these certificates, the first of them its own.
fn present(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let key = ring::sign::any_supported_type(&key.into()).expect("ring knows its own keys");
    // Without checking the certificates, some of which are invalid for a server.
    let resolver = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    Arc::new(config)
}
