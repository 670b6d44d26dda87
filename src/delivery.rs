//! The run: from the proven plan to a recorded outcome for each message.
//!
//! One feeder composes what is due, in the order of the plan, and compares it with
//! what was proven; a few workers, each owning one connection, deliver it and record
//! what became of it. Nothing is sent that cannot be recorded, and a run that stops
//! stops before the next dot.

mod breaker;
mod lock;
mod pause;
mod rates;
mod signals;
mod worker;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use self::breaker::Breaker;
pub use self::lock::{RunLock, is_held};
use self::pause::Pause;
pub use self::rates::Rates;
use self::signals::Signals;
use self::worker::Worker;
use crate::address::Address;
use crate::exit::{Exit, Failure};
use crate::invitation::{Identity, RetrySchedule, Standing, State};
use crate::ledger::Ledger;
use crate::message::{Composer, Message};
use crate::plan::{Entry, Plan};
use crate::relay::Connector;

/// How many refusals are kept to be shown.
const SHOWN: usize = 20;

/// All that a run works with.
pub struct Run {
    /// Who is due.
    pub plan: Plan,
    /// What was proven, in the order of the plan.
    pub fingerprints: Vec<u64>,
    /// Builds the messages.
    pub composer: Arc<Composer>,
    /// Records what became of them.
    pub ledger: Arc<Ledger>,
    /// Opens connections.
    pub connector: Arc<Connector>,
    /// The envelope's sender.
    pub sender: Address,
    /// How many connections at once.
    pub connections: u32,
    /// How long at most; then no more messages are begun.
    pub max_runtime: Option<Duration>,
    /// How fast; none in a rehearsal.
    pub rates: Option<Arc<Rates>>,
    /// When a deferred invitation is due again.
    pub retry: RetrySchedule,
    /// Whether partners at three domains or more are due, so that three alike refusals say
    /// something about us.
    pub several_domains: bool,
    /// How long all connections rest when the relay asks us to slow down for the first time.
    pub first_pause: Duration,
    /// What time it is.
    pub clock: fn() -> Timestamp,
    /// Called whenever an invitation is settled.
    pub on_settled: Box<dyn Fn(&Tally) + Send + Sync>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Accepted by the relay.
    pub accepted: u64,
    /// To be tried again later.
    pub deferred: u64,
    /// Refused for good.
    pub rejected: u64,
    /// Deferred for the last time.
    pub expired: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// The first that were not accepted: address, what became of it, and why.
    pub troubles: Vec<(Address, State, String)>,
    /// Outcomes that the ledger could not take any more.
    pub unrecorded: Vec<String>,
    /// Why it ended before its time.
    pub stopped: Option<Stop>,
}

/// Why a run ended before its time.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The code that this alone would give.
    pub exit: Exit,
    /// What happened.
    pub why: String,
}

/// One message on its way.
pub(crate) struct Job {
    pub identity: Identity,
    pub recipient: Address,
    pub message: Message,
    pub standing: Option<Standing>,
    /// How often a connection was lost over it between RCPT and the dot.
    pub losses: u32,
}

/// What the workers share.
pub(crate) struct Shared {
    pub run: Run,
    queue: tokio::sync::Mutex<mpsc::Receiver<Job>>,
    /// Jobs of workers that gave up.
    returned: Mutex<VecDeque<Job>>,
    /// Why the last worker gave up.
    lament: Mutex<Option<String>>,
    /// Told when no worker is left.
    nobody_left: Notify,
    workers: AtomicU64,
    /// How many messages are with a worker now, and told whenever one no longer is.
    in_hand: AtomicU64,
    put_down: Notify,
    /// Whether the run has stopped, for those who wait for something else.
    stopped: watch::Sender<bool>,
    breaker: Mutex<Breaker>,
    pause: Pause,
    tally: Mutex<Tally>,
}

