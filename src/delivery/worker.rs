//! A worker: one connection, one message after the other. It gives up where the relay cannot be used; a
//! message that it cannot send is put back for another worker.

use super::queue::{Outgoing, TakenMessage};
use super::stop::{Stop, Stopped};
use super::transmitter::{AttemptResult, Transmitter};
use crate::outcome::Outcome;
use crate::relay::NoReply;

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
pub struct Worker {
    pub transmitter: Transmitter,
}

impl Worker {
    /// Opens the connection.
    pub async fn connect(&mut self) -> Result<(), Stop> {
        let session = &mut self.transmitter.session;
        let connection = session.take_or_open().await?;
        session.keep(connection);
        Ok(())
    }

    /// Works until nothing is left, the run stops, or the relay cannot be used; then it returns why.
    pub async fn work(mut self) -> Option<Stop> {
        while let Some(mut taken) = self.take_next().await {
            match self.deliver(&mut taken.message).await {
                Ok(Next::Another) | Err(Stopped) => {}
                Ok(Next::PutBack) => self.transmitter.queue.put_back(taken),
                Ok(Next::GiveUp(why)) => {
                    // A failure has stopped the run.
                    let _ = self.transmitter.recorder.flush().await;
                    self.transmitter.queue.put_back(taken);
                    if let Some(next) = self.transmitter.next.take() {
                        self.transmitter.queue.put_back(next);
                    }
                    return Some(why);
                }
            }
            if self.transmitter.next.is_none() {
                let _ = self.transmitter.recorder.flush().await;
            }
        }
        self.transmitter.session.quit().await;
        None
    }

    async fn take_next(&mut self) -> Option<TakenMessage> {
        match self.transmitter.next.take() {
            Some(next) => Some(next),
            None => self.transmitter.queue.next().await,
        }
    }

    /// Attempts one message until it is settled or must wait.
    async fn deliver(&mut self, message: &mut Outgoing) -> Result<Next, Stopped> {
        loop {
            if !self.transmitter.pace.may_begin()
                && let Some(connection) = self.transmitter.session.take_begun()
            {
                self.transmitter.abandon_envelope(connection).await?;
            }
            // An outcome waits for the next arm only if that follows at once.
            if !self.transmitter.session.has_begun() {
                self.transmitter.recorder.flush().await?;
            }
            self.transmitter.pace.acquire(&mut message.permit).await?;
            let connection = match self.transmitter.session.take_or_open().await {
                Ok(connection) => connection,
                Err(_) if self.transmitter.stop.is_set() => return Err(Stopped),
                Err(why) => return Ok(Next::GiveUp(why)),
            };
            if let Err(stopped) = self.transmitter.stop.may_arm() {
                self.transmitter.session.keep(connection);
                return Err(stopped);
            }
            match self.transmitter.attempt(message, connection).await? {
                AttemptResult::Settled => return Ok(Next::Another),
                AttemptResult::Throttled => return Ok(Next::PutBack),
                AttemptResult::PipelinedEnvelopeLost => {}
                AttemptResult::Lost(phase, why) => {
                    message.losses += 1;
                    if message.losses >= LOSSES {
                        self.transmitter.watch.message_lost(&why);
                        let why =
                            format!("{LOSSES} connections were lost over this message: {why}");
                        let lost = Err(NoReply::Closed(why));
                        self.transmitter
                            .settle(message, phase, Outcome::Deferred, &lost)
                            .await?;
                        return Ok(Next::Another);
                    }
                }
                AttemptResult::MailTempFailed(why) => {
                    if self.transmitter.session.attempt_failed() {
                        let why = Stop::mail_refused(&self.transmitter.peer.relay(), &why);
                        return Ok(Next::GiveUp(why));
                    }
                }
                AttemptResult::MailRefused(why) => {
                    let why = Stop::mail_refused(&self.transmitter.peer.relay(), &why);
                    return Ok(Next::GiveUp(why));
                }
            }
        }
    }
}
