//! Rate limits: final dots per minute and per day, over all connections and runs.
//!
//! What earlier runs sent is read from the ledger once; after that a monotonic clock measures the time. A dot
//! counts from the moment it is written. Before that it needs a permit, which is returned if the dot is not
//! written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

pub const MINUTE: Duration = Duration::from_mins(1);
pub const DAY: Duration = Duration::from_hours(24);
/// How long to wait for a permit that is granted and not used yet.
const PERMIT_WAIT: Duration = Duration::from_millis(100);

/// The limits, and the dots that count towards them.
#[derive(Debug)]
pub struct Rates {
    per_minute: usize,
    per_day: usize,
    usage: Mutex<Usage>,
}

#[derive(Debug)]
struct Usage {
    /// The dots that were attempted in the last day, the oldest first.
    dots: VecDeque<Instant>,
    /// How many permits are granted and not used yet.
    open: usize,
    /// Until when other runs use the limit.
    others: Option<Instant>,
}

/// The answer to a request for a permit.
#[derive(Debug, PartialEq, Eq)]
enum Grant {
    Now,
    At(Instant),
    NotToday,
}

/// What counts towards a limit.
#[derive(Debug)]
pub struct Used {
    /// The limit.
    pub limit: usize,
    /// The dots that count.
    pub dots: usize,
    /// The age of the one whose expiry makes room for another: the oldest, unless more than the limit count.
    pub decisive: Option<Duration>,
}

/// The right to write one final dot. It is returned when it is dropped.
#[derive(Debug)]
pub struct SendPermit(Arc<Rates>);

impl SendPermit {
    /// Counts the dot as written now.
    pub fn used(self) {
        self.0.usage.lock().dots.push_back(Instant::now());
    }
}

impl Drop for SendPermit {
    fn drop(&mut self) {
        let mut usage = self.0.usage.lock();
        usage.open = usage.open.saturating_sub(1);
    }
}

impl Rates {
    /// The limits, with the times of earlier dots, the oldest first.
    #[must_use]
    pub fn new(per_minute: u32, per_day: u32, earlier: &[Timestamp], now: Timestamp) -> Self {
        let here = Instant::now();
        let dots = earlier
            .iter()
            .filter_map(|at| {
                // A dot in the future, from before the clock was set back, counts as written now.
                let ago = Duration::try_from(now.duration_since(*at)).unwrap_or_default();
                let known = here.checked_sub(ago);
                known.or_else(|| (ago < DAY).then_some(here))
            })
            .collect();
        Self {
            per_minute: usize::try_from(per_minute).unwrap_or(usize::MAX),
            per_day: usize::try_from(per_day).unwrap_or(usize::MAX),
            usage: Mutex::new(Usage {
                dots,
                open: 0,
                others: None,
            }),
        }
    }

    /// Waits until a dot may be written; `None` if the daily limit is reached. Before it waits, it calls `waiting`
    /// with the time that it waits for.
    pub async fn acquire(self: &Arc<Self>, waiting: impl Fn(Instant)) -> Option<SendPermit> {
        loop {
            match self.ask(Instant::now()) {
                Grant::Now => return Some(SendPermit(self.clone())),
                Grant::At(then) => {
                    waiting(then);
                    sleep_until(then).await;
                }
                Grant::NotToday => return None,
            }
        }
    }

    /// A permit, if it is granted at once.
    pub fn try_acquire(self: &Arc<Self>) -> Option<SendPermit> {
        (self.ask(Instant::now()) == Grant::Now).then(|| SendPermit(self.clone()))
    }

    /// What counts towards the limit per minute now.
    pub fn minute(&self) -> Used {
        self.used_within(MINUTE, self.per_minute)
    }

    /// What counts towards the limit per day now.
    pub fn day(&self) -> Used {
        self.used_within(DAY, self.per_day)
    }

    fn used_within(&self, window: Duration, limit: usize) -> Used {
        let now = Instant::now();
        let dots = &self.usage.lock().dots;
        let old = dots.partition_point(|it| now.duration_since(*it) >= window);
        let counted = dots.len() - old;
        // After a limit was lowered, several must expire before there is room for another.
        let decisive = old + counted.saturating_sub(limit);
        Used {
            limit,
            dots: counted,
            decisive: dots.get(decisive).map(|it| now.duration_since(*it)),
        }
    }

