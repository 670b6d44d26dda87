//! `ledger copy` from and to a file.

use std::fs::File;
use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};

use super::errors::translate;
use super::transitions::PADDING_AT_ENROLMENT;
use super::{connection, file_checks, runs, schema, wal};
use crate::config::{LedgerFiles, LedgerLocation};
use crate::files::{beside, folder_of};
use crate::ledger::copy_tables::{
    CopyState, Kind, LedgerIdentity, PAGE, Row, Table, TargetState, Value,
};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::lock::RunLock;
use crate::ledger::witness::{self, Id};

/// One side of a copy: the ledger that is moved away, or the one that it is copied into. No run can use either.
pub struct CopySide {
    path: PathBuf,
    /// None while there is no ledger.
    connection: Option<Connection>,
    _lock: RunLock,
}

impl CopySide {
    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("the copy was begun")
    }

    fn done<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|error| translate(&self.path, &error))
    }

    /// Its id, key and counter.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn identity(&self) -> Result<LedgerIdentity> {
        let connection = self.connection();
        let identity = || {
            let counter = "SELECT changes FROM meta";
            Ok(LedgerIdentity {
                id: schema::id(connection)?.unwrap_or_default(),
                key: schema::key(connection)?,
                changes: connection.query_row(counter, [], |row| row.get(0))?,
            })
        };
        self.done(identity())
    }

    /// Reads a table in pages.
    ///
    /// # Errors
    /// If it cannot be read, and as `each`.
    pub async fn read(
        &self,
        table: &Table,
        mut each: impl AsyncFnMut(Vec<Row>) -> Result<()>,
    ) -> Result<()> {
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {}",
            table.names(),
            table.name,
            table.key.join(", ")
        );
        let mut statement = self.done(self.connection().prepare(&sql))?;
        let mut rows = self.done(statement.query([]))?;
        let mut page = Vec::with_capacity(PAGE);
        while let Some(row) = self.done(rows.next())? {
            let columns = 0..table.columns.len();
            let values = columns.map(|column| row.get_ref(column).map(value));
            page.push(self.done(values.collect())?);
            if page.len() == PAGE {
                each(std::mem::take(&mut page)).await?;
            }
        }
        if page.is_empty() {
            return Ok(());
        }
        each(page).await
    }
}

/// The steps of a ledger that is moved away.
impl CopySide {
    /// Opens a ledger, and keeps all others from writing it.
    ///
    /// # Errors
    /// If it is missing, in use, older than its witness or has armed invitations.
    pub fn open_source(files: &LedgerFiles) -> Result<Self> {
        let path = &files.file;
        file_checks::check(path)?;
        file_checks::check_writable(path)?;
        let lock = RunLock::take(path)?;
        let unreadable = |error: std::io::Error| file_checks::cannot_open(path, &error);
        let content = witness::read(&files.witness)?;
        let log_missing = wal::is_missing(path).map_err(unreadable)?;
        let connection = connection::open_to_copy(path)?;
        let staleness = runs::staleness(&connection, content, log_missing);
        if let Some(staleness) = staleness.map_err(|error| translate(path, &error))? {
            drop(connection);
            if log_missing {
                wal::remove_if_empty(path);
            }
            return Err(staleness.error(&LedgerLocation::File(files.clone())));
        }
        // Another connection, of a reader or a short run, would keep the log.
        connection::leave_log(&connection, path)?;
        let source = Self {
            path: path.clone(),
            connection: Some(connection),
            _lock: lock,
        };
        if source.state()? == CopyState::Own {
            source.done(source.begin_move(witness::random_id()?))?;
            source.refuse_armed()?;
        }
        Ok(source)
    }

    /// Begins the transaction that ends with the mark. `id` becomes the ledger's id if it has none.
    fn begin_move(&self, id: Id) -> rusqlite::Result<()> {
        self.connection().execute_batch("BEGIN IMMEDIATE")?;
        schema::migrate(self.connection(), id)
    }

    fn refuse_armed(&self) -> Result<()> {
        let armed = "SELECT count(*) FROM invitation WHERE state = 'armed'";
        let armed = self.connection().query_row(armed, [], |row| row.get(0));
        match self.done::<i64>(armed)? {
            0 => Ok(()),
            armed => Err(LedgerError::Unusable(format!(
                "the ledger `{}` has {armed} armed invitations of a run that was killed; run `access-invite send --limit 0` with it, which makes them `unknown`, and then copy it",
                self.path.display()
            ))),
        }
    }

