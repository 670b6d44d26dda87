//! What the workers of a run share: the queue, the count, and whether it has stopped.
//!
//! A message is either in the queue, in a worker's hand, given back, or settled; none is
//! ever dropped on the way but by a stop, which leaves it `pending`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::breaker::Breaker;
use super::pause::Pause;
use super::rates::Slot;
use super::signals::Signals;
use super::{Run, Stop, TIME_IS_UP, Tally};
use crate::address::Address;
use crate::exit::{Exit, Failure};
use crate::invitation::{Identity, Standing, State};
use crate::message::Message;
use crate::outcome::{Outcome, Phase, Reply};

/// How many refusals are kept to be shown.
const SHOWN: usize = 20;

/// One message on its way.
pub struct Job {
    pub identity: Identity,
    pub recipient: Address,
    pub message: Message,
    pub standing: Option<Standing>,
    /// How often a connection was lost over it between RCPT and the dot.
    pub losses: u32,
    /// The leave to attempt its dot, where rates ask for one.
    pub slot: Option<Slot>,
}

/// One message that is due, before it is composed.
pub type Due = Box<dyn FnOnce(&Run) -> Result<Job, Failure> + Send>;

/// One that is composed already.
pub fn ready(job: Job) -> Due {
    Box::new(move |_| Ok(job))
}

/// What the workers share.
pub struct Shared {
    pub run: Run,
    queue: tokio::sync::Mutex<mpsc::Receiver<Due>>,
    /// Jobs of workers that gave up.
    returned: Mutex<VecDeque<Job>>,
    /// Why the last worker gave up.
    lament: Mutex<Option<Stop>>,
    /// Messages over which connections were lost until they were deferred.
    losses: Mutex<Losses>,
    /// How many workers have no connection and are about to get one.
    opening: AtomicU64,
    /// Whether there has been a connection in this run.
    connected: AtomicBool,
    /// Told when no worker is left.
    pub nobody_left: Notify,
    workers: AtomicU64,
    /// How many messages are with a worker now, and told whenever one no longer is.
    in_hand: AtomicU64,
    put_down: Notify,
    /// Whether the run has stopped, for those who wait for something else.
    stopped: watch::Sender<bool>,
    breaker: Mutex<Breaker>,
    pub pause: Pause,
    tally: Mutex<Tally>,
}

/// How many messages in a row may be deferred because connections were lost over them: as many
/// as refused domains open the breaker.
const LOST_IN_A_ROW: u64 = 10;

/// Messages that were deferred because connections were lost over them.
#[derive(Debug, Default)]
struct Losses {
    messages: u64,
    in_a_row: u64,
    last: String,
}

/// A worker opens a connection for as long as this lives.
pub struct Opening(Arc<Shared>);

impl Opening {
    /// Whether another worker has a connection, or is about to try again after a pause.
    pub fn others_are_connected(&self) -> bool {
        let workers = self.0.workers.load(Ordering::Acquire);
        let opening = self.0.opening.load(Ordering::Acquire);
        self.0.connected.load(Ordering::Acquire) && workers > opening
    }

    /// The connection is there.
    pub fn succeeded(self) {
        self.0.connected.store(true, Ordering::Release);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A message is with a worker for as long as this lives.
pub struct InHand(Arc<Shared>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::AcqRel);
        self.0.put_down.notify_waiters();
    }
}

impl Shared {
    /// The beginning: everything is in the queue, and nothing has happened.
    pub fn new(run: Run, queue: mpsc::Receiver<Due>, workers: u64) -> Self {
        Self {
            breaker: Mutex::new(Breaker::new(run.breaker_open)),
            pause: Pause::new(run.first_pause),
            run,
            queue: tokio::sync::Mutex::new(queue),
            returned: Mutex::default(),
            lament: Mutex::default(),
            losses: Mutex::default(),
            opening: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            nobody_left: Notify::new(),
            workers: AtomicU64::new(workers),
            in_hand: AtomicU64::new(0),
            put_down: Notify::new(),
            stopped: watch::Sender::new(false),
            tally: Mutex::default(),
        }
    }

    /// Waits for all tasks to end; a signal or the time limit keeps them from beginning more.
    ///
    /// After a second signal but SIGHUP nobody is waited for: what is armed then will be `unknown`.
    pub async fn see_through(&self, tasks: &mut JoinSet<()>, mut signals: Signals) {
        let limit = self.run.max_runtime;
        let time_is_up = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(time_is_up);
        let mut timed = limit.is_some();
        let mut received = 0;
        loop {
            tokio::select! {
                biased;
                ended = tasks.join_next() => match ended {
                    None => return,
                    Some(Err(error)) if error.is_panic() => {
                        let why = format!("a part of the program failed: {error}");
                        self.stop(Exit::Contradiction, why);
                    }
                    Some(_) => {}
                },
                name = signals.next() => {
                    // A terminal that is closed sends SIGHUP more than once.
                    received += u32::from(name != "SIGHUP");
                    if received > 1 {
                        tasks.abort_all();
                    }
                    self.stop(Exit::TryLater, format!("stopped by {name}; the rest goes with a later run"));
                }
                () = &mut time_is_up, if timed => {
                    timed = false;
                    self.stop(Exit::TryLater, TIME_IS_UP.into());
                }
            }
        }
    }

