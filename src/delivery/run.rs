//! A run: connects, feeds the workers, waits for them, and concludes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::breaker::Breaker;
use super::connections::Connections;
use super::event::RunEvent;
use super::journal::Journal;
use super::pace::Pace;
use super::peer::Peer;
use super::queue::{Due, Queue};
use super::rates::Rates;
use super::recorder::Recorder;
use super::relay_watch::RelayWatch;
use super::reporter::{Listener, Reporter};
use super::session::Session;
use super::signals::Signals;
use super::stop::{Stop, StopSignal};
use super::tally::Tally;
use super::transmitter::Transmitter;
use super::worker::Worker;
use crate::address::Address;
use crate::exit::Exit;
use crate::invitation::RetrySchedule;
use crate::ledger::Ledger;
use crate::outbox::{Outbox, PlannedSend};
use crate::relay::Connector;

/// How many planned sends are read at once.
const BATCH: usize = 256;

/// What a run works with.
pub struct Run {
    /// Records the outcomes.
    pub ledger: Arc<Ledger>,
    /// Opens connections.
    pub connector: Arc<Connector>,
    /// The envelope's sender.
    pub sender: Address,
    /// How many connections at once.
    pub connections: u32,
    /// How long at most; then no more messages are begun.
    pub max_runtime: Option<Duration>,
    /// The rate limits; none in a rehearsal.
    pub rates: Option<Arc<Rates>>,
    /// When a deferred invitation is due again.
    pub retry: RetrySchedule,
    /// Whether the breaker opened in an earlier run, and nobody was accepted since: then one connection
    /// and a few refusals are enough.
    pub breaker_open: bool,
    /// How long all connections pause when the relay asks to slow down for the first time.
    pub first_pause: Duration,
    /// What time it is.
    pub clock: fn() -> Timestamp,
    /// Listens to what happens.
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
        let feeder = feed(sends, outbox, self.clock, sender, stop.clone());
        self.run_workers(workers, due, feeder, stop).await
    }

    /// Lets so many workers send what the feeder hands out.
    pub(super) async fn run_workers(
        self,
        workers: u32,
        due: mpsc::Receiver<Due>,
        feeder: impl Future<Output = ()> + Send + 'static,
        stop: Arc<StopSignal>,
    ) -> Tally {
        let max_runtime = self.max_runtime;
        let factory = WorkerFactory::new(self, due, stop);
        let WorkerFactory {
            queue,
            watch,
            reporter,
            stop,
            ..
        } = &factory;
        let mut first = factory.worker();
        // The first connection is opened alone: a relay that turns it away would turn all away.
        let connect = Box::pin(first.connect());
        let connected = match max_runtime {
            None => connect.await,
            Some(limit) => tokio::time::timeout(limit, connect)
                .await
                .unwrap_or_else(|_| Err(Stop::time_limit())),
        };
        if let Err(why) = connected {
            stop.because(why);
        } else {
            // Before anything can be armed, so that no signal kills the process while something is.
            let signals = Signals::listen();
            let mut tasks = JoinSet::new();
            for _ in 1..workers {
                tasks.spawn(factory.worker().work());
            }
            tasks.spawn(first.work());
            let feeder = tasks.spawn(async {
                feeder.await;
                None
            });
            let mut supervisor = Supervisor {
                max_runtime,
                signals,
                reporter,
                stop,
            };
            let last_failure = supervisor.wait(&mut tasks, &feeder).await;
            if let Some(why) = last_failure.filter(|_| queue.has_returned()) {
                stop.because(why);
            }
            watch.report_losses();
        }
        watch.conclude().await;
        let reported = reporter.tally().stopped.clone();
        if let Some(stop) = stop.reason().filter(|it| reported.as_ref() != Some(it)) {
            reporter.report(RunEvent::Stopped(&stop));
        }
        reporter.tally().clone()
    }
}

/// Hands on what is due, in its order. Each worker composes its own messages, while it waits for the disk
/// or the relay anyway.
async fn feed(
    sends: Vec<PlannedSend>,
    mut outbox: Outbox,
    clock: fn() -> Timestamp,
    queue: mpsc::Sender<Due>,
    stop: Arc<StopSignal>,
) {
    for batch in sends.chunks(BATCH) {
        let drafts = match outbox.read(batch).await {
            Ok(drafts) => drafts,
            Err(failure) => {
                stop.because(failure);
                return;
            }
        };
        for draft in drafts {
            let due: Due = Box::new(move || draft.compose(clock()));
            if queue.send(due).await.is_err() {
                return;
            }
        }
    }
}

