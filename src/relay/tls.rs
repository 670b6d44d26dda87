//! TLS to the relay: which certificates are trusted, and what is wrong with one that is not.
//!
//! rustls verifies; [`Verifier`] adds to its errors what only the certificates show, such as
//! the names that they are for, and never accepts what rustls refuses.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError,
    InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::config::{Smtp, Tls};

/// ring rounds the length of a modulus up to whole bytes, the parser rounds it down: 2,047 bits
/// pass there and are 2,040 here.
const SHORTEST: usize = 2_040;
/// How many names of a certificate are shown.
const NAMES_SHOWN: usize = 5;

/// Trusts the system's roots and those in `ca_file`.
pub fn connector(smtp: &Smtp) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &smtp.ca_file {
        add_file(&mut roots, path)?;
    }
    let provider = Arc::new(ring::default_provider());
    let anchors = roots.roots.clone();
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| anyhow::anyhow!("cannot set up TLS: {error}"))?;
    // Without a single root there is nothing to verify against, and every certificate fails.
    let roots = Arc::new(roots);
    let config = match WebPkiServerVerifier::builder_with_provider(roots.clone(), provider).build()
    {
        Ok(inner) => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { inner, anchors })),
        Err(_) => config.with_root_certificates(roots),
    };
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> anyhow::Result<()> {
    let context = || format!("cannot use `smtp.ca_file` (`{}`)", path.display());
    let mut found = 0;
    let pem = std::fs::read(path).map_err(|error| {
        anyhow::anyhow!(
            "{}: {error}; it must hold the certificates of the relay's issuer, as PEM",
            context()
        )
    })?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        found += 1;
        let taken = certificate.is_ok_and(|it| roots.add(it).is_ok());
        anyhow::ensure!(
            taken,
            "{}: certificate {found} in it is damaged; copy it again, from BEGIN to END",
            context()
        );
    }
    anyhow::ensure!(
        found > 0,
        "{}: there is no certificate in it; it must hold the certificates of the relay's issuer, as PEM",
        context()
    );
    Ok(())
}

/// What is wrong with a certificate, in words, with the fix.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Flaw(String);

impl From<Flaw> for TlsError {
    fn from(flaw: Flaw) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(flaw))))
    }
}

/// rustls's own verifier, with errors that name what is wrong.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl ServerCertVerifier for Verifier {
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
        let flaw = match &verified {
            // The signature of the handshake would fail next, without a reason.
            Ok(_) => {
                weak_key(leaf.public_key()).map(|key| format!("its certificate has {key}; {RENEW}"))
            }
            Err(TlsError::InvalidCertificate(error)) => {
                self.flaw(error, &leaf, &others, server_name)
            }
            Err(_) => None,
        };
        match flaw {
            Some(flaw) => Err(Flaw(flaw).into()),
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

/// What the operator of a relay with a weak key does.
const RENEW: &str = "the relay's operator must issue one with an RSA key of 2,048 to 8,192 bits or an ECDSA key (P-256, P-384)";

impl Verifier {
    /// What the certificates show about an error; `None` if no more than the error itself.
    fn flaw(
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
                    "{which} signed with {algorithm}, which is broken and no longer accepted; the relay's operator must have it issued again, signed with SHA-256"
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
                        "the certificate of its issuer has {key}; the issuer must be replaced by one with an RSA key of 2,048 to 8,192 bits or an ECDSA key (P-256, P-384)"
                    ));
                }
                let last = others.last().unwrap_or(leaf);
                let issuer = if leaf.issuer() == leaf.subject() {
                    "it is signed by itself".to_owned()
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
                    // An anchor holds the contents without the header of the sequence.
                    let key = sequence(&it.subject_public_key_info);
                    let (_, key) = SubjectPublicKeyInfo::from_der(&key).ok()?;
                    weak_key(&key)
                })
        })
    }
}

/// A DER SEQUENCE with these contents.
fn sequence(contents: &[u8]) -> Vec<u8> {
    let mut der = vec![0x30];
    match u16::try_from(contents.len()) {
        Ok(short @ ..=0x7f) => der.push(short.to_le_bytes()[0]),
        Ok(long) => {
            der.push(0x82);
            der.extend(long.to_be_bytes());
        }
        Err(_) => return Vec::new(),
    }
    der.extend(contents);
    der
}

const UNKNOWN_ISSUER: &str = "its certificate comes from an issuer that this machine does not know";
const NAME_ISSUER: &str = "name the issuer's certificate (PEM) in `smtp.ca_file`";

/// A certificate that does not name the relay: the names that it has instead.
fn wrong_name(leaf: &X509Certificate<'_>, wanted: &ServerName<'_>) -> String {
    use x509_parser::extensions::GeneralName;
    let kind = match wanted {
        ServerName::IpAddress(_) => "IP",
        _ => "DNS",
    };
    let wanted = wanted.to_str();
    let extension = leaf.subject_alternative_name().ok().flatten();
    let names: Vec<String> = extension
        .iter()
        .flat_map(|it| &it.value.general_names)
        .filter_map(|it| match it {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        let common = leaf.subject().iter_common_name().next();
        let common = common
            .and_then(|it| it.as_str().ok())
            .map_or_else(String::new, |name| {
                format!(
                    ", only a common name (`{name}`), which TLS clients no longer read (RFC 9525)"
                )
            });
        return format!(
            "its certificate names no host: it has no subjectAltName{common}; the relay's operator must issue one with `subjectAltName = {kind}:{wanted}`"
        );
    }
    let shown: Vec<String> = names
        .iter()
        .take(NAMES_SHOWN)
        .map(|it| format!("`{it}`"))
        .collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "its certificate is not for the name `{wanted}`, but for {}{more}; set `smtp.host` to a name that it is for, or let the relay's operator add this one",
        shown.join(", ")
    )
}

