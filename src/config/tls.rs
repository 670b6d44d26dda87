//! How the connection to the relay is protected, and the ports for that.

use crate::finding::Finding;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte (RFC 8314).
    Implicit,
    /// After STARTTLS, which the relay must offer (RFC 3207).
    StartTls,
    /// Unprotected, only to this machine.
    None,
}

impl Tls {
    /// The port that is registered for this mode (RFC 8314 §7.3, RFC 6409); 25 without TLS.
    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// Warns about a port that is registered for the other TLS mode (RFC 8314 §7.3, RFC 6409).
pub(super) fn port_warning(port: u16, tls: Tls) -> Option<Finding> {
    let (means, now, set, other) = match (port, tls) {
        (465, Tls::StartTls) => ("TLS from the first byte", "starttls", "implicit", 587),
        (587 | 25, Tls::Implicit) => ("STARTTLS", "implicit", "starttls", 465),
        _ => return None,
    };
    let message = format!(
        "`smtp.port` = {port} is for {means}, but `smtp.tls` is \"{now}\", so both sides may wait for each other until the deadline; set `tls = \"{set}\"`, or `port = {other}`"
    );
    Some(Finding::warning("smtp", "smtp.port", message))
}
