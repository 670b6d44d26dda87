//! Moves a ledger to another place, between files and databases.
//!
//! The order is: copy all, compare both, mark the source as moved, make the copy a ledger of its own. Until the last
//! step, no run can use the copy; after the third, none can use the source. If it is interrupted, the same command
//! finishes it.

use super::copy_tables::{CopyState, LedgerIdentity, Row, TABLES, Table, TableDigest, TargetState};
use super::error::{LedgerError, Result};
use super::witness::{self, WitnessContent};
use super::{freshness, postgres, sqlite};
use crate::config::LedgerLocation;

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many invitations.
    pub invitations: u64,
    /// How many lines of history.
    pub events: u64,
    /// Whether all of it had been done before.
    pub known: bool,
}

/// One side of the copy: the source, or the target.
enum Side {
    Sqlite(sqlite::CopySide),
    Postgres(postgres::CopySide),
}

/// Calls a method of either store; that of a file does not wait.
macro_rules! on_store {
    ($side:expr, $it:ident => $call:expr) => {
        match $side {
            Side::Sqlite($it) => $call,
            Side::Postgres($it) => {
                let step = $call.await;
                $it.done(step)
            }
        }
    };
}

/// Moves a ledger.
///
/// # Errors
/// If a run is using the source or has left armed invitations in it, there is another ledger at the target, or one of
/// both cannot be used.
pub async fn copy(from: &LedgerLocation, to: &LedgerLocation) -> Result<Copied> {
    let (source_name, target_name) = (place(from), place(to));
    if source_name == target_name {
        return Err(LedgerError::Unusable(format!(
            "the ledger `{source_name}` cannot be copied onto itself; name another place"
        )));
    }
    let source = match from {
        LedgerLocation::File(files) => Side::Sqlite(sqlite::CopySide::open_source(files)?),
        LedgerLocation::Server(server) => {
            let opened = postgres::CopySide::open_source(server).await;
            Side::Postgres(opened.map_err(|failure| failure.translate(server.name()))?)
        }
    };
    let is_marked = match on_store!(&source, it => it.state())? {
        CopyState::Moved { to, finished } if to == target_name => {
            if finished {
                return Ok(Copied {
                    known: true,
                    ..Copied::default()
                });
            }
            true
        }
        CopyState::Moved { to, .. } => return Err(LedgerError::moved(&source_name, &to)),
        CopyState::Own | CopyState::Incomplete { .. } => false,
    };
    let identity = on_store!(&source, it => it.identity())?;
    let mut target = match to {
        LedgerLocation::File(files) => Side::Sqlite(sqlite::CopySide::open_target(files)?),
        LedgerLocation::Server(server) => {
            let opened = postgres::CopySide::open_target(server).await;
            Side::Postgres(opened.map_err(|failure| failure.translate(server.name()))?)
        }
    };
    let state = on_store!(&target, it => it.target_state())?;
    let mut copied = Copied::default();
    match state {
        // It was interrupted at the very end.
        TargetState::InUse if is_marked => {
            on_store!(&source, it => it.finish())?;
            copied.known = true;
            return Ok(copied);
        }
        TargetState::InUse => {
            return Err(LedgerError::Unusable(format!(
                "there is a ledger at `{target_name}` already; name a file that does not exist, or a database without one"
            )));
        }
        TargetState::Incomplete { from } if from != source_name => {
            return Err(LedgerError::incomplete(&from, &target_name));
        }
        TargetState::Absent => refuse_other_witness(to, &identity)?,
        TargetState::Incomplete { .. } => {}
    }
    let is_complete = is_marked && matches!(state, TargetState::Incomplete { .. });
    if !is_complete {
        on_store!(&mut target, it => it.begin(&identity, &source_name))?;
    }
    let mut digests = Vec::new();
    for table in &TABLES {
        let digest = copy_table(&source, (!is_complete).then_some(&target), table).await?;
        match table.name {
            "invitation" => copied.invitations = digest.rows,
            "history" => copied.events = digest.rows,
            _ => {}
        }
        digests.push(digest);
    }
    if !is_complete {
        on_store!(&target, it => it.commit())?;
    }
    compare(&target, &identity, &digests, &target_name).await?;
    if !is_marked {
        on_store!(&source, it => it.mark(&target_name))?;
    }
    on_store!(&target, it => it.enable())?;
    on_store!(&source, it => it.finish())?;
    Ok(copied)
}

/// How the place of a ledger is recorded, and can be named on the command line.
fn place(location: &LedgerLocation) -> String {
    match location {
        LedgerLocation::File(files) => {
            let path = std::path::absolute(&files.file).unwrap_or_else(|_| files.file.clone());
            path.display().to_string()
        }
        LedgerLocation::Server(server) => server.url.clone(),
    }
}

/// Refuses a place whose witness is that of another ledger, which was lost or moved away.
fn refuse_other_witness(to: &LedgerLocation, identity: &LedgerIdentity) -> Result<()> {
    match witness::read(to.witness())? {
        WitnessContent::Mark(mark) if mark.ledger == identity.id => Ok(()),
        _ => freshness::refuse_witness_without_ledger(to),
    }
}

/// Reads a table of the source, and writes it into the target if there is one.
async fn copy_table(source: &Side, target: Option<&Side>, table: &Table) -> Result<TableDigest> {
    let mut digest = TableDigest::default();
    let each = async |rows: Vec<Row>| {
        digest.add(&rows);
        match target {
            Some(target) => on_store!(target, it => it.write(table, &rows)),
            None => Ok(()),
        }
    };
    match source {
        Side::Sqlite(source) => source.read(table, each).await?,
        Side::Postgres(source) => source.done(source.read(table, each).await)?,
    }
    Ok(digest)
}

/// Reads the copy again, and fails unless it equals the source.
async fn compare(
    target: &Side,
    identity: &LedgerIdentity,
    digests: &[TableDigest],
    name: &str,
) -> Result<()> {
    let different = |what: &str| {
        Err(LedgerError::Fault(format!(
            "the copy of the ledger at `{name}` differs from its source in {what}, so the source stays in use; remove the copy and report this"
        )))
    };
    for (table, expected) in TABLES.iter().zip(digests) {
        let digest = copy_table(target, None, table).await?;
        if !digest.equals(expected) {
            return different(&format!("the table `{}`", table.name));
        }
    }
    let found = on_store!(target, it => it.identity())?;
    if found.equals(identity) {
        Ok(())
    } else {
        different("its id, its key or its counter")
    }
}
