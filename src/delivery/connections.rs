//! How many workers have a connection. One that is refused because there are too many leaves the work to the
//! others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Counts as long as it lives.
pub type CountToken = Arc<()>;

/// The workers of a run and their connections. Every token but the one here counts.
#[derive(Debug, Default)]
pub struct Connections {
    workers: CountToken,
    /// The workers that have no connection and are opening one.
    opening: CountToken,
    /// Whether there has been a connection in this run.
    connected: AtomicBool,
}

impl Connections {
    pub fn join(&self) -> CountToken {
        self.workers.clone()
    }

    pub fn begin_opening(&self) -> CountToken {
        self.opening.clone()
    }

    pub fn opened(&self) {
        self.connected.store(true, Ordering::Release);
    }

    /// Whether another worker has a connection, or is about to try again after a pause.
    pub fn others_are_connected(&self) -> bool {
        let more_workers = Arc::strong_count(&self.workers) > Arc::strong_count(&self.opening);
        self.connected.load(Ordering::Acquire) && more_workers
    }
}
