//! A view of the ledger, on a connection and a thread of its own, so that reading never delays a final dot.
//!
//! A query whose connection was lost is repeated on a new one, because it changes nothing. Only a snapshot is lost
//! with its connection.

use std::path::Path;

use tokio::sync::{mpsc, oneshot};

use super::connection::Session;
use super::errors::Failure;
use super::staleness::staleness;
use super::thread::{Work, boxed};
use super::{rows, schema, thread};
use crate::config::LedgerServer;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::opened::Opened;
use crate::ledger::witness::{self, Id};

/// How many records a page has.
pub(super) const PAGE: i64 = 500;

/// A view of a ledger.
pub struct Reader {
    name: String,
    queries: mpsc::UnboundedSender<Work<View>>,
    /// What was found out when it was opened.
    pub opened: Opened,
}

/// What the thread has.
struct View {
    server: LedgerServer,
    /// None after the connection was lost.
    session: Option<Session>,
    /// Whether all queries see the same state of the ledger.
    is_snapshot: bool,
}

impl Reader {
    /// Opens the ledger for reading.
    pub fn open(server: &LedgerServer) -> Result<Self> {
        let of_thread = server.clone();
        let open = async move || open_view(of_thread).await;
        let serve = async |mut view: View, mut queue: mpsc::UnboundedReceiver<Work<View>>| {
            while let Some(query) = queue.recv().await {
                query(&mut view).await;
            }
        };
        let (queries, _, opened) = thread::start("ledger-reader", server, open, serve)?;
        Ok(Self {
            name: server.name().to_owned(),
            queries,
            opened,
        })
    }

    /// Begins a snapshot.
    pub async fn begin_snapshot(&self) -> Result<()> {
        let begin = async |session: &Session| {
            session
                .batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                .await?;
            // The first query takes the snapshot.
            match session.query_one("SELECT count(*) FROM meta", &[]).await {
                Ok(_) => Ok(()),
                Err(failure) => {
                    let _ = session.batch("ROLLBACK").await;
                    Err(failure)
                }
            }
        };
        self.on_thread(async move |view| {
            view.run(&begin).await?;
            view.is_snapshot = true;
            Ok(())
        })
        .await
    }

    /// Ends the snapshot.
    pub async fn end_snapshot(&self) -> Result<()> {
        self.on_thread(async |view| {
            let ended = view
                .run(&async |session: &Session| session.batch("COMMIT").await)
                .await;
            view.is_snapshot = false;
            ended
        })
        .await
    }

    /// The server refuses damaged pages itself, if it was set up with checksums.
    pub async fn examine(&self) -> Result<()> {
        self.id().await.map(drop)
    }

    /// The ledger's id.
    pub async fn id(&self) -> Result<Option<Id>> {
        self.query(async |session: &Session| Ok(Some(schema::identity(session).await?.0)))
            .await
    }

    /// A database is not copied into a file: PostgreSQL has a program for that.
    pub fn copy_to(&self, _path: &Path) -> impl Future<Output = Result<()>> + use<> {
        std::future::ready(Err(LedgerError::Unsafe(format!(
            "the ledger `{}` is in a database, which is not copied into a file; back it up with `pg_dump --format=custom --schema=access_invite`",
            self.name
        ))))
    }

    /// The answer of a query, which may be asked a second time.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        query: impl AsyncFn(&Session) -> std::result::Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.on_thread(async move |view| view.run(&query).await)
            .await
    }

    /// Does something on the thread, to its end, even if nobody waits for it any more.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, waiting) = oneshot::channel();
        let work = boxed(move |view: &mut View| {
            Box::pin(async move { drop(answer.send(work(view).await)) })
        });
        let _ = self.queries.send(work);
        let stopped = |_| LedgerError::CannotWrite("the ledger's reader has stopped".into());
        waiting.await.map_err(stopped)?
    }
}

impl View {
    async fn run<T>(
        &mut self,
        query: &impl AsyncFn(&Session) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let mut answer = self.try_once(query).await;
        if let Err(Failure::Lost(_)) = &answer {
            self.session = None;
            if !self.is_snapshot {
                answer = self.try_once(query).await;
            }
        }
        if let Err(Failure::Lost(_)) = &answer {
            self.session = None;
        }
        answer.map_err(|failure| failure.translate(self.server.name()))
    }

    async fn try_once<T>(
        &mut self,
        query: &impl AsyncFn(&Session) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        let session = match &mut self.session {
            Some(session) => session,
            none if !self.is_snapshot => none.insert(connect(&self.server).await?),
            _ => return Err(Failure::Lost("with it, the snapshot".into())),
        };
        query(session).await
    }
}

async fn open_view(server: LedgerServer) -> std::result::Result<(View, Opened), Failure> {
    // Before the ledger, because writers advance it after they have committed.
    let witness = witness::read(&server.witness)?;
    let session = connect(&server).await?;
    schema::check_version(server.name(), schema::version(&session).await?)?;
    let (id, key, moved_to) = schema::identity(&session).await?;
    let opened = Opened {
        key,
        live: is_live(&session).await?,
        staleness: staleness(&session, id, witness).await?,
        moved_to,
    };
    let view = View {
        server,
        session: Some(session),
        is_snapshot: false,
    };
    Ok((view, opened))
}

async fn connect(server: &LedgerServer) -> std::result::Result<Session, Failure> {
    let session = Session::connect(server).await?;
    // So that a page is read in the order of the primary key, and not sorted anew each time, even if the server has
    // no statistics yet; and so that conditions that are not asked for cost nothing.
    session
        .batch("SET enable_sort = off; SET jit = off; SET plan_cache_mode = force_custom_plan")
        .await?;
    Ok(session)
}

/// Whether a run is using the ledger.
async fn is_live(session: &Session) -> std::result::Result<bool, Failure> {
    let row = session
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM run WHERE ended_at IS NULL AND lost_at IS NULL
                AND lease_until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
            &[],
        )
        .await?;
    rows::value(&row, 0)
}
