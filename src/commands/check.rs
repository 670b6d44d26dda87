//! `check`: is everything right that can be known without the network, and with
//! `--connect`, does the relay let us in?
//!
//! A list of findings from independent checks; one that fails does not keep the others
//! from being told.

use std::path::Path;
use std::sync::Arc;

use super::guards::{approval_error, guards};
use super::{Console, Job, PartnerFilter, describe, open_read_only};
use crate::config::{Config, MissingLocale};
use crate::exit::{self, CommandError, Exit};
use crate::ledger::Ledger;
use crate::locale::{Locale, MatchKind};
use crate::message::Composer;
use crate::partners::{Partners, RequestedLanguage};
use crate::relay::{Connector, check_credentials};
use crate::report::{LanguageRow, Languages, LanguagesFormat, count};
use crate::results;
use crate::templates::Templates;

/// What the checks have found so far.
#[derive(Default)]
struct Findings {
    errors: Vec<CommandError>,
    warnings: Vec<String>,
}

impl Findings {
    /// The value, or none and a finding more.
    fn keep<T>(&mut self, result: exit::Result<T>) -> Option<T> {
        result.map_err(|failure| self.errors.push(failure)).ok()
    }
}

/// What `check` was told on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether the relay is tried, too.
    pub connect: bool,
    /// How to show the languages of the list, where that was asked for.
    pub locales: Option<LanguagesFormat>,
}

/// Checks the job that `path` configures.
///
/// # Errors
/// When the configuration itself cannot be read, which all the rest hangs on.
pub async fn run(path: &Path, options: &Options, console: &mut Console<'_>) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let mut findings = Findings {
        warnings: [config.warnings.clone(), Ledger::warnings(&config.ledger)].concat(),
        ..Findings::default()
    };
    let connector = findings.keep(Connector::new(&config.smtp).map_err(CommandError::from));
    findings.keep(check_credentials(&config.smtp).map_err(CommandError::from));
    if let Some(path) = &config.results {
        findings.keep(results::look(path));
    }
    let templates = findings
        .keep(Templates::load(&config.templates).map_err(Into::into))
        .map(Arc::new);
    let open = templates.iter().flat_map(|it| it.warnings());
    findings.warnings.extend(open.cloned());
    let locales = templates.as_ref().map_or(&[][..], |it| it.locales());
    let scratch = std::env::temp_dir();
    let partners = findings
        .keep(Partners::read(&config, locales, &scratch).map_err(CommandError::from))
        .map(Arc::new);
    if let Some(templates) = &templates {
        let none: Arc<[String]> = Arc::new([]);
        let columns = partners.as_ref().map_or(&none, |it| it.extra_columns());
        let faults = Composer::new(&config, templates).check_templates(columns);
        if !faults.is_empty() {
            let failure = CommandError::new(Exit::Config, faults.join("\n"));
            findings.errors.push(failure);
        }
    }
    if let Some(partners) = &partners {
        check_rows(&config, partners, &mut findings);
    }
    if let (Some(format), Some(partners), Some(templates)) =
        (options.locales, &partners, &templates)
        && let Some(languages) = findings.keep(languages(&config, partners, templates))
    {
        // That nobody reads it any more is no reason to stop.
        let _ = languages.write(console.out, format, console.out_is_terminal);
    }
    // What a script reads as JSON must be nothing else.
    let say = match options.locales {
        Some(LanguagesFormat::Json) => Console::eprint,
        _ => Console::print,
    };
    let summary = match (findings.errors.is_empty(), partners, templates) {
        (true, Some(partners), Some(templates)) => {
            let job = Job {
                composer: Arc::new(Composer::new(&config, &templates)),
                templates,
                partners,
                config: config.clone(),
            };
            count_due(&job, &mut findings, console).await?
        }
        _ => String::new(),
    };
    // With a finding that keeps mail from being sent, the relay need not be bothered.
    let good = findings.errors.is_empty();
    if let (true, true, Some(connector)) = (options.connect, good, connector) {
        let mut step = |step: &str| say(console, &format!("relay: {step}"));
        let opened = connector.diagnose(&mut step).await;
        let opened = opened.map_err(CommandError::from);
        if findings.keep(opened).is_some() {
            say(console, "relay: ready to take mail; none was sent");
        }
    }
    let (exit, sentence) = conclude(path, &findings, &summary, console);
    say(console, &sentence);
    Ok(exit)
}

