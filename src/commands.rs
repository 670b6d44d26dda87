//! The verbs, one file each, and what they share: a console and a prepared job.

pub mod accept_older;
pub mod check;
mod guards;
pub mod init;
mod package;
pub mod preview;
pub mod resolve;
pub mod sandbox;
pub mod send;
pub mod status;
pub mod test_send;
mod verify;

use std::io::{BufRead, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::address::Address;
use crate::approval::Inputs;
use crate::config::Config;
use crate::exit::{self, CommandError, Exit};
use crate::ledger::{Ledger, Reader, RunEnd, RunStart};
use crate::message::Composer;
use crate::partners::{Partner, Partners};
use crate::plan::{Plan, PlanSummary};
use crate::report::{count, printable};
use crate::review::{About, AboutPackage, Note};
use crate::templates::Templates;

/// Where a preview is written, unless it is told otherwise.
pub const PREVIEW: &str = "preview";

/// Where a verb speaks and listens. stdout carries results, stderr messages.
pub struct Console<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Messages.
    pub err: &'a mut dyn Write,
    /// Answers.
    pub input: &'a mut dyn BufRead,
    /// Whether a person sits there: stdin and stderr are both a terminal.
    pub interactive: bool,
    /// Whether stdout is a terminal.
    pub out_is_terminal: bool,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

impl Console<'_> {
    /// A line of results. That nobody reads it any more is no reason to stop.
    pub fn print(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", printable(text));
    }

    /// A line of messages.
    pub fn eprint(&mut self, text: &str) {
        let _ = writeln!(self.err, "{}", printable(text));
    }

    /// Something that works, but deserves a second look.
    pub fn warn(&mut self, text: &str) {
        self.eprint(&format!("warning: {text}"));
    }

    /// Asks a question whose answer is no unless it is clearly yes.
    pub fn confirm(&mut self, question: &str) -> bool {
        let _ = write!(self.err, "{} [y/N] ", printable(question));
        let _ = self.err.flush();
        let mut answer = String::new();
        let read = self.input.read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}

/// Which partners a verb is restricted to.
#[derive(Clone, Debug, Default)]
pub struct PartnerFilter {
    /// Only these addresses, where there are any.
    pub only: Vec<Address>,
    /// Only the first so many.
    pub limit: Option<u64>,
}

impl PartnerFilter {
    /// Whether it leaves anybody out.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.only.is_empty() || self.limit.is_some()
    }
}

/// Everything that messages are made of, loaded and tried.
pub struct Job {
    /// The configuration.
    pub config: Arc<Config>,
    /// The words.
    pub templates: Arc<Templates>,
    /// The file of partners, judged.
    pub partners: Arc<Partners>,
    /// Builds messages.
    pub composer: Arc<Composer>,
}

impl Job {
    /// Loads templates and partners, tries every template, and copies the CSV into `scratch`.
    ///
    /// # Errors
    /// All that is wrong with templates (78), or with the file as a whole (65).
    pub fn load(config: Arc<Config>, scratch: &Path) -> exit::Result<Self> {
        let templates = Arc::new(Templates::load(&config.templates)?);
        let partners = Arc::new(Partners::read(&config, templates.locales(), scratch)?);
        let composer = Arc::new(Composer::new(&config, &templates));
        let faults = composer.check_templates(partners.extra_columns());
        if !faults.is_empty() {
            return Err(CommandError::new(Exit::Config, faults.join("\n")));
        }
        Ok(Self {
            config,
            templates,
            partners,
            composer,
        })
    }

    /// The same job with every message marked as a test and addressed to one person.
    #[must_use]
    pub fn addressed_to(mut self, address: &Address) -> Self {
        let composer = Composer::new(&self.config, &self.templates);
        self.composer = Arc::new(composer.for_test_send(address));
        self
    }

