//! The run: from the proven plan to a recorded outcome for each message.
//!
//! One feeder goes through what is due, in the order of the plan, and through what was
//! proven; a few workers, each owning one connection, deliver it and record what became
//! of it. Nothing is sent that cannot be recorded, and a run that stops stops before the
//! next dot.

mod attempt;
mod breaker;
mod pause;
mod rates;
mod recording;
mod shared;
mod signals;
#[cfg(test)]
mod simulation;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use self::breaker::OPEN as BREAKER_OPEN;
pub use self::rates::Rates;
use self::shared::{Due, Job, Shared};
pub use self::signals::{Signals, survive_file_size_limit};
use self::worker::Worker;
use crate::address::Address;
use crate::exit::{Exit, Failure};
use crate::invitation::{RetrySchedule, State};
use crate::ledger::Ledger;
use crate::message::{Composer, Proven};
use crate::outcome::Phase;
use crate::partners::Partner;
use crate::plan::{Entry, Plan};
use crate::relay::Connector;

/// All that a run works with.
pub struct Run {
    /// Who is due.
    pub plan: Plan,
    /// What was proven, in the order of the plan.
    pub proven: Vec<Proven>,
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
    /// Whether the breaker opened in an earlier run, and nobody was accepted since: then one connection
    /// and a few refusals are enough.
    pub breaker_open: bool,
    /// How long all connections rest when the relay asks us to slow down for the first time.
    pub first_pause: Duration,
    /// What time it is.
    pub clock: fn() -> Timestamp,
    /// Called whenever an invitation is settled or the run stops.
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
    /// The first permanent refusal of each kind: recipient, phase and reply.
    pub refusals: Vec<(Address, Phase, String)>,
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

impl Run {
    /// Delivers the plan, or as much of it as the relay, the limits and the ledger allow.
    pub async fn deliver(mut self) -> Tally {
        let proven = std::mem::take(&mut self.proven);
        let connections = if self.breaker_open {
            1
        } else {
            self.connections
        };
        let workers = u64::from(connections).min(proven.len() as u64);
        let (jobs, queue) = mpsc::channel(2 * usize::try_from(workers).unwrap_or(1).max(1));
        let shared = Arc::new(Shared::new(self, queue, workers));
        let feeder = feed(shared.clone(), proven, jobs);
        work_off(shared, workers, feeder).await
    }
}

/// Lets the workers deliver what the feeder hands out.
async fn work_off(
    shared: Arc<Shared>,
    workers: u64,
    feeder: impl Future<Output = ()> + Send + 'static,
) -> Tally {
    let mut first = Worker::new(shared.clone());
    // The first connection is opened alone: what turns it away would turn all away.
    let opened = match shared.run.max_runtime {
        None => Ok(first.open().await),
        Some(limit) => tokio::time::timeout(limit, first.open()).await,
    };
    if let Ok(Err(not_opened)) = opened {
        shared.stop(not_opened.exit(), not_opened.why);
    } else if opened.is_err() {
        shared.stop(Exit::TryLater, TIME_IS_UP.into());
    } else {
        // Before anything can be armed, so that no signal kills what is armed.
        let signals = Signals::listen();
        let mut tasks = JoinSet::new();
        tasks.spawn(feeder);
        tasks.spawn(first.work());
        for _ in 1..workers {
            tasks.spawn(Worker::new(shared.clone()).work());
        }
        shared.see_through(&mut tasks, signals).await;
        shared.tell_of_what_was_left();
    }
    recording::conclude(&shared).await;
    shared.tally().clone()
}

/// Why a run with a time limit ends.
const TIME_IS_UP: &str = "`limits.max_runtime` is reached; the rest goes with a later run";

/// What it means where plan and proof do not go together.
const STRAY: &str = "partners came out of the plan than were proven";

/// Hands on what is due, in order. Each worker makes its own messages ready, while it waits for
/// what it must wait for anyway.
async fn feed(shared: Arc<Shared>, proven: Vec<Proven>, jobs: mpsc::Sender<Due>) {
    let run = &shared.run;
    let mut proven = proven.into_iter();
    let mut drain = run.plan.drain();
    loop {
        let page = match drain.next_page(run.ledger.reader()).await {
            Ok(Some(page)) => page,
            Ok(None) => break,
            // Whatever is wrong with it, in a run it means: the record cannot be kept.
            Err(failure) => return shared.stop(Exit::CannotWrite, failure.to_string()),
        };
        for entry in page.into_iter().filter(|it| it.skip.is_none()) {
            let Some(proven) = proven.next() else {
                return shared.stop(Exit::Contradiction, format!("more {STRAY}"));
            };
            let due: Due = Box::new(move |run| prepare(run, entry, &proven));
            tokio::select! {
                biased;
                _ = jobs.send(due) => {}
                () = shared.nobody_left.notified() => return,
            }
        }
    }
    if proven.next().is_some() {
        shared.stop(Exit::Contradiction, format!("fewer {STRAY}"));
    }
}

/// Makes a message ready to be sent; one that is not what was proven is not.
fn prepare(run: &Run, entry: Entry, proven: &Proven) -> Result<Job, Failure> {
    let partner = &entry.partner;
    let id = entry.message_id(run.ledger.reader().key(), run.sender.domain());
    let date = entry.date((run.clock)());
    let message = run
        .composer
        .proven(partner, &id, date, proven)
        .map_err(|why| {
            let Partner { line, address, .. } = partner;
            let message = format!("line {line}: the message to {address} {why:#}");
            Failure::new(Exit::Contradiction, message)
        })?;
    Ok(Job {
        recipient: run.composer.recipient(partner).clone(),
        identity: entry.identity,
        message,
        standing: entry.standing,
        losses: 0,
        slot: None,
    })
}
