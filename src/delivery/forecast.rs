//! What the rate limits mean for a run that has not begun: how much of it goes today, and how long it takes.

use std::time::Duration;

use super::rates::{DAY, MINUTE, Rates, Used};

/// What the limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// How many messages may be sent before the daily limit ends the run.
    pub today: u64,
    /// When the daily limit allows the first message beyond those, if there are any.
    pub next_in: Option<Duration>,
    /// The shortest duration that the limit per minute allows for the messages of today.
    pub at_least: Duration,
}

impl Rates {
    /// The forecast for this many messages from now on.
    #[must_use]
    pub fn forecast(&self, messages: u64) -> Forecast {
        let (minute, day) = (self.minute(), self.day());
        let free = |it: &Used| it.limit.saturating_sub(it.dots) as u64;
        let today = messages.min(free(&day));
        // If no dot counts yet, the first of this run is the first to expire.
        let opens_in = |window: Duration, it: &Used| {
            let age = it.decisive.unwrap_or_default();
            window.saturating_sub(age)
        };
        let next_in = (today < messages).then(|| opens_in(DAY, &day));
        let per_minute = (minute.limit as u64).max(1);
        let waits = today.saturating_sub(free(&minute)).div_ceil(per_minute);
        let more = u32::try_from(waits.saturating_sub(1)).unwrap_or(u32::MAX);
        let at_least = match waits {
            0 => Duration::ZERO,
            _ => opens_in(MINUTE, &minute) + MINUTE.saturating_mul(more),
        };
        Forecast {
            today,
            next_in,
            at_least,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn forecast(per_minute: u32, per_day: u32, ages: &[i64], messages: u64) -> (u64, u64, bool) {
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let earlier: Vec<_> = ages
            .iter()
            .map(|it| now - SignedDuration::from_secs(*it))
            .collect();
        let found = Rates::new(per_minute, per_day, &earlier, now).forecast(messages);
        // The clock of the limits has gone on since they were made.
        let seconds = (found.at_least.as_millis() + 500) / 1000;
        (
            found.today,
            u64::try_from(seconds).unwrap(),
            found.next_in.is_some(),
        )
    }

    #[test]
    fn the_limit_per_minute_makes_the_duration() {
        assert_eq!(forecast(30, 10_000, &[], 30), (30, 0, false));
        assert_eq!(forecast(30, 10_000, &[], 31), (31, 60, false));
        assert_eq!(forecast(30, 10_000, &[], 180), (180, 300, false));
        // Two messages went 20 seconds ago, so the third waits for 40 seconds.
        assert_eq!(forecast(2, 10_000, &[20, 20], 1), (1, 40, false));
        assert_eq!(forecast(2, 10_000, &[20, 20], 5), (5, 160, false));
        // The limit was lowered: four of the five must expire before the first message.
        assert_eq!(
            forecast(2, 10_000, &[50, 40, 30, 20, 10], 1),
            (1, 40, false)
        );
    }

    #[test]
    fn the_limit_per_day_ends_the_run() {
        assert_eq!(forecast(30, 100, &[], 250), (100, 180, true));
        assert_eq!(forecast(30, 100, &[7200; 100], 250), (0, 0, true));
        let now = Timestamp::UNIX_EPOCH;
        let two_hours_ago = now - SignedDuration::from_hours(2);
        let next = Rates::new(1, 1, &[two_hours_ago], now).forecast(1).next_in;
        let hours = next.unwrap().as_secs_f64() / 3600.0;
        assert!((21.9..=22.0).contains(&hours), "{hours}");
    }
}
