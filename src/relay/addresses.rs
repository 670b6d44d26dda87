//! The addresses of the relay: their lookup, their shares of the deadlines up to the greeting, and the common
//! error if none of them works.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::error::{ConnectError, ErrorSource, seconds};
use super::step::{Step, patiently};
use crate::config::{Deadlines, Smtp};
use crate::os_error::without_os_code;
use crate::outcome::Phase;

/// Looks up the configured host.
pub async fn look_up(
    smtp: &Smtp,
    step: &mut impl FnMut(Step),
) -> Result<Vec<SocketAddr>, ConnectError> {
    let host = smtp.host.as_str();
    let error = |why: &str| {
        let why = format!("cannot find the relay `{host}`: {why}");
        ConnectError::new(Phase::Connect, true, why)
    };
    let deadline = smtp.deadlines.of(Phase::Connect);
    let lookup = timeout(deadline, lookup_host((host, smtp.port)));
    let waiting = || format!("looking up {host}, for up to {}", seconds(deadline));
    let found: Vec<SocketAddr> = patiently(waiting, step, lookup)
        .await
        .map_err(|_| error("the DNS server does not answer; the next run tries again"))?
        .map_err(|it| {
            let fix = "check `smtp.host` and this machine's DNS server";
            error(&format!("{}; {fix}", explain(&without_os_code(it))))
        })?
        .collect();
    if host.parse::<IpAddr>().is_err() {
        step(Step::Resolved(found.iter().map(SocketAddr::ip).collect()));
    }
    Ok(found)
}

/// The C library's error with its meaning (getaddrinfo(3), `EAI_NONAME`, `EAI_NODATA`, `EAI_AGAIN`).
fn explain(error: &str) -> String {
    let meanings = [
        ("Name or service not known", "no such name in DNS"),
        (
            "No address associated with hostname",
            "the name exists in DNS, but has no address",
        ),
        (
            "Temporary failure in name resolution",
            "the DNS server failed or did not answer",
        ),
    ];
    let known = meanings.iter().find(|it| error.contains(it.0));
    known.map_or_else(|| error.to_owned(), |it| format!("{} ({error})", it.1))
}

/// The remaining time of the phases up to the greeting, shared by the addresses that are not tried yet.
pub struct DeadlineBudget {
    connect: Duration,
    tls: Duration,
    banner: Duration,
    addresses: u32,
    /// The phase that is running, and since when.
    running: Option<(Phase, Instant)>,
}

impl DeadlineBudget {
    /// The full deadlines, for this many addresses.
    pub fn new(deadlines: &Deadlines, addresses: usize) -> Self {
        Self {
            connect: deadlines.of(Phase::Connect),
            tls: deadlines.of(Phase::Tls),
            banner: deadlines.of(Phase::Banner),
            addresses: u32::try_from(addresses).unwrap_or(u32::MAX),
            running: None,
        }
    }

    /// Begins a phase; returns the share of this address.
    pub fn begin(&mut self, phase: Phase) -> Duration {
        self.end_phase();
        self.running = Some((phase, Instant::now()));
        let addresses = self.addresses.max(1);
        *self.left(phase) / addresses
    }

    /// Whether there is another address. Begins its share if there is one.
    pub fn next_address(&mut self) -> bool {
        self.end_phase();
        self.addresses = self.addresses.saturating_sub(1);
        self.addresses > 0
    }

    fn end_phase(&mut self) {
        if let Some((phase, start)) = self.running.take() {
            let left = self.left(phase);
            *left = left.saturating_sub(start.elapsed());
        }
    }

    fn left(&mut self, phase: Phase) -> &mut Duration {
        match phase {
            Phase::Connect => &mut self.connect,
            Phase::Tls => &mut self.tls,
            _ => &mut self.banner,
        }
    }
}

/// The error if no address can be used. It is temporary if that of an address that accepted the connection is,
/// or, without such an address, if any is.
pub fn all_failed(relay: &str, mut failures: Vec<(SocketAddr, ConnectError)>) -> ConnectError {
    if failures.len() == 1 {
        return failures.remove(0).1;
    }
    let (silent, mut connected): (Vec<_>, Vec<_>) =
        (failures.iter()).partition(|(_, it)| it.phase == Phase::Connect);
    // For example, `localhost` has an IPv6 address on which the relay does not listen.
    if let [(_, only)] = connected.as_slice() {
        let silent: Vec<_> = silent.iter().map(|it| it.0.to_string()).collect();
        let silent = silent.join(" and ");
        return ConnectError {
            why: format!("{only} (and nothing answers at its other address {silent})"),
            ..only.clone()
        };
    }
    if connected.is_empty() {
        connected = silent;
    }
    let reasons = failures
        .iter()
        .map(|(address, it)| format!("\n  {address}: {it}"));
    ConnectError {
        phase: connected.first().map_or(Phase::Connect, |it| it.1.phase),
        temporary: connected.iter().any(|it| it.1.temporary),
        cause: ErrorSource::Relay,
        throttled: connected.iter().find_map(|it| it.1.throttled.clone()),
        why: format!(
            "none of the {} addresses of the relay {relay} sent a greeting{}",
            failures.len(),
            reasons.collect::<String>()
        ),
    }
}
