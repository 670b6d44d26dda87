//! The `Retry-After` header (RFC 9110 §10.2.3).

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_hours(24);

/// How long to wait: a number of seconds, which Microsoft Graph may send with a fraction, or the
/// time until a date. `now` is the server's time.
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|it| it.is_ascii_digit() || it == b'.') {
        let seconds: f64 = value.parse().ok()?;
        return Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST, |it| it.min(LONGEST)));
    }
    let date = rfc2822::parse(value).ok()?.timestamp();
    let wait = Duration::try_from(date.duration_since(now)).unwrap_or_default();
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_fractions_and_dates_are_understood() {
        let now = "2026-11-29T10:00:00Z".parse().unwrap();
        for (value, expected) in [
            ("3", Some(Duration::from_secs(3))),
            (" 2.128 ", Some(Duration::from_millis(2_128))),
            ("0", Some(Duration::ZERO)),
            (
                "Sun, 29 Nov 2026 10:00:07 GMT",
                Some(Duration::from_secs(7)),
            ),
            ("Sun, 29 Nov 2026 09:00:00 GMT", Some(Duration::ZERO)),
            ("99999999999999999999999", Some(LONGEST)),
            ("Tue, 29 Nov 2033 10:00:00 GMT", Some(LONGEST)),
            ("", None),
            ("-1", None),
            ("1e9", None),
            ("1.2.3", None),
            ("inf", None),
            ("soon", None),
        ] {
            assert_eq!(parse(value, now), expected, "{value}");
        }
    }
}