    /// Grants no permit for this long, because other runs have used the limit. A little longer, and not the same on
    /// each machine, so that they do not all try again at once.
    pub fn wait_for_others(&self, wait: Duration) {
        let apart = Duration::from_millis(u64::from(std::process::id() % 997));
        self.usage.lock().others = Some(Instant::now() + wait + apart);
    }

    fn ask(&self, now: Instant) -> Grant {
        let mut usage = self.usage.lock();
        if let Some(then) = usage.others.filter(|it| *it > now) {
            return Grant::At(then);
        }
        while usage
            .dots
            .front()
            .is_some_and(|it| now.duration_since(*it) >= DAY)
        {
            usage.dots.pop_front();
        }
        if usage.dots.len() >= self.per_day {
            return Grant::NotToday;
        }
        // A granted permit may still be returned.
        if usage.dots.len() + usage.open >= self.per_day {
            return Grant::At(now + PERMIT_WAIT);
        }
        let old = usage
            .dots
            .partition_point(|it| now.duration_since(*it) >= MINUTE);
        let recent = usage.dots.len() - old + usage.open;
        let Some(too_many) = (recent + 1).checked_sub(self.per_minute + 1) else {
            usage.open += 1;
            return Grant::Now;
        };
        match usage.dots.get(old + too_many) {
            Some(dot) => Grant::At(*dot + MINUTE),
            None => Grant::At(now + PERMIT_WAIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T08:00:00Z".parse().unwrap()
    }

    /// As if a permit that was granted was used at `at`.
    fn dot(rates: &Rates, at: Instant) {
        let mut usage = rates.usage.lock();
        usage.open -= 1;
        usage.dots.push_back(at);
    }

    #[test]
    fn the_minute_is_a_sliding_window() {
        let rates = Rates::new(2, 100, &[], now());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);

        assert_eq!(rates.ask(at(0)), Grant::Now);
        assert_eq!(rates.ask(at(0)), Grant::Now);
        // Both are granted and not yet written, so the time of a third is not known.
        assert_eq!(rates.ask(at(0)), Grant::At(at(0) + PERMIT_WAIT));
        dot(&rates, at(10));
        dot(&rates, at(30));
        assert_eq!(rates.ask(at(40)), Grant::At(at(70)));
        assert_eq!(rates.ask(at(70)), Grant::Now);
        assert_eq!(rates.ask(at(71)), Grant::At(at(90)));
        rates.usage.lock().open -= 1;
        assert_eq!(rates.ask(at(71)), Grant::Now, "one was returned");
    }

    #[test]
    fn the_daily_limit_is_reached_by_the_last_written_dot() {
        let rates = Rates::new(100, 1, &[], now());
        let at = Instant::now();

        assert_eq!(rates.ask(at), Grant::Now);
        assert_eq!(rates.ask(at), Grant::At(at + PERMIT_WAIT));
        dot(&rates, at);
        assert_eq!(rates.ask(at), Grant::NotToday);
    }

    #[test]
    fn dots_of_earlier_runs_count_towards_both_limits() {
        let seconds = |it| now() - SignedDuration::from_secs(it);

        let minute = Rates::new(1, 100, &[seconds(20)], now());
        assert!(matches!(minute.ask(Instant::now()), Grant::At(_)));
        let day = Rates::new(100, 2, &[seconds(80_000), seconds(70_000)], now());
        assert_eq!(day.ask(Instant::now()), Grant::NotToday);
        let later = Instant::now() + Duration::from_secs(6_500);
        assert_eq!(day.ask(later), Grant::Now);
        let future = Rates::new(100, 1, &[seconds(-500)], now());
        assert_eq!(future.ask(Instant::now()), Grant::NotToday);
    }

    #[tokio::test]
    async fn a_permit_is_returned_unless_it_is_used() {
        let rates = Arc::new(Rates::new(100, 1, &[], now()));

        drop(rates.acquire(|_| {}).await.unwrap());
        rates.acquire(|_| {}).await.unwrap().used();
        assert!(rates.acquire(|_| {}).await.is_none());
    }
}
