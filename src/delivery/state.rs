//! What all workers of a run share. Each part has one job and does its own locking.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::pace::Pace;
use super::peer::Peer;
use super::queue::Queue;
use super::relay_watch::RelayWatch;
use super::run_ledger::RunLedger;
use super::stop::StopSignal;
use super::tally::Reporter;

/// The parts of a run that its workers share.
pub struct RunState {
    pub peer: Peer,
    pub connections: Connections,
    pub queue: Arc<Queue>,
    pub pace: Pace,
    pub run_ledger: Arc<RunLedger>,
    pub watch: RelayWatch,
    pub reporter: Arc<Reporter>,
    pub stop: Arc<StopSignal>,
}

/// Counts as long as it lives.
pub type CountToken = Arc<()>;

/// How many workers of a run have a connection. One that is refused because there are too many leaves the
/// work to the others. Every token but the one here counts.
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
