//! `ledger copy` from and to a database.

use tokio_postgres::types::ToSql;

use super::connection::Session;
use super::errors::Failure;
use super::writer::ORDER_LOCK;
use super::{rows, schema, server, staleness};
use crate::config::{LedgerLocation, LedgerServer};
use crate::ledger::copy_tables::{
    CopyState, Kind, LedgerIdentity, PAGE, Row, TABLES, Table, TargetState, Value,
};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::witness;

/// A ledger that is moved away. No run can use it meanwhile.
pub struct CopySource(Copied);

/// The database that a ledger is copied into.
pub struct CopyTarget(Copied);

/// A ledger with its connection.
struct Copied {
    name: String,
    session: Session,
}

impl Copied {
    async fn connect(server: &LedgerServer) -> Result<Self> {
        let name = server.name().to_owned();
        let session = Session::connect(server).await;
        let session = session.map_err(|failure| failure.translate(&name))?;
        let copied = Self { name, session };
        // The other ledger may be slow.
        let settings = "SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '30s'";
        copied.done(copied.session.batch(settings).await)?;
        Ok(copied)
    }

    fn done<T>(&self, result: std::result::Result<T, Failure>) -> Result<T> {
        result.map_err(|failure| failure.translate(&self.name))
    }

    async fn identity(&self) -> Result<LedgerIdentity> {
        let read = async {
            let (id, key, _) = schema::identity(&self.session).await?;
            let row = self.session.query_one("SELECT last_value FROM change", &[]);
            let changes = rows::value(&row.await?, 0)?;
            Ok(LedgerIdentity { id, key, changes })
        };
        self.done(read.await)
    }

    async fn read(
        &self,
        table: &Table,
        mut each: impl AsyncFnMut(Vec<Row>) -> Result<()>,
    ) -> Result<()> {
        let declare = format!(
            "DECLARE copied NO SCROLL CURSOR WITH HOLD FOR {}",
            select(table)
        );
        self.done(self.session.batch(&declare).await)?;
        let fetch = format!("FETCH {PAGE} FROM copied");
        loop {
            let found = self.done(self.session.query_once(&fetch, &[]).await)?;
            if found.is_empty() {
                break;
            }
            let page: std::result::Result<Vec<_>, Failure> =
                found.iter().map(|row| values(table, row)).collect();
            each(self.done(page)?).await?;
        }
        self.done(self.session.batch("CLOSE copied").await)
    }
}

impl CopySource {
    /// Opens a ledger, and keeps all others from writing it.
    ///
    /// # Errors
    /// If it is missing, in use, older than its witness or has armed invitations.
    pub async fn open(server: &LedgerServer) -> Result<Self> {
        let content = witness::read(&server.witness)?;
        let copied = Copied::connect(server).await?;
        let session = &copied.session;
        let version = copied.done(schema::version(session).await)?;
        schema::check_version(&copied.name, version)?;
        let (id, ..) = copied.done(schema::identity(session).await)?;
        if let Some(staleness) = copied.done(staleness::staleness(session, id, content).await)? {
            let location = LedgerLocation::Server(Box::new(server.clone()));
            return Err(staleness.error(&location));
        }
        let source = Self(copied);
        if source.state().await? == CopyState::Own {
            source.lock().await?;
            source.refuse_use().await?;
        }
        Ok(source)
    }

    /// Waits for the transactions that are open, and prevents others and new runs until the connection ends.
    async fn lock(&self) -> Result<()> {
        let session = &self.0.session;
        let locked = async {
            session
                .query("SELECT pg_advisory_lock($1)", &[&ORDER_LOCK])
                .await?;
            session
                .batch("BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE run IN EXCLUSIVE MODE")
                .await
        };
        self.0.done(locked.await)
    }

