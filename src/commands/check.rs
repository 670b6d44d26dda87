//! `check`: findings about everything that can be checked without the network, and with `--connect`,
//! about the relay and the sender's domain, and with `--entra`, about the access packages.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::check_entra::{check_entra, line_about_entra};
use super::checks::{COLUMNS, EXAMPLE, Report, check_files, check_plan, languages};
use super::connect::diagnose;
use super::preflight::recommendation;
use crate::config::{Config, PROVIDER_CHECK};
use crate::console::Console;
use crate::entra::CHECK;
use crate::exit::{Exit, Result};
use crate::finding::{Finding, Severity};
use crate::report::{Languages, ReportFormat, count, write_check};

/// The arguments of `check`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Also examine the relay, the login and the sender's domain; no mail is sent
    #[arg(long)]
    pub connect: bool,
    /// Also read from Microsoft Entra whether partners can request the access packages
    #[arg(long)]
    pub entra: bool,
    /// Also show which languages the list asks for, and which template each of them gets
    #[arg(long)]
    pub locales: bool,
    /// The format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// Checks the job that `path` configures.
///
/// # Errors
/// If the configuration cannot be loaded and the format is text, or the ledger cannot be read.
pub async fn run(path: &Path, options: &CheckOptions, console: &mut Console<'_>) -> Result<Exit> {
    let text = options.format == ReportFormat::Text;
    let mut report = Report::default();
    let mut list = None;
    let languages = match Config::load(path).map(Arc::new) {
        Ok(config) => {
            list = Some(config.partners.path.clone());
            // Boxed, because the future is large.
            Box::pin(check(path, &config, options, &mut report, console)).await?
        }
        Err(error) if text => return Err(error.into()),
        Err(error) => {
            report.fail("configuration", path.display(), error);
            None
        }
    };
    let conclusion = conclusion(path, list.as_deref(), &report);
    if text {
        for line in report.findings.iter().filter_map(line_before_findings) {
            console.print(&line);
        }
        for line in report.findings.iter().filter_map(line_about_entra) {
            console.print(&line);
        }
        let findings = report.unprinted();
        console.report(findings.filter(|it| it.severity >= Severity::Warning));
        console.print(&conclusion);
    } else {
        let _ = write_check(console.out, languages.as_ref(), &report.findings);
        console.eprint(&conclusion);
    }
    Ok(report.exit())
}

/// Runs all checks. Returns the languages of the list if they were asked for.
async fn check(
    path: &Path,
    config: &Arc<Config>,
    options: &CheckOptions,
    report: &mut Report,
    console: &mut Console<'_>,
) -> Result<Option<Languages>> {
    let text = options.format == ReportFormat::Text;
    let (connector, job) = check_files(config, text, report);
    let languages = match &job {
        Some(job) if options.locales => report.keep("locales", "", languages(job)),
        _ => None,
    };
    if let (Some(languages), true) = (&languages, text) {
        let _ = languages.write_table(console.out, console.screen.out.is_some());
    }
    let mut reader = None;
    if let (Some(job), true) = (&job, report.is_good()) {
        reader = check_plan(path, job, report, console).await?;
    }
    report.findings.extend(recommendation(config));
    // What Microsoft Entra says does not concern the relay.
    let is_good = report.is_good();
    if options.entra {
        check_entra(config, job.as_ref(), report, console).await;
    }
    if let (Some(job), Some(connector), Some(reader)) = (&job, connector, reader)
        && options.connect
        && is_good
    {
        diagnose(job, &connector, &reader, report, text, console).await?;
    }
    Ok(languages)
}

/// How the list was read, and what the provider changes, for a person.
fn line_before_findings(finding: &Finding) -> Option<String> {
    match finding.check {
        PROVIDER_CHECK if finding.severity == Severity::Note => {
            let parts = [finding.what.as_str(), finding.fix.as_str()];
            let parts: Vec<_> = parts.into_iter().filter(|it| !it.is_empty()).collect();
            Some(format!("provider: {}", parts.join("; ")))
        }
        COLUMNS => Some(format!("columns: {}", finding.what)),
        EXAMPLE => Some(format!("example: {}: {}", finding.at, finding.what)),
        _ => None,
    }
}

/// Whether the job is good, in one sentence.
fn conclusion(path: &Path, list: Option<&Path>, report: &Report) -> String {
    let path = path.display();
    let number = |severity| {
        let findings = report.findings.iter();
        findings.filter(|it| it.severity == severity).count() as u64
    };
    if !report.is_good() {
        let mut errors = report.findings.iter();
        let is_of_list = |it: &Finding| it.severity < Severity::Error || it.check == "partners";
        if let (Some(list), true) = (list, errors.all(is_of_list)) {
            let list = list.display();
            return format!("the list {list} has errors; {path} itself has none");
        }
        let errors = count(number(Severity::Error), "error");
        return format!("{path} is not good: {errors}");
    }
    let texts = |severity| {
        let apart = [CHECK, COLUMNS, EXAMPLE, PROVIDER_CHECK];
        let unprinted = report.unprinted().filter(|it| it.severity == severity);
        let found = unprinted.filter(|it| !apart.contains(&it.check));
        found.map(|it| it.what.clone()).collect::<Vec<_>>()
    };
    let mut parts = vec![texts(Severity::Ok).join(", ")];
    parts.extend(texts(Severity::Note));
    let warnings = number(Severity::Warning);
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    format!("{path} is good: {}", parts.join("; "))
}
