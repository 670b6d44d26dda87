//! `sync`: reads what came back from every source, and records it.
//!
//! The sources are read without the run lock. What they say is then recorded in short transactions, also while
//! a run is sending.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;

use super::open_ledger::{end_run, run_start};
use crate::config::{Config, Imap};
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::inbox::{ImapError, InboxError, Mail, Mails};
use crate::invitation::State;
use crate::ledger::{Ledger, Notified, Reader, RunEnd};
use crate::oauth::OAuthError;
use crate::refusal::SenderIdentity;
use crate::report::{ReportFormat, SourceRow, StateChange, SyncReport, count, printable};
use crate::sync::{
    Collected, Mailbox, MailboxError, MessageIndex, mailbox_name, suppress_unknown_mailbox,
};

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

/// Where reports are read from.
enum Source<'a> {
    /// A mail, an mbox file or a Maildir.
    Files(PathBuf),
    /// A mailbox over IMAP.
    Imap(&'a Imap),
}

/// A mailbox that is still open, with the ids of the reports that were read from it.
type Opened<'a> = Vec<(&'a Imap, Mailbox, Vec<u32>)>;

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
    let mut exits = Vec::new();
    let mut opened = Vec::new();
    let collected = collect(
        &sources,
        &reader,
        &mut opened,
        &mut report,
        &mut exits,
        console,
    );
    let collected = collected.await?;
    drop(reader);
    if !collected.notifications.is_empty() {
        record(&config, collected, &mut report, console).await?;
    }
    for (imap, mailbox, mut ids) in opened {
        // A report about a message that is being sent is read again.
        if report.waiting > 0 {
            ids.clear();
        }
        if let Err(error) = mailbox.close(&ids, imap.move_to.as_deref()).await {
            report.fail(&mailbox_name(imap), error.to_string());
            exits.push(Exit::TryLater);
        }
    }
    let bounced = report.changes.iter().any(|it| it.to == State::Bounced);
    exits.extend(bounced.then_some(Exit::Refused));
    print(&report, options.format, console);
    Ok(Exit::first_of(&BY_SEVERITY, &exits))
}

/// What is to be read.
fn sources<'a>(config: &'a Config, options: &SyncOptions) -> Result<Vec<Source<'a>>> {
    if !options.bounces.is_empty() {
        return Ok(options.bounces.iter().cloned().map(Source::Files).collect());
    }
    let bounces = &config.bounces;
    let files = bounces.maildir.iter().chain(&bounces.mbox);
    let files = files.cloned().map(Source::Files);
    let sources: Vec<_> = files.chain(bounces.imap.iter().map(Source::Imap)).collect();
    if sources.is_empty() {
        let message = "no source of delivery reports is configured; set `bounces.maildir`, `bounces.mbox` or `[bounces.imap]`, or name files with `--bounces`";
        return Err(CommandError::new(Exit::Config, message));
    }
    Ok(sources)
}

/// Reads the sources. One that cannot be read does not prevent the others.
async fn collect<'a>(
    sources: &[Source<'a>],
    reader: &Reader,
    opened: &mut Opened<'a>,
    report: &mut SyncReport,
    exits: &mut Vec<Exit>,
    console: &mut Console<'_>,
) -> Result<Collected> {
    let mut collector = Collector {
        collected: Collected::default(),
        index: None,
        reader,
        now: console.now(),
        progress: console.counter("mails read"),
    };
    for source in sources {
        let before = collector.collected.mails;
        let (name, failure) = match source {
            Source::Files(path) => {
                let failure = collector.files(path).await?;
                (
                    path.display().to_string(),
                    failure.map(|it| (it, Exit::TryLater)),
                )
            }
            Source::Imap(imap) => {
                let failure = match collector.mailbox(imap).await? {
                    Ok((mailbox, ids)) => {
                        opened.push((*imap, mailbox, ids));
                        None
                    }
                    Err(error) => Some((error.to_string(), exit_of(&error))),
                };
                (mailbox_name(imap), failure)
            }
        };
        let (error, exit) = failure.unzip();
        exits.extend(exit);
        report.sources.push(SourceRow {
            name,
            mails: collector.collected.mails - before,
            error,
        });
    }
    collector.progress.finish_and_clear();
    let collected = collector.collected;
    report.reports = collected.reports;
    report.known = collected.known;
    report.foreign = collected.foreign;
    report.automatic_replies = collected.automatic_replies;
    Ok(collected)
}

