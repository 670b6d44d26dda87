//! Passes the events of a run on, and counts them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::RunEvent;
use super::tally::Tally;

/// Receives each event of a run, with the counts after it.
pub type Listener = Box<dyn Fn(RunEvent<'_>, &Tally) + Send + Sync>;

/// Receives the events of all workers.
pub struct Reporter {
    tally: Mutex<Tally>,
    listener: Listener,
}

impl Reporter {
    pub fn new(listener: Listener) -> Self {
        Self {
            tally: Mutex::default(),
            listener,
        }
    }

    pub fn report(&self, event: RunEvent<'_>) {
        let mut tally = self.tally();
        tally.add(event);
        (self.listener)(event, &tally);
    }

    /// The counts so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
