//! Errors of the relay's certificate.
//!
//! rustls verifies it. [`CertificateVerifier`] adds details from the certificates, such as their names, to the
//! errors, and never accepts a certificate that rustls refuses.

use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, OtherError, SignatureScheme,
};
use x509_parser::asn1_rs::BitString;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::config::first_of;

/// The shortest RSA key in bits, which is 2,048 with rounding: ring rounds a modulus up to whole bytes, the
/// parser rounds it down.
const SHORTEST: usize = 2_040;
/// How many names of a certificate are shown.
const NAMES_SHOWN: usize = 5;

/// Why a certificate is refused, with the fix.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CertificateProblem(String);

impl From<CertificateProblem> for TlsError {
    fn from(problem: CertificateProblem) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem))))
    }
}

/// The verifier of rustls, with errors that name the problem.
#[derive(Debug)]
pub struct CertificateVerifier {
    inner: Arc<WebPkiServerVerifier>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl CertificateVerifier {
    /// Adds to the errors of `inner`, which trusts these anchors.
    pub fn new(inner: Arc<WebPkiServerVerifier>, anchors: Vec<TrustAnchor<'static>>) -> Self {
        Self { inner, anchors }
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let Ok((_, leaf)) = X509Certificate::from_der(end_entity) else {
            return verified;
        };
        let others: Vec<X509Certificate<'_>> = intermediates
            .iter()
            .filter_map(|it| X509Certificate::from_der(it).ok())
            .map(|(_, it)| it)
            .collect();
        let problem = match &verified {
            // Otherwise the signature of the handshake would fail next, without a reason.
            Ok(_) => {
                weak_key(leaf.public_key()).map(|key| format!("its certificate has {key}; {RENEW}"))
            }
            Err(TlsError::InvalidCertificate(error)) => {
                self.problem(error, &leaf, &others, server_name)
            }
            Err(_) => None,
        };
        match problem {
            Some(problem) => Err(CertificateProblem(problem).into()),
            None => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The fix for a weak key.
const RENEW: &str = "the relay's operator must issue one with an RSA key of 2,048 to 8,192 bits or an ECDSA key (P-256, P-384)";

impl CertificateVerifier {
    /// The details that the certificates add to an error; `None` if they add none.
    fn problem(
        &self,
        error: &CertificateError,
        leaf: &X509Certificate<'_>,
        others: &[X509Certificate<'_>],
        server_name: &ServerName<'_>,
    ) -> Option<String> {
        match error {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some(wrong_name(leaf, server_name))
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
                let mut chain = [leaf].into_iter().chain(others);
                let old = chain.find_map(|it| Some((it.subject(), old_signature(it)?)));
                let (subject, algorithm) = old?;
                let which = if subject == leaf.subject() {
                    "its certificate is".to_owned()
                } else {
                    format!("the certificate of its issuer (`{subject}`) is")
                };
                Some(format!(
                    "{which} signed with {algorithm}, which is insecure; the relay's operator must have it reissued with SHA-256"
                ))
            }
            CertificateError::BadSignature
            | CertificateError::UnknownIssuer
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                let mut issuers = others.iter().map(|it| it.public_key());
                let key = issuers
                    .find_map(weak_key)
                    .or_else(|| self.weak_anchor([leaf].into_iter().chain(others)));
                if let Some(key) = key {
                    return Some(format!(
                        "the certificate of its issuer has {key}; replace the issuer by one with an RSA key of 2,048 to 8,192 bits or an ECDSA key (P-256, P-384)"
                    ));
                }
                let last = others.last().unwrap_or(leaf);
                let issuer = if leaf.issuer() == leaf.subject() {
                    "it is self-signed".to_owned()
                } else {
                    format!("`{}`", last.issuer())
                };
                Some(format!("{UNKNOWN_ISSUER} ({issuer}); {NAME_ISSUER}"))
            }
            _ => None,
        }
    }

    /// Why the key of a trusted root that issued one of these certificates is too weak.
    fn weak_anchor<'c, 'd: 'c>(
        &self,
        mut chain: impl Iterator<Item = &'c X509Certificate<'d>>,
    ) -> Option<String> {
        chain.find_map(|certificate| {
            let issuer = certificate.issuer().as_raw();
            let anchors = self.anchors.iter();
            anchors
                .filter(|it| !it.subject.is_empty() && issuer.ends_with(&it.subject))
                .find_map(|it| {
                    // An anchor has the contents of the key's sequence, without its header.
                    let (rest, algorithm) =
                        AlgorithmIdentifier::from_der(&it.subject_public_key_info).ok()?;
                    let (_, subject_public_key) = BitString::from_der(rest).ok()?;
                    weak_key(&SubjectPublicKeyInfo {
                        algorithm,
                        subject_public_key,
                        raw: &[],
                    })
                })
        })
    }
}

/// The reason for a certificate whose issuer is not trusted.
pub const UNKNOWN_ISSUER: &str =
    "its certificate comes from an issuer that this machine does not trust";
/// The fix for [`UNKNOWN_ISSUER`].
pub const NAME_ISSUER: &str = "set `smtp.ca_file` to the issuer's certificate (PEM)";

/// The host names and IP addresses that a certificate is valid for.
pub fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|it| &it.value.general_names);
    let names = names.filter_map(|it| match it {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    names.collect()
}

/// A certificate that does not name the relay, and the names that it has.
fn wrong_name(leaf: &X509Certificate<'_>, wanted: &ServerName<'_>) -> String {
    let kind = match wanted {
        ServerName::IpAddress(_) => "IP",
        _ => "DNS",
    };
    let wanted = wanted.to_str();
    let names = names(leaf);
    if names.is_empty() {
        let common = leaf.subject().iter_common_name().next();
        let common = common
            .and_then(|it| it.as_str().ok())
            .map_or_else(String::new, |name| {
                format!(", only a common name (`{name}`), which TLS clients ignore (RFC 9525)")
            });
        return format!(
            "its certificate names no host: it has no subjectAltName{common}; the relay's operator must issue one with `subjectAltName = {kind}:{wanted}`"
        );
    }
    let names = first_of(names.iter().map(|it| format!("`{it}`")), NAMES_SHOWN);
    format!(
        "its certificate is not for `{wanted}`, but for {names}; set `smtp.host` to one of its names, or ask the relay's operator to add this one"
    )
}

/// An IP address in a subjectAltName.
fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}

/// The name of a signature algorithm that is no longer accepted.
fn old_signature(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    // The signature of a root is not verified.
    if certificate.is_ca() && certificate.issuer() == certificate.subject() {
        return None;
    }
    match certificate
        .signature_algorithm
        .algorithm
        .to_id_string()
        .as_str()
    {
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => Some("SHA-1"),
        "1.2.840.113549.1.1.4" => Some("MD5"),
        "1.2.840.113549.1.1.2" => Some("MD2"),
        _ => None,
    }
}

/// Why a key is refused; `None` if it is accepted.
fn weak_key(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let parsed = key.parsed().ok()?;
    let bits = parsed.key_size();
    match parsed {
        PublicKey::RSA(_) if bits < SHORTEST => {
            Some(format!("an RSA key of {bits} bits, which is too short"))
        }
        PublicKey::RSA(_) if bits > 8_192 => {
            Some(format!("an RSA key of {bits} bits, which is too long"))
        }
        PublicKey::EC(_) if !matches!(bits, 256 | 384) => {
            Some("an ECDSA key on a curve that is not supported".to_owned())
        }
        PublicKey::DSA(_) => Some("a DSA key, which is no longer accepted".to_owned()),
        _ => None,
    }
}
