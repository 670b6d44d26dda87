//! The connection of a worker. It is opened again where that may help.
//!
//! A connection is taken for one message and kept afterwards if it is fit for another; one that is not kept
//! is closed.

use std::sync::Arc;
use std::time::Duration;

use super::connections::WorkerGuard;
use super::pace::Pace;
use super::peer::Peer;
use super::stop::{Stop, StopSignal};
use crate::exit::CommandError;
use crate::relay::Connection;

/// The pauses before a connection is tried again; after the last try the worker gives up.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// The connection of one worker.
pub struct Session {
    pub peer: Arc<Peer>,
    pub pace: Arc<Pace>,
    pub stop: Arc<StopSignal>,
    pub member: WorkerGuard,
    pub connection: Option<Connection>,
    /// Failures in a row, without a 250 to MAIL between.
    pub failures: usize,
}

impl Session {
    /// Takes the connection; opens one if there is none, again where that may help.
    ///
    /// A relay that asks to slow down here gets a pause as it does later in the conversation, unless other
    /// workers hold connections: then this one leaves the work to them.
    pub async fn take_or_open(&mut self) -> Result<Connection, Stop> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        if self.peer.probe().is_lock_step() {
            connection.use_lock_step();
        }
        Ok(connection)
    }

    async fn open(&mut self) -> Result<Connection, Stop> {
        loop {
            if self.failures > 0 {
                let pause = tokio::time::sleep(PAUSES[self.failures - 1]);
                // The caller looks whether the run has stopped.
                let _ = self.stop.unless_stopped(pause).await;
            }
            let opening = self.member.begin_opening();
            let not_opened = match self.peer.connector.open().await {
                Ok(connection) => {
                    opening.succeeded();
                    return Ok(connection);
                }
                Err(not_opened) => not_opened,
            };
            let stop = Stop::from(CommandError::from(not_opened.clone()));
            if let Some(reply) = not_opened.throttled {
                if opening.others_are_connected() {
                    return Err(stop);
                }
                drop(opening);
                if !self.pace.pause() {
                    return Err(Stop::throttled(&reply.to_string()));
                }
                if self.pace.wait_for_pause().await.is_err() {
                    return Err(stop);
                }
            } else if !not_opened.temporary || self.attempt_failed() {
                return Err(stop);
            }
        }
    }

    /// Keeps a connection for the next message.
    pub fn keep(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    /// The connection, if the next envelope is on the wire and must not be finished now.
    pub fn take_begun(&mut self) -> Option<Connection> {
        self.connection.take_if(|it| it.has_begun())
    }

    /// Whether the envelope of the next message is on the wire already.
    pub fn has_begun(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::has_begun)
    }

    /// Counts a failed attempt to open a connection or to begin on it; true after the last.
    pub fn attempt_failed(&mut self) -> bool {
        self.failures += 1;
        self.failures > PAUSES.len()
    }

    /// The relay accepts MAIL.
    pub fn mail_accepted(&mut self) {
        self.failures = 0;
    }

    /// Makes the connection fit for the next message; one that does not survive that is closed.
    pub async fn clear(&mut self, mut connection: Connection) {
        if connection.clear().await {
            self.keep(connection);
        } else if connection.reply_timed_out() {
            self.peer.probe().fall_back();
        }
    }

    /// Ends the connection, if there is one.
    pub async fn quit(self) {
        if let Some(connection) = self.connection {
            connection.quit().await;
        }
    }
}
