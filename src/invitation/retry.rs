//! The retry schedule of deferred invitations.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// When a deferred invitation is due again, and when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    /// The pause after the first deferral; it doubles with each further one.
    pub first_after: SignedDuration,
    /// The longest pause.
    pub max_after: SignedDuration,
    /// The time since the first deferral after which a deferral is the last.
    pub give_up_after: SignedDuration,
}

impl RetrySchedule {
    /// When to try again after the `deferrals`-th deferral (1 is the first) at `now`.
    ///
    /// Adds a jitter of up to a tenth, depending on the address, so that invitations that were deferred
    /// together are not due together.
    #[must_use]
    pub fn due_again(&self, now: Timestamp, deferrals: u32, address: &str) -> Timestamp {
        let doublings = deferrals.saturating_sub(1).min(30);
        let pause = self
            .first_after
            .saturating_mul(1 << doublings)
            .min(self.max_after);
        let seed = Sha256::digest(format!("{address} {deferrals}"));
        let jitter =
            SignedDuration::from_millis_i128(pause.as_millis() * i128::from(seed[0]) / (10 * 256));
        now.saturating_add(pause.saturating_add(jitter))
            .unwrap_or(Timestamp::MAX)
    }

    /// The longest pause that [`RetrySchedule::due_again`] can give, jitter included.
    #[must_use]
    pub fn longest_pause(&self) -> SignedDuration {
        self.max_after.saturating_add(self.max_after / 10)
    }

    /// Whether a deferral at `now` is the last.
    #[must_use]
    pub fn gives_up(&self, now: Timestamp, deferred_since: Option<Timestamp>) -> bool {
        deferred_since.is_some_and(|since| now.duration_since(since) >= self.give_up_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_pauses_double_up_to_the_maximum_with_jitter() {
        let schedule = RetrySchedule {
            first_after: SignedDuration::from_mins(30),
            max_after: SignedDuration::from_hours(8),
            give_up_after: SignedDuration::from_hours(120),
        };
        let now = Timestamp::UNIX_EPOCH;
        let seconds = |deferrals| schedule.due_again(now, deferrals, "id").as_second();

        for (deferrals, minutes) in [(1, 30), (2, 60), (3, 120), (5, 480), (90, 480)] {
            let got = seconds(deferrals);
            let pause = minutes * 60;
            assert!(
                (pause..pause + pause / 10).contains(&got),
                "{deferrals}: {got}"
            );
        }
        assert_eq!(
            schedule.longest_pause(),
            SignedDuration::from_mins(8 * 60 + 48)
        );
        assert!(!schedule.gives_up(now, None));
        let long_ago = now - SignedDuration::from_hours(120);
        assert!(schedule.gives_up(now, Some(long_ago)));
    }
}
