//! The messages that wait to be sent: those that were not begun, in their order, and those that were put
//! back.
//!
//! A message is either here, with a worker, or settled; none is dropped on the way except by a stop, which
//! leaves it `pending`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::rates::SendPermit;
use super::stop::StopSignal;
use crate::address::Address;
use crate::exit;
use crate::invitation::{Identity, Standing};
use crate::message::Message;
use crate::outbox::Prepared;

/// A message that is due, before it is composed.
pub type Due = Box<dyn FnOnce() -> exit::Result<Prepared> + Send>;

/// A message on its way.
#[derive(Debug)]
pub struct Outgoing {
    pub identity: Identity,
    pub recipient: Address,
    pub message: Message,
    pub standing: Standing,
    /// How many connections were lost over it between RCPT and the final dot.
    pub losses: u32,
    /// What its final dot needs where rates are limited.
    pub permit: Option<SendPermit>,
}

impl From<Prepared> for Outgoing {
    fn from(prepared: Prepared) -> Self {
        let Prepared {
            identity,
            recipient,
            message,
            standing,
        } = prepared;
        Self {
            identity,
            recipient,
            message,
            standing,
            losses: 0,
            permit: None,
        }
    }
}

/// What the workers take their messages from.
pub struct Queue {
    due: tokio::sync::Mutex<mpsc::Receiver<Due>>,
    /// Messages that workers put back.
    returned: Mutex<VecDeque<Outgoing>>,
    /// How many messages are with a worker, which may still put them back.
    taken: AtomicU64,
    /// Notified whenever there is one less.
    released: Notify,
    stop: Arc<StopSignal>,
}

/// A message with a worker.
pub struct TakenMessage {
    pub message: Outgoing,
    _count: TakenCount,
}

struct TakenCount(Arc<Queue>);

impl Drop for TakenCount {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.released.notify_waiters();
    }
}

impl Queue {
    pub fn new(due: mpsc::Receiver<Due>, stop: Arc<StopSignal>) -> Self {
        Self {
            due: tokio::sync::Mutex::new(due),
            returned: Mutex::default(),
            taken: AtomicU64::new(0),
            released: Notify::new(),
            stop,
        }
    }

    /// The next message; none when all are settled, or the run has stopped.
    ///
    /// While other workers hold a message it waits, because they may put it back.
    pub async fn next(self: &Arc<Self>) -> Option<TakenMessage> {
        while !self.stop.is_set() {
            // Created before looking, so that nothing released meanwhile is missed.
            let released = self.released.notified();
            {
                let mut queue = self.due.lock().await;
                if let Some(due) = queue.recv().await {
                    let count = self.count();
                    drop(queue);
                    return self.compose(due, count);
                }
                if let Some(message) = self.returned().pop_front() {
                    let count = self.count();
                    return Some(TakenMessage {
                        message,
                        _count: count,
                    });
                }
            }
            if self.taken.load(Ordering::Acquire) == 0 {
                return None;
            }
            self.stop.unless_stopped(released).await.ok()?;
        }
        None
    }

    /// The next message that was not begun before, if one is there now.
    pub fn try_next(self: &Arc<Self>, permit: Option<SendPermit>) -> Option<TakenMessage> {
        let mut queue = self.due.try_lock().ok()?;
        let due = queue.try_recv().ok()?;
        let count = self.count();
        drop(queue);
        let mut taken = self.compose(due, count)?;
        taken.message.permit = permit;
        Some(taken)
    }

    /// Puts a message back, to be sent after the others, perhaps by another worker.
    pub fn put_back(&self, mut taken: TakenMessage) {
        taken.message.permit = None;
        self.returned().push_back(taken.message);
    }

    /// Whether messages were put back that nobody has taken again.
    pub fn has_returned(&self) -> bool {
        !self.returned().is_empty()
    }

    /// A message that differs from the one that was verified stops the run.
    fn compose(&self, due: Due, count: TakenCount) -> Option<TakenMessage> {
        match due() {
            Ok(prepared) => Some(TakenMessage {
                message: prepared.into(),
                _count: count,
            }),
            Err(failure) => {
                self.stop.because(failure);
                None
            }
        }
    }

    /// To be called while the queue is locked, so that nobody finds it empty too soon.
    fn count(self: &Arc<Self>) -> TakenCount {
        self.taken.fetch_add(1, Ordering::AcqRel);
        TakenCount(self.clone())
    }

    fn returned(&self) -> MutexGuard<'_, VecDeque<Outgoing>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
