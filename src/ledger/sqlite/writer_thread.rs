//! The writer: a thread that commits whatever is queued, together.
//!
//! Once a write has failed nothing more is written, because after a failed fsync it is not known
//! what the disk holds: the run must end.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::oneshot;

use super::active_run::ActiveRun;
use super::enrolment::{self, NextIds};
use super::errors::translate;
use super::open_files::Replaced;
use super::reserve::Reserve;
use super::transitions::{self, ApplyError};
use super::{notices, recovery, runs, wal};
use crate::invitation::{Cause, MessageIdKey, State};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::records::{Change, ChangeResults, Enrolment, Gap, RunEnd};

/// The most requests in one commit; far more than the connections can queue.
const MAX_GROUP: usize = 512;

/// Where the result of a request goes, once it is durable.
pub type Answer<T> = oneshot::Sender<Result<T>>;

/// What the writer can be asked to do.
pub enum Request {
    /// Changes, which may share a commit with those of other requests.
    Apply(Vec<Change>, Answer<ChangeResults>),
    /// Anything else. It sends its answer itself.
    Run(Box<dyn FnOnce(&mut WriterThread) + Send>),
    /// The end; the file is closed when the answer arrives.
    Close(Answer<()>),
}

/// The state of the writing side.
pub struct WriterThread {
    path: PathBuf,
    connection: Connection,
    key: MessageIdKey,
    /// None for a ledger that is thrown away. Dropped after the connection, see [`ActiveRun::files`].
    run: Option<ActiveRun>,
    /// Why nothing more is written.
    failed: Option<String>,
    reserve: Reserve,
    /// Within the transaction that enrols.
    enrolling: Option<NextIds>,
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
            enrolling: None,
        }
    }

    /// Handles requests until the last one.
    pub fn serve(mut self, queue: &mpsc::Receiver<Request>) {
        let mut next = None;
        while let Some(request) = next.take().or_else(|| queue.recv().ok()) {
            match request {
                Request::Apply(changes, answer) => {
                    let mut group = vec![(changes, answer)];
                    while group.len() < MAX_GROUP {
                        match queue.try_recv() {
                            Ok(Request::Apply(changes, answer)) => group.push((changes, answer)),
                            other => {
                                next = other.ok();
                                break;
                            }
                        }
                    }
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
    /// committed even if there is no room for further attempts.
    pub fn apply(&mut self, group: Vec<(Vec<Change>, Answer<ChangeResults>)>) {
        let changes = group.iter().map(|(changes, _)| changes.len()).sum();
        let may_arm = self.failed.is_some() || self.reserve.has_room_for(changes, &self.connection);
        let results = self.write(|it| {
            let mut results = Vec::with_capacity(group.len());
            for (changes, _) in &group {
                let each = changes.iter().map(|change| it.apply_one(change, may_arm));
                results.push(each.collect::<rusqlite::Result<ChangeResults>>()?);
            }
            Ok(results)
        });
        match results {
            Ok(results) => {
                for ((_, answer), results) in group.into_iter().zip(results) {
                    let _ = answer.send(Ok(results));
                }
            }
            Err(error) => {
                for (_, answer) in group {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// One change within the transaction. Only an error of SQLite ends the transaction.
    fn apply_one(&self, change: &Change, may_arm: bool) -> rusqlite::Result<Result<State>> {
        if change.cause == Cause::Arm && !may_arm {
            return Ok(Err(LedgerError::CannotWrite(format!(
                "the disk has no room for the results of further messages in `{}`",
                self.path.display()
            ))));
        }
        match transitions::apply(&self.connection, &self.key, change, self.run_number()) {
            Ok(state) => Ok(Ok(state)),
            Err(ApplyError::Sqlite(error)) => Err(error),
            Err(refused) => {
                let message = format!("{}: {refused}", change.identity.address);
                Ok(Err(LedgerError::Fault(message)))
            }
        }
    }

    pub fn recover(&mut self, at: Timestamp) -> Result<u64> {
        self.write(|it| recovery::recover(&it.connection, &it.key, at, it.run_number()))
    }

    /// Records the gap, turns what runs may have mailed that this copy does not know into `unknown`,
    /// and begins a new witness.
    pub fn accept_older(&mut self, gap: &Gap) -> Result<u64> {
        let changed = self.write(|it| {
            runs::record_gap(&it.connection, it.run_number(), gap)?;
            recovery::accept_older(&it.connection, &it.key, gap, it.run_number())
        })?;
        if let Some(run) = &mut self.run {
            run.reset_witness(&self.path)?;
        }
        Ok(changed)
    }

    pub fn end_run(&mut self, end: &RunEnd) -> Result<()> {
        self.write(|it| match it.run_number() {
            Some(number) => Ok(runs::end(&it.connection, number, end)?),
            None => Ok(()),
        })
    }

    pub fn notice(&mut self, name: &str, action: notices::Action) -> Result<Option<Timestamp>> {
        self.write(|it| Ok(notices::apply(&it.connection, name, action)?))
    }

    pub fn begin_enrolment(&mut self, attempts: u64, campaign: &str, at: Timestamp) -> Result<()> {
        self.ensure_usable()?;
        // Without an attempt, as in memory, there is no log to grow.
        if attempts > 0 {
            self.reserve = Reserve::for_attempts(attempts);
            self.grow_log(0)?;
        }
        let begun = self
            .execute("BEGIN IMMEDIATE")
            .and_then(|()| runs::confirm(&self.connection, campaign, at))
            .and_then(|()| NextIds::read(&self.connection));
        self.enrolling = Some(begun.map_err(|error| self.fail(error))?);
        Ok(())
    }

    pub fn enrol(&mut self, invitations: &[Enrolment], at: Timestamp) -> Result<()> {
        self.ensure_usable()?;
        let run = self.run_number();
        let Some(ids) = &mut self.enrolling else {
            let message = "invitations are enrolled outside of an enrolment";
            return Err(LedgerError::Fault(message.into()));
        };
        let result = invitations
            .iter()
            .try_for_each(|it| enrolment::enrol(&self.connection, it, at, run, ids));
        result.map_err(|error| self.fail(error))
    }

    pub fn commit_enrolment(&mut self) -> Result<()> {
        self.ensure_usable()?;
        self.enrolling = None;
        let changes = self.commit().map_err(|error| self.fail(error))?;
        self.advance_witness(changes);
        let kept = self
            .reserve
            .reserve_pages(&self.connection)
            .and_then(|()| wal::checkpoint(&self.connection, "RESTART"));
        match kept.map_err(|error| self.fail(error))? {
            0 => Ok(()),
            kept => self.grow_log(kept),
        }
    }

    /// Grows the log, behind the pages that it must keep.
    fn grow_log(&mut self, kept: u64) -> Result<()> {
        self.reserve.grow_log(&self.path, kept).map_err(|error| {
            let message = format!(
                "cannot make room for the log of `{}`: {error}",
                self.path.display()
            );
            self.failed = Some(message.clone());
            LedgerError::CannotWrite(message)
        })
    }

    /// Runs `work` in a transaction of its own.
    fn write<T>(
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

    /// Counts the change and commits; gives the counter.
    fn commit(&self) -> rusqlite::Result<u64> {
        let run = self.run.as_ref();
        let changes = run.map_or(Ok(0), |it| it.count_change(&self.connection))?;
        self.execute("COMMIT").map(|()| changes)
    }

    /// Advances the witness to a commit that is durable. If that fails, this was the last commit.
    fn advance_witness(&mut self, changes: u64) {
        if let Some(run) = &mut self.run
            && let Err(error) = run.advance_witness(changes)
        {
            self.failed = Some(error.to_string());
        }
    }

    fn run_number(&self) -> Option<i64> {
        self.run.as_ref().map(|it| it.number)
    }

    /// Executes a statement without parameters, which is compiled once.
    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        let executed = self.connection.prepare_cached(statement)?.execute([]);
        executed.map(drop)
    }

    /// Fails once a write has failed, or once a file of the ledger is no longer the one that is open.
    fn ensure_usable(&mut self) -> Result<()> {
        if self.failed.is_none()
            && let Some(run) = &self.run
            && let Some(replaced) = run.files.replaced()
        {
            let name = match &replaced {
                Replaced::Name(path) => path,
                Replaced::Content => &self.path,
            };
            let why = format!(
                "`{}` was replaced or removed while this run was at work, so what it records would be lost; nothing more is sent; find out what did that, and put the newest ledger back before the next run",
                name.display()
            );
            if replaced == Replaced::Content {
                // What was written over the ledger must not be mixed with its log, nor be trusted by the
                // next run: the witness requires a commit that no copy contains.
                let _ = self
                    .connection
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                let beyond = run.changes + 1;
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
    fn fail(&mut self, error: impl Into<ApplyError>) -> LedgerError {
        let _ = self.connection.execute_batch("ROLLBACK");
        self.enrolling = None;
        let error = match error.into() {
            ApplyError::Sqlite(error) => translate(&self.path, &error),
            refused => return LedgerError::Fault(refused.to_string()),
        };
        self.failed = Some(error.to_string());
        match error {
            LedgerError::Fault(_) => error,
            // Whatever the kind, within a run it means that the record cannot be written.
            error => LedgerError::cannot_write(error),
        }
    }

    /// Writes the log into the file and leaves one plain file, unless a reader prevents that.
    pub fn checkpoint_and_close(&mut self) -> Result<()> {
        if self.enrolling.is_some() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.ensure_usable()?;
        if let Some(run) = &self.run {
            run.sync_witness()?;
        }
        wal::checkpoint(&self.connection, "TRUNCATE")
            .map_err(|error| translate(&self.path, &error))?;
        // File and log are complete if a reader prevents this; the next writing verb tries again.
        let _ = self.connection.busy_timeout(Duration::from_millis(200));
        let _ = self
            .connection
            .pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
                row.get::<_, String>(0)
            });
        Ok(())
    }

    /// As if the last write had failed.
    #[cfg(test)]
    pub fn fail_from_now_on(&mut self) {
        self.failed = Some("the disk has gone".into());
    }

    /// As a new process finds it.
    #[cfg(test)]
    pub fn restart(&mut self) {
        self.failed = None;
    }

    #[cfg(test)]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}
