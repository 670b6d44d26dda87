//! The messages that wait to be sent: those that were not begun, in their order, and those that were put back.
//!
//! A message is in the queue, with a worker, or settled. Only a stop drops one, which leaves it `pending`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::rates::SendPermit;
use super::stop::StopSignal;
use crate::outbox::{OutboxError, Prepared};

/// A message that is due, before it is composed.
pub type Due = Box<dyn FnOnce() -> Result<Prepared, OutboxError> + Send>;

/// A message that is being sent.
pub struct Outgoing {
    pub prepared: Prepared,
    /// How many connections were lost over it between RCPT and the final dot.
    pub losses: u32,
    /// Allows its final dot if rates are limited.
    pub permit: Option<SendPermit>,
    /// Set while a worker has it.
    taken: Option<TakenCount>,
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

/// Counts a message as with a worker.
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
    pub async fn next(self: &Arc<Self>) -> Option<Outgoing> {
        while !self.stop.is_set() {
            // Created before the check, so that no release in between is missed.
            let released = self.released.notified();
            {
                let mut queue = self.due.lock().await;
                if let Some(due) = queue.recv().await {
                    let count = self.count();
                    drop(queue);
                    return self.compose(due, None, count);
                }
                if let Some(mut message) = self.returned.lock().pop_front() {
                    message.taken = Some(self.count());
                    return Some(message);
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
    pub fn try_next(self: &Arc<Self>, permit: Option<SendPermit>) -> Option<Outgoing> {
        let mut queue = self.due.try_lock().ok()?;
        let due = queue.try_recv().ok()?;
        let count = self.count();
        drop(queue);
        self.compose(due, permit, count)
    }

    /// Puts a message back, to be sent after the others, perhaps by another worker.
    pub fn put_back(&self, mut message: Outgoing) {
        message.permit = None;
        let taken = message.taken.take();
        self.returned.lock().push_back(message);
        // Not before, because a worker that finds nothing in the queue and nothing taken ends.
        drop(taken);
    }

    /// Whether messages were put back and not taken again.
    pub fn has_returned(&self) -> bool {
        !self.returned.lock().is_empty()
    }

    /// Composes a message. If it differs from the verified one, the run stops.
    fn compose(&self, due: Due, permit: Option<SendPermit>, count: TakenCount) -> Option<Outgoing> {
        match due() {
            Ok(prepared) => Some(Outgoing {
                prepared,
                losses: 0,
                permit,
                taken: Some(count),
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
}