    /// The next message to deliver; `None` when there is none, or the run has stopped.
    ///
    /// A worker that finds nothing more to do waits while others still hold a message: one
    /// of them may have to give it back.
    pub async fn next_job(self: &Arc<Self>) -> Option<(Job, InHand)> {
        loop {
            if self.has_stopped() {
                return None;
            }
            // Watched from before the look, so that nothing put down meanwhile is missed.
            let put_down = self.put_down.notified();
            {
                let mut queue = self.queue.lock().await;
                let due = match queue.recv().await {
                    Some(due) => Some(due),
                    None => self.returned().pop_front().map(ready),
                };
                if let Some(due) = due {
                    let in_hand = self.hand_out();
                    drop(queue);
                    return Some((self.compose(due)?, in_hand));
                }
            }
            if self.in_hand.load(Ordering::Acquire) == 0 {
                return None;
            }
            self.unless_stopped(put_down).await?;
        }
    }

    /// The next message, where one is waiting and nothing keeps it from being begun now.
    pub fn next_job_now(self: &Arc<Self>) -> Option<(Job, InHand)> {
        if !self.may_begin() {
            return None;
        }
        let slot = match &self.run.rates {
            None => None,
            Some(rates) => Some(rates.take_now()?),
        };
        let mut queue = self.queue.try_lock().ok()?;
        let due = queue.try_recv().ok()?;
        let in_hand = self.hand_out();
        drop(queue);
        let job = self.compose(due)?;
        Some((Job { slot, ..job }, in_hand))
    }

    /// The message as it goes out; none where that contradicts what was proven, which stops
    /// the run.
    fn compose(&self, due: Due) -> Option<Job> {
        due(&self.run)
            .map_err(|failure| self.stop(failure.exit, failure.to_string()))
            .ok()
    }

    /// To be called while the queue is locked, so that nobody finds it empty too soon.
    fn hand_out(self: &Arc<Self>) -> InHand {
        self.in_hand.fetch_add(1, Ordering::AcqRel);
        InHand(self.clone())
    }

    /// Takes a message back, to be delivered after the others, perhaps by another worker.
    pub fn give_back(&self, mut job: Job) {
        job.slot = None;
        self.returned().push_back(job);
    }

    /// Waits until pause and rates allow this message; false when the run has stopped.
    pub async fn leave(&self, job: &mut Job) -> bool {
        loop {
            if self.unless_stopped(self.pause.wait()).await.is_none() {
                return false;
            }
            let Some(rates) = self.run.rates.as_ref().filter(|_| job.slot.is_none()) else {
                return true;
            };
            match self.unless_stopped(rates.take()).await {
                None => return false,
                Some(None) => {
                    let why =
                        "the limit of `limits.per_day` is reached; the rest goes with a later run";
                    self.stop(Exit::TryLater, why.into());
                    return false;
                }
                // The relay may have asked for a rest while this one waited: round again.
                Some(slot) => job.slot = slot,
            }
        }
    }

