//! A worker: one connection of its own, one message after the other, at the pace that the
//! limits and the relay allow.
//!
//! It opens its connection again where that may help and gives up where it does not; a
//! message that it cannot deliver goes back for another worker to try.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Delivery;
use super::recording::{Heard, Unconfirmed};
use super::shared::{InHand, Job, Shared};
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::relay::{Connection, NotOpened, Silence};

/// The pauses before a connection is tried again; after the last try the worker gives up.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// So many connections may be lost over one message before it is deferred.
const LOSSES: u32 = 2;

/// What a worker does after an attempt.
enum Next {
    /// Nothing more about this message in this run.
    Another,
    /// The same message at once.
    SameAgain,
    /// The same message, after all others.
    AnotherFirst,
    /// Nothing at all: the relay is not to be had, for this reason.
    GiveUp(Exit, String),
}

/// Delivers messages over one connection of its own.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Option<Connection>,
    /// Failures in a row without a 250 to MAIL between.
    pub(super) failures: usize,
    /// The message that comes next, taken while the one before it was under way.
    pub(super) ahead: Option<(Job, InHand)>,
    /// What was heard and is not recorded yet.
    pub(super) heard: Vec<Heard>,
    /// The message whose dot the envelope on the wire follows, until the replies to that
    /// envelope have shown that they come in order.
    pub(super) unconfirmed: Option<Unconfirmed>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            connection: None,
            failures: 0,
            ahead: None,
            heard: Vec::new(),
            unconfirmed: None,
        }
    }

    /// Opens a connection if there is none, again where that may help.
    ///
    /// A relay that asks to slow down here gets a pause as it does later in the conversation,
    /// unless other workers hold connections: then this one leaves the work to them.
    pub async fn open(&mut self) -> Result<(), NotOpened> {
        let shared = self.shared.clone();
        while self.connection.is_none() {
            if self.failures > 0 {
                let rest = tokio::time::sleep(PAUSES[self.failures - 1]);
                shared.unless_stopped(rest).await;
            }
            let opening = shared.begin_opening();
            let not_opened = match shared.run.connector.open().await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    opening.succeeded();
                    return Ok(());
                }
                Err(not_opened) => not_opened,
            };
            if let Some(reply) = not_opened.throttled.clone() {
                if opening.others_are_connected() {
                    return Err(not_opened);
                }
                drop(opening);
                if !shared.pause.asked() {
                    return Err(NotOpened {
                        why: format!(
                            "the relay keeps asking us to slow down (\"{reply}\"); the rest goes with a later run"
                        ),
                        ..not_opened
                    });
                }
                if shared.unless_stopped(shared.pause.wait()).await.is_none() {
                    return Err(not_opened);
                }
                continue;
            }
            self.failures += 1;
            if !not_opened.temporary || self.failures > PAUSES.len() {
                return Err(not_opened);
            }
        }
        Ok(())
    }

    /// Works until there is nothing left, the run stops, or the relay is not to be had.
    pub async fn work(mut self) {
        let shared = self.shared.clone();
        while let Some((mut job, in_hand)) = self.take_up().await {
            let next = loop {
                match self.attempt(&mut job).await {
                    Next::SameAgain => {}
                    next => break next,
                }
            };
            match next {
                Next::Another | Next::SameAgain => {}
                Next::AnotherFirst => shared.give_back(job),
                Next::GiveUp(exit, why) => {
                    self.record(None).await;
                    shared.give_back(job);
                    if let Some((ahead, _)) = self.ahead.take() {
                        shared.give_back(ahead);
                    }
                    shared.lament(exit, why);
                    return;
                }
            }
            if self.ahead.is_none() {
                self.record(None).await;
            }
            drop(in_hand);
        }
        if let Some(connection) = self.connection.take() {
            connection.quit().await;
        }
    }

    async fn take_up(&mut self) -> Option<(Job, InHand)> {
        match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => self.shared.next_job().await,
        }
    }

    /// One attempt at one message, once pause and rates allow it.
    async fn attempt(&mut self, job: &mut Job) -> Next {
        let shared = self.shared.clone();
        let begun = self.connection.as_ref().is_some_and(Connection::has_begun);
        if begun
            && !shared.may_begin()
            && let Some(connection) = self.connection.take()
            && !Box::pin(self.abandon_envelope(connection)).await
        {
            return Next::Another;
        }
        // What was heard of the message before waits only where this one follows at once.
        if !begun || self.connection.is_none() {
            self.record(None).await;
        }
        if !shared.leave(job).await {
            return Next::Another;
        }
        let delivery = match self.open().await {
            Ok(()) if shared.may_arm() => self.deliver(job).await,
            Err(not_opened) if !shared.has_stopped() => {
                return Next::GiveUp(not_opened.exit(), not_opened.why);
            }
            _ => Delivery::Stopped,
        };
        match delivery {
            Delivery::Settled | Delivery::Stopped => Next::Another,
            Delivery::Throttled => Next::AnotherFirst,
            Delivery::LostAhead => Next::SameAgain,
            Delivery::Lost(phase, why) => {
                job.losses += 1;
                if job.losses < LOSSES {
                    return Next::SameAgain;
                }
                shared.lost_over_a_message(&why);
                let why = format!("{LOSSES} connections were lost over this message: {why}");
                let lost = Err(Silence::Over(why));
                self.settle(job, phase, Outcome::Deferred, lost).await;
                Next::Another
            }
            Delivery::NotNow(why) => {
                self.failures += 1;
                if self.failures > PAUSES.len() {
                    return Next::GiveUp(Exit::Unavailable, self.gone(&why));
                }
                Next::SameAgain
            }
            Delivery::Refused(why) => Next::GiveUp(Exit::Unavailable, self.gone(&why)),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.worker_left();
    }
}
