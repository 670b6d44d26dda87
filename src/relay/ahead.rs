//! Whether an envelope may go out together with the dot before it (RFC 2920 §3.1).
//!
//! Some relays offer PIPELINING and die of that, Dovecot 2.3 among them, and then nobody
//! knows what became of the message; others forget what came behind a dot. So what is known to
//! die is spared; with any other, the first to try in a run tries alone; and once a dot got no
//! reply for it, or the MAIL behind it none in time, nobody tries again.

use std::sync::atomic::{AtomicU8, Ordering};

const UNTRIED: u8 = 0;
const ON_TRIAL: u8 = 1;
const SAFE: u8 = 2;
const DEADLY: u8 = 3;

/// What a run has learnt of its relay.
#[derive(Debug, Default)]
pub struct Ahead(AtomicU8);

impl Ahead {
    /// Whether to try it now; whoever may says with [`Ahead::went`] how it went.
    #[must_use]
    pub fn may_go(&self) -> bool {
        let before = self
            .0
            .compare_exchange(UNTRIED, ON_TRIAL, Ordering::SeqCst, Ordering::SeqCst);
        matches!(before, Ok(_) | Err(SAFE))
    }

    /// Whether it was answered; none where the dot was not even written.
    pub fn went(&self, answered: Option<bool>) {
        let learnt = match answered {
            Some(true) => SAFE,
            Some(false) => DEADLY,
            None => {
                let _ =
                    self.0
                        .compare_exchange(ON_TRIAL, UNTRIED, Ordering::SeqCst, Ordering::SeqCst);
                return;
            }
        };
        // What has killed once is not made good by what was under way then.
        self.0.fetch_max(learnt, Ordering::SeqCst);
    }

    /// What the relay's greeting gives away.
    pub fn meet(&self, banner: &str) {
        if banner.to_lowercase().contains("dovecot") {
            self.went(Some(false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ahead;

    #[test]
    fn one_tries_alone_and_a_loss_is_final() {
        let ahead = Ahead::default();
        assert!(ahead.may_go());
        assert!(!ahead.may_go(), "not before the first has its answer");
        ahead.went(None);
        assert!(ahead.may_go(), "nothing was learnt");
        ahead.went(Some(true));
        assert!(ahead.may_go() && ahead.may_go());

        ahead.went(Some(false));
        ahead.went(Some(true));
        assert!(!ahead.may_go());
    }

    #[test]
    fn dovecot_is_spared_from_the_first() {
        let ahead = Ahead::default();
        ahead.meet("mx.contoso.example ESMTP Postfix");
        ahead.meet("mx.contoso.example Dovecot (Debian) ready.");
        assert!(!ahead.may_go());
    }
}
