//! The writer: a connection that commits all queued changes together, and knows what was committed.
//!
//! Each transaction stores a random id in the row of this writer, if that still has the writer's epoch. After a lost
//! connection, the epoch is raised: that waits until a transaction that is under way has ended, and prevents one
//! that comes later. Then the id shows whether the transaction was committed; if not, it is repeated.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::changes::{self, Read};
use super::connection::{Session, Values};
use super::errors::{ApplyError, Failure};
use super::lease::Lease;
use super::rewriting::Acknowledgements;
use super::schema;
use super::server;
use super::thread::{Work, boxed};
use super::transaction::{Commit, Transaction};
use crate::config::LedgerServer;
use crate::invitation::MessageIdKey;
use crate::ledger::columns::Columns;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::pending::{Group, PendingCommit, Request, writer_stopped};
use crate::ledger::records::{Change, RateLimits};
use crate::ledger::witness::{Id, Witness, WitnessMark, random_id};

/// How long the writer tries to reach a server again. What was armed can be settled that long.
const RECONNECT: Duration = Duration::from_mins(1);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a transaction is repeated that another one was in the way of.
const CONFLICTS: u32 = 10;

/// The lock that most transactions share, and that those take alone which must see all others: see [`Lock`].
pub(super) const ORDER_LOCK: i64 = 0x4149_4E56_0002;

/// Counts a transaction of this writer, if it still has this epoch; gives the counter and the time.
const COUNT: &str = "UPDATE writer SET changes = nextval('change'), last_transaction = $3
    WHERE id = $1 AND epoch = $2
    RETURNING changes, (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// What a transaction excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Nothing but the exclusive ones: a change of invitations.
    Shared,
    /// All others, as every transaction of a file does: a change of what changes depend on, such as the suppression
    /// list.
    Exclusive,
}

/// Sends requests to the writer.
pub struct WriterHandle {
    requests: mpsc::UnboundedSender<Request<Work<Writer>>>,
    thread: Option<JoinHandle<()>>,
    /// The lease of the run.
    pub lease: Arc<Lease>,
}

impl WriterHandle {
    /// Starts the thread with an open writer.
    pub(super) fn start(
        server: &LedgerServer,
        open: impl AsyncFnOnce() -> std::result::Result<Writer, Failure> + Send + 'static,
    ) -> Result<Self> {
        let open = async move || {
            let writer = open().await?;
            let lease = writer.lease.clone();
            Ok((writer, lease))
        };
        let serve = async |writer: Writer, queue| writer.serve(queue).await;
        let (requests, thread, lease) = super::thread::start("ledger-writer", server, open, serve)?;
        Ok(Self {
            requests,
            thread: Some(thread),
            lease,
        })
    }

    /// Submits changes for one commit; one that is refused does not prevent the others.
    pub fn submit(&self, changes: Vec<Change>) -> PendingCommit {
        let count = changes.len();
        let (answer, waiting) = oneshot::channel();
        let _ = self.requests.send(Request::Apply(changes, answer));
        PendingCommit { count, waiting }
    }

    /// Runs other work on the writer.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, waiting) = oneshot::channel();
        let request =
            boxed(move |writer| Box::pin(async move { drop(answer.send(work(writer).await)) }));
        let _ = self.requests.send(Request::Run(request));
        waiting.await.map_err(|_| writer_stopped())?
    }

    /// Closes the connection.
    pub async fn close(mut self) -> Result<()> {
        let (answer, waiting) = oneshot::channel();
        let _ = self.requests.send(Request::Close(answer));
        let closed = waiting.await.map_err(|_| writer_stopped())?;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        closed
    }
}

/// The state of the writer.
pub struct Writer {
    pub(super) server: LedgerServer,
    pub(super) session: Session,
    pub(super) key: MessageIdKey,
    /// The run that is recorded with each change.
    pub(super) run: i64,
    pub(super) lease: Arc<Lease>,
    pub(super) epoch: i64,
    /// How far it has come: its id and the change counter of its last commit.
    pub(super) mark: WitnessMark,
    /// None if it cannot be written, and until an older ledger is accepted.
    pub(super) witness: Option<Witness>,
    /// The limits that all runs keep together, if they are kept exactly.
    pub(super) limits: Option<RateLimits>,
    /// What a standby may lack that takes over.
    pub(super) acknowledged: Acknowledgements,
    /// Why nothing more is written.
    pub(super) failed: Option<String>,
}