impl Run {
    /// Delivers the plan, or as much of it as the relay, the limits and the ledger allow.
    pub async fn deliver(self) -> Tally {
        let workers = u64::from(self.connections).min(self.fingerprints.len() as u64);
        let (jobs, queue) = mpsc::channel(2 * usize::try_from(workers).unwrap_or(1).max(1));
        let breaker = Breaker::new(self.several_domains);
        let pause = Pause::new(self.first_pause);
        let shared = Arc::new(Shared {
            run: self,
            queue: tokio::sync::Mutex::new(queue),
            returned: Mutex::default(),
            lament: Mutex::default(),
            nobody_left: Notify::new(),
            workers: AtomicU64::new(workers),
            in_hand: AtomicU64::new(0),
            put_down: Notify::new(),
            stopped: watch::Sender::new(false),
            breaker: Mutex::new(breaker),
            pause,
            tally: Mutex::default(),
        });
        let mut first = Worker::new(shared.clone());
        // The first connection is opened alone: what turns it away would turn all away.
        if let Err(not_opened) = first.open().await {
            shared.stop(Exit::Unavailable, not_opened.why);
        } else {
            let mut tasks = JoinSet::new();
            tasks.spawn(feed(shared.clone(), jobs));
            tasks.spawn(first.work());
            for _ in 1..workers {
                tasks.spawn(Worker::new(shared.clone()).work());
            }
            shared.see_through(&mut tasks).await;
            shared.tell_of_what_was_left();
        }
        shared.tally().clone()
    }
}

/// Composes what is due, in order, and hands on what equals what was proven.
async fn feed(shared: Arc<Shared>, jobs: mpsc::Sender<Job>) {
    let run = &shared.run;
    let mut proven = run.fingerprints.iter();
    let mut drain = run.plan.drain();
    loop {
        let page = match drain.next_page(run.ledger.reader()).await {
            Ok(Some(page)) => page,
            Ok(None) => break,
            // Whatever is wrong with it, in a run it means: the record cannot be kept.
            Err(failure) => return shared.stop(Exit::CannotWrite, failure.to_string()),
        };
        for entry in page.into_iter().filter(|it| it.skip.is_none()) {
            let job = match prepare(run, entry, proven.next().copied()) {
                Ok(job) => job,
                Err(failure) => return shared.stop(failure.exit, failure.to_string()),
            };
            tokio::select! {
                _ = jobs.send(job) => {}
                () = shared.nobody_left.notified() => return,
            }
        }
    }
    if proven.next().is_some() {
        shared.stop(
            Exit::Contradiction,
            "fewer partners came out of the plan than were proven".into(),
        );
    }
}

fn prepare(run: &Run, entry: Entry, proven: Option<u64>) -> Result<Job, Failure> {
    let id = entry.message_id(run.ledger.reader(), run.sender.domain());
    let date = entry.date((run.clock)());
    let message = run
        .composer
        .compose(&entry.partner, &id, date)
        .map_err(|error| Failure {
            exit: Exit::Contradiction,
            error,
        })?;
    if proven != Some(message.fingerprint()) {
        let message = format!(
            "line {}: the message to {} is not the one that was proven; nothing more is sent",
            entry.partner.line, entry.partner.address
        );
        return Err(Failure::new(Exit::Contradiction, message));
    }
    Ok(Job {
        identity: entry.identity,
        recipient: run.composer.recipient(&entry.partner).clone(),
        message,
        standing: entry.standing,
        losses: 0,
    })
}

/// A message is with a worker for as long as this lives.
pub(crate) struct InHand(Arc<Shared>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::AcqRel);
        self.0.put_down.notify_waiters();
    }
}

