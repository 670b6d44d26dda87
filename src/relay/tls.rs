//! TLS to the relay: which roots are trusted, and what a failed handshake means, with the fix.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, InvalidMessage,
    OtherError, PeerIncompatible, PeerMisbehaved, RootCertStore,
};

use super::certificate::{CertificateProblem, NAME_ISSUER, UNKNOWN_ISSUER, Verifier};
use crate::config::{Smtp, Tls};
use crate::files;

/// The largest file of certificates; those of a whole system have a quarter of it.
const CA_FILE_LIMIT: u64 = 1024 * 1024;

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
            .with_custom_certificate_verifier(Arc::new(Verifier::new(inner, anchors))),
        Err(_) => config.with_root_certificates(roots),
    };
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> anyhow::Result<()> {
    let context = || format!("cannot use `smtp.ca_file` (`{}`)", path.display());
    let mut found = 0;
    let pem = files::read(path, CA_FILE_LIMIT).map_err(|error| {
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
        if let Some(flaw) = other.downcast_ref::<CertificateProblem>() {
            return flaw.to_string();
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
