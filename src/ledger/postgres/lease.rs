//! The lease of a run: how long others must not take its partners.
//!
//! It is renewed by a thread with a connection of its own, at a third of its length. An expired lease is never
//! renewed: another run may have recovered what this one had armed. Time is counted by a clock that goes on while the
//! machine sleeps, from before the request that renewed it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::timeout;

use super::connection::Session;
use super::errors::Failure;
use crate::config::LedgerServer;
use crate::ledger::error::{LedgerError, Result};

/// How soon a renewal without an answer is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// The lease of a run.
#[derive(Debug)]
pub struct Lease {
    /// Its length.
    length: Duration,
    /// Until when it holds, in milliseconds since the machine was started.
    until: AtomicU64,
    lost: AtomicBool,
    /// Whether it was lost because another server has taken over.
    replaced: AtomicBool,
    ended: (Mutex<bool>, Condvar),
    /// The timeline of the server's log when the run began. Another one is that of a promoted standby.
    pub(super) timeline: String,
}

/// The time since the machine was started, with the time that it slept.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(now.tv_nsec.unsigned_abs())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Lease {
    /// A lease that was requested at `asked`.
    pub(super) fn new(length: Duration, timeline: String, asked: Duration) -> Arc<Self> {
        Arc::new(Self {
            length,
            until: AtomicU64::new(milliseconds(asked + length)),
            lost: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            ended: (Mutex::new(false), Condvar::new()),
            timeline,
        })
    }

    /// The time from which a lease is counted that is asked for now.
    pub(super) fn ask() -> Duration {
        since_boot()
    }

    /// Its length in milliseconds.
    pub(super) fn milliseconds(&self) -> i64 {
        i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether it still holds, with a tenth of its length to spare. Only then may a final dot be written.
    #[must_use]
    pub fn holds(&self) -> bool {
        let spare = self.length / 10;
        !self.lost.load(Ordering::Acquire)
            && milliseconds(since_boot() + spare) < self.until.load(Ordering::Acquire)
    }

    /// Notes that another run may have taken over.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Notes that another server has taken over, which may not know the lease.
    pub(super) fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
        self.lose();
    }

    /// Why it does not hold.
    #[must_use]
    pub fn error(&self) -> LedgerError {
        if self.replaced.load(Ordering::Acquire) {
            LedgerError::RunLost(
                "another server has taken over from that of the ledger, so this run sends nothing more; the next run continues".into(),
            )
        } else {
            LedgerError::run_lost()
        }
    }

    /// Ends the thread that renews it.
    pub(super) fn end(&self) {
        let (ended, signal) = &self.ended;
        *ended
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = true;
        signal.notify_all();
    }

    /// Waits this long; whether the run has ended.
    fn wait(&self, pause: Duration) -> bool {
        let (ended, signal) = &self.ended;
        let guard = ended
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let waited = signal.wait_timeout_while(guard, pause, |ended| !*ended);
        *waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    /// Renews it until the run ends or it is lost.
    pub(super) fn keep(self: &Arc<Self>, server: &LedgerServer, run: i64) -> Result<()> {
        let (lease, of_thread) = (self.clone(), server.clone());
        let open = async move || {
            let session = Session::connect(&of_thread).await?;
            Ok(((session, of_thread), ()))
        };
        let keep = async move |(session, server), _: tokio::sync::mpsc::UnboundedReceiver<()>| {
            lease.renew_until_end(session, &server, run).await;
        };
        super::thread::start("ledger-lease", server, open, keep).map(drop)
    }

    async fn renew_until_end(&self, session: Session, server: &LedgerServer, run: i64) {
        let third = self.length / 3;
        let (mut session, mut pause) = (Some(session), third);
        while !self.wait(pause) {
            let kept = session.take();
            let renewal = async {
                let current = match kept {
                    Some(current) => current,
                    None => Session::connect(server).await?,
                };
                let renewed = self.renew(&current, run).await?;
                Ok::<_, Failure>((current, renewed))
            };
            // Without an answer, the lease runs out: the time is counted from before the request. A connection that
            // does not answer is given up, and another one tried at once.
            pause = match timeout(third, renewal).await {
                Ok(Ok((_, false))) => return self.lose(),
                Ok(Ok((current, true))) => {
                    session = Some(current);
                    third
                }
                Ok(Err(_)) | Err(_) => AGAIN,
            };
        }
    }

    /// Renews it once; whether it was not lost yet.
    async fn renew(&self, session: &Session, run: i64) -> std::result::Result<bool, Failure> {
        let asked = Self::ask();
        let renewed = session
            .execute(
                "UPDATE run SET lease_until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $2
                 WHERE number = $1 AND lost_at IS NULL AND ended_at IS NULL
                    AND lease_until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
                &[&run, &self.milliseconds()],
            )
            .await?;
        if renewed == 1 {
            let until = milliseconds(asked + self.length);
            self.until.store(until, Ordering::Release);
        }
        Ok(renewed == 1)
    }
}
