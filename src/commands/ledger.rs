//! `ledger backup` and `ledger verify`: a copy of the ledger, and what shows that it is intact. `ledger copy` is in a
//! file of its own.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::ledger_copy;
use crate::atomic_file::AtomicFile;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result, failed};
use crate::finding::{Finding, Severity};
use crate::ledger::{Ledger, Reader, Verified};
use crate::report::{ReportFormat, write_check};

/// The arguments of `ledger`.
#[derive(Args, Clone, Debug)]
pub struct LedgerOptions {
    #[command(subcommand)]
    action: LedgerAction,
}

#[derive(Clone, Debug, Subcommand)]
enum LedgerAction {
    /// Write a consistent copy of the ledger, also while a run is writing
    Backup {
        /// The copy, which must not exist
        file: PathBuf,
    },
    /// Move a ledger into a database or into a file; nothing is sent from the old one any more
    Copy {
        /// The ledger: a file, or the URL of a database
        from: String,
        /// Its new place: a file that does not exist, or the URL of a database without a ledger
        to: String,
    },
    /// Examine the ledger: its pages, tables, counters, histories and Message-IDs, and its witness
    Verify {
        /// The format of the output
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
}

/// Copies, moves or examines the ledger.
///
/// # Errors
/// If there is no ledger (78), it is damaged (65), or the copy cannot be written (74).
pub async fn run(path: &Path, options: &LedgerOptions, console: &mut Console<'_>) -> Result<Exit> {
    let with_ledger = || -> Result<Config> {
        let config = Config::load(path)?;
        Ledger::check(&config.ledger)?;
        Ok(config)
    };
    match &options.action {
        LedgerAction::Backup { file } => backup(&with_ledger()?, file, console).await,
        // Boxed, because the future is large.
        LedgerAction::Copy { from, to } => {
            Box::pin(ledger_copy::run(path, from, to, console)).await
        }
        LedgerAction::Verify { format } => verify(&with_ledger()?, *format, console).await,
    }
}

async fn backup(config: &Config, file: &Path, console: &mut Console<'_>) -> Result<Exit> {
    let shown = file.display();
    let what = format!("cannot write the copy `{shown}`");
    if file.symlink_metadata().is_ok() {
        let message = format!("{what}: the file exists; name another one");
        return Err(CommandError::new(Exit::CannotWrite, message));
    }
    let reader = Reader::open(&config.ledger, None)?;
    console.report(&stale(config, &reader, Severity::Warning));
    let copy = AtomicFile::begin(file).map_err(|error| {
        let message = format!("{what}: {error}; name a file in a folder that you can write");
        CommandError::new(Exit::CannotWrite, message)
    })?;
    reader.copy_to(copy.path()).await?;
    let written = reader
        .give_to_owner(copy.file())
        .and_then(|()| copy.commit_new());
    written.map_err(failed(Exit::CannotWrite, &what))?;
    if console.interactive {
        console.print(&format!("{shown}: a copy of the ledger, examined"));
    }
    Ok(Exit::Done)
}

async fn verify(config: &Config, format: ReportFormat, console: &mut Console<'_>) -> Result<Exit> {
    let mut findings = Ledger::warnings(&config.ledger);
    let reader = Reader::open(&config.ledger, None)?;
    let verified = reader.verify().await?;
    findings.extend(verified.into_iter().map(|it| finding(it, config)));
    let stale = stale(config, &reader, Severity::Error);
    findings.push(stale.unwrap_or_else(|| {
        let witness = config.ledger.witness().display();
        let what = "no later change of this ledger is attested".to_owned();
        Finding::without_fix("witness", Severity::Ok, witness, what)
    }));
    let bad = findings.iter().any(|it| it.severity == Severity::Error);
    match format {
        ReportFormat::Text => {
            for finding in &findings {
                console.print(&finding.text());
            }
        }
        ReportFormat::Json => drop(write_check(console.out, None, &findings)),
    }
    Ok(if bad { Exit::BadInput } else { Exit::Done })
}

fn finding(verified: Verified, config: &Config) -> Finding {
    let Verified { check, result } = verified;
    let ledger = &config.ledger;
    match result {
        Ok(what) => Finding::without_fix(check, Severity::Ok, check, what),
        Err(what) => {
            let mut error = Finding::without_fix(check, Severity::Error, ledger, what);
            error.fix = "restore the newest backup".into();
            error
        }
    }
}

/// Why the ledger may lack what later runs have recorded.
fn stale(config: &Config, reader: &Reader, severity: Severity) -> Option<Finding> {
    let files = &config.ledger;
    let what = reader.doubt(files)?;
    Some(Finding::new("witness", severity, files, what))
}
