//! TLS to the relay: the trusted roots, the handshake, and the reason of a failed handshake with its fix.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, InvalidMessage,
    OtherError, PeerIncompatible, PeerMisbehaved, RootCertStore,
};

use super::certificate::{CertificateProblem, CertificateVerifier, NAME_ISSUER, UNKNOWN_ISSUER};
use super::error::{ConnectError, SetupError, seconds};
use super::tls_session::TlsSession;
use super::wire::{FirstBytes, Wire};
use crate::config::{Smtp, Tls};
use crate::files;
use crate::http::utc_day;
use crate::os_error::without_os_code;
use crate::outcome::Phase;

/// The largest file of certificates; a system's bundle has about a quarter of it.
const CA_FILE_LIMIT: u64 = 1024 * 1024;

/// Trusts the system's roots and those in a file, which a key of the configuration names.
///
/// # Errors
/// If the file cannot be used.
pub fn trusting(ca_file: Option<&Path>, key: &str) -> Result<TlsConnector, SetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        add_file(&mut roots, path).map_err(|why| {
            let shown = path.display();
            SetupError::Unusable(format!("cannot use `{key}` (`{shown}`): {why}"))
        })?;
    }
    let provider = Arc::new(ring::default_provider());
    let anchors = roots.roots.clone();
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions");
    let roots = Arc::new(roots);
    // Without roots, rustls cannot build a verifier, so every certificate is refused.
    let config = match WebPkiServerVerifier::builder_with_provider(roots.clone(), provider).build()
    {
        Ok(inner) => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(CertificateVerifier::new(inner, anchors))),
        Err(_) => config.with_root_certificates(roots),
    };
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    const WANTED: &str = "it must contain the certificates of the relay's issuer, as PEM";
    let pem = files::read(path, CA_FILE_LIMIT).map_err(|error| format!("{error}; {WANTED}"))?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        found += 1;
        if !certificate.is_ok_and(|it| roots.add(it).is_ok()) {
            return Err(format!(
                "certificate {found} in it is damaged; copy it again, from BEGIN to END"
            ));
        }
    }
    match found {
        0 => Err(format!("there is no certificate in it; {WANTED}")),
        _ => Ok(()),
    }
}

/// Begins TLS on a stream. The error does not name the relay.
pub async fn handshake(
    tls: &TlsConnector,
    wire: Box<dyn Wire>,
    limit: Duration,
    smtp: &Smtp,
) -> Result<(Box<dyn Wire>, TlsSession), ConnectError> {
    let error = |temporary, why| ConnectError::new(Phase::Tls, temporary, why);
    let name = ServerName::try_from(smtp.host.clone());
    let name = name.map_err(|it| error(false, format!("{it}; check `smtp.host`")))?;
    let (wire, first) = FirstBytes::of(wire);
    let no_answer = |_| error(true, format!("no answer within {}", seconds(limit)));
    let connected = timeout(limit, tls.connect(name, wire))
        .await
        .map_err(no_answer)?;
    let stream = connected.map_err(|failure| {
        let tls_error = failure.get_ref().and_then(|it| it.downcast_ref());
        if let Some(tls_error) = tls_error {
            error(false, explain(tls_error, smtp, &first.lock()))
        } else {
            let failure = without_os_code(failure);
            error(true, format!("the connection was lost: {failure}"))
        }
    })?;
    let session = TlsSession::of(stream.get_ref().1);
    Ok((Box::new(stream), session))
}

