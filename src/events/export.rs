//! Writes what the ledger has recorded since the last time.

use std::path::Path;

use jiff::Timestamp;

use super::error::{EventsError, Result, failed};
use super::file::EventsFile;
use super::line::Line;
use super::position::{Position, PositionFile};
use crate::ledger::{LedgerError, Reader, RunRecord};

/// How many changes are read at once.
const PAGE: u32 = 1000;
/// How many of the last runs are examined.
const RUNS: u32 = 200;

/// Writes all changes and runs that the ledger has recorded and the file does not have. The first time, the file
/// begins with the run that is going on.
///
/// # Errors
/// If the file cannot be written or the ledger cannot be read. The next call continues.
pub async fn export(path: &Path, reader: &Reader) -> Result<()> {
    let unreadable = |error: LedgerError| EventsError::Ledger(path.to_owned(), error);
    let positions = PositionFile::lock(path).await.map_err(failed(path))?;
    let mut file = EventsFile::open(path).map_err(failed(path))?;
    let known = positions.read().map_err(failed(path))?;
    let runs = reader.runs(None, RUNS).await.map_err(unreadable)?;
    let written = file.last_change().map_err(failed(path))?;
    let mut position = start(known.clone(), written, &runs, reader)
        .await
        .map_err(unreadable)?;
    let mut lines = Vec::new();
    for run in runs.iter().rev().filter(|it| it.number > position.run) {
        Line::run_started(run).write(&mut lines);
        position.open.push(run.number);
    }
    if let Some(last) = runs.first() {
        position.run = last.number;
    }
    loop {
        let changes = reader.changes_after(position.change, PAGE).await;
        let changes = changes.map_err(unreadable)?;
        for change in &changes {
            Line::change(change).write(&mut lines);
            position.change = change.number;
        }
        file.append(&lines).map_err(failed(path))?;
        lines.clear();
        if changes.len() < PAGE as usize {
            break;
        }
    }
    let ended = |number: i64| {
        let run = runs.iter().find(|it| it.number == number)?;
        Some((run, run.ended_at?))
    };
    for (run, at) in position.open.iter().filter_map(|it| ended(*it)) {
        Line::run_ended(run, at).write(&mut lines);
    }
    let oldest = runs.last().map_or(0, |it| it.number);
    position
        .open
        .retain(|it| *it >= oldest && ended(*it).is_none());
    file.append(&lines).map_err(failed(path))?;
    if known.as_ref() == Some(&position) {
        return Ok(());
    }
    // In this order, so that a power cut loses no line.
    file.sync().map_err(failed(path))?;
    positions.write(&position).map_err(failed(path))
}

/// Where to continue.
async fn start(
    known: Option<Position>,
    written: Option<i64>,
    runs: &[RunRecord],
    reader: &Reader,
) -> std::result::Result<Position, LedgerError> {
    let id = reader.id().await?.unwrap_or_default();
    let ledger = format!("{:032x}", u128::from_be_bytes(id));
    let last = reader.last_change().await?;
    let last_run = runs.first().map_or(0, |it| it.number);
    let written = written.filter(|it| *it <= last);
    let is_first = known.is_none();
    let same = known.filter(|it| it.ledger == ledger && it.run <= last_run);
    let Some(mut position) = same else {
        // The first time, or the position was lost, or the ledger is another one or an older copy.
        return Ok(Position {
            ledger,
            change: written.filter(|_| is_first).unwrap_or(last),
            run: (last_run - 1).max(0),
            open: Vec::new(),
        });
    };
    // A kill may have prevented that the position was written after the lines.
    position.change = position.change.max(written.unwrap_or_default());
    // After an erasure, the numbers of the last changes are given again.
    position.change = position.change.min(last);
    if last_run > position.run + 1
        && let Some(first) = reader.first_change_after_run(position.run).await?
    {
        position.change = position.change.min(first - 1);
    }
    Ok(position)
}

/// Writes that invitations were erased. The ledger has no record of them any more.
///
/// # Errors
/// If the file cannot be written.
pub async fn note_erased(
    path: &Path,
    campaign: &str,
    cause: &str,
    invitations: u64,
    at: Timestamp,
) -> Result<()> {
    let _lock = PositionFile::lock(path).await.map_err(failed(path))?;
    let mut lines = Vec::new();
    Line::erased(campaign, cause, invitations, at).write(&mut lines);
    let mut file = EventsFile::open(path).map_err(failed(path))?;
    file.append(&lines).map_err(failed(path))
}
