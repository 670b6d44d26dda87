//! `ledger copy` from and to a database.

use tokio_postgres::types::ToSql;

use super::connection::Session;
use super::errors::Failure;
use super::writer::ORDER_LOCK;
use super::{rows, schema, server, staleness};
use crate::config::{LedgerLocation, LedgerServer};
use crate::ledger::columns::Columns;
use crate::ledger::copy_tables::{
    CopyState, Kind, LedgerIdentity, PAGE, Row, TABLES, Table, TargetState, Value,
};
use crate::ledger::error::LedgerError;
use crate::ledger::witness;

/// One side of a copy: the ledger that is moved away, or the one that it is copied into. No run can use either.
pub struct CopySide {
    name: String,
    session: Session,
}

impl CopySide {
    async fn connect(server: &LedgerServer) -> Result<Self, Failure> {
        let session = Session::connect(server).await?;
        // The other ledger may be slow.
        session
            .batch("SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '30s'")
            .await?;
        Ok(Self {
            name: server.name().to_owned(),
            session,
        })
    }

    /// The result of a step, for its caller.
    ///
    /// # Errors
    /// If the step has failed.
    pub fn done<T>(&self, step: Result<T, Failure>) -> Result<T, LedgerError> {
        step.map_err(|failure| failure.translate(&self.name))
    }

    /// Its id, key and counter.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn identity(&self) -> Result<LedgerIdentity, Failure> {
        let (id, key, _) = schema::identity(&self.session).await?;
        let row = self
            .session
            .query_one("SELECT last_value FROM change", &[])
            .await?;
        let changes = row.number(0)?;
        Ok(LedgerIdentity { id, key, changes })
    }

    /// Reads a table in pages.
    ///
    /// # Errors
    /// If it cannot be read, and as `each`.
    pub async fn read(
        &self,
        table: &Table,
        mut each: impl AsyncFnMut(Vec<Row>) -> Result<(), LedgerError>,
    ) -> Result<(), Failure> {
        let declare = format!(
            "DECLARE copied NO SCROLL CURSOR WITH HOLD FOR {}",
            select(table)
        );
        self.session.batch(&declare).await?;
        let fetch = format!("FETCH {PAGE} FROM copied");
        loop {
            let found = self.session.query_once(&fetch, &[]).await?;
            if found.is_empty() {
                break;
            }
            let page = found.iter().map(|row| values(table, row));
            each(page.collect::<Result<_, _>>()?).await?;
        }
        self.session.batch("CLOSE copied").await
    }
}

/// The steps of a ledger that is moved away.
impl CopySide {
    /// Opens a ledger, and keeps all others from writing it.
    ///
    /// # Errors
    /// If it is missing, in use, older than its witness or has armed invitations.
    pub async fn open_source(server: &LedgerServer) -> Result<Self, Failure> {
        let content = witness::read(&server.witness)?;
        let source = Self::connect(server).await?;
        let session = &source.session;
        schema::check_version(&source.name, schema::version(session).await?)?;
        let (id, ..) = schema::identity(session).await?;
        if let Some(staleness) = staleness::staleness(session, id, content).await? {
            let location = LedgerLocation::Server(Box::new(server.clone()));
            return Err(staleness.error(&location).into());
        }
        if source.state().await? == CopyState::Own {
            source.lock().await?;
            source.refuse_use().await?;
        }
        Ok(source)
    }

    /// Waits for the transactions that are open, and prevents others and new runs until the connection ends.
    async fn lock(&self) -> Result<(), Failure> {
        self.session
            .query("SELECT pg_advisory_lock($1)", &[&ORDER_LOCK])
            .await?;
        self.session
            .batch("BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE run IN EXCLUSIVE MODE")
            .await
    }

