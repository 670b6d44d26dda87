//! When a message may be begun: not during a pause that the relay asked for, and within the rate limits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::rates::{Rates, SendPermit};
use super::stop::{Stop, StopSignal, Stopped};
use super::tally::{Reporter, RunEvent, WaitReason};
use super::throttle::Throttle;

/// Shorter waits are not reported.
const WORTH_REPORTING: Duration = Duration::from_secs(1);

/// No message may be begun now.
#[derive(Clone, Copy, Debug)]
pub struct MustWait;

/// The pace of all connections of a run.
pub struct Pace {
    pub throttle: Throttle,
    rates: Option<Arc<Rates>>,
    stop: Arc<StopSignal>,
    reporter: Arc<Reporter>,
}

impl Pace {
    /// `first_pause` is how long all connections pause at the first request to slow down.
    pub fn new(
        first_pause: Duration,
        rates: Option<Arc<Rates>>,
        stop: Arc<StopSignal>,
        reporter: Arc<Reporter>,
    ) -> Self {
        Self {
            throttle: Throttle::new(first_pause),
            rates,
            stop,
            reporter,
        }
    }

    /// Waits until pause and rates allow a message. `permit` allows its final dot, and may be set already.
    pub async fn acquire(&self, permit: &mut Option<SendPermit>) -> Result<(), Stopped> {
        loop {
            self.wait_for_pause().await?;
            let Some(rates) = self.rates.as_ref().filter(|_| permit.is_none()) else {
                return Ok(());
            };
            let waiting = |until| self.report_wait(WaitReason::RateLimit, until);
            *permit = self.stop.unless_stopped(rates.acquire(waiting)).await?;
            if permit.is_none() {
                return Err(self.day_limit());
            }
            // The relay may have asked for a pause in the meantime.
        }
    }

    /// As [`Self::acquire`], but fails instead of waiting.
    pub fn try_acquire(&self) -> Result<Option<SendPermit>, MustWait> {
        if !self.may_begin() {
            return Err(MustWait);
        }
        let permit = self
            .rates
            .as_ref()
            .map(|it| it.try_acquire().ok_or(MustWait));
        permit.transpose()
    }

    /// Whether a message may be begun now: the run neither pauses nor has stopped.
    pub fn may_begin(&self) -> bool {
        !self.stop.is_set() && !self.throttle.is_on()
    }

    pub async fn wait_for_pause(&self) -> Result<(), Stopped> {
        let waiting = |until| self.report_wait(WaitReason::RelayAsked, until);
        self.stop.unless_stopped(self.throttle.wait(waiting)).await
    }

    fn report_wait(&self, reason: WaitReason, until: Instant) {
        let wait = until.saturating_duration_since(Instant::now());
        if wait >= WORTH_REPORTING {
            self.reporter.report(RunEvent::Waiting(reason, wait));
        }
    }

    /// Waits because all runs together have reached a limit; stops the run at that of a day.
    pub fn limited(&self, wait: Option<Duration>) -> Result<(), Stopped> {
        let Some(wait) = wait else {
            return Err(self.day_limit());
        };
        if let Some(rates) = &self.rates {
            rates.wait_for_others(wait);
        }
        Ok(())
    }

    fn day_limit(&self) -> Stopped {
        self.stop
            .because(Stop::later("`limits.per_day` is reached"))
    }

    /// Pauses all connections, as this reply asks; stops the run if the relay asks too often.
    pub fn slow_down(&self, reply: &str) -> Result<(), Stopped> {
        if self.throttle.pause() {
            return Ok(());
        }
        Err(self.stop.because(Stop::throttled(reply)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parking_lot::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_limit_and_for_the_relay_are_reported() {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let seen = waits.clone();
        let reporter = Reporter::new(Box::new(move |event, _| {
            if let RunEvent::Waiting(reason, wait) = event {
                seen.lock().push((reason, wait.as_secs()));
            }
        }));
        let rates = Rates::new(1, 100, &[], Timestamp::UNIX_EPOCH);
        let first_pause = Duration::from_secs(30);
        let pace = Pace::new(
            first_pause,
            Some(Arc::new(rates)),
            Arc::default(),
            Arc::new(reporter),
        );

        let mut permit = None;
        pace.acquire(&mut permit).await.unwrap();
        assert_eq!(*waits.lock(), []);
        permit.take().unwrap().used();
        pace.slow_down("450 slow down").unwrap();
        pace.acquire(&mut permit).await.unwrap();

        let (asked, limit) = (WaitReason::RelayAsked, WaitReason::RateLimit);
        assert_eq!(*waits.lock(), [(asked, 30), (limit, 30)]);
    }
}
