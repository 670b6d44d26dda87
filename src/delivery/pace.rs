//! When a message may be begun: not while the relay has asked for a pause, and within the rate limits.

use std::sync::Arc;
use std::time::Duration;

use super::rates::{Rates, SendPermit};
use super::stop::{Stop, StopSignal, Stopped};
use super::throttle::Throttle;

/// No message may be begun now.
#[derive(Clone, Copy, Debug)]
pub struct MustWait;

/// The pace of all connections of a run.
#[derive(Debug)]
pub struct Pace {
    throttle: Throttle,
    rates: Option<Arc<Rates>>,
    stop: Arc<StopSignal>,
}

impl Pace {
    /// `first_pause` is how long all connections pause at the first request to slow down.
    pub fn new(first_pause: Duration, rates: Option<Arc<Rates>>, stop: Arc<StopSignal>) -> Self {
        Self {
            throttle: Throttle::new(first_pause),
            rates,
            stop,
        }
    }

    /// Waits until pause and rates allow a message; `permit` is what its final dot needs, and may be
    /// there already.
    pub async fn acquire(&self, permit: &mut Option<SendPermit>) -> Result<(), Stopped> {
        loop {
            self.wait_for_pause().await?;
            let Some(rates) = self.rates.as_ref().filter(|_| permit.is_none()) else {
                return Ok(());
            };
            *permit = self.stop.unless_stopped(rates.acquire()).await?;
            if permit.is_none() {
                return Err(self.stop.because(Stop::daily_limit()));
            }
            // The relay may have asked for a pause meanwhile.
        }
    }

    /// As [`Self::acquire`], for a message that is begun at once or not at all.
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

    /// Whether neither a pause nor a stop keeps messages from being begun now.
    pub fn may_begin(&self) -> bool {
        !self.stop.is_set() && !self.throttle.is_on()
    }

    pub async fn wait_for_pause(&self) -> Result<(), Stopped> {
        self.stop.unless_stopped(self.throttle.wait()).await
    }

    /// Pauses all connections, as this reply asks; a relay that asks for it too often ends the run.
    pub fn slow_down(&self, reply: &str) -> Result<(), Stopped> {
        if self.pause() {
            Ok(())
        } else {
            Err(self.stop.because(Stop::throttled(reply)))
        }
    }

    /// Pauses all connections; false when the relay has asked for it too often.
    pub fn pause(&self) -> bool {
        self.throttle.pause()
    }

    /// The relay accepts mail again.
    pub fn accepted(&self) {
        self.throttle.accepted();
    }
}
