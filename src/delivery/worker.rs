//! A worker: one connection, one message after the other. It gives up if the relay cannot be used, and puts
//! the message that it cannot send back for another worker.

use std::sync::Arc;

use super::queue::Outgoing;
use super::recorder::Recorder;
use super::session::Session;
use super::state::RunState;
use super::stop::{Stop, StopKind, Stopped};
use crate::outcome::{Outcome, Phase};
use crate::relay::NoReply;

/// A message is deferred once this many connections were lost over it.
const MAX_LOSSES: u32 = 2;

/// Sends messages over one connection until none is left.
pub struct Worker {
    pub run: Arc<RunState>,
    pub session: Session,
    pub recorder: Recorder,
    /// The next message, taken while the one before it was under way.
    pub next: Option<Outgoing>,
}

/// How an attempt ended.
pub enum AttemptResult {
    Settled,
    /// The connection was lost over this message before its final dot was written.
    Lost(Phase, String),
    /// The connection was lost over an envelope that was sent ahead. The message before it may be the cause.
    PipelinedEnvelopeLost,
    /// The relay offers delivery reports and refuses to be asked for them.
    ReportsRefused,
    /// The relay asked to slow down.
    Throttled,
    /// MAIL was not accepted, for now or permanently.
    MailFailed {
        permanent: bool,
        why: String,
    },
}

/// What a worker does after a message.
enum Next {
    /// The message is settled: take another.
    Another,
    /// Put the message back, to be sent after the others.
    PutBack,
    /// End, because the relay cannot be used.
    GiveUp(Stop),
}

impl Worker {
    pub fn new(run: &Arc<RunState>) -> Self {
        Self {
            session: Session::new(run),
            recorder: Recorder::new(run),
            run: run.clone(),
            next: None,
        }
    }

    /// Opens the connection.
    pub async fn connect(&mut self) -> Result<(), Stop> {
        let connection = self.session.take_or_open().await?;
        self.session.connection = Some(connection);
        Ok(())
    }

    /// Works until no message is left, the run stops, or the relay cannot be used; then it returns why.
    pub async fn work(mut self) -> Option<Stop> {
        while let Some(mut message) = self.take_next().await {
            match self.deliver(&mut message).await {
                Ok(Next::Another) | Err(Stopped) => {}
                Ok(Next::PutBack) => self.run.queue.put_back(message),
                Ok(Next::GiveUp(why)) => {
                    // If this fails, it stops the run.
                    let _ = self.recorder.flush().await;
                    let unsent = std::iter::once(message).chain(self.next.take());
                    unsent.for_each(|it| self.run.queue.put_back(it));
                    return Some(why);
                }
            }
            if self.next.is_none() {
                let _ = self.recorder.flush().await;
            }
        }
        self.session.quit().await;
        None
    }

    async fn take_next(&mut self) -> Option<Outgoing> {
        match self.next.take() {
            Some(next) => Some(next),
            None => self.run.queue.next().await,
        }
    }

    /// Attempts one message until it is settled or must wait.
    async fn deliver(&mut self, message: &mut Outgoing) -> Result<Next, Stopped> {
        loop {
            if !self.run.pace.may_begin()
                && let Some(connection) = self.session.take_begun()
            {
                self.abandon_envelope(connection).await?;
            }
            // An outcome waits for the next arm only if that follows at once.
            if !self.session.has_begun() {
                self.recorder.flush().await?;
            }
            self.run.pace.acquire(&mut message.permit).await?;
            let connection = match self.session.take_or_open().await {
                Ok(connection) => connection,
                Err(_) if self.run.stop.is_set() => return Err(Stopped),
                Err(why) => return Ok(Next::GiveUp(why)),
            };
            if let Err(stopped) = self.run.stop.may_arm() {
                self.session.connection = Some(connection);
                return Err(stopped);
            }
            match self.attempt(message, connection).await? {
                AttemptResult::Settled => return Ok(Next::Another),
                AttemptResult::Throttled => return Ok(Next::PutBack),
                AttemptResult::PipelinedEnvelopeLost | AttemptResult::ReportsRefused => {}
                AttemptResult::Lost(phase, why) => {
                    message.losses += 1;
                    if message.losses >= MAX_LOSSES {
                        self.defer_lost(message, phase, &why).await?;
                        return Ok(Next::Another);
                    }
                }
                AttemptResult::MailFailed { permanent, why } => {
                    if permanent || self.session.attempt_failed() {
                        let relay = &self.run.run_ledger.relay;
                        let why = format!(
                            "the relay {relay} does not accept mail from this sender (mail): {why}"
                        );
                        return Ok(Next::GiveUp(Stop::new(StopKind::Relay, why)));
                    }
                }
            }
        }
    }

    /// Defers a message over which too many connections were lost.
    async fn defer_lost(
        &mut self,
        message: &Outgoing,
        phase: Phase,
        why: &str,
    ) -> Result<(), Stopped> {
        self.run.watch.message_lost(why);
        let why = format!("{MAX_LOSSES} connections were lost over this message: {why}");
        let lost = Err(NoReply::Closed(why));
        self.settle(message, phase, Outcome::Deferred, &lost).await
    }
}
