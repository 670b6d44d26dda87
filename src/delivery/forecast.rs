//! What the rate limits mean for messages that are not sent yet: how many are sent today, and how long all take.
//!
//! Pauses that the relay asks for and deferred recipients are not known.

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
    /// The shortest duration for all messages, over as many days as the daily limit requires.
    pub in_all: Duration,
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
        let times = |window: Duration, number: u64| {
            window.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX))
        };
        let next_in = (today < messages).then(|| opens_in(DAY, &day));
        let per_minute = (minute.limit as u64).max(1);
        let waits = today.saturating_sub(free(&minute)).div_ceil(per_minute);
        let at_least = match waits {
            0 => Duration::ZERO,
            _ => opens_in(MINUTE, &minute) + times(MINUTE, waits - 1),
        };
        let in_all = next_in.map_or(at_least, |wait| {
            let per_day = (day.limit as u64).max(1);
            let after_today = messages - today - 1;
            let last_day = after_today % per_day;
            wait + times(DAY, after_today / per_day) + times(MINUTE, last_day / per_minute)
        });
        Forecast {
            today,
            next_in,
            at_least,
            in_all,
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

    #[test]
    fn the_duration_of_all_messages_covers_the_days_that_they_take() {
        let now = Timestamp::UNIX_EPOCH;
        let minute = 60;
        let day = 24 * 60 * minute;
        for (messages, (per_minute, per_day), sent, seconds) in [
            (0, (30, 10_000), 0, 0),
            (180, (30, 10_000), 0, 5 * minute),
            (180, (30, 180), 0, 5 * minute),
            (3_000, (30, 10_000), 0, 99 * minute),
            // 60 today, 100 a day later, 20 two days later.
            (180, (30, 100), 40, 2 * day),
            (180, (10, 100), 40, 2 * day + minute),
            (180, (30, 180), 1, day),
        ] {
            let sent = vec![now; sent];
            let rates = Rates::new(per_minute, per_day, &sent, now);
            let in_all = rates.forecast(messages).in_all;
            assert_eq!((in_all.as_millis() + 500) / 1_000, seconds, "{messages}");
        }
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        for (per_minute, per_day) in [(0, 0), (1, 1), (u32::MAX, 1)] {
            let rates = Rates::new(per_minute, per_day, &[], Timestamp::UNIX_EPOCH);
            let forecast = rates.forecast(u64::MAX);
            assert!(forecast.next_in.is_some() && forecast.in_all > DAY * 1_000_000);
        }
    }
}
