//! `sync`: reads what came back from every source, and records it.
//!
//! The sources are read without the run lock. What they say is then recorded in short transactions, also while
//! a run is sending.

use std::path::{Path, PathBuf};

use clap::Args;

use super::open_ledger::{end_run, run_start};
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::inbox::Mails;
use crate::invitation::State;
use crate::ledger::{Ledger, Notified, Reader, RunEnd};
use crate::report::{ReportFormat, SourceRow, StateChange, SyncReport, printable};
use crate::sync::{Collected, MessageIndex};

/// How many reports are recorded in one transaction, which takes a few milliseconds.
const BATCH: usize = 100;
/// How many changes are printed.
const SHOWN: usize = 20;
/// If several apply, the first of these wins.
const BY_SEVERITY: [Exit; 4] = [
    Exit::CannotWrite,
    Exit::Config,
    Exit::TryLater,
    Exit::Refused,
];

/// The arguments of `sync`.
#[derive(Args, Clone, Debug, Default)]
pub struct SyncOptions {
    /// Read only these: mails (.eml), mbox files, Maildirs
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub bounces: Vec<PathBuf>,
    /// The format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// Reads all sources and records what they say.
///
/// # Errors
/// If no source is configured (78), or the ledger cannot be read or written.
pub async fn run(path: &Path, options: &SyncOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Config::load(path)?;
    let sources = sources(&config, options)?;
    Ledger::check_writable(&config.ledger)?;
    let reader = Reader::open(&config.ledger, None)?;
    if let Some(staleness) = reader.staleness {
        return Err(staleness.error(&config.ledger).into());
    }
    let mut report = SyncReport::default();
    let collected = collect(&sources, &reader, &mut report, console).await?;
    drop(reader);
    let unreachable = report.sources.iter().any(|it| it.error.is_some());
    if !collected.notifications.is_empty() {
        record(&config, collected, &mut report, console).await?;
    }
    let bounced = report.changes.iter().any(|it| it.to == State::Bounced);
    let reasons = [(unreachable, Exit::TryLater), (bounced, Exit::Refused)];
    let reasons: Vec<Exit> = reasons.iter().filter(|it| it.0).map(|it| it.1).collect();
    print(&report, options.format, console);
    Ok(Exit::first_of(&BY_SEVERITY, &reasons))
}

/// What is to be read.
fn sources(config: &Config, options: &SyncOptions) -> Result<Vec<PathBuf>> {
    if !options.bounces.is_empty() {
        return Ok(options.bounces.clone());
    }
    let configured = config.bounces.maildir.iter().chain(&config.bounces.mbox);
    let configured: Vec<PathBuf> = configured.cloned().collect();
    if configured.is_empty() {
        let message = "no source of delivery reports is configured; set `bounces.maildir` or `bounces.mbox`, or name files with `--bounces`";
        return Err(CommandError::new(Exit::Config, message));
    }
    Ok(configured)
}

/// Reads the sources. One that cannot be read does not prevent the others.
async fn collect(
    sources: &[PathBuf],
    reader: &Reader,
    report: &mut SyncReport,
    console: &mut Console<'_>,
) -> Result<Collected> {
    let index = MessageIndex::build(reader).await?;
    let progress = console.counter("mails read");
    let mut collected = Collected::default();
    for source in sources {
        let before = collected.mails;
        let mut error = None;
        match Mails::open(source) {
            Err(cause) => error = Some(cause),
            Ok(mails) => {
                for mail in mails {
                    match mail {
                        Ok(mail) => collected.add(&mail, &index, reader, console.now()).await?,
                        Err(cause) => error = Some(cause),
                    }
                    progress.inc(1);
                }
            }
        }
        report.sources.push(SourceRow {
            name: source.display().to_string(),
            mails: collected.mails - before,
            error: error.map(|it| it.to_string()),
        });
    }
    progress.finish_and_clear();
    report.reports = collected.reports;
    report.known = collected.known;
    report.foreign = collected.foreign;
    report.automatic_replies = collected.automatic_replies;
    Ok(collected)
}

/// Records what is new, and closes the ledger.
async fn record(
    config: &Config,
    collected: Collected,
    report: &mut SyncReport,
    console: &mut Console<'_>,
) -> Result<()> {
    let start = run_start("sync", config, console);
    let ledger = Ledger::open_briefly(&config.ledger, &start)?;
    let recorded = notify(&ledger, collected, report).await;
    let ended = recorded.map(|()| Exit::Done);
    end_run(ledger, &ended, RunEnd::default(), console).await?;
    ended.map(drop)
}

async fn notify(ledger: &Ledger, collected: Collected, report: &mut SyncReport) -> Result<()> {
    for batch in collected.notifications.chunks(BATCH) {
        let results = ledger.notify(batch.to_vec()).await?;
        for (notification, result) in batch.iter().zip(results) {
            match result {
                Notified::Changed(from, to) => report.changes.push(StateChange {
                    campaign: notification.identity.campaign.clone(),
                    email: notification.identity.address.clone(),
                    package_id: notification.identity.package_id.to_string(),
                    from,
                    to,
                    reply: notification.reply.as_ref().map(ToString::to_string),
                    origin: notification.origin.clone(),
                }),
                Notified::Noted => report.noted += 1,
                Notified::Known => {}
                Notified::Waiting => report.waiting += 1,
            }
        }
    }
    Ok(())
}

fn print(report: &SyncReport, format: ReportFormat, console: &mut Console<'_>) {
    if format == ReportFormat::Json {
        report.write_json(console.out);
        return;
    }
    for change in report.changes.iter().take(SHOWN) {
        console.print(&change.line());
    }
    if let Some(more) = report.changes.len().checked_sub(SHOWN).filter(|it| *it > 0) {
        console.print(&format!(
            "and {more} more; `access-invite status --state bounced` lists all"
        ));
    }
    for source in &report.sources {
        if let Some(error) = &source.error {
            console.eprint(&printable(error));
        }
    }
    console.print(&report.conclusion());
}
