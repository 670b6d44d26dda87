//! The writer thread, which commits all queued changes together.
//!
//! After a failed write nothing more is written, because the content of the disk is not known after a
//! failed fsync: the run must end.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::active_run::{ActiveRun, Replaced};
use super::errors::{ApplyError, translate};
use super::runs;
use super::transitions::Transitions;
use super::wal::{self, Reserve};
use crate::invitation::{Cause, MessageIdKey, State};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::pending::{Group, Request};
use crate::ledger::records::Change;

/// Work on the writer that sends its answer itself.
pub type Work = Box<dyn FnOnce(&mut WriterThread) + Send>;

/// The state of the writer.
pub struct WriterThread {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) key: MessageIdKey,
    /// None for a scratch ledger. Dropped after the connection, see [`ActiveRun::files`].
    pub(super) run: Option<ActiveRun>,
    /// Why nothing more is written.
    pub(super) failed: Option<String>,
    pub(super) reserve: Reserve,
}

impl WriterThread {
    pub fn new(
        path: &Path,
        connection: Connection,
        key: MessageIdKey,
        run: Option<ActiveRun>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            connection,
            key,
            run,
            failed: None,
            reserve: Reserve::default(),
        }
    }

    /// Handles requests until there are no more.
    pub fn serve(mut self, queue: &mpsc::Receiver<Request<Work>>) {
        let mut next = None;
        while let Some(request) = next.take().or_else(|| queue.recv().ok()) {
            match request {
                Request::Apply(changes, answer) => {
                    let mut group = Group::of(changes, answer);
                    next = group.add_waiting(|| queue.try_recv().ok());
                    self.apply(group);
                }
                Request::Run(work) => work(&mut self),
                Request::Close(answer) => {
                    let result = self.checkpoint_and_close();
                    drop(self.connection);
                    let _ = answer.send(result);
                    return;
                }
            }
        }
    }

    /// Applies the changes of several requests in one commit, and answers each. Outcomes are
    /// committed even if there is no space for further attempts.
    pub fn apply(&mut self, group: Group) {
        let changes = group.changes();
        let may_arm =
            self.failed.is_some() || self.reserve.has_room_for(changes.len(), &self.connection);
        let results = self.write(|it| {
            let results = changes.iter().map(|change| it.apply_one(change, may_arm));
            Ok(results.collect::<rusqlite::Result<_>>()?)
        });
        group.answer(results);
    }

    /// One change within the transaction. Only an error of SQLite ends the transaction.
    fn apply_one(&self, change: &Change, may_arm: bool) -> rusqlite::Result<Result<State>> {
        if change.cause == Cause::Arm && !may_arm {
            return Ok(Err(LedgerError::CannotWrite(format!(
                "the disk has no space for the results of further messages in the ledger `{}`; free disk space",
                self.path.display()
            ))));
        }
        match self.transitions().apply(change) {
            Ok(state) => Ok(Ok(state)),
            Err(ApplyError::Failed(error)) => Err(error),
            Err(ApplyError::Refused(refusal)) => Ok(Err(refusal.error(change, false))),
        }
    }

    /// Runs `work` in a transaction of its own.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Self) -> std::result::Result<T, ApplyError>,
    ) -> Result<T> {
        self.ensure_usable()?;
        let written = self
            .execute("BEGIN IMMEDIATE")
            .map_err(ApplyError::from)
            .and_then(|()| work(self))
            .and_then(|value| Ok((value, self.commit()?)));
        let (value, changes) = written.map_err(|error| self.fail(error))?;
        self.advance_witness(changes);
        Ok(value)
    }

    /// Counts the change, commits, and returns the counter.
    pub(super) fn commit(&self) -> rusqlite::Result<u64> {
        let run = self.run.as_ref();
        let changes = run.map_or(Ok(0), |it| runs::count_change(&self.connection, it.number))?;
        self.execute("COMMIT").map(|()| changes)
    }

    /// Advances the witness to a durable commit. If that fails, it was the last commit.
    pub(super) fn advance_witness(&mut self, changes: u64) {
        if let Some(run) = &mut self.run
            && let Err(error) = run.advance_witness(changes)
        {
            self.failed = Some(error.to_string());
        }
    }

    pub(super) fn transitions(&self) -> Transitions<'_> {
        Transitions {
            connection: &self.connection,
            key: &self.key,
            run: self.run_number(),
        }
    }

    pub(super) fn run_number(&self) -> Option<i64> {
        self.run.as_ref().map(|it| it.number)
    }

    /// Executes a statement without parameters, which is compiled once.
    pub(super) fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        let executed = self.connection.prepare_cached(statement)?.execute([]);
        executed.map(drop)
    }

    /// Fails once a write has failed, or once a file of the ledger is no longer the one that is open.
    pub(super) fn ensure_usable(&mut self) -> Result<()> {
        if self.failed.is_none()
            && let Some(run) = &self.run
            && let Some(replaced) = run.files.replaced()
        {
            let name = match &replaced {
                Replaced::Name(path) => path,
                Replaced::Content => &self.path,
            };
            let why = format!(
                "`{}` was replaced or removed during this run, so its results would be lost, and nothing more is sent; find out by what, and restore the newest ledger before the next run",
                name.display()
            );
            if replaced == Replaced::Content {
                // The new content must not be mixed with the log, and the next run must refuse it: the
                // witness requires a commit that no copy contains.
                let _ = self
                    .connection
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                let beyond = run.mark.changes + 1;
                self.advance_witness(beyond);
            }
            self.failed = Some(why);
        }
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(LedgerError::CannotWrite(why.clone())),
        }
    }

    /// Rolls back. After an error of SQLite nothing more is written.
    pub(super) fn fail(&mut self, error: impl Into<ApplyError>) -> LedgerError {
        let _ = self.connection.execute_batch("ROLLBACK");
        let error = match error.into() {
            ApplyError::Failed(error) => translate(&self.path, &error),
            ApplyError::Refused(refusal) => return LedgerError::Fault(refusal.to_string()),
        };
        self.failed = Some(error.to_string());
        match error {
            LedgerError::Fault(_) => error,
            // Within a run, every other kind means that results cannot be recorded.
            error => LedgerError::CannotWrite(error.to_string()),
        }
    }

    /// Writes the log into the file and removes it, unless a reader prevents that.
    pub fn checkpoint_and_close(&mut self) -> Result<()> {
        self.ensure_usable()?;
        if let Some(witness) = self.run.as_ref().and_then(|it| it.witness.as_ref()) {
            witness.sync()?;
        }
        if self.run.as_ref().is_some_and(|it| it.beside_another) {
            return Ok(());
        }
        wal::checkpoint(&self.connection, "TRUNCATE")
            .map_err(|error| translate(&self.path, &error))?;
        // If a reader prevents this, file and log are complete, and the next writing verb tries again.
        let _ = self.connection.busy_timeout(Duration::from_millis(200));
        let _ = self
            .connection
            .pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
                row.get::<_, String>(0)
            });
        Ok(())
    }
}