    async fn refuse_use(&self) -> Result<(), Failure> {
        let row = self
            .session
            .query_one(
                "SELECT (SELECT host FROM run WHERE ended_at IS NULL AND lost_at IS NULL
                    AND lease_until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint LIMIT 1),
                    (SELECT count(*) FROM invitation WHERE state = 'armed')",
                &[],
            )
            .await?;
        let (host, armed): (Option<String>, i64) = (row.get(0), row.get(1));
        let name = &self.name;
        let refused = match (host, armed) {
            (Some(host), _) => LedgerError::Busy(format!(
                "a run of the host `{host}` is using the ledger `{name}`; copy it when it has ended"
            )),
            (None, 0) => return Ok(()),
            (None, armed) => LedgerError::Unusable(format!(
                "the ledger `{name}` has {armed} armed invitations of a run that was killed; run `access-invite send --limit 0` with it, which makes them `unknown`, and then copy it"
            )),
        };
        Err(refused.into())
    }

    /// Whether it was moved before.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn state(&self) -> Result<CopyState, Failure> {
        let row = self
            .session
            .query_one("SELECT moved_to, move_finished FROM meta", &[])
            .await?;
        Ok(match row.get(0) {
            Some(to) => CopyState::Moved {
                to,
                finished: row.get(1),
            },
            None => CopyState::Own,
        })
    }

    /// Marks it as moved: it is not written any more, not by connections either that are open.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn mark(&self, to: &str) -> Result<(), Failure> {
        self.session
            .execute(
                "UPDATE meta SET moved_to = $1, move_finished = false",
                &[&to],
            )
            .await?;
        self.session
            .batch("UPDATE writer SET epoch = epoch + 1; COMMIT")
            .await
    }

    /// Notes that the copy is in use.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn finish(&self) -> Result<(), Failure> {
        self.session
            .batch("UPDATE meta SET move_finished = true")
            .await
    }
}

/// The steps of a copy.
impl CopySide {
    /// Connects to the database.
    ///
    /// # Errors
    /// If it cannot be reached, or the server may lose what it has acknowledged.
    pub async fn open_target(server: &LedgerServer) -> Result<Self, Failure> {
        let target = Self::connect(server).await?;
        server::check_durability(&target.session, server).await?;
        // No two copies into one database at a time.
        target
            .session
            .query("SELECT pg_advisory_lock($1)", &[&schema::MIGRATION_LOCK])
            .await?;
        Ok(target)
    }

    /// What is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn target_state(&self) -> Result<TargetState, Failure> {
        schema::target_state(&self.session).await
    }

    /// Begins a copy of `from`, in place of one that was begun before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn begin(&mut self, identity: &LedgerIdentity, from: &str) -> Result<(), Failure> {
        let session = &self.session;
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
            .map(drop)
    }

    /// Adds rows to a table.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn write(&self, table: &Table, rows: &[Row]) -> Result<(), Failure> {
        let columns: Vec<_> = (0..table.columns.len())
            .map(|column| array(table, rows, column))
            .collect();
        let columns: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|it| &**it as _).collect();
        self.session
            .query_once(&insert(table), &columns)
            .await
            .map(drop)
    }

    /// Makes all that was written durable, and new rows get higher numbers.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn commit(&self) -> Result<(), Failure> {
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
            self.session.batch(&statement).await?;
        }
        self.session
            .batch("COMMIT; ANALYZE invitation, history, run")
            .await
    }

    /// Makes it a ledger of its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn enable(&self) -> Result<(), Failure> {
        schema::enable(&self.session).await
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

fn values(table: &Table, row: &tokio_postgres::Row) -> Result<Row, Failure> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(column, (_, kind))| {
            let value = match kind {
                Kind::Int | Kind::Bool => row.optional_number(column)?.map(Value::Int),
                Kind::Text => row.optional_string(column)?.map(Value::Text),
                Kind::Bytes => rows::value::<Option<Vec<u8>>>(row, column)?.map(Value::Bytes),
            };
            Ok(value.unwrap_or(Value::Null))
        })
        .collect()
}