    async fn refuse_use(&self) -> Result<()> {
        let row = self
            .0
            .session
            .query_one(
                "SELECT (SELECT host FROM run WHERE ended_at IS NULL AND lost_at IS NULL
                    AND lease_until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint LIMIT 1),
                    (SELECT count(*) FROM invitation WHERE state = 'armed')",
                &[],
            )
            .await;
        let row = self.0.done(row)?;
        let (host, armed): (Option<String>, i64) = (row.get(0), row.get(1));
        let name = &self.0.name;
        match (host, armed) {
            (Some(host), _) => Err(LedgerError::Busy(format!(
                "a run of the host `{host}` is using the ledger `{name}`; copy it when it has ended"
            ))),
            (None, 0) => Ok(()),
            (None, armed) => Err(LedgerError::Unusable(format!(
                "the ledger `{name}` has {armed} armed invitations of a run that was killed; run `access-invite send --limit 0` with it, which makes them `unknown`, and then copy it"
            ))),
        }
    }

    /// Whether it was moved before.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn state(&self) -> Result<CopyState> {
        let row = self
            .0
            .session
            .query_one("SELECT moved_to, move_finished FROM meta", &[])
            .await;
        let row = self.0.done(row)?;
        Ok(match row.get(0) {
            Some(to) => CopyState::Moved {
                to,
                finished: row.get(1),
            },
            None => CopyState::Own,
        })
    }

    /// Its id, key and counter.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn identity(&self) -> Result<LedgerIdentity> {
        self.0.identity().await
    }

    /// Reads a table in pages.
    ///
    /// # Errors
    /// If it cannot be read, and as `each`.
    pub async fn read(
        &self,
        table: &Table,
        each: impl AsyncFnMut(Vec<Row>) -> Result<()>,
    ) -> Result<()> {
        self.0.read(table, each).await
    }

    /// Marks it as moved: it is not written any more, not by connections either that are open.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn mark(&self, to: &str) -> Result<()> {
        let session = &self.0.session;
        let marked = async {
            session
                .execute(
                    "UPDATE meta SET moved_to = $1, move_finished = false",
                    &[&to],
                )
                .await?;
            session
                .batch("UPDATE writer SET epoch = epoch + 1; COMMIT")
                .await
        };
        self.0.done(marked.await)
    }

    /// Notes that the copy is in use.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn finish(&self) -> Result<()> {
        let finished = self.0.session.batch("UPDATE meta SET move_finished = true");
        self.0.done(finished.await)
    }
}

impl CopyTarget {
    /// Connects to the database.
    ///
    /// # Errors
    /// If it cannot be reached, or the server may lose what it has acknowledged.
    pub async fn open(server: &LedgerServer) -> Result<Self> {
        let copied = Copied::connect(server).await?;
        copied.done(server::check_durability(&copied.session, server).await)?;
        // No two copies into one database at a time.
        let locked = copied
            .session
            .query("SELECT pg_advisory_lock($1)", &[&schema::MIGRATION_LOCK])
            .await;
        copied.done(locked)?;
        Ok(Self(copied))
    }

    /// What is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn state(&self) -> Result<TargetState> {
        self.0.done(schema::target_state(&self.0.session).await)
    }

    /// Begins a copy of `from`, in place of one that was begun before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn begin(&mut self, identity: &LedgerIdentity, from: &str) -> Result<()> {
        let session = &self.0.session;
        let begun = async {
            if schema::target_state(session).await? == TargetState::Absent {
                schema::create_incomplete(session, &identity.key, identity.id, from).await?;
            }
            session.batch("BEGIN").await?;
            let names: Vec<_> = TABLES.iter().map(|it| it.name).collect();
            let truncate = format!("TRUNCATE writer, {}", names.join(", "));
            session.batch(&truncate).await?;
            session
                .execute(
                    "UPDATE meta SET ledger_id = $1, message_id_key = $2",
                    &[&&identity.id[..], &&identity.key.0[..]],
                )
                .await?;
            session
                .query(
                    "SELECT setval('change', greatest($1::bigint, 1))",
                    &[&identity.changes],
                )
                .await
        };
        self.0.done(begun.await).map(drop)
    }

    /// Adds rows to a table.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn write(&self, table: &Table, rows: &[Row]) -> Result<()> {
        let columns: Vec<_> = (0..table.columns.len())
            .map(|column| array(table, rows, column))
            .collect();
        let columns: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|it| &**it as _).collect();
        let written = self.0.session.query_once(&insert(table), &columns).await;
        self.0.done(written).map(drop)
    }

    /// Makes all that was written durable, and new rows get higher numbers.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn commit(&self) -> Result<()> {
        let numbered = [
            ("run", "number"),
            ("invitation", "id"),
            ("history", "id"),
            ("gap", "id"),
            ("approval", "id"),
        ];
        for (table, column) in numbered {
            let statement = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"
            );
            self.0.done(self.0.session.batch(&statement).await)?;
        }
        let statements = "COMMIT; ANALYZE invitation, history, run";
        self.0.done(self.0.session.batch(statements).await)
    }

    /// Reads a table in pages.
    ///
    /// # Errors
    /// If it cannot be read, and as `each`.
    pub async fn read(
        &self,
        table: &Table,
        each: impl AsyncFnMut(Vec<Row>) -> Result<()>,
    ) -> Result<()> {
        self.0.read(table, each).await
    }

    /// Its id, key and counter.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn identity(&self) -> Result<LedgerIdentity> {
        self.0.identity().await
    }

    /// Makes it a ledger of its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn enable(&self) -> Result<()> {
        self.0.done(schema::enable(&self.0.session).await)
    }
}

