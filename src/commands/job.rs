//! A job: everything that messages are composed from, loaded once.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use tracing::debug;

use crate::address::{Address, unicode_domain};
use crate::approval::Inputs;
use crate::config::Config;
use crate::delivery::Rates;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::{Finding, Severity};
use crate::ledger::{Ledger, Reader};
use crate::message::Composer;
use crate::partners::{Partner, Partners};
use crate::plan::{Plan, PlanSummary};
use crate::report::{count, joined_counts};
use crate::review::{About, AboutPackage, Note};
use crate::templates::Templates;

/// Which partners a verb is restricted to.
#[derive(Args, Clone, Debug, Default)]
pub struct PartnerFilter {
    /// Mail at most N partners, the first that are due
    #[arg(long, value_name = "N", value_parser = whole_number)]
    pub limit: Option<u64>,
    /// Mail only these addresses
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_parser = Address::parse)]
    pub only: Vec<Address>,
}

fn whole_number(text: &str) -> std::result::Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "it must be a whole number, such as 5")
}

impl PartnerFilter {
    /// Whether it restricts anything.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.only.is_empty() || self.limit.is_some()
    }
}

/// Everything that messages are composed from, loaded and validated.
pub struct Job {
    /// The configuration.
    pub config: Arc<Config>,
    /// The templates.
    pub templates: Arc<Templates>,
    /// The list.
    pub partners: Arc<Partners>,
    /// Composes and verifies messages.
    pub composer: Arc<Composer>,
}

impl Job {
    /// Loads templates and list, tries every template, and copies the list into `scratch`.
    ///
    /// # Errors
    /// If a template is wrong (78), or the list as a whole cannot be used (65).
    pub fn load(config: Arc<Config>, scratch: &Path) -> Result<Self> {
        let templates = Arc::new(Templates::load(&config.templates)?);
        let shows_notes = templates.show_notes();
        let partners = Partners::read(&config, &templates.locales, shows_notes, scratch)?;
        let partners = Arc::new(partners);
        debug!(
            good = partners.good(),
            bad = partners.bad(),
            locales = templates.locales.len() as u64,
            "list and templates read"
        );
        let job = Self::new(config, templates, partners);
        job.check_templates()?;
        Ok(job)
    }

    /// A job of these parts.
    #[must_use]
    pub fn new(config: Arc<Config>, templates: Arc<Templates>, partners: Arc<Partners>) -> Self {
        Self {
            composer: Arc::new(Composer::new(&config, &templates)),
            config,
            templates,
            partners,
        }
    }

    /// Tries every template with the columns of the list.
    ///
    /// # Errors
    /// All templates that fail (78).
    pub fn check_templates(&self) -> Result<()> {
        let columns = self.partners.extra_columns();
        match self.composer.check_templates(columns).join("\n") {
            faults if faults.is_empty() => Ok(()),
            faults => Err(CommandError::new(Exit::Config, faults)),
        }
    }

    /// The same job with every message marked as a test and addressed to one person.
    #[must_use]
    pub fn addressed_to(mut self, address: &Address) -> Self {
        let composer = Composer::new(&self.config, &self.templates);
        self.composer = Arc::new(composer.for_test_send(address));
        self
    }

