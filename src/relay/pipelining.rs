//! Whether pipelining works with the relay of a run (RFC 2920).
//!
//! Some relays offer PIPELINING but lose a part of a packet or reply out of order; others, such as Dovecot
//! 2.3, close the connection when an envelope follows the final dot. Therefore one connection probes an envelope
//! behind a final dot before the others use it, and the first fault disables it for the run.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

const UNTRIED: u8 = 0;
const PROBING: u8 = 1;
const SAFE: u8 = 2;
const UNSAFE: u8 = 3;

/// Which kinds of pipelining work with the relay, shared by all connections of a run.
#[derive(Debug, Default)]
pub struct PipeliningProbe {
    /// One command, one reply: nothing is pipelined.
    lock_step: AtomicBool,
    /// Whether an envelope may be sent together with the final dot before it.
    behind_dot: AtomicU8,
}

impl PipeliningProbe {
    /// Whether an envelope may be sent together with the next final dot. The caller must then call
    /// [`PipeliningProbe::record`].
    #[must_use]
    pub fn may_follow_dot(&self) -> bool {
        let order = Ordering::SeqCst;
        let before = (self.behind_dot).compare_exchange(UNTRIED, PROBING, order, order);
        !self.is_lock_step() && matches!(before, Ok(_) | Err(SAFE))
    }

    /// Records whether dot and envelope got replies that fit; `None` if that is not known.
    pub fn record(&self, fits: Option<bool>) {
        let Some(fits) = fits else {
            let order = Ordering::SeqCst;
            let _ = (self.behind_dot).compare_exchange(PROBING, UNTRIED, order, order);
            return;
        };
        let result = if fits { SAFE } else { UNSAFE };
        // A failure is final, even if other connections report success afterwards.
        self.behind_dot.fetch_max(result, Ordering::SeqCst);
    }

    /// Makes every connection of the run send one command at a time.
    pub fn fall_back(&self) {
        self.lock_step.store(true, Ordering::SeqCst);
    }

    /// Whether pipelining is disabled.
    #[must_use]
    pub fn is_lock_step(&self) -> bool {
        self.lock_step.load(Ordering::SeqCst)
    }

    /// Recognises relays that close the connection when an envelope follows the final dot.
    pub fn inspect_banner(&self, banner: &str) {
        if banner.to_lowercase().contains("dovecot") {
            self.record(Some(false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PipeliningProbe;

    #[test]
    fn one_connection_probes_alone_and_a_failure_is_final() {
        let probe = PipeliningProbe::default();
        assert!(probe.may_follow_dot());
        assert!(
            !probe.may_follow_dot(),
            "not before the first has its answer"
        );
        probe.record(None);
        assert!(probe.may_follow_dot(), "nothing was learnt");
        probe.record(Some(true));
        assert!(probe.may_follow_dot() && probe.may_follow_dot());

        probe.record(Some(false));
        probe.record(Some(true));
        assert!(!probe.may_follow_dot());
        assert!(!probe.is_lock_step(), "an envelope alone may be pipelined");
    }

    #[test]
    fn dovecot_is_never_probed() {
        let probe = PipeliningProbe::default();
        probe.inspect_banner("mx.contoso.example ESMTP Postfix");
        probe.inspect_banner("mx.contoso.example Dovecot (Debian) ready.");
        assert!(!probe.may_follow_dot());
    }

    #[test]
    fn after_a_fault_nothing_is_pipelined() {
        let probe = PipeliningProbe::default();
        probe.record(Some(true));
        probe.fall_back();
        probe.record(Some(true));
        assert!(probe.is_lock_step() && !probe.may_follow_dot());
    }
}
