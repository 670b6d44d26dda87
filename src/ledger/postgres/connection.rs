//! A connection to the server, with its prepared statements.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::connecting;
use super::errors::Failure;
use crate::config::LedgerServer;

/// The schema of the tables.
pub const SCHEMA: &str = "access_invite";
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_mins(1);

/// The shortest time after which the server ends a transaction that does nothing.
const SHORTEST_IDLE: Duration = Duration::from_secs(5);

/// Values of a statement.
pub type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection to the server. It lives on the runtime of the thread that opened it.
pub struct Session {
    client: Client,
    /// The URL of the ledger.
    pub url: String,
    /// The host, as messages call it.
    pub host: String,
    /// The server's version, as it calls it.
    pub version: String,
    statements: RefCell<HashMap<&'static str, Statement>>,
}

impl Session {
    /// Connects.
    pub async fn connect(server: &LedgerServer) -> Result<Self, Failure> {
        let opened = connecting::open(server).await?;
        let session = Self {
            client: opened.client,
            url: server.url.clone(),
            host: opened.host,
            version: opened.version,
            statements: RefCell::default(),
        };
        // A run that stands still in the middle of a transaction must not keep others for long from what it locks.
        let idle = server.lease.clamp(SHORTEST_IDLE, ANSWER).as_millis();
        session
            .batch(&format!(
                "SET search_path = {SCHEMA}; SET synchronous_commit = on;
                 SET idle_in_transaction_session_timeout = '{idle}ms'; SET TimeZone = 'UTC'"
            ))
            .await?;
        Ok(session)
    }

    /// The rows of a statement, which is prepared once.
    pub async fn query(&self, sql: &'static str, values: Values<'_>) -> Result<Vec<Row>, Failure> {
        let statement = self.prepare(sql).await?;
        answered(self.client.query(&statement, values)).await
    }

    /// The only row of a statement, if there is one.
    pub async fn query_opt(
        &self,
        sql: &'static str,
        values: Values<'_>,
    ) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, values).await?.pop())
    }

    /// The only row of a statement.
    pub async fn query_one(&self, sql: &'static str, values: Values<'_>) -> Result<Row, Failure> {
        self.query_opt(sql, values).await?.ok_or(Failure::NoEffect)
    }

    /// How many rows a statement has changed.
    pub async fn execute(&self, sql: &'static str, values: Values<'_>) -> Result<u64, Failure> {
        let statement = self.prepare(sql).await?;
        answered(self.client.execute(&statement, values)).await
    }

    /// The rows of a statement that is not asked again.
    pub async fn query_once(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Failure> {
        answered(self.client.query(sql, values)).await
    }

    /// Executes statements without values.
    pub async fn batch(&self, sql: &str) -> Result<(), Failure> {
        answered(self.client.batch_execute(sql)).await
    }

    /// Prepares statements, so that queries of them that are awaited together are sent together, in their order.
    pub async fn prepare_all(&self, statements: &[&'static str]) -> Result<(), Failure> {
        for sql in statements {
            self.prepare(sql).await?;
        }
        Ok(())
    }

    async fn prepare(&self, sql: &'static str) -> Result<Statement, Failure> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let statement = answered(self.client.prepare(sql)).await?;
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }
}

async fn answered<T>(
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    let no_answer = |_| Failure::Lost("the server does not answer".into());
    Ok(timeout(ANSWER, query).await.map_err(no_answer)??)
}