/// What the workers of a run share, and what they are made from.
struct WorkerFactory {
    peer: Arc<Peer>,
    connections: Arc<Connections>,
    queue: Arc<Queue>,
    pace: Arc<Pace>,
    journal: Arc<Journal>,
    watch: Arc<RelayWatch>,
    reporter: Arc<Reporter>,
    stop: Arc<StopSignal>,
}

impl WorkerFactory {
    fn new(run: Run, due: mpsc::Receiver<Due>, stop: Arc<StopSignal>) -> Self {
        let reporter = Arc::new(Reporter::new(run.on_event));
        let journal = Arc::new(Journal {
            ledger: run.ledger,
            relay: run.connector.relay(),
            retry: run.retry,
            clock: run.clock,
        });
        let watch = RelayWatch {
            breaker: Mutex::new(Breaker::new(run.breaker_open)),
            losses: Mutex::default(),
            journal: journal.clone(),
            reporter: reporter.clone(),
            stop: stop.clone(),
        };
        Self {
            peer: Arc::new(Peer {
                connector: run.connector,
                sender: run.sender,
            }),
            connections: Arc::default(),
            queue: Arc::new(Queue::new(due, stop.clone())),
            pace: Arc::new(Pace::new(run.first_pause, run.rates, stop.clone())),
            journal,
            watch: Arc::new(watch),
            reporter,
            stop,
        }
    }

    fn worker(&self) -> Worker {
        let (stop, reporter) = (&self.stop, &self.reporter);
        let transmitter = Transmitter {
            peer: self.peer.clone(),
            session: Session {
                peer: self.peer.clone(),
                pace: self.pace.clone(),
                stop: stop.clone(),
                member: self.connections.join(),
                connection: None,
                failures: 0,
            },
            recorder: Recorder {
                journal: self.journal.clone(),
                watch: self.watch.clone(),
                reporter: reporter.clone(),
                stop: stop.clone(),
                pending: Vec::new(),
                unconfirmed: None,
            },
            queue: self.queue.clone(),
            pace: self.pace.clone(),
            watch: self.watch.clone(),
            stop: stop.clone(),
            next: None,
        };
        Worker { transmitter }
    }
}

/// Waits for the workers; signals and the time limit stop the run.
struct Supervisor<'a> {
    max_runtime: Option<Duration>,
    signals: Signals,
    reporter: &'a Reporter,
    stop: &'a StopSignal,
}

impl Supervisor<'_> {
    /// Waits until all tasks have ended; gives why the last worker that gave up did so.
    ///
    /// After a second signal other than SIGHUP it does not wait: what is armed then becomes `unknown`.
    async fn wait(
        &mut self,
        tasks: &mut JoinSet<Option<Stop>>,
        feeder: &tokio::task::AbortHandle,
    ) -> Option<Stop> {
        let limit = self.max_runtime.unwrap_or(Duration::MAX);
        let mut time_limit = std::pin::pin!(tokio::time::sleep(limit));
        let mut timed = self.max_runtime.is_some();
        let mut reported = false;
        let mut signals = 0;
        let mut last_failure = None;
        loop {
            tokio::select! {
                biased;
                ended = tasks.join_next() => {
                    match ended {
                        None => return last_failure,
                        Some(Ok(failure)) => last_failure = failure.or(last_failure),
                        Some(Err(error)) if error.is_panic() => {
                            let why = format!("a part of the program failed: {error}");
                            self.stop.because(Stop::new(Exit::InternalError, why));
                        }
                        Some(Err(_)) => {}
                    }
                    // The last task may be the feeder, whose messages nobody takes any more.
                    if tasks.len() == 1 {
                        feeder.abort();
                    }
                }
                name = self.signals.next() => {
                    // A terminal that is closed sends SIGHUP more than once.
                    signals += u32::from(name != "SIGHUP");
                    if signals > 1 {
                        tasks.abort_all();
                    }
                    self.stop.because(Stop::signal(name));
                }
                () = &mut time_limit, if timed => {
                    timed = false;
                    self.stop.because(Stop::time_limit());
                }
                () = self.stop.stopped(), if !reported => {
                    reported = true;
                    if let Some(stop) = self.stop.reason() {
                        self.reporter.report(RunEvent::Stopped(&stop));
                    }
                }
            }
        }
    }
}
