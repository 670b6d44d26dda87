//! A reply that is held back, for what a test does to a run meanwhile.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use super::{Action, Server, Stage};

/// The relay's side: it tells that it has come so far, and waits.
pub struct Gate {
    reached: Mutex<Sender<()>>,
    released: Mutex<Receiver<()>>,
}

/// The test's side. Where it is dropped, the relay goes on.
pub struct Keeper {
    reached: Receiver<()>,
    release: Sender<()>,
}

/// Both sides.
pub fn gate() -> (Gate, Keeper) {
    let (tell, reached) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let gate = Gate {
        reached: Mutex::new(tell),
        released: Mutex::new(released),
    };
    (gate, Keeper { reached, release })
}

impl Gate {
    pub fn pass(&self) {
        self.reached.lock().unwrap().send(()).unwrap();
        let _ = self.released.lock().unwrap().recv();
    }
}

impl Keeper {
    /// Waits until the relay has come so far.
    pub fn wait(&self) {
        self.reached.recv().unwrap();
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.release.send(()).unwrap();
    }
}

impl Server {
    /// A server that accepts everything, but holds its answer at a stage for the `nth` time.
    pub fn holding(stage: Stage, nth: usize) -> (Self, Keeper) {
        let (gate, keeper) = gate();
        let server = Self::start(move |call| {
            if call.stage == stage && call.nth == nth {
                gate.pass();
            }
            Action::Normal
        });
        (server, keeper)
    }
}
