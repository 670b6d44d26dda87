//! Several addresses of one relay: how they share the deadlines up to the greeting, and how what
//! was wrong with each is reported together.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Deadlines;
use crate::exit::Exit;
use crate::outcome::{Phase, Reply};

/// Why there is no connection.
#[derive(Clone, Debug)]
pub struct ConnectError {
    /// Where it stopped.
    pub phase: Phase,
    /// Whether trying again may help.
    pub temporary: bool,
    /// The reply that asked to slow down, if it was one.
    pub throttled: Option<Reply>,
    /// What happened.
    pub why: String,
}

impl ConnectError {
    /// Not opened at this phase, for this reason.
    pub(super) fn new(phase: Phase, temporary: bool, why: String) -> Self {
        Self {
            phase,
            temporary,
            throttled: None,
            why,
        }
    }

    /// The exit code that this alone would give.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.throttled.is_some() {
            Exit::TryLater
        } else {
            Exit::Unavailable
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What is left of the deadlines of the phases up to the greeting, shared by the addresses
/// that are still to be tried.
pub struct Budget {
    connect: Duration,
    tls: Duration,
    banner: Duration,
    addresses: u32,
}

impl Budget {
    /// The whole deadlines, for so many addresses.
    pub fn new(deadlines: &Deadlines, addresses: usize) -> Self {
        Self {
            connect: deadlines.of(Phase::Connect),
            tls: deadlines.of(Phase::Tls),
            banner: deadlines.of(Phase::Banner),
            addresses: u32::try_from(addresses).unwrap_or(u32::MAX),
        }
    }

    /// Goes on to the next address; false if there is none.
    pub fn next_address(&mut self) -> bool {
        self.addresses = self.addresses.saturating_sub(1);
        self.addresses > 0
    }

    fn left(&mut self, phase: Phase) -> &mut Duration {
        match phase {
            Phase::Connect => &mut self.connect,
            Phase::Tls => &mut self.tls,
            _ => &mut self.banner,
        }
    }

    /// The share of one address.
    pub fn share(&mut self, phase: Phase) -> Duration {
        let addresses = self.addresses.max(1);
        *self.left(phase) / addresses
    }

    /// Takes off what a phase has used since `start`.
    pub fn spend(&mut self, phase: Phase, start: Instant) {
        let left = self.left(phase);
        *left = left.saturating_sub(start.elapsed());
    }
}

/// What was wrong with each of the addresses of `relay`. Whether trying again may help is for
/// those to say that took the connection at all.
pub fn all_failed(relay: &str, mut failures: Vec<(SocketAddr, ConnectError)>) -> ConnectError {
    if failures.len() == 1 {
        return failures.remove(0).1;
    }
    let answers = |it: &&(SocketAddr, ConnectError)| it.1.phase != Phase::Connect;
    let mut telling: Vec<_> = failures.iter().filter(answers).collect();
    let silent: Vec<String> = failures
        .iter()
        .filter(|it| !answers(it))
        .map(|it| it.0.to_string())
        .collect();
    // As where `localhost` has an IPv6 address on which the relay does not listen.
    if let [(_, only)] = telling.as_slice() {
        let why = format!(
            "{} (and nothing answers at its other address {})",
            only.why,
            silent.join(" and ")
        );
        return ConnectError {
            why,
            ..only.clone()
        };
    }
    if telling.is_empty() {
        telling = failures.iter().collect();
    }
    let reasons: Vec<String> = failures
        .iter()
        .map(|(address, not_opened)| format!("\n  {address}: {}", not_opened.why))
        .collect();
    ConnectError {
        phase: telling.first().map_or(Phase::Connect, |it| it.1.phase),
        temporary: telling.iter().any(|it| it.1.temporary),
        throttled: telling.iter().find_map(|it| it.1.throttled.clone()),
        why: format!(
            "none of the {} addresses of the relay {relay} has sent a greeting{}",
            failures.len(),
            reasons.concat()
        ),
    }
}
