//! The windows of time for which the message trace is read.

use jiff::{SignedDuration, Timestamp};

/// How far back Exchange remembers; an hour less, because clocks differ.
pub const REACH: SignedDuration = SignedDuration::from_hours(90 * 24 - 1);
/// The longest window that Exchange admits.
const LONGEST: SignedDuration = SignedDuration::from_hours(10 * 24);
/// A window begins this long before its first message and ends as long after its last, because clocks differ.
const MARGIN: SignedDuration = SignedDuration::from_hours(6);
/// A window must not end in the future by the clock of Exchange.
const DELAY: SignedDuration = SignedDuration::from_mins(2);
/// How many of our messages a window has at most, so that its list stays below the limit of one list.
const MOST: usize = 20_000;

/// A window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceWindow {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// The windows that have these times, which ascend. Times without messages are left out.
#[must_use]
pub fn trace_windows(sent: &[Timestamp], now: Timestamp) -> Vec<TraceWindow> {
    let mut groups: Vec<(Timestamp, Timestamp, usize)> = Vec::new();
    for &at in sent.iter().filter(|it| **it >= now - REACH) {
        match groups.last_mut() {
            Some((first, last, number))
                if at.duration_since(*first) <= LONGEST - MARGIN * 3 && *number < MOST =>
            {
                *last = at;
                *number += 1;
            }
            _ => groups.push((at, at, 1)),
        }
    }
    let mut windows: Vec<TraceWindow> = Vec::new();
    for (first, last, _) in groups {
        let mut from = (first - MARGIN).max(now - REACH);
        if let Some(previous) = windows.last_mut()
            && previous.to > from
        {
            // Both go up to the first message of this window; Exchange includes both ends.
            previous.to = first;
            from = first;
        }
        let to = last + MARGIN;
        windows.push(TraceWindow { from, to });
    }
    for window in &mut windows {
        window.to = window.to.min(now - DELAY);
    }
    windows.retain(|it| it.from < it.to);
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn windows(sent: &[&str]) -> Vec<(String, String)> {
        let sent: Vec<_> = sent.iter().map(|it| at(it)).collect();
        let windows = trace_windows(&sent, at("2026-11-30T12:00:00Z"));
        let text = |it: Timestamp| it.strftime("%m-%d %H:%M").to_string();
        windows
            .iter()
            .map(|it| (text(it.from), text(it.to)))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let text = |it: &(&str, &str)| (it.0.to_owned(), it.1.to_owned());
        expected.iter().map(text).collect()
    }

    #[test]
    fn a_window_has_the_messages_of_ten_days_with_a_margin() {
        assert_eq!(windows(&[]), pairs(&[]));
        assert_eq!(
            windows(&["2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z"]),
            pairs(&[("11-20 06:00", "11-21 18:00")])
        );
        // A month without messages is not asked for.
        assert_eq!(
            windows(&["2026-10-01T12:00:00Z", "2026-11-01T12:00:00Z"]),
            pairs(&[
                ("10-01 06:00", "10-01 18:00"),
                ("11-01 06:00", "11-01 18:00")
            ])
        );
        // What was sent a moment ago is not in the trace yet; a window never ends in the future.
        assert_eq!(
            windows(&["2026-11-30T11:59:00Z"]),
            pairs(&[("11-30 05:59", "11-30 11:58")])
        );
    }

    #[test]
    fn no_window_is_longer_or_older_than_exchange_admits_and_none_overlap() {
        let now = at("2026-11-30T12:00:00Z");
        let hours = (0..200 * 24).rev();
        let sent: Vec<_> = hours
            .map(|it| now - SignedDuration::from_hours(it))
            .collect();
        let windows = trace_windows(&sent, now);
        assert!(windows.len() <= 10, "{windows:?}");
        for window in &windows {
            assert!(
                window.to.duration_since(window.from) <= LONGEST,
                "{window:?}"
            );
            assert!(now.duration_since(window.from) < SignedDuration::from_hours(90 * 24));
        }
        for pair in windows.windows(2) {
            assert_eq!(pair[0].to, pair[1].from);
        }
        let reached = sent
            .iter()
            .filter(|it| **it >= now - REACH && **it < now - DELAY);
        for time in reached {
            assert!(
                windows.iter().any(|it| it.from <= *time && *time <= it.to),
                "{time}"
            );
        }
    }

    #[test]
    fn a_window_with_very_many_messages_is_divided() {
        let now = at("2026-11-30T12:00:00Z");
        let first = at("2026-11-29T00:00:00Z");
        let seconds = 0..50_000;
        let sent: Vec<_> = seconds
            .map(|it| first + SignedDuration::from_secs(it))
            .collect();
        let windows = trace_windows(&sent, now);
        assert_eq!(windows.len(), 3);
        assert_eq!(windows[0].to, windows[1].from);
    }
}