    /// What the work gives, unless the run stops first.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stopped = self.stopped.subscribe();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|it| *it) => None,
            done = work => Some(done),
        }
    }

    /// A worker gave up, with a message in hand that it has given back, for this reason.
    pub fn lament(&self, exit: Exit, why: String) {
        let stop = Stop { exit, why };
        *self.lament.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
    }

    /// A worker opens a connection for as long as the result lives.
    pub fn begin_opening(self: &Arc<Self>) -> Opening {
        self.opening.fetch_add(1, Ordering::AcqRel);
        Opening(self.clone())
    }

    /// A message was deferred because connections were lost over it. Many of them in a row, with
    /// no acceptance between, end the run: the relay is not usable.
    pub fn lost_over_a_message(&self, why: &str) {
        let mut losses = self.losses();
        losses.messages += 1;
        losses.in_a_row += 1;
        why.clone_into(&mut losses.last);
        if losses.in_a_row >= LOST_IN_A_ROW {
            let why = self.lost_message(&losses);
            drop(losses);
            self.stop(Exit::Unavailable, why);
        }
    }

    fn lost_message(&self, losses: &Losses) -> String {
        let number = losses.messages;
        let messages = if number == 1 { "message" } else { "messages" };
        format!(
            "the relay {} lost the connection over {number} {messages}, twice each, and accepted none meanwhile ({}); they are deferred, and nobody is rejected; if the next run meets the same, ask the relay's operator, or set `smtp.pipelining = \"off\"`",
            self.run.connector.relay(),
            losses.last
        )
    }

    /// Where connections were lost and nothing was accepted, the run says so.
    pub fn report_losses(&self) {
        let losses = self.losses();
        if losses.messages == 0 || !self.nobody_accepted() || self.has_stopped() {
            return;
        }
        let why = self.lost_message(&losses);
        // Over one message it may be due to the message; over all of several, to the relay.
        let all = self.tally().deferred == losses.messages;
        let exit = if all && losses.messages > 1 {
            Exit::Unavailable
        } else {
            Exit::TryLater
        };
        drop(losses);
        self.stop(exit, why);
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the relay has accepted nothing in this run so far, recorded or not yet.
    pub fn nobody_accepted(&self) -> bool {
        !self.breaker().has_accepted()
    }

    /// One worker less.
    pub fn worker_left(&self) {
        if self.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.nobody_left.notify_one();
        }
    }

    /// Ends the run before the next dot; the heaviest reason is kept.
    pub fn stop(&self, exit: Exit, why: String) {
        let mut tally = self.tally();
        let heavier = tally
            .stopped
            .as_ref()
            .is_none_or(|it| it.exit != exit && Exit::heaviest(&[it.exit, exit]) == exit);
        if heavier {
            tally.stopped = Some(Stop { exit, why });
        }
        (self.run.on_settled)(&tally);
        drop(tally);
        self.stopped.send_replace(true);
        self.put_down.notify_waiters();
    }

    pub fn has_stopped(&self) -> bool {
        self.tally().stopped.is_some()
    }

    /// Whether a message may be begun now.
    pub fn may_begin(&self) -> bool {
        !self.has_stopped() && !self.pause.is_on()
    }

    /// Whether a message that is under way may still be armed: once a limit is reached, yes,
    /// for it was granted before; once anything has failed or the relay refuses us, no.
    pub fn may_arm(&self) -> bool {
        let tally = self.tally();
        let stopped = tally.stopped.as_ref().map(|it| it.exit);
        matches!(stopped, None | Some(Exit::TryLater))
    }

    /// The relay takes our mail.
    pub fn accepted(&self) {
        self.breaker().accepted();
        self.pause.accepted();
        self.losses().in_a_row = 0;
    }

    /// Counts one invitation as settled.
    pub fn settled(&self, recipient: &Address, state: State, why: &str) {
        let mut tally = self.tally();
        match state {
            State::Accepted => tally.accepted += 1,
            State::Deferred => tally.deferred += 1,
            State::Rejected => tally.rejected += 1,
            State::Expired => tally.expired += 1,
            _ => tally.unknown += 1,
        }
        if state != State::Accepted && tally.troubles.len() < SHOWN {
            let trouble = (recipient.clone(), state, why.to_owned());
            tally.troubles.push(trouble);
        }
        (self.run.on_settled)(&tally);
    }

    /// Counts as unknown what was counted as `outcome` before.
    pub fn doubted(&self, recipient: &Address, outcome: Outcome, why: &str) {
        let mut tally = self.tally();
        let counted = match outcome {
            Outcome::Accepted => &mut tally.accepted,
            Outcome::Deferred => &mut tally.deferred,
            Outcome::Rejected => &mut tally.rejected,
            Outcome::Unknown => &mut tally.unknown,
        };
        *counted = counted.saturating_sub(1);
        tally.troubles.retain(|(address, ..)| address != recipient);
        drop(tally);
        self.settled(recipient, State::Unknown, why);
    }

    /// Counts an invitation as deferred that was counted as `state` before.
    pub fn put_back(&self, recipient: &Address, state: State) {
        let mut tally = self.tally();
        let before = match state {
            State::Expired => &mut tally.expired,
            _ => &mut tally.rejected,
        };
        *before = before.saturating_sub(1);
        tally.deferred += 1;
        for trouble in &mut tally.troubles {
            if trouble.0 == *recipient && trouble.1 == state {
                trouble.1 = State::Deferred;
            }
        }
    }

    /// Keeps the first permanent refusal of a kind, to be shown.
    pub fn first_refusal(&self, recipient: &Address, phase: Phase, reply: &Reply) {
        let mut tally = self.tally();
        if tally.refusals.len() < SHOWN {
            let refusal = (recipient.clone(), phase, reply.to_string());
            tally.refusals.push(refusal);
        }
    }

    /// The exit code of the reason why the run has stopped; none where it has not.
    pub fn stopped_with(&self) -> Option<Exit> {
        self.tally().stopped.as_ref().map(|it| it.exit)
    }

    pub fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An outcome that happened, but that the ledger could not take.
    pub fn unrecorded(&self, outcome: String) {
        self.tally().unrecorded.push(outcome);
    }

    /// Where the last workers gave up with messages in hand, the relay is to blame.
    pub fn tell_of_what_was_left(&self) {
        let lament = self
            .lament
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Stop { exit, why }) = lament.filter(|_| !self.returned().is_empty()) {
            self.stop(exit, why);
        }
        self.report_losses();
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn returned(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
