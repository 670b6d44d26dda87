//! A worker: one connection of its own, one message after the other, at the pace that the
//! limits and the relay allow.
//!
//! It opens its connection again where that may help and gives up where it does not; a
//! message that it cannot deliver goes back for another worker to try.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Delivery;
use super::shared::{Job, Shared};
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::relay::{Connection, NotOpened, Silence};

/// The pauses before a connection is tried again; after the last try the worker gives up.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// So many connections may be lost over one message before it is deferred.
const LOSSES: u32 = 2;

/// What a worker does after an attempt.
enum Next {
    /// Nothing more about this message in this run.
    Another,
    /// The same message at once.
    SameAgain,
    /// The same message, after all others.
    AnotherFirst,
    /// Nothing at all: the relay is not to be had, for this reason.
    GiveUp(String),
}

/// Delivers messages over one connection of its own.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Option<Connection>,
    /// Failures in a row without a 250 to MAIL between.
    pub(super) failures: usize,
}

impl Worker {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            connection: None,
            failures: 0,
        }
    }

    /// Sees to it that there is a connection, trying again where that may help.
    pub async fn open(&mut self) -> Result<(), NotOpened> {
        while self.connection.is_none() {
            if self.failures > 0 {
                let rest = tokio::time::sleep(PAUSES[self.failures - 1]);
                self.shared.unless_stopped(rest).await;
            }
            match self.shared.run.connector.open().await {
                Ok(connection) => self.connection = Some(connection),
                Err(not_opened) => {
                    self.failures += 1;
                    if !not_opened.temporary || self.failures > PAUSES.len() {
                        return Err(not_opened);
                    }
                }
            }
        }
        Ok(())
    }

    /// Works until there is nothing left, the run stops, or the relay is not to be had.
    pub async fn work(mut self) {
        let shared = self.shared.clone();
        while let Some((mut job, in_hand)) = shared.next_job().await {
            let next = loop {
                match self.attempt(&mut job).await {
                    Next::SameAgain => {}
                    next => break next,
                }
            };
            match next {
                Next::Another | Next::SameAgain => {}
                Next::AnotherFirst => shared.give_back(job),
                Next::GiveUp(why) => {
                    shared.give_back(job);
                    shared.lament(why);
                    return;
                }
            }
            drop(in_hand);
        }
        if let Some(connection) = self.connection.take() {
            connection.quit().await;
        }
    }

    /// One attempt at one message, once pause and rates allow it.
    async fn attempt(&mut self, job: &mut Job) -> Next {
        let shared = self.shared.clone();
        let slot = loop {
            if shared.unless_stopped(shared.pause.wait()).await.is_none() {
                return Next::Another;
            }
            let Some(rates) = &shared.run.rates else {
                break None;
            };
            match shared.unless_stopped(rates.take()).await {
                None => return Next::Another,
                Some(None) => {
                    let why =
                        "the limit of `limits.per_day` is reached; the rest goes with a later run";
                    shared.stop(Exit::TryLater, why.into());
                    return Next::Another;
                }
                // The relay may have asked for a rest while this one waited.
                Some(Some(_)) if shared.pause.is_on() => {}
                Some(slot) => break slot,
            }
        };
        let delivery = match self.open().await {
            Ok(()) if shared.may_arm() => self.deliver(job, slot).await,
            Err(not_opened) if !shared.has_stopped() => return Next::GiveUp(not_opened.why),
            _ => Delivery::Stopped,
        };
        match delivery {
            Delivery::Settled | Delivery::Stopped => Next::Another,
            Delivery::Throttled => Next::AnotherFirst,
            Delivery::Lost(phase, why) => {
                job.losses += 1;
                if job.losses < LOSSES {
                    return Next::SameAgain;
                }
                let why = format!("{LOSSES} connections were lost over this message: {why}");
                let lost = Err(Silence(why));
                self.settle(job, phase, Outcome::Deferred, lost).await;
                Next::Another
            }
            Delivery::NotNow(why) => {
                self.failures += 1;
                if self.failures > PAUSES.len() {
                    return Next::GiveUp(self.gone(&why));
                }
                Next::SameAgain
            }
            Delivery::Refused(why) => Next::GiveUp(self.gone(&why)),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.worker_left();
    }
}
