//! Opening and closing the ledger of a verb, with the run on record.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::config::Config;
use crate::console::Console;
use crate::exit::{Exit, Result, failed};
use crate::ledger::{Ledger, LedgerError, Reader, RunEnd, RunStart};

/// What is recorded when a verb begins to write.
pub fn run_start(verb: &'static str, config: &Config, console: &Console<'_>) -> RunStart {
    RunStart {
        verb,
        campaign: config.campaign.clone(),
        at: console.now(),
    }
}

/// Records how a run ended, and closes the ledger. `end` has the digest and the counts, if they are known.
pub async fn end_run(
    ledger: Ledger,
    ended: &Result<Exit>,
    end: RunEnd,
    console: &Console<'_>,
) -> Result<()> {
    let exit = ended.as_ref().map_or_else(|it| it.exit, |it| *it);
    let end = RunEnd {
        at: console.now(),
        exit_code: exit as u8,
        ..end
    };
    let recorded = ledger.end_run(end).await;
    Ok(ledger.close().await.and(recorded)?)
}

/// A folder for scratch files in `parent`, which is removed at the end.
pub fn scratch_folder(parent: &Path) -> Result<TempDir> {
    tempfile::tempdir_in(parent).map_err(failed(
        Exit::CannotWrite,
        "cannot create a temporary folder",
    ))
}

/// A new ledger in a scratch folder.
pub fn temporary(scratch: &TempDir) -> Result<Arc<Ledger>> {
    let path = scratch.path().join("ledger.sqlite3");
    Ledger::create_scratch(&path)?;
    Ok(Arc::new(Ledger::open_scratch(&path)?))
}

/// Opens the ledger read-only; if it is missing, prints a notice and uses an empty one.
///
/// # Errors
/// If it exists and cannot be read.
pub async fn read_only(
    config: &Config,
    scratch: Option<&Path>,
    console: &mut Console<'_>,
) -> Result<Reader> {
    let reader = match Reader::open(&config.ledger, scratch) {
        Err(LedgerError::Missing(_)) => {
            console.eprint(&format!(
                "there is no ledger `{}` yet, so every partner counts as not invited",
                config.ledger
            ));
            return Ok(Reader::empty()?);
        }
        reader => reader?,
    };
    // A live run has examined it, and a long read transaction would keep its log from being truncated.
    if !reader.live {
        reader.examine().await?;
    }
    Ok(reader)
}
