//! How long a campaign takes under the limits, before it begins.
//!
//! The estimate knows the rate limits and a typical duration of one message. It does not know pauses that
//! the relay asks for, nor deferred recipients.

use std::fmt;
use std::time::Duration;

use crate::config::Limits;

/// A typical time for one message on one connection, from MAIL to the reply to the final dot.
const PER_MESSAGE: Duration = Duration::from_millis(200);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// An estimated duration. It is displayed rounded up: `about 6 minutes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// From the first message to the last.
    pub duration: Duration,
    /// Whether one run cannot do it, because it ends at `limits.per_day` or `limits.max_runtime`.
    pub several_runs: bool,
}

impl Estimate {
    /// The estimate for this many messages over this many connections; `sent` messages of the last 24 hours
    /// count towards the daily limit.
    #[must_use]
    pub fn new(messages: u64, connections: u32, limits: &Limits, sent: u64) -> Self {
        let per_day = u64::from(limits.per_day).max(1);
        let today = per_day.saturating_sub(sent);
        let span = |messages| span(messages, connections, limits.per_minute);
        let duration = match messages.saturating_sub(today) {
            0 => span(messages),
            later => {
                let days = later.div_ceil(per_day);
                let last = later - (days - 1) * per_day;
                DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX))
                    .saturating_add(span(last))
            }
        };
        let longest = limits.max_runtime.unwrap_or(Duration::MAX);
        Self {
            duration,
            several_runs: messages > today || duration > longest,
        }
    }
}

/// The time for messages that the daily limit admits. A run sends `per_minute` messages as fast as it can,
/// and the next ones a minute later.
fn span(messages: u64, connections: u32, per_minute: u32) -> Duration {
    let at_once = |messages: u64| {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        PER_MESSAGE.saturating_mul(messages) / connections.max(1)
    };
    let Some(before_last) = messages.checked_sub(1) else {
        return Duration::ZERO;
    };
    let per_minute = u64::from(per_minute).max(1);
    let minutes = u32::try_from(before_last / per_minute).unwrap_or(u32::MAX);
    let limited = MINUTE
        .saturating_mul(minutes)
        .saturating_add(at_once(before_last % per_minute + 1));
    limited.max(at_once(messages))
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs() + u64::from(self.duration.subsec_nanos() > 0);
        let (number, unit) = match seconds {
            0..=60 => return f.write_str("less than a minute"),
            61..=5_400 => (seconds.div_ceil(60), "minutes"),
            5_401..=172_800 => (seconds.div_ceil(3_600), "hours"),
            _ => (seconds.div_ceil(86_400), "days"),
        };
        write!(f, "about {number} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_minute: u32, per_day: u32) -> Limits {
        Limits {
            per_minute,
            per_day,
            new_per_run: 500,
            max_runtime: None,
            only_to: None,
        }
    }

    #[test]
    fn the_estimate_knows_the_limits_of_minute_and_day() {
        for (messages, (per_minute, per_day), sent, expected, several_runs) in [
            (0, (30, 10_000), 0, "less than a minute", false),
            (1, (1, 10_000), 0, "less than a minute", false),
            (30, (30, 10_000), 0, "less than a minute", false),
            (31, (30, 10_000), 0, "about 2 minutes", false),
            (180, (30, 10_000), 0, "about 6 minutes", false),
            (180, (30, 180), 0, "about 6 minutes", false),
            (180, (1, 2_400), 0, "about 3 hours", false),
            (3_000, (30, 10_000), 0, "about 2 hours", false),
            // 60 today, 100 a day later, 20 two days later.
            (180, (30, 100), 40, "about 3 days", true),
            (180, (30, 180), 1, "about 25 hours", true),
            // The relay, not a limit, sets the pace.
            (10_000, (1_000_000, 1_000_000), 0, "about 17 minutes", false),
        ] {
            let estimate = Estimate::new(messages, 2, &limits(per_minute, per_day), sent);
            assert_eq!(estimate.to_string(), expected, "{messages}");
            assert_eq!(estimate.several_runs, several_runs, "{messages}");
        }
    }

    #[test]
    fn a_run_may_be_shorter_than_the_campaign() {
        let mut limits = limits(30, 10_000);
        for (max_runtime, several_runs) in [(5, true), (6, false)] {
            limits.max_runtime = Some(Duration::from_mins(max_runtime));
            let estimate = Estimate::new(180, 3, &limits, 0);
            assert_eq!(estimate.several_runs, several_runs, "{max_runtime}");
        }
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        for (connections, per_minute, per_day) in [(0, 0, 0), (1, 1, 1), (u32::MAX, u32::MAX, 1)] {
            let limits = limits(per_minute, per_day);
            let estimate = Estimate::new(u64::MAX, connections, &limits, u64::MAX);
            assert!(estimate.several_runs && estimate.to_string().contains("days"));
        }
    }
}
