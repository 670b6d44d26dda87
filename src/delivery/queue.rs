//! The messages that wait to be sent: those that were not begun, in their order, and those that were put back.
//!
//! A message is in the queue, with a worker, or settled. Only a stop drops one, which leaves it `pending`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::rates::SendPermit;
use super::stop::StopSignal;
use crate::outbox::{OutboxError, Prepared};

/// A message that is due, before it is composed.
pub type Due = Box<dyn FnOnce() -> Result<Prepared, OutboxError> + Send>;

/// A message that is being sent.
#[derive(Debug)]
pub struct Outgoing {
    pub prepared: Prepared,
    /// How many connections were lost over it between RCPT and the final dot.
    pub losses: u32,
    /// Allows its final dot if rates are limited.
    pub permit: Option<SendPermit>,
}

/// The queue that all workers take their messages from.
pub struct Queue {
    due: tokio::sync::Mutex<mpsc::Receiver<Due>>,
    /// Messages that workers put back.
    returned: Mutex<VecDeque<Outgoing>>,
    /// How many messages are with a worker that may put them back.
    taken: AtomicU64,
    /// Notified when `taken` decreases.
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

    /// The next message; none if all are settled, or the run has stopped. Waits while other workers hold
    /// messages, because they may put them back.
    pub async fn next(self: &Arc<Self>) -> Option<TakenMessage> {
        while !self.stop.is_set() {
            // Created before the check, so that no release in between is missed.
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

    /// The next message that was not begun before, without waiting.
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

    /// Whether messages were put back and not taken again.
    pub fn has_returned(&self) -> bool {
        !self.returned().is_empty()
    }

    /// Composes a message. If it differs from the verified one, the run stops.
    fn compose(&self, due: Due, count: TakenCount) -> Option<TakenMessage> {
        match due() {
            Ok(prepared) => Some(TakenMessage {
                message: Outgoing {
                    prepared,
                    losses: 0,
                    permit: None,
                },
                _count: count,
            }),
            Err(failure) => {
                self.stop.because(failure);
                None
            }
        }
    }

    /// Counts a message as taken. The queue must be locked, so that no worker finds it empty too soon.
    fn count(self: &Arc<Self>) -> TakenCount {
        self.taken.fetch_add(1, Ordering::AcqRel);
        TakenCount(self.clone())
    }

    fn returned(&self) -> MutexGuard<'_, VecDeque<Outgoing>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
