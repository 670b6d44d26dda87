//! `check`: findings about everything that can be checked without the network, and with `--connect`,
//! about the relay.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::checks::{COLUMNS, EXAMPLE, Report, check_files, check_plan, languages, try_relay};
use crate::config::Config;
use crate::console::Console;
use crate::exit::{Exit, Result};
use crate::finding::{Finding, Severity};
use crate::report::{CheckFormat, Languages, count, write_check};

/// The arguments of `check`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// Also connect to the relay and log in; no mail is sent
    #[arg(long)]
    pub connect: bool,
    /// Also show which languages the list asks for, and which template each of them gets
    #[arg(long)]
    pub locales: bool,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
}

/// Checks the job that `path` configures.
///
/// # Errors
/// If the configuration cannot be loaded and the format is text, or the ledger cannot be read.
pub async fn run(path: &Path, options: &CheckOptions, console: &mut Console<'_>) -> Result<Exit> {
    let text = options.format == CheckFormat::Text;
    let mut report = Report::default();
    let config = match Config::load(path) {
        Err(error) if !text => {
            report.fail("configuration", path.display(), error);
            return Ok(write_result(
                path,
                None,
                &report,
                None,
                options.format,
                console,
            ));
        }
        loaded => Arc::new(loaded?),
    };
    let files = check_files(&config, text, &mut report);
    let languages = match &files.job {
        Some(job) if options.locales => report.keep("locales", "", languages(job)),
        _ => None,
    };
    if let (Some(languages), true) = (&languages, text) {
        let _ = languages.write_table(console.out, console.out_is_terminal);
    }
    if let (Some(job), true) = (&files.job, report.is_good()) {
        check_plan(path, job, &mut report, console).await?;
    }
    if let (Some(connector), true, true) = (files.connector, options.connect, report.is_good()) {
        try_relay(&connector, text, &mut report, console).await;
    }
    Ok(write_result(
        path,
        Some(&config),
        &report,
        languages.as_ref(),
        options.format,
        console,
    ))
}

/// Writes the result and returns the exit code.
fn write_result(
    path: &Path,
    config: Option<&Config>,
    report: &Report,
    languages: Option<&Languages>,
    format: CheckFormat,
    console: &mut Console<'_>,
) -> Exit {
    let conclusion = conclusion(path, config, report);
    if format == CheckFormat::Json {
        let _ = write_check(console.out, languages, &report.findings);
        console.eprint(&conclusion);
    } else {
        for line in report.findings.iter().filter_map(line_about_list) {
            console.print(&line);
        }
        let severe = report.findings.iter();
        console.report(severe.filter(|it| it.severity >= Severity::Warning));
        console.print(&conclusion);
    }
    report.exit()
}

/// How the list was read, for a person.
fn line_about_list(finding: &Finding) -> Option<String> {
    match finding.check {
        COLUMNS => Some(format!("columns: {}", finding.what)),
        EXAMPLE => Some(format!("example: {}: {}", finding.at, finding.what)),
        _ => None,
    }
}

/// Whether the job is good, in one sentence.
fn conclusion(path: &Path, config: Option<&Config>, report: &Report) -> String {
    let path = path.display();
    let number = |severity| {
        let found = report.findings.iter();
        found.filter(|it| it.severity == severity).count() as u64
    };
    if !report.is_good() {
        let mut errors = report.findings.iter();
        let is_of_list = |it: &Finding| it.severity < Severity::Error || it.check == "partners";
        if let (Some(config), true) = (config, errors.all(is_of_list)) {
            let list = config.partners.path.display();
            return format!("the list {list} has errors; {path} itself has none");
        }
        let errors = count(number(Severity::Error), "error");
        return format!("{path} is not good: {errors}");
    }
    let found = |severity| {
        let found = report.findings.iter();
        let apart = ["relay", COLUMNS, EXAMPLE];
        let found = found.filter(move |it| it.severity == severity && !apart.contains(&it.check));
        found.map(|it| it.what.as_str()).collect::<Vec<_>>()
    };
    let mut parts = vec![found(Severity::Ok).join(", ")];
    parts.extend(found(Severity::Note).into_iter().map(str::to_owned));
    let warnings = number(Severity::Warning);
    if warnings > 0 {
        parts.push(count(warnings, "warning"));
    }
    format!("{path} is good: {}", parts.join("; "))
}
