//! What all workers of a run share. Each part has one job and does its own locking.

use std::sync::Arc;

use super::connections::Connections;
use super::journal::Journal;
use super::pace::Pace;
use super::peer::Peer;
use super::queue::Queue;
use super::relay_watch::RelayWatch;
use super::reporter::Reporter;
use super::stop::StopSignal;

/// The parts of a run that its workers share.
pub struct RunState {
    pub peer: Peer,
    pub connections: Connections,
    pub queue: Arc<Queue>,
    pub pace: Pace,
    pub journal: Arc<Journal>,
    pub watch: RelayWatch,
    pub reporter: Arc<Reporter>,
    pub stop: Arc<StopSignal>,
}
