//! Asking for the record: requests to the desk, which commits whatever is queued, and their answers.
//!
//! A request is answered only when it is durable.

use std::path::Path;
use std::sync::mpsc;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::desk::{Desk, Gap, Recorded};
use super::runs::RunEnd;
use super::{Change, Enrolment, notices};
use crate::exit::{self, Exit, Failure};
use crate::invitation::{MessageIdKey, State};

pub type Answer<T> = oneshot::Sender<exit::Result<T>>;
/// What came of each change of a request.
pub type Verdicts = Vec<exit::Result<State>>;

pub enum Request {
    Recover(Timestamp, Answer<u64>),
    /// For so many attempts, in this campaign.
    BeginEnrolment(u64, String, Timestamp, Answer<()>),
    Enrol(Vec<Enrolment>, Timestamp, Answer<()>),
    CommitEnrolment(Answer<()>),
    AcceptOlder(Gap, Answer<u64>),
    EndRun(RunEnd, Answer<()>),
    Apply(Vec<Change>, Answer<Verdicts>),
    Notice(String, notices::Action, Answer<Option<Timestamp>>),
    Close(Answer<()>),
}

/// The asking side.
pub enum Writer {
    /// The desk works on a thread of its own.
    Beside(mpsc::Sender<Request>),
    /// In the simulation it works where it is asked, so that nothing hangs on threads.
    #[cfg(test)]
    Here(super::staged::Stage),
}

impl Writer {
    pub fn start(
        path: &Path,
        connection: Connection,
        key: MessageIdKey,
        run: Option<Recorded>,
    ) -> Self {
        let (sender, queue) = mpsc::channel();
        let desk = Desk::new(path, connection, key, run);
        std::thread::spawn(move || desk.serve(&queue));
        Self::Beside(sender)
    }

    pub async fn recover(&self, at: Timestamp) -> exit::Result<u64> {
        self.ask(|answer| Request::Recover(at, answer)).await
    }

    pub async fn enrol(&self, invitations: Vec<Enrolment>, at: Timestamp) -> exit::Result<()> {
        self.ask(|answer| Request::Enrol(invitations, at, answer))
            .await
    }

    pub async fn begin_enrolment(
        &self,
        attempts: u64,
        campaign: &str,
        at: Timestamp,
    ) -> exit::Result<()> {
        let campaign = campaign.to_owned();
        self.ask(|answer| Request::BeginEnrolment(attempts, campaign, at, answer))
            .await
    }

    pub async fn commit_enrolment(&self) -> exit::Result<()> {
        self.ask(Request::CommitEnrolment).await
    }

    pub async fn accept_older(&self, gap: Gap) -> exit::Result<u64> {
        self.ask(|answer| Request::AcceptOlder(gap, answer)).await
    }

    pub async fn end_run(&self, end: RunEnd) -> exit::Result<()> {
        self.ask(|answer| Request::EndRun(end, answer)).await
    }

    pub fn apply(&self, changes: Vec<Change>) -> Asked {
        let count = changes.len();
        let (answer, waiting) = oneshot::channel();
        self.hand_over(Request::Apply(changes, answer));
        Asked { count, waiting }
    }

    pub async fn notice(
        &self,
        name: &str,
        action: notices::Action,
    ) -> exit::Result<Option<Timestamp>> {
        self.ask(|answer| Request::Notice(name.to_owned(), action, answer))
            .await
    }

    pub async fn close(self) -> exit::Result<()> {
        self.ask(Request::Close).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> exit::Result<T> {
        let (answer, waiting) = oneshot::channel();
        self.hand_over(request(answer));
        waiting.await.map_err(|_| gone())?
    }

    /// Where the desk has stopped, the request is dropped, and whoever waits learns it so.
    fn hand_over(&self, request: Request) {
        match self {
            Self::Beside(desk) => drop(desk.send(request)),
            #[cfg(test)]
            Self::Here(stage) => stage.take(request),
        }
    }
}

fn gone() -> Failure {
    Failure::new(Exit::CannotWrite, "the ledger's writer has stopped")
}

/// Changes that were asked for and are perhaps not durable yet.
#[derive(Debug)]
pub struct Asked {
    count: usize,
    waiting: oneshot::Receiver<exit::Result<Verdicts>>,
}

impl Asked {
    /// Waits until they are durable; gives what came of each, in their order.
    pub async fn verdicts(self) -> Verdicts {
        let answer = self.waiting.await.map_err(|_| gone());
        answer.flatten().unwrap_or_else(|failure| {
            let each = (0..self.count).map(|_| Err(Failure::new(failure.exit, &failure)));
            each.collect()
        })
    }
}
