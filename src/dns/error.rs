//! Why DNS has no answer.

use std::net::SocketAddr;

/// Why there is no answer to a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The servers agree that the name does not exist.
    #[error("the name does not exist (NXDOMAIN)")]
    NoSuchName,
    /// The text is no name in DNS, because it or a part of it is too long or empty.
    #[error("`{0}` is no name in DNS")]
    NotAName(String),
    /// A name is an alias of another, and so on without end.
    #[error("its aliases (CNAME) lead in a circle")]
    AliasLoop,
    /// No server gave a usable answer.
    #[error("the DNS server {server} {why}")]
    NoAnswer {
        /// The last one that was tried.
        server: SocketAddr,
        /// What it did.
        why: String,
    },
}

impl DnsError {
    /// Whether another query would probably fail as well.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}
