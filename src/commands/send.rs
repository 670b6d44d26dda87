//! `send`: mails what is due.
//!
//! Everything is validated, approved, guarded, verified, confirmed and recorded before the first
//! connection. Without a terminal, success is silent.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::{ArgGroup, Args};
use serde_json::Value;
use tracing::debug;

use super::deliver::{deliver, record_suppressed};
use super::examples::refuse_examples;
use super::guards::{last_approval, listed_although_forgotten, nothing_was_sent, require_approval};
use super::job::{Job, PartnerFilter};
use super::open_ledger::{EventsWriter, end_run, export_events, run_start};
use super::preflight::Preflight;
use super::preview::PreviewOptions;
use super::question::SendQuestion;
use super::reminders::abandon_needless;
use super::retention::erase_closed;
use super::summary::{RunSummary, counts};
use super::verify::guard_and_verify;
use crate::address::Address;
use crate::approval::Digest;
use crate::config::Config;
use crate::console::Console;
use crate::delivery::Tally;
use crate::exit::{CommandError, Exit, Result};
use crate::ledger::{Ledger, RunEnd};
use crate::relay::{Connector, Credentials};
use crate::report::count;
use crate::results;

/// The arguments of `send`.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(group = ArgGroup::new("rehearsal").args(["dry_run", "sandbox"]))]
#[command(group = ArgGroup::new("instead").args(["dry_run", "sandbox", "test_to"]))]
pub struct SendOptions {
    /// Which partners.
    #[command(flatten)]
    pub filter: PartnerFilter,
    /// Send nothing; write a review of what would be sent, as `preview` does
    #[arg(long)]
    pub dry_run: bool,
    /// Send to a test server inside this process, and write a review of what it received
    #[arg(long)]
    pub sandbox: bool,
    /// Send the first message of each language to this address, marked as a test, and to no partner
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    pub test_to: Option<Address>,
    /// Where --dry-run and --sandbox write [default: preview or sandbox]
    #[arg(long, value_name = "DIR", requires = "rehearsal")]
    pub out: Option<PathBuf>,
    /// Let the group of that folder read the review
    #[arg(long, requires = "rehearsal")]
    pub shared: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Send only if configuration, links, templates and list still have this digest, which
    /// `preview` printed
    #[arg(long, value_name = "DIGEST", value_parser = Digest::from_str, conflicts_with = "instead")]
    pub approved: Option<Digest>,
    /// Confirm a new campaign name, although partners of the list were invited under another one
    #[arg(long)]
    pub new_campaign: bool,
}

impl SendOptions {
    /// The arguments of a review instead of sending, by default in the folder `out`.
    #[must_use]
    pub fn for_review(self, out: &str) -> PreviewOptions {
        PreviewOptions {
            filter: self.filter,
            out: self.out.unwrap_or_else(|| out.into()),
            shared: self.shared,
        }
    }
}

/// Sends what is due.
///
/// # Errors
/// Whatever prevents the first connection. What happens after it is printed, and decides the exit code.
pub async fn run(path: &Path, options: &SendOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let start = run_start("send", &config, console);
    let ledger = Arc::new(Ledger::open(&config.ledger, &start)?);
    let mut record = RunEnd::default();
    // Boxed, because the future is large.
    let ended = Box::pin(send(config.clone(), options, &ledger, &mut record, console)).await;
    let Some(ledger) = Arc::into_inner(ledger) else {
        return ended;
    };
    end_run(&config, ledger, ended, record, console).await
}

async fn send(
    config: Arc<Config>,
    options: &SendOptions,
    ledger: &Arc<Ledger>,
    record: &mut RunEnd,
    console: &mut Console<'_>,
) -> Result<Exit> {
    export_events(&config, ledger).await?;
    let recovered = ledger.recover(console.now()).await?;
    debug!(recovered, "ledger opened");
    let job = Job::load(config.clone(), ledger.scratch_folder())?;
    record.digest = Some(job.inputs().digest().to_string());
    refuse_examples(&job)?;
    let connector = Connector::new(&config.smtp, Credentials::check(&config.smtp)?)?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let recorded = last_approval(&job, ledger.reader()).await?;
    require_approval(&job, options.approved, recorded.as_ref()).map_err(nothing_was_sent)?;
    if let Some(path) = &config.results {
        results::prepare(path)?;
    }
    abandon_needless(&config, ledger, console.now()).await?;
    let mut plan = job.plan_with_reminders(&options.filter, console.now());
    let new_campaign = options.new_campaign;
    let preflight = Preflight::new(&config);
    let verified = guard_and_verify(&job, &mut plan, ledger, new_campaign, preflight, console);
    let (summary, sends) = verified.await?;
    if console.interactive {
        console.report(&job.warnings());
        console.report(&listed_although_forgotten(&job, &summary));
    }
    let rates = Arc::new(job.rates(ledger.reader(), console.now()).await?);
    let question = SendQuestion {
        job: &job,
        summary: &summary,
        relay: connector.relay(),
        forecast: rates.forecast(summary.due),
        approved: options.approved,
        recorded: recorded.as_ref(),
        now: console.now(),
    };
    let confirmed =
        summary.due == 0 || !console.interactive || options.yes || ask(&question, console);
    if confirmed && summary.newly_suppressed > 0 {
        record_suppressed(&job, &plan, ledger, console.now()).await?;
    }
    if summary.due > 0 && confirmed {
        let digest = job.inputs().shared_digest().to_string();
        if let Some(other) = ledger.announce(&digest).await? {
            let message = format!(
                "{other} is sending the same campaign from another configuration, list or templates, so this run stands back; nothing was sent"
            );
            return Err(CommandError::new(Exit::TryLater, message));
        }
    }
    let tally = if summary.due > 0 && confirmed {
        let events = EventsWriter::start(&job.config, ledger);
        let delivered = deliver(&job, sends, ledger, connector, Some(rates), console).await;
        if let Some(events) = events {
            events.stop().await;
        }
        delivered?
    } else {
        Tally::default()
    };
    let mut counts = counts(&tally);
    let concluded = RunSummary {
        job: &job,
        ledger,
        plan: &summary,
        tally: &tally,
        recovered,
    };
    let exit = concluded.conclude(console).await;
    let erased = match exit {
        Exit::CannotWrite | Exit::InternalError => Exit::Done,
        _ => erase_closed(&job.config, ledger, &mut counts, console).await,
    };
    record.counts = Some(Value::Object(counts).to_string());
    let written = concluded.write_results(console).await;
    Ok(Exit::most_severe(&[exit, erased, written]))
}

/// Shows what would be sent, and asks.
fn ask(question: &SendQuestion<'_>, console: &mut Console<'_>) -> bool {
    console.explain(&format!("\n{}\n", question.text()));
    let messages = count(question.summary.due, "message");
    console.confirm(&format!("Send {messages}?"))
}
