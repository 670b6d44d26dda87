//! A run: connects, feeds the workers, waits for them, and concludes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::breaker::Breaker;
use super::other_runs;
use super::pace::Pace;
use super::peer::Peer;
use super::queue::{Due, Queue};
use super::rates::Rates;
use super::relay_watch::RelayWatch;
use super::run_ledger::RunLedger;
use super::signals::Signals;
use super::state::{Connections, RunState};
use super::stop::{Stop, StopKind, StopSignal};
use super::tally::{Listener, Reporter, RunEvent, Tally};
use super::worker::Worker;
use crate::address::Address;
use crate::invitation::{RetrySchedule, Unless};
use crate::ledger::Ledger;
use crate::outbox::{Outbox, PlannedSend};
use crate::relay::Connector;

/// How many planned sends are read at once.
const BATCH: usize = 256;
/// How many are claimed at once, if other runs send from the same ledger: few, so that the rest is left to them.
const CLAIMED_BATCH: usize = 64;

/// What a run needs.
pub struct Run {
    /// Records the outcomes.
    pub ledger: Arc<Ledger>,
    /// Opens connections.
    pub connector: Arc<Connector>,
    /// The envelope's sender.
    pub sender: Address,
    /// The number of connections.
    pub connections: u32,
    /// The time after which no more messages are begun.
    pub max_runtime: Option<Duration>,
    /// The rate limits; none for the sandbox.
    pub rates: Option<Arc<Rates>>,
    /// When a deferred invitation is due again.
    pub retry: RetrySchedule,
    /// Whose request for access prevents a reminder.
    pub unless: Unless,
    /// Whether to ask the relay for reports of success, too.
    pub receipts: bool,
    /// Whether the breaker opened in an earlier run and no message was accepted since. Then one connection and a
    /// few refusals are enough.
    pub breaker_open: bool,
    /// The length of the first pause when the relay asks to slow down.
    pub first_pause: Duration,
    /// The current time.
    pub clock: fn() -> Timestamp,
    /// Receives the events of the run.
    pub on_event: Listener,
}

impl Run {
    /// Sends these messages, or as many as the relay, the limits and the ledger allow.
    pub async fn deliver(self, sends: Vec<PlannedSend>, outbox: Outbox) -> Tally {
        let connections = if self.breaker_open {
            1
        } else {
            self.connections
        };
        let workers = connections.min(u32::try_from(sends.len()).unwrap_or(u32::MAX));
        let (sender, due) = mpsc::channel(2 * usize::try_from(workers).unwrap_or(1).max(1));
        let stop = Arc::new(StopSignal::default());
        let batch = if self.ledger.is_shared() {
            CLAIMED_BATCH
        } else {
            BATCH
        };
        let elsewhere = Arc::new(AtomicU64::new(0));
        let feeder = Feeder {
            outbox,
            batch,
            clock: self.clock,
            queue: sender,
            stop: stop.clone(),
            elsewhere: elsewhere.clone(),
        };
        let mut tally = self
            .run_workers(workers, due, feeder.feed(sends), stop)
            .await;
        tally.elsewhere = elsewhere.load(Ordering::Relaxed);
        tally
    }

    /// Lets this many workers send what the feeder supplies.
    pub(super) async fn run_workers(
        self,
        workers: u32,
        due: mpsc::Receiver<Due>,
        feeder: impl Future<Output = ()> + Send + 'static,
        stop: Arc<StopSignal>,
    ) -> Tally {
        let max_runtime = self.max_runtime;
        let state = self.into_state(due, stop);
        let mut first = Worker::new(&state);
        // The first connection is opened alone: a relay that refuses it would refuse all.
        let connect = Box::pin(first.connect());
        let connected = match max_runtime {
            None => connect.await,
            Some(limit) => tokio::time::timeout(limit, connect)
                .await
                .unwrap_or_else(|_| Err(Stop::time_limit())),
        };
        let (watch, reporter, stop) = (&state.watch, &state.reporter, &state.stop);
        if let Err(why) = connected {
            stop.because(why);
        } else {
            // Before anything can be armed, so that no signal kills the process while something is.
            let signals = Signals::listen();
            let mut tasks = JoinSet::new();
            for _ in 1..workers {
                tasks.spawn(Worker::new(&state).work());
            }
            tasks.spawn(first.work());
            let feeder = tasks.spawn(async {
                feeder.await;
                None
            });
            let last_failure = supervise(&state, tasks, &feeder, signals, max_runtime).await;
            if let Some(why) = last_failure.filter(|_| state.queue.has_returned()) {
                stop.because(why);
            }
            watch.report_losses();
        }
        watch.conclude().await;
        let shown = reporter.tally.lock().stopped.clone();
        if let Some(stop) = stop.reason().filter(|it| shown.as_ref() != Some(it)) {
            reporter.report(RunEvent::Stopped(&stop));
        }
        reporter.tally.lock().clone()
    }

