//! How fast: so many dots in any minute and in any day, over all connections and runs.
//!
//! What earlier runs sent is read from the ledger once; from then on time is measured
//! by a clock that nobody can set back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// The two limits, and the dots that count towards them.
#[derive(Debug)]
pub struct Rates {
    per_minute: usize,
    per_day: usize,
    /// In the order of time; those to come are counted when they are granted.
    dots: Mutex<VecDeque<Instant>>,
}

/// What is to be done about a dot that was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Grant {
    Now,
    At(Instant),
    NotToday,
}

impl Rates {
    /// The limits, given when earlier dots were attempted, the oldest first.
    #[must_use]
    pub fn new(per_minute: u32, per_day: u32, earlier: &[Timestamp], now: Timestamp) -> Self {
        let here = Instant::now();
        let dots = earlier
            .iter()
            .filter_map(|at| {
                // A dot in the future, by a clock since set back, counts as one of now.
                let ago = Duration::try_from(now.duration_since(*at)).unwrap_or_default();
                here.checked_sub(ago)
                    .or_else(|| (ago < DAY).then_some(here))
            })
            .collect();
        Self {
            per_minute: usize::try_from(per_minute).unwrap_or(usize::MAX),
            per_day: usize::try_from(per_day).unwrap_or(usize::MAX),
            dots: Mutex::new(dots),
        }
    }

    /// Waits until a dot may be attempted, and counts it; false when the day's are used up.
    pub async fn take(&self) -> bool {
        loop {
            match self.ask(Instant::now()) {
                Grant::Now => return true,
                Grant::At(then) => sleep_until(then).await,
                Grant::NotToday => return false,
            }
        }
    }

    /// Gives back a dot that was counted and did not come about.
    pub fn give_back(&self) {
        self.dots().pop_back();
    }

    fn ask(&self, now: Instant) -> Grant {
        let mut dots = self.dots();
        while dots
            .front()
            .is_some_and(|it| now.duration_since(*it) >= DAY)
        {
            dots.pop_front();
        }
        if dots.len() >= self.per_day {
            return Grant::NotToday;
        }
        let oldest_that_counts = dots.len().checked_sub(self.per_minute).map(|it| dots[it]);
        match oldest_that_counts.map(|it| it + MINUTE) {
            Some(then) if then > now => Grant::At(then),
            _ => {
                dots.push_back(now);
                Grant::Now
            }
        }
    }

    fn dots(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.dots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T08:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_window_of_a_minute_slides() {
        let rates = Rates::new(2, 100, &[], now());
        let start = Instant::now();

        assert_eq!(rates.ask(start), Grant::Now);
        assert_eq!(rates.ask(start + Duration::from_secs(20)), Grant::Now);
        assert_eq!(
            rates.ask(start + Duration::from_secs(30)),
            Grant::At(start + MINUTE)
        );
        assert_eq!(rates.ask(start + MINUTE), Grant::Now);
        let next = Grant::At(start + Duration::from_secs(80));
        assert_eq!(rates.ask(start + MINUTE), next);
        rates.give_back();
        assert_eq!(rates.ask(start + MINUTE), Grant::Now);
    }

    #[test]
    fn the_dots_of_earlier_runs_count_towards_minute_and_day() {
        let seconds = |it| now() - SignedDuration::from_secs(it);

        let minute = Rates::new(1, 100, &[seconds(20)], now());
        assert!(matches!(minute.ask(Instant::now()), Grant::At(_)));
        let day = Rates::new(100, 2, &[seconds(80_000), seconds(70_000)], now());
        assert_eq!(day.ask(Instant::now()), Grant::NotToday);
        assert_eq!(
            day.ask(Instant::now() + Duration::from_secs(6_500)),
            Grant::Now
        );
        let future = Rates::new(100, 1, &[seconds(-500)], now());
        assert_eq!(future.ask(Instant::now()), Grant::NotToday);
    }
}
