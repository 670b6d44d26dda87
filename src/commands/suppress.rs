//! `suppress`: the list of addresses and domains that no campaign mails.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::open_ledger::{end_run, export_events, run_start};
use super::records::is_forgotten;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::files;
use crate::invitation::{AddressPattern, Suppression, SuppressionSource};
use crate::ledger::{Ledger, Reader, RunEnd};
use crate::report::{ReportFormat, count, one_line, write_suppressions};

/// The largest file of addresses: a million of them.
const FILE_LIMIT: u64 = 64 << 20;
/// How many bad lines are shown.
const SHOWN: usize = 20;

/// The arguments of `suppress`.
#[derive(Args, Clone, Debug, Default)]
#[command(group = ArgGroup::new("what").required(true).multiple(true)
    .args(["addresses", "file", "remove", "list"]))]
pub struct SuppressOptions {
    /// Addresses, or @domain for all of a domain
    #[arg(value_name = "ADDRESS", value_parser = AddressPattern::parse)]
    pub addresses: Vec<AddressPattern>,
    /// A file with one address or @domain on each line, and comments after #
    #[arg(long, value_name = "FILE", conflicts_with_all = ["remove", "list"])]
    pub file: Option<PathBuf>,
    /// The reason, for the record
    #[arg(long, value_name = "TEXT", conflicts_with = "list")]
    pub note: Option<String>,
    /// Remove an address or @domain from the list
    #[arg(long, value_name = "ADDRESS", value_parser = AddressPattern::parse, num_args = 1..,
        conflicts_with_all = ["addresses", "list"])]
    pub remove: Vec<AddressPattern>,
    /// Print the list, in the form that --file reads
    #[arg(long, conflicts_with = "addresses")]
    pub list: bool,
    /// The format of the list
    #[arg(long, value_enum, default_value_t, requires = "list")]
    pub format: ReportFormat,
}

/// Changes or prints the suppression list.
///
/// # Errors
/// If an address is not on the list that is to be removed, or a line of the file is no address (65), or the
/// ledger cannot be read or written.
pub async fn run(
    path: &Path,
    options: &SuppressOptions,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let config = Config::load(path)?;
    if options.list {
        return print_list(&config, options.format, console).await;
    }
    let mut patterns = options.addresses.clone();
    if let Some(file) = &options.file {
        patterns.extend(read_file(file)?);
    }
    let start = run_start("suppress", &config, console);
    let ledger = Ledger::open_briefly(&config.ledger, &start)?;
    let note = options.note.as_deref();
    let changed = match export_events(&config, &ledger).await {
        Err(error) => Err(error),
        Ok(()) if options.remove.is_empty() => suppress(&ledger, patterns, note, console).await,
        Ok(()) => remove(&ledger, &options.remove, note, console).await,
    };
    end_run(&config, ledger, changed, RunEnd::default(), console).await
}

async fn suppress(
    ledger: &Ledger,
    patterns: Vec<AddressPattern>,
    note: Option<&str>,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let at = console.now();
    let entry = |pattern: &AddressPattern| Suppression {
        address: Some(pattern.to_string()),
        at,
        source: SuppressionSource::Person,
        note: note.map(str::to_owned),
    };
    let entries: Vec<_> = patterns.iter().map(|it| (it.clone(), entry(it))).collect();
    let results = ledger.suppress(entries).await?;
    for (pattern, result) in patterns.iter().zip(results) {
        let listed = if result.listed {
            "suppressed"
        } else {
            "was suppressed already"
        };
        console.print(&format!(
            "{pattern}: {listed}{}",
            invitations(result.changed)
        ));
    }
    Ok(Exit::Done)
}

async fn remove(
    ledger: &Ledger,
    patterns: &[AddressPattern],
    note: Option<&str>,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let note = note.map(str::to_owned);
    let results = ledger
        .unsuppress(patterns.to_vec(), console.now(), note)
        .await?;
    if let Some(missing) = patterns.iter().zip(&results).find(|it| it.1.is_none()) {
        let pattern = missing.0;
        let message = if is_forgotten(ledger.reader(), pattern.as_str()).await? {
            format!(
                "{pattern} was erased with `access-invite forget`, and no run mails it again, so nothing was changed"
            )
        } else {
            format!(
                "{pattern} is not on the suppression list, so nothing was changed; `access-invite suppress --list` prints the list"
            )
        };
        return Err(CommandError::new(Exit::BadInput, message));
    }
    for (pattern, changed) in patterns.iter().zip(results.into_iter().flatten()) {
        console.print(&format!(
            "{pattern}: no longer suppressed{}",
            invitations(changed)
        ));
    }
    Ok(Exit::Done)
}

fn invitations(changed: u64) -> String {
    match changed {
        0 => String::new(),
        changed => format!(" ({})", count(changed, "invitation")),
    }
}

/// The addresses in a file.
fn read_file(path: &Path) -> Result<Vec<AddressPattern>> {
    let bad = |why: String| CommandError::new(Exit::BadInput, why);
    let shown = path.display();
    let bytes = files::read(path, FILE_LIMIT)
        .map_err(|error| bad(format!("cannot read `{shown}`: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| bad(format!("`{shown}` is not UTF-8; save it as UTF-8")))?;
    let mut patterns = Vec::new();
    let mut problems = Vec::new();
    for (nth, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        // The sign may also stand in an address.
        let comment = line.find(" #").unwrap_or(line.len());
        let line = line[..comment].trim();
        let line = if line.starts_with('#') { "" } else { line };
        if line.is_empty() {
            continue;
        }
        match AddressPattern::parse(line) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                problems.push(format!("{shown}:{}: {}: {error}", nth + 1, one_line(line)));
            }
        }
    }
    if problems.is_empty() {
        return Ok(patterns);
    }
    let number = problems.len() as u64;
    problems.truncate(SHOWN);
    let lines = count(number, "line");
    problems.push(format!(
        "{lines} cannot be read, so nothing was changed; write one address or @domain on each line"
    ));
    Err(bad(problems.join("\n")))
}

async fn print_list(
    config: &Config,
    format: ReportFormat,
    console: &mut Console<'_>,
) -> Result<Exit> {
    Ledger::check(&config.ledger)?;
    let reader = Reader::open(&config.ledger, None)?;
    let suppressions = reader.suppressions().await?;
    write_suppressions(&suppressions, format, console.out);
    Ok(Exit::Done)
}