/// An address as subjectAltName holds it.
fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}

/// A signature algorithm that is no longer accepted, by name.
fn old_signature(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    // A root is trusted for its key, not for its signature.
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

/// Why a key cannot be used; `None` if it can.
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

/// The TLS error inside an I/O error, if there is one.
pub fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// A TLS error in words, with what to do. `first` are the first bytes that the relay sent.
pub fn explain(error: &TlsError, smtp: &Smtp, first: &[u8]) -> String {
    match error {
        TlsError::InvalidCertificate(error) => explain_certificate(error, smtp),
        TlsError::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            "its certificates are too large to be in earnest; the relay's operator must replace them".into()
        }
        TlsError::InvalidMessage(_) => match (text_of(first), smtp.tls) {
            (Some(text), Tls::StartTls) => format!(
                "it does not speak TLS on this port: behind its 220 to STARTTLS it goes on in plain text (\"{text}\"); the relay's operator must repair that, or use the port with `tls = \"implicit\"` (465)"
            ),
            (Some(text), _) => format!(
                "it does not speak TLS on this port from the first byte, but says in plain text \"{text}\"; set `smtp.tls = \"starttls\"` (usual on 587 and 25), or `smtp.port` to the one for `\"implicit\"` (465)"
            ),
            (None, _) => "it does not speak TLS on this port; `tls = \"implicit\"` is for port 465, `\"starttls\"` for 587".into(),
        },
        TlsError::AlertReceived(AlertDescription::ProtocolVersion)
        | TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => {
            "it knows only TLS 1.1 or older, which is broken; it must speak TLS 1.2 or 1.3: the relay's operator must turn that on".into()
        }
        TlsError::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        )
        | TlsError::PeerIncompatible(_)
        | TlsError::PeerMisbehaved(
            PeerMisbehaved::SelectedUnofferedCipherSuite | PeerMisbehaved::SelectedUnofferedKxGroup,
        ) => format!(
            "it and this program have no cipher suite in common; offered are {}; a relay with RSA key exchange only, without ECDHE, or with CBC only is out of date: its operator must turn one of these on",
            cipher_suites()
        ),
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a certificate from this machine, which this program does not have; ask the relay's operator for a port without".into()
        }
        TlsError::AlertReceived(alert) => format!(
            "it ended the handshake with the alert {}; see its log for the reason",
            alert_name(*alert)
        ),
        _ => "its handshake is not as TLS prescribes it; see whether this is the relay's port".into(),
    }
}

fn explain_certificate(error: &CertificateError, smtp: &Smtp) -> String {
    let host = &smtp.host;
    if let CertificateError::Other(OtherError(other)) = error {
        if let Some(Flaw(flaw)) = other.downcast_ref() {
            return flaw.clone();
        }
        if other.to_string().contains("CaUsedAsEndEntity") {
            return "its certificate is an authority's, as `openssl req -x509` makes them, and not fit for a server; the relay's operator must make one with `basicConstraints = CA:FALSE`".into();
        }
    }
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "its certificate has expired on {}; the relay's operator must renew it, or this machine's clock is wrong",
            day(*not_after)
        ),
        CertificateError::Expired => "its certificate has expired; the relay's operator must renew it, or this machine's clock is wrong".into(),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "its certificate is not valid yet, but from {} on; perhaps this machine's clock is wrong",
            day(*not_before)
        ),
        CertificateError::NotValidYet => "its certificate is not valid yet; perhaps this machine's clock is wrong".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is not for the name `{host}`; set `smtp.host` to the name that it is for")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("{UNKNOWN_ISSUER}; {NAME_ISSUER}")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is for another purpose than a server; the relay's operator must issue one with `extendedKeyUsage = serverAuth`".into()
        }
        _ => "its certificate is malformed or not fit for a server; the relay's operator must replace it".into(),
    }
}

/// An alert by its name in RFC 8446 §6, and its number.
fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    if !matches!(alert, AlertDescription::Unknown(_)) {
        for letter in format!("{alert:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
    }
    let number = u8::from(alert);
    if name.is_empty() {
        number.to_string()
    } else {
        format!("{name} ({number})")
    }
}

/// The day of a time in a certificate, in UTC.
fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(
        |_| "a day beyond the calendar".into(),
        |it| it.to_zoned_datetime(TimeZone::UTC).date().to_string(),
    )
}

/// The cipher suites that the handshake offers, by the names of IANA's registry.
fn cipher_suites() -> String {
    let provider: CryptoProvider = ring::default_provider();
    let names: Vec<String> = provider
        .cipher_suites
        .iter()
        .filter_map(|it| Some(it.suite().as_str()?.replace("TLS13_", "TLS_")))
        .collect();
    names.join(", ")
}

/// The first line of what is plain text.
fn text_of(first: &[u8]) -> Option<String> {
    let line = first.split(|it| *it == b'\r' || *it == b'\n').next()?;
    let text = str::from_utf8(line).ok()?;
    let plain = !text.is_empty() && !text.contains(char::is_control);
    plain.then(|| text.to_owned())
}
