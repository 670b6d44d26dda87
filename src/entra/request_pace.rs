//! The rate of requests that a service of Microsoft Graph admits.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// At most so many requests in any period of this length.
#[derive(Debug)]
pub struct RequestPace {
    requests: usize,
    period: Duration,
    recent: VecDeque<Instant>,
}

impl RequestPace {
    /// No request was made yet.
    pub fn new(requests: usize, period: Duration) -> Self {
        Self {
            requests,
            period,
            recent: VecDeque::new(),
        }
    }

    /// Waits until a request may be made, and counts it.
    pub async fn wait(&mut self) {
        if self.recent.len() == self.requests
            && let Some(first) = self.recent.pop_front()
        {
            sleep(self.period.saturating_sub(first.elapsed())).await;
        }
        self.recent.push_back(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_period_has_no_more_requests_than_are_admitted() {
        let period = Duration::from_mins(5);
        let mut pace = RequestPace::new(100, period);
        let mut times = Vec::new();
        for number in 0..350 {
            if number % 7 == 0 {
                sleep(Duration::from_secs(1)).await;
            }
            pace.wait().await;
            times.push(Instant::now());
        }

        assert!(
            times[99] - times[0] < Duration::from_secs(20),
            "no wait before the limit"
        );
        for (first, later) in times.iter().zip(&times[100..]) {
            assert!(*later - *first >= period);
        }
        assert!(times[349] - times[0] < Duration::from_mins(17));
    }
}