    /// What a person approves.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        Inputs::of(&self.config, &self.templates, &self.partners)
    }

    /// The plan for the chosen partners.
    #[must_use]
    pub fn plan(&self, choice: &PartnerFilter, now: Timestamp) -> Plan {
        Plan::new(self.partners.clone(), &self.config.campaign, now)
            .only(&choice.only)
            .limit(choice.limit)
            .longest_pause(self.config.retry.longest_pause())
    }

    /// What works, but deserves a second look, in the configuration and in the list.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.config.warnings.clone();
        warnings.extend(self.templates.warnings().iter().cloned());
        warnings.extend(Ledger::warnings(&self.config.ledger));
        warnings.extend(self.partners.warnings());
        warnings
    }

    /// What deserves a second look about one partner.
    #[must_use]
    pub fn notes(&self, partner: &Partner) -> Vec<Note> {
        let doubts = self.partners.warnings_about(partner).into_iter();
        let mut notes: Vec<Note> = doubts
            .map(|(kind, finding)| Note {
                kind,
                text: format!("line {finding}"),
            })
            .collect();
        if let Some(wanted) = &partner.locale
            && let (used, None) = self.templates.choose_by(Some(wanted))
        {
            notes.push(Note {
                kind: "default language",
                text: format!("no template comes near `{wanted}`, so it is written in `{used}`"),
            });
        }
        notes
    }

    /// Counts the plan; addresses that were chosen and are not there are an error.
    ///
    /// # Errors
    /// When an address of `--only` is not in the file (65), or something cannot be read.
    pub async fn summarize(&self, plan: &Plan, reader: &Reader) -> exit::Result<PlanSummary> {
        let locale_of = |it: &Partner| self.composer.locale_for(it).to_string();
        let summary = plan
            .summarize(reader, &self.config.limits, locale_of)
            .await?;
        if summary.not_found.is_empty() {
            return Ok(summary);
        }
        let message = format!(
            "`--only` names who is not among the good rows of `{}`: {}; look for a slip in the address, or for the row among the bad ones",
            self.config.partners.path.display(),
            summary.not_found.join(", ")
        );
        Err(CommandError::new(Exit::BadInput, message))
    }
}

/// What a review says about itself.
fn about(config: &Config, title: &str, lead: &str, made: Timestamp) -> About {
    let default = &config.templates.default_locale;
    let packages = config.packages.iter().map(|it| AboutPackage {
        key: it.key.clone(),
        name: it
            .name
            .in_locale(default, default)
            .unwrap_or_default()
            .into(),
        link: it.link.to_string(),
    });
    About {
        title: title.into(),
        lead: lead.into(),
        campaign: config.campaign.clone(),
        made,
        packages: packages.collect(),
        warnings: Vec::new(),
        partial: false,
        approval: None,
    }
}

/// What is recorded when a verb begins to write.
fn run_start(verb: &'static str, config: &Config, console: &Console<'_>) -> RunStart {
    RunStart {
        verb,
        campaign: config.campaign.clone(),
        at: (console.clock)(),
    }
}

/// Records how a run ended, and closes the ledger.
async fn end_run(
    ledger: Ledger,
    ended: &exit::Result<Exit>,
    digest: Option<String>,
    counts: Option<String>,
    console: &Console<'_>,
) -> exit::Result<()> {
    let exit = ended.as_ref().map_or_else(|it| it.exit, |it| *it);
    let end = RunEnd {
        at: (console.clock)(),
        exit_code: exit as u8,
        digest,
        counts,
    };
    let recorded = ledger.end_run(end).await;
    Ok(ledger.close().await.and(recorded)?)
}

/// A ledger for one run that must leave no trace of whom it wrote to.
fn temporary_ledger(folder: &Path) -> exit::Result<Arc<Ledger>> {
    let path = folder.join("ledger.sqlite3");
    Ledger::create_scratch(&path)?;
    Ok(Arc::new(Ledger::open_scratch(&path)?))
}

/// The ledger for a verb that only looks; an empty one, with a word about it, where there is none.
///
/// # Errors
/// When there is one that cannot be read.
pub async fn open_read_only(
    config: &Config,
    scratch: Option<&Path>,
    console: &mut Console<'_>,
) -> exit::Result<Reader> {
    let path = &config.ledger.file;
    let missing = std::fs::metadata(path).is_err_and(|it| it.kind() == ErrorKind::NotFound);
    if !missing {
        let reader = Reader::open(&config.ledger, scratch)?;
        // A run that is at work has examined it, and a long look would hold up its log.
        if !reader.is_live() {
            reader.examine().await?;
        }
        return Ok(reader);
    }
    console.eprint(&format!(
        "there is no ledger `{}` yet, so every partner counts as not invited",
        path.display()
    ));
    Ok(Reader::empty()?)
}

/// `12 messages (9 en, 3 fr)`.
#[must_use]
pub fn describe(summary: &PlanSummary) -> String {
    let locales: Vec<String> = summary
        .locales
        .iter()
        .map(|(locale, count)| format!("{count} {locale}"))
        .collect();
    let messages = count(summary.due, "message");
    if locales.is_empty() {
        messages
    } else {
        format!("{messages} ({})", locales.join(", "))
    }
}