/// Tells what was found; gives the code of the gravest and a sentence on the whole.
fn conclude(
    path: &Path,
    findings: &Findings,
    summary: &str,
    console: &mut Console<'_>,
) -> (Exit, String) {
    for warning in &findings.warnings {
        console.warn(warning);
    }
    for failure in &findings.errors {
        console.eprint(&format!("error: {failure}"));
    }
    if findings.errors.is_empty() {
        let warnings = match findings.warnings.len() {
            0 => String::new(),
            some => format!("; {}", count(some as u64, "warning")),
        };
        let good = format!("{} is good: {summary}{warnings}", path.display());
        return (Exit::Done, good);
    }
    let errors = count(findings.errors.len() as u64, "error");
    let sentence = format!("{} is not good: {errors}", path.display());
    let worst = |exit| findings.errors.iter().any(|it| it.exit == exit);
    let order = [
        Exit::Config,
        Exit::NoPermission,
        Exit::BadInput,
        Exit::Unavailable,
    ];
    let exit = order.into_iter().find(|it| worst(*it));
    (exit.unwrap_or(findings.errors[0].exit), sentence)
}

/// What is wrong or odd with the rows.
fn check_rows(config: &Config, partners: &Partners, findings: &mut Findings) {
    findings.warnings.extend(partners.warnings());
    if let Err(error) = partners.refuse_bad_rows(config.partners.bad_rows) {
        findings.errors.push(error.into());
    } else if partners.bad() > 0 {
        findings.warnings.push(format!(
            "{} will be skipped:\n{}",
            count(partners.bad(), "bad row"),
            partners.describe_bad_rows()
        ));
    }
    if partners.good() == 0 && partners.bad() == 0 {
        findings.warnings.push(format!(
            "`{}` has no partners below its header",
            config.partners.path.display()
        ));
    }
}

/// Which languages the list asks for, and what each of them gets.
fn languages(
    config: &Config,
    partners: &Partners,
    templates: &Templates,
) -> exit::Result<Languages> {
    let (asked, more) = partners.languages()?;
    let row = |asked: RequestedLanguage| {
        let (template, step) = templates.choose_by(asked.locale.as_ref());
        let alias = asked.tag.as_deref().is_some_and(Locale::is_alias);
        LanguageRow {
            template: (!asked.refused).then(|| template.to_string()),
            step: match step {
                _ if asked.refused => "refused",
                Some(MatchKind::Exact) if alias => "alias",
                Some(step) => step.as_str(),
                None => "default",
            },
            asked: asked.tag,
            locale: asked.locale.map(|it| it.to_string()),
            partners: asked.partners,
        }
    };
    Ok(Languages {
        default_locale: config.templates.default_locale.to_string(),
        missing_locale: match config.templates.missing_locale {
            MissingLocale::Default => "default",
            MissingLocale::Refuse => "refuse",
        },
        templates: templates.locales().iter().map(Locale::to_string).collect(),
        locales: asked.into_iter().map(row).collect(),
        more,
    })
}

/// What a send would do now, and what would stop it.
async fn count_due(
    job: &Job,
    findings: &mut Findings,
    console: &mut Console<'_>,
) -> exit::Result<String> {
    let Some(reader) = findings.keep(open_read_only(&job.config, None, console).await) else {
        return Ok(String::new());
    };
    let now = (console.clock)();
    let plan = job.plan(&PartnerFilter::default(), now);
    let summary = job.summarize(&plan, &reader).await?;
    let doubt = reader.staleness().map(|it| it.describe(&job.config.ledger));
    let stopping = guards(job, &summary, &reader, false, now).await?;
    findings.warnings.extend(doubt);
    findings.warnings.extend(stopping);
    if let Some(Some(approval_error)) = findings.keep(approval_error(job, None)) {
        findings.warnings.push(approval_error);
    }
    let locales: Vec<String> = job
        .templates
        .locales()
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(format!(
        "{}, {}, templates for {}; a send would mail {} now",
        count(job.partners.good(), "partner"),
        count(job.config.packages.len() as u64, "package"),
        locales.join(", "),
        describe(&summary)
    ))
}
