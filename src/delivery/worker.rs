//! A worker: one connection, one message after the other. It gives up where the relay cannot be used; a
//! message that it cannot send is put back for another worker.

use super::queue::{Outgoing, Taken};
use super::stop::{Stop, Stopped};
use super::transmitter::{AttemptResult, Transmitter};
use crate::outcome::Outcome;
use crate::relay::Silence;

/// This many connections may be lost over one message before it is deferred.
const LOSSES: u32 = 2;

/// What a worker does after a message.
enum Next {
    /// Takes another; this one is settled.
    Another,
    /// Puts this one back, for after the others.
    PutBack,
    /// Ends: the relay cannot be used, for this reason.
    GiveUp(Stop),
}

/// Sends messages until none is left.
pub struct Worker(pub Transmitter);

impl Worker {
    /// Opens the connection.
    pub async fn connect(&mut self) -> Result<(), Stop> {
        let session = &mut self.0.session;
        let connection = session.take_or_open().await?;
        session.keep(connection);
        Ok(())
    }

    /// Works until nothing is left, the run stops, or the relay cannot be used; then it returns why.
    pub async fn work(mut self) -> Option<Stop> {
        while let Some(mut taken) = self.take_next().await {
            match self.deliver(&mut taken.message).await {
                Ok(Next::Another) | Err(Stopped) => {}
                Ok(Next::PutBack) => self.0.queue.put_back(taken),
                Ok(Next::GiveUp(why)) => {
                    // A failure has stopped the run.
                    let _ = self.0.recorder.flush().await;
                    self.0.queue.put_back(taken);
                    if let Some(next) = self.0.next.take() {
                        self.0.queue.put_back(next);
                    }
                    return Some(why);
                }
            }
            if self.0.next.is_none() {
                let _ = self.0.recorder.flush().await;
            }
        }
        self.0.session.quit().await;
        None
    }

    async fn take_next(&mut self) -> Option<Taken> {
        match self.0.next.take() {
            Some(next) => Some(next),
            None => self.0.queue.next().await,
        }
    }

    /// Attempts one message until it is settled or must wait.
    async fn deliver(&mut self, message: &mut Outgoing) -> Result<Next, Stopped> {
        loop {
            if !self.0.pace.may_begin()
                && let Some(connection) = self.0.session.take_begun()
            {
                self.0.abandon_envelope(connection).await?;
            }
            // An outcome waits for the next arm only if that follows at once.
            if !self.0.session.has_begun() {
                self.0.recorder.flush().await?;
            }
            self.0.pace.acquire(&mut message.permit).await?;
            let connection = match self.0.session.take_or_open().await {
                Ok(connection) => connection,
                Err(_) if self.0.stop.is_set() => return Err(Stopped),
                Err(why) => return Ok(Next::GiveUp(why)),
            };
            if let Err(stopped) = self.0.stop.may_arm() {
                self.0.session.keep(connection);
                return Err(stopped);
            }
            match self.0.attempt(message, connection).await? {
                AttemptResult::Settled => return Ok(Next::Another),
                AttemptResult::Throttled => return Ok(Next::PutBack),
                AttemptResult::PipelinedEnvelopeLost => {}
                AttemptResult::Lost(phase, why) => {
                    message.losses += 1;
                    if message.losses >= LOSSES {
                        self.0.watch.message_lost(&why);
                        let why =
                            format!("{LOSSES} connections were lost over this message: {why}");
                        let lost = Err(Silence::Over(why));
                        self.0
                            .settle(message, phase, Outcome::Deferred, &lost)
                            .await?;
                        return Ok(Next::Another);
                    }
                }
                AttemptResult::MailTempFailed(why) => {
                    if self.0.session.attempt_failed() {
                        let why = Stop::mail_refused(&self.0.peer.relay(), &why);
                        return Ok(Next::GiveUp(why));
                    }
                }
                AttemptResult::MailRefused(why) => {
                    let why = Stop::mail_refused(&self.0.peer.relay(), &why);
                    return Ok(Next::GiveUp(why));
                }
            }
        }
    }
}
