//! `forget`: erases an address wherever this program has written it, and makes sure that it is never mailed again.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::erased_files;
use super::job;
use super::open_ledger::{end_run, export_events, note_erased, run_start};
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::{Finding, Severity};
use crate::invitation::Cause;
use crate::ledger::{Forgotten, Ledger, RunEnd};
use crate::mentions::Mentions;
use crate::partners::Partners;
use crate::report::count;

/// How many lines of the list are named.
const SHOWN: usize = 20;
/// What the program does not touch.
const BEYOND: &str = "the list; reports, reviews and exports in other folders; backups of the ledger and of its folder; mailboxes and the logs of mail servers";

/// The arguments of `forget`.
#[derive(Args, Clone, Debug)]
pub struct ForgetOptions {
    /// The address to erase
    #[arg(value_parser = Address::parse)]
    pub address: Address,
}

/// Erases the address.
///
/// # Errors
/// If another run holds the lock (75), or the ledger or a file cannot be written (74).
pub async fn run(path: &Path, options: &ForgetOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Config::load(path)?;
    let start = run_start("forget", &config, console);
    let ledger = Ledger::open(&config.ledger, &start)?;
    let ended = forget(&config, &options.address, &ledger, console).await;
    end_run(&config, ledger, ended, RunEnd::default(), console).await
}

async fn forget(
    config: &Config,
    address: &Address,
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let now = console.now();
    export_events(config, ledger).await?;
    ledger.recover(now).await?;
    // What is erased next is not in the ledger any more.
    export_events(config, ledger).await?;
    let forgotten = ledger.forget(address, now).await?;
    note_erased(config, ledger, Cause::Forget, forgotten.invitations, now).await?;
    console.print(&describe(address, forgotten));
    let partners = job::current_list(config).map(Arc::new);
    let listed = match &partners {
        Some(partners) => Some(lines_of(partners, address)?),
        None => None,
    };
    // The results are the list with outcomes.
    let clean = partners.filter(|_| listed.as_ref().is_some_and(Vec::is_empty));
    let mut exits = Vec::new();
    for place in erased_files::places(config) {
        let erased = place.erase(config, address, clean.as_ref(), ledger, now);
        match erased.await {
            Ok(None) => {}
            Ok(Some(what)) => console.print(&what),
            Err(error) => {
                console.eprint(&format!("error: not erased: {error}"));
                exits.push(error.exit);
            }
        }
    }
    console.report(&list_finding(config, listed.as_deref()));
    let beyond = format!("not touched, so erase it there by hand: {BEYOND}");
    console.report([&Finding::without_fix("forget", Severity::Note, "", beyond)]);
    Ok(Exit::most_severe(&exits))
}

fn describe(address: &Address, forgotten: Forgotten) -> String {
    let Forgotten {
        invitations,
        mentions,
        known,
    } = forgotten;
    let mut parts = Vec::new();
    if invitations > 0 {
        parts.push(format!("{} erased", count(invitations, "invitation")));
    } else if known {
        parts.push("it was forgotten before".to_owned());
    } else {
        parts.push("no invitation was recorded".to_owned());
    }
    if mentions > 0 {
        let texts = count(mentions, "other text");
        parts.push(format!("replaced in {texts} of the ledger"));
    }
    format!("{address}: {}; no run mails it any more", parts.join(", "))
}

/// The lines of the list that name the address, in bad rows as well.
fn lines_of(partners: &Arc<Partners>, address: &Address) -> Result<Vec<u64>> {
    let mentions = Mentions::of(address);
    let mut lines = Vec::new();
    for row in partners.source_rows() {
        let row = row?;
        let named = if let Some(cells) = &row.cells {
            cells.iter().any(|it| mentions.is_in(it))
        } else {
            let text: std::io::Result<String> = partners.text(row.place).collect();
            let text = text.map_err(|error| CommandError::new(Exit::BadInput, error))?;
            mentions.is_in(&text)
        };
        lines.extend(named.then_some(row.line));
    }
    Ok(lines)
}

/// A warning if the list still names the address, or cannot be read.
fn list_finding(config: &Config, lines: Option<&[u64]>) -> Option<Finding> {
    let path = config.partners.path.display();
    let message = match lines {
        None => format!(
            "the list `{path}` cannot be read, so it is not known whether it names the address; run `access-invite check`"
        ),
        Some([]) => return None,
        Some(lines) => {
            let shown = lines.iter().take(SHOWN).map(u64::to_string);
            let shown = shown.collect::<Vec<_>>().join(", ");
            let more = if lines.len() > SHOWN { " …" } else { "" };
            format!(
                "the list still names the address ({path}:{shown}{more}), and so would results and reviews of it; remove it there"
            )
        }
    };
    Some(Finding::warning("forget", "", message))
}