    fn into_state(self, due: mpsc::Receiver<Due>, stop: Arc<StopSignal>) -> Arc<RunState> {
        let reporter = Arc::new(Reporter::new(self.on_event));
        let run_ledger = Arc::new(RunLedger {
            relay: self.connector.relay(),
            account: self.connector.account(),
            ledger: self.ledger,
            retry: self.retry,
            unless: self.unless,
            clock: self.clock,
        });
        Arc::new(RunState {
            peer: Peer {
                connector: self.connector,
                sender: self.sender,
                receipts: self.receipts,
                reports_refused: AtomicBool::new(false),
            },
            connections: Connections::default(),
            queue: Arc::new(Queue::new(due, stop.clone())),
            pace: Pace::new(self.first_pause, self.rates, stop.clone(), reporter.clone()),
            watch: RelayWatch {
                breaker: Mutex::new(Breaker::new(self.breaker_open)),
                losses: Mutex::default(),
                run_ledger: run_ledger.clone(),
                reporter: reporter.clone(),
                stop: stop.clone(),
            },
            run_ledger,
            reporter,
            stop,
        })
    }
}

/// Supplies what is due, in its order. Each worker composes its own messages while it waits for the disk or
/// the relay.
struct Feeder {
    outbox: Outbox,
    /// How many planned sends are read at once.
    batch: usize,
    clock: fn() -> Timestamp,
    queue: mpsc::Sender<Due>,
    stop: Arc<StopSignal>,
    /// How many are left to other runs.
    elsewhere: Arc<AtomicU64>,
}

impl Feeder {
    async fn feed(mut self, sends: Vec<PlannedSend>) {
        if self.feed_all(&sends).await.is_none() {
            return;
        }
        // What another run had claimed may be free again by now.
        let again = std::mem::take(&mut self.outbox.elsewhere);
        self.feed_all(&again).await;
        let left = self.outbox.elsewhere.len() as u64;
        self.elsewhere.store(left, Ordering::Relaxed);
    }

    /// None if the run stops.
    async fn feed_all(&mut self, sends: &[PlannedSend]) -> Option<()> {
        for batch in sends.chunks(self.batch) {
            let drafts = match self.outbox.read(batch).await {
                Ok(drafts) => drafts,
                Err(failure) => {
                    self.stop.because(failure);
                    return None;
                }
            };
            for draft in drafts {
                let clock = self.clock;
                let due: Due = Box::new(move || draft.compose(clock()));
                self.queue.send(due).await.ok()?;
            }
        }
        Some(())
    }
}

/// Waits until all tasks have ended; returns why the last worker that gave up did so.
///
/// After a second signal other than SIGHUP it aborts them: what is armed then becomes `unknown`.
async fn supervise(
    state: &Arc<RunState>,
    mut tasks: JoinSet<Option<Stop>>,
    feeder: &AbortHandle,
    mut signals: Signals,
    max_runtime: Option<Duration>,
) -> Option<Stop> {
    let limit = max_runtime.unwrap_or(Duration::MAX);
    let mut time_limit = pin!(tokio::time::sleep(limit));
    let mut others = pin!(other_runs::follow(state.clone()));
    let mut timed = max_runtime.is_some();
    let mut reported = false;
    let mut ending = 0;
    let mut last_failure = None;
    let stop = &state.stop;
    loop {
        tokio::select! {
            biased;
            ended = tasks.join_next() => {
                match ended {
                    None => return last_failure,
                    Some(Ok(failure)) => last_failure = failure.or(last_failure),
                    Some(Err(error)) if error.is_panic() => {
                        let why = format!("internal error: {error}; report this fault");
                        stop.because(Stop::new(StopKind::Internal, why));
                    }
                    Some(Err(_)) => {}
                }
                // If only the feeder is left, no worker reads its messages.
                if tasks.len() == 1 {
                    feeder.abort();
                }
            }
            name = signals.next() => {
                // A terminal that is closed sends SIGHUP more than once.
                ending += u32::from(name != "SIGHUP");
                if ending > 1 {
                    tasks.abort_all();
                }
                stop.because(Stop::later(format!("stopped by {name}")));
            }
            () = &mut time_limit, if timed => {
                timed = false;
                stop.because(Stop::time_limit());
            }
            () = &mut others => {}
            () = stop.stopped(), if !reported => {
                reported = true;
                if let Some(reason) = stop.reason() {
                    state.reporter.report(RunEvent::Stopped(&reason));
                }
            }
        }
    }
}
