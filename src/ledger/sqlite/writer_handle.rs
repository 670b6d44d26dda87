//! Requests to the writer thread. A request is answered when it is durable.

use std::sync::mpsc;

use tokio::sync::oneshot;

#[cfg(test)]
use super::fault_injection::FaultyWriter;
use super::writer_thread::{Work, WriterThread};
use crate::ledger::error::Result;
use crate::ledger::pending::{PendingCommit, Request, writer_stopped};
use crate::ledger::records::Change;

/// Sends requests to the writer.
pub enum WriterHandle {
    /// On a thread of its own.
    Thread(mpsc::Sender<Request<Work>>),
    /// In the simulation, on the calling thread, so that nothing depends on scheduling.
    #[cfg(test)]
    Inline(FaultyWriter),
}

impl WriterHandle {
    /// Starts the thread.
    pub fn start(writer: WriterThread) -> Self {
        let (sender, queue) = mpsc::channel();
        std::thread::spawn(move || writer.serve(&queue));
        Self::Thread(sender)
    }

    /// Submits changes for one commit; one that is refused does not prevent the others.
    pub fn submit(&self, changes: Vec<Change>) -> PendingCommit {
        let count = changes.len();
        let (answer, waiting) = oneshot::channel();
        self.send(Request::Apply(changes, answer));
        PendingCommit { count, waiting }
    }

    /// Runs other work on the writer.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut WriterThread) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        let (answer, waiting) = oneshot::channel();
        let work = move |writer: &mut WriterThread| drop(answer.send(work(writer)));
        self.send(Request::Run(Box::new(work)));
        async { waiting.await.map_err(|_| writer_stopped())? }
    }

    /// Closes the file.
    pub async fn close(self) -> Result<()> {
        let (answer, waiting) = oneshot::channel();
        self.send(Request::Close(answer));
        waiting.await.map_err(|_| writer_stopped())?
    }

    /// If the writer has stopped, the request is dropped, and the caller gets an error.
    fn send(&self, request: Request<Work>) {
        match self {
            Self::Thread(writer) => drop(writer.send(request)),
            #[cfg(test)]
            Self::Inline(writer) => writer.handle(request),
        }
    }
}
