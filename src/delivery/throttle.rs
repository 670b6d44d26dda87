//! Slowing down when the relay asks for it: all connections pause, longer each time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The longest pause.
const LONGEST: Duration = Duration::from_mins(5);
/// This many requests in a row, without an acceptance between, end the run.
const REQUESTS: u32 = 6;

/// When the connections may go on.
#[derive(Debug)]
pub struct Throttle {
    first: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    in_a_row: u32,
}

impl Throttle {
    pub fn new(first: Duration) -> Self {
        Self {
            first,
            state: Mutex::default(),
        }
    }

    /// Waits for the end of the pause, if there is one.
    pub async fn wait(&self) {
        loop {
            let until = self.state().until;
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Whether the connections pause now.
    pub fn is_on(&self) -> bool {
        self.state().until.is_some_and(|it| it > Instant::now())
    }

    /// Pauses all connections; false when the relay has asked for it too often.
    ///
    /// Requests on other connections during a pause count as the same one.
    pub fn pause(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if state.until.is_some_and(|it| it > now) {
            return true;
        }
        state.in_a_row += 1;
        let doubled = self.first.saturating_mul(1 << (state.in_a_row - 1).min(16));
        state.until = Some(now + doubled.min(LONGEST));
        state.in_a_row < REQUESTS
    }

    /// The relay accepts mail again.
    pub fn accepted(&self) {
        self.state().in_a_row = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_until_the_sixth_request_and_an_acceptance_resets_them() {
        let throttle = Throttle::new(Duration::from_secs(30));
        for _ in 0..4 {
            assert!(throttle.pause());
            assert!(throttle.pause(), "another connection was asked the same");
            throttle.wait().await;
        }
        throttle.accepted();
        let mut pauses = Vec::new();
        for _ in 0..5 {
            assert!(throttle.pause());
            let start = Instant::now();
            throttle.wait().await;
            pauses.push(start.elapsed().as_secs());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 300]);
        assert!(!throttle.pause());
    }
}
