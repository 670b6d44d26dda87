//! Why there is no response, in words, with the fix.

use std::io::{self, ErrorKind};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{CertificateError, Error as TlsError};
use ureq::Timeout;
use url::Url;

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server could not be reached, or broke off. It may work later.
    #[error("{0}")]
    Unreachable(String),
    /// The server does not prove that it is the right one.
    #[error("{0}")]
    Untrusted(String),
    /// A setting on this machine must change.
    #[error("{0}")]
    Configuration(String),
}

/// `via` is the proxy that was used.
pub fn explain(error: &ureq::Error, url: &Url, via: Option<&str>, deadline: Duration) -> HttpError {
    use ureq::Error;
    let through = via.map_or_else(String::new, |it| format!("through the proxy {it}: "));
    let unreachable = |why: &str| HttpError::Unreachable(format!("{through}{why}"));
    match error {
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => unreachable(
            "no connection in time; a firewall may block it, or a proxy may be needed (`HTTPS_PROXY`)",
        ),
        Error::Timeout(_) => {
            let seconds = deadline.as_secs_f32();
            unreachable(&format!("no complete answer within {seconds} s"))
        }
        Error::HostNotFound => unreachable(&unresolved("no address found")),
        Error::Io(error) => match tls_error(error) {
            Some(error) => explain_tls(error, url, &through),
            None => unreachable(&explain_io(error)),
        },
        Error::Rustls(error) => explain_tls(error, url, &through),
        Error::ConnectProxyFailed(reason) => explain_proxy(reason, url, via.unwrap_or_default()),
        Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => {
            unreachable("the answer is not HTTP; check the URL")
        }
        error => unreachable(&error.to_string()),
    }
}

fn explain_io(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "the connection was closed before the answer was complete".into()
        }
        ErrorKind::ConnectionRefused => "connection refused; check the URL".into(),
        _ if error.to_string().contains("lookup address") => unresolved(&error.to_string()),
        _ => error.to_string(),
    }
}

fn unresolved(why: &str) -> String {
    format!("the name cannot be resolved ({why}); check the URL and this machine's DNS")
}

/// A proxy that refused to connect. `reason` contains its status, if it answered.
fn explain_proxy(reason: &str, url: &Url, proxy: &str) -> HttpError {
    let host = url.host_str().unwrap_or_default();
    // tinyproxy refuses a wrong login with 401.
    if reason.contains("407") || reason.contains("401") {
        HttpError::Configuration(format!(
            "the proxy {proxy} requires a login, or does not accept this one; write it as http://USER:PASSWORD@HOST:PORT"
        ))
    } else if reason.contains("403") {
        HttpError::Configuration(format!(
            "the proxy {proxy} does not allow connections to {host}; its operator must allow them"
        ))
    } else {
        HttpError::Unreachable(format!(
            "the proxy {proxy} cannot connect to {host} ({reason})"
        ))
    }
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

fn explain_tls(error: &TlsError, url: &Url, through: &str) -> HttpError {
    let unreachable = |why: &str| HttpError::Unreachable(format!("{through}{why}"));
    match error {
        TlsError::InvalidCertificate(error) => {
            let host = url.host_str().unwrap_or_default();
            let trust =
                "if a proxy inspects TLS here, name the certificate of its authority in `ca_file`";
            let why = explain_certificate(error, host, trust);
            HttpError::Untrusted(format!("{through}{why}"))
        }
        TlsError::InvalidMessage(_) => {
            unreachable("the server does not speak TLS on this port; check the URL")
        }
        error => unreachable(&format!("the TLS handshake failed: {error}")),
    }
}

/// Why the certificate of `host` is refused. `trust` says how to trust another issuer.
#[must_use]
pub fn explain_certificate(error: &CertificateError, host: &str, trust: &str) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the server's certificate expired on {}; its operator must renew it, or this machine's clock is wrong",
            utc_day(*not_after)
        ),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is valid only from {} on; this machine's clock may be wrong",
            utc_day(*not_before)
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is not for the name {host}; check the URL")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!(
                "the server's certificate is from an issuer that this machine does not trust; {trust}"
            )
        }
        error => format!("the server's certificate cannot be verified: {error}"),
    }
}

/// The day of a time in a certificate, in UTC.
#[must_use]
pub fn utc_day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.to_zoned_datetime(TimeZone::UTC).date().to_string()
}
