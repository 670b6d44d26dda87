//! A ledger for the simulation: the same tables, transitions and statements, in memory and on the calling
//! thread. A chosen commit fails or crashes the process.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::access::access_of;
use super::errors::translate;
use super::rows::RECORDS;
use super::writer_thread::{Work, WriterThread};
use super::{WriterHandle, connection};
use crate::invitation::{Access, Event, Identity, MessageIdKey, PersonHasher, Record, Standing};
use crate::ledger::Ledger;
use crate::ledger::columns::{Columns, standing_columns};
use crate::ledger::error::Result;
use crate::ledger::pending::{Group, Request, Responder};
use crate::ledger::records::ChangeResults;

/// What happens at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The process crashes before it.
    CrashBeforeCommit,
    /// The process crashes after it, before the answer.
    CrashAfterCommit,
    /// It fails, and so does every later one.
    CommitFails,
}

/// The database, which outlives the processes that open it.
#[derive(Clone)]
pub struct SharedDb {
    writer: Arc<Mutex<WriterThread>>,
    key: MessageIdKey,
}

/// The writer of the current process.
pub struct FaultyWriter {
    db: SharedDb,
    /// After how many more commits the fault happens.
    fault: Mutex<Option<(u32, CommitFault)>>,
    /// Notified when the process has crashed.
    crashed: Arc<Notify>,
    /// Never answered and never dropped, so that the caller does not learn of the crash.
    unanswered: Mutex<Vec<Responder<ChangeResults>>>,
}

impl SharedDb {
    /// An empty ledger.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(key: MessageIdKey) -> Result<Self> {
        let path = Path::new("ledger");
        let connection = connection::in_memory(&key).map_err(|error| translate(path, &error))?;
        let writer = WriterThread::new(path, connection, key.clone(), None);
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            key,
        })
    }

    /// Opens the ledger as a new process for which this fault is planned; gives what is notified when the
    /// process has crashed.
    ///
    /// # Errors
    /// If there is no memory for its reader.
    pub fn open(&self, fault: Option<(u32, CommitFault)>) -> Result<(Ledger, Arc<Notify>)> {
        self.writer().failed = None;
        let crashed = Arc::new(Notify::new());
        let writer = FaultyWriter {
            db: self.clone(),
            fault: Mutex::new(fault),
            crashed: crashed.clone(),
            unanswered: Mutex::default(),
        };
        let ledger = Ledger::simulated(WriterHandle::Inline(writer))?;
        Ok((ledger, crashed))
    }

    /// The standing of each invitation, by its canonical address.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn standings(&self) -> rusqlite::Result<Vec<(String, Standing)>> {
        let writer = self.writer();
        let mut statement = writer.connection.prepare_cached(concat!(
            "SELECT i.address, ",
            standing_columns!(),
            " FROM invitation AS i ORDER BY i.id"
        ))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.standing(1)?)))?;
        rows.collect()
    }

    /// All records, in the order of their enrolment.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn records(&self) -> rusqlite::Result<Vec<Record>> {
        let writer = self.writer();
        let query = format!("{RECORDS} ORDER BY i.id");
        let mut statement = writer.connection.prepare_cached(&query)?;
        let records = statement.query_map([], |row| row.record())?;
        records.collect()
    }

    /// The whole history, with the number of the record that each event belongs to.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn history(&self) -> rusqlite::Result<Vec<(i64, Event)>> {
        let writer = self.writer();
        let mut statement = writer.connection.prepare_cached(
            "SELECT invitation, at, from_state, to_state, phase, smtp_code, enhanced_code, reply,
                relay, message_id, note FROM history ORDER BY id",
        )?;
        let events = statement.query_map([], |row| Ok((row.get(0)?, row.event(1)?)))?;
        events.collect()
    }

    /// What is recorded about the access of a partner.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn access(&self, identity: &Identity) -> rusqlite::Result<Option<Access>> {
        let hasher = PersonHasher::new(&self.key);
        access_of(&self.writer().connection, &hasher, identity)
    }

    /// Writes as another process, such as a `sync`, beside the current one.
    ///
    /// # Errors
    /// If that fails.
    pub fn beside<T>(&self, work: impl FnOnce(&mut WriterThread) -> Result<T>) -> Result<T> {
        let mut writer = self.writer();
        let failed = writer.failed.take();
        let result = work(&mut writer);
        writer.failed = failed;
        result
    }

    /// The key of its Message-IDs.
    #[must_use]
    pub fn key(&self) -> &MessageIdKey {
        &self.key
    }

    fn writer(&self) -> MutexGuard<'_, WriterThread> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultyWriter {
    /// Handles a request, unless the process crashes: then it is never answered.
    pub fn handle(&self, request: Request<Work>) {
        let mut writer = self.db.writer();
        match request {
            Request::Apply(changes, answer) => match self.next_fault() {
                None => writer.apply(Group::of(changes, answer)),
                Some(CommitFault::CommitFails) => {
                    writer.failed = Some("the disk has failed".into());
                    writer.apply(Group::of(changes, answer));
                }
                Some(fault) => {
                    if fault == CommitFault::CrashAfterCommit && !self.has_crashed() {
                        writer.apply(Group::of(changes, oneshot::channel().0));
                    }
                    self.unanswered().push(answer);
                    self.crashed.notify_one();
                }
            },
            Request::Run(work) => work(&mut writer),
            Request::Close(answer) => drop(answer.send(writer.checkpoint_and_close())),
        }
    }

    /// The fault of this commit.
    fn next_fault(&self) -> Option<CommitFault> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *fault {
            Some((0, fault)) => Some(*fault),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    }

    fn has_crashed(&self) -> bool {
        !self.unanswered().is_empty()
    }

    fn unanswered(&self) -> MutexGuard<'_, Vec<Responder<ChangeResults>>> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
