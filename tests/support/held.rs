//! A run that waits for a reply which the relay holds back.

use super::smtp::gate::Keeper;
use super::smtp::{Server, Stage};
use super::{Output, Running, Workplace};

/// A run over one connection, held by the relay at a stage. Dropping it ends the run and the server.
pub struct Held {
    pub server: Server,
    pub workplace: Workplace,
    pub run: Running,
    pub keeper: Keeper,
}

impl Held {
    /// Starts `send` over one connection and returns once `stage` is reached the `nth` time.
    /// `prepare` writes the list and further settings.
    pub fn at(stage: Stage, nth: usize, prepare: impl FnOnce(&mut Workplace)) -> Self {
        let (server, keeper) = Server::holding(stage, nth);
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 1");
        prepare(&mut workplace);
        let run = workplace.start(&["send"]);
        keeper.wait();
        Self {
            server,
            workplace,
            run,
            keeper,
        }
    }

    /// Lets the relay reply and waits for the end of the run.
    pub fn finish(self) -> (Server, Workplace, Output) {
        self.keeper.release();
        let ended = self.run.wait();
        (self.server, self.workplace, ended)
    }
}
