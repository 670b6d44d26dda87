//! `[smtp.deadlines]`: the deadline of each phase (RFC 5321 §4.5.3.2).

use std::time::Duration;

use super::reader::Section;
use super::values::duration;
use crate::outcome::Phase;

/// Each phase with its default and its description, in the order of [`Phase`].
const PHASES: [(Phase, &str, &str); 12] = [
    (Phase::Connect, "\"30s\"", "name resolution and TCP"),
    (Phase::Tls, "\"1m\"", "the TLS handshake"),
    (Phase::Banner, "\"5m\"", "the greeting"),
    (Phase::Ehlo, "\"5m\"", "EHLO"),
    (Phase::StartTls, "\"5m\"", "STARTTLS"),
    (Phase::Auth, "\"5m\"", "AUTH"),
    (Phase::Mail, "\"5m\"", "MAIL"),
    (Phase::Rcpt, "\"5m\"", "RCPT"),
    (Phase::Data, "\"2m\"", "DATA"),
    (Phase::Body, "\"3m\"", "each block of the message"),
    (Phase::Dot, "\"10m\"", "the reply to the message"),
    (Phase::Rset, "\"1m\"", "RSET"),
];

/// The deadline of each phase, in the order of [`Phase`].
#[derive(Clone, Copy, Debug)]
pub struct Deadlines([Duration; PHASES.len()]);

impl Default for Deadlines {
    fn default() -> Self {
        Self(PHASES.map(|(_, default, _)| duration().default(default).unsigned_abs()))
    }
}

impl Deadlines {
    /// How long the phase may take; for the body, each block.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Duration {
        self.0[phase as usize]
    }

    pub(super) fn read(section: &mut Section<'_>, loopback: bool) -> Self {
        let deadlines = Self(PHASES.map(|(phase, default, description)| {
            let read = section
                .key(phase.as_str(), description)
                .or(default, duration());
            read.unsigned_abs()
        }));
        if !loopback && deadlines.of(Phase::Dot) < Duration::from_mins(1) {
            let message = "`smtp.deadlines.dot` must be at least \"60s\": a shorter deadline leaves messages with an unknown outcome (RFC 5321 §4.5.3.2.6)";
            section.problem("dot", message);
        }
        deadlines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_phases() {
        for (place, (phase, _, _)) in PHASES.into_iter().enumerate() {
            assert_eq!(phase as usize, place, "{}", phase.as_str());
        }
    }
}
