//! `sync`: reads what came back from every source, and records it.
//!
//! The sources are read without the run lock. What they say is then recorded in short transactions, also while
//! a run is sending.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;

use super::open_ledger::{end_run, export_events, run_start};
use super::preflight::connect;
use super::requests::{self, PackageReading, read_requests, record_requests};
use crate::address::Address;
use crate::config::{Config, Imap, Microsoft};
use crate::console::Console;
use crate::entra::{Graph, GraphError};
use crate::exit::{CommandError, Exit, Result, without_os_code};
use crate::inbox::{ImapError, InboxError, Mail, Mails};
use crate::invitation::State;
use crate::ledger::{Ledger, LedgerError, Notified, Reader, RunEnd};
use crate::log::Level;
use crate::oauth::OAuthError;
use crate::refusal::SenderIdentity;
use crate::report::{
    AccessRow, ReportFormat, RequestsReport, SourceRow, StateChange, SyncReport, count, printable,
};
use crate::secret::SecretError;
use crate::sync::{
    Collected, GraphMailbox, Mailbox, MailboxError, MessageIndex, TraceError, graph_mailbox_name,
    mailbox_name, read_trace, suppress_unknown_mailbox,
};

/// How many reports are recorded in one transaction, which takes a few milliseconds.
const BATCH: usize = 100;
/// How many changes are printed.
const SHOWN: usize = 20;
/// If several apply, the first of these wins.
const BY_SEVERITY: [Exit; 5] = [
    Exit::CannotWrite,
    Exit::Config,
    Exit::NoPermission,
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
    /// A mailbox through Microsoft Graph.
    GraphMailbox(&'a Microsoft, &'a Address),
    /// The message trace of the sender.
    MessageTrace(&'a Microsoft, &'a Address),
}

/// The mailboxes that are still open, with the ids of the reports that were read from them.
type Opened<'a> = Vec<(&'a Imap, Mailbox, Vec<u32>)>;

/// Reads all sources and records what they say.
///
/// # Errors
/// If nothing is configured to be read (78), or the ledger cannot be read or written.
pub async fn run(path: &Path, options: &SyncOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Config::load(path)?;
    let packages = if options.bounces.is_empty() {
        requests::configured(&config)
    } else {
        BTreeSet::new()
    };
    let sources = sources(&config, options, packages.is_empty())?;
    Ledger::check_writable(&config.ledger)?;
    let reader = Reader::open(&config.ledger, None)?;
    if let Some(staleness) = reader.staleness {
        return Err(staleness.error(&config.ledger).into());
    }
    let mut report = SyncReport::default();
    let (collected, opened, exits) = collect(&sources, &reader, &mut report, console).await?;
    let readings = read_requests(&config, &packages, &reader.key, console).await;
    drop(reader);
    report.requests.packages = readings.iter().map(PackageReading::row).collect();
    let exit = if collected.notifications.is_empty() && readings.iter().all(|it| it.access.is_err())
    {
        exit_of(&readings, exits, &report)
    } else {
        let start = run_start("sync", &config, console);
        let ledger = Ledger::open_briefly(&config.ledger, &start)?;
        let recorded = record(&config, &ledger, collected, &readings, &mut report).await;
        let ended = recorded.map(|()| exit_of(&readings, exits, &report));
        end_run(&config, ledger, ended, RunEnd::default(), console).await?
    };
    // Other runs do not wait for this.
    let closed = close(opened, &mut report).await;
    print(&report, options.format, console);
    Ok(Exit::first_of(&BY_SEVERITY, &[exit, closed]))
}

/// The exit code for all that was read and recorded.
fn exit_of(readings: &[PackageReading], mut exits: Vec<Exit>, report: &SyncReport) -> Exit {
    exits.extend(requests::exits(&report.requests, readings));
    let bounced = report.changes.iter().any(|it| it.to == State::Bounced);
    exits.extend(bounced.then_some(Exit::Refused));
    Exit::first_of(&BY_SEVERITY, &exits)
}

/// Moves the recorded reports, and closes the mailboxes; gives the exit code for what failed.
async fn close(opened: Opened<'_>, report: &mut SyncReport) -> Exit {
    let mut exit = Exit::Done;
    for (imap, mailbox, mut ids) in opened {
        // A report about a message that is being sent is read again.
        if report.waiting > 0 {
            ids.clear();
        }
        if let Err(error) = mailbox.close(&ids, imap.move_to.as_deref()).await {
            report.fail(&mailbox_name(imap), error.to_string());
            exit = Exit::TryLater;
        }
    }
    exit
}