impl Shared {
    /// Waits for all tasks to end; a signal or the time limit keeps them from beginning more.
    ///
    /// After a second signal nobody is waited for: what is armed then will be `unknown`.
    async fn see_through(&self, tasks: &mut JoinSet<()>) {
        let mut signals = Signals::listen();
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
                ended = tasks.join_next() => match ended {
                    None => return,
                    Some(Err(error)) if error.is_panic() => {
                        let why = format!("a part of the program failed: {error}");
                        self.stop(Exit::Contradiction, why);
                    }
                    Some(_) => {}
                },
                name = signals.next() => {
                    received += 1;
                    if received > 1 {
                        tasks.abort_all();
                    }
                    self.stop(Exit::TryLater, format!("stopped by {name}; the rest goes with a later run"));
                }
                () = &mut time_is_up, if timed => {
                    timed = false;
                    let why = "`limits.max_runtime` is reached; the rest goes with a later run";
                    self.stop(Exit::TryLater, why.into());
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
                let job = match queue.recv().await {
                    Some(job) => Some(job),
                    None => self.returned().pop_front(),
                };
                if let Some(job) = job {
                    self.in_hand.fetch_add(1, Ordering::AcqRel);
                    return Some((job, InHand(self.clone())));
                }
            }
            if self.in_hand.load(Ordering::Acquire) == 0 {
                return None;
            }
            self.unless_stopped(put_down).await?;
        }
    }

    /// Takes a message back, to be delivered after the others, perhaps by another worker.
    pub fn give_back(&self, job: Job) {
        self.returned().push_back(job);
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
    pub fn lament(&self, why: String) {
        *self.lament.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// One worker less.
    pub fn worker_left(&self) {
        if self.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.nobody_left.notify_one();
        }
    }

    /// Ends the run before the next dot; the heaviest reason is kept.
    pub fn stop(&self, exit: Exit, why: String) {
        let stopped = &mut self.tally().stopped;
        let heavier = stopped
            .as_ref()
            .is_none_or(|it| it.exit != exit && Exit::heaviest(&[it.exit, exit]) == exit);
        if heavier {
            *stopped = Some(Stop { exit, why });
        }
        self.stopped.send_replace(true);
        self.put_down.notify_waiters();
    }

    pub fn has_stopped(&self) -> bool {
        self.tally().stopped.is_some()
    }

    /// Whether a message that is under way may still be armed: once a limit is reached, yes,
    /// for it was granted before; once anything has failed or the relay refuses us, no.
    pub fn may_arm(&self) -> bool {
        let tally = self.tally();
        let stopped = tally.stopped.as_ref().map(|it| it.exit);
        matches!(stopped, None | Some(Exit::TryLater))
    }

    /// Counts one invitation as settled.
    pub fn settled(&self, job: &Job, state: State, why: &str) {
        if state == State::Accepted {
            self.breaker().accepted();
            self.pause.accepted();
        }
        let mut tally = self.tally();
        match state {
            State::Accepted => tally.accepted += 1,
            State::Deferred => tally.deferred += 1,
            State::Rejected => tally.rejected += 1,
            State::Expired => tally.expired += 1,
            _ => tally.unknown += 1,
        }
        if state != State::Accepted && tally.troubles.len() < SHOWN {
            let trouble = (job.recipient.clone(), state, why.to_owned());
            tally.troubles.push(trouble);
        }
        (self.run.on_settled)(&tally);
    }

    /// Takes back what was counted as rejected, after the breaker has opened.
    pub fn not_rejected(&self, identities: &[Identity]) {
        let mut tally = self.tally();
        tally.rejected = tally.rejected.saturating_sub(identities.len() as u64);
        tally.troubles.retain(|(address, state, _)| {
            let address = address.canonical();
            *state != State::Rejected || identities.iter().all(|it| it.address != address)
        });
    }

    pub fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An outcome that happened, but that the ledger could not take.
    pub fn unrecorded(&self, outcome: String) {
        self.tally().unrecorded.push(outcome);
    }

    /// Where the last workers gave up with messages in hand, the relay is to blame.
    fn tell_of_what_was_left(&self) {
        let lament = self
            .lament
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(why) = lament.filter(|_| !self.returned().is_empty()) {
            self.stop(Exit::Unavailable, why);
        }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn returned(&self) -> std::sync::MutexGuard<'_, VecDeque<Job>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
