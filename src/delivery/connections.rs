//! How many workers hold a connection: one that is turned away for want of connections leaves the work
//! to those that have one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The workers of a run and their connections.
#[derive(Debug, Default)]
pub struct Connections {
    workers: AtomicU64,
    /// How many workers have no connection and are opening one.
    opening: AtomicU64,
    /// Whether there has been a connection in this run.
    connected: AtomicBool,
}

/// A worker takes part in the run for as long as this lives.
#[derive(Debug)]
pub struct WorkerGuard(Arc<Connections>);

/// A worker opens a connection for as long as this lives.
#[derive(Debug)]
pub struct OpeningGuard(Arc<Connections>);

impl Connections {
    pub fn join(self: &Arc<Self>) -> WorkerGuard {
        self.workers.fetch_add(1, Ordering::AcqRel);
        WorkerGuard(self.clone())
    }
}

impl WorkerGuard {
    pub fn begin_opening(&self) -> OpeningGuard {
        self.0.opening.fetch_add(1, Ordering::AcqRel);
        OpeningGuard(self.0.clone())
    }
}

impl OpeningGuard {
    /// Whether another worker has a connection, or is about to try again after a pause.
    pub fn others_are_connected(&self) -> bool {
        let workers = self.0.workers.load(Ordering::Acquire);
        let opening = self.0.opening.load(Ordering::Acquire);
        self.0.connected.load(Ordering::Acquire) && workers > opening
    }

    /// The connection is there.
    pub fn succeeded(self) {
        self.0.connected.store(true, Ordering::Release);
    }
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        self.0.workers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for OpeningGuard {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::AcqRel);
    }
}
