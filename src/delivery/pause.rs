//! Slowing down when the relay asks for it: all connections rest, longer each time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The longest rest.
const LONGEST: Duration = Duration::from_mins(5);
/// So many requests in a row, without an acceptance between, end the run.
const PATIENCE: u32 = 6;

/// When the connections may go on.
#[derive(Debug)]
pub struct Pause {
    first: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    in_a_row: u32,
}

impl Pause {
    pub fn new(first: Duration) -> Self {
        Self {
            first,
            state: Mutex::default(),
        }
    }

    /// Waits for the rest to end, where there is one.
    pub async fn wait(&self) {
        loop {
            let until = self.state().until;
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Whether the connections rest now.
    pub fn is_on(&self) -> bool {
        self.state().until.is_some_and(|it| it > Instant::now())
    }

    /// The relay asked us to slow down; false when it has done so too often.
    ///
    /// What other connections hear while they rest already is the same request.
    pub fn asked(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if state.until.is_some_and(|it| it > now) {
            return true;
        }
        state.in_a_row += 1;
        let doubled = self.first.saturating_mul(1 << (state.in_a_row - 1).min(16));
        state.until = Some(now + doubled.min(LONGEST));
        state.in_a_row < PATIENCE
    }

    /// The relay takes mail again.
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
    async fn rests_grow_until_patience_ends_and_an_acceptance_begins_anew() {
        let pause = Pause::new(Duration::from_secs(4));
        for length in [4, 8, 16, 32] {
            let start = Instant::now();
            assert!(pause.asked());
            assert!(pause.asked(), "another connection heard the same");
            assert!(pause.is_on());
            pause.wait().await;
            assert!(!pause.is_on());
            assert_eq!(start.elapsed(), Duration::from_secs(length));
        }
        pause.accepted();
        for length in [4, 8, 16, 32, 64] {
            let start = Instant::now();
            assert!(pause.asked());
            pause.wait().await;
            assert_eq!(start.elapsed(), Duration::from_secs(length));
        }
        assert!(!pause.asked());
        let start = Instant::now();
        pause.wait().await;
        assert_eq!(start.elapsed(), Duration::from_secs(128));
    }

    #[tokio::test(start_paused = true)]
    async fn no_rest_is_longer_than_five_minutes() {
        let pause = Pause::new(Duration::from_mins(4));
        for minutes in [4, 5, 5] {
            let start = Instant::now();
            assert!(pause.asked());
            pause.wait().await;
            assert_eq!(start.elapsed(), Duration::from_mins(minutes));
        }
    }
}
