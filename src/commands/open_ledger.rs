//! Opening and closing the ledger of a verb, with the run on record.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::debug;

use crate::config::Config;
use crate::console::Console;
use crate::events;
use crate::exit::{Exit, Result, failed};
use crate::finding::Finding;
use crate::invitation::Cause;
use crate::ledger::{Ledger, LedgerError, Reader, RunEnd, RunStart};

/// How often the changes of a run are written into the events file.
const EVENTS_INTERVAL: Duration = Duration::from_secs(1);

/// What is recorded when a verb begins to write.
pub fn run_start(verb: &'static str, config: &Config, console: &Console<'_>) -> RunStart {
    debug!(verb, campaign = config.campaign, ledger = %config.ledger, "run begins");
    RunStart {
        verb,
        campaign: config.campaign.clone(),
        at: console.now(),
    }
}

/// Writes what this run and earlier ones have recorded into the events file, if the configuration names one. At the
/// beginning of a run, it shows that the file can be written.
///
/// # Errors
/// If it cannot be written (74).
pub async fn export_events(config: &Config, ledger: &Ledger) -> Result<()> {
    if let Some(path) = &config.monitoring.events {
        events::export(path, ledger.reader()).await?;
    }
    Ok(())
}

/// Writes into the events file that invitations were erased, and continues behind the changes that are left.
///
/// # Errors
/// If it cannot be written (74).
pub async fn note_erased(
    config: &Config,
    ledger: &Ledger,
    cause: Cause,
    invitations: u64,
    at: Timestamp,
) -> Result<()> {
    let Some(path) = config
        .monitoring
        .events
        .as_ref()
        .filter(|_| invitations > 0)
    else {
        return Ok(());
    };
    events::export(path, ledger.reader()).await?;
    let cause = cause.as_str();
    Ok(events::note_erased(path, &config.campaign, cause, invitations, at).await?)
}

/// The changes of a run that is going on, written into the events file as they are recorded.
pub struct EventsWriter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl EventsWriter {
    /// Begins to write; none if the configuration names no events file.
    pub fn start(config: &Config, ledger: &Arc<Ledger>) -> Option<Self> {
        let path = config.monitoring.events.clone()?;
        let ledger = ledger.clone();
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            while tokio::time::timeout(EVENTS_INTERVAL, &mut stopped)
                .await
                .is_err()
            {
                // The end of the run writes what is missing, and reports an error.
                let _ = events::export(&path, ledger.reader()).await;
            }
        });
        Some(Self { stop, task })
    }

    /// Stops writing.
    pub async fn stop(self) {
        drop(self.stop);
        let _ = self.task.await;
    }
}

/// Records how a run ended, and closes the ledger. `end` has the digest and the counts, if they are known.
///
/// # Errors
/// That of the run; if it had none, why its end was not recorded.
pub async fn end_run(
    config: &Config,
    ledger: Ledger,
    ended: Result<Exit>,
    end: RunEnd,
    console: &Console<'_>,
) -> Result<Exit> {
    let exit = ended.as_ref().map_or_else(|it| it.exit, |it| *it);
    let end = RunEnd {
        at: console.now(),
        exit_code: exit as u8,
        ..end
    };
    debug!(exit_code = end.exit_code, "run ends");
    let recorded = ledger.end_run(end).await;
    let exported = export_events(config, &ledger).await;
    let closed = ledger.close().await.and(recorded);
    match closed.map_err(Into::into).and(exported) {
        Err(error) if ended.is_ok() && exit != Exit::CannotWrite => Err(error),
        _ => ended,
    }
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

/// Opens the ledger read-only; if there is none yet, gives an empty one and a warning.
///
/// # Errors
/// If it exists and cannot be read.
pub async fn read_only(
    config: &Config,
    scratch: Option<&Path>,
) -> Result<(Reader, Option<Finding>)> {
    let ledger = &config.ledger;
    let reader = match Reader::open(ledger, scratch) {
        Err(LedgerError::Missing(_)) => {
            let what = format!("there is no ledger `{ledger}`");
            let witness = ledger.witness();
            let message = if witness.exists() {
                format!(
                    "{what}, but its witness `{}` exists, so it was lost or moved, and here every partner counts as not invited; restore it, because `send` refuses that",
                    witness.display()
                )
            } else {
                format!(
                    "{what} yet, so every partner counts as not invited; create it with `access-invite init`, because `send` needs it"
                )
            };
            let missing = Finding::warning("ledger", ledger, message);
            return Ok((Reader::empty()?, Some(missing)));
        }
        reader => reader?,
    };
    // A live run has examined it, and a long read transaction would keep its log from being truncated.
    if !reader.live {
        reader.examine().await?;
    }
    Ok((reader, None))
}