/// What a TLS error means, with the fix. `first` are the first bytes that the relay sent.
fn explain(error: &TlsError, smtp: &Smtp, first: &[u8]) -> String {
    match error {
        TlsError::InvalidCertificate(error) => explain_certificate(error, smtp),
        TlsError::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            "its certificate chain is too large; the relay's operator must replace it".into()
        }
        TlsError::InvalidMessage(_) => match (text_of(first), smtp.tls) {
            (Some(text), Tls::StartTls) => format!(
                "it does not use TLS on this port: after its 220 to STARTTLS it continues in plain text (\"{text}\"); the relay's operator must fix that, or use the port for `smtp.tls = \"implicit\"` (465)"
            ),
            (Some(text), _) => format!(
                "it does not use TLS on this port, but begins in plain text (\"{text}\"); set `smtp.tls = \"starttls\"` (usual for 587 and 25), or `smtp.port` to the one for `\"implicit\"` (465)"
            ),
            (None, _) => "it does not use TLS on this port; use `smtp.tls = \"implicit\"` for port 465, `\"starttls\"` for 587".into(),
        },
        TlsError::AlertReceived(AlertDescription::ProtocolVersion)
        | TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => {
            "it supports only TLS 1.1 or older, which is insecure; the relay's operator must enable TLS 1.2 or 1.3".into()
        }
        TlsError::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        )
        | TlsError::PeerIncompatible(_)
        | TlsError::PeerMisbehaved(
            PeerMisbehaved::SelectedUnofferedCipherSuite | PeerMisbehaved::SelectedUnofferedKxGroup,
        ) => format!(
            "it has no cipher suite in common with this program, which offers {}; its operator must enable one of these (RSA key exchange and CBC are out of date)",
            cipher_suites()
        ),
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "it requires a client certificate, which this program does not support; ask the relay's operator for a port without".into()
        }
        TlsError::AlertReceived(alert) => format!(
            "it ended the handshake with the alert {}; check its log for the reason",
            describe_alert(*alert)
        ),
        _ => "its handshake violates the TLS protocol; check `smtp.port`".into(),
    }
}

fn explain_certificate(error: &CertificateError, smtp: &Smtp) -> String {
    let host = &smtp.host;
    if let CertificateError::Other(OtherError(other)) = error {
        if let Some(problem) = other.downcast_ref::<CertificateProblem>() {
            return problem.to_string();
        }
        if other.to_string().contains("CaUsedAsEndEntity") {
            return "its certificate is for a certificate authority, as `openssl req -x509` makes it, not for a server; the relay's operator must issue one with `basicConstraints = CA:FALSE`".into();
        }
    }
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "its certificate expired on {}; the relay's operator must renew it, or this machine's clock is wrong",
            utc_day(*not_after)
        ),
        CertificateError::Expired => "its certificate has expired; the relay's operator must renew it, or this machine's clock is wrong".into(),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "its certificate is not valid before {}; check this machine's clock",
            utc_day(*not_before)
        ),
        CertificateError::NotValidYet => "its certificate is not valid yet; check this machine's clock".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is not for `{host}`; set `smtp.host` to the name in it")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("{UNKNOWN_ISSUER}; {NAME_ISSUER}")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for a server; the relay's operator must issue one with `extendedKeyUsage = serverAuth`".into()
        }
        _ => "its certificate is malformed or not for a server; the relay's operator must replace it".into(),
    }
}

/// The name of an alert as in RFC 8446 §6, and its number.
fn describe_alert(alert: AlertDescription) -> String {
    let name = match alert {
        AlertDescription::Unknown(_) => "unknown".to_owned(),
        known => format!("{known:?}"),
    };
    let separator = |it: char| it.is_ascii_uppercase().then_some('_');
    let name: String = (name.chars())
        .flat_map(|it| separator(it).into_iter().chain([it.to_ascii_lowercase()]))
        .collect();
    format!("{} ({})", name.trim_start_matches('_'), u8::from(alert))
}

/// The cipher suites that the handshake offers, by their IANA names.
fn cipher_suites() -> String {
    let provider: CryptoProvider = ring::default_provider();
    let names: Vec<String> = provider
        .cipher_suites
        .iter()
        .filter_map(|it| Some(it.suite().as_str()?.replace("TLS13_", "TLS_")))
        .collect();
    names.join(", ")
}

/// The first line, if it is plain text.
fn text_of(first: &[u8]) -> Option<String> {
    let line = first.split(|it| *it == b'\r' || *it == b'\n').next()?;
    let text = str::from_utf8(line).ok()?;
    let plain = !text.is_empty() && !text.contains(char::is_control);
    plain.then(|| text.to_owned())
}