/// The exit code for a mailbox that was not read.
fn exit_of(error: &MailboxError) -> Exit {
    match error {
        MailboxError::Unreachable(_) | MailboxError::Imap(ImapError::Connection(_)) => {
            Exit::TryLater
        }
        MailboxError::Token(OAuthError::Unreachable { .. }) => Exit::TryLater,
        _ => Exit::Config,
    }
}

/// Reads mails and keeps what they say.
struct Collector<'a> {
    collected: Collected,
    index: Option<MessageIndex>,
    reader: &'a Reader,
    now: Timestamp,
    progress: ProgressBar,
}

impl Collector<'_> {
    async fn add(&mut self, mail: &Mail) -> Result<bool> {
        self.progress.inc(1);
        let added = self
            .collected
            .add(mail, &mut self.index, self.reader, self.now);
        Ok(added.await?)
    }

    /// Reads files; gives why not all of them.
    async fn files(&mut self, path: &Path) -> Result<Option<String>> {
        let mails = match Mails::open(path) {
            Ok(mails) => mails,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let mut errors = Errors::default();
        for mail in mails {
            match mail {
                Ok(mail) => drop(self.add(&mail).await?),
                Err(error) => errors.add(&error),
            }
        }
        Ok(errors.message())
    }

    /// Reads a mailbox; gives it, still open, with the ids of the reports in it.
    async fn mailbox(
        &mut self,
        imap: &Imap,
    ) -> Result<std::result::Result<(Mailbox, Vec<u32>), MailboxError>> {
        let first_sent = self.reader.first_sent().await?;
        let mut mailbox = match Mailbox::open(imap, first_sent).await {
            Ok(mailbox) => mailbox,
            Err(error) => return Ok(Err(error)),
        };
        let mut reports = Vec::new();
        loop {
            let mails = match mailbox.next().await {
                Ok(mails) => mails,
                Err(error) => return Ok(Err(error)),
            };
            if mails.is_empty() {
                return Ok(Ok((mailbox, reports)));
            }
            for (id, mail) in mails {
                if self.add(&mail).await? {
                    reports.push(id);
                }
            }
        }
    }
}

/// The errors of a source: the first, and how many followed.
#[derive(Default)]
struct Errors {
    first: Option<String>,
    more: u64,
}

impl Errors {
    fn add(&mut self, error: &InboxError) {
        match self.first {
            None => self.first = Some(error.to_string()),
            Some(_) => self.more += 1,
        }
    }

    fn message(self) -> Option<String> {
        let first = self.first?;
        Some(match self.more {
            0 => first,
            more => format!("{first}; also unreadable: {}", count(more, "mail")),
        })
    }
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
    let recorded = notify(config, &ledger, collected, report).await;
    let ended = recorded.map(|()| Exit::Done);
    end_run(ledger, &ended, RunEnd::default(), console).await?;
    ended.map(drop)
}

async fn notify(
    config: &Config,
    ledger: &Ledger,
    mut collected: Collected,
    report: &mut SyncReport,
) -> Result<()> {
    if config.bounces.suppress {
        let login = config.smtp.login.as_ref().map(|it| it.username.as_str());
        let hello = config.smtp.hello.as_deref();
        let sender = SenderIdentity::new(&config.sender.address, login, hello, None);
        for notification in &mut collected.notifications {
            suppress_unknown_mailbox(notification, &sender);
        }
    }
    for batch in collected.notifications.chunks(BATCH) {
        let results = ledger.notify(batch.to_vec()).await?;
        for (notification, result) in batch.iter().zip(results) {
            report.suppressed += u64::from(notification.suppresses(result));
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
