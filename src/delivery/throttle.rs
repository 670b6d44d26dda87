//! Throttling: all connections pause when the relay asks to slow down, longer each time.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_mins(5);
/// This many requests in a row, without an acceptance in between, stop the run.
const MAX_REQUESTS: u32 = 6;

/// The pause of all connections.
#[derive(Debug)]
pub struct Throttle {
    first: Duration,
    pause: Mutex<Pause>,
}

#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    in_a_row: u32,
}

impl Throttle {
    pub fn new(first: Duration) -> Self {
        Self {
            first,
            pause: Mutex::default(),
        }
    }

    /// Waits until the pause ends, if there is one. Before it waits, it calls `waiting` with the end.
    pub async fn wait(&self, waiting: impl Fn(Instant)) {
        while let Some(until) = self.end() {
            waiting(until);
            sleep_until(until).await;
        }
    }

    /// Whether the connections pause now.
    pub fn is_on(&self) -> bool {
        self.end().is_some()
    }

    /// When the pause ends, if there is one.
    pub fn end(&self) -> Option<Instant> {
        let until = self.pause.lock().until;
        until.filter(|it| *it > Instant::now())
    }

    /// Pauses all connections; returns false if the relay has asked too often.
    ///
    /// Requests on other connections during a pause count as the same one.
    pub fn pause(&self) -> bool {
        let mut pause = self.pause.lock();
        let now = Instant::now();
        if pause.until.is_some_and(|it| it > now) {
            return true;
        }
        pause.in_a_row += 1;
        let doubled = self.first.saturating_mul(1 << (pause.in_a_row - 1).min(16));
        pause.until = Some(now + doubled.min(MAX_PAUSE));
        pause.in_a_row < MAX_REQUESTS
    }

    /// Pauses all connections until then, unless they already pause for longer; returns the end.
    pub fn pause_until(&self, then: Instant) -> Instant {
        let mut pause = self.pause.lock();
        let until = pause.until.map_or(then, |it| it.max(then));
        pause.until = Some(until);
        until
    }

    /// The relay accepts mail again.
    pub fn accepted(&self) {
        self.pause.lock().in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_limit_and_an_acceptance_resets_them() {
        let throttle = Throttle::new(Duration::from_secs(30));
        for _ in 0..4 {
            assert!(throttle.pause());
            assert!(throttle.pause(), "another connection was asked the same");
            throttle.wait(|_| {}).await;
        }
        throttle.accepted();
        let mut pauses = Vec::new();
        for _ in 0..5 {
            assert!(throttle.pause());
            let start = Instant::now();
            throttle.wait(|_| {}).await;
            pauses.push(start.elapsed().as_secs());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 300]);
        assert!(!throttle.pause());
    }
}