    /// The inputs that a person approves.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        Inputs::of(&self.config, &self.templates, &self.partners)
    }

    /// The plan for the selected partners.
    #[must_use]
    pub fn plan(&self, filter: &PartnerFilter, now: Timestamp) -> Plan {
        let mut plan = Plan::new(self.partners.clone(), &self.config.campaign, now);
        if !filter.only.is_empty() {
            plan.only = Some(filter.only.iter().map(Address::canonical).collect());
        }
        plan.limit = filter.limit;
        plan.longest_pause = self.config.retry.longest_pause();
        plan.skip_if_requested = self.config.entra.is_some_and(|it| it.skip_if_requested);
        plan
    }

    /// The same plan with the reminders that are due, as a `send` mails them.
    #[must_use]
    pub fn plan_with_reminders(&self, filter: &PartnerFilter, now: Timestamp) -> Plan {
        let mut plan = self.plan(filter, now);
        plan.reminders = self.config.reminders;
        plan
    }

    /// The rate limits, with what earlier runs have used.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn rates(&self, reader: &Reader, now: Timestamp) -> Result<Rates> {
        let earlier = reader
            .dots_since(now - SignedDuration::from_hours(24))
            .await?;
        let limits = &self.config.limits;
        Ok(Rates::new(limits.per_minute, limits.per_day, &earlier, now))
    }

    /// What works, but deserves a second look, in configuration, templates, ledger and list.
    #[must_use]
    pub fn warnings(&self) -> Vec<Finding> {
        let ledger = Ledger::warnings(&self.config.ledger);
        let templates = self.templates.warnings.iter().cloned();
        let config = self.config.warnings.iter().cloned();
        let found = config.chain(templates).chain(ledger);
        found.chain(self.partners.warnings()).collect()
    }

    /// The bad rows that are skipped, as a warning.
    #[must_use]
    pub fn skipped_rows(&self) -> Option<Finding> {
        let path = self.config.partners.path.display();
        let rows = count(self.partners.bad(), "bad row");
        let described = self.partners.describe_bad_rows();
        (self.partners.bad() > 0).then(|| Finding {
            fix: "correct them; until then, these partners are not mailed".into(),
            ..Finding::without_fix(
                "partners",
                Severity::Warning,
                path,
                format!("{rows} will be skipped:\n{described}"),
            )
        })
    }

    /// What deserves a second look about one partner.
    #[must_use]
    pub fn notes(&self, partner: &Partner) -> Vec<Note> {
        let doubts = self.partners.warnings_about(partner).into_iter();
        let note = |(kind, doubt)| {
            let text = format!("line {doubt}");
            Note { kind, text }
        };
        let mut notes: Vec<Note> = doubts.map(note).collect();
        if let Some(wanted) = &partner.locale
            && let (used, None) = self.templates.choose_by(Some(wanted))
        {
            let kind = "default language";
            let text = format!("there is no template for `{wanted}`, so it is written in `{used}`");
            notes.push(Note { kind, text });
        }
        notes
    }

    /// Counts what is due.
    ///
    /// # Errors
    /// If an address of `--only` is not in the list (65), or the list or the ledger cannot be read.
    pub async fn summarize(&self, plan: &Plan, reader: &Reader) -> Result<PlanSummary> {
        let locale_of = |it: &Partner| self.composer.locale_for(it).to_string();
        let limits = &self.config.limits;
        let summary = plan.summarize(reader, limits, locale_of).await?;
        if summary.not_found.is_empty() {
            return Ok(summary);
        }
        let message = format!(
            "`--only` names addresses that are not in a good row of `{}`: {}; correct the address, or its row",
            self.config.partners.path.display(),
            summary.not_found.join(", ")
        );
        Err(CommandError::new(Exit::BadInput, message))
    }

    /// What a review with this title and lead says about this job.
    #[must_use]
    pub fn about<'f>(
        &self,
        (title, lead): (&str, &str),
        warnings: impl IntoIterator<Item = &'f Finding>,
        filter: &PartnerFilter,
        made: Timestamp,
    ) -> About {
        let default = &self.config.templates.default_locale;
        let packages = self.config.packages.iter().map(|it| {
            let name = it.name.in_locale(default, default);
            AboutPackage {
                key: it.key.clone(),
                name: name.unwrap_or_default().into(),
                link: it.link.to_string(),
                unicode: unicode_domain(it.link.directory_hint()).unwrap_or_default(),
            }
        });
        About {
            title: title.into(),
            lead: lead.into(),
            campaign: self.config.campaign.clone(),
            made,
            packages: packages.collect(),
            warnings: warnings.into_iter().map(Finding::to_string).collect(),
            partial: filter.is_partial(),
            digest: self.inputs().digest().to_string(),
            approval: None,
        }
    }
}

/// `12 messages (9 en, 3 fr)`, or `12 messages (9 en, 3 fr; 2 reminders)`.
pub fn describe(summary: &PlanSummary) -> String {
    let messages = count(summary.due, "message");
    if summary.locales.is_empty() {
        return messages;
    }
    let reminders = match summary.reminders() {
        0 => String::new(),
        number => format!("; {}", count(number, "reminder")),
    };
    format!(
        "{messages} ({}{reminders})",
        joined_counts(&summary.locales)
    )
}

/// The list, if it can be read, for a verb that does not depend on it.
pub fn current_list(config: &Config) -> Option<Partners> {
    let templates = Templates::load(&config.templates);
    let locales = templates.as_ref().map_or(&[][..], |it| &it.locales);
    let shows_notes = templates.as_ref().is_ok_and(Templates::show_notes);
    Partners::read(config, locales, shows_notes, &std::env::temp_dir()).ok()
}
