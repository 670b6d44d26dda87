//! When a message may be begun: not during a pause that the relay asked for, and within the rate limits.

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
    pub throttle: Throttle,
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

    /// Waits until pause and rates allow a message. `permit` allows its final dot, and may be set already.
    pub async fn acquire(&self, permit: &mut Option<SendPermit>) -> Result<(), Stopped> {
        loop {
            self.wait_for_pause().await?;
            let Some(rates) = self.rates.as_ref().filter(|_| permit.is_none()) else {
                return Ok(());
            };
            *permit = self.stop.unless_stopped(rates.acquire()).await?;
            if permit.is_none() {
                return Err(self
                    .stop
                    .because(Stop::later("`limits.per_day` is reached")));
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
        self.stop.unless_stopped(self.throttle.wait()).await
    }

    /// Pauses all connections, as this reply asks; stops the run if the relay asks too often.
    pub fn slow_down(&self, reply: &str) -> Result<(), Stopped> {
        if self.throttle.pause() {
            return Ok(());
        }
        Err(self.stop.because(Stop::throttled(reply)))
    }
}