impl Writer {
    /// Handles requests until there are no more.
    async fn serve(mut self, mut queue: mpsc::UnboundedReceiver<Request<Work<Writer>>>) {
        let mut next = None;
        loop {
            let request = match next.take() {
                Some(request) => request,
                None => match queue.recv().await {
                    Some(request) => request,
                    None => return self.lease.end(),
                },
            };
            match request {
                Request::Apply(changes, answer) => {
                    let mut group = Group::of(changes, answer);
                    next = group.add_waiting(|| queue.try_recv().ok());
                    self.apply(group).await;
                }
                Request::Run(work) => work(&mut self).await,
                Request::Close(answer) => {
                    let synced = self.witness.as_ref().map_or(Ok(()), Witness::sync);
                    self.lease.end();
                    drop(self.session);
                    let _ = answer.send(synced);
                    return;
                }
            }
        }
    }

    /// Applies the changes of several requests in one commit, and answers each.
    async fn apply(&mut self, group: Group) {
        let all = group.changes();
        let apply = async |it: &Transaction<'_>, read| changes::apply_read(it, &all, read).await;
        let results = self.write_changes(Lock::Shared, &all, apply).await;
        for (change, result) in all.iter().zip(results.iter().flatten()) {
            if let Ok(state) = result {
                self.acknowledged.add(change, *state);
            }
        }
        group.answer(results);
    }