impl Source<'_> {
    /// What it is called in messages.
    fn name(&self) -> String {
        match self {
            Self::Files(path) => path.display().to_string(),
            Self::Imap(imap) => mailbox_name(imap),
            Self::GraphMailbox(_, address) => graph_mailbox_name(address),
            Self::MessageTrace(_, sender) => format!("the message trace of {sender}"),
        }
    }
}

/// Why a source was not read to its end.
enum SourceError {
    /// It cannot be read, with the exit code. Others can.
    Unread(String, Exit),
    /// The ledger cannot be read.
    Ledger(LedgerError),
}

/// What reading a source gives.
type Read<T> = std::result::Result<T, SourceError>;

impl From<MailboxError> for SourceError {
    fn from(error: MailboxError) -> Self {
        let exit = match &error {
            MailboxError::Unreachable(_)
            | MailboxError::Imap(ImapError::Connection(_))
            | MailboxError::Token(OAuthError::Unreachable { .. }) => Exit::TryLater,
            MailboxError::Secret(SecretError::Permissions(_))
            | MailboxError::Token(OAuthError::Permissions(_)) => Exit::NoPermission,
            _ => Exit::Config,
        };
        Self::Unread(without_os_code(error), exit)
    }
}

impl From<GraphError> for SourceError {
    fn from(error: GraphError) -> Self {
        let exit = requests::exit_of(&error);
        Self::Unread(without_os_code(error), exit)
    }
}

impl From<LedgerError> for SourceError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<TraceError> for SourceError {
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Graph(error) => error.into(),
            TraceError::Ledger(error) => error.into(),
        }
    }
}

/// Where reports are to be read from; fails if there is nothing although that is `required`.
fn sources<'a>(
    config: &'a Config,
    options: &SyncOptions,
    required: bool,
) -> Result<Vec<Source<'a>>> {
    if !options.bounces.is_empty() {
        return Ok(options.bounces.iter().cloned().map(Source::Files).collect());
    }
    let bounces = &config.bounces;
    let files = bounces.maildir.iter().chain(&bounces.mbox);
    let files = files.cloned().map(Source::Files);
    let mut sources: Vec<_> = files.chain(bounces.imap.iter().map(Source::Imap)).collect();
    if let Some(microsoft) = &config.microsoft {
        let mailbox = bounces.graph_mailbox.iter();
        sources.extend(mailbox.map(|it| Source::GraphMailbox(microsoft, it)));
        if config.entra.is_some_and(|it| it.message_trace) {
            sources.push(Source::MessageTrace(microsoft, &config.sender.address));
        }
    }
    if required && sources.is_empty() {
        let message = "there is nothing to read: no source of delivery reports is configured, and no `[entra]` for requests; set `bounces.maildir`, `bounces.mbox`, `bounces.graph_mailbox`, `[bounces.imap]` or `[entra]`, or name files with `--bounces`";
        return Err(CommandError::new(Exit::Config, message));
    }
    Ok(sources)
}

