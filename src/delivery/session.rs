//! The connection of a worker, reopened if that may help.
//!
//! A connection is taken for one message and kept afterwards if it is fit for another; otherwise it is closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::debug;

use super::state::{CountToken, RunState};
use super::stop::Stop;
use crate::finding::cause_of;
use crate::relay::Connection;

/// The pauses, in seconds, before a connection is tried again; after the last try the worker gives up.
const PAUSES: [u64; 4] = [0, 1, 2, 4];

/// The connection of one worker.
pub struct Session {
    run: Arc<RunState>,
    _worker: CountToken,
    /// Kept for the next message.
    pub connection: Option<Connection>,
    /// Failures in a row, without a 250 to MAIL in between.
    failures: usize,
}

impl Session {
    pub fn new(run: &Arc<RunState>) -> Self {
        Self {
            run: run.clone(),
            _worker: run.connections.join(),
            connection: None,
            failures: 0,
        }
    }

    /// Takes the connection, or opens one, several times if that may help.
    ///
    /// If the relay asks to slow down, all connections pause as they do later in the conversation, unless other
    /// workers hold connections: then this one leaves the work to them.
    pub async fn take_or_open(&mut self) -> Result<Connection, Stop> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        if self.run.peer.probe().is_lock_step() {
            connection.use_lock_step();
        }
        if self.run.peer.reports_refused.load(Ordering::Relaxed) {
            connection.omit_report_requests();
        }
        Ok(connection)
    }

    async fn open(&mut self) -> Result<Connection, Stop> {
        loop {
            if self.failures > 0 {
                let pause = Duration::from_secs(PAUSES[self.failures - 1]);
                debug!(pause = pause.as_secs(), "connecting again");
                let pause = tokio::time::sleep(pause);
                // The caller checks whether the run has stopped.
                let _ = self.run.stop.unless_stopped(pause).await;
            }
            let opening = self.run.connections.begin_opening();
            let error = match self.run.peer.connector.open().await {
                Ok(connection) => {
                    self.run.connections.opened();
                    return Ok(connection);
                }
                Err(error) => error,
            };
            debug!(
                why = cause_of(&error.why),
                temporary = error.temporary,
                "no connection to the relay"
            );
            if let Some(reply) = &error.throttled {
                if self.run.connections.others_are_connected() {
                    return Err(error.into());
                }
                drop(opening);
                if !self.run.pace.throttle.pause() {
                    return Err(Stop::throttled(&reply.to_string()));
                }
                if self.run.pace.wait_for_pause().await.is_err() {
                    return Err(error.into());
                }
            } else if !error.temporary || self.attempt_failed() {
                return Err(error.into());
            }
        }
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

    /// The relay accepted MAIL.
    pub fn mail_accepted(&mut self) {
        self.failures = 0;
    }

    /// Resets the connection for the next message; closes it if that fails.
    pub async fn clear(&mut self, mut connection: Connection) {
        if connection.clear().await {
            self.connection = Some(connection);
        } else if connection.reply_timed_out() {
            self.run.peer.probe().fall_back();
        }
    }

    /// Ends the connection, if there is one.
    pub async fn quit(self) {
        if let Some(connection) = self.connection {
            connection.quit().await;
        }
    }
}
