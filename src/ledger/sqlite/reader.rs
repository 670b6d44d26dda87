//! A view of the ledger, on a connection and a thread of its own, so that reading never delays a
//! final dot.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::errors::{damaged, translate};
use super::{connection, schema};
use crate::invitation::MessageIdKey;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::freshness::Staleness;
use crate::ledger::sidecar;

type Query = Box<dyn FnOnce(&Connection) + Send>;

/// A view of a ledger.
pub struct Reader {
    path: PathBuf,
    queries: Option<mpsc::Sender<Query>>,
    thread: Option<JoinHandle<()>>,
    key: MessageIdKey,
    pub(super) live: bool,
    pub(super) doubt: Option<Staleness>,
    /// The copy that is read in place of the ledger.
    pub(super) copy: Option<TempDir>,
}

impl Reader {
    /// A view of a ledger that does not exist yet: empty, with a key for this run.
    ///
    /// # Errors
    /// If the system has no memory or no random numbers.
    pub fn empty() -> Result<Self> {
        let key = MessageIdKey::random().map_err(LedgerError::cannot_write)?;
        let connection = connection::in_memory(&key).map_err(LedgerError::cannot_write)?;
        Self::start(Path::new("(no ledger)"), connection)
    }

    /// The view that belongs to a writer.
    pub(super) fn beside_writer(path: &Path) -> Result<Self> {
        Self::start(path, connection::open_for_reading(path)?)
    }

    /// Starts the thread.
    pub(super) fn start(path: &Path, connection: Connection) -> Result<Self> {
        let key = schema::key(&connection).map_err(|error| translate(path, &error))?;
        let (queries, queue) = mpsc::channel::<Query>();
        let thread = std::thread::Builder::new()
            .name("ledger-reader".into())
            .spawn(move || queue.into_iter().for_each(|query| query(&connection)))
            .map_err(|error| LedgerError::CannotWrite(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            queries: Some(queries),
            thread: Some(thread),
            key,
            live: false,
            doubt: None,
            copy: None,
        })
    }

    /// The key behind the Message-IDs.
    #[must_use]
    pub fn key(&self) -> &MessageIdKey {
        &self.key
    }

    /// Why the ledger may lack what later runs have recorded.
    #[must_use]
    pub fn staleness(&self) -> Option<Staleness> {
        self.doubt
    }

    /// Whether a run was at work on the ledger when it was opened.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Gives a file that root created to the ledger's owner, who runs the job otherwise.
    ///
    /// # Errors
    /// If the file cannot be examined or its owner cannot be changed.
    pub fn give_to_owner(&self, file: &File) -> std::io::Result<()> {
        sidecar::give_to_owner(file, &self.path)
    }

    /// Begins a snapshot: until [`Reader::end_snapshot`], every answer comes from the same state of
    /// the ledger. To be kept short, because a run cannot reuse its log meanwhile.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn begin_snapshot(&self) -> Result<()> {
        self.query(|connection| {
            connection.execute_batch("BEGIN")?;
            connection.query_row("SELECT count(*) FROM secret", [], |_| Ok(()))
        })
        .await
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn end_snapshot(&self) -> Result<()> {
        self.query(|connection| connection.execute_batch("COMMIT"))
            .await
    }

    /// Refuses a damaged ledger, as a writing verb does.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    pub async fn examine(&self) -> Result<()> {
        match self.query(connection::examine).await? {
            None => Ok(()),
            Some(fault) => Err(damaged(&self.path, &fault)),
        }
    }

    pub(super) fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        let (answer, waiting) = oneshot::channel();
        let query = move |connection: &Connection| drop(answer.send(query(connection)));
        // If the thread has ended, the query is dropped, which ends the waiting.
        if let Some(queries) = &self.queries {
            let _ = queries.send(Box::new(query));
        }
        async move {
            let stopped = |_| LedgerError::CannotWrite("the ledger's reader has stopped".into());
            let answer = waiting.await.map_err(stopped)?;
            answer.map_err(|error| translate(&self.path, &error))
        }
    }
}

impl Drop for Reader {
    /// Waits until the connection is closed, because an open one would keep a writer from closing the file.
    fn drop(&mut self) {
        drop(self.queries.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