/// The rows of a table in the order of its key, with the values of a file.
fn select(table: &Table) -> String {
    let columns: Vec<_> = (table.columns.iter())
        .map(|(name, kind)| match kind {
            Kind::Int => format!("{name}::bigint"),
            Kind::Bool => format!("{name}::integer::bigint"),
            Kind::Text | Kind::Bytes => (*name).to_owned(),
        })
        .collect();
    let key: Vec<_> = (table.key.iter())
        .map(|name| match kind_of(table, name) {
            Kind::Text => format!("{name} COLLATE \"C\""),
            _ => (*name).to_owned(),
        })
        .collect();
    // A run has the id and the counter of the writer that came furthest.
    let from = match table.name {
        "run" => {
            "(SELECT run.*, coalesce(writer.id, decode(md5('run ' || number), 'hex')) AS id,
                coalesce(writer.changes, 0) AS changes
              FROM run LEFT JOIN (SELECT DISTINCT ON (run) run, id, changes FROM writer
                ORDER BY run, changes DESC) AS writer ON writer.run = run.number) AS run"
        }
        name => name,
    };
    format!(
        "SELECT {} FROM {from} ORDER BY {}",
        columns.join(", "),
        key.join(", ")
    )
}

fn kind_of(table: &Table, column: &str) -> Kind {
    let found = table.columns.iter().find(|(name, _)| *name == column);
    found.map_or(Kind::Int, |(_, kind)| *kind)
}

/// A statement that inserts rows, with an array for each column.
fn insert(table: &Table) -> String {
    let arrays: Vec<_> = (table.columns.iter().enumerate())
        .map(|(number, (_, kind))| {
            let array = match kind {
                Kind::Int | Kind::Bool => "bigint",
                Kind::Text => "text",
                Kind::Bytes => "bytea",
            };
            format!("${}::{array}[]", number + 1)
        })
        .collect();
    let names = table.names();
    let new = format!("unnest({}) AS new ({names})", arrays.join(", "));
    if table.name == "run" {
        let of_run: Vec<_> = (table.columns.iter())
            .map(|(name, _)| *name)
            .filter(|it| !["id", "changes"].contains(it))
            .collect();
        let of_run = of_run.join(", ");
        return format!(
            "WITH new AS (SELECT * FROM {new}),
             runs AS (INSERT INTO run ({of_run}, lease_until) OVERRIDING SYSTEM VALUE
                SELECT {of_run}, coalesce(ended_at, started_at) FROM new)
             INSERT INTO writer (id, run, epoch, changes) SELECT id, number, 0, changes FROM new"
        );
    }
    let values: Vec<_> = (table.columns.iter())
        .map(|(name, kind)| match kind {
            Kind::Bool => format!("{name}::integer::boolean"),
            _ => (*name).to_owned(),
        })
        .collect();
    format!(
        "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT {} FROM {new}",
        table.name,
        values.join(", ")
    )
}

/// The values of a column.
fn array(table: &Table, rows: &[Row], column: usize) -> Box<dyn ToSql + Sync> {
    fn column_of<T>(
        rows: &[Row],
        column: usize,
        value: impl Fn(&Value) -> Option<T>,
    ) -> Vec<Option<T>> {
        rows.iter().map(|it| value(&it[column])).collect()
    }
    match table.columns[column].1 {
        Kind::Int | Kind::Bool => Box::new(column_of(rows, column, |it| match it {
            Value::Int(number) => Some(*number),
            _ => None,
        })),
        Kind::Text => Box::new(column_of(rows, column, |it| match it {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })),
        Kind::Bytes => Box::new(column_of(rows, column, |it| match it {
            Value::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        })),
    }
}

fn values(table: &Table, row: &tokio_postgres::Row) -> std::result::Result<Row, Failure> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(column, (_, kind))| {
            let value = match kind {
                Kind::Int | Kind::Bool => rows::value::<Option<i64>>(row, column)?.map(Value::Int),
                Kind::Text => rows::value::<Option<String>>(row, column)?.map(Value::Text),
                Kind::Bytes => rows::value::<Option<Vec<u8>>>(row, column)?.map(Value::Bytes),
            };
            Ok(value.unwrap_or(Value::Null))
        })
        .collect()
}
