//! The steps of opening a connection, as `check --connect` reports them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::ehlo::EhloExtensions;
use super::error::ConnectError;
use super::tls_session::TlsSession;
use crate::finding::cause_of;
use crate::oauth::Claims;

/// How long a step may take before it is reported that it is waited for.
const LONG: Duration = Duration::from_secs(2);

/// A step that has ended, or that takes long.
#[derive(Debug)]
pub enum Step {
    /// What is waited for.
    Waiting(String),
    /// There is an access token for the login.
    TokenReceived(TokenFacts),
    /// The addresses of the configured name.
    Resolved(Vec<IpAddr>),
    /// An address accepted a connection and sent a greeting.
    Greeted {
        /// The address.
        address: SocketAddr,
        /// How long the TCP connection took.
        took: Duration,
        /// The greeting.
        greeting: String,
    },
    /// An address cannot be used, but another may be.
    AddressFailed {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: ConnectError,
    },
    /// TLS was established.
    Secured(TlsSession),
    /// The relay accepted EHLO.
    Extensions {
        /// The name that this program gave.
        hello: String,
        /// Whether this is the reply before STARTTLS.
        before_tls: bool,
        /// What the relay offers.
        offered: EhloExtensions,
    },
    /// The login succeeded.
    LoggedIn {
        /// The user name.
        username: String,
        /// The mechanism of AUTH.
        mechanism: &'static str,
    },
}

impl Step {
    /// Writes the step as a diagnostic line.
    pub fn log(self) {
        match self {
            Self::Waiting(what) => debug!("{what}"),
            Self::TokenReceived(facts) => {
                let valid_for = facts.valid_for.map(|it| it.as_secs());
                debug!(source = facts.source, valid_for, "access token at hand");
            }
            Self::Resolved(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                debug!(addresses = addresses.join(","), "relay resolved");
            }
            Self::Greeted {
                address,
                took,
                greeting,
            } => {
                let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                debug!(%address, ms, greeting, "connected to the relay");
            }
            Self::AddressFailed { address, error } => {
                debug!(%address, why = cause_of(&error.why), "an address of the relay failed");
            }
            Self::Secured(session) => {
                debug!(
                    version = session.version,
                    cipher = session.cipher,
                    "TLS established"
                );
            }
            Self::Extensions { hello, offered, .. } => debug!(
                hello,
                pipelining = offered.pipelining,
                dsn = offered.dsn,
                size = offered.size.map(|it| it as u64),
                auth = offered.auth.join(","),
                "EHLO accepted"
            ),
            Self::LoggedIn {
                username,
                mechanism,
            } => debug!(username, mechanism, "logged in"),
        }
    }
}

/// What is known about an access token; never the token itself.
#[derive(Debug)]
pub struct TokenFacts {
    /// Where it came from.
    pub source: String,
    /// How long it is valid, if the issuer said so.
    pub valid_for: Option<Duration>,
    /// Its claims, if it can be read.
    pub claims: Option<Claims>,
}

/// Waits for a step; reports what is waited for if it takes long.
pub async fn patiently<T>(
    what: impl FnOnce() -> String,
    step: &mut impl FnMut(Step),
    future: impl Future<Output = T>,
) -> T {
    tokio::pin!(future);
    if let Ok(done) = timeout(LONG, &mut future).await {
        return done;
    }
    step(Step::Waiting(what()));
    future.await
}
