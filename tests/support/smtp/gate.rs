//! Holds the server at a stage until the test releases it.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Action, Server, Stage};

/// How long a test waits for the run to reach the stage.
const PATIENCE: Duration = Duration::from_mins(1);

/// The server's side, for [`Action::Hold`].
#[derive(Clone, Debug)]
pub struct Gate(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    reached: Sender<()>,
    released: Mutex<Receiver<()>>,
}

/// The test's side. Dropping it opens the gate.
pub struct Keeper {
    reached: Receiver<()>,
    release: Sender<()>,
}

/// Both sides.
pub fn gate() -> (Gate, Keeper) {
    let (report, reached) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let gate = Gate(Arc::new(Ends {
        reached: report,
        released: Mutex::new(released),
    }));
    (gate, Keeper { reached, release })
}

impl Gate {
    /// Reports to the keeper that the stage is reached.
    pub(super) fn report(&self) {
        // It fails only if the keeper is dropped; then no test waits.
        let _ = self.0.reached.send(());
    }

    /// Whether the keeper has released this call, or is dropped.
    pub(super) fn is_open(&self) -> bool {
        let released = self.0.released.lock();
        let released = released.unwrap_or_else(PoisonError::into_inner);
        released.try_recv() != Err(TryRecvError::Empty)
    }
}

impl Keeper {
    /// Waits until the server has reached the stage.
    #[track_caller]
    pub fn wait(&self) {
        match self.reached.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => panic!("the run did not reach the gate"),
            Err(RecvTimeoutError::Disconnected) => panic!("the server ended before the gate"),
        }
    }

    /// Releases the server.
    pub fn release(&self) {
        self.release.send(()).unwrap();
    }
}

impl Server {
    /// A server that accepts everything, but holds its reply at `stage` the `nth` time it is reached.
    pub fn holding(stage: Stage, nth: usize) -> (Self, Keeper) {
        let (gate, keeper) = gate();
        let server = Self::start(move |call| {
            if call.stage == stage && call.nth == nth {
                Action::Hold(gate.clone(), Box::new(Action::Normal))
            } else {
                Action::Normal
            }
        });
        (server, keeper)
    }
}