    /// Whether it was moved before.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn state(&self) -> Result<CopyState> {
        self.done(schema::copy_state(self.connection()))
    }

    /// Marks it as moved: it is not written any more.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn mark(&self, to: &str) -> Result<()> {
        let marked = schema::mark_as_moved(self.connection(), to);
        self.done(marked.and_then(|()| self.connection().execute_batch("COMMIT")))
    }

    /// Notes that the copy is in use.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&self) -> Result<()> {
        let finish = "UPDATE place SET finished = 1";
        self.done(self.connection().execute_batch(finish))
    }
}

/// The steps of a copy.
impl CopySide {
    /// Opens the file, if there is one, and keeps all others from writing it.
    ///
    /// # Errors
    /// If it is in use, or cannot be opened.
    pub fn open_target(files: &LedgerFiles) -> Result<Self> {
        let path = &files.file;
        let lock = RunLock::take(path)?;
        // What was begun and killed at once is empty.
        let exists = std::fs::metadata(path).is_ok_and(|it| it.len() > 0);
        let connection = exists.then(|| connection::open_to_copy(path));
        Ok(Self {
            path: path.clone(),
            connection: connection.transpose()?,
            _lock: lock,
        })
    }

    /// What is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn target_state(&self) -> Result<TargetState> {
        if self.connection.is_none() {
            return Ok(TargetState::Absent);
        }
        Ok(match self.state()? {
            CopyState::Incomplete { from } => TargetState::Incomplete { from },
            CopyState::Own | CopyState::Moved { .. } => TargetState::InUse,
        })
    }

    /// Begins a copy of `from`, in place of one that was begun before.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn begin(&mut self, identity: &LedgerIdentity, from: &str) -> Result<()> {
        self.connection = None;
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let _ = std::fs::remove_file(beside(&self.path, suffix));
        }
        let connection = connection::create_incomplete(&self.path, identity, from)?;
        self.done(connection.execute_batch("BEGIN IMMEDIATE"))?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Adds rows to a table.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, table: &Table, rows: &[Row]) -> Result<()> {
        self.done(write(self.connection(), table, rows))
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn commit(&self) -> Result<()> {
        self.done(self.connection().execute_batch("COMMIT"))?;
        let synced = File::open(folder_of(&self.path)).and_then(|it| it.sync_all());
        synced.map_err(|error| {
            LedgerError::CannotWrite(format!(
                "cannot write the folder of `{}`: {error}",
                self.path.display()
            ))
        })
    }

    /// Makes it a ledger of its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn enable(&self) -> Result<()> {
        self.done(schema::enable(self.connection()))
    }
}

fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        // The tables are strict: there are no other numbers.
        ValueRef::Real(_) => Value::Null,
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

fn write(connection: &Connection, table: &Table, rows: &[Row]) -> rusqlite::Result<()> {
    let places: Vec<_> = table.columns.iter().map(|_| "?").collect();
    let (names, places) = (table.names(), places.join(", "));
    // A row that is still to be sent gets the padding that it has after its enrolment.
    let sql = if table.name == "invitation" {
        format!("INSERT INTO invitation ({names}, room) VALUES ({places}, zeroblob(?))")
    } else {
        format!("INSERT INTO {} ({names}) VALUES ({places})", table.name)
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let state = table
        .columns
        .iter()
        .position(|it| *it == ("state", Kind::Text));
    for row in rows {
        let mut values: Vec<_> = row.iter().map(sql_value).collect();
        if table.name == "invitation" {
            let state = state.map(|it| &row[it]);
            let open = ["pending", "deferred"].map(|it| Value::Text(it.into()));
            let padding = state.is_some_and(|it| open.contains(it));
            let padding = if padding { PADDING_AT_ENROLMENT } else { 0 };
            values.push(ToSqlOutput::Owned(SqlValue::Integer(padding)));
        }
        statement.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

fn sql_value(value: &Value) -> ToSqlOutput<'_> {
    match value {
        Value::Null => ToSqlOutput::Owned(SqlValue::Null),
        Value::Int(number) => ToSqlOutput::Owned(SqlValue::Integer(*number)),
        Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invitation::MessageIdKey;
    use crate::ledger::copy_tables::TABLES;

    #[test]
    fn every_column_of_a_file_is_copied() {
        let connection = connection::in_memory(&MessageIdKey::random().unwrap()).unwrap();
        let mut statement = connection
            .prepare(
                "SELECT t.name || '.' || c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
                 WHERE t.type = 'table' AND t.name NOT IN ('secret', 'meta', 'spare', 'witness')
                    AND c.name != 'room'",
            )
            .unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap();
        let mut found: Vec<String> = found.map(|it| it.unwrap()).collect();
        let mut copied: Vec<String> = (TABLES.iter())
            .flat_map(|table| {
                let columns = table.columns.iter();
                columns.map(|(column, _)| format!("{}.{column}", table.name))
            })
            .collect();
        found.sort();
        copied.sort();
        assert_eq!(copied, found);
    }
}
