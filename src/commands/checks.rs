//! The checks of `check`. Each adds findings to the report; one that fails does not stop the others.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::examples::example_parts;
use super::guards::{last_approval, listed_although_forgotten, require_approval, warnings_of_send};
use super::job::{Job, PartnerFilter, describe};
use super::mail_checks;
use super::open_ledger;
use crate::approval::ApprovalError;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::{Finding, Severity};
use crate::ledger::{Ledger, Reader};
use crate::locale::{Locale, MatchKind};
use crate::partners::{ListError, Partners, RequestedLanguage};
use crate::relay::{Connector, Credentials};
use crate::report::{LanguageRow, Languages, count, one_line};
use crate::results;
use crate::templates::Templates;

/// The check that says which column was taken for what.
pub const COLUMNS: &str = "columns";
/// The check that shows a row as it will be addressed.
pub const EXAMPLE: &str = "example";

/// What the checks have found so far.
#[derive(Default)]
pub struct Report {
    /// All findings, in the order of the checks.
    pub findings: Vec<Finding>,
    /// The findings that were printed as soon as they were known.
    pub printed: Range<usize>,
    /// The exit codes of the errors.
    exits: Vec<Exit>,
}

impl Report {
    /// The value, or `None` after adding the error.
    pub fn keep<T>(
        &mut self,
        check: &'static str,
        at: impl Display,
        result: std::result::Result<T, impl Into<CommandError>>,
    ) -> Option<T> {
        result.map_err(|error| self.fail(check, at, error)).ok()
    }

    /// Adds an error.
    pub fn fail(&mut self, check: &'static str, at: impl Display, error: impl Into<CommandError>) {
        let error = error.into();
        self.findings.push(Finding::error(check, at, &error));
        self.exits.push(error.exit);
    }

    /// The findings that are still to be printed.
    pub fn unprinted(&self) -> impl Iterator<Item = &Finding> {
        let Range { start, end } = self.printed;
        self.findings[..start].iter().chain(&self.findings[end..])
    }

    /// Adds findings; if there are errors among them, `exit` is their exit code.
    pub fn add_findings(&mut self, findings: Vec<Finding>, exit: Exit) {
        if findings.iter().any(|it| it.severity == Severity::Error) {
            self.exits.push(exit);
        }
        self.findings.extend(findings);
    }

    /// Whether there is no error.
    pub fn is_good(&self) -> bool {
        self.exits.is_empty()
    }

    /// The exit code of the most severe error.
    pub fn exit(&self) -> Exit {
        use Exit::{BadInput, Config, NoPermission, Unavailable};
        Exit::first_of(&[Config, NoPermission, BadInput, Unavailable], &self.exits)
    }

    /// Adds a finding about which there is nothing to do.
    fn add(&mut self, severity: Severity, check: &'static str, at: impl Display, what: String) {
        let finding = Finding::without_fix(check, severity, at, what);
        self.findings.push(finding);
    }
}

/// Checks the settings of relay and login, results, templates and list. Returns the relay's connector and
/// the job, if they are usable.
///
/// As JSON, each kind of bad row is a finding of its own; as text, the first of them are one finding.
pub fn check_files(
    config: &Arc<Config>,
    text: bool,
    report: &mut Report,
) -> (Option<Connector>, Option<Job>) {
    report.findings.extend(config.warnings.iter().cloned());
    report.findings.extend(config.provider_findings());
    report.findings.extend(Ledger::warnings(&config.ledger));
    report.add_findings(Ledger::server_findings(&config.ledger), Exit::Config);
    let (credentials, login) = match Credentials::check(&config.smtp) {
        Ok(credentials) => (credentials, Ok(())),
        Err(error) => (None, Err(error)),
    };
    let connector = Connector::new(&config.smtp, credentials);
    let connector = report.keep("smtp", "smtp", connector);
    let is_usable = report.keep("login", "smtp", login).is_some();
    let connector = connector.filter(|_| is_usable);
    if let Some(path) = &config.results {
        report.keep("results", path.display(), results::check(path));
    }
    let folder = config.templates.directory.display();
    let templates = Templates::load(&config.templates);
    let templates = report.keep("templates", folder, templates).map(Arc::new);
    let locales = templates.as_ref().map_or(&[][..], |it| &it.locales);
    let path = config.partners.path.display();
    let shows_notes = templates.as_ref().is_some_and(|it| it.show_notes());
    let partners = Partners::read(config, locales, shows_notes, &std::env::temp_dir());
    let partners = report.keep("partners", &path, partners).map(Arc::new);
    let open = templates.iter().flat_map(|it| &it.warnings).cloned();
    report.findings.extend(open);
    let mut rows_are_usable = false;
    if let Some(partners) = &partners {
        rows_are_usable = check_rows(config, partners, text, report);
    }
    let parts = templates.zip(partners);
    let job = parts.map(|(templates, partners)| Job::new(config.clone(), templates, partners));
    if let Some(job) = &job {
        describe_list(job, report);
        report.keep("templates", "", job.check_templates());
        if let Some(found) = report.keep("partners", &path, mail_checks::findings(job)) {
            report.findings.extend(found);
        }
        let skipped = job.skipped_rows().filter(|_| rows_are_usable);
        report.findings.extend(skipped);
    }
    (connector, job)
}