    /// Runs `work` in a transaction of its own. It may be called again, if nothing of it was committed.
    pub(super) async fn write<T>(
        &mut self,
        lock: Lock,
        mut work: impl AsyncFnMut(&Transaction<'_>) -> std::result::Result<T, ApplyError>,
    ) -> Result<T> {
        let work = async |it: &Transaction<'_>, _| work(it).await;
        self.write_changes(lock, &[], work).await
    }

    /// As [`Writer::write`], with what these changes depend on, which is read at the beginning of the transaction. If
    /// there are changes, the work may commit.
    async fn write_changes<T>(
        &mut self,
        lock: Lock,
        changes: &[&Change],
        mut work: impl AsyncFnMut(&Transaction<'_>, Read) -> std::result::Result<T, ApplyError>,
    ) -> Result<T> {
        let mut conflicts = 0;
        loop {
            self.ensure_usable()?;
            let id = random_id()?;
            let mut value = None;
            let attempt = self.attempt(lock, id, changes, &mut value, &mut work);
            let error = match attempt.await {
                Ok(()) => return Ok(value.expect("a committed transaction has a value")),
                Err(ApplyError::Failed(failure)) => failure,
                Err(ApplyError::Refused(refusal)) => {
                    let _ = self.session.batch("ROLLBACK").await;
                    return Err(LedgerError::Fault(refusal.to_string()));
                }
            };
            match error {
                Failure::Lost(why) => {
                    if self.reconnect(&why, id).await? {
                        return Ok(value.expect("a committed transaction has a value"));
                    }
                }
                conflict if conflict.is_conflict() && conflicts < CONFLICTS => {
                    conflicts += 1;
                    let _ = self.session.batch("ROLLBACK").await;
                }
                error => return Err(self.fail(&error).await),
            }
        }
    }

    /// Runs `work` in a transaction that is not repeated, with what these changes depend on.
    pub(super) async fn attempt<T>(
        &mut self,
        lock: Lock,
        id: Id,
        changes: &[&Change],
        value: &mut Option<T>,
        work: &mut impl AsyncFnMut(&Transaction<'_>, Read) -> std::result::Result<T, ApplyError>,
    ) -> std::result::Result<(), ApplyError> {
        let session = &self.session;
        let locked = match lock {
            Lock::Shared => "SELECT pg_advisory_xact_lock_shared($1)",
            Lock::Exclusive => "SELECT pg_advisory_xact_lock($1)",
        };
        session.prepare_all(&[locked, COUNT]).await?;
        let values: Values<'_> = &[&&self.mark.run[..], &self.epoch, &&id[..]];
        // Sent at once, in this order, and so answered after one round trip.
        let (begun, locked, counted, read) = tokio::join!(
            biased;
            session.batch("BEGIN"),
            session.query(locked, &[&ORDER_LOCK]),
            session.query_opt(COUNT, values),
            changes::read(session, self.run, changes),
        );
        begun?;
        locked?;
        let row = counted?.ok_or(Failure::NoEffect)?;
        let number: i64 = row.get(0);
        let transaction = Transaction {
            session,
            key: &self.key,
            run: self.run,
            limits: self.limits.as_ref(),
            now: row.timestamp(1)?,
            commit: Commit {
                early: !changes.is_empty(),
                ..Commit::default()
            },
        };
        *value = Some(work(&transaction, read?).await?);
        match transaction.commit.done.into_inner() {
            None => session.batch("COMMIT").await?,
            Some(done) => done?,
        }
        self.mark.changes = number.unsigned_abs();
        self.advance_witness();
        Ok(())
    }

    /// Advances the witness to the last commit. One that cannot be written is given up: `check` warns of it.
    fn advance_witness(&mut self) {
        if let Some(witness) = &self.witness
            && witness.advance(self.mark).is_err()
        {
            self.witness = None;
        }
    }

    /// Connects again, and finds out whether this transaction was committed.
    pub(super) async fn reconnect(&mut self, why: &str, transaction: Id) -> Result<bool> {
        let begun = Instant::now();
        loop {
            match self.open_again(transaction).await {
                Ok(committed) => return Ok(committed),
                Err(failure) if failure.is_transient() && begun.elapsed() < RECONNECT => {
                    sleep(PAUSE).await;
                }
                Err(failure) => {
                    let error = failure.translate(self.server.name());
                    let message = format!(
                        "the connection was lost ({why}) and could not be restored: {error}"
                    );
                    self.failed = Some(message.clone());
                    return Err(LedgerError::CannotWrite(message));
                }
            }
        }
    }

    async fn open_again(&mut self, transaction: Id) -> std::result::Result<bool, Failure> {
        let session = Session::connect(&self.server).await?;
        let replaced = server::timeline(&session).await? != self.lease.timeline;
        if replaced {
            // The next run may arm again.
            self.lease.replace();
            server::restore_run(&session, self.run, &self.mark.run).await?;
        }
        let row = session
            .query_opt(
                "UPDATE writer SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch, last_transaction, changes",
                &[&&self.mark.run[..]],
            )
            .await?;
        let row = row.ok_or_else(|| {
            Failure::Value(
                "what this run has recorded is missing: the ledger is another one or an older copy"
                    .into(),
            )
        })?;
        self.session = session;
        self.epoch = row.get(0);
        let last: Option<Vec<u8>> = row.get(1);
        if replaced {
            self.write_missing().await?;
        }
        let committed = last.as_deref() == Some(&transaction[..]);
        if committed {
            self.mark.changes = row.get::<_, i64>(2).unsigned_abs();
            self.advance_witness();
        }
        Ok(committed)
    }

    /// After another server has taken over: writes again what it lacks.
    async fn write_missing(&mut self) -> std::result::Result<(), Failure> {
        let acknowledged = std::mem::take(&mut self.acknowledged);
        let mut lost = None;
        let mut write = async |it: &Transaction<'_>, _| acknowledged.write_missing(it).await;
        let id = random_id()?;
        let written = self
            .attempt(Lock::Shared, id, &[], &mut lost, &mut write)
            .await;
        self.acknowledged = acknowledged;
        match written {
            Ok(()) => {}
            Err(ApplyError::Failed(failure)) => return Err(failure),
            Err(ApplyError::Refused(refusal)) => return Err(Failure::Value(refusal.to_string())),
        }
        let lost = lost.unwrap_or_default();
        if lost.is_empty() {
            return Ok(());
        }
        Err(Failure::Value(format!(
            "another server has taken over that lacks what was recorded, and it cannot be written again; record it with `resolve`: {}",
            lost.join(", ")
        )))
    }

    /// Fails once a write has failed.
    pub(super) fn ensure_usable(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(LedgerError::CannotWrite(why.clone())),
        }
    }

    /// Rolls back. After an error of the server nothing more is written.
    pub(super) async fn fail(&mut self, error: &Failure) -> LedgerError {
        let _ = self.session.batch("ROLLBACK").await;
        let moved = match error {
            Failure::NoEffect => schema::identity(&self.session).await.ok(),
            _ => None,
        };
        let name = self.server.name();
        let error = match moved.and_then(|(_, _, to)| to) {
            Some(to) => LedgerError::moved(name, &to),
            None => error.translate(name),
        };
        self.failed = Some(error.to_string());
        match error {
            LedgerError::Fault(_) => error,
            // Within a run, every other kind means that results cannot be recorded.
            error => LedgerError::CannotWrite(error.to_string()),
        }
    }
}
