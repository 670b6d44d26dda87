//! Changes on their way into a commit.

use tokio::sync::oneshot;

use super::error::{LedgerError, Result};
use super::records::ChangeResults;

/// Receives the result of a request once it is durable.
pub type Responder<T> = oneshot::Sender<Result<T>>;

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
