//! Requests to a writer, and changes on their way into a commit.

use tokio::sync::oneshot;

use super::error::{LedgerError, Result};
use super::records::{Change, ChangeResults};

/// The most requests in one commit; more than the connections can queue.
const MAX_GROUP: usize = 512;

/// Receives the result of a request once it is durable.
pub type Responder<T> = oneshot::Sender<Result<T>>;

/// A request to a writer.
pub enum Request<W> {
    /// Changes, which may share a commit with those of other requests.
    Apply(Vec<Change>, Responder<ChangeResults>),
    /// Anything else. It sends its answer itself.
    Run(W),
    /// Closes the ledger. It is closed when the answer arrives.
    Close(Responder<()>),
}

/// Requests whose changes share a commit.
pub struct Group(Vec<(Vec<Change>, Responder<ChangeResults>)>);

impl Group {
    /// One request.
    pub fn of(changes: Vec<Change>, answer: Responder<ChangeResults>) -> Self {
        Self(vec![(changes, answer)])
    }

    /// Adds the changes that are waiting. Gives the first other request, which comes after the group.
    pub fn add_waiting<W>(
        &mut self,
        mut waiting: impl FnMut() -> Option<Request<W>>,
    ) -> Option<Request<W>> {
        while self.0.len() < MAX_GROUP {
            match waiting() {
                Some(Request::Apply(changes, answer)) => self.0.push((changes, answer)),
                other => return other,
            }
        }
        None
    }

    /// The changes of all requests, in their order.
    pub fn changes(&self) -> Vec<&Change> {
        self.0.iter().flat_map(|(changes, _)| changes).collect()
    }

    /// Answers each request with the results of its changes.
    pub fn answer(self, results: Result<ChangeResults>) {
        let mut results = results.map(Vec::into_iter);
        for (changes, answer) in self.0 {
            let of_request = match &mut results {
                Ok(results) => Ok(results.by_ref().take(changes.len()).collect()),
                Err(error) => Err(error.clone()),
            };
            let _ = answer.send(of_request);
        }
    }
}

/// Changes that were submitted and may not be durable yet.
#[derive(Debug)]
pub struct PendingCommit {
    /// How many changes.
    pub(super) count: usize,
    /// Their results.
    pub(super) waiting: oneshot::Receiver<Result<ChangeResults>>,
}

impl PendingCommit {
    /// Waits until they are durable; gives their results, in their order.
    pub async fn results(self) -> ChangeResults {
        let answer = self.waiting.await.map_err(|_| writer_stopped());
        answer
            .flatten()
            .unwrap_or_else(|error| vec![Err(error); self.count])
    }
}

/// The error of a request that the writer no longer answers.
pub fn writer_stopped() -> LedgerError {
    LedgerError::CannotWrite("the ledger's writer has stopped".into())
}