/// Reads the sources. One that cannot be read does not prevent the others. Gives what was read, and the exit codes of
/// what was not.
async fn collect<'a>(
    sources: &[Source<'a>],
    reader: &Reader,
    report: &mut SyncReport,
    console: &Console<'_>,
) -> Result<(Collected, Opened<'a>, Vec<Exit>)> {
    let (mut opened, mut exits) = (Vec::new(), Vec::new());
    let mut collector = Collector {
        collected: Collected::default(),
        index: None,
        reader,
        now: console.now(),
        progress: console.counter("mails and entries read"),
    };
    for source in sources {
        let before = (collector.collected.mails, collector.collected.traces);
        let error = match collector.read(source, &mut opened).await {
            Ok(()) => None,
            Err(SourceError::Unread(why, exit)) => {
                exits.push(exit);
                Some(why)
            }
            Err(SourceError::Ledger(error)) => return Err(error.into()),
        };
        report.sources.push(SourceRow {
            name: source.name(),
            mails: collector.collected.mails - before.0,
            traces: collector.collected.traces - before.1,
            error,
        });
    }
    collector.progress.finish_and_clear();
    let collected = collector.collected;
    report.reports = collected.reports;
    report.known = collected.known;
    report.foreign = collected.foreign;
    report.automatic_replies = collected.automatic_replies;
    Ok((collected, opened, exits))
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
    /// Reads a source. A mailbox over IMAP is still open then.
    async fn read<'s>(&mut self, source: &Source<'s>, opened: &mut Opened<'s>) -> Read<()> {
        match source {
            Source::Files(path) => self.files(path).await,
            Source::Imap(imap) => {
                let (mailbox, ids) = self.mailbox(imap).await?;
                opened.push((*imap, mailbox, ids));
                Ok(())
            }
            Source::GraphMailbox(microsoft, address) => {
                self.graph_mailbox(connect(microsoft)?, address).await
            }
            Source::MessageTrace(microsoft, sender) => {
                self.message_trace(&*connect(microsoft)?, sender).await
            }
        }
    }

    async fn add(&mut self, mail: &Mail) -> std::result::Result<bool, LedgerError> {
        self.progress.inc(1);
        let (collected, index) = (&mut self.collected, &mut self.index);
        collected.add(mail, index, self.reader, self.now).await
    }

    async fn files(&mut self, path: &Path) -> Read<()> {
        let unread = |error: InboxError| SourceError::Unread(error.to_string(), Exit::TryLater);
        let mut errors = Errors::default();
        for mail in Mails::open(path).map_err(unread)? {
            match mail {
                Ok(mail) => drop(self.add(&mail).await?),
                Err(error) => errors.add(&error, Exit::TryLater),
            }
        }
        errors.result()
    }

    async fn graph_mailbox(&mut self, graph: Arc<Graph>, address: &Address) -> Read<()> {
        let Some(first_sent) = self.reader.first_sent().await? else {
            return Ok(());
        };
        let mut mailbox = GraphMailbox::open(graph, address, first_sent, self.now).await?;
        let mut errors = Errors::default();
        while let Some(mails) = mailbox.next().await {
            for mail in mails {
                match mail {
                    Ok(mail) => drop(self.add(&mail).await?),
                    Err(error) => errors.add(&error, requests::exit_of(&error)),
                }
            }
        }
        errors.result()
    }

    async fn message_trace(&mut self, graph: &Graph, sender: &Address) -> Read<()> {
        let collected = (&mut self.collected, &mut self.index);
        let progress = &self.progress;
        let tick = |number| progress.inc(number);
        Ok(read_trace(graph, sender, collected, self.reader, self.now, &tick).await?)
    }

    /// Reads a mailbox over IMAP; gives it, still open, with the ids of the reports in it.
    async fn mailbox(&mut self, imap: &Imap) -> Read<(Mailbox, Vec<u32>)> {
        let first_sent = self.reader.first_sent().await?;
        let mut mailbox = Mailbox::open(imap, first_sent).await?;
        let mut reports = Vec::new();
        loop {
            let mails = mailbox.next().await?;
            if mails.is_empty() {
                return Ok((mailbox, reports));
            }
            for (id, mail) in mails {
                if self.add(&mail).await? {
                    reports.push(id);
                }
            }
        }
    }
}

/// The mails of a source that cannot be read: the first error, how many followed, and the exit codes.
#[derive(Default)]
struct Errors {
    first: Option<String>,
    more: u64,
    exits: Vec<Exit>,
}

impl Errors {
    fn add(&mut self, error: &impl Display, exit: Exit) {
        self.exits.push(exit);
        match self.first {
            None => self.first = Some(error.to_string()),
            Some(_) => self.more += 1,
        }
    }

    fn result(self) -> Read<()> {
        let Some(first) = self.first else {
            return Ok(());
        };
        let why = match self.more {
            0 => first,
            more => format!("{first}; also unreadable: {}", count(more, "mail")),
        };
        let exit = Exit::first_of(&BY_SEVERITY, &self.exits);
        Err(SourceError::Unread(why, exit))
    }
}

/// Records what is new.
async fn record(
    config: &Config,
    ledger: &Ledger,
    collected: Collected,
    readings: &[PackageReading],
    report: &mut SyncReport,
) -> Result<()> {
    export_events(config, ledger).await?;
    notify(config, ledger, collected, report).await?;
    report.requests.changes = record_requests(ledger, readings).await?;
    Ok(())
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
                    occasion: notification.identity.occasion,
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
    let others = "`access-invite status --all` lists all";
    print_first(
        report.changes.iter().map(StateChange::line),
        others,
        console,
    );
    for source in &report.sources {
        if let Some(error) = &source.error {
            console.eprint(&format!("error: {}", printable(error)));
        }
    }
    if !report.sources.is_empty() {
        console.print(&report.conclusion());
    }
    print_requests(&report.requests, console);
}

/// Prints the first of these lines, and what shows the others if there are more.
fn print_first(
    lines: impl ExactSizeIterator<Item = String>,
    others: &str,
    console: &mut Console<'_>,
) {
    let more = lines.len().saturating_sub(SHOWN);
    for line in lines.take(SHOWN) {
        console.print(&line);
    }
    if more > 0 {
        console.print(&format!("and {more} more; {others}"));
    }
}

fn print_requests(report: &RequestsReport, console: &mut Console<'_>) {
    let others = "`access-invite status` shows the access of each partner";
    print_first(report.changes.iter().map(AccessRow::line), others, console);
    for error in report.errors() {
        console.eprint_as(Level::Error, &printable(&error));
    }
    if let Some(conclusion) = report.conclusion() {
        console.print(&conclusion);
    }
}