/// Reports the warnings of the list and its bad rows. Returns whether the good rows are usable.
fn check_rows(config: &Config, partners: &Partners, text: bool, report: &mut Report) -> bool {
    let path = config.partners.path.display();
    report.findings.extend(partners.warnings());
    let refused = partners.refuse_bad_rows(config.partners.bad_rows);
    let refused = if text {
        refused
    } else {
        let severity = match refused {
            Ok(()) => Severity::Warning,
            Err(_) => Severity::Error,
        };
        report.findings.extend(partners.bad_row_findings(severity));
        refused.map_err(|_| ListError::BadRows(partners.summarize_bad_rows()))
    };
    if partners.good() + partners.bad() == 0 {
        let message = format!(
            "`{path}` has no rows below its header; add a row for each partner, or replace it with your own list"
        );
        let empty = Finding::warning("partners", &path, message);
        report.findings.push(empty);
    }
    report.keep("partners", &path, refused).is_some()
}

/// Reports which column was taken for what, and how the first partners will be addressed.
fn describe_list(job: &Job, report: &mut Report) {
    let path = job.config.partners.path.display();
    let columns = job.partners.describe_columns();
    report.add(Severity::Note, COLUMNS, &path, columns);
    for partner in job.partners.examples() {
        let address = partner.address.as_written();
        let organization = partner.organization.as_ref();
        let organization = organization.map(|it| format!(", {it}")).unwrap_or_default();
        let who = match partner.name.as_deref() {
            None | Some("") => address.to_owned(),
            Some(name) => format!("{name} <{address}>"),
        };
        let language = job.composer.locale_for(partner);
        let wanted = match &partner.locale {
            Some(wanted) if wanted != language => format!(" for `{wanted}`"),
            _ => String::new(),
        };
        let package = &partner.package.key;
        let what = format!("{who}{organization}: in `{language}`{wanted}, package `{package}`");
        let at = format!("{path}:{}", partner.line);
        report.add(Severity::Note, EXAMPLE, at, one_line(&what));
    }
}

/// Reports what a `send` would do, and what would stop it. Returns the ledger, if it can be read.
///
/// # Errors
/// If the list or the ledger cannot be read.
pub async fn check_plan(
    path: &Path,
    job: &Job,
    report: &mut Report,
    console: &mut Console<'_>,
) -> Result<Option<Reader>> {
    let config = &job.config;
    let ledger = &config.ledger;
    let reader = open_ledger::read_only(config, None).await;
    let Some((reader, missing)) = report.keep("ledger", ledger, reader) else {
        return Ok(None);
    };
    report.findings.extend(missing);
    report.findings.extend(example_parts(job));
    let now = console.now();
    let plan = job.plan_with_reminders(&PartnerFilter::default(), now);
    let summary = job.summarize(&plan, &reader).await?;
    let recorded = last_approval(job, &reader).await?;
    let not_approved = match require_approval(job, None, recorded.as_ref()) {
        Err(error @ ApprovalError::NotApproved(_)) => Some(error),
        checked => {
            report.keep("approval", "", checked);
            None
        }
    };
    let warnings = warnings_of_send(job, &summary, &reader, not_approved.as_ref(), now);
    report.findings.extend(warnings.await?);
    let forgotten = listed_although_forgotten(job, &summary);
    report.findings.extend(forgotten);

    let partners = count(job.partners.good(), "partner");
    let list = config.partners.path.display();
    report.add(Severity::Ok, "partners", list, partners);
    let packages = count(config.packages.len() as u64, "package");
    report.add(Severity::Ok, "packages", path.display(), packages);
    let locales = job.templates.locales.iter();
    let locales: Vec<String> = locales.map(ToString::to_string).collect();
    let locales = format!("templates for {}", locales.join(", "));
    let folder = config.templates.directory.display();
    report.add(Severity::Ok, "templates", folder, locales);
    let due = format!("a send would mail {} now", describe(&summary));
    report.add(Severity::Note, "plan", ledger, due);
    Ok(Some(reader))
}

/// Which languages the list asks for, and which template each of them gets.
///
/// # Errors
/// If the list cannot be read.
pub fn languages(job: &Job) -> Result<Languages> {
    let (config, templates) = (&job.config.templates, &job.templates);
    let (requested, more) = job.partners.languages()?;
    let row = |requested: RequestedLanguage| {
        let (template, kind) = templates.choose_by(requested.locale.as_ref());
        let alias = requested.tag.as_deref().is_some_and(Locale::is_alias);
        LanguageRow {
            template: (!requested.refused).then(|| template.to_string()),
            step: match kind {
                _ if requested.refused => "refused",
                Some(MatchKind::Exact) if alias => "alias",
                Some(kind) => kind.into(),
                None => "default",
            },
            asked: requested.tag,
            locale: requested.locale.map(|it| it.to_string()),
            partners: requested.partners,
        }
    };
    Ok(Languages {
        default_locale: config.default_locale.to_string(),
        missing_locale: config.missing_locale,
        templates: templates.locales.iter().map(Locale::to_string).collect(),
        locales: requested.into_iter().map(row).collect(),
        more,
    })
}
